"""Every bound of size of Lung-RADS v2022 from both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rules_inputs import NEW, before, category, ground_glass, part_solid, solid

from LungNoduleCADLib.rules import NoduleFacts, Prior, lung_rads


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
