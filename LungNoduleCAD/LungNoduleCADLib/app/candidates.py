"""The rows of the candidates table, from a detection's record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CandidateRow:
    """A candidate as the table shows it. Lengths in mm, densities in HU; None where it could not be measured.

    :param label: of its point and segment: 'N' and the candidate's id.
    :param slice_number: counted from 1 at the volume's first slice.
    """

    label: str
    id: int
    score: float
    diameter_mm: float | None
    density: str
    mean_hu: float | None
    slice_number: int
    malignancy: float | None


def candidate_rows(findings: Mapping[str, Any]) -> list[CandidateRow]:
    """One row for each candidate of `findings.json`, best first."""
    return [
        CandidateRow(
            label=f"N{entry['id']}",
            id=entry["id"],
            score=entry["score"],
            diameter_mm=entry["diameter_mm"],
            density=entry["density"],
            mean_hu=entry["mean_hu"],
            slice_number=entry["slice_number"],
            malignancy=entry["malignancy"],
        )
        for entry in findings["candidates"]
    ]


def shown_at(rows: Iterable[CandidateRow], threshold: float) -> dict[str, bool]:
    """Whether each candidate, by its label, is at or above a threshold."""
    return {row.label: row.score >= threshold for row in rows}
