"""Measurements against ellipsoids of known size, blurred, averaged over slices and noisy as CT is."""

from __future__ import annotations

import numpy as np
import pytest
from nodule_scenes import CENTER, LUNG_HU, OBLIQUE, THICK, THIN, TISSUE_HU, KnownNodule, Scene, ellipsoid_scan
from scipy import ndimage

from LungNoduleCADLib.findings import Measurements, VoxelMask
from LungNoduleCADLib.measurement import measure, refine_mask, sphere_mask
from LungNoduleCADLib.measurement.blur import central_share
from LungNoduleCADLib.measurement.occupancy import occupancy
from LungNoduleCADLib.volume import Volume

SLICES_MM = (0.5, 1.0, 2.0, 2.5)


def found_in(nodule: KnownNodule, random: np.random.Generator) -> Measurements:
    """Of a nodule from a seed as networks give them: too small or too large, and 1 to 2 mm beside it."""
    diameter = nodule.diameter_mm
    shift = random.normal(size=3)
    shift *= random.uniform(0.8, min(2.0, diameter / 4 + 0.3)) / np.linalg.norm(shift)
    x, y, z = np.add(nodule.center_lps, shift)
    seed = ((float(x), float(y), float(z)), diameter * random.choice([0.7, 1.0, 1.4]))
    return measure(nodule.volume, refine_mask(nodule.volume, seed))


