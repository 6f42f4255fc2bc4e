"""One nodule in two scans, measured alike: what two outlines make of it, thicker slices, noise, vessels and growth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.growth.change import change_between, measured_as_now
from LungNoduleCADLib.growth.nearby import Turn, nearby_turn
from LungNoduleCADLib.growth.pair import AlikeMeasured, measured_alike
from LungNoduleCADLib.growth.registration import Alignment
from LungNoduleCADLib.measurement import sphere_mask
from LungNoduleCADLib.rules import NoduleFacts, Prior, lung_rads
from LungNoduleCADLib.volume import Volume

LUNG_HU, TISSUE_HU = -860.0, 30.0
NOWHERE = Turn(np.eye(3), np.zeros(3), 1.0)
VESSEL_MM = 1.6


def scan(
    diameter_mm: float,
    shift_lps: tuple[float, float, float] = (0, 0, 0),
    slice_mm: float = 1.0,
    *,
    noise_hu: float = 15.0,
    lung_hu: float = LUNG_HU,
    seed: int = 0,
    density_hu: float = TISSUE_HU,
) -> Volume:
    """A ball of that size in lung at the middle, moved, with a vessel that runs into it and others around it."""
    parts = max(1, round(slice_mm / 0.5))
    shape = (round(56 / slice_mm) * parts, 70, 70)
    spacing = np.array([slice_mm / parts, 0.8, 0.8])
    away = (np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2) * spacing - np.array(shift_lps)[::-1]
    share = np.clip(0.5 + (diameter_mm / 2 - np.linalg.norm(away, axis=-1)) / 0.8, 0, 1)
    for z, y in ((0.0, 0.0), (9.0, -8.0), (-10.0, 7.0), (4.0, 13.0)):
        beside = np.hypot(away[..., 0] - z - 0.2 * away[..., 2], away[..., 1] - y + 0.3 * away[..., 2])
        tissue = np.clip(0.5 + (VESSEL_MM - beside) / 0.8, 0, 1)
        share = np.maximum(share, tissue * (away[..., 2] > 0)) if (z, y) == (0.0, 0.0) else np.maximum(share, tissue)
    fine = lung_hu + share * (density_hu - lung_hu)
    thick = ndimage.gaussian_filter(fine, [0, 0.6, 0.6]).reshape(-1, parts, *shape[1:]).mean(axis=1)
    thick += np.random.default_rng(seed).normal(0, noise_hu, thick.shape)
    origin = -(np.array(thick.shape) - 1)[::-1] / 2 * (0.8, 0.8, slice_mm)
    return Volume.from_geometry(thick.astype(np.int16), spacing_kji_mm=(slice_mm, 0.8, 0.8), origin_lps=origin)


def outline(volume: Volume, diameter_mm: float, at: tuple[float, float, float] = (0, 0, 0)) -> VoxelMask:
    return sphere_mask(volume, at, diameter_mm + 0.8)


def with_vessel(volume: Volume, mask: VoxelMask, length_mm: float) -> VoxelMask:
    """The outline with what is dense beside it, as one that ran into the vessel."""
    dense = (volume.voxels > -400) | as_array(volume, mask)
    near = ndimage.distance_transform_edt(~as_array(volume, mask), sampling=volume.spacing_kji_mm) <= length_mm
    labels, _ = ndimage.label(dense & near)
    k, j, i = (int(n) for n in np.argwhere(mask.voxels)[0] + mask.start_kji)
    return VoxelMask((0, 0, 0), labels == labels[k, j, i])


def as_array(volume: Volume, mask: VoxelMask) -> np.ndarray:
    voxels = np.zeros(volume.shape, dtype=bool)
    voxels[mask.region] = mask.voxels
    return voxels


def ratio_of(now: Volume, mask_now: VoxelMask, then: Volume, mask_then: VoxelMask, rough: Turn = NOWHERE) -> float:
    found = measured_alike(now, mask_now, then, mask_then, rough)
    assert found is not None
    return found.volume_ratio


@pytest.mark.parametrize("diameter", [5.0, 8.0, 14.0])
@pytest.mark.parametrize("slice_mm", [1.0, 2.5])
def test_an_unchanged_nodule_has_not_changed_in_other_slices_and_noise(diameter: float, slice_mm: float) -> None:
    then, now = scan(diameter), scan(diameter, (0.4, -0.3, 0.6), slice_mm, noise_hu=30, seed=1)
    ratio = ratio_of(now, outline(now, diameter, (0.4, -0.3, 0.6)), then, outline(then, diameter))
    assert ratio == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("diameter", [6.0, 12.0])
def test_an_outline_that_ran_into_a_vessel_in_one_scan_makes_no_growth(diameter: float) -> None:
    then, now = scan(diameter), scan(diameter, seed=1)
    ran = with_vessel(now, outline(now, diameter), 10.0)
    assert ran.voxels.sum() > 1.06 * outline(now, diameter).voxels.sum(), "the outlines differ"
    assert ratio_of(now, ran, then, outline(then, diameter)) == pytest.approx(1, abs=0.06)
    assert ratio_of(then, outline(then, diameter), now, ran) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("growth", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("diameter", [5.0, 10.0])
def test_growth_is_measured_and_both_ways_alike(diameter: float, growth: float) -> None:
    larger = diameter * (1 + growth) ** (1 / 3)
    then, now = scan(diameter), scan(larger, slice_mm=1.25, seed=1)
    ratio = ratio_of(now, outline(now, larger), then, outline(then, diameter))
    assert np.log(ratio) == pytest.approx(np.log1p(growth), abs=0.18)
    assert ratio_of(then, outline(then, diameter), now, outline(now, larger)) == pytest.approx(1 / ratio, rel=0.05)


def test_lung_that_is_denser_by_the_breath_is_no_change() -> None:
    then, now = scan(8), scan(8, lung_hu=-800, seed=1)
    assert ratio_of(now, outline(now, 8), then, outline(then, 8)) == pytest.approx(1, abs=0.05)


def test_the_nodule_is_found_beside_its_rough_place() -> None:
    then, now = scan(8), scan(8, (0, 0, 0), seed=1)
    rough = Turn(np.eye(3), np.array((1.2, -1.0, 0.8)), 1.0)
    turn = nearby_turn(now, then, rough, np.zeros(3), 4.0)
    assert np.linalg.norm(turn.forwards(np.zeros(3))) < 0.25 and turn.correlation > 0.9
    assert turn.backwards(turn.forwards(np.array((3.0, 4.0, 5.0)))) == pytest.approx((3, 4, 5))
    assert ratio_of(now, outline(now, 8), then, outline(then, 8), rough) == pytest.approx(1, abs=0.05)


def test_a_turn_takes_the_rotation_of_an_alignment_and_leaves_its_stretch() -> None:
    matrix = np.eye(4)
    turned = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    matrix[:3, :3] = turned * 1.1
    turn = Turn.of(Alignment(matrix, 1, 1), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0))
    assert turn.matrix == pytest.approx(turned)
    assert turn.forwards((1.0, 2.0, 3.0)) == pytest.approx((5, 6, 7))


def test_what_is_not_there_is_not_compared() -> None:
    now, then = scan(8), scan(8, seed=1)
    aside = outline(then, 8, (15, 0, 0))
    assert measured_alike(now, outline(now, 8), then, aside, NOWHERE) is None, "the outlines do not meet"
    dense = now.with_voxels(np.full(now.shape, 40, dtype=np.int16))
    assert measured_alike(dense, outline(now, 8), then, outline(then, 8), NOWHERE) is None, "no lung around it"


# -- the change that follows --------------------------------------------------------------------------------------


def facts(diameter_mm: float, note: str = "", density: str = "solid") -> NoduleFacts:
    solid = diameter_mm if density == "solid" else 0.0
    return NoduleFacts(density, diameter_mm, solid, np.pi / 6 * diameter_mm**3, note=note)  # type: ignore[arg-type]


def changed(ratio: float, diameter_mm: float = 8.0, slice_mm: float = 1.0, density: str = "solid"):  # type: ignore[no-untyped-def]
    """The outlines say twice the volume, the measurement of both something else."""
    now, then = facts(diameter_mm, density=density), facts(diameter_mm / 2 ** (1 / 3), density=density)
    alike = AlikeMeasured(ratio, 0.95, 0.3, 0.0)
    return change_between((now, now.volume_mm3 or 0, slice_mm), (then, then.volume_mm3 or 0, slice_mm), 180, alike)


def test_the_measurement_of_both_counts_before_the_outlines() -> None:
    still = changed(1.02)
    assert still.trend == "stable" and still.alike and still.volume_ratio == pytest.approx(1.02)
    assert still.before_mm == pytest.approx(7.9) and still.diameter_mm == pytest.approx(0.1)
    grown = changed(2.0)
    assert grown.trend == "growing" and grown.doubling_days == pytest.approx(180)
    assert grown.before_mm3 == pytest.approx((np.pi / 6 * 8**3) / 2)


@pytest.mark.parametrize(
    ("ratio", "trend"), [(1.25, "stable"), (1.31, "growing"), (0.79, "stable"), (0.7, "shrinking")]
)
def test_a_change_counts_beyond_its_limits_only(ratio: float, trend: str) -> None:
    change = changed(ratio)
    assert change.trend == trend
    assert (change.ratio_low > 1 or change.ratio_high < 1) == (trend != "stable")


def test_the_limits_are_wider_for_ground_glass_and_small_nodules_in_thick_slices() -> None:
    def width(change) -> float:  # type: ignore[no-untyped-def]
        return change.ratio_high / change.ratio_low

    assert width(changed(1.0, density="ground-glass")) > width(changed(1.0))
    assert width(changed(1.0, 4.5, 2.5)) > width(changed(1.0, 4.5, 1.0)) == pytest.approx(width(changed(1.0)))


def test_callipers_of_a_reader_stand_as_they_are() -> None:
    now, then = facts(9, "by a reader's callipers"), facts(8)
    same = AlikeMeasured(1.0, 0.9, 0.1, 0.0)
    assert measured_as_now(now, then, same) == then
    assert measured_as_now(facts(9), then, same).mean_diameter_mm == pytest.approx(9)


def test_a_type_that_flipped_without_a_change_of_density_is_no_new_solid_part() -> None:
    now = NoduleFacts("part-solid", 10.0, 4.0, 520.0, 30.0)
    then = NoduleFacts("ground-glass", 9.0, 0.0, 400.0, 0.0)
    flipped = measured_as_now(now, then, AlikeMeasured(1.0, 0.9, 0.1, 40.0))
    assert (flipped.density, flipped.mean_diameter_mm, flipped.solid_diameter_mm) == ("part-solid", 10.0, 4.0)
    denser = measured_as_now(now, then, AlikeMeasured(1.0, 0.9, 0.1, 160.0))
    assert (denser.density, denser.solid_diameter_mm) == ("ground-glass", 0.0)
    assert "growing" in lung_rads(now, Prior(180, denser)).reason
    assert "not grown" in lung_rads(now, Prior(180, flipped)).reason


def test_a_shrunken_nodule_whose_type_flipped_keeps_its_solid_part_within_it() -> None:
    """Then it was larger, and so was its solid part: larger than the whole is now."""
    now = NoduleFacts("part-solid", 10.0, 9.5, 523.0, 400.0)
    then = NoduleFacts("solid", 13.0, 13.0, 1150.0, 1150.0)
    like = measured_as_now(now, then, AlikeMeasured(0.5, 0.9, 0.1, 20.0))
    assert like.density == "part-solid" and like.mean_diameter_mm == pytest.approx(12.6)
    assert like.solid_diameter_mm == pytest.approx(9.5 * 2 ** (1 / 3))
