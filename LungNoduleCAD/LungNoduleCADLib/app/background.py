"""A slow question asked beside the user interface."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
D = TypeVar("D")


class Background(Generic[T]):
    """Calls a function in a thread; the user interface looks whether the answer is there."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._answer: list[T] = []
        self._thread = threading.Thread(target=lambda: self._answer.append(function()), daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether the function has returned or failed."""
        return not self._thread.is_alive()

    def answer(self, otherwise: D) -> T | D:
        """What the function returned, or `otherwise` while it runs and when it failed."""
        return self._answer[0] if self._answer else otherwise
