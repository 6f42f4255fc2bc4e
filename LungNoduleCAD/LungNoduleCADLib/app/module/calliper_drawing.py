"""Drawing two lines by clicks in the slice views, one after the other, in Slicer's own place mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
import slicer
from slicer.util import VTKObservationMixin

from ...review.state import Callipers
from ...scene.callipers import add_line, ends_of, hide_length


class CalliperDrawing(VTKObservationMixin):
    """Lets the user draw a long and a short axis.

    :param onNext: called before each line, with its number, 0 or 1.
    :param onEnded: called with the two lines, LPS mm in the scan's own coordinates; with None when the user gave up.
    """

    def __init__(self, onNext: Callable[[int], None], onEnded: Callable[[Callipers | None], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._onNext, self._onEnded = onNext, onEnded
        self._volumeNode: Any = None
        self._names: Sequence[str] = ()
        self._lines: list[Any] = []
        # Slicer is in the midst of placing when it tells of it: what follows waits until it is through.
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self.onSettled)

    @property
    def isOn(self) -> bool:
        """Whether the next clicks draw."""
        return bool(self._lines)

    def start(self, volumeNode: Any, names: Sequence[str]) -> None:
        """Begin with the first line.

        :param names: of the two.
        """
        self.stop()
        self._volumeNode, self._names = volumeNode, names
        interaction = _application().GetInteractionNode()
        self.addObserver(interaction, interaction.InteractionModeChangedEvent, self.onChanged)
        self._drawNext()

    def stop(self) -> None:
        """End it, if it is on, without a word; the lines go."""
        if not self._lines:
            return
        self._soon.stop()
        self.removeObservers()
        lines, self._lines = self._lines, []
        interaction = _application().GetInteractionNode()
        if interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        for line in lines:
            slicer.mrmlScene.RemoveNode(line)

    def onChanged(self, caller: Any, event: str) -> None:
        """Called when an end was placed, or clicks mean something else."""
        self._soon.start()

    def onSettled(self) -> None:
        """Called once after such events."""
        if not self._lines:
            return
        interaction = _application().GetInteractionNode()
        drawn = [ends_of(line) for line in self._lines]
        first, second = drawn[0], drawn[1] if len(drawn) > 1 else None
        if first is not None and second is not None:
            self.stop()
            self._onEnded((first, second))
        elif first is not None and len(drawn) == 1:
            self._drawNext()
        elif interaction.GetCurrentInteractionMode() != interaction.Place:  # Esc, or another tool was chosen
            self.stop()
            self._onEnded(None)

    def _drawNext(self) -> None:
        number = len(self._lines)
        if number:
            hide_length(self._lines[-1])
        line = add_line(slicer.mrmlScene, self._volumeNode, self._names[number])
        self._lines.append(line)
        self.addObserver(line, line.PointPositionDefinedEvent, self.onChanged)
        selection, interaction = _application().GetSelectionNode(), _application().GetInteractionNode()
        selection.SetReferenceActivePlaceNodeClassName(line.GetClassName())
        selection.SetActivePlaceNodeID(line.GetID())
        interaction.SetPlaceModePersistence(0)
        interaction.SetCurrentInteractionMode(interaction.Place)
        self._onNext(number)


def _application() -> Any:
    return slicer.app.applicationLogic()
