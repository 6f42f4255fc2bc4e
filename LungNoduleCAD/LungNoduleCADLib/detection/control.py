"""Progress and cancel of one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGES = ("lung mask", "preprocessing", "segmentation", "grouping", "classification", "measurement")
"""The stages of a detection, in order, as progress reports name them."""

ProgressCallback = Callable[[str, float], None]
"""Called with a stage's name and how much of that stage is done, 0 to 1."""


class RunControl:
    """Passes progress on, keeps the stages' times, and stops the run where the caller asks for it.

    :param progress: called at the start and end of each stage and between any two batches.
    :param cancelled: asked at the same moments; when it returns True the run ends in `Cancelled`.
    """

    def __init__(self, progress: ProgressCallback | None = None, cancelled: Callable[[], bool] | None = None) -> None:
        self._progress = progress
        self._cancelled = cancelled
        self.timings_s: dict[str, float] = {}

    def report(self, stage: str, fraction: float) -> None:
        """:raises Cancelled: when the caller asked to stop."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled
        if self._progress is not None:
            self._progress(stage, min(max(fraction, 0.0), 1.0))

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        """Time a stage; yields the function that reports its fraction."""
        started = time.perf_counter()
        self.report(name, 0.0)
        yield lambda fraction: self.report(name, fraction)
        self.timings_s[name] = self.timings_s.get(name, 0.0) + time.perf_counter() - started
        self.report(name, 1.0)
