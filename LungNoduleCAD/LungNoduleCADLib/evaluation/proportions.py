"""Shares of a count, with their interval."""

from __future__ import annotations

from scipy import stats

from .auc import Estimate
from .free_response import CONFIDENCE


def proportion(count: int, total: int) -> Estimate | None:
    """A share with its 95 % interval by Wilson (Journal of the American Statistical Association 22:209, 1927), which
    holds near 0 and 1 and for few cases; None of nothing."""
    if not total:
        return None
    interval = stats.binomtest(count, total).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(count / total, float(interval.low), float(interval.high))
