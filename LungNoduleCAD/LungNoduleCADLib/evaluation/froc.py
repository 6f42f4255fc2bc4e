"""Marks against nodules by the LUNA16 protocol (Setio et al., Medical Image Analysis 42, 2017).

Gives the same numbers as the challenge's own evaluation script; each of its habits that changes a figure is named where
it is followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..io.points import PointTable
from .free_response import Floats, FrocResult, Integers, Outcomes, free_response

MAXIMUM_MARKS = 100
"""Marks a scan that are evaluated."""

UNKNOWN_DIAMETER_MM = 10.0
"""Taken for a finding whose diameter is negative."""

NO_MARK = -1


@dataclass(frozen=True, eq=False)
class SubmissionMatch:
    """The outcomes of a submission, and which rows of its tables they are.

    :param nodule_row: (n,) row of the annotations; :param nodule_mark: (n,) row of the nodule's best mark, -1 without.
    :param false_mark: (m,) row of each false positive.
    """

    outcomes: Outcomes
    nodule_row: Integers
    nodule_mark: Integers
    false_mark: Integers


def froc(
    annotations: PointTable,
    excluded: PointTable,
    scans: Sequence[str],
    marks: PointTable,
    bootstrap: int = 0,
    seed: int = 0,
) -> FrocResult:
    """Evaluate a submission.

    :param annotations: nodules to be found; values are diameters in mm, negative where unknown.
    :param excluded: findings on which a mark is neither right nor wrong; likewise.
    :param scans: series UIDs to evaluate; what lies in other series is left out, and a series listed twice counts
        twice.
    :param marks: the submission; values are probabilities (any scale: only their order matters).
    :param bootstrap: resamples of the scans for the band; 0 for none. :param seed: of their generator.
    :raises InputError: when there is no scan, none of the scans has a nodule, or a probability is not finite.
    """
    return free_response(match_submission(annotations, excluded, scans, marks).outcomes, bootstrap, seed)


def match_submission(
    annotations: PointTable, excluded: PointTable, scans: Sequence[str], marks: PointTable
) -> SubmissionMatch:
    """Which nodules a submission hits, and which of its marks hit nothing; parameters as of `froc`.

    :raises InputError: when there is no scan, or a probability is not finite.
    """
    if not len(scans):
        raise InputError("The list of scans is empty; name the series to evaluate.")
    if not np.isfinite(marks.values).all():
        raise InputError("The submission holds a probability that is not finite; correct or remove that mark.")
    included_rows, excluded_rows, mark_rows = (_rows_by_series(t) for t in (annotations, excluded, marks))
    nothing = np.zeros(0, dtype=np.intp)
    unit = {series: n for n, series in enumerate(dict.fromkeys(scans))}
    by_series: dict[str, tuple[Integers, Integers, Integers]] = {}
    for series in unit:
        rows = _most_probable(mark_rows.get(series, nothing), marks.values)
        nodules = included_rows.get(series, nothing)
        hits = _hits(annotations, nodules, marks.lps[rows])
        free = ~hits.any(axis=0) & ~_hits(excluded, excluded_rows.get(series, nothing), marks.lps[rows]).any(axis=0)
        by_series[series] = nodules, _best(hits, rows, marks.values), rows[free]
    nodule_row, nodule_mark, false_mark = (
        np.concatenate([by_series[series][part] for series in scans]) for part in range(3)
    )
    units = np.array([unit[series] for series in scans], dtype=np.intp)
    found = nodule_mark != NO_MARK
    score = np.full(len(nodule_mark), -np.inf)
    score[found] = marks.values[nodule_mark[found]]
    outcomes = Outcomes(
        nodule_score=score,
        nodule_unit=np.repeat(units, [len(by_series[series][0]) for series in scans]),
        false_score=marks.values[false_mark],
        false_unit=np.repeat(units, [len(by_series[series][2]) for series in scans]),
        scans=len(scans),
        # A scan listed twice holds all its marks twice, and is drawn so: the challenge's script looks it up by its UID.
        listed=(units,),
    )
    return SubmissionMatch(outcomes, nodule_row, nodule_mark, false_mark)


def _rows_by_series(table: PointTable) -> dict[str, Integers]:
    if not len(table):
        return {}
    series, group = np.unique(table.series, return_inverse=True)
    order = np.argsort(group, kind="stable")
    pieces = np.split(order, np.cumsum(np.bincount(group))[:-1])
    return {str(uid): rows for uid, rows in zip(series, pieces, strict=True)}


def _most_probable(rows: Integers, probability: Floats) -> Integers:
    """At most `MAXIMUM_MARKS` of a scan's marks: those strictly above the next one, so that ties at the border all
    drop."""
    if len(rows) <= MAXIMUM_MARKS:
        return rows
    border = np.sort(probability[rows])[::-1][MAXIMUM_MARKS]
    return rows[probability[rows] > border]


def _hits(findings: PointTable, rows: Integers, points: Floats) -> NDArray[np.bool_]:
    """Bool (findings, points): whether the point lies strictly within the finding's radius."""
    diameter = np.where(findings.values[rows] < 0, UNKNOWN_DIAMETER_MM, findings.values[rows])
    squared = ((findings.lps[rows][:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
    return squared < ((diameter / 2) ** 2)[:, None]


def _best(hits: NDArray[np.bool_], rows: Integers, probability: Floats) -> Integers:
    """Row of the most probable mark on each nodule (nodules,), `NO_MARK` where none hits."""
    if not hits.shape[1]:
        return np.full(len(hits), NO_MARK, dtype=np.intp)
    best = np.where(hits, probability[rows], -np.inf).argmax(axis=1)
    return np.where(hits.any(axis=1), rows[best], NO_MARK)
