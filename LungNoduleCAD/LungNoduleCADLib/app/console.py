"""What the command line prints for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..evaluation.matching import MatchResult
from ..findings import Candidate
from ..report.items import slice_number
from ..report.tables import RESEARCH_USE
from ..volume import Volume
from .detect import DetectionOutcome

COLUMNS = ("id", "score", "diameter", "density", "malignancy (by diameter)", "position L, P, S", "slice")


def describe_outcome(outcome: DetectionOutcome, folder: Path) -> str:
    """The findings above the threshold as a table, the warnings, the comparison with the reference, and the files."""
    return "\n".join(_lines(outcome, folder))


def _lines(outcome: DetectionOutcome, folder: Path) -> Iterator[str]:
    result = outcome.result
    shown = result.above()
    yield f"{_series(outcome)}: {_count(len(shown), 'finding')} at or above the threshold {result.threshold:.2f}" + (
        f" (of {_count(len(result.candidates), 'candidate')})" if len(result.candidates) > len(shown) else ""
    )
    if shown:
        yield ""
        yield from _table(shown, outcome.volume, outcome.match)
    if outcome.match is not None:
        yield ""
        yield _comparison(outcome.match)
    for warning in result.warnings:
        yield f"Warning: {warning}"
    yield ""
    yield f"Written to {folder}: {', '.join(name for name in outcome.files if not name.startswith('.'))}"
    yield RESEARCH_USE


def _series(outcome: DetectionOutcome) -> str:
    series = outcome.result.series
    name = str(series.get("series_description") or series.get("series_uid") or series.get("source") or "CT")
    depth = outcome.volume.shape[0]
    return f"{name}, {depth} slices of {outcome.volume.spacing_kji_mm[0]:.2f} mm"


def _table(candidates: Sequence[Candidate], volume: Volume, match: MatchResult | None) -> Iterator[str]:
    rows = [[*COLUMNS, *(["status"] if match is not None else [])]]
    for candidate in candidates:
        measured = candidate.measurements
        row = [
            str(candidate.id),
            f"{candidate.score:.3f}",
            f"{measured.diameter_mm:.1f} mm",
            measured.density,
            _malignancy(candidate),
            " ".join(f"{value:7.1f}" for value in candidate.center_lps),
            str(slice_number(candidate.center_lps, volume)),
        ]
        rows.append(row if match is None else [*row, match.status(candidate.id) or ""])
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def _malignancy(candidate: Candidate) -> str:
    if candidate.malignancy is None:
        return "-"
    baseline = candidate.malignancy_by_diameter
    return f"{candidate.malignancy:.2f} ({'-' if baseline is None else f'{baseline:.2f}'})"


def _comparison(match: MatchResult) -> str:
    found = len(match.references) - match.false_negatives
    return (
        f"Against the reference: {found} of {_count(len(match.references), 'nodule')} found, "
        f"{_count(match.false_positives, 'false positive')}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
