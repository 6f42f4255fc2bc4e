"""What is compared: two studies with their findings, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..findings import Measurements, VoxelMask
from ..rules import NoduleFacts
from ..volume import Volume
from .change import Change, Trend
from .pair import AlikeMeasured
from .registration import Alignment

GrowthStatus = Literal["new", "gone", "resolved", "not covered"] | Trend
STATUS_WORDS: dict[GrowthStatus, str] = {
    "new": "new since the prior",
    "growing": "growing",
    "stable": "not changed",
    "shrinking": "smaller",
    "resolved": "no longer there: the lung is aerated in its place",
    "gone": "not found again; what lies in its place must be looked at",
    "not covered": "the other scan does not show its place",
}


@dataclass(frozen=True, eq=False)
class StudyFinding:
    """A finding of one study.

    :param label: its name there, 'N1'. :param facts: what counts of it, a reader's callipers and type included.
    :param counts: it is one of the study's findings; others, of lower score, are only looked at to find these again.
    :param mask: its outline on the volume's grid; without one the pair's two volumes are compared as they are.
    """

    label: str
    center_lps: tuple[float, float, float]
    measured: Measurements
    facts: NoduleFacts
    counts: bool = True
    mask: VoxelMask | None = None


@dataclass(frozen=True, eq=False)
class Study:
    """A scan and its findings.

    :param lungs: bool, on the volume's grid; None has them found.
    :param day: of the examination; None when it is unknown.
    """

    volume: Volume
    findings: tuple[StudyFinding, ...]
    day: date | None = None
    lungs: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class GrowthFinding:
    """A nodule in both studies, or in one.

    :param current, prior: it in each; None where it was not found.
    :param place_lps: where the other study would show it: in the prior's space, in the current one's for what only the
        prior has.
    :param distance_mm: from there to where it was found. :param correlation: of its surroundings in both scans; None
        when the transform of the whole lungs is all there is.
    :param change: None where it is in one study only.
    :param note: what a reader must know about it.
    """

    status: GrowthStatus
    current: StudyFinding | None
    prior: StudyFinding | None
    place_lps: tuple[float, float, float]
    distance_mm: float | None = None
    correlation: float | None = None
    change: Change | None = None
    note: str = ""
    alike: AlikeMeasured | None = None


@dataclass(frozen=True, eq=False)
class StudyComparison:
    """Two studies compared; the current one's findings in their order, then those only the prior has.

    :param interval_days: from the prior to the current study; None without dates.
    """

    findings: tuple[GrowthFinding, ...]
    interval_days: int | None
    alignment: Alignment
    warnings: tuple[str, ...] = field(default=())

    def of(self, label: str) -> GrowthFinding | None:
        """What became of a finding of the current study."""
        found = (f for f in self.findings if f.current is not None and f.current.label == label)
        return next(found, None)
