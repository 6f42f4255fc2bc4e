"""What a user asked for, done with one dialog when it cannot be."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import slicer
from slicer.i18n import tr as _

from ...errors import LungNoduleCADError
from ...scene.detections import DetectionNodes


class Said(NamedTuple):
    """What follows from a change.

    :param message: for the user. :param select: the finding to select; None keeps the selection.
    """

    message: str = ""
    select: str | None = None


Changer = Callable[[Callable[[DetectionNodes], Said | None]], bool]
"""Changes the review of a detection, shows what has changed, and tells whether it was possible."""


DOUBLE_CLICK_S = 0.5
"""A second click that comes sooner is half of a double click."""


class DoubleClickGuard:
    """For a button that starts something and then cancels it: who double-clicks it wants to start."""

    def __init__(self) -> None:
        self._started_s: float | None = None

    def start(self) -> None:
        """Called when the button has got its other meaning."""
        self._started_s = time.monotonic()

    def isSecondClick(self) -> bool:
        """Whether a click now belongs to the one that has started it."""
        return self._started_s is not None and time.monotonic() - self._started_s < DOUBLE_CLICK_S


def perform(failure: str, action: Callable[[], Any]) -> bool:
    """Do it; whether it was done.

    :param failure: what is said before an error that nobody has foreseen.
    """
    refusal = ""
    with slicer.util.tryWithErrorDisplay(failure, waitCursor=True):
        try:
            action()
        except LungNoduleCADError as error:
            refusal = str(error)
    if refusal:
        slicer.util.errorDisplay(refusal, windowTitle=_("Lung Nodule CAD"))
    return not refusal


def confirm(question: str) -> bool:
    """Ask before something that cannot be taken back."""
    return bool(slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Lung Nodule CAD")))
