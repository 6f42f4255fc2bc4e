"""A click on a nodule proposes its outline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from result_inputs import AXES, BLOBS, ball, index_of, make_volume
from review_inputs import whole
from scipy import ndimage

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.io.references import read_reference
from LungNoduleCADLib.measurement import sphere_mask
from LungNoduleCADLib.review import Review, add_nodule, propose_outline
from LungNoduleCADLib.review.comparison import voxel_overlap
from LungNoduleCADLib.volume import Volume


def dice(a: VoxelMask, b: VoxelMask) -> float:
    return voxel_overlap([a], [b]).dice or 0.0


def lps(volume: Volume, index_kji: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in volume.index_to_lps(index_kji))
    return x, y, z


@pytest.mark.parametrize("axes", list(AXES))
@pytest.mark.parametrize("blob", range(3))
def test_a_click_beside_the_centre_outlines_the_whole_ball(axes: str, blob: int) -> None:
    volume = make_volume(axes)
    fraction, radius_mm, _ = BLOBS[blob]
    aside = np.array([0.0, 1.5, -1.5]) / volume.spacing_kji_mm
    mask, proposal = propose_outline(volume, lps(volume, index_of(fraction) + aside))
    truth = ball(volume, index_of(fraction), radius_mm)
    assert proposal == "segmented"
    assert 2 * (whole(mask, volume) & truth).sum() / (mask.voxels.sum() + truth.sum()) > 0.9


@pytest.mark.parametrize("diameter_mm", [4.0, 9.0, 17.0, 26.0])
def test_the_size_need_not_be_known(diameter_mm: float) -> None:
    random = np.random.default_rng(1)
    volume = Volume.from_geometry(
        random.normal(-850, 25, (50, 80, 80)).astype(np.int16), spacing_kji_mm=(1.0, 0.7, 0.7)
    )
    center = lps(volume, np.array([25.0, 40.0, 40.0]))
    truth = sphere_mask(volume, center, diameter_mm)
    volume.voxels[truth.region][truth.voxels] = 20
    mask, proposal = propose_outline(volume, lps(volume, np.array([25.0, 40.0, 40.0 + diameter_mm / 4 / 0.7])))
    assert proposal == "segmented" and dice(mask, truth) > 0.85


def test_where_nothing_stands_out_a_small_sphere_is_proposed() -> None:
    empty = Volume.from_geometry(np.full((30, 40, 40), -860, dtype=np.int16), spacing_kji_mm=(1.0, 0.8, 0.8))
    point = lps(empty, np.array([15.0, 20.0, 20.0]))
    mask, proposal = propose_outline(empty, point)
    assert proposal == "sphere" and dice(mask, sphere_mask(empty, point, 6.0)) == 1.0


def test_a_click_into_the_chest_wall_does_not_outline_it() -> None:
    wall = np.full((120, 120, 120), -860, dtype=np.int16)
    wall[:, :70] = 40
    volume = Volume.from_geometry(wall)
    mask, proposal = propose_outline(volume, lps(volume, np.array([60.0, 30.0, 60.0])))
    assert proposal == "sphere" and mask.voxels.sum() < 200


def test_a_nodule_further_away_is_not_what_was_meant() -> None:
    volume = Volume.from_geometry(np.full((40, 60, 60), -860, dtype=np.int16))
    nodule = sphere_mask(volume, lps(volume, np.array([20.0, 30.0, 30.0])), 5.0)
    volume.voxels[nodule.region][nodule.voxels] = 30
    beside, proposal = propose_outline(volume, lps(volume, np.array([20.0, 30.0, 34.0])))  # 1.5 mm from its edge
    assert proposal == "segmented" and dice(beside, nodule) > 0.8
    _, proposal = propose_outline(volume, lps(volume, np.array([20.0, 30.0, 36.0])))  # 3.5 mm
    assert proposal == "sphere"


def test_a_click_at_the_edge_of_the_scan_stays_within_it() -> None:
    volume = make_volume()
    for corner in (np.zeros(3), np.array(volume.shape) - 1.0):
        mask, _ = propose_outline(volume, lps(volume, corner))
        assert mask.voxels.any()
        assert all(s.start >= 0 and s.stop <= n for s, n in zip(mask.region, volume.shape, strict=True))


def test_a_click_beyond_the_scan_is_refused() -> None:
    volume = make_volume()
    with pytest.raises(InputError, match="outside the scan"):
        propose_outline(volume, lps(volume, np.array([-2.0, 10.0, 10.0])))


def test_clicks_on_real_nodules_agree_with_the_readers(shared_data: Path) -> None:
    """Every fourth of 83 LIDC nodules, clicked somewhere in its inner part. Readers differ by as much (mean Dice 0.70
    here, 0.74 with centre and diameter given)."""
    with np.load(shared_data / "lidc-nodules" / "cubes.npz") as cubes:
        scans, masks = cubes["hu"][::4], cubes["mask"][::4] > 0
    random = np.random.default_rng(0)
    agreement, proposals = [], []
    for hu, marked in zip(scans, masks, strict=True):
        volume = Volume.from_geometry(hu)
        labels, _ = ndimage.label(marked)
        truth = labels == (labels[25, 25, 25] or 1 + int(np.bincount(labels.ravel())[1:].argmax()))
        depth = ndimage.distance_transform_edt(np.pad(truth, 1))[1:-1, 1:-1, 1:-1]
        inner = np.argwhere(depth >= max(1.0, 0.35 * depth.max()))
        mask, proposal = propose_outline(volume, lps(volume, inner[random.integers(len(inner))].astype(float)))
        agreement.append(dice(mask, VoxelMask((0, 0, 0), truth)))
        proposals.append(proposal)
    assert set(proposals) == {"segmented"}
    assert np.mean(agreement) > 0.65


def test_a_click_on_a_nodule_of_a_real_scan_measures_what_luna16_says(shared_data: Path) -> None:
    volume = read_volume(shared_data / "ct" / "LIDC-IDRI-0003-slab")
    (nodule,) = read_reference(shared_data / "luna16" / "annotations.csv", volume)
    change = add_nodule(Review.of(()), volume, nodule.center_lps)
    measured = change.contour.measurements
    assert nodule.diameter_mm is not None and change.proposal == "segmented"
    assert (measured.long_axis_mm + measured.short_axis_mm) / 2 == pytest.approx(nodule.diameter_mm, rel=0.25)
    assert np.linalg.norm(np.subtract(change.contour.center_lps, nodule.center_lps)) < nodule.diameter_mm / 4
