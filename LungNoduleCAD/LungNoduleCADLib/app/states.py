"""The states of the Slicer module. What each allows is decided here; how it looks, in the panel's `updateGui`."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """What the module is doing, or waiting for."""

    NO_INPUT = "no input"
    CHECKING = "checking the input"
    REFUSED = "input refused"
    READY = "ready"
    RUNNING = "running"
    CANCELLING = "cancelling"
    FAILED = "failed"
    FINISHED = "finished"

    @property
    def is_busy(self) -> bool:
        """A worker is alive: inputs are locked, progress is shown."""
        return self in (State.RUNNING, State.CANCELLING)

    @property
    def can_detect(self) -> bool:
        """Detection may be started."""
        return self in (State.READY, State.FAILED, State.FINISHED)

    @property
    def can_cancel(self) -> bool:
        """There is something to cancel that is not being cancelled yet."""
        return self is State.RUNNING
