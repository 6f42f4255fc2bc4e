"""Resampling, window and patches: the document's numbers, with its faults put right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from LungNoduleCADLib.preprocess.patches import extract_patches, spherical_mask
from LungNoduleCADLib.preprocess.prepare import prepare_lung
from LungNoduleCADLib.preprocess.resample import resample_isotropic
from LungNoduleCADLib.preprocess.settings import Preprocessing, Resampling, Wavelet
from LungNoduleCADLib.preprocess.window import apply_window
from LungNoduleCADLib.volume import Volume


def scan(shape=(20, 50, 60), spacing=(2.5, 0.7, 0.8), seed=0, **geometry) -> Volume:
    rng = np.random.default_rng(seed)
    hu = ndimage.gaussian_filter(rng.normal(0, 2000, shape), 1).astype(np.int16)
    return Volume.from_geometry(hu, spacing_kji_mm=spacing, origin_lps=(-30, 12, 100), **geometry)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("spacing", [(2.5, 0.7, 0.8), (1.0, 1.0, 1.0), (0.625, 1.4, 0.5)])
def test_resampling_equals_scipys_spline(order: int, spacing: tuple[float, float, float]) -> None:
    volume = scan(spacing=spacing)
    image, grid = resample_isotropic(volume, order=order, antialias=False)
    points = np.stack(np.meshgrid(*[np.arange(n) / s for n, s in zip(grid.shape, spacing, strict=True)], indexing="ij"))
    expected = ndimage.map_coordinates(volume.voxels.astype(np.float64), points, order=order, mode="nearest")
    inner = tuple(slice(0, n - 3) for n in grid.shape)  # scipy itself extends a spline differently at the last samples
    assert np.abs(image.numpy()[inner] - expected[inner]).max() < 1e-4 * 1400


def test_each_axis_is_scaled_by_its_own_spacing() -> None:
    """Fault 2: a (k, j, i) array scaled by (x, y, z) spacing."""
    volume = scan(shape=(10, 40, 80), spacing=(3.0, 2.0, 0.5))
    image, grid = resample_isotropic(volume)
    assert tuple(image.shape) == grid.shape == (28, 79, 40)


def test_a_marker_stays_at_its_position_in_space_after_resampling() -> None:
    """Faults 3 and 5: positions are computed from the grid the voxels are really on, with its direction."""
    hu = np.full((24, 40, 44), -1000, dtype=np.int16)
    hu[13, 25, 11] = 400
    turn = np.array([[0.0, -1.0, 0.0], [0.8, 0.0, 0.6], [0.6, 0.0, -0.8]])
    volume = Volume.from_geometry(hu, spacing_kji_mm=(1.7, 0.8, 0.8), origin_lps=(5, -80, 33), direction=turn)
    image, grid = resample_isotropic(volume, start_kji=np.array([4, 5, 2]), stop_kji=np.array([22, 38, 40]))
    weights = np.clip(image.numpy() + 1000, 0, None) ** 2
    found = grid.index_to_lps(ndimage.center_of_mass(weights))
    assert np.linalg.norm(found - volume.index_to_lps((13, 25, 11))) < 0.35


def test_where_a_region_is_cut_does_not_change_its_values() -> None:
    volume = scan(shape=(40, 60, 60), spacing=(1.0, 1.0, 1.0))
    whole, _ = resample_isotropic(volume, antialias=True)
    part, _ = resample_isotropic(volume, start_kji=np.array([10, 20, 15]), stop_kji=np.array([30, 50, 45]))
    assert torch.allclose(part, whole[10:30, 20:50, 15:45], atol=0.02)


def test_antialiasing_quietens_noise_where_the_grid_gets_coarser() -> None:
    noise = Volume.from_geometry(
        np.random.default_rng(0).normal(0, 100, (12, 90, 90)).astype(np.float32), spacing_kji_mm=(1.0, 0.5, 0.5)
    )
    plain, _ = resample_isotropic(noise, antialias=False)
    smooth, _ = resample_isotropic(noise, antialias=True)
    assert smooth.std() < 0.75 * plain.std()


def test_window_clips_and_scales() -> None:
    hu = torch.tensor([-3024.0, -1000.0, -300.0, 400.0, 3000.0])
    assert torch.allclose(apply_window(hu), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


def test_outside_the_lung_is_air_not_water() -> None:
    """Fault 1."""
    volume = Volume.from_geometry(np.full((30, 30, 30), 40, dtype=np.int16))
    lung = np.zeros(volume.shape, dtype=bool)
    lung[10:20, 10:20, 10:20] = True
    prepared = prepare_lung(volume, lung, Preprocessing(outside_lung="air"))
    assert prepared.inside is not None
    assert (prepared.image[torch.from_numpy(~prepared.inside)] == 0).all()
    assert torch.allclose(prepared.image[torch.from_numpy(prepared.inside)], torch.tensor(1040 / 1400), atol=1e-3)


def test_preparation_keeps_a_margin_around_the_lung_and_its_place() -> None:
    volume = scan(shape=(60, 80, 80), spacing=(1.0, 0.9, 0.9))
    lung = np.zeros(volume.shape, dtype=bool)
    lung[30:40, 40:50, 45:60] = True
    prepared = prepare_lung(volume, lung)
    assert prepared.start_kji.tolist() == [14, 22, 27]
    assert np.allclose(prepared.grid.index_to_lps((0, 0, 0)), volume.index_to_lps((14, 22, 27)))
    assert prepared.inside is not None and tuple(prepared.image.shape) == prepared.inside.shape


def test_wavelet_is_applied_when_the_card_asks_for_it() -> None:
    volume = scan(shape=(6, 64, 64), spacing=(1.0, 1.0, 1.0))
    plain = prepare_lung(volume, None, Preprocessing(resampling=Resampling(1, False)))
    enhanced = prepare_lung(volume, None, Preprocessing(resampling=Resampling(1, False), wavelet=Wavelet()))
    assert (plain.image - enhanced.image).abs().max() > 0.05
    assert float(enhanced.image.min()) >= 0 and float(enhanced.image.max()) <= 1


@pytest.mark.parametrize("center", [(20, 20, 20), (0, 0, 0), (39, 3, 20), (2, 38, 39)])
def test_a_patch_at_the_border_keeps_its_centre(center: tuple[int, int, int]) -> None:
    """Fault 4: a patch cut at the border was pasted into a corner."""
    image = torch.zeros((40, 40, 40))
    image[center] = 1.0
    patch = extract_patches(image, [center], size=64)[0, 0]
    assert patch.shape == (64, 64, 64) and patch.sum() == 1
    assert patch[32, 32, 32] == 1


def test_a_patch_wholly_outside_is_empty() -> None:
    assert extract_patches(torch.ones((10, 10, 10)), [(100, 5, 5)], size=16, fill=0.0).sum() == 0


def test_spherical_mask_has_the_annotated_volume() -> None:
    """A7, and fault 11: no loops."""
    assert spherical_mask(20).sum() == pytest.approx(np.pi / 6 * 20**3, rel=0.03)
