"""Lung-RADS v2022: growth and stability, what raises a category, and the examination as a whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest
from rules_inputs import NEW, before, category, ground_glass, part_solid, solid

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.rules import (
    NoduleFacts,
    Prior,
    ScreeningExam,
    fleischner,
    lung_rads,
    lung_rads_exam,
    lung_rads_table,
    mean_diameter_mm,
    override,
)

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)

# -- change -------------------------------------------------------------------------------------------------------


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


# -- examination --------------------------------------------------------------------------------------------------


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
