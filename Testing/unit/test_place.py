"""Where a nodule is: side, zone, pleura and what it touches, on lungs of known shape, the phantom and real scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from result_inputs import AXES
from scipy import ndimage

from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.measurement import Lungs, measure, sphere_mask
from LungNoduleCADLib.measurement.occupancy import occupancy
from LungNoduleCADLib.measurement.place import place_of, vessel_section_mm2
from LungNoduleCADLib.preprocess.lung_mask import segment_lungs
from LungNoduleCADLib.simulation import NoduleSpec, Phantom, make_phantom
from LungNoduleCADLib.volume import Volume

LUNG_HU, TISSUE_HU = -850, 40
HALF_WIDTH, HALF_DEPTH, HALF_HEIGHT = 55.0, 80.0, 120.0
PERMUTED = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""Slices run from right to left, rows from head to foot's other way: no array axis is where it usually is."""


def chest(
    *lungs: tuple[float, float],
    direction: np.ndarray | None = None,
    center: tuple[float, float, float] = (0.0, 0.0, 0.0),
    extent_mm: tuple[float, float, float] = (320.0, 220.0, 280.0),
    spacing: tuple[float, float, float] = (4.0, 3.0, 3.0),
) -> tuple[Volume, np.ndarray]:
    """A body with ellipsoids for lungs, and their mask.

    :param lungs: x of each one's middle and its height as a share of a whole lung's.
    :param center: of the field of view, LPS mm; :param extent_mm: of it along x, y and z.
    """
    axes = np.eye(3) if direction is None else direction
    along = np.abs(axes).T @ np.asarray(extent_mm)
    shape = np.ceil(along[::-1] / spacing).astype(int)
    origin = np.asarray(center) - axes @ ((shape - 1) / 2 * np.asarray(spacing))[::-1]
    grid = Volume.from_geometry(
        np.zeros(shape, dtype=np.int16), spacing_kji_mm=spacing, origin_lps=origin, direction=axes
    )
    x, y, z = np.moveaxis(grid.index_to_lps(np.moveaxis(np.indices(shape), 0, -1)), -1, 0)
    hu = np.where((x / 150) ** 2 + (y / 105) ** 2 <= 1, TISSUE_HU, -1000)
    mask = np.zeros(grid.shape, dtype=bool)
    for middle, share in lungs:
        high = HALF_HEIGHT * share
        mask |= ((x - middle) / HALF_WIDTH) ** 2 + (y / HALF_DEPTH) ** 2 + ((z + HALF_HEIGHT - high) / high) ** 2 <= 1
    return grid.with_voxels(np.where(mask, LUNG_HU, hu).astype(np.int16)), mask


