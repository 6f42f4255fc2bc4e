"""How far a run is, and how long it will still take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

STAGE_SHARES = {
    "preparing": 0.03,
    "starting": 0.08,
    "reading": 0.03,
    "lung mask": 0.10,
    "preprocessing": 0.08,
    "segmentation": 0.50,
    "grouping": 0.02,
    "classification": 0.10,
    "measurement": 0.04,
    "writing": 0.02,
}
"""Each stage's share of the progress bar. Only the bar's evenness hangs on it."""

EXPORT_SHARES = {
    "preparing": 0.10, "starting": 0.15, "reading": 0.15, "comparing": 0.15, "rendering": 0.35, "writing": 0.10,
}  # fmt: skip
"""Likewise of an export."""

LEAST_FRACTION = 0.10
LEAST_SECONDS = 3.0
"""Before this much of a run, its end cannot be foretold."""


@dataclass(frozen=True)
class Progress:
    """Where a run is. :param fraction: of the whole run, 0 to 1. :param seconds_left: None while unknown."""

    stage: str
    fraction: float
    seconds_left: float | None


class ProgressEstimator:
    """Turns a worker's (stage, fraction of the stage) into progress of the whole, which never goes back.

    :param shares: of the progress bar, by stage.
    """

    def __init__(self, clock: Callable[[], float] = monotonic, shares: Mapping[str, float] = STAGE_SHARES) -> None:
        self._clock, self._started = clock, clock()
        self._shares = shares
        self._stage, self._fraction = next(iter(shares)), 0.0

    def report(self, stage: str, fraction: float) -> None:
        """Take a worker's report; a stage that is not known leaves the fraction as it is."""
        self._stage = stage
        if stage in self._shares:
            names = list(self._shares)
            before = sum(self._shares[name] for name in names[: names.index(stage)])
            whole = before + self._shares[stage] * min(max(fraction, 0.0), 1.0)
            self._fraction = max(self._fraction, min(whole, 1.0))

    def now(self) -> Progress:
        """Progress at this moment."""
        elapsed = self._clock() - self._started
        left = None
        if self._fraction >= LEAST_FRACTION and elapsed >= LEAST_SECONDS:
            left = elapsed * (1 - self._fraction) / self._fraction
        return Progress(self._stage, self._fraction, left)
