"""Masks grown from annotations that are a centre and a diameter (B3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_set_inputs import rows_of

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.measurement.local_box import sphere_mask
from LungNoduleCADLib.volume import Volume
from training.datasets.growing import grow_mask


def lung_with(*balls: tuple[tuple[float, float, float], float], wall_mm: float = 0.0) -> Volume:
    """Lung of -850 HU with noise, balls of 30 HU (centre in mm, diameter), chest wall up to `wall_mm` in x."""
    spacing = (1.25, 0.7, 0.7)
    volume = Volume.from_geometry(np.zeros((40, 80, 80), dtype=np.int16), spacing_kji_mm=spacing)
    places = volume.index_to_lps(np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1))
    hu = np.random.default_rng(0).normal(-850, 30, volume.shape)
    for center, diameter in balls:
        hu = np.where(np.linalg.norm(places - center, axis=-1) <= diameter / 2, 30, hu)
    return volume.with_voxels(np.where(places[..., 0] < wall_mm, 40, hu).astype(np.int16))


def dice(found: VoxelMask, volume: Volume, expected: VoxelMask) -> float:
    whole = np.zeros((2, *volume.shape), dtype=bool)
    whole[0][found.region], whole[1][expected.region] = found.voxels, expected.voxels
    return float(2 * whole.all(axis=0).sum() / whole.sum())


CENTER = (28.0, 28.0, 25.0)


@pytest.mark.parametrize("diameter", [4.0, 8.0, 20.0])
@pytest.mark.parametrize("off", [0.0, 0.2])
def test_a_nodule_is_grown_from_an_annotation_that_is_a_little_off(diameter: float, off: float) -> None:
    volume = lung_with((CENTER, diameter))
    found = grow_mask(volume, (CENTER[0] + off * diameter, *CENTER[1:]), diameter * (1 + off))
    assert dice(found, volume, sphere_mask(volume, CENTER, diameter)) > 0.85


def test_a_vessel_and_the_chest_wall_are_cut_off() -> None:
    vessel = [((x, 28.0, 25.0), 3.0) for x in np.arange(28, 56, 0.5)]
    volume = lung_with((CENTER, 9.0), *vessel, wall_mm=24.0)
    found = grow_mask(volume, CENTER, 9.0)
    extent = np.array(found.voxels.shape) * volume.spacing_kji_mm
    assert (extent < 1.25 * 9.0 + volume.spacing_kji_mm).all()
    assert dice(found, volume, sphere_mask(volume, CENTER, 9.0)) > 0.75


def test_another_nodule_close_by_is_left_out() -> None:
    volume = lung_with((CENTER, 8.0), ((CENTER[0] + 9.5, *CENTER[1:]), 6.0))
    found = grow_mask(volume, CENTER, 10.0)
    assert not (volume.index_to_lps(np.argwhere(found.voxels) + found.start_kji)[:, 0] > CENTER[0] + 6).any()


def test_where_nothing_is_dense_the_sphere_is_taken() -> None:
    volume = lung_with()
    assert dice(grow_mask(volume, CENTER, 9.0), volume, sphere_mask(volume, CENTER, 9.0)) == 1


@pytest.mark.parametrize(
    ("center", "diameter", "words"), [((500.0, 0, 0), 5.0, "outside its scan"), (CENTER, 0.0, "diameter of 0 mm")]
)
def test_an_annotation_that_cannot_be_is_refused(
    center: tuple[float, float, float], diameter: float, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        grow_mask(lung_with(), center, diameter)


def test_grown_masks_are_nearer_to_the_readers_than_spheres_are(shared_data: Path) -> None:
    """On the shared crops (masks: what any reader enclosed) that are deep enough to grow in."""
    crops = np.load(shared_data / "lidc-nodules" / "crops.npz")
    rows = rows_of(shared_data / "lidc-nodules" / "crops.csv")
    hu, masks, offsets = crops["hu"], crops["mask"], crops["offset"]
    grown, spheres = [], []
    for n in range(0, len(rows), 12):
        shape, part = tuple(crops["shape_kji"][n]), slice(offsets[n], offsets[n + 1])
        volume = Volume.from_geometry(
            hu[part].reshape(shape),
            spacing_kji_mm=crops["spacing_kji_mm"][n],
            origin_lps=crops["origin_kji_lps_mm"][n][::-1],
        )
        center = tuple(float(rows[n][f"coord{axis}"]) for axis in "XYZ")
        if shape[0] < 6 or not volume.contains(center):
            continue
        diameter = float(rows[n]["diameter_mm"])
        truth = VoxelMask((0, 0, 0), masks[part].reshape(shape) > 0)
        grown.append(dice(grow_mask(volume, center, diameter), volume, truth))  # type: ignore[arg-type]
        spheres.append(dice(sphere_mask(volume, center, diameter), volume, truth))  # type: ignore[arg-type]
    assert len(grown) > 15
    assert np.mean(grown) > np.mean(spheres) + 0.02 and np.mean(grown) > 0.75
