"""What the free-response curve hides: sizes, types, thresholds, and the nodules that were missed (A20, B12)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from ..findings import DensityType
from .auc import Estimate
from .data_set import DataSet, Nodule
from .free_response import OPERATING_POINTS, Floats, Outcomes, band_positions, free_response
from .proportions import proportion

SIZE_LIMITS_MM = (0.0, 3.0, 4.0, 6.0, 8.0, 15.0, 30.0, np.inf)
"""Limits of the size bands: those at which Lung-RADS and the Fleischner Society change what is to be done, and the 3 mm
from which LUNA16 and LIDC-IDRI count a nodule."""

THRESHOLDS = tuple(n / 100 for n in (1, 2, *range(5, 100, 5)))
"""Rows of an operating table of probabilities."""


@dataclass(frozen=True, eq=False)
class Stratum:
    """The nodules of one size or type.

    :param found: share at or above the threshold, with Wilson's interval. :param sensitivity: at the seven
        `OPERATING_POINTS`, against all false marks of the set; :param cpm: their mean.
    :param without_mark: nodules that have no mark at any threshold.
    """

    name: str
    nodules: int
    without_mark: int
    found: Estimate
    sensitivity: Floats
    cpm: float


@dataclass(frozen=True)
class OperatingRow:
    """What a threshold gives, with bootstrap intervals over the scans."""

    threshold: float
    sensitivity: Estimate
    fp_per_scan: Estimate


@dataclass(frozen=True)
class Missed:
    """A nodule that no mark at or above the threshold hits.

    :param index: its place in the set. :param score: of its best mark, None when it has none.
    """

    index: int
    nodule: Nodule
    score: float | None


def by_size(data: DataSet, threshold: float, limits_mm: Sequence[float] = SIZE_LIMITS_MM) -> list[Stratum]:
    """One row for each size band that has nodules; the last for those of unknown size."""
    diameters = data.diameters_mm
    strata = []
    for low, high in itertools.pairwise(limits_mm):
        strata += _stratum(data.outcomes, _band_name(low, high), (diameters >= low) & (diameters < high), threshold)
    return strata + _stratum(data.outcomes, "unknown size", np.isnan(diameters), threshold)


def by_type(data: DataSet, threshold: float) -> list[Stratum]:
    """One row for each density type that has nodules; the last for those of unknown type."""
    strata = []
    for name in (*get_args(DensityType), None):
        chosen = np.array([n.density == name for n in data.nodules], dtype=bool)
        strata += _stratum(data.outcomes, name or "unknown type", chosen, threshold)
    return strata


def operating_table(
    outcomes: Outcomes, thresholds: Sequence[float], bootstrap: int = 1000, seed: int = 0
) -> list[OperatingRow]:
    """Sensitivity and false positives per scan at each threshold; a mark at the threshold counts.

    :param bootstrap: resamples of the scans for the intervals; 0 for none. :param seed: of their generator.
    """
    limits = np.asarray(thresholds, dtype=np.float64)
    units = outcomes.units
    nodules = np.bincount(outcomes.nodule_unit, minlength=units)
    hits = _counts_by_unit(outcomes.nodule_score, outcomes.nodule_unit, limits, units)
    false = _counts_by_unit(outcomes.false_score, outcomes.false_unit, limits, units)
    draws = list(outcomes.resamples(bootstrap, seed))
    times = np.array(draws).reshape(len(draws), units)
    sensitivity = np.sort((times @ hits) / (times @ nodules)[:, None], axis=0)
    fp_per_scan = np.sort(times @ false, axis=0) / outcomes.scans
    return [
        OperatingRow(
            float(threshold),
            _with_band(outcomes.sensitivity(threshold), sensitivity[:, n]),
            _with_band(outcomes.fp_per_scan(threshold), fp_per_scan[:, n]),
        )
        for n, threshold in enumerate(limits)
    ]


def table_thresholds(outcomes: Outcomes, *further: float) -> list[float]:
    """Thresholds of an operating table, rising: round ones for probabilities; for scores of another scale those that
    the curve has at the seven `OPERATING_POINTS`.

    :param further: others to include.
    """
    scores = np.concatenate((outcomes.nodule_score[outcomes.found], outcomes.false_score))
    if len(scores) and scores.min() >= 0 and scores.max() <= 1:
        return sorted({*THRESHOLDS, *further})
    curve = free_response(outcomes).curve
    reached = [np.searchsorted(curve.fp_per_scan, point, side="right") - 1 for point in OPERATING_POINTS]
    return sorted({*(float(curve.threshold[n]) for n in reached if np.isfinite(curve.threshold[n])), *further})


def missed_nodules(data: DataSet, threshold: float) -> list[Missed]:
    """The false negatives at a threshold: those without any mark first, then by rising score."""
    score = data.outcomes.nodule_score
    return [
        Missed(int(n), data.nodules[n], float(score[n]) if np.isfinite(score[n]) else None)
        for n in np.argsort(score, kind="stable")
        if score[n] < threshold
    ]


def false_marks_by_case(data: DataSet, threshold: float) -> list[tuple[str, int]]:
    """How many false marks at or above a threshold each scan has that has any, the worst first."""
    reached = np.flatnonzero(data.outcomes.false_score >= threshold)
    return Counter(data.false_marks[n].case for n in reached).most_common()


def _band_name(low: float, high: float) -> str:
    if not np.isfinite(high):
        return f"{low:g} mm and more"
    return f"{low:g} to {high:g} mm" if low else f"below {high:g} mm"


def _stratum(outcomes: Outcomes, name: str, chosen: np.ndarray, threshold: float) -> list[Stratum]:
    """A row, or none where no nodule is chosen."""
    count = int(chosen.sum())
    own = outcomes.of_nodules(chosen)
    found = proportion(int((own.nodule_score >= threshold).sum()), count)
    if found is None:
        return []
    result = free_response(own)
    return [Stratum(name, count, result.fn, found, result.sensitivity, result.cpm)]


def _counts_by_unit(score: Floats, unit: np.ndarray, limits: Floats, units: int) -> Floats:
    """(units, thresholds): how many scores of each unit reach each threshold."""
    counts = np.zeros((units, len(limits)))
    for n, limit in enumerate(limits):
        counts[:, n] = np.bincount(unit[score >= limit], minlength=units)
    return counts


def _with_band(value: float, ordered: Floats) -> Estimate:
    if not len(ordered):
        return Estimate(value)
    low, high = band_positions(len(ordered))
    return Estimate(value, float(ordered[low]), float(ordered[high]))
