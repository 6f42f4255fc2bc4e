"""What a reader says of the selected finding beside yes and no: its type, and a note."""

from __future__ import annotations

from typing import Any

from ...review import Finding
from ...scene.detections import DetectionNodes
from .logic import DetectionLogic
from .performing import Changer
from .review_texts import type_choices


class FindingPanel:
    """Drives the widgets of the selected finding of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name.
    :param change: changes the review, and says in a dialog why it cannot be.
    """

    def __init__(self, ui: Any, logic: DetectionLogic, change: Changer) -> None:
        self.ui, self._logic, self._change = ui, logic, change
        self._nodes: DetectionNodes | None = None
        self._finding: Finding | None = None
        ui.typeComboBox.activated.connect(self.onTypeChosen)
        ui.noteLineEdit.editingFinished.connect(self.onNoteFinished)

    def commit(self) -> None:
        """Keep what was typed, as when its field is left."""
        note, nodes, finding = self.ui.noteLineEdit, self._nodes, self._finding
        if nodes is not None and finding is not None and note.modified:
            note.modified = False
            if note.text.strip() != finding.note:
                text = note.text.strip()
                self._change(lambda _: self._logic.setNote(nodes, finding.id, text))

    def onNoteFinished(self) -> None:
        """Called when the note's field is left, or Enter pressed in it."""
        self.commit()

    def onTypeChosen(self, index: int = 0) -> None:
        """The finding is of another type than it was measured to be."""
        nodes, finding, box = self._nodes, self._finding, self.ui.typeComboBox
        if nodes is not None and finding is not None:
            density = box.itemData(box.currentIndex) or None
            if density != finding.density:
                self._change(lambda _: self._logic.setDensity(nodes, finding.id, density))

    def updateGui(self, nodes: DetectionNodes | None, finding: Finding | None) -> None:
        """The widgets follow the selected finding, or there is none."""
        ui, former = self.ui, self._finding
        isOther = finding is None or former is None or finding.id != former.id or nodes != self._nodes
        if isOther:
            self.commit()
        self._nodes, self._finding = nodes, finding
        ui.findingWidget.visible = finding is not None
        if finding is None:
            ui.noteLineEdit.text = ""
            return
        if isOther or not ui.noteLineEdit.modified:
            ui.noteLineEdit.text = finding.note
        if finding is not former:
            self._fillTypes(finding)

    def _fillTypes(self, finding: Finding) -> None:
        box = self.ui.typeComboBox
        box.clear()
        for value, text in type_choices(finding.contour.measurements.density).items():
            box.addItem(text, value)
        box.currentIndex = max(0, box.findData(finding.density or ""))
