"""Measurements and outlines against spheres of known size, blurred and noisy as CT is, and against readers'
outlines."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.measurement import RefineSettings, measure, refine_mask, sphere_mask
from LungNoduleCADLib.measurement.density import IN_PLANE_BLUR_MM, core_densities, recovered_share
from LungNoduleCADLib.measurement.local_box import equivalent_diameter
from LungNoduleCADLib.volume import Volume

LUNG_HU, TISSUE_HU = -860.0, 30.0
CENTER = (4.0, -7.0, 12.0)
THIN = (1.0, 0.7, 0.7)
THICK = (2.5, 0.7, 0.7)
OBLIQUE = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])


class Scene:
    """Shapes in lung on a grid, painted at four times its resolution, blurred, averaged and made noisy."""

    def __init__(
        self, spacing: tuple[float, float, float] = THIN, side_mm: float = 36.0, direction: np.ndarray | None = None
    ) -> None:
        self.spacing = np.array(spacing)
        shape = np.ceil(side_mm / self.spacing).astype(int)
        axes = np.eye(3) if direction is None else direction
        # An odd fraction of a voxel off the grid, so that nothing is symmetric by luck.
        corner = np.array(CENTER) - axes @ ((shape - 1) / 2 * self.spacing + (0.21, 0.13, 0.32))[::-1]
        self.grid = Volume.from_geometry(
            np.zeros(shape, dtype=np.int16), spacing_kji_mm=spacing, origin_lps=corner, direction=axes
        )
        fine = [(np.arange(n * 4) + 0.5) / 4 - 0.5 for n in shape]
        center = self.grid.lps_to_index(CENTER)
        self.k, self.j, self.i = (
            (axis - c) * s
            for axis, c, s in zip(np.meshgrid(*fine, indexing="ij", sparse=True), center, self.spacing, strict=True)
        )
        self.hu = np.full(shape * 4, LUNG_HU, dtype=np.float32)

    def ball(self, diameter: float, hu: float = TISSUE_HU) -> Scene:
        """A sphere around `CENTER`."""
        self.hu[self.k**2 + self.j**2 + self.i**2 <= (diameter / 2) ** 2] = hu
        return self

    def vessel(self, diameter: float) -> Scene:
        """A tube along the rows, through `CENTER`."""
        self.hu[np.broadcast_to(self.k**2 + self.j**2 <= (diameter / 2) ** 2, self.hu.shape)] = TISSUE_HU
        return self

    def wall(self, distance: float) -> Scene:
        """Chest wall beyond a gently curved pleura, `distance` mm from `CENTER`."""
        curved = self.j + (self.k**2 + self.i**2) / 200
        self.hu[np.broadcast_to(curved >= distance, self.hu.shape)] = TISSUE_HU
        return self

    def volume(self, noise: float = 25.0, seed: int = 0) -> Volume:
        """Blurred by 0.55 mm in plane and the slice's thickness across."""
        sigma = 4 * np.array([0.3, 0.55, 0.55]) / self.spacing
        k, j, i = self.grid.shape
        hu = ndimage.gaussian_filter(self.hu, sigma).reshape(k, 4, j, 4, i, 4).mean(axis=(1, 3, 5))
        hu = hu + np.random.default_rng(seed).normal(0, noise, hu.shape)
        return self.grid.with_voxels(hu.astype(np.int16))


def on_grid(mask: VoxelMask, volume: Volume) -> np.ndarray:
    voxels = np.zeros(volume.shape, dtype=bool)
    voxels[mask.region] = mask.voxels
    return voxels


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


# -- measure ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [None, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize(("diameter", "tolerance"), [(3.0, 0.12), (4.0, 0.1), (6.0, 0.05), (10.0, 0.04), (20.0, 0.03)])
def test_sizes_of_a_sphere_are_right(diameter: float, tolerance: float, direction: np.ndarray | None) -> None:
    volume = Scene(direction=direction).ball(diameter).volume()
    found = measure(volume, sphere_mask(volume, CENTER, diameter))
    assert found.diameter_mm == pytest.approx(diameter, rel=tolerance)
    assert found.long_axis_mm == pytest.approx(diameter, rel=tolerance)
    assert found.short_axis_mm == pytest.approx(diameter, rel=tolerance)
    assert found.volume_mm3 == pytest.approx(np.pi / 6 * found.diameter_mm**3)
    assert found.short_axis_mm <= found.long_axis_mm
    assert found.density == "solid"


