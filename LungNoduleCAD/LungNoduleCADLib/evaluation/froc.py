"""Free-response ROC of a detector by the LUNA16 protocol (Setio et al., Medical Image Analysis 42, 2017).

Gives the same numbers as the challenge's own evaluation script; each of its habits that changes a figure is named where
it is followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..io.points import PointTable

OPERATING_POINTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per scan at which the sensitivity is read."""

MAXIMUM_MARKS = 100
"""Marks a scan that are evaluated."""

UNKNOWN_DIAMETER_MM = 10.0
"""Taken for a finding whose diameter is negative."""

BAND_POINTS = 10_000
CONFIDENCE = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrocBand:
    """Bootstrap band of the curve: 95 % of the resampled sensitivities lie within it.

    :param fp_per_scan: (10000,), from 0.125 to 8. :param mean, lower, upper: sensitivity there.
    :param cpm: 95 % interval of the CPM over the same resamples.
    """

    fp_per_scan: Floats
    mean: Floats
    lower: Floats
    upper: Floats
    cpm: tuple[float, float]


@dataclass(frozen=True, eq=False)
class FrocCurve:
    """Corners of the curve, from (0, 0) on: false positives per scan, sensitivity, and the least probability that
    counts."""

    fp_per_scan: Floats
    sensitivity: Floats
    threshold: Floats

    def at(self, fp_per_scan: Sequence[float] | Floats) -> Floats:
        """Sensitivity by linear interpolation; beyond the curve's end, its last value."""
        return np.interp(fp_per_scan, self.fp_per_scan, self.sensitivity)


@dataclass(frozen=True, eq=False)
class FrocResult:
    """What the protocol reports.

    :param sensitivity: at the seven `OPERATING_POINTS`; :param cpm: their mean (competition performance metric).
    :param tp: nodules hit; :param fn: nodules missed; :param fp: marks that hit neither a nodule nor an excluded
        finding.
    :param scans: scans evaluated, repeated ones as often as listed.
    """

    sensitivity: Floats
    cpm: float
    tp: int
    fp: int
    fn: int
    scans: int
    curve: FrocCurve
    band: FrocBand | None = None


@dataclass(frozen=True, eq=False)
class _Outcomes:
    """What enters the curve: a hit nodule with its best probability, or a mark that hit nothing."""

    is_nodule: NDArray[np.bool_]
    probability: Floats
    scan: NDArray[np.intp]
    """Position of its scan in the list of scans."""
    nodules: NDArray[np.intp]
    """Included nodules of each scan, hit or missed."""


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
    :raises InputError: when there is no scan, or none of the scans has a nodule.
    """
    if not len(scans):
        raise InputError("The list of scans is empty; name the series to evaluate.")
    outcomes = _outcomes(annotations, excluded, scans, marks)
    lesions = int(outcomes.nodules.sum())
    if not lesions:
        raise InputError(
            "None of the listed scans has an annotated nodule, so there is no sensitivity; check both lists."
        )
    curve = _curve(outcomes, np.ones(len(scans)))
    sensitivity = curve.at(OPERATING_POINTS)
    detected = int(outcomes.is_nodule.sum())
    return FrocResult(
        sensitivity=sensitivity,
        cpm=float(sensitivity.mean()),
        tp=detected,
        fp=len(outcomes.is_nodule) - detected,
        fn=lesions - detected,
        scans=len(scans),
        curve=curve,
        band=_band(outcomes, len(scans), bootstrap, seed) if bootstrap else None,
    )


def roc_points(is_positive: NDArray[np.bool_], score: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Counts of false and of true positives at each distinct score, falling, without the points that lie on a straight
    run.

    The same points as `sklearn.metrics.roc_curve` (with `drop_intermediate`) before it divides by the totals; kept in
    numpy so that the runtime needs no scikit-learn.

    :returns: false positives, true positives, thresholds; the first point is (0, 0, inf).
    """
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], is_positive[order]
    counted = weight[order]
    last = np.r_[np.flatnonzero(np.diff(score)), len(score) - 1] if len(score) else np.zeros(0, dtype=np.intp)
    true = np.cumsum(positive * counted)[last]
    false = np.cumsum(~positive * counted)[last]
    threshold = score[last]
    if len(last) > 2:
        corner = np.r_[True, (np.diff(false, 2) != 0) | (np.diff(true, 2) != 0), True]
        false, true, threshold = false[corner], true[corner], threshold[corner]
    return np.r_[0.0, false], np.r_[0.0, true], np.r_[np.inf, threshold]


def _curve(outcomes: _Outcomes, times: Floats) -> FrocCurve:
    """The curve when each scan counts `times` (scans,): once each, or as often as a resample drew it."""
    drawn = times[outcomes.scan]
    kept = drawn > 0
    false, true, threshold = roc_points(outcomes.is_nodule[kept], outcomes.probability[kept], drawn[kept])
    lesions = float((outcomes.nodules * times).sum())
    return FrocCurve(*_rates(false, true, int(times.sum()), lesions), threshold)


