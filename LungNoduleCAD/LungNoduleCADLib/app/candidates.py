"""The rows of the candidates table, from a detection's record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_REACH_MM = 3.0
"""A click this near to a candidate's centre means it, however small it is."""


@dataclass(frozen=True)
class CandidateRow:
    """A candidate as the table shows it.

    :param label: of its point and segment: 'N' and the candidate's id.
    :param values: what is known of it, by the names of `findings.json` and `mean_diameter_mm`. Lengths in mm, densities
        in HU; None, or not there, where it could not be measured.
    """

    label: str
    id: int
    score: float
    values: Mapping[str, Any]

    @property
    def center_lps(self) -> NDArray[np.float64]:
        """In the volume's own coordinates, mm."""
        return np.array(self.values["center_lps"], dtype=np.float64)

    @property
    def reach_mm(self) -> float:
        """How far from its centre it can be taken hold of."""
        return max(LEAST_REACH_MM, (self.values.get("long_axis_mm") or 0.0) / 2)


def candidate_rows(findings: Mapping[str, Any]) -> list[CandidateRow]:
    """One row for each candidate of `findings.json`, best first."""
    return [
        CandidateRow(f"N{entry['id']}", entry["id"], entry["score"], {**entry, "mean_diameter_mm": _mean_axis(entry)})
        for entry in findings["candidates"]
    ]


def shown_at(rows: Iterable[CandidateRow], threshold: float) -> dict[str, bool]:
    """Whether each candidate, by its label, is at or above a threshold."""
    return {row.label: row.score >= threshold for row in rows}


def row_at(rows: Iterable[CandidateRow], point_lps: NDArray[np.float64]) -> CandidateRow | None:
    """The candidate that a click means: of those that reach so far, the one whose centre is nearest."""
    distances = ((float(np.linalg.norm(row.center_lps - point_lps)), row) for row in rows)
    near = [(distance, row) for distance, row in distances if distance <= row.reach_mm]
    return min(near, key=lambda pair: pair[0])[1] if near else None


def _mean_axis(entry: Mapping[str, Any]) -> float | None:
    long_axis, short_axis = (entry.get(name) for name in ("long_axis_mm", "short_axis_mm"))
    return None if long_axis is None or short_axis is None else (long_axis + short_axis) / 2
