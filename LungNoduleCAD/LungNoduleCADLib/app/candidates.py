"""The rows of the candidates table: the findings of a review as they stand, and the nodules of a reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..evaluation.matching import CandidateStatus
from ..findings import ReferenceNodule
from ..report.colors import STATUS_COLORS, Color
from ..report.items import slice_number, slice_uid
from ..report.suggestions import LUNG_RADS, suggest_one
from ..review import Finding
from ..rules import Patient, Recommendation
from ..volume import Volume

LEAST_REACH_MM = 3.0
"""A click this near to a candidate's centre means it, however small it is."""
MISSED = "FN"
"""Begins the name of a reference nodule's row and point."""

_ADVICE: WeakKeyDictionary[Finding, Recommendation | None] = WeakKeyDictionary()
"""Of findings, which never change: a decision makes another one."""


@dataclass(frozen=True)
class CandidateRow:
    """A candidate as the table shows it.

    :param label: of its point and segment: 'N' and the candidate's id, 'A' and a number when a reader added it, or 'FN'
        and a number for a nodule of the reference, which is listed while it is missed.
    :param score: None for what the detector has not scored.
    :param values: what is known of it, by the names of `findings.json`, `mean_diameter_mm`, `automatic_diameter_mm`
        beside a reader's callipers, `status` of the review, and `match` against the reference. Lengths in mm, densities
        in HU; None, or not there, where it could not be measured.
    :param color: of its outline. :param finding: as the review holds it; None for a nodule of the reference.
    """

    label: str
    score: float | None
    values: Mapping[str, Any]
    color: Color
    finding: Finding | None = None

    @property
    def is_finding(self) -> bool:
        """Whether it can be reviewed; a nodule of the reference cannot."""
        return not self.label.startswith(MISSED)

    @property
    def center_lps(self) -> NDArray[np.float64]:
        """In the volume's own coordinates, mm."""
        return np.array(self.values["center_lps"], dtype=np.float64)

    @property
    def reach_mm(self) -> float:
        """How far from its centre it can be taken hold of."""
        return max(LEAST_REACH_MM, (self.values.get("long_axis_mm") or 0.0) / 2)

    @property
    def advice(self) -> Recommendation | None:
        """What Lung-RADS suggests at a first screening, with a reader's word over it; None where it cannot be said.
        Worked out when somebody asks, once a finding: it takes longer than all else of a row."""
        finding = self.finding
        if finding is None:
            return None
        if finding not in _ADVICE:
            _ADVICE[finding] = suggest_one(finding, (), Patient(), LUNG_RADS)
        return _ADVICE[finding]

    def compared(self, match: CandidateStatus | None, color: Color) -> CandidateRow:
        """The same candidate, compared with another reference, or with none."""
        return replace(self, values={**self.values, "match": match}, color=color)


def finding_row(
    finding: Finding, volume: Volume, match: CandidateStatus | None, color: Color, instance_uids: Sequence[str] = ()
) -> CandidateRow:
    """A finding with what readers decided about it: their sizes and types before the automatic ones.

    :param match: against a reference; None without one. :param instance_uids: of the volume's slices.
    """
    contour, (long_axis, short_axis) = finding.contour, finding.axes_mm
    number = slice_number(contour.center_lps, volume)
    values = {
        **vars(contour.measurements),
        "center_lps": contour.center_lps,
        "score": finding.score,
        "malignancy": finding.malignancy,
        "malignancy_by_diameter": finding.malignancy_by_diameter,
        "density": finding.density_type,
        "long_axis_mm": long_axis,
        "short_axis_mm": short_axis,
        "mean_diameter_mm": (long_axis + short_axis) / 2,
        "slice_number": number,
        "sop_instance_uid": slice_uid(instance_uids, number),
        "status": _status(finding),
        "match": match,
    }
    if finding.callipers_mm is not None:
        values["automatic_diameter_mm"] = contour.measurements.mean_diameter_mm
    if finding.solid_callipers_mm is not None:
        values["solid_diameter_mm"] = sum(finding.solid_callipers_mm) / 2
    return CandidateRow(finding.id, finding.score, values, color, finding)


def missed_row(number: int, nodule: ReferenceNodule, volume: Volume) -> CandidateRow:
    """A nodule of the reference, as it is listed when nothing hits it.

    :param number: in the reference, from 1.
    """
    center = tuple(float(v) for v in nodule.center_lps)
    values = {
        "center_lps": center,
        "slice_number": slice_number(center, volume),
        "mean_diameter_mm": nodule.diameter_mm,
        "long_axis_mm": nodule.diameter_mm,
        "match": MISSED,
    }
    return CandidateRow(f"{MISSED}{number}", None, values, STATUS_COLORS[MISSED])


def row_at(rows: Iterable[CandidateRow], point_lps: NDArray[np.float64]) -> CandidateRow | None:
    """The candidate that a click means: of those that reach so far, the one whose centre is nearest."""
    distances = ((float(np.linalg.norm(row.center_lps - point_lps)), row) for row in rows)
    near = [(distance, row) for distance, row in distances if distance <= row.reach_mm]
    return min(near, key=lambda pair: pair[0])[1] if near else None


def _status(finding: Finding) -> str:
    return "added" if finding.origin == "reader" and finding.status == "accepted" else finding.status
