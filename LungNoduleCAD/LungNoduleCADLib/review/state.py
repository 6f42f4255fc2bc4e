"""What a review says at one moment: its findings, what a reader made of each, and what is to be shown of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from ..errors import InputError
from ..findings import Candidate, DensityType, Measurements, Segment, VoxelMask
from ..rules import Override

Status = Literal["pending", "accepted", "rejected", "merged"]
Origin = Literal["detector", "reader"]
ReadingMode = Literal["concurrent", "second-reader"]
RejectReason = Literal[
    "vessel", "airway", "scar", "pleura", "fissure", "lymph-node", "atelectasis", "consolidation", "chest-wall",
    "artefact", "duplicate", "other",
]  # fmt: skip
"""Why a mark is no nodule that counts. 'chest-wall' is all outside the lung: ribs, diaphragm, mediastinum."""
Callipers = tuple[Segment, Segment]
"""The lines of a long and a short axis, LPS mm."""


@dataclass(frozen=True, eq=False)
class Contour:
    """An outline and what it measures.

    :param center_lps: centre of mass of the mask, LPS mm.
    """

    mask: VoxelMask
    measurements: Measurements
    center_lps: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Finding:
    """A mark as it stands: the detector's or a reader's, with every decision about it.

    :param id: 'N' and the candidate's id, or 'A' and a number for one that a reader added; also the name of its point
        and segment.
    :param contour: the present outline; `contour.measurements` are the automatic values on it.
    :param score, malignancy, malignancy_by_diameter: the detector's; None for one that a reader added.
    :param edited: whether the outline is a reader's.
    :param reader, decided_at: who gave it its status, and when.
    :param callipers_mm: a reader's long and short axis, which count instead of the automatic ones; of the solid part in
        `solid_callipers_mm`. Their lines in `callipers_lps` and `solid_callipers_lps`, where they were drawn.
    :param density: a reader's, which counts instead of the automatic one.
    :param categories: a reader's in place of the suggested ones, by guideline.
    :param merged_into: the finding that holds this one's voxels too.
    :param first_read: added before the detector's marks were seen.
    """

    id: str
    origin: Origin
    contour: Contour
    score: float | None = None
    malignancy: float | None = None
    malignancy_by_diameter: float | None = None
    status: Status = "pending"
    edited: bool = False
    reader: str = ""
    decided_at: datetime | None = None
    reason: RejectReason | None = None
    comment: str = ""
    note: str = ""
    callipers_mm: tuple[float, float] | None = None
    solid_callipers_mm: tuple[float, float] | None = None
    callipers_lps: Callipers | None = None
    solid_callipers_lps: Callipers | None = None
    density: DensityType | None = None
    categories: Mapping[str, Override] = field(default_factory=lambda: MappingProxyType({}))
    merged_into: str | None = None
    first_read: bool = False

    @property
    def axes_mm(self) -> tuple[float, float]:
        """Long and short axis that count: a reader's callipers before the automatic ones."""
        measured = self.contour.measurements
        return self.callipers_mm or (measured.long_axis_mm, measured.short_axis_mm)

    @property
    def density_type(self) -> DensityType:
        """The type that counts."""
        return self.density or self.contour.measurements.density


@dataclass(frozen=True, eq=False)
class ReviewState:
    """All findings, the detector's first and best first, then the added ones in their order.

    :param first_read_declared: in second-reader mode, the reader has said what they found without the detector.
    :param exam_categories: a reader's of the whole examination in place of the suggested ones, by guideline.
    """

    findings: Mapping[str, Finding]
    mode: ReadingMode = "concurrent"
    first_read_declared: bool = False
    exam_categories: Mapping[str, Override] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def hides_detector(self) -> bool:
        """Whether the detector's marks must not be seen yet."""
        return self.mode == "second-reader" and not self.first_read_declared

    def finding(self, finding_id: str) -> Finding:
        """One finding.

        :raises InputError: when there is none of that name.
        """
        found = self.findings.get(finding_id)
        if found is None:
            raise InputError(f"There is no finding {finding_id} in this review; choose one of the table.")
        return found


@dataclass(frozen=True)
class ReviewCounts:
    """How far a reader has got.

    :param reviewed: the detector's findings with a decision, of `total`: those with one, and those at or above the
        threshold. A finding merged into another is counted with that one.
    :param added: findings of a reader.
    """

    reviewed: int
    total: int
    accepted: int
    rejected: int
    added: int


def detector_id(candidate_id: int) -> str:
    """A candidate's name in a review."""
    return f"N{candidate_id}"


def detector_finding(candidate: Candidate) -> Finding:
    """A candidate that nobody has judged."""
    contour = Contour(candidate.mask, candidate.measurements, candidate.center_lps)
    estimates = (candidate.malignancy, candidate.malignancy_by_diameter)
    return Finding(detector_id(candidate.id), "detector", contour, candidate.score, *estimates)


def shown_findings(state: ReviewState, threshold: float, show_rejected: bool = False) -> dict[str, bool]:
    """Whether each finding is to be seen: accepted and added ones at any threshold, undecided ones from the threshold
    on, rejected ones on request; merged ones never, and the detector's not before the first read is declared."""
    return {name: _is_shown(f, state, threshold, show_rejected) for name, f in state.findings.items()}


def review_counts(state: ReviewState, threshold: float) -> ReviewCounts:
    """The counts at a threshold."""
    own = [f for f in state.findings.values() if f.origin == "detector" and f.status != "merged"]
    accepted = sum(f.status == "accepted" for f in own)
    rejected = sum(f.status == "rejected" for f in own)
    pending = sum(f.status == "pending" and _passes(f, threshold) for f in own)
    added = sum(f.origin == "reader" and f.status != "merged" for f in state.findings.values())
    return ReviewCounts(accepted + rejected, accepted + rejected + pending, accepted, rejected, added)


def _is_shown(finding: Finding, state: ReviewState, threshold: float, show_rejected: bool) -> bool:
    if finding.status == "merged" or (finding.origin == "detector" and state.hides_detector):
        return False
    if finding.status == "rejected":
        return show_rejected
    return finding.status == "accepted" or _passes(finding, threshold)


def _passes(finding: Finding, threshold: float) -> bool:
    return finding.score is None or finding.score >= threshold
