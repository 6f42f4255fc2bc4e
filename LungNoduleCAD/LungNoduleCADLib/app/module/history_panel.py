"""What readers did: the last of it can be taken back and brought back, and all of it read in the audit trail."""

from __future__ import annotations

from typing import Any

from ...scene.detections import DetectionNodes
from .logic import DetectionLogic
from .performing import Changer
from .review_texts import redo_text, undo_text
from .trail_view import TrailView


class HistoryPanel:
    """Drives the buttons of undo, redo and audit trail of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name. :param widget: the one that holds them all.
    :param change: changes the review, and says in a dialog why it cannot be.
    """

    def __init__(self, ui: Any, widget: Any, logic: DetectionLogic, change: Changer) -> None:
        self.ui, self._logic, self._change = ui, logic, change
        self._nodes: DetectionNodes | None = None
        self._trail = TrailView(widget)
        ui.undoButton.clicked.connect(self.onUndo)
        ui.redoButton.clicked.connect(self.onRedo)
        ui.trailButton.clicked.connect(self.onTrail)

    def closeTrail(self) -> None:
        """Called when another detection is shown."""
        self._trail.close()

    # -- user actions ------------------------------------------------------------------------------------------------
    def onUndo(self, checked: bool = False) -> None:
        """Take back the last change."""
        self._change(self._logic.undo)

    def onRedo(self, checked: bool = False) -> None:
        """Bring back what was taken back last."""
        self._change(self._logic.redo)

    def onTrail(self, checked: bool = False) -> None:
        """Show everything that readers did."""
        if self._nodes is not None:
            self._trail.open(self._logic.trail(self._nodes))

    # -- appearance --------------------------------------------------------------------------------------------------
    def updateGui(self, nodes: DetectionNodes | None) -> None:
        """The widgets follow the review."""
        ui, self._nodes = self.ui, nodes
        if nodes is None:
            return
        undo, redo = self._logic.nextUndo(nodes), self._logic.nextRedo(nodes)
        ui.undoButton.text, ui.undoButton.enabled = undo_text(undo), undo is not None
        ui.redoButton.text, ui.redoButton.enabled = redo_text(redo), redo is not None
        if self._trail.isOpen:
            self._trail.fill(self._logic.trail(nodes))
