"""What a reader states for the guidelines in the report section; the review's suggestions go by it too."""

from __future__ import annotations

from typing import Any

from ...report.context import GuidelineContext
from ...report.suggestions import FLEISCHNER, LUNG_RADS
from ...rules import Patient, ScreeningExam
from .export_texts import cancer_choices, guideline_choices, immunity_choices, risk_choices


def fill_form(ui: Any) -> None:
    """Give the boxes of `LungNoduleCAD.ui` their choices."""
    for box, choices in (
        (ui.guidelineComboBox, guideline_choices()),
        (ui.riskComboBox, risk_choices()),
        (ui.cancerComboBox, cancer_choices()),
        (ui.immunityComboBox, immunity_choices()),
    ):
        for text, _value in choices:
            box.addItem(text)


def clear_form(ui: Any) -> None:
    """Forget what belongs to one patient."""
    for box in (ui.riskComboBox, ui.cancerComboBox, ui.immunityComboBox):
        box.currentIndex = 0
    for edit in (ui.notEvaluableEdit, ui.infectionEdit, ui.significantEdit):
        edit.text = ""
    ui.ageSpinBox.value = ui.ageSpinBox.minimum
    ui.awaitingPriorCheckBox.checked = False


def chosen_guidelines(ui: Any) -> tuple[str, ...]:
    """Whose suggestions the report gives."""
    return guideline_choices()[max(ui.guidelineComboBox.currentIndex, 0)][1]


def stated_patient(ui: Any) -> Patient:
    """Of the patient, for Fleischner."""
    age = ui.ageSpinBox.value
    return Patient(
        age_years=float(age) if age > ui.ageSpinBox.minimum else None,
        known_cancer=cancer_choices()[max(ui.cancerComboBox.currentIndex, 0)][1],
        immunosuppressed=immunity_choices()[max(ui.immunityComboBox.currentIndex, 0)][1],
        high_risk=risk_choices()[max(ui.riskComboBox.currentIndex, 0)][1],
    )


def stated_context(ui: Any) -> GuidelineContext:
    """What is stated for the guidelines that are asked; what is hidden is not stated."""
    chosen = chosen_guidelines(ui)
    patient = stated_patient(ui) if FLEISCHNER in chosen else Patient()
    exam = ScreeningExam()
    if LUNG_RADS in chosen:
        significant = ui.significantEdit.text.strip()
        exam = ScreeningExam(
            not_evaluable=ui.notEvaluableEdit.text.strip(),
            awaiting_prior=bool(ui.awaitingPriorCheckBox.checked),
            suspected_infection=ui.infectionEdit.text.strip(),
            significant=(significant,) if significant else (),
        )
    return GuidelineContext(patient, exam)


def exam_signals(ui: Any) -> tuple[Any, ...]:
    """What tells that something else is stated of the examination."""
    edits = (ui.notEvaluableEdit, ui.infectionEdit, ui.significantEdit)
    return (ui.awaitingPriorCheckBox.toggled, *(edit.textChanged for edit in edits))


def patient_signals(ui: Any) -> tuple[Any, ...]:
    """What tells that something else is stated of the patient."""
    boxes = (ui.guidelineComboBox, ui.riskComboBox, ui.cancerComboBox, ui.immunityComboBox)
    return (*(box.currentIndexChanged for box in boxes), ui.ageSpinBox.valueChanged)
