"""Whether a score of 0.8 is right eight times in ten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .auc import Estimate
from .free_response import Floats
from .libraries import sklearn_metrics
from .proportions import proportion

BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """The cases whose score lies in [low, high); the last bin holds 1 too.

    :param mean_score: what they promise. :param observed: the share of positives among them, with Wilson's interval.
    """

    low: float
    high: float
    count: int
    mean_score: float
    observed: Estimate


@dataclass(frozen=True)
class Calibration:
    """Agreement of scores, as probabilities, with what happened.

    :param brier: mean squared difference of score and class, 0 at best (Brier, Monthly Weather Review 78:1, 1950).
    :param brier_of_prevalence: what one gets who always says the share of positives.
    :param expected_error: mean difference of promise and observation over the bins, weighted by their cases (ECE;
        Naeini et al., AAAI 2015).
    :param bins: those that hold cases.
    """

    brier: float
    brier_of_prevalence: float
    expected_error: float
    bins: tuple[ReliabilityBin, ...]


def calibration(positive: NDArray[np.bool_], score: Floats, bins: int = BINS) -> Calibration:
    """Brier score, expected calibration error and the reliability of equally wide bins.

    :param positive, score: (n,) class and probability of each case.
    :raises InputError: when a score is no probability, or there is none.
    """
    if not len(score) or not ((score >= 0) & (score <= 1)).all():
        raise InputError("The scores are no probabilities from 0 to 1, so they have no calibration; leave it out.")
    place = np.minimum((score * bins).astype(int), bins - 1)
    found = []
    for n in np.unique(place):
        inside = place == n
        count, hits = int(inside.sum()), int(positive[inside].sum())
        observed = proportion(hits, count)
        assert observed is not None  # a bin that np.unique names holds cases
        found.append(ReliabilityBin(n / bins, (n + 1) / bins, count, float(score[inside].mean()), observed))
    prevalence = float(positive.mean())
    return Calibration(
        brier=float(sklearn_metrics().brier_score_loss(positive, score, pos_label=True)),
        brier_of_prevalence=prevalence * (1 - prevalence),
        expected_error=sum(b.count * abs(b.mean_score - b.observed.value) for b in found) / len(score),
        bins=tuple(found),
    )