def test_axes_of_an_ellipse_are_measured_at_any_angle_and_spacing() -> None:
    spacing = (2.0, 0.9, 0.6)
    for angle in (0.0, 25.0, 50.0, 90.0, 140.0):
        k, j, i = np.ogrid[-3:4, -30:31, -40:41]
        a = np.deg2rad(angle)
        u, v = (i * 0.6) * np.cos(a) + (j * 0.9) * np.sin(a), -(i * 0.6) * np.sin(a) + (j * 0.9) * np.cos(a)
        inside = (u / 10) ** 2 + (v / 5) ** 2 + (k * 2 / 5) ** 2 <= 1
        volume = Volume.from_geometry(np.where(inside, 0, -850).astype(np.int16), spacing_kji_mm=spacing)
        found = measure(volume, VoxelMask((0, 0, 0), inside))
        assert found.long_axis_mm == pytest.approx(20, rel=0.05), angle
        assert found.short_axis_mm == pytest.approx(10, rel=0.08), angle


def test_axes_come_from_the_axial_slice_with_the_largest_area() -> None:
    inside = np.zeros((4, 20, 20), dtype=bool)
    inside[0, 2:4, 2:18] = True  # longer, but of less area
    inside[1, 2:12, 2:10] = True
    volume = Volume.from_geometry(np.where(inside, 0, -850).astype(np.int16))
    assert measure(volume, VoxelMask((0, 0, 0), inside)).long_axis_mm == pytest.approx(np.hypot(10, 8), abs=0.9)


def test_outline_of_a_half_filled_border_is_found_between_voxels() -> None:
    """A bar whose end voxels hold half tissue: an outline along voxel edges would be a whole voxel too long."""
    hu = np.full((3, 9, 20), -1000, dtype=np.int16)
    hu[1, 3:6, 5:15] = 0
    inside = hu > -600
    hu[1, 3:6, 4] = hu[1, 3:6, 15] = -700
    found = measure(Volume.from_geometry(hu), VoxelMask((0, 0, 0), inside))
    blunt = measure(Volume.from_geometry(np.where(inside, 0, -1000).astype(np.int16)), VoxelMask((0, 0, 0), inside))
    assert found.long_axis_mm > blunt.long_axis_mm + 0.2


@pytest.mark.parametrize("diameter", [1, 2])
def test_the_smallest_masks_are_measured_even_at_the_scans_corner(diameter: int) -> None:
    volume = Volume.from_geometry(np.zeros((3, 3, 3), dtype=np.int16))
    found = measure(volume, VoxelMask((0, 0, 0), np.ones((1, diameter, 1), dtype=bool)))
    assert found.volume_mm3 == diameter
    assert found.long_axis_mm >= found.short_axis_mm > 0


def test_densities_are_those_of_the_masks_voxels() -> None:
    hu = np.full((5, 5, 5), -900, dtype=np.int16)
    hu[2, 2, 1:4] = (10, 20, 60)
    found = measure(Volume.from_geometry(hu), VoxelMask((2, 2, 1), np.ones((1, 1, 3), dtype=bool)))
    assert (found.min_hu, found.max_hu, found.mean_hu) == (10.0, 60.0, 30.0)


@pytest.mark.parametrize(("hu", "expected"), [(40, "solid"), (-620, "ground-glass"), (500, "calcified"), (-80, "fat")])
@pytest.mark.parametrize("spacing", [THIN, THICK])
def test_density_type_of_a_uniform_nodule(hu: float, expected: str, spacing: tuple[float, float, float]) -> None:
    volume = Scene(spacing).ball(9, hu).volume()
    assert measure(volume, sphere_mask(volume, CENTER, 9)).density == expected


def test_a_solid_centre_in_ground_glass_is_part_solid() -> None:
    volume = Scene().ball(16, -600).ball(10, 30).volume()
    assert measure(volume, sphere_mask(volume, CENTER, 16)).density == "part-solid"


@pytest.mark.parametrize("diameter", [3.0, 4.0, 5.0])
def test_blur_does_not_turn_a_small_solid_nodule_into_ground_glass(diameter: float) -> None:
    volume = Scene().ball(diameter).volume()
    assert measure(volume, sphere_mask(volume, CENTER, diameter)).density == "solid"


@pytest.mark.parametrize("diameter", [2.5, 4.0, 8.0])
def test_recovered_share_is_what_a_blurred_sphere_keeps_at_its_centre(diameter: float) -> None:
    step, slice_mm = 0.1, 1.5
    k, j, i = np.ogrid[-60:61, -60:61, -60:61]
    sphere = ((k * step) ** 2 + (j * step) ** 2 + (i * step) ** 2 <= (diameter / 2) ** 2).astype(np.float32)
    sigma = np.sqrt((2 * IN_PLANE_BLUR_MM**2 + slice_mm**2 / 12) / 3) / step
    expected = float(ndimage.gaussian_filter(sphere, sigma, truncate=6)[60, 60, 60])
    assert recovered_share(diameter, slice_mm) == pytest.approx(expected, abs=0.02)