def with_junction(mask: np.ndarray) -> np.ndarray:
    """The two lungs of a mask joined by a thin bridge in front, as at the anterior junction line."""
    joined = mask.copy()
    k, j, i = mask.shape
    joined[k // 3 : 2 * k // 3, j // 3 : j // 3 + 2, i // 3 : 2 * i // 3] = True
    assert ndimage.label(mask)[1] == 2 and ndimage.label(joined)[1] == 1
    return joined


# -- side and zone ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [*AXES, "sagittal"])
def test_side_and_zone_follow_the_patient_not_the_array(axes: str) -> None:
    direction = PERMUTED if axes == "sagittal" else AXES[axes]
    lungs = Lungs.of(*chest((-70, 1), (70, 1), direction=direction, extent_mm=(360.0, 300.0, 360.0), spacing=(6, 5, 5)))
    assert lungs.side_and_zone((-70, 0, 80)) == ("right", "upper")
    assert lungs.side_and_zone((-70, 0, -80)) == ("right", "lower")
    assert lungs.side_and_zone((70, 30, 0)) == ("left", "middle")


def test_zones_are_thirds_of_the_own_lungs_height() -> None:
    lungs = Lungs.of(*chest((-70, 0.6), (70, 1)))
    # The right lung reaches from -120 to 24 mm, the left one to 120.
    assert lungs.side_and_zone((-70, 0, 0)) == ("right", "upper")
    assert lungs.side_and_zone((70, 0, 0)) == ("left", "middle")
    assert [lungs.side_and_zone((70, 0, z))[1] for z in (-44, -36, 36, 44)] == ["lower", "middle", "middle", "upper"]


def test_lungs_that_touch_in_front_are_told_apart() -> None:
    volume, mask = chest((-70, 1), (70, 1))
    lungs = Lungs.of(volume, with_junction(mask))
    assert {part.side for part in lungs.parts} == {"left", "right"}
    assert lungs.side_and_zone((-25, 0, 0))[0] == "right" and lungs.side_and_zone((25, 0, 0))[0] == "left"


def test_lungs_grown_together_broadly_are_parted_in_the_middle() -> None:
    volume, mask = chest((-50, 1), (50, 1))
    lungs = Lungs.of(volume, mask)
    assert lungs.side_and_zone((-8, 0, 0))[0] == "right" and lungs.side_and_zone((8, 0, 0))[0] == "left"


@pytest.mark.parametrize(("middle", "side"), [(-70, "right"), (70, "left")])
def test_the_only_lung_left_beside_a_collapsed_one_has_its_side(middle: float, side: str) -> None:
    lungs = Lungs.of(*chest((middle, 1)))
    assert [part.side for part in lungs.parts] == [side]


@pytest.mark.parametrize(("middle", "side"), [(-70, "right"), (70, "left")])
def test_a_field_of_view_around_one_lung_does_not_hide_its_side(middle: float, side: str) -> None:
    lungs = Lungs.of(*chest((middle, 1), center=(middle * 0.9, 0.0, 0.0), extent_mm=(180.0, 200.0, 280.0)))
    assert [part.side for part in lungs.parts] == [side]


def test_a_lung_in_two_pieces_is_one_lung() -> None:
    volume, mask = chest((-70, 1), (70, 1))
    k = mask.shape[0] // 2
    mask[k : k + 4, :, : mask.shape[2] // 2] = False  # consolidation across the right lung
    lungs = Lungs.of(volume, mask)
    assert sorted(part.side for part in lungs.parts) == ["left", "right"]
    assert lungs.side_and_zone((-70, 0, 100)) == ("right", "upper")
    mask[:, :, mask.shape[2] // 2 :] = False
    assert [part.side for part in Lungs.of(volume, mask).parts] == ["right"]


def test_a_smaller_other_lung_keeps_its_side() -> None:
    lungs = Lungs.of(*chest((-70, 1), (70, 0.4)))
    assert lungs.side_and_zone((70, 0, -100)) == ("left", "lower")


def test_a_slab_tells_the_side_but_no_zone() -> None:
    volume, mask = chest((-70, 1), (70, 1))
    slab = volume.cropped((30, 0, 0), (42, *volume.shape[1:]))
    lungs = Lungs.of(slab, mask[30:42])
    assert lungs.side_and_zone((-70, 0, 0)) == ("right", None) and lungs.side_and_zone((70, 0, 0)) == ("left", None)


def test_a_lung_that_is_whole_has_zones_beside_one_that_is_cut() -> None:
    volume, mask = chest((-70, 0.8), (70, 1))
    seen = volume.shape[0] - 10  # the left apex lies beyond
    lungs = Lungs.of(volume.cropped((0, 0, 0), (seen, *volume.shape[1:])), mask[:seen])
    assert lungs.side_and_zone((-70, 0, 40)) == ("right", "upper")
    assert lungs.side_and_zone((70, 0, 40)) == ("left", None)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (40, 40, 40)])
def test_any_mask_with_a_voxel_gives_an_answer(shape: tuple[int, int, int]) -> None:
    mask = np.zeros(shape, dtype=bool)
    mask[0, 0, 0] = True
    lungs = Lungs.of(Volume.from_geometry(np.zeros(shape, dtype=np.int16)), mask)
    assert lungs.side_and_zone((0.0, 0.0, 0.0))[1] is None


# -- pleura and vessels -------------------------------------------------------------------------------------------


def in_lung(
    gap_mm: float, axis: int = 1, spacing: tuple[float, float, float] = (1.0, 0.7, 0.7), vessel_mm: float = 0.0
) -> tuple[Volume, VoxelMask, np.ndarray]:
    """A ball of 8 mm that far from a wall across the axis k, j or i; a vessel runs through it along another."""
    shape = np.ceil(np.array([90.0, 90.0, 90.0]) / spacing).astype(int)
    volume = Volume.from_geometry(np.zeros(shape, dtype=np.int16), spacing_kji_mm=spacing)
    zyx = [g * s for g, s in zip(np.indices(shape), spacing, strict=True)]
    wall = zyx[axis] > 60.0
    middle = [45.0, 45.0, 45.0]
    middle[axis] = 60.0 - gap_mm - 4.0
    ball = sum((g - c) ** 2 for g, c in zip(zyx, middle, strict=True)) <= 16.0
    across = [a for a in range(3) if a != (axis + 1) % 3]
    tube = sum((zyx[a] - middle[a]) ** 2 for a in across) <= (vessel_mm / 2) ** 2
    hu = np.where(wall | ball | tube, 40.0, -860.0)
    hu = ndimage.gaussian_filter(hu, [0.5 / s for s in spacing])
    hu += np.random.default_rng(0).normal(0, 20, hu.shape)
    lung = ndimage.distance_transform_edt(wall, sampling=spacing) <= 2.0  # the mask lies a little outside the pleura
    volume = volume.with_voxels(hu.astype(np.int16))
    return volume, sphere_mask(volume, (middle[2], middle[1], middle[0]), 8.0), lung


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["diaphragm", "costal", "mediastinum"])
@pytest.mark.parametrize("gap", [3.0, 8.0, 20.0, 40.0])
@pytest.mark.parametrize("slice_mm", [1.0, 2.5])
def test_distance_to_the_pleura_is_that_of_the_surfaces(axis: int, gap: float, slice_mm: float) -> None:
    volume, mask, lung = in_lung(gap, axis, (slice_mm, 0.7, 0.7))
    found = measure(volume, mask, Lungs.of(volume, lung))
    # Towards head and foot a tip that fills little of its slice is not seen.
    assert found.pleura_distance_mm == pytest.approx(gap, abs=0.5 + (slice_mm if axis == 0 else 0))
    assert found.juxtapleural is False


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("gap", [0.0, -2.0])
def test_a_nodule_on_the_pleura_touches_it(axis: int, gap: float) -> None:
    volume, mask, lung = in_lung(gap, axis)
    found = measure(volume, mask, Lungs.of(volume, lung))
    assert found.juxtapleural is True and found.pleura_distance_mm == pytest.approx(0, abs=1.0)


