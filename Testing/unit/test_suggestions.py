"""What guidelines suggest for a finding as the panel shows it, against what the report says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from result_inputs import make_result, make_volume
from review_inputs import after

from LungNoduleCADLib.report.context import GuidelineContext
from LungNoduleCADLib.report.suggestions import FLEISCHNER, GUIDELINES, LUNG_RADS, suggest, suggest_one
from LungNoduleCADLib.review import Finding, Review, SetCallipers, SetCategory, SetDensity, SetExamCategory
from LungNoduleCADLib.rules import Patient, ScreeningExam

VOLUME = make_volume()
REVIEW = after(
    Review.of(make_result(VOLUME).candidates),
    SetDensity("N2", "part-solid"),
    SetCallipers("N3", "nodule", (9.0, 8.0)),
    SetCategory("N1", "Lung-RADS v2022", "4X", "Referral.", "spiculated"),
    SetCategory("N3", "Fleischner 2017", "class", "CT in 3 months.", "growing"),
)
FINDINGS = list(REVIEW.state.findings.values())


@pytest.mark.parametrize("guideline", GUIDELINES)
@pytest.mark.parametrize("patient", [Patient(), Patient(age_years=60, high_risk=False), Patient(known_cancer=True)])
def test_one_finding_is_told_the_same_as_in_the_report(guideline: str, patient: Patient) -> None:
    for chosen in (FINDINGS, FINDINGS[:1], FINDINGS[1:]):
        reported = suggest(chosen, GuidelineContext(patient), (guideline,)).own
        assert [suggest_one(f, chosen, patient, guideline) for f in chosen] == [own[0] for own in reported]


def test_a_finding_without_axes_has_no_suggestion_and_makes_no_other_a_second_one() -> None:
    first = FINDINGS[0]
    measured = replace(first.contour.measurements, long_axis_mm=float("nan"))
    unmeasured = Finding("N9", "detector", replace(first.contour, measurements=measured), 0.9)
    assert suggest_one(unmeasured, [first], Patient(), LUNG_RADS) is None
    alone = suggest_one(first, [first, unmeasured], Patient(), FLEISCHNER)
    assert alone is not None and "single" in alone.category


def test_fleischner_for_the_examination_says_what_a_reader_has_set() -> None:
    [exam] = suggest(FINDINGS, GuidelineContext(), (FLEISCHNER,)).exam
    assert exam.reason.endswith("has set for N3: CT in 3 months. (growing)")
    [exam] = suggest(FINDINGS[:2], GuidelineContext(), (FLEISCHNER,)).exam
    assert "has set" not in exam.reason


def test_a_readers_word_on_the_examination_stands_beside_the_suggestion() -> None:
    review = after(
        REVIEW,
        SetExamCategory("Lung-RADS v2022", "3", "CT in 6 months.", "known\x00scars"),
        SetExamCategory("Fleischner 2017", "class", "No routine follow-up.", "ill"),
    )
    stated = GuidelineContext(exam=ScreeningExam(significant=("an aneurysm",)))
    bare = suggest(FINDINGS, stated, GUIDELINES).exam
    exams = suggest(FINDINGS, stated, GUIDELINES, decided=review.state.exam_categories).exam
    assert [replace(exam, overridden_by=None) for exam in exams] == list(bare)
    screening, by_chance = exams
    assert (screening.suggested, screening.final) == ("4XS", "3S")  # what was stated of the rest still counts
    assert screening.final_management.startswith("CT in 6 months.") and "an aneurysm" in screening.final_management
    assert screening.overridden_by is not None and "\x00" not in screening.overridden_by.reason
    assert by_chance.final_management == "No routine follow-up."
    [plain] = suggest(FINDINGS, GuidelineContext(), (LUNG_RADS,), decided=review.state.exam_categories).exam
    assert (plain.final, plain.final_management) == ("3", "CT in 6 months.")
