"""What the guidelines suggest for the whole examination, and a reader's word over it."""

from __future__ import annotations

from typing import Any

import qt

from ...errors import InputError
from ...rules import Recommendation
from ...scene.detections import DetectionNodes
from .category_chooser import CategoryChooser, CategoryWidgets
from .category_texts import exam_choices, guideline_names, hidden_exam_text
from .guideline_form import chosen_guidelines, exam_signals, patient_signals, stated_context
from .logic import DetectionLogic
from .performing import Changer

SOON_MS = 150
"""All findings are weighed for it: not at every step of a slider that is being dragged."""


class ExamPanel:
    """Drives the widgets of the examination's category in the report section of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name. :param change: changes the review.
    """

    def __init__(self, ui: Any, logic: DetectionLogic, change: Changer) -> None:
        self.ui, self._logic, self._change = ui, logic, change
        self._nodes: DetectionNodes | None = None
        self._threshold = 1.0
        self._advice: Recommendation | None = None
        self._chooser = CategoryChooser(
            CategoryWidgets(
                ui.examCategoryComboBox, ui.examSuggestionLabel, ui.examReasonLineEdit, ui.setExamCategoryButton,
                (ui.examReasonWidget,),
            ),
            self._set,
        )  # fmt: skip
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(SOON_MS)
        self._soon.timeout.connect(self.onSettled)
        self._fillGuidelines()
        ui.guidelineComboBox.currentIndexChanged.connect(self.onGuidelinesChosen)
        ui.examGuidelineComboBox.activated.connect(self.onGuidelineChosen)
        ui.reportCollapsibleButton.contentsCollapsed.connect(self.onStated)
        for signal in (*patient_signals(ui), *exam_signals(ui)):
            signal.connect(self.onStated)

    def close(self) -> None:
        """The panel is not used again."""
        self._soon.stop()

    # -- user actions ------------------------------------------------------------------------------------------------
    def onGuidelinesChosen(self, index: int = 0) -> None:
        """The report gives other guidelines' suggestions."""
        self._chooser.forget()
        self._fillGuidelines()
        self._soon.start()

    def onGuidelineChosen(self, index: int = 0) -> None:
        """Look at another one of them."""
        self._chooser.forget()
        self.onSettled()

    def onStated(self, value: Any = None) -> None:
        """Called when something else is stated of patient or examination, or the section is opened."""
        self._soon.start()

    # -- appearance --------------------------------------------------------------------------------------------------
    def updateGui(self, nodes: DetectionNodes | None, threshold: float) -> None:
        """Follow a review, or none. :param threshold: decides which findings count."""
        if nodes != self._nodes:
            self._chooser.forget()
        self._nodes, self._threshold = nodes, threshold
        self._soon.start()

    def onSettled(self) -> None:
        """Called once after such changes: the widgets follow, where they can be seen."""
        ui, nodes, guideline = self.ui, self._nodes, self._guideline()
        for widget in (ui.examCategoryLabel, ui.examCategoryWidget):
            widget.visible = bool(guideline)
        if nodes is None or not guideline or ui.reportCollapsibleButton.collapsed:
            return
        self._advice = None
        try:
            if not self._logic.review(nodes).state.hides_detector:
                self._advice = self._logic.examSuggestion(nodes, self._threshold, guideline, stated_context(ui))
        except InputError:  # the review or the scan has gone meanwhile; the candidates' section says so
            return
        choices = exam_choices(self._advice) if self._advice is not None else {}
        self._chooser.show(self._advice, choices, hidden_exam_text())

    def _fillGuidelines(self) -> None:
        box, chosen = self.ui.examGuidelineComboBox, chosen_guidelines(self.ui)
        box.clear()
        for value, text in guideline_names().items():
            if value in chosen:
                box.addItem(text, value)
        box.visible = len(chosen) > 1

    def _set(self, category: str, management: str, reason: str) -> bool:
        advice = self._advice
        if advice is None:
            return False
        args = (advice.guideline, category, management, reason)
        return self._change(lambda nodes: self._logic.setExamCategory(nodes, *args))

    def _guideline(self) -> str:
        """Empty when the report gives none."""
        box = self.ui.examGuidelineComboBox
        return str(box.itemData(box.currentIndex) or "")