def errors(diameter: float, scans_of_each: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors of mean diameter, mm, and of volume, as a share, over slices, shapes, tilts, kernels, places and seeds."""
    lengths, volumes = [], []
    for n, slice_mm in enumerate(SLICES_MM * scans_of_each):
        random = np.random.default_rng(n + round(100 * diameter))
        ratios = (1.0, 1.0, 1.0) if n % 2 else tuple(random.uniform(0.75, 1.35, 3))
        pixel = random.uniform(0.6, 0.85)
        nodule = ellipsoid_scan(
            diameter,
            (ratios[0], ratios[1], ratios[2]),
            tilt_degrees=random.uniform(0, 45),
            spacing=(slice_mm, pixel, pixel),
            blur_mm=random.uniform(0.45, 0.7),
            seed=n,
        )
        found = found_in(nodule, random)
        lengths.append(found.mean_diameter_mm - nodule.mean_diameter_mm)
        volumes.append(found.volume_mm3 / nodule.volume_mm3 - 1)
    return np.array(lengths), np.array(volumes)


# -- size ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("diameter", "scans"), [(3.0, 10), (4.0, 8), (5.0, 8), (6.0, 8), (10.0, 6), (20.0, 2)])
def test_sizes_are_within_the_bounds_of_the_guidelines(diameter: float, scans: int) -> None:
    lengths, volumes = errors(diameter, scans)
    assert abs(lengths.mean()) <= 0.3
    assert abs(lengths.mean()) + 1.96 * lengths.std() <= 1.0
    if diameter >= 5:
        assert abs(np.median(volumes)) <= 0.05
        assert np.mean(np.abs(volumes) <= 0.1) >= 0.9


@pytest.mark.parametrize("direction", [None, OBLIQUE], ids=["straight", "oblique"])
def test_ends_of_the_axes_lie_on_the_nodules_edge_in_the_slice_named(direction: np.ndarray | None) -> None:
    volume = Scene(direction=direction).ball(12.0).volume()
    found = measure(volume, sphere_mask(volume, CENTER, 12.0))
    assert found.long_axis_lps is not None and found.short_axis_lps is not None and found.axes_slice is not None
    for segment, length in (
        (found.long_axis_lps, found.long_axis_mm),
        (found.short_axis_lps, found.short_axis_mm),
    ):
        ends = np.array(segment)
        assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(length, abs=1e-6)
        assert np.linalg.norm(ends - CENTER, axis=1) == pytest.approx(6.0, abs=0.6)
        assert volume.lps_to_index(ends)[:, 0] + 1 == pytest.approx(found.axes_slice)
    across = np.array(found.long_axis_lps)[1] - found.long_axis_lps[0]
    along = np.array(found.short_axis_lps)[1] - found.short_axis_lps[0]
    assert abs(across @ along) < 1e-6 * np.linalg.norm(across) * np.linalg.norm(along)


def test_the_axes_slice_is_named_by_its_instance() -> None:
    volume = Scene().ball(8.0).volume()
    uids = tuple(f"1.2.{k}" for k in range(volume.shape[0]))
    volume = Volume(volume.voxels, volume.ijk_to_lps, {"sop_instance_uids": uids})
    found = measure(volume, sphere_mask(volume, CENTER, 8.0))
    assert found.axes_slice is not None and found.axes_sop_instance_uid == uids[found.axes_slice - 1]
    assert abs(found.axes_slice - 1 - volume.lps_to_index(CENTER)[0]) <= 1


@pytest.mark.parametrize("end", [slice(None, 1), slice(-1, None)], ids=["first slice", "last slice"])
def test_the_axes_of_what_the_scans_end_cuts_lie_in_the_scan(end: slice) -> None:
    """What is denser beyond the mask than within weighs negatively, and drives the fitted middle out of the scan."""
    voxels = np.random.default_rng(3).normal(-870.0, 20.0, (8, 40, 40))
    voxels[end, 18:21, 18:21] = -700.0
    voxels[:, 21:40, 10:30] = 40.0
    inner = slice(1, 4) if end.start is None else slice(-4, -1)
    voxels[inner, 16:21, 16:23] = -990.0
    volume = Volume.from_geometry(voxels.astype(np.int16), spacing_kji_mm=(2.5, 0.7, 0.7))
    volume.metadata["sop_instance_uids"] = [str(k) for k in range(8)]
    mask = np.zeros(volume.shape, dtype=bool)
    mask[end, 18:21, 18:21] = True
    found = measure(volume, VoxelMask((0, 0, 0), mask))
    slice_cut = 1 if end.start is None else 8
    assert found.axes_slice == slice_cut
    assert found.axes_sop_instance_uid == str(slice_cut - 1)


def test_axes_of_an_ellipse_are_measured_at_any_angle_and_spacing() -> None:
    spacing = (2.0, 0.9, 0.6)
    for angle in (0.0, 25.0, 50.0, 90.0, 140.0):
        k, j, i = np.ogrid[-5:6, -30:31, -40:41]
        a = np.deg2rad(angle)
        u, v = (i * 0.6) * np.cos(a) + (j * 0.9) * np.sin(a), -(i * 0.6) * np.sin(a) + (j * 0.9) * np.cos(a)
        inside = (u / 10) ** 2 + (v / 5) ** 2 + (k * 2 / 6) ** 2 <= 1
        smooth = ndimage.gaussian_filter(inside.astype(float), np.array([0.0, 0.6, 0.6]) / spacing)
        volume = Volume.from_geometry((-850 + 850 * smooth).astype(np.int16), spacing_kji_mm=spacing)
        found = measure(volume, VoxelMask((0, 0, 0), inside))
        assert found.long_axis_mm == pytest.approx(20, rel=0.05), angle
        assert found.short_axis_mm == pytest.approx(10, rel=0.08), angle


def test_masks_drawn_about_the_edge_and_outside_it_measure_the_same() -> None:
    volume = Scene().ball(12).volume()
    near, generous = (measure(volume, sphere_mask(volume, CENTER, d)) for d in (12.6, 13.6))
    assert near.volume_mm3 == pytest.approx(generous.volume_mm3, rel=0.03)
    assert near.mean_diameter_mm == pytest.approx(generous.mean_diameter_mm, abs=0.15)


def test_a_vessel_next_to_the_nodule_adds_little_to_its_size() -> None:
    alone, touched = Scene().ball(10), Scene().ball(10).vessel(3)
    sizes = [measure(s.volume(), sphere_mask(s.grid, CENTER, 10.5)).volume_mm3 for s in (alone, touched)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.06)


def test_surface_and_sphericity_are_those_of_the_shape() -> None:
    ball = ellipsoid_scan(14.0)
    measured = measure(ball.volume, sphere_mask(ball.volume, ball.center_lps, 14.0))
    assert measured.surface_mm2 == pytest.approx(np.pi * 14**2, rel=0.05)
    assert measured.sphericity is not None and measured.sphericity > 0.95
    long = ellipsoid_scan(14.0, (0.6, 0.6, 2.0))
    stretched = measure(long.volume, refine_mask(long.volume, (long.center_lps, 14.0)))
    assert stretched.sphericity is not None and stretched.sphericity < measured.sphericity - 0.05


@pytest.mark.parametrize("diameter", [1, 2])
def test_the_smallest_masks_are_measured_even_at_the_scans_corner(diameter: int) -> None:
    volume = Volume.from_geometry(np.zeros((3, 3, 3), dtype=np.int16))
    found = measure(volume, VoxelMask((0, 0, 0), np.ones((1, diameter, 1), dtype=bool)))
    assert found.volume_mm3 == diameter
    assert found.long_axis_mm >= found.short_axis_mm > 0
    assert found.surface_mm2 and found.sphericity


def test_empty_and_misplaced_masks_are_refused() -> None:
    volume = Volume.from_geometry(np.zeros((4, 4, 4), dtype=np.int16))
    with pytest.raises(ValueError, match="empty"):
        measure(volume, VoxelMask((0, 0, 0), np.zeros((2, 2, 2), dtype=bool)))
    with pytest.raises(ValueError, match="beyond"):
        measure(volume, VoxelMask((3, 0, 0), np.ones((2, 2, 2), dtype=bool)))


def test_shares_of_the_voxels_are_0_far_from_a_nodule_and_1_deep_in_it() -> None:
    volume = Scene().ball(14).volume()
    found = occupancy(volume, sphere_mask(volume, CENTER, 14))
    assert (found.share[found.depth > 3] == 1).all()
    outside = ndimage.distance_transform_edt(~found.mask, sampling=found.spacing)
    assert (found.share[outside > 2] == 0).all()
    assert found.lung_hu == pytest.approx(LUNG_HU, abs=10)


@pytest.mark.parametrize("diameter", [2.5, 4.0, 8.0])
@pytest.mark.parametrize("offset", [0.0, 0.6])
def test_central_share_is_what_a_blurred_sphere_keeps_at_its_middle(diameter: float, offset: float) -> None:
    step, slice_mm, sigma = 0.1, 1.5, 0.55
    k, j, i = np.ogrid[-70:71, -60:61, -60:61]
    sphere = ((k * step) ** 2 + (j * step) ** 2 + (i * step) ** 2 <= (diameter / 2) ** 2).astype(np.float32)
    blurred = ndimage.gaussian_filter(sphere, (0, sigma / step, sigma / step), truncate=6)[:, 60, 60]
    middle = 70 + round(offset / step)
    expected = blurred[middle - 7 : middle + 8].mean()
    assert float(central_share(np.array(diameter), slice_mm, offset, sigma**2)) == pytest.approx(expected, abs=0.02)


# -- density ------------------------------------------------------------------------------------------------------


def test_densities_are_those_of_the_masks_voxels() -> None:
    hu = np.full((5, 5, 5), -900, dtype=np.int16)
    hu[2, 2, 1:4] = (10, 20, 60)
    found = measure(Volume.from_geometry(hu), VoxelMask((2, 2, 1), np.ones((1, 1, 3), dtype=bool)))
    assert (found.min_hu, found.max_hu, found.mean_hu) == (10.0, 60.0, 30.0)
    assert found.sd_hu == pytest.approx(np.std([10, 20, 60]))


@pytest.mark.parametrize(("hu", "expected"), [(40, "solid"), (-620, "ground-glass"), (500, "calcified"), (-80, "fat")])
@pytest.mark.parametrize("spacing", [THIN, THICK])
def test_density_type_of_a_uniform_nodule(hu: float, expected: str, spacing: tuple[float, float, float]) -> None:
    volume = Scene(spacing).ball(9, hu).volume()
    assert measure(volume, sphere_mask(volume, CENTER, 9)).density == expected


def test_calcium_in_a_third_of_a_mass_does_not_make_it_calcified() -> None:
    """Guidelines call a calcified nodule benign; a soft mass with calcium in it is not."""
    soft, calcified = (Scene().ball(20, 40).ball(core, 450).volume() for core in (12, 19))
    found = [measure(volume, sphere_mask(volume, CENTER, 20)).density for volume in (soft, calcified)]
    assert found == ["solid", "calcified"]


def test_noise_does_not_make_a_small_solid_nodule_calcified() -> None:
    clean = Scene((2.5, 0.7, 0.7)).ball(6, 100).volume()
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 100, clean.shape)
        noisy = Volume(np.clip(clean.voxels + noise, -1024, 3000).astype(np.int16), clean.ijk_to_lps)
        assert measure(noisy, sphere_mask(noisy, CENTER, 6)).density != "calcified"


@pytest.mark.parametrize("diameter", [3.0, 4.0, 5.0])
def test_blur_does_not_turn_a_small_solid_nodule_into_ground_glass(diameter: float) -> None:
    volume = Scene().ball(diameter).volume()
    assert measure(volume, sphere_mask(volume, CENTER, diameter)).density == "solid"


@pytest.mark.parametrize("core", [5.0, 7.0, 10.0])
@pytest.mark.parametrize("spacing", [THIN, (2.0, 0.7, 0.7)])
def test_the_solid_part_of_a_part_solid_nodule_is_measured(core: float, spacing: tuple[float, float, float]) -> None:
    volume = Scene(spacing).ball(18, -620).ball(core, 30).volume()
    found = measure(volume, refine_mask(volume, (CENTER, 16.0)))
    assert found.density == "part-solid"
    assert found.solid_diameter_mm == pytest.approx(core, abs=0.8)
    assert found.solid_volume_mm3 == pytest.approx(np.pi / 6 * core**3, rel=0.25)
    assert found.mean_diameter_mm == pytest.approx(18, abs=0.8)


@pytest.mark.parametrize("vessel", [2.0, 3.0])
def test_a_vessel_through_the_ground_glass_is_not_its_solid_part(vessel: float) -> None:
    volume = Scene().ball(18, -620).ball(8, 30).vessel(vessel).volume()
    found = measure(volume, refine_mask(volume, (CENTER, 16.0)))
    assert found.density == "part-solid"
    assert 7.0 < (found.solid_diameter_mm or 0) < 10.0


def test_the_solid_part_is_all_of_a_solid_nodule_and_none_of_a_ground_glass_one() -> None:
    for hu, share in ((TISSUE_HU, 1.0), (-620.0, 0.0)):
        volume = Scene().ball(10, hu).volume()
        found = measure(volume, sphere_mask(volume, CENTER, 10))
        assert found.solid_diameter_mm == pytest.approx(share * found.mean_diameter_mm)
        assert found.solid_volume_mm3 == pytest.approx(share * found.volume_mm3)


@pytest.mark.parametrize("hu", [TISSUE_HU, -620.0])
def test_mass_is_volume_times_density(hu: float) -> None:
    volume = Scene().ball(12, hu).volume()
    found = measure(volume, refine_mask(volume, (CENTER, 12.0)))
    assert found.mass_mg == pytest.approx(np.pi / 6 * 12**3 * (hu + 1000) / 1000, rel=0.08)
