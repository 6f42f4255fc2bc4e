"""Growth in numbers: doubling times with their limits, what counts as growth, and which finding is which."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from LungNoduleCADLib.findings import DensityType
from LungNoduleCADLib.growth.change import Change, change_between, volume_spread
from LungNoduleCADLib.growth.local import refined_place
from LungNoduleCADLib.growth.matching import Place, nearest_pairs
from LungNoduleCADLib.growth.registration import Alignment
from LungNoduleCADLib.rules import NoduleFacts
from LungNoduleCADLib.volume import Volume


def grown(
    then_mm: float,
    now_mm: float,
    days: int | None = 365,
    *,
    density: DensityType = "solid",
    solid: tuple[float, float] | None = None,
    slices: tuple[float, float] = (1.0, 1.0),
) -> Change:
    """The change of a ball; `solid` are the diameters of its solid part then and now."""
    facts = [
        NoduleFacts(density, size, None if solid is None else solid[n], np.pi / 6 * size**3)
        for n, size in enumerate((then_mm, now_mm))
    ]
    volumes = [np.pi / 6 * size**3 for size in (then_mm, now_mm)]
    return change_between((facts[1], volumes[1], slices[1]), (facts[0], volumes[0], slices[0]), days)


# -- doubling time ------------------------------------------------------------------------------------------------


def test_a_volume_that_doubles_in_the_interval_has_it_as_its_doubling_time() -> None:
    change = grown(10, 10 * 2 ** (1 / 3), 200)
    assert change.volume_ratio == pytest.approx(2) and change.doubling_days == pytest.approx(200)
    assert change.fastest_days is not None and change.slowest_days is not None
    assert change.fastest_days < 200 < change.slowest_days


def test_the_limits_are_those_of_the_ratio() -> None:
    change = grown(10, 14, 300)
    growth = 3 * np.log(1.4)
    margin = 1.96 * np.hypot(volume_spread(14, 1), volume_spread(10, 1))
    assert change.ratio_low == pytest.approx(np.exp(growth - margin))
    assert change.fastest_days == pytest.approx(np.log(2) * 300 / (growth + margin))
    assert change.slowest_days == pytest.approx(np.log(2) * 300 / (growth - margin))


def test_two_volumes_of_an_unchanged_nodule_differ_by_the_published_limits() -> None:
    change = grown(20, 20)
    assert change.ratio_high == pytest.approx(1.27) and change.ratio_low == pytest.approx(1 / 1.27)


def test_no_change_has_no_doubling_time_and_no_slowest_one() -> None:
    change = grown(8, 8)
    assert change.doubling_days is None and change.slowest_days is None
    assert change.fastest_days is not None and change.trend == "stable"


def test_a_shrinking_volume_halves() -> None:
    change = grown(12, 12 / 2 ** (1 / 3), 100)
    assert change.doubling_days == pytest.approx(-100) and change.fastest_days is None
    assert change.trend == "shrinking"


@pytest.mark.parametrize("days", [None, 0])
def test_without_an_interval_there_is_a_change_but_no_time(days: int | None) -> None:
    change = grown(8, 12, days)
    assert (change.doubling_days, change.fastest_days, change.slowest_days) == (None, None, None)
    assert change.trend == "growing" and change.significant


@pytest.mark.parametrize(("diameter", "slices"), [(5.0, 1.0), (8.0, 2.5)])
def test_small_nodules_and_thick_slices_are_less_certain(diameter: float, slices: float) -> None:
    assert volume_spread(diameter, slices) > volume_spread(20, 1) == volume_spread(20, 0.6)


# -- what counts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "trend"), [(1.26, "stable"), (1.28, "growing"), (0.76, "stable"), (0.74, "shrinking")]
)
def test_a_quarter_of_the_volume_and_more_than_its_repeatability_counts(ratio: float, trend: str) -> None:
    change = grown(20, 20 * ratio ** (1 / 3), 3650)
    assert change.trend == trend and change.significant is (trend != "stable")


def test_a_change_within_a_small_nodules_uncertainty_is_none() -> None:
    assert grown(4, 4.5, slices=(2.5, 2.5)).volume_ratio > 1.4
    assert grown(4, 4.5, slices=(2.5, 2.5)).trend == "stable"


@pytest.mark.parametrize(
    ("now", "days", "grew"),
    [(9.5, 365, False), (9.6, 365, True), (9.6, 800, False), (11.4, 800, True), (9.6, 90, True)],
)
def test_lung_rads_counts_more_than_a_millimetre_and_a_half_a_year(now: float, days: int, grew: bool) -> None:
    assert grown(8, now, days).lung_rads_growth is grew


def test_lung_rads_looks_at_the_solid_part() -> None:
    assert grown(12, 12.2, density="part-solid", solid=(3.0, 5.0)).lung_rads_growth is True
    assert grown(12, 14, density="part-solid", solid=(3.0, 3.5)).lung_rads_growth is False
    assert grown(12, 12.2, density="part-solid", solid=(3.0, 5.0)).trend == "growing"
    assert grown(8, 12, None).lung_rads_growth is None


# -- matching -----------------------------------------------------------------------------------------------------


def test_pairs_are_the_best_for_all_not_the_nearest_for_the_first() -> None:
    current = [Place((0, 0, 0), 8), Place((4, 0, 0), 8)]
    prior = [Place((3, 0, 0), 8), Place((7, 0, 0), 8)]
    assert nearest_pairs(current, prior) == [(0, 0), (1, 1)]


def test_of_two_near_ones_the_size_decides() -> None:
    current = [Place((0, 0, 0), 5), Place((2, 0, 0), 12)]
    assert nearest_pairs(current, [Place((1, 0, 0), 12), Place((1, 0.1, 0), 5)]) == [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("other", "pairs"),
    [
        (Place((6.9, 0, 0), 8), 1),
        (Place((7.1, 0, 0), 8), 0),
        (Place((7.1, 0, 0), 20), 1),
        (Place((0, 0, 0), 23), 1),
        (Place((0, 0, 0), 25), 0),
        (Place((0, 0, 0), 8, "left"), 0),
        (Place((0, 0, 0), 8, "right"), 1),
        (Place((0, 0, 0), 8, None), 1),
    ],
)
def test_what_lies_too_far_differs_too_much_or_is_in_the_other_lung_is_no_pair(other: Place, pairs: int) -> None:
    assert len(nearest_pairs([Place((0, 0, 0), 8, "right")], [other])) == pairs


def test_nothing_pairs_with_nothing() -> None:
    assert nearest_pairs([], [Place((0, 0, 0), 8)]) == nearest_pairs([Place((0, 0, 0), 8)], []) == []


def test_more_findings_than_there_were_leave_the_rest_alone() -> None:
    current = [Place((n * 30.0, 0, 0), 8) for n in range(4)]
    assert nearest_pairs(current, [Place((61.0, 0, 0), 8)]) == [(2, 0)]


# -- the neighbourhood --------------------------------------------------------------------------------------------


def textured(shift_kji: tuple[float, float, float] = (0, 0, 0), seed: int = 0, noise: float = 20.0) -> Volume:
    """Strands in lung, moved by some voxels of 1.5 x 1.2 x 1.2 mm."""
    random = np.random.default_rng(seed).standard_normal((60, 80, 80))
    strands = np.clip(ndimage.gaussian_filter(random, 2.5) * 14000 - 700, 0, 900) - 870
    moved = ndimage.shift(strands, shift_kji, order=1, mode="wrap")
    moved += np.random.default_rng(seed + 99).normal(0, noise, moved.shape)
    return Volume.from_geometry(moved.astype(np.int16), spacing_kji_mm=(1.5, 1.2, 1.2), origin_lps=(-40, -40, -40))


@pytest.mark.parametrize("shift", [(0, 0, 0), (2, -3, 4), (-3.5, 1.25, 6.4)])
def test_a_place_is_found_again_within_half_a_millimetre(shift: tuple[float, float, float]) -> None:
    current, prior = textured(), textured(shift)
    lungs = np.ones(current.shape, dtype=bool)
    point = np.array((5.0, 8.0, 3.0))
    fit = refined_place(current, lungs, prior, Alignment(np.eye(4), 1, 1), point)
    expected = point + np.multiply(shift, (1.5, 1.2, 1.2))[::-1]
    assert fit.correlation is not None and fit.correlation > 0.8
    assert np.linalg.norm(np.subtract(fit.point_lps, expected)) < 0.5


def test_the_alignment_is_kept_where_nothing_is_found_again() -> None:
    current, other = textured(), textured(seed=3)
    matrix = np.eye(4)
    matrix[:3, 3] = (1.0, 2.0, 3.0)
    alignment = Alignment(matrix, 1, 1)
    lungs = np.ones(current.shape, dtype=bool)
    assert refined_place(current, lungs, other, alignment, (0, 0, 0)).point_lps == (1.0, 2.0, 3.0)
    assert refined_place(current, lungs, other, alignment, (0, 0, 0)).correlation is None
    assert refined_place(current, ~lungs, textured(), alignment, (0, 0, 0)).correlation is None, "no lung around"


@pytest.mark.parametrize("point", [(-40.0, -40.0, -40.0), (300.0, 0.0, 0.0)])
def test_a_place_at_the_edge_or_outside_does_no_harm(point: tuple[float, float, float]) -> None:
    volume = textured()
    fit = refined_place(volume, np.ones(volume.shape, dtype=bool), volume, Alignment(np.eye(4), 1, 1), point)
    assert np.linalg.norm(np.subtract(fit.point_lps, point)) < 0.5
