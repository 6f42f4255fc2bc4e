"""Area under the ROC curve with an interval, and two scores compared on the same cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..errors import InputError
from .free_response import Floats, Integers, band_positions

FEWEST_FOR_VARIANCE = 2
"""Cases of each class that DeLong's variance needs."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; no interval where none could be computed."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class AucComparison:
    """Two scores of the same cases.

    :param first, second: their areas. :param difference: first minus second, over the same resamples.
    :param p_value: of no difference, two-sided (DeLong et al., Biometrics 44:837, 1988); None with fewer than two cases
        of a class, or where the variance is 0 and the areas differ.
    """

    first: Estimate
    second: Estimate
    difference: Estimate
    p_value: float | None


@dataclass(frozen=True, eq=False)
class Resampling:
    """How a bootstrap draws cases.

    :param unit: (n,) what each case is drawn with, such as its patient, numbered from 0.
    :param listed: the units, as often as they are listed; of different kinds in an array each, drawn apart.
    :param samples: how many resamples; 0 for no interval. :param seed: of their generator.
    """

    unit: Integers
    listed: tuple[Integers, ...]
    samples: int = 1000
    seed: int = 0

    @classmethod
    def of_units(cls, unit: Integers, samples: int = 1000, seed: int = 0) -> Resampling:
        """Draws from all the units that the cases have, alike."""
        return cls(unit, (np.unique(unit),), samples, seed)

    def draws(self, positive: NDArray[np.bool_]) -> Iterator[Floats]:
        """How often each case counts (n,) in each resample; one without both classes is drawn again. No resample where
        a single unit is all there is to draw from: it has no spread."""
        if all(len(np.unique(part)) < 2 for part in self.listed):
            return
        generator = np.random.default_rng(self.seed)
        units = 1 + max(int(part.max()) for part in self.listed)
        for _ in range(self.samples):
            times = np.zeros(len(self.unit))
            while not ((times * positive).any() and (times * ~positive).any()):
                drawn = [part[generator.integers(len(part), size=len(part))] for part in self.listed]
                times = np.bincount(np.concatenate(drawn), minlength=units)[self.unit].astype(np.float64)
            yield times


def roc_auc(positive: NDArray[np.bool_], score: Floats, resampling: Resampling | None = None) -> Estimate:
    """Area under the ROC curve; ties count half.

    :param positive, score: (n,) class and score of each case.
    :param resampling: for the interval; None for none.
    :raises InputError: when a class is missing.
    """
    check_both_classes(positive)
    ranked = _Ranked(positive, score)
    times = [] if resampling is None else resampling.draws(positive)
    return _estimate(ranked.auc(np.ones(len(positive))), np.array([ranked.auc(t) for t in times]))


def compare_auc(
    positive: NDArray[np.bool_],
    first: Floats,
    second: Floats,
    resampling: Resampling | None = None,
) -> AucComparison:
    """Whether one score tells the classes apart better than another on the same cases; parameters as of `roc_auc`."""
    check_both_classes(positive)
    ranked = [_Ranked(positive, score) for score in (first, second)]
    values = [r.auc(np.ones(len(positive))) for r in ranked]
    times = [] if resampling is None else resampling.draws(positive)
    areas = np.array([[r.auc(t) for r in ranked] for t in times]).reshape(-1, 2)
    return AucComparison(
        first=_estimate(values[0], areas[:, 0]),
        second=_estimate(values[1], areas[:, 1]),
        difference=_estimate(values[0] - values[1], areas[:, 0] - areas[:, 1]),
        p_value=_delong_p(positive, np.stack((first, second))),
    )


def delong(positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Areas (k,) and their covariance (k, k) of k scores (k, n) of the same cases, by DeLong et al. 1988 in the fast
    form of Sun and Xu (IEEE Signal Processing Letters 21:1389, 2014).

    :raises InputError: with fewer than two cases of a class.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < FEWEST_FOR_VARIANCE:
        raise InputError("There are fewer than two cases of a class, so the area has no variance; evaluate more cases.")
    together = stats.rankdata(scores, axis=1)
    among_positive = stats.rankdata(scores[:, positive], axis=1)
    among_negative = stats.rankdata(scores[:, ~positive], axis=1)
    of_positive = (together[:, positive] - among_positive) / n
    of_negative = 1 - (together[:, ~positive] - among_negative) / m
    covariance = np.atleast_2d(np.cov(of_positive)) / m + np.atleast_2d(np.cov(of_negative)) / n
    return of_positive.mean(axis=1), covariance


def check_both_classes(positive: NDArray[np.bool_]) -> None:
    """:raises InputError: when all cases are of one class, or there is none."""
    if not positive.any() or positive.all():
        missing = "positive" if not positive.any() else "negative"
        raise InputError(f"There is no {missing} case, so nothing can be told apart; evaluate cases of both classes.")


class _Ranked:
    """Cases sorted once by score, so that each resample's area costs a few sums."""

    def __init__(self, positive: NDArray[np.bool_], score: Floats) -> None:
        _, self._tie = np.unique(score, return_inverse=True)
        self._positive = positive

    def auc(self, times: Floats) -> float:
        """The area when each case counts `times` (n,)."""
        positives = np.bincount(self._tie, weights=times * self._positive)
        negatives = np.bincount(self._tie, weights=times * ~self._positive)
        below = np.cumsum(negatives) - negatives
        return float((positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum()))


def _estimate(value: float, resampled: Floats) -> Estimate:
    if not len(resampled):
        return Estimate(value)
    low, high = band_positions(len(resampled))
    ordered = np.sort(resampled)
    return Estimate(value, float(ordered[low]), float(ordered[high]))


def _delong_p(positive: NDArray[np.bool_], scores: Floats) -> float | None:
    if min(int(positive.sum()), int((~positive).sum())) < FEWEST_FOR_VARIANCE:
        return None
    areas, covariance = delong(positive, scores)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    difference = float(areas[0] - areas[1])
    if variance <= 0:
        return 1.0 if difference == 0 else None
    return float(2 * stats.norm.sf(abs(difference) / np.sqrt(variance)))
