"""What every request for a report chooses, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..review import Review
from .build import build_report
from .context import GuidelineContext
from .follow_up import FollowUp
from .model import Report
from .record import Record
from .suggestions import GUIDELINES


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """A reader's choices of what a report says.

    :param guidelines: which suggestions to give, of `GUIDELINES`.
    :param context: what they ask of patient and examination beyond the nodules.
    :param threshold: least score that counts; None takes the detection's.
    :param notes: a reader's, for the whole.
    """

    guidelines: tuple[str, ...] = GUIDELINES
    context: GuidelineContext = field(default_factory=GuidelineContext)
    threshold: float | None = None
    deidentify: bool = False
    notes: str = ""

    def refusal(self) -> str:
        """One sentence about the first choice that cannot be; empty when all can."""
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            return f"The threshold {self.threshold:g} is no probability; choose one from 0 to 1."
        if unknown := [name for name in self.guidelines if name not in GUIDELINES]:
            return f"The guideline '{unknown[0]}' is unknown; choose from {', '.join(GUIDELINES)}, or none."
        return ""

    def report_of(self, record: Record, review: Review | None, follow_up: FollowUp | None) -> Report:
        """The report of a detection, as chosen; yet to be de-identified where that was chosen.

        :param review: of this detection; None when nobody has reviewed it.
        :param follow_up: the comparison with a prior; None without one.
        """
        return build_report(
            record.result,
            record.grid,
            review,
            guidelines=self.guidelines,
            context=self.context,
            follow_up=follow_up,
            threshold=self.threshold,
            detected_at=record.detected_at,
            notes=self.notes,
        )
