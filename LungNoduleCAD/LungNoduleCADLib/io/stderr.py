"""Keep the text that C and C++ libraries print away from the user's terminal."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Send what is written to file descriptor 2 nowhere while the block runs.

    MetaIO and niftilib print to it directly, where no switch of ITK reaches them, and what they say ("data not read
    completely", memory addresses) repeats less clearly the error we raise. The descriptor belongs to the whole process,
    so keep the block short; Python's own `sys.stderr` is silenced with it.
    """
    with _ONE_AT_A_TIME:
        try:
            saved = os.dup(2)
        except OSError:  # a windowed program on Windows has no such descriptor: nothing to silence
            yield
            return
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(sink)
