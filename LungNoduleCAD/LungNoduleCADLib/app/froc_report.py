"""`lungnodulecad evaluate froc`: a submission against LUNA16-style tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..evaluation.free_response import OPERATING_POINTS, FrocResult
from ..evaluation.froc import froc
from ..io.points import PointTable, read_points, read_series_list


def evaluate_files(
    annotations: Path, scans: Path, submission: Path, excluded: Path | None = None, bootstrap: int = 0, seed: int = 0
) -> FrocResult:
    """Read the tables and evaluate them by the LUNA16 protocol.

    :raises InputError: when a table cannot be read or holds nothing to evaluate.
    """
    nothing = PointTable(np.zeros(0, dtype=np.str_), np.zeros((0, 3)), np.zeros(0))
    return froc(
        read_points(annotations, "diameter_mm"),
        nothing if excluded is None else read_points(excluded, "diameter_mm"),
        read_series_list(scans),
        read_points(submission, "probability"),
        bootstrap=bootstrap,
        seed=seed,
    )


def describe_froc(result: FrocResult) -> str:
    """The figures as text."""
    return "\n".join(_lines(result))


def _lines(result: FrocResult) -> Iterator[str]:
    yield f"{result.scans} scans: {result.tp} nodules hit, {result.fn} missed, {result.fp} false positives"
    for limit, sensitivity in zip(OPERATING_POINTS, result.sensitivity, strict=True):
        yield f"  sensitivity {sensitivity:.6f} at {limit:g} false positives a scan"
    interval = "" if result.band is None else f" (95 % interval {result.band.cpm[0]:.4f} to {result.band.cpm[1]:.4f})"
    yield f"CPM {result.cpm:.6f}{interval}"