def _rates(false: Floats, true: Floats, scans: int, lesions: float) -> tuple[Floats, Floats]:
    """Counts to false positives per scan and sensitivity.

    By way of rates, as the challenge's script does: where a curve rises steeply exactly at an operating point, the
    rounding of this very order of operations decides which end is read.
    """
    false_rate = false / false[-1] if false[-1] > 0 else np.zeros_like(false)
    true_rate = true / true[-1] if true[-1] > 0 else np.zeros_like(true)
    return false_rate * false[-1] / scans, true_rate * true[-1] / lesions


def _outcomes(annotations: PointTable, excluded: PointTable, scans: Sequence[str], marks: PointTable) -> _Outcomes:
    included_rows, excluded_rows, mark_rows = (_rows_by_series(t) for t in (annotations, excluded, marks))
    nothing = np.zeros(0, dtype=np.intp)
    by_series: dict[str, tuple[Floats, Floats, int]] = {}
    for series in dict.fromkeys(scans):
        rows = _most_probable(mark_rows.get(series, nothing), marks.values)
        nodules = included_rows.get(series, nothing)
        hits = _hits(annotations, nodules, marks.lps[rows])
        free = ~hits.any(axis=0) & ~_hits(excluded, excluded_rows.get(series, nothing), marks.lps[rows]).any(axis=0)
        probability = marks.values[rows]
        best = np.where(hits, probability, -np.inf).max(axis=1, initial=-np.inf)[hits.any(axis=1)]
        by_series[series] = best, probability[free], len(nodules)
    parts = [by_series[series] for series in scans]
    pairs = [part for best, false, _ in parts for part in (best, false)]
    lengths = [len(part) for part in pairs]
    probability = np.concatenate(pairs)
    # Sorted once here, each resample's own sort finds its data in order.
    order = np.argsort(-probability, kind="stable")
    return _Outcomes(
        is_nodule=np.repeat(np.tile([True, False], len(parts)), lengths)[order],
        probability=probability[order],
        scan=np.repeat(np.repeat(np.arange(len(parts)), 2), lengths)[order],
        nodules=np.array([count for _, _, count in parts], dtype=np.intp),
    )


def _rows_by_series(table: PointTable) -> dict[str, NDArray[np.intp]]:
    if not len(table):
        return {}
    series, group = np.unique(table.series, return_inverse=True)
    order = np.argsort(group, kind="stable")
    pieces = np.split(order, np.cumsum(np.bincount(group))[:-1])
    return {str(uid): rows for uid, rows in zip(series, pieces, strict=True)}


def _most_probable(rows: NDArray[np.intp], probability: Floats) -> NDArray[np.intp]:
    """At most `MAXIMUM_MARKS` of a scan's marks: those strictly above the next one, so that ties at the border all
    drop."""
    if len(rows) <= MAXIMUM_MARKS:
        return rows
    border = np.sort(probability[rows])[::-1][MAXIMUM_MARKS]
    return rows[probability[rows] > border]


def _hits(findings: PointTable, rows: NDArray[np.intp], points: Floats) -> NDArray[np.bool_]:
    """Bool (findings, points): whether the point lies strictly within the finding's radius."""
    diameter = np.where(findings.values[rows] < 0, UNKNOWN_DIAMETER_MM, findings.values[rows])
    squared = ((findings.lps[rows][:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
    return squared < ((diameter / 2) ** 2)[:, None]


def _band(outcomes: _Outcomes, scans: int, samples: int, seed: int) -> FrocBand:
    grid = np.linspace(OPERATING_POINTS[0], OPERATING_POINTS[-1], BAND_POINTS)
    # float32, as in the challenge's script: half the memory, and far below the band's own uncertainty.
    sensitivity = np.empty((samples, BAND_POINTS), dtype=np.float32)
    cpm = np.empty(samples)
    for n, curve in enumerate(_resampled_curves(outcomes, scans, samples, seed)):
        sensitivity[n] = curve.at(grid)
        cpm[n] = curve.at(OPERATING_POINTS).mean()
    mean = sensitivity.mean(axis=0, dtype=np.float64)
    tail = (1 - CONFIDENCE) / 2
    low, high = int(tail * samples), min(int((1 - tail) * samples), samples - 1)
    sensitivity.partition((low, high), axis=0)
    cpm.sort()
    lower, upper = (sensitivity[n].astype(np.float64) for n in (low, high))
    return FrocBand(grid, mean, lower, upper, (float(cpm[low]), float(cpm[high])))


def _resampled_curves(outcomes: _Outcomes, scans: int, samples: int, seed: int) -> Iterator[FrocCurve]:
    """Curves of as many scans drawn with replacement; a draw without any nodule has no sensitivity and is drawn
    again."""
    generator = np.random.default_rng(seed)
    for _ in range(samples):
        times = np.zeros(scans)
        while not (times * outcomes.nodules).any():
            times = np.bincount(generator.integers(scans, size=scans), minlength=scans).astype(np.float64)
        yield _curve(outcomes, times)
