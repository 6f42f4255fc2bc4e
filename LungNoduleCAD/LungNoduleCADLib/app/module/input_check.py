"""The check of the input beside the user interface: on a long scan it takes longer than a click may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from ...errors import InputError
from ...scene.volumes import volume_from_node
from ...volume import Volume
from ..background import Background
from ..verdict import InputVerdict, check_input

POLL_MS = 30
FAULT = "The check of this volume failed; the Python console shows why. Please report this."


class InputCheck:
    """Checks one volume at a time and remembers its verdict until the volume changes.

    :param onDone: called when a verdict that was asked for is there.
    :param check: says what it thinks of a volume; called in a thread.
    """

    def __init__(self, onDone: Callable[[], None], check: Callable[[Volume], InputVerdict] = check_input) -> None:
        self._onDone, self._check = onDone, check
        self._subject: Any = None
        self._verdict: InputVerdict | None = None
        self._work: Background[InputVerdict] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.onTimer)

    def verdict(self, volumeNode: Any) -> InputVerdict | None:
        """What the check says; None while it works."""
        subject = _subject(volumeNode)
        if subject != self._subject:
            self._subject, self._verdict = subject, None
            try:
                volume = volume_from_node(volumeNode)
            except InputError as error:
                self._verdict = InputVerdict(refusal=str(error))
            else:
                self._work = Background(lambda: self._check(volume))
                self._timer.start()
        return self._verdict

    def close(self) -> None:
        """Wait for nothing any more."""
        self._timer.stop()

    def onTimer(self) -> None:
        """Called while the check works."""
        if self._work is not None and self._work.is_done:
            self._timer.stop()
            if self._verdict is None:
                self._verdict = self._work.answer(InputVerdict(refusal=FAULT))
            self._work = None
            self._onDone()


def _subject(volumeNode: Any) -> Any:
    """All that a verdict depends on."""
    image, origin, spacing = volumeNode.GetImageData(), volumeNode.GetOrigin(), volumeNode.GetSpacing()
    return volumeNode, volumeNode.GetName(), image.GetMTime() if image is not None else 0, origin, spacing
