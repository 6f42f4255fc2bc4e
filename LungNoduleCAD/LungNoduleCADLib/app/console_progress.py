"""Progress of a run on the terminal, or as JSON lines for a program that started it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TextIO

ProgressCallback = Callable[[str, float], None]
"""Called with a stage's name and how much of that stage is done, 0 to 1."""

STYLES = ("bar", "json", "none")
BAR_LENGTH = 24
SHORTEST_INTERVAL_S = 0.1
"""Between two reports of one stage: a terminal or a widget needs no more."""


def progress_reporter(style: str, stream: TextIO | None = None) -> ProgressCallback:
    """What to call with each stage and its fraction.

    - json: one object a line, `{"stage", "fraction", "elapsed_s"}`, on standard output.
    - bar: a bar that grows, on standard error; a line for each finished stage where that is no terminal.
    - none: nothing.
    """
    if style == "json":
        return _Throttled(_JsonLines(stream or sys.stdout))
    if style == "bar":
        stream = stream or sys.stderr
        return _Throttled(_Bar(stream) if stream.isatty() else _StageLines(stream))
    return lambda stage, fraction: None


class _Throttled:
    """Passes on the start and the end of every stage, and in between no more than is of use."""

    def __init__(self, show: Callable[[str, float, float], None]) -> None:
        self._show = show
        self._start = time.monotonic()
        self._stage, self._last = "", 0.0

    def __call__(self, stage: str, fraction: float) -> None:
        now = time.monotonic()
        if stage == self._stage and fraction < 1 and now - self._last < SHORTEST_INTERVAL_S:
            return
        self._stage, self._last = stage, now
        self._show(stage, fraction, now - self._start)


class _JsonLines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, stage: str, fraction: float, elapsed_s: float) -> None:
        line = {"stage": stage, "fraction": round(fraction, 4), "elapsed_s": round(elapsed_s, 3)}
        print(json.dumps(line), file=self._stream, flush=True)


class _Bar:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, stage: str, fraction: float, elapsed_s: float) -> None:
        done = round(fraction * BAR_LENGTH)
        bar = "#" * done + "." * (BAR_LENGTH - done)
        end = "\n" if fraction >= 1 else ""
        print(f"\r{stage:<16} [{bar}] {fraction:4.0%} {elapsed_s:6.1f} s", end=end, file=self._stream, flush=True)


class _StageLines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, stage: str, fraction: float, elapsed_s: float) -> None:
        if fraction >= 1:
            print(f"{elapsed_s:6.1f} s  {stage}", file=self._stream, flush=True)
