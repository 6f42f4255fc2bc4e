"""The lung mask on real scans (points found by looking at them) and on a synthetic chest with known truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.preprocess.lung_mask import lung_mask_from_labels, segment_lungs
from LungNoduleCADLib.simulation.phantom import make_phantom
from LungNoduleCADLib.volume import Volume


# -- real scans ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Expected:
    """What is known of a scan: litres of the patient's right and left lung in the image, points (k, j, i) of gas that
    is no lung, and the centre (LPS) and radius, mm, of a reference nodule."""

    right_l: tuple[float, float]
    left_l: tuple[float, float]
    gas_kji: tuple[tuple[int, int, int], ...]
    nodule: tuple[float, float, float, float] | None = None


REAL = {
    # the ranges are some 20 % around what the outlines, checked by eye, enclose; trachea first, then bowel
    "R01-001": Expected((1.9, 2.8), (1.6, 2.4), ((220, 231, 245), (250, 218, 245), (26, 160, 333), (26, 214, 369))),
    "LIDC-IDRI-0314": Expected(
        (0.8, 1.4), (1.7, 2.6), ((220, 282, 237), (235, 266, 239), (0, 208, 339)), (-57.44, 131.23, -520.36, 7.7)
    ),
    "C3N-00247": Expected((2.4, 3.5), (1.7, 2.6), ((74, 245, 238), (90, 207, 268), (15, 66, 175), (1, 140, 376))),
    "113_HM10395": Expected((1.2, 2.0), (0.8, 1.3), ((82, 268, 253), (76, 278, 256), (20, 172, 277), (20, 229, 369))),
    "MSB-01068": Expected((2.1, 3.2), (1.7, 2.6), ((65, 245, 242), (73, 235, 241), (55, 256, 243))),
    "Lung_Dx-A0002": Expected((1.0, 1.6), (1.4, 2.1), ((23, 270, 240), (29, 248, 249), (0, 118, 337))),
    "LIDC-IDRI-0002-slab": Expected((0.11, 0.17), (0.11, 0.17), ((4, 261, 260), (9, 260, 260))),
    "LIDC-IDRI-0003-slab": Expected((0.32, 0.48), (0.35, 0.53), (), (72.29, 76.90, -190.46, 10.7)),
}


def _read(folder: Path) -> Volume:
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    return Volume.from_geometry(
        sitk.GetArrayFromImage(image).astype(np.int16),
        spacing_kji_mm=image.GetSpacing()[::-1],
        origin_lps=image.GetOrigin(),
        direction=image.GetDirection(),
    )


@pytest.mark.parametrize("name", REAL)
def test_real_scan_keeps_both_lungs_and_its_nodule_and_leaves_gas_elsewhere_out(shared_data: Path, name: str) -> None:
    volume = _read(shared_data / "ct" / name)
    mask = segment_lungs(volume)
    expected = REAL[name]
    middle = volume.shape[2] // 2
    liters = volume.voxel_volume_mm3 / 1e6
    assert mask.shape == volume.shape
    assert mask.dtype == np.bool_
    # i grows to the patient's left in all these scans
    assert expected.right_l[0] < mask[:, :, :middle].sum() * liters < expected.right_l[1]
    assert expected.left_l[0] < mask[:, :, middle:].sum() * liters < expected.left_l[1]
    for point in expected.gas_kji:
        assert volume.voxels[point] < -850, "not a point in gas: the test is wrong"
        assert not mask[point]
    if expected.nodule:
        center = volume.lps_to_index(expected.nodule[:3])
        grid = np.ogrid[tuple(map(slice, mask.shape))]
        distance_2 = sum(((g - c) * s) ** 2 for g, c, s in zip(grid, center, volume.spacing_kji_mm, strict=True))
        assert mask[distance_2 < expected.nodule[3] ** 2].all()


@pytest.mark.parametrize(("name", "thinner_hu", "cut"), [
    ("R01-001", 70, None), ("MSB-01068", 70, 0), ("MSB-01068", 70, 30), ("C3N-00247", 40, None), ("C3N-00247", 40, 0),
])  # fmt: skip
def test_emphysematous_lungs_are_neither_airway_nor_the_air_outside(
    shared_data: Path, name: str, thinner_hu: int, cut: int | None
) -> None:
    """The lung itself, not its vessels, made as thin as severe emphysema; and the image cut off where the lungs end, or
    some columns within them."""
    scan = _read(shared_data / "ct" / name)
    lungs = segment_lungs(scan)
    hu = np.where(lungs & (scan.voxels < -700), scan.voxels - thinner_hu, scan.voxels).astype(np.int16)
    if cut is not None:
        _, rows, columns = ndimage.find_objects(lungs.view(np.uint8))[0]
        columns = slice(columns.start + cut, columns.stop - cut)
        hu, lungs = hu[:, rows, columns].copy(), lungs[:, rows, columns]
    k, j, i = scan.spacing_kji_mm
    mask = segment_lungs(Volume.from_geometry(hu, spacing_kji_mm=(k, j, i)))
    assert mask[lungs].mean() > 0.99
    assert _dice(mask, lungs) > 0.95


def test_air_lifted_by_noise_and_calibration_does_not_make_the_image_all_body(shared_data: Path) -> None:
    scan = _read(shared_data / "ct" / "C3N-00247")  # air at -951 HU already
    lungs = segment_lungs(scan)
    k, j, i = scan.spacing_kji_mm
    assert _dice(segment_lungs(Volume.from_geometry(scan.voxels + 40, spacing_kji_mm=(k, j, i))), lungs) > 0.97


# -- a synthetic chest --------------------------------------------------------------------------------------------
SPACING = (2.5, 1.5, 1.5)
SHAPE = (60, 180, 220)
LUNG_CENTERS = ((80.0, 140.0, 92.0), (80.0, 140.0, 238.0))
LUNG_RADII = (62.0, 75.0, 52.0)


def _ellipsoid(
    center_mm: tuple[float, ...], radii_mm: tuple[float, ...], shape: tuple[int, ...] = SHAPE
) -> NDArray[np.bool_]:
    grid = np.ogrid[tuple(map(slice, shape))]
    scaled = [((g * s - c) / r) ** 2 for g, s, c, r in zip(grid, SPACING, center_mm, radii_mm, strict=True)]
    return scaled[0] + scaled[1] + scaled[2] <= 1.0


def _chest() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    hu, lungs = _fixed_chest()
    return hu.copy(), lungs.copy()


@lru_cache(maxsize=1)
def _fixed_chest() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """HU and the true lungs: trunk, two lungs with vessels, heart, spine, trachea, a table, air outside."""
    rng = np.random.default_rng(3)
    hu = np.full(SHAPE, -1000.0, dtype=np.float32)
    hu[_ellipsoid((80.0, 140.0, 165.0), (4000.0, 110.0, 150.0))] = 40.0
    lungs = np.zeros(SHAPE, dtype=bool)
    for center in LUNG_CENTERS:
        lungs |= _ellipsoid(center, LUNG_RADII)
    lungs &= ~_ellipsoid((60.0, 125.0, 175.0), (60.0, 55.0, 50.0))
    hu[lungs] = -860.0
    for _ in range(100):
        k, j, i = rng.integers(0, SHAPE)
        hu[_ellipsoid((k * 2.5, j * 1.5, i * 1.5), (2.5, 2.5, 10.0)) & lungs] = 30.0
    hu[_ellipsoid((80.0, 200.0, 165.0), (4000.0, 18.0, 20.0))] = 300.0
    hu[_trachea()] = -1000.0
    hu[:, 172:175, 20:200] = 200.0
    return hu + rng.normal(0, 25, SHAPE).astype(np.float32), lungs


def _trachea() -> NDArray[np.bool_]:
    return _ellipsoid((150.0, 160.0, 165.0), (60.0, 9.0, 9.0))


def _volume(hu: NDArray[np.float32], origin_slice: int = 0) -> Volume:
    return Volume.from_geometry(hu, spacing_kji_mm=SPACING, origin_lps=(0.0, 0.0, origin_slice * SPACING[0]))


def _dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_mask_covers_the_lungs_with_a_narrow_margin_and_leaves_the_trachea_out() -> None:
    hu, lungs = _chest()
    mask = segment_lungs(_volume(hu))
    assert mask[lungs].mean() > 0.995
    distance = ndimage.distance_transform_edt(~lungs, sampling=SPACING)
    assert np.percentile(distance[mask & ~lungs], 90) < 6.0
    assert mask[_trachea()].mean() < 0.05


def test_noise_of_a_very_sharp_kernel_does_not_lose_lung() -> None:
    hu, lungs = _chest()
    noisy = np.maximum(hu + np.random.default_rng(5).normal(0, 180, SHAPE).astype(np.float32), -1024)
    mask = segment_lungs(_volume(noisy))
    assert mask[lungs].mean() > 0.98
    assert _dice(mask, lungs) > 0.90


def test_five_slices_are_enough() -> None:
    hu, lungs = _chest()
    slab = slice(28, 33)
    mask = segment_lungs(_volume(hu[slab]))
    assert mask[lungs[slab]].mean() > 0.99
    assert _dice(mask, lungs[slab]) > 0.9


@pytest.mark.parametrize("columns", [slice(40, 220), slice(40, 185), slice(0, 110)])
def test_lungs_cut_by_the_edge_of_the_image_are_kept(columns: slice) -> None:
    hu, lungs = _chest()
    mask = segment_lungs(_volume(hu[:, :, columns].copy()))
    assert mask[lungs[:, :, columns]].mean() > 0.97
    assert _dice(mask, lungs[:, :, columns]) > 0.9


def test_a_field_of_view_within_the_patient_keeps_what_it_shows_of_the_lungs() -> None:
    hu, lungs = _chest()
    rows, columns = (slice(np.flatnonzero(lungs.any(axis=a))[0] + 12, np.flatnonzero(lungs.any(axis=a))[-1] - 12)
                     for a in ((0, 2), (0, 1)))  # fmt: skip
    part = lungs[:, rows, columns]
    mask = segment_lungs(_volume(hu[:, rows, columns].copy()))
    assert mask[part].mean() > 0.97
    assert _dice(mask, part) > 0.9


@pytest.mark.parametrize("padding_hu", [-3024.0, -2000.0, -1000.0])
def test_lungs_cut_by_a_reconstruction_circle_are_kept_whatever_the_padding(padding_hu: float) -> None:
    hu, lungs = _chest()
    hu, lungs = hu[:, 15:165, 35:185].copy(), lungs[:, 15:165, 35:185].copy()
    y, x = np.mgrid[:150, :150] - 74.5
    outside = np.hypot(y, x) > 75.5
    assert lungs[:, outside].any(), "the circle does not cut the lungs: the test is wrong"
    hu[:, outside] = padding_hu
    lungs[:, outside] = False
    mask = segment_lungs(_volume(hu))
    assert mask[lungs].mean() > 0.97
    assert mask[:, np.hypot(y, x) > 80].mean() < 0.01


@pytest.mark.parametrize("radius_mm", [3.0, 5.0, 8.0, 12.0])
def test_nodule_on_the_costal_pleura_stays_inside(radius_mm: float) -> None:
    hu, lungs = _chest()
    # a third of the nodule lies in the chest wall, at the most lateral point of the right lung
    center = (80.0, 140.0, LUNG_CENTERS[0][2] - LUNG_RADII[2] + 0.4 * radius_mm)
    nodule = _ellipsoid(center, (radius_mm,) * 3)
    hu[nodule] = 40.0
    mask = segment_lungs(_volume(hu))
    assert mask[tuple(np.round(np.array(center) / SPACING).astype(int))]
    assert mask[nodule & lungs].mean() > 0.75


@pytest.mark.parametrize("radius_mm", [4.0, 10.0, 15.0, 25.0])
def test_nodule_or_mass_inside_the_lung_is_filled(radius_mm: float) -> None:
    hu, _ = _chest()
    mass = _ellipsoid((80.0, 150.0, 85.0), (radius_mm,) * 3)
    hu[mass] = 40.0
    assert segment_lungs(_volume(hu))[mass].all()


def test_bowel_gas_below_the_lung_is_left_out() -> None:
    hu, lungs = _chest()
    bubble = _ellipsoid((12.0, 90.0, 240.0), (9.0, 25.0, 38.0)) & ~ndimage.binary_dilation(lungs, iterations=3)
    hu[bubble] = -1000.0
    mask = segment_lungs(_volume(hu))
    assert bubble.sum() * np.prod(SPACING) > 20_000, "the bubble is too small to prove anything"
    assert mask[bubble].mean() < 0.02
    assert mask[lungs].mean() > 0.99


def test_emphysema_stays_in_the_mask() -> None:
    hu, _ = _chest()
    bulla = _ellipsoid((95.0, 150.0, 85.0), (18.0, 20.0, 20.0))
    hu[bulla] = -985.0
    mask = segment_lungs(_volume(hu))
    assert mask[bulla].mean() > 0.99


def test_foam_under_the_patient_is_no_lung() -> None:
    hu, _ = _chest()
    padded = np.concatenate([hu, np.full((SHAPE[0], 30, SHAPE[2]), -1000, np.float32)], axis=1)
    padded[:, 178:200, 20:200] = -880.0
    mask = segment_lungs(_volume(padded))
    assert not mask[:, 175:].any()


def test_orientation_of_the_array_does_not_change_the_mask() -> None:
    hu, _ = _chest()
    upright = segment_lungs(_volume(hu))
    # the same patient stored sagittal, feet last: array axes (i, k reversed, j)
    matrix = np.zeros((4, 4))
    matrix[:3, 0] = (0.0, 1.5, 0.0)
    matrix[:3, 1] = (0.0, 0.0, -2.5)
    matrix[:3, 2] = (1.5, 0.0, 0.0)
    matrix[:, 3] = (0.0, 0.0, 2.5 * (SHAPE[0] - 1), 1.0)
    turned = Volume(np.ascontiguousarray(hu.transpose(2, 0, 1)[:, ::-1]), matrix)
    assert _dice(segment_lungs(turned)[:, ::-1].transpose(1, 2, 0), upright) > 0.999


def test_simulated_chest_keeps_its_lungs_and_every_nodule() -> None:
    phantom = make_phantom(1, size="small")
    mask = segment_lungs(phantom.volume)
    assert mask[phantom.lung_mask.voxels > 0].mean() > 0.99
    assert (phantom.lung_mask.voxels > 0)[mask].mean() > 0.85
    assert phantom.nodules
    for nodule in phantom.nodules:
        index = phantom.volume.lps_to_index(nodule.center_lps)
        assert mask[tuple(np.round(index).astype(int))]


def test_progress_rises_to_one() -> None:
    hu, _ = _chest()
    shares: list[float] = []
    segment_lungs(_volume(hu), shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("value", [-1000.0, 40.0])
def test_image_without_a_lung_is_refused_with_the_way_out(value: float) -> None:
    with pytest.raises(InputError, match="--lung-mask none"):
        segment_lungs(_volume(np.full((20, 64, 64), value, dtype=np.float32)))


def test_abdomen_with_bowel_gas_only_is_refused() -> None:
    hu = np.full(SHAPE, -1000.0, dtype=np.float32)
    hu[_ellipsoid((80.0, 140.0, 165.0), (4000.0, 110.0, 150.0))] = 40.0
    hu[_ellipsoid((70.0, 110.0, 180.0), (30.0, 25.0, 40.0))] = -1000.0
    with pytest.raises(InputError, match="No lung"):
        segment_lungs(_volume(hu))


# -- label images -------------------------------------------------------------------------------------------------
def test_luna16_labels_give_the_lungs_without_the_trachea() -> None:
    labels = np.zeros((2, 3, 4), dtype=np.uint8)
    labels[0, 0, 0], labels[0, 1, 1], labels[1, 2, 3] = 3, 4, 5
    expected = np.zeros((2, 3, 4), dtype=bool)
    expected[0, 0, 0] = expected[0, 1, 1] = True
    np.testing.assert_array_equal(lung_mask_from_labels(labels), expected)


def test_binary_mask_is_taken_as_it_is() -> None:
    binary = np.random.default_rng(0).random((3, 4, 5)) > 0.5
    np.testing.assert_array_equal(lung_mask_from_labels(binary.astype(np.float32)), binary)


def test_empty_mask_is_refused() -> None:
    with pytest.raises(InputError, match="lung mask is empty"):
        lung_mask_from_labels(np.zeros((2, 2, 2), dtype=np.uint8))
