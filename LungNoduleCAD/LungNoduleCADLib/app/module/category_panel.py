"""What a guideline suggests for the selected finding, and a reader's word over it."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ...report.suggestions import FLEISCHNER, LUNG_RADS
from ...review import Finding
from ...rules import Recommendation
from ...scene.detections import DetectionNodes
from .category_texts import advice_html, category_choices, guideline_names, unstated_text
from .guideline_form import chosen_guidelines, patient_signals, stated_patient
from .logic import DetectionLogic
from .performing import Changer

GUIDELINE_SETTING = "LungNoduleCAD/Guideline"
AS_SUGGESTED = ""


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
        self._wished = ""
        for value, text in guideline_names().items():
            ui.categoryGuidelineComboBox.addItem(text, value)
        stored = str(slicer.app.userSettings().value(GUIDELINE_SETTING) or LUNG_RADS)
        ui.categoryGuidelineComboBox.currentIndex = max(0, ui.categoryGuidelineComboBox.findData(stored))
        ui.categoryGuidelineComboBox.activated.connect(self.onGuidelineChosen)
        ui.categoryComboBox.activated.connect(self.onCategoryChosen)
        ui.categoryReasonLineEdit.textChanged.connect(self.onReasonChanged)
        ui.categoryReasonLineEdit.returnPressed.connect(self.onSet)
        ui.setCategoryButton.clicked.connect(self.onSet)
        for signal in patient_signals(ui):
            signal.connect(self.onPatientStated)

    # -- user actions ------------------------------------------------------------------------------------------------
    def onGuidelineChosen(self, index: int = 0) -> None:
        """Show another guideline's suggestions, now and in future sessions."""
        self._wished = ""
        slicer.app.userSettings().setValue(GUIDELINE_SETTING, self._guideline())
        self._show()

    def onCategoryChosen(self, index: int = 0) -> None:
        """Another category than suggested: it counts when the reader has said why. The suggestion needs no reason."""
        box, advice = self.ui.categoryComboBox, self._advice
        wished = str(box.itemData(box.currentIndex) or AS_SUGGESTED)
        if advice is None:
            return
        if wished == AS_SUGGESTED and advice.overridden_by is not None:
            self._set(AS_SUGGESTED, "", "")
            return
        self._wished = wished if wished != self._decided() else ""
        self._show()
        if self._wished:
            self.ui.categoryReasonLineEdit.setFocus()

    def onReasonChanged(self, text: str) -> None:
        """A category of one's own needs a reason."""
        self.ui.setCategoryButton.enabled = bool(text.strip())

    def onSet(self, checked: bool = False) -> None:
        """The chosen category counts from now on."""
        reason, advice = self.ui.categoryReasonLineEdit.text.strip(), self._advice
        if self._wished and reason and advice is not None:
            self._set(*self._choice(advice, self._wished), reason)

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
            self._wished = ""
            self.ui.categoryReasonLineEdit.text = ""
        self._nodes, self._finding, self._threshold = nodes, finding, threshold
        self._show()

    def _show(self) -> None:
        ui, nodes, finding, guideline = self.ui, self._nodes, self._finding, self._guideline()
        self._advice = None
        if nodes is not None and finding is not None and finding.status != "rejected":
            patient = stated_patient(ui) if FLEISCHNER in chosen_guidelines(ui) else None
            self._advice = self._logic.suggestion(nodes, finding.id, self._threshold, guideline, patient)
        advice = self._advice
        ui.categoryComboBox.enabled = advice is not None
        self._fillChoices(advice)
        if advice is None:
            self._wished = ""
            isRejected = finding is not None and finding.status == "rejected"
            ui.suggestionLabel.text = unstated_text(isRejected)
            ui.suggestionLabel.toolTip = ""
        else:
            ui.suggestionLabel.text = advice_html(advice, self._choice(advice, self._wished) if self._wished else None)
            ui.suggestionLabel.toolTip = advice.source
        for widget in (ui.categoryReasonLabel, ui.categoryReasonWidget):
            widget.visible = bool(self._wished)
        ui.setCategoryButton.enabled = bool(ui.categoryReasonLineEdit.text.strip())

    def _fillChoices(self, advice: Recommendation | None) -> None:
        box = self.ui.categoryComboBox
        box.clear()
        if advice is None or self._finding is None:
            return
        for value, (text, explanation) in category_choices(advice, self._finding.density_type).items():
            box.addItem(text, value)
            # A follow-up may be longer than the box is wide.
            box.setItemData(box.count - 1, explanation, qt.Qt.ToolTipRole)
        box.currentIndex = max(0, box.findData(self._wished or self._decided()))

    def _decided(self) -> str:
        """The choice that a reader has made before; empty for the suggestion."""
        decision = self._advice.overridden_by if self._advice is not None else None
        if decision is None:
            return AS_SUGGESTED
        return decision.category if self._guideline() == LUNG_RADS else decision.management

    def _choice(self, advice: Recommendation, value: str) -> tuple[str, str]:
        """Category and management of a choice: Lung-RADS' category decides what to do, of Fleischner that is chosen."""
        if self._guideline() == FLEISCHNER:
            return advice.category, value
        assert self._finding is not None
        return value, category_choices(advice, self._finding.density_type)[value][1]

    def _set(self, category: str, management: str, reason: str) -> None:
        finding, advice = self._finding, self._advice
        if finding is None or advice is None:
            return
        args = (finding.id, advice.guideline, category, management, reason)
        self._wished = ""
        if self._change(lambda nodes: self._logic.setCategory(nodes, *args)):
            self.ui.categoryReasonLineEdit.text = ""

    def _guideline(self) -> str:
        box = self.ui.categoryGuidelineComboBox
        return str(box.itemData(box.currentIndex) or LUNG_RADS)