def test_core_density_of_a_small_nodule_is_freed_from_the_lung_that_blur_mixes_in() -> None:
    volume = Scene(THICK, side_mm=26).ball(4).volume(noise=0)
    mask = sphere_mask(volume, CENTER, 4)
    deepest = np.sort(volume.voxels[mask.region][mask.voxels])[-4:].mean()
    corrected = np.sort(core_densities(volume, mask))[-4:].mean()
    assert deepest < corrected < TISSUE_HU + 150


def test_empty_and_misplaced_masks_are_refused() -> None:
    volume = Volume.from_geometry(np.zeros((4, 4, 4), dtype=np.int16))
    with pytest.raises(ValueError, match="empty"):
        measure(volume, VoxelMask((0, 0, 0), np.zeros((2, 2, 2), dtype=bool)))
    with pytest.raises(ValueError, match="beyond"):
        measure(volume, VoxelMask((3, 0, 0), np.ones((2, 2, 2), dtype=bool)))


# -- refine_mask --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hu", [TISSUE_HU, -600.0], ids=["solid", "ground-glass"])
@pytest.mark.parametrize(("diameter", "tolerance"), [(4.0, 0.2), (6.0, 0.08), (10.0, 0.06), (20.0, 0.04)])
@pytest.mark.parametrize("factor", [0.75, 1.0, 1.3])
def test_a_rough_sphere_becomes_the_nodules_size(hu: float, diameter: float, tolerance: float, factor: float) -> None:
    volume = Scene().ball(diameter, hu).volume()
    found = measure(volume, refine_mask(volume, (CENTER, diameter * factor)))
    assert found.diameter_mm == pytest.approx(diameter, rel=tolerance)


def test_three_millimetre_nodules_stay_small_over_noise_and_seeds() -> None:
    ratios = []
    for seed in range(4):
        volume = Scene(side_mm=26).ball(3).volume(seed=seed)
        ratios += [measure(volume, refine_mask(volume, (CENTER, 3 * f))).diameter_mm / 3 for f in (0.8, 1.0, 1.3)]
    assert 0.9 < np.mean(ratios) < 1.2
    assert max(ratios) < 1.5


def test_a_vessel_through_the_nodule_is_cut_off() -> None:
    truth = on_grid(sphere_mask(Scene().grid, CENTER, 12), Scene().grid)
    volume = Scene().ball(12).vessel(3).volume()
    cut = on_grid(refine_mask(volume, (CENTER, 14.0)), volume)
    uncut = on_grid(refine_mask(volume, (CENTER, 14.0), settings=RefineSettings(opening=0.0)), volume)
    assert dice(cut, truth) > 0.93
    assert (uncut & ~truth).sum() > 2 * (cut & ~truth).sum()


def test_the_chest_wall_is_left_out_of_a_nodule_on_the_pleura() -> None:
    scene = Scene(side_mm=42).ball(10).wall(3.5)
    volume = scene.volume()
    outline = on_grid(refine_mask(volume, (CENTER, 13.0)), volume)
    open_hull = RefineSettings(hull_margin_mm=1e3)
    with_wall = on_grid(refine_mask(volume, (CENTER, 13.0), settings=open_hull), volume)
    j = (np.arange(volume.shape[1]) - volume.lps_to_index(CENTER)[1]) * volume.spacing_kji_mm[1]
    inside_wall = (j > 5.2)[None, :, None]
    assert (with_wall & inside_wall).sum() > 100
    assert (outline & inside_wall).sum() < 0.1 * (with_wall & inside_wall).sum()
    in_lung = on_grid(sphere_mask(volume, CENTER, 10), volume) & (j < 3)[None, :, None]
    assert (outline & in_lung).sum() > 0.9 * in_lung.sum()


def test_a_lung_mask_keeps_other_air_from_spanning_the_wall() -> None:
    scene = Scene(side_mm=42).ball(10).wall(3.5)
    scene.hu[np.broadcast_to(scene.j > 9, scene.hu.shape)] = -1000  # air beyond a thin wall: gut, or the room
    volume = scene.volume()
    lung = on_grid(VoxelMask((0, 0, 0), np.ones(volume.shape, dtype=bool)), volume)
    j = (np.arange(volume.shape[1]) - volume.lps_to_index(CENTER)[1]) * volume.spacing_kji_mm[1]
    lung[:, j > 5, :] = False
    beyond = (j > 5.2)[None, :, None]
    without = on_grid(refine_mask(volume, (CENTER, 13.0)), volume)
    outline = on_grid(refine_mask(volume, (CENTER, 13.0), lung), volume)
    assert (outline & beyond).sum() < 0.3 * (without & beyond).sum()


