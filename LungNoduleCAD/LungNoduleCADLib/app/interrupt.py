"""Ctrl-C and a polite kill stop a run cleanly: what is unfinished is removed on the way out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ..errors import Cancelled

STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Cancelled):
    """A signal stopped the run.

    :param signal_number: which one; the shell's exit code for it is 128 more.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__()
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after a kill."""
        return 128 + self.signal_number


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Stopped`, raised once; later ones are ignored while things are put away.

    Does nothing outside the main thread, where Python delivers no signals.

    :raises Stopped: from inside the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        # KeyboardInterrupt and not an Exception of our own: no library swallows it.
        if not received:
            received.append(number)
            raise KeyboardInterrupt

    former = {number: signal.signal(number, stop) for number in STOPPING_SIGNALS}
    try:
        yield
    except KeyboardInterrupt as error:
        raise Stopped(received[0] if received else signal.SIGINT) from error
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
