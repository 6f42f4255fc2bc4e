"""Every bound of Fleischner 2017 from both sides, and whom it is for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rules_inputs import before, ground_glass, part_solid, solid

from LungNoduleCADLib.rules import NoduleFacts, Patient, fleischner, fleischner_exam, fleischner_table, lung_rads

ADULT = Patient(60, known_cancer=False, immunosuppressed=False, high_risk=False)
SMOKER = replace(ADULT, high_risk=True)


@pytest.mark.parametrize(
    ("mm", "low", "high"),
    [
        (5.4, "No routine", "12 months is optional"), (5.5, "then consider CT at 18", "then CT at 18"),
        (8.4, "then consider CT at 18", "then CT at 18"), (8.5, "PET/CT", "PET/CT"), (30.4, "PET/CT", "PET/CT"),
        (30.5, "mass", "mass"),
    ],
)  # fmt: skip
def test_a_single_solid_nodule_found_by_chance(mm: float, low: str, high: str) -> None:
    assert low in fleischner(solid(mm), ADULT).management
    assert high in fleischner(solid(mm), SMOKER).management


@pytest.mark.parametrize(
    ("mm", "low", "high"),
    [
        (5.4, "No routine", "12 months is optional"), (5.5, "3 to 6 months, then consider", "3 to 6 months, then CT"),
        (8.4, "3 to 6 months, then consider", "3 to 6 months, then CT"),
        (8.5, "3 to 6 months, then consider", "3 to 6 months, then CT"), (30.5, "mass", "mass"),
    ],
)  # fmt: skip
def test_several_solid_nodules_found_by_chance(mm: float, low: str, high: str) -> None:
    assert low in fleischner(solid(mm), ADULT, multiple=True).management
    assert high in fleischner(solid(mm), SMOKER, multiple=True).management


@pytest.mark.parametrize(
    ("nodule", "single", "several"),
    [
        (ground_glass(5.4), "No routine", "2 and 4 years"),
        (ground_glass(5.5), "6 to 12 months", "most suspicious"),
        (part_solid(5.4, 2), "No routine", "2 and 4 years"),
        (part_solid(5.5, 2), "3 to 6 months to see", "most suspicious"),
    ],
)
@pytest.mark.parametrize("patient", [ADULT, SMOKER])
def test_subsolid_nodules_found_by_chance(nodule: NoduleFacts, single: str, several: str, patient: Patient) -> None:
    assert single in fleischner(nodule, patient).management
    assert several in fleischner(nodule, patient, multiple=True).management


@pytest.mark.parametrize(("mm", "none"), [(3.0, True), (5.5, True), (8.4, True), (8.5, False)])
@pytest.mark.parametrize("multiple", [False, True])
@pytest.mark.parametrize("patient", [ADULT, SMOKER])
def test_what_looks_like_a_lymph_node_on_the_pleura_needs_no_follow_up(
    mm: float, none: bool, multiple: bool, patient: Patient
) -> None:
    node = solid(mm, juxtapleural=True, smooth=True)
    assert (fleischner(node, patient, multiple=multiple).management == fleischner_table.LYMPH_NODE) == none
    others = [
        replace(node, smooth=False), replace(node, juxtapleural=False), replace(node, suspicious=("spiculation",)),
        replace(node, density="ground-glass"),
    ]  # fmt: skip
    for other in others:
        assert fleischner(other, patient, multiple=multiple).management != fleischner_table.LYMPH_NODE
    grown = before(solid(max(mm - 2.0, 0.5), juxtapleural=True, smooth=True))
    found = fleischner(node, patient, multiple=multiple, prior=grown)
    assert ("has grown" in found.management) == (mm >= 2.5)


def test_a_nodule_on_the_pleura_is_pointed_out_to_the_reader() -> None:
    """The program sees the pleura, but neither margin nor shape."""
    on, off = solid(7.0, juxtapleural=True), solid(7.0)
    for suggested in (lung_rads, fleischner):
        assert "a reader must say so" in suggested(on).reason and "a reader must say so" not in suggested(off).reason
        assert "must say so" not in suggested(solid(12.0, juxtapleural=True)).reason, "too large for it"
        assert "must say so" not in suggested(replace(on, suspicious=("spiculation",))).reason
        assert "must say so" not in suggested(replace(on, smooth=True)).reason
    assert "must say so" not in lung_rads(on, before(solid(5.0, juxtapleural=True))).reason, "growing"


def test_a_small_ground_glass_nodule_that_looks_suspicious_is_considered() -> None:
    assert "consider CT at 2 and 4 years" in fleischner(ground_glass(5.4), ADULT).management
    assert fleischner(part_solid(5.4, 2), ADULT).management == fleischner_table.NO_FOLLOW_UP


@pytest.mark.parametrize(("part_mm", "warns"), [(5.4, False), (5.5, True)])
def test_a_large_solid_part_is_pointed_out(part_mm: float, warns: bool) -> None:
    assert ("highly suspicious" in fleischner(part_solid(12, part_mm), ADULT).reason) == warns


@pytest.mark.parametrize(
    ("mm3", "expected"),
    [(99.4, "below 100"), (99.5, "100 to 250"), (250.4, "100 to 250"), (250.5, "above 250"), (14137.5, "above 14137")],
)
def test_volumes_found_by_chance(mm3: float, expected: str) -> None:
    assert expected in fleischner(solid(1, volume_mm3=mm3), ADULT, basis="volume").category


@pytest.mark.parametrize(
    ("patient", "applies"),
    [
        (replace(ADULT, age_years=34.9), False), (replace(ADULT, age_years=35), True),
        (replace(ADULT, known_cancer=True), False), (replace(ADULT, immunosuppressed=True), False),
        (replace(ADULT, screening=True), False), (ADULT, True),
    ],
)  # fmt: skip
def test_whom_the_guideline_is_for(patient: Patient, applies: bool) -> None:
    for found in (fleischner(solid(7.0), patient), fleischner_exam([solid(7.0)], patient)):
        assert (found.category != "not applicable") == applies
        assert ("does not apply" in found.reason) != applies


def test_what_is_not_known_of_the_patient_is_said() -> None:
    found = fleischner(solid(7.0))
    assert found == fleischner(solid(7.0), Patient())
    assert "age, known cancer, immunosuppression" in found.reason
    assert "taken as high" in found.reason
    assert found.management == fleischner(solid(7.0), SMOKER).management
    assert "Not known" not in fleischner(solid(7.0), ADULT).reason
    assert "risk" not in fleischner(ground_glass(7.0)).reason


def test_all_nodules_of_a_ct_are_judged_by_the_most_urgent() -> None:
    assert fleischner_exam([], ADULT).category == "no nodule"
    assert fleischner_exam([solid(5.0), solid(9.0)], ADULT).category.startswith("several solid, above 8")
    mixed = fleischner_exam([solid(5.0), solid(7.0), ground_glass(12.0)], ADULT)
    assert mixed.category == "several solid, 6 to 8 mm, low risk"
    assert "Most urgent of 3" in mixed.reason
    assert fleischner_exam([solid(5.0), ground_glass(12.0)], ADULT).category == "single ground-glass, above 8 mm"
    assert fleischner_exam([solid(9.0), NoduleFacts("calcified", 20)], ADULT).category == "single solid, above 8 mm"


def test_benign_densities_need_no_follow_up() -> None:
    for density in ("calcified", "fat"):
        assert fleischner(NoduleFacts(density, 12.0), ADULT).category == "benign"  # type: ignore[arg-type]
    assert "PET/CT" in fleischner(NoduleFacts("calcified", 12.0, benign_calcification=False), ADULT).management


def test_each_kind_of_nodule_has_exactly_one_line_of_fleischner() -> None:
    for density in fleischner_table.FAMILIES:
        for size in fleischner_table.SIZE_WORDS:
            for multiple in (False, True):
                for risk in (False, True):
                    rows = [
                        row
                        for row in fleischner_table.ROWS
                        if density in row.densities
                        and size in row.sizes
                        and row.multiple in (None, multiple)
                        and row.high_risk in (None, risk)
                        and not row.lymph_node
                    ]
                    assert len(rows) == 1, (density, size, multiple, risk)