def test_an_outline_never_reaches_far_beyond_its_seed() -> None:
    volume = Scene().ball(30).volume()
    for diameter in (4.0, 8.0, 12.0):
        seed = sphere_mask(volume, CENTER, diameter)
        own = equivalent_diameter(seed.voxels.sum() * volume.voxel_volume_mm3)
        found = measure(volume, refine_mask(volume, seed))
        assert found.diameter_mm <= 1.65 * own + 0.7


def test_a_seed_where_nothing_stands_out_comes_back_as_it_is() -> None:
    volume = Volume.from_geometry(np.full((20, 20, 20), -850, dtype=np.int16))
    seed = sphere_mask(volume, (10.0, 10.0, 10.0), 6)
    same = refine_mask(volume, seed)
    assert same.start_kji == seed.start_kji
    assert np.array_equal(same.voxels, seed.voxels)


def test_a_speck_in_a_large_seed_does_not_replace_it() -> None:
    volume = Scene().ball(3).volume()
    seed = sphere_mask(volume, CENTER, 14)
    assert refine_mask(volume, seed).voxels.sum() == seed.voxels.sum()
    assert refine_mask(volume, seed, settings=RefineSettings(least_share=0.0)).voxels.sum() < 0.08 * seed.voxels.sum()


def test_a_nodule_at_the_scans_edge_is_outlined_within_the_scan() -> None:
    whole = Scene().ball(10).volume()
    index = np.rint(whole.lps_to_index(CENTER)).astype(int)
    half = whole.cropped((index[0], 0, index[2]), whole.shape)
    outline = refine_mask(half, (CENTER, 11.0))
    quarter = on_grid(sphere_mask(half, CENTER, 10), half)
    assert dice(on_grid(outline, half), quarter) > 0.85


def test_refining_takes_milliseconds() -> None:
    volume = Scene().ball(10).volume()
    refine_mask(volume, (CENTER, 10.0))
    start = time.process_time()
    for _ in range(10):
        refine_mask(volume, (CENTER, 10.0))
    # 8 ms measured; the bound leaves room for a slow or busy machine.
    assert (time.process_time() - start) / 10 < 0.04


def readers_crops(folder: Path, step: int) -> Iterator[tuple[Volume, np.ndarray, dict[str, str]]]:
    """Every n-th real nodule that is at least 5 slices deep: its crop, its readers' outline and its row."""
    stored = np.load(folder / "lidc-nodules" / "crops.npz")
    hu, masks, offset = stored["hu"], stored["mask"], stored["offset"]
    shapes, spacings, origins = stored["shape_kji"], stored["spacing_kji_mm"], stored["origin_kji_lps_mm"]
    with (folder / "lidc-nodules" / "crops.csv").open() as file:
        rows = list(csv.DictReader(file))
    for n in range(0, len(rows), step):
        if shapes[n][0] >= 5:
            part = slice(offset[n], offset[n + 1])
            grid = Volume.from_geometry(
                hu[part].reshape(shapes[n]), spacing_kji_mm=spacings[n], origin_lps=origins[n][::-1]
            )
            yield grid, masks[part].reshape(shapes[n]) > 0, rows[n]


def test_outlines_from_rough_spheres_agree_with_readers(shared_data: Path) -> None:
    scores, ratios = [], []
    for volume, truth, row in readers_crops(shared_data, 14):
        center = volume.index_to_lps(np.argwhere(truth).mean(axis=0))
        own = equivalent_diameter(truth.sum() * volume.voxel_volume_mm3)
        for factor in (0.75, 1.0, 1.25):
            outline = refine_mask(volume, ((center[0], center[1], center[2]), own * factor))
            scores.append(dice(on_grid(outline, volume), truth))
            ratios.append(measure(volume, outline).diameter_mm / float(row["diameter_mm"]))
    assert len(scores) >= 60
    assert np.median(scores) >= 0.78
    assert np.mean(np.abs(np.array(ratios) - 1) < 0.2) >= 0.75


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.0, 1.2])
def test_diameter_of_a_known_nodule_is_within_a_fifth_of_luna16s(shared_data: Path, factor: float) -> None:
    (volume, _, row), *_ = (crop for crop in readers_crops(shared_data, 1) if crop[2]["nodule"] == "LIDC-IDRI-0314_R_1")
    diameter = float(row["diameter_mm"])
    center = (float(row["coordX"]), float(row["coordY"]), float(row["coordZ"]))
    found = measure(volume, refine_mask(volume, (center, diameter * factor)))
    assert found.diameter_mm == pytest.approx(diameter, rel=0.2)
    assert found.density == "solid"