@pytest.mark.parametrize(("vessel", "touches"), [(0.0, False), (1.0, False), (4.5, True)])
def test_a_vessel_counts_from_a_readers_size_on(vessel: float, touches: bool) -> None:
    volume, mask, lung = in_lung(25.0, vessel_mm=vessel)
    assert measure(volume, mask, Lungs.of(volume, lung)).juxtavascular is touches


def test_the_chest_wall_is_no_vessel() -> None:
    volume, mask, lung = in_lung(-1.0)
    found = occupancy(volume, mask)
    assert vessel_section_mm2(found, Lungs.of(volume, lung)) < 10


def test_a_scan_that_is_all_lung_has_no_pleura() -> None:
    volume, mask, lung = in_lung(20.0)
    assert place_of(occupancy(volume, mask), Lungs.of(volume, np.ones_like(lung))).pleura_distance_mm is None


def test_without_lungs_the_place_is_unknown() -> None:
    volume, mask, _ = in_lung(20.0)
    found = measure(volume, mask)
    place = (found.side, found.zone, found.pleura_distance_mm, found.juxtapleural, found.juxtavascular)
    assert place == (None,) * 5


# -- the phantom and real scans -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    wanted = [(5, "isolated"), (8, "isolated"), (6, "juxtapleural"), (12, "juxtapleural"), (8, "juxtavascular")]
    specs = [NoduleSpec(float(size), location=place) for size, place in wanted]  # type: ignore[arg-type]
    return make_phantom(71, specs, (1.5, 1.0, 1.0), size="small")


def test_the_phantoms_nodules_lie_where_they_were_put(phantom: Phantom) -> None:
    volume, truth = phantom.volume, phantom.lung_mask.voxels
    lungs = Lungs.of(volume, segment_lungs(volume))
    depth = ndimage.distance_transform_edt(truth, sampling=volume.spacing_kji_mm)
    for nodule in phantom.nodules:
        assert nodule.mask is not None
        found = measure(volume, nodule.mask, lungs)
        assert found.side == ("left" if nodule.center_lps[0] > 0 else "right") and found.zone is None, nodule.label
        distance = max(float(depth[nodule.mask.region][nodule.mask.voxels].min()) - 1.0, 0.0)
        assert found.pleura_distance_mm == pytest.approx(distance, abs=1.5), nodule.label
        assert found.juxtapleural is (nodule.spec.location == "juxtapleural"), nodule.label
        assert found.juxtavascular is (nodule.spec.location == "juxtavascular"), nodule.label


@pytest.mark.parametrize(
    ("scan", "center_lps", "diameter_mm", "side", "whole"),
    [
        ("LIDC-IDRI-0314", (-57.44, 131.23, -520.36), 15.49, "right", True),
        ("LIDC-IDRI-0003-slab", (72.29, 76.90, -190.46), 21.45, "left", False),
    ],
)
def test_the_known_nodules_lie_in_the_right_lung_and_in_the_left(
    shared_data: Path, scan: str, center_lps: tuple[float, float, float], diameter_mm: float, side: str, whole: bool
) -> None:
    volume = read_volume(shared_data / "ct" / scan)
    found = measure(volume, sphere_mask(volume, center_lps, diameter_mm), Lungs.of(volume, segment_lungs(volume)))
    assert found.side == side and (found.zone is not None) is whole
    assert found.pleura_distance_mm is not None and 0 <= found.pleura_distance_mm < 60
