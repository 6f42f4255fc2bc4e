"""Every bound of Lung-RADS v2022 and Fleischner 2017 from both sides, and what a reader may say over them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import Measurements
from LungNoduleCADLib.rules import (
    NoduleFacts,
    Patient,
    Prior,
    Recommendation,
    ScreeningExam,
    facts_of,
    fleischner,
    fleischner_exam,
    fleischner_table,
    lung_rads,
    lung_rads_exam,
    lung_rads_table,
    mean_diameter_mm,
    override,
)

NEW = Prior(365)
NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)


def solid(mm: float, **more: Any) -> NoduleFacts:
    return NoduleFacts("solid", mm, **more)


def part_solid(mm: float, part_mm: float | None, **more: Any) -> NoduleFacts:
    return NoduleFacts("part-solid", mm, part_mm, **more)


def ground_glass(mm: float, **more: Any) -> NoduleFacts:
    return NoduleFacts("ground-glass", mm, **more)


def before(nodule: NoduleFacts, days: int = 365, category: str | None = None, **more: Any) -> Prior:
    return Prior(days, nodule, category, **more)


def category(nodule: NoduleFacts, prior: Prior | None = None, **more: Any) -> str:
    return lung_rads(nodule, prior, **more).category


# -- Lung-RADS: sizes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mm", "expected"),
    [(2.0, "2"), (5.9, "2"), (6.0, "3"), (7.9, "3"), (8.0, "4A"), (14.9, "4A"), (15.0, "4B"), (60.0, "4B")],
)
def test_solid_nodules_at_first_screening(mm: float, expected: str) -> None:
    assert category(solid(mm)) == expected


@pytest.mark.parametrize(
    ("mm", "expected"), [(3.9, "2"), (4.0, "3"), (5.9, "3"), (6.0, "4A"), (7.9, "4A"), (8.0, "4B"), (15.0, "4B")]
)
def test_new_solid_nodules(mm: float, expected: str) -> None:
    assert category(solid(mm), NEW) == expected


@pytest.mark.parametrize(("mm", "expected"), [(6.0, "4A"), (7.9, "4A"), (8.0, "4B"), (20.0, "4B")])
def test_growing_solid_nodules(mm: float, expected: str) -> None:
    assert category(solid(mm), before(solid(mm - 1.6))) == expected


@pytest.mark.parametrize(
    ("mm", "part_mm", "expected"),
    [
        (5.9, 0.0, "2"), (5.9, 5.9, "2"), (6.0, 0.0, "3"), (6.0, 5.9, "3"), (6.0, 6.0, "4A"), (20.0, 5.9, "3"),
        (20.0, 6.0, "4A"), (20.0, 7.9, "4A"), (20.0, 8.0, "4B"), (8.0, 8.0, "4B"),
    ],
)  # fmt: skip
def test_part_solid_nodules_at_first_screening(mm: float, part_mm: float, expected: str) -> None:
    assert category(part_solid(mm, part_mm)) == expected


@pytest.mark.parametrize(
    ("mm", "part_mm", "expected"),
    [(5.9, 3.9, "3"), (5.9, 4.0, "4B"), (6.0, 3.9, "4A"), (6.0, 4.0, "4B"), (20.0, 3.9, "4A"), (20.0, 4.0, "4B")],
)
def test_new_part_solid_nodules(mm: float, part_mm: float, expected: str) -> None:
    assert category(part_solid(mm, part_mm), NEW) == expected


@pytest.mark.parametrize(("part_mm", "expected"), [(2.0, "4A"), (3.9, "4A"), (4.0, "4B"), (9.0, "4B")])
def test_a_growing_solid_part(part_mm: float, expected: str) -> None:
    assert category(part_solid(12, part_mm), before(part_solid(12, part_mm - 1.6))) == expected


@pytest.mark.parametrize(("part_mm", "expected"), [(0.5, "4A"), (3.9, "4A"), (4.0, "4B")])
def test_a_new_solid_part_in_ground_glass(part_mm: float, expected: str) -> None:
    found = lung_rads(part_solid(12, part_mm), before(ground_glass(12)))
    assert found.category == expected
    assert "solid part is new" in found.reason


@pytest.mark.parametrize(("mm", "expected"), [(29.9, "2"), (30.0, "3")])
@pytest.mark.parametrize("prior", [None, NEW], ids=["baseline", "new"])
def test_ground_glass_nodules(mm: float, expected: str, prior: Prior | None) -> None:
    assert category(ground_glass(mm), prior) == expected


def test_ground_glass_that_grew() -> None:
    assert category(ground_glass(29.9), before(ground_glass(20))) == "2"
    assert category(ground_glass(30.0), before(ground_glass(28.4))) == "3"
    assert category(ground_glass(30.0), before(ground_glass(28.5))) == "2", "stable"
    assert category(ground_glass(32.0), before(ground_glass(30.0), 730)) == "2", "slowly growing"
    assert category(ground_glass(32.0), before(ground_glass(31.0), grew_slowly=True)) == "2"


@pytest.mark.parametrize(
    ("mm3", "expected"),
    [(112, "2"), (113, "3"), (267, "3"), (268, "4A"), (1766, "4A"), (1767, "4B"), (112.4, "2"), (112.5, "3")],
)
def test_solid_volumes_at_first_screening(mm3: float, expected: str) -> None:
    assert category(solid(1.0, volume_mm3=mm3), basis="volume") == expected


@pytest.mark.parametrize(("mm3", "expected"), [(33, "2"), (34, "3"), (112, "3"), (113, "4A"), (267, "4A"), (268, "4B")])
def test_new_solid_volumes(mm3: float, expected: str) -> None:
    assert category(solid(1.0, volume_mm3=mm3), NEW, basis="volume") == expected


@pytest.mark.parametrize(
    ("mm3", "part_mm3", "expected"),
    [(112, 0, "2"), (113, 112, "3"), (113, 113, "4A"), (400, 267, "4A"), (400, 268, "4B")],
)
def test_part_solid_volumes_at_first_screening(mm3: float, part_mm3: float, expected: str) -> None:
    assert category(part_solid(1, 0, volume_mm3=mm3, solid_volume_mm3=part_mm3), basis="volume") == expected


@pytest.mark.parametrize(("part_mm3", "expected"), [(33, "4A"), (34, "4B")])
def test_a_growing_solid_parts_volume(part_mm3: float, expected: str) -> None:
    now = part_solid(1, 0, volume_mm3=500, solid_volume_mm3=part_mm3)
    then = part_solid(1, 0, volume_mm3=500, solid_volume_mm3=2)
    assert category(now, before(then), basis="volume") == expected


@pytest.mark.parametrize(("mm3", "expected"), [(14136, "2"), (14137, "3")])
def test_ground_glass_volumes(mm3: float, expected: str) -> None:
    assert category(ground_glass(1, volume_mm3=mm3), basis="volume") == expected


@pytest.mark.parametrize(("mm", "expected"), [(6.0, "2"), (9.9, "2"), (10.0, "4A")])
@pytest.mark.parametrize("prior", [None, "stable"])
def test_smooth_nodules_on_the_pleura(mm: float, expected: str, prior: str | None) -> None:
    nodule = solid(mm, juxtapleural=True, smooth=True)
    state = before(solid(mm, juxtapleural=True, smooth=True), 30) if prior else None
    assert category(nodule, state) == expected


def test_what_makes_a_nodule_on_the_pleura_no_longer_harmless() -> None:
    harmless = solid(9.0, juxtapleural=True, smooth=True)
    assert category(harmless, NEW) == "2"
    assert category(replace(harmless, smooth=False)) == "4A"
    assert category(replace(harmless, juxtapleural=False)) == "4A"
    assert category(replace(harmless, suspicious=("spiculation",))) == "4X"
    assert category(harmless, before(solid(7.0, juxtapleural=True, smooth=True))) == "4B", "growing"
    assert category(replace(harmless, density="part-solid", solid_diameter_mm=7.0)) == "4A"


@pytest.mark.parametrize(("mm3", "expected"), [(523, "2"), (524, "4A")])
def test_smooth_volumes_on_the_pleura(mm3: float, expected: str) -> None:
    assert category(solid(9, volume_mm3=mm3, juxtapleural=True, smooth=True), basis="volume") == expected


@pytest.mark.parametrize("density", ["calcified", "fat"])
def test_benign_densities_at_any_size_and_change(density: Any) -> None:
    nodule = NoduleFacts(density, 25.0)
    assert category(nodule) == category(nodule, NEW) == category(nodule, before(NoduleFacts(density, 20.0))) == "1"


def test_a_calcification_that_is_not_benign_leaves_a_solid_nodule() -> None:
    assert "confirm" in lung_rads(NoduleFacts("calcified", 9.0)).reason
    assert category(NoduleFacts("calcified", 9.0, benign_calcification=False)) == "4A"
    assert category(NoduleFacts("calcified", 9.0, benign_calcification=True)) == "1"
    assert "confirm" not in lung_rads(NoduleFacts("calcified", 9.0, benign_calcification=True)).reason


# -- Lung-RADS: change --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("increase", "expected"), [(1.5, "3"), (1.6, "4A")])
def test_growth_is_more_than_one_and_a_half_millimetres(increase: float, expected: str) -> None:
    assert category(solid(6.0 + increase), before(solid(6.0), 100, "3")) == expected


def test_growth_is_counted_within_twelve_months() -> None:
    then = solid(6.0)
    assert category(solid(7.6), before(then, 366)) == "4A"
    assert category(solid(7.6), before(then, 450)) == "4B", "slowly growing: more than 1.5 mm, but not in 12 months"
    assert category(solid(9.2), before(then, 700)) == "4B", "growing and 8 mm"
    assert "slowly growing" in lung_rads(solid(7.6), before(then, 450)).reason
    assert category(solid(7.5), before(then, 450)) == "2", "stable"
    assert category(solid(6.5), before(then, grew_slowly=True)) == "4B"
    assert category(part_solid(12, 5.6), before(part_solid(12, 4.0), 450)) == "4B"


def test_volumes_grow_by_the_diameter_of_their_spheres() -> None:
    then = solid(1, volume_mm3=113)  # 6.0 mm
    assert category(solid(1, volume_mm3=221), before(then), basis="volume") == "2", "7.5 mm: stable, and 3 steps down"
    assert category(solid(1, volume_mm3=235), before(then), basis="volume") == "4A", "7.7 mm: growing"


@pytest.mark.parametrize(
    ("former", "days", "expected"),
    [
        ("2", 365, "2"), ("3", 167, "3"), ("3", 168, "2"), ("4A", 76, "4A"), ("4A", 77, "3"), ("4B", 365, "4B"),
        ("4X", 365, "4X"),
    ],
)  # fmt: skip
def test_stable_nodules_step_down(former: str, days: int, expected: str) -> None:
    assert category(solid(7.0), before(solid(7.0), days, former)) == expected
    assert category(solid(6.5), before(solid(7.0), days, former)) == expected, "smaller is as good as stable"


def test_a_prior_without_a_category_has_that_of_its_size() -> None:
    assert category(solid(9.0), before(solid(9.0), 90)) == "3"
    assert category(solid(7.0), before(solid(7.0), 180, "0")) == "2"


def test_a_stable_nodule_that_crosses_a_bound_is_classified_by_its_size() -> None:
    found = lung_rads(solid(6.1), before(solid(5.8), 365, "2"))
    assert found.category == "3"
    assert "crossed a bound" in found.reason
    assert category(solid(5.9), before(solid(5.8), 365, "2")) == "2"
    assert category(part_solid(12, 6.0), before(part_solid(12, 5.5), 365, "3")) == "4A"


def test_a_part_solid_nodule_of_which_only_the_rest_grew_does_not_step_down() -> None:
    then = part_solid(12, 5)
    assert category(part_solid(13.5, 5), before(then, 365, "3")) == "2"
    assert category(part_solid(13.6, 5), before(then, 365, "3")) == "3"


def test_a_solid_part_that_was_not_measured_is_taken_as_the_whole_nodule() -> None:
    found = lung_rads(part_solid(8.0, None))
    assert found.category == "4B"
    assert "not measured" in found.reason


@pytest.mark.parametrize(
    ("nodule", "expected"),
    [
        (solid(5.9), "2"), (solid(6.0), "4X"), (solid(8.0), "4X"), (solid(15.0), "4X"), (ground_glass(29.9), "2"),
        (ground_glass(30.0), "4X"),
    ],
)  # fmt: skip
def test_suspicious_features_raise_three_and_four_to_4x(nodule: NoduleFacts, expected: str) -> None:
    found = lung_rads(replace(nodule, suspicious=("spiculation", "lymphadenopathy")))
    assert found.category == expected
    assert "spiculation, lymphadenopathy" in found.reason
    assert found.management == lung_rads_table.MANAGEMENT[expected]


def test_sizes_are_compared_as_they_are_reported() -> None:
    assert mean_diameter_mm(6.04, 5.86) == 6.0  # 6.0 and 5.9 make 5.95, reported as 6.0
    assert mean_diameter_mm(5.94, 5.94) == 5.9
    assert category(solid(5.949)) == "2"
    assert category(solid(5.95)) == "3"
    assert category(solid(0.1 + 0.2 + 7.7)) == "4A", "8.0 but for binary fractions"


def test_reasons_name_the_facts_and_the_bounds() -> None:
    found = lung_rads(part_solid(9.25, 6.5), NEW)
    assert found.category == "4B"
    for text in ("Part-solid nodule, mean diameter 9.3 mm", "solid part 6.5 mm", "new since the prior", "365 days"):
        assert text in found.reason
    assert "solid part at least 4 mm" in found.reason
    assert "268 mm3 and below 1767 mm3" in lung_rads(solid(9, volume_mm3=300), basis="volume").reason
    assert "0.3 mm larger than 90 days ago" in lung_rads(solid(9.3), before(solid(9.0), 90)).reason
    assert "0.3 mm smaller than 90 days ago" in lung_rads(solid(8.7), before(solid(9.0), 90)).reason
    assert "as large as 90 days ago" in lung_rads(solid(9.0), before(solid(9.0), 90)).reason
    assert "taken as 6 mm" in fleischner(solid(6.4)).reason


def test_every_row_of_lung_rads_can_be_reached_and_has_a_source() -> None:
    sizes = [1.0, 3.9, 4.0, 5.9, 6.0, 7.9, 8.0, 9.9, 14.9, 15.0, 29.9, 30.0]
    now = [NoduleFacts(d, mm) for d in ("solid", "ground-glass", "calcified", "fat") for mm in sizes]  # type: ignore[arg-type]
    now += [replace(n, juxtapleural=True, smooth=True) for n in now if n.density == "solid"]
    now += [part_solid(mm, part) for mm in sizes for part in sizes if part <= mm]
    seen = set()
    for nodule in now:
        smaller = replace(
            nodule,
            mean_diameter_mm=max(nodule.mean_diameter_mm - 2, 0.1),
            solid_diameter_mm=None if nodule.solid_diameter_mm is None else max(nodule.solid_diameter_mm - 2, 0),
        )
        if (smaller.solid_diameter_mm or 0) > smaller.mean_diameter_mm:
            continue
        priors = (None, NEW, before(nodule, 30), before(smaller, 300), before(nodule, grew_slowly=True))
        seen |= {(nodule.density, lung_rads(nodule, prior).source, category(nodule, prior)) for prior in priors}
    for row in lung_rads_table.ROWS:
        assert row.source
        assert any((density, row.source, row.category) in seen for density in row.densities), row


def test_lung_rads_refuses_what_it_cannot_classify() -> None:
    with pytest.raises(InputError, match="no volume"):
        lung_rads(solid(6.0), basis="volume")
    with pytest.raises(InputError, match="unknown"):
        lung_rads(solid(6.0), before(solid(6.0), 90, "5"))
    with pytest.raises(InputError, match="earlier day"):
        Prior(0)
    for sizes in ((0.0, None), (float("nan"), None), (-1.0, None), (5.0, 6.0)):
        with pytest.raises(InputError):
            part_solid(*sizes)


# -- Lung-RADS: examination ---------------------------------------------------------------------------------------


def test_an_examination_has_its_most_suspicious_nodules_category() -> None:
    nodules = [lung_rads(solid(mm)) for mm in (5.0, 16.0, 9.0)]
    found = lung_rads_exam(nodules)
    assert (found.category, found.suggested, found.management) == ("4B", "4B", lung_rads_table.MANAGEMENT["4B"])
    assert "16.0 mm" in found.reason
    assert lung_rads_exam([*nodules, lung_rads(solid(7, suspicious=("spiculation",)))]).category == "4X"
    assert lung_rads_exam([]).category == "1"


@pytest.mark.parametrize(
    "exam",
    [
        ScreeningExam(not_evaluable="left lower lobe, breathing"),
        ScreeningExam(awaiting_prior=True),
        ScreeningExam(suspected_infection="more than six new nodules"),
    ],
)
def test_an_examination_that_cannot_be_judged_is_0_and_says_what_it_would_be(exam: ScreeningExam) -> None:
    found = lung_rads_exam([lung_rads(solid(9.0))], exam)
    assert found.category == "0"
    assert "So far: 4A" in found.reason
    assert found.management == lung_rads_table.MANAGEMENT["0"]
    assert all(word in found.reason for word in (exam.not_evaluable, exam.suspected_infection))


@pytest.mark.parametrize(
    ("resolved", "nodules", "expected"),
    [
        (["3"], [], "2"), (["2", "4A"], [], "2"), (["4B"], [], "2"), (["2"], [], "1"), (["1"], [], "1"), ([], [], "1"),
        (["4A"], [NoduleFacts("calcified", 5.0)], "2"), (["4A"], [solid(7.0)], "3"), (["4A"], [solid(5.0)], "2"),
    ],
)  # fmt: skip
def test_an_examination_after_a_nodule_resolved(resolved: list[str], nodules: list[NoduleFacts], expected: str) -> None:
    found = lung_rads_exam([lung_rads(nodule) for nodule in nodules], resolved=resolved)
    assert found.category == expected
    raised = expected == "2" and not any(n.density == "solid" for n in nodules)
    assert ("has resolved" in found.reason) == raised and found.management == lung_rads_table.MANAGEMENT[expected]


def test_other_findings_add_s_to_any_category() -> None:
    exam = ScreeningExam(significant=("aortic aneurysm",))
    found = lung_rads_exam([lung_rads(solid(9.0))], exam)
    assert (found.category, found.modifiers, found.suggested) == ("4A", ("S",), "4AS")
    assert "aortic aneurysm" in found.management
    assert lung_rads_exam([], exam).suggested == "1S"
    assert lung_rads_exam([], replace(exam, awaiting_prior=True)).suggested == "0S"


def test_an_examination_goes_by_what_readers_decided() -> None:
    nodules = [lung_rads(solid(5.0)), lung_rads(solid(16.0))]
    nodules[1] = override(nodules[1], "2", management="CT in 12 months", reader="Dr A", reason="old scar", at=NOON)
    found = lung_rads_exam(nodules)
    assert found.category == "2"
    with pytest.raises(InputError, match="no category"):
        lung_rads_exam([override(nodules[0], "harmless", management="none", reader="Dr A", reason="seen", at=NOON)])
    with pytest.raises(InputError, match="Fleischner"):
        lung_rads_exam([fleischner(solid(5.0))])


# -- Fleischner ---------------------------------------------------------------------------------------------------

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


# -- facts and overrides ------------------------------------------------------------------------------------------


def measured(**more: Any) -> Measurements:
    values: dict[str, Any] = {
        "solid_diameter_mm": 5.04, "solid_volume_mm3": 60.0, "juxtapleural": True, **more,
    }  # fmt: skip
    return Measurements(9.0, 10.04, 8.16, 380.0, -300.0, -700.0, 60.0, "part-solid", **values)


def test_facts_come_from_measurements() -> None:
    facts = facts_of(measured())
    assert (facts.mean_diameter_mm, facts.solid_diameter_mm) == (9.1, 5.04)
    assert (facts.volume_mm3, facts.solid_volume_mm3, facts.juxtapleural) == (380.0, 60.0, True)
    assert facts_of(measured(solid_diameter_mm=9.3)).solid_diameter_mm == 9.1
    assert facts_of(measured(juxtapleural=None)).juxtapleural is False


def test_a_readers_callipers_decide_and_the_automatic_value_stays_beside() -> None:
    facts = facts_of(measured(), callipers_mm=(7.0, 4.8), solid_callipers_mm=(4.0, 3.0), smooth=True)
    assert (facts.mean_diameter_mm, facts.solid_diameter_mm, facts.volume_mm3) == (5.9, 3.5, None)
    found = lung_rads(facts)
    assert found.category == "2"
    assert "callipers, 9.1 mm measured automatically" in found.reason
    assert facts_of(measured(), density="ground-glass").density == "ground-glass"


def test_a_reader_overrides_and_the_suggestion_stays_beside() -> None:
    suggestion = lung_rads(solid(9.0))
    assert str(suggestion) == "Lung-RADS v2022 4A (suggested)"
    decided = override(suggestion, "4B", management="Referral", reader="Dr A", reason="growing by eye", at=NOON)
    assert (decided.category, decided.final, decided.final_management) == ("4A", "4B", "Referral")
    assert str(decided) == "Lung-RADS v2022 4B (Dr A; suggested 4A)"
    assert decided.overridden_by is not None and decided.overridden_by.at == NOON
    again = override(decided, "3", management="CT in 6 months", reader="Dr B", reason="second look", at=NOON)
    assert (again.category, again.final) == ("4A", "3")
    assert suggestion.overridden_by is None


@pytest.mark.parametrize("empty", ["category", "management", "reader", "reason"])
def test_an_override_says_who_what_and_why(empty: str) -> None:
    given = {"category": "2", "management": "none", "reader": "Dr A", "reason": "scar", empty: " "}
    with pytest.raises(InputError, match=empty):
        override(lung_rads(solid(9.0)), at=NOON, **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="zone"):
        override(lung_rads(solid(9.0)), "2", management="a", reader="b", reason="c", at=datetime(2024, 1, 1))


def test_every_recommendation_says_where_it_is_from() -> None:
    found: list[Recommendation] = [lung_rads(solid(9.0)), fleischner(solid(9.0)), lung_rads_exam([])]
    assert all(r.source and r.reason and r.management and r.guideline for r in found)
