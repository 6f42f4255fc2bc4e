"""Who reads, and whether with the detector's marks or first without them."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from ...review import ReviewState
from ...scene.detections import DetectionNodes
from .logic import DetectionLogic
from .performing import Changer, confirm
from .review_texts import first_read_question, mode_names

READER_SETTING = "LungNoduleCAD/Reader"
MODE_SETTING = "LungNoduleCAD/ReadingMode"


class ReaderPanel:
    """Drives the reader's widgets of `LungNoduleCAD.ui`. Name and mode are remembered from session to session.

    :param ui: the widgets, by name.
    :param change: changes the review, and says in a dialog why it cannot be.
    """

    def __init__(self, ui: Any, logic: DetectionLogic, change: Changer) -> None:
        self.ui, self._logic, self._change = ui, logic, change
        self._nodes: DetectionNodes | None = None
        self._state: ReviewState | None = None
        settings = slicer.app.userSettings()
        logic.reader = str(settings.value(READER_SETTING) or "")
        stored = str(settings.value(MODE_SETTING) or "")
        for mode, text in mode_names().items():
            ui.readingModeComboBox.addItem(text, mode)
        if ui.readingModeComboBox.findData(stored) >= 0:
            logic.readingMode = stored  # type: ignore[assignment]
        ui.readerLineEdit.text = logic.reader
        ui.readerLineEdit.textChanged.connect(self.onReaderChanged)
        ui.readingModeComboBox.activated.connect(self.onModeChosen)
        ui.firstReadButton.clicked.connect(self.onFirstRead)

    def onReaderChanged(self, text: str) -> None:
        """The audit trail names this reader from now on."""
        self._logic.reader = text.strip()
        slicer.app.userSettings().setValue(READER_SETTING, self._logic.reader)

    def onModeChosen(self, index: int = 0) -> None:
        """Read this way from now on: what is detected next, and what is shown now."""
        box = self.ui.readingModeComboBox
        mode = box.itemData(box.currentIndex)
        question = _("The detector's marks are shown now, and this cannot be undone. Go on?")
        if self._state is not None and self._state.hides_detector and mode == "concurrent" and not confirm(question):
            self.updateGui(self._nodes, self._state)
            return
        self._logic.readingMode = mode
        slicer.app.userSettings().setValue(MODE_SETTING, mode)
        if self._nodes is not None:
            self._change(lambda nodes: self._logic.setReadingMode(nodes, mode))

    def onFirstRead(self, checked: bool = False) -> None:
        """The reader has found what they could alone."""
        if self._state is not None:
            own = sum(f.origin == "reader" and f.status == "accepted" for f in self._state.findings.values())
            if confirm(first_read_question(own)):
                self._change(self._logic.declareFirstRead)

    def updateGui(self, nodes: DetectionNodes | None, state: ReviewState | None) -> None:
        """The widgets follow the review.

        :param state: None while there is no review; the mode is then that of the next one.
        """
        ui, self._nodes, self._state = self.ui, nodes, state
        isHidden = state is not None and state.hides_detector
        mayChoose = nodes is None or isHidden or not self._logic.hasDecisions(nodes)
        ui.readerLineEdit.placeholderText = self._logic.readerName() or _("Your name, for the audit trail")
        mode = state.mode if state is not None else self._logic.readingMode
        ui.readingModeComboBox.currentIndex = ui.readingModeComboBox.findData(mode)
        ui.readingModeComboBox.enabled = mayChoose
        fixed = _("This review has begun; the mode is chosen before.")
        free = _("Second reader: the detector's marks are hidden until you declare your own reading finished.")
        ui.readingModeComboBox.toolTip = free if mayChoose else fixed
        ui.firstReadWidget.visible = isHidden
