"""What a guideline suggests for the selected finding, and a reader's word over it."""

from __future__ import annotations

from typing import Any

import slicer

from ...report.suggestions import FLEISCHNER, LUNG_RADS
from ...review import Finding
from ...rules import Recommendation
from ...scene.detections import DetectionNodes
from .category_chooser import CategoryChooser, CategoryWidgets
from .category_texts import category_choices, guideline_names, unstated_text
from .guideline_form import chosen_guidelines, patient_signals, stated_patient
from .logic import DetectionLogic
from .performing import Changer

GUIDELINE_SETTING = "LungNoduleCAD/Guideline"


class CategoryPanel:
    """Drives the category's widgets of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name.
    :param change: changes the review, and says in a dialog why it cannot be.
    """

    def __init__(self, ui: Any, logic: DetectionLogic, change: Changer) -> None:
        self.ui, self._logic, self._change = ui, logic, change
        self._nodes: DetectionNodes | None = None
        self._finding: Finding | None = None
        self._threshold = 1.0
        self._advice: Recommendation | None = None
        hidden = (ui.categoryReasonLabel, ui.categoryReasonWidget)
        self._chooser = CategoryChooser(
            CategoryWidgets(
                ui.categoryComboBox, ui.suggestionLabel, ui.categoryReasonLineEdit, ui.setCategoryButton, hidden
            ),
            self._set,
        )
        for value, text in guideline_names().items():
            ui.categoryGuidelineComboBox.addItem(text, value)
        stored = str(slicer.app.userSettings().value(GUIDELINE_SETTING) or LUNG_RADS)
        ui.categoryGuidelineComboBox.currentIndex = max(0, ui.categoryGuidelineComboBox.findData(stored))
        ui.categoryGuidelineComboBox.activated.connect(self.onGuidelineChosen)
        for signal in patient_signals(ui):
            signal.connect(self.onPatientStated)

    # -- user actions ------------------------------------------------------------------------------------------------
    def onGuidelineChosen(self, index: int = 0) -> None:
        """Show another guideline's suggestions, now and in future sessions."""
        self._chooser.forget()
        slicer.app.userSettings().setValue(GUIDELINE_SETTING, self._guideline())
        self._show()

    def onPatientStated(self, value: Any = None) -> None:
        """Called when something else is stated of the patient under Report."""
        if self._guideline() == FLEISCHNER:
            self._show()

    # -- appearance --------------------------------------------------------------------------------------------------
    def updateGui(self, nodes: DetectionNodes | None, finding: Finding | None, threshold: float) -> None:
        """The widgets follow the selected finding, or there is none.

        :param threshold: decides which findings count beside it.
        """
        if finding is None or self._finding is None or finding.id != self._finding.id or nodes != self._nodes:
            self._chooser.forget()
        self._nodes, self._finding, self._threshold = nodes, finding, threshold
        self._show()

    def _show(self) -> None:
        ui, nodes, finding, guideline = self.ui, self._nodes, self._finding, self._guideline()
        advice = None
        if nodes is not None and finding is not None and finding.status != "rejected":
            patient = stated_patient(ui) if FLEISCHNER in chosen_guidelines(ui) else None
            advice = self._logic.suggestion(nodes, finding.id, self._threshold, guideline, patient)
        self._advice = advice
        isRejected = finding is not None and finding.status == "rejected"
        choices = category_choices(advice, finding.density_type) if advice is not None and finding is not None else {}
        self._chooser.show(advice, choices, unstated_text(isRejected))

    def _set(self, category: str, management: str, reason: str) -> bool:
        finding, advice = self._finding, self._advice
        if finding is None or advice is None:
            return False
        args = (finding.id, advice.guideline, category, management, reason)
        return self._change(lambda nodes: self._logic.setCategory(nodes, *args))

    def _guideline(self) -> str:
        box = self.ui.categoryGuidelineComboBox
        return str(box.itemData(box.currentIndex) or LUNG_RADS)
