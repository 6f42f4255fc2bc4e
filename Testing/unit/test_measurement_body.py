"""The body that an outline's free edge goes with, and what leaves it: vessels and walls."""

from __future__ import annotations

import numpy as np
import pytest
from nodule_scenes import CENTER, THIN, TISSUE_HU, Scene, dice, on_grid

from LungNoduleCADLib.measurement import RefineSettings, measure, refine_mask, sphere_mask
from LungNoduleCADLib.measurement.body import Leaving, fitted_body, leaving
from LungNoduleCADLib.measurement.contacts import without_contacts
from LungNoduleCADLib.measurement.local_box import depth_mm
from LungNoduleCADLib.measurement.quantiles import quantile

SPACING = np.array(THIN)
Z, Y, X = np.meshgrid(
    *((np.arange(n) - n // 2) * step for n, step in zip((41, 61, 61), SPACING, strict=True)), indexing="ij", sparse=True
)


def ellipsoid(k: float, j: float, i: float) -> np.ndarray:
    return (Z / k) ** 2 + (Y / j) ** 2 + (X / i) ** 2 <= 1


def tube(radius: float, off_mm: float) -> np.ndarray:
    """Along the rows, so far beside the middle."""
    return np.broadcast_to(Z**2 + (Y - off_mm) ** 2 <= radius**2, (41, 61, 61))


def side_vessel(diameter: float, vessel: float) -> Scene:
    """A ball that a vessel runs along, its middle in the ball's surface."""
    scene = Scene().ball(diameter)
    inside = scene.k**2 + (scene.j - diameter / 2 - 0.2) ** 2 <= (vessel / 2) ** 2
    scene.hu[np.broadcast_to(inside, scene.hu.shape)] = TISSUE_HU
    return scene


@pytest.mark.parametrize("semi", [(5.0, 5.0, 5.0), (4.0, 5.0, 7.0), (6.0, 4.0, 4.0)])
@pytest.mark.parametrize("vessel", [0.0, 1.2, 2.0])
def test_a_body_is_the_ellipsoid_with_and_without_a_vessel(semi: tuple[float, float, float], vessel: float) -> None:
    alone = ellipsoid(*semi)
    voxels = alone | (tube(vessel, semi[1]) if vessel else False)
    body = fitted_body(voxels, ellipsoid(2.0, 2.0, 2.0), SPACING)
    values = 1 / np.sqrt(np.diag(body.shape))
    assert values == pytest.approx(semi, rel=0.12)
    assert np.linalg.norm(body.center - np.array([20, 30, 30]) * SPACING) < 0.8


def test_what_runs_on_leaves_the_body_and_what_ends_does_not() -> None:
    ball, vessel = ellipsoid(4.0, 4.0, 4.0), tube(1.5, 4.0)
    voxels = ball | vessel
    body = fitted_body(voxels, ellipsoid(2.0, 2.0, 2.0), SPACING)
    ends = np.zeros_like(voxels)
    depth = depth_mm(voxels, SPACING)
    assert not leaving(voxels, depth, ends, body, SPACING, Leaving(), 4.0).any()
    ends[:, :, [0, -1]] = True
    off = leaving(voxels, depth, ends, body, SPACING, Leaving(), 4.0)
    outside = vessel & ~ellipsoid(5.2, 5.2, 5.2)
    assert off[outside].mean() > 0.95
    assert not off[ellipsoid(3.5, 3.5, 3.5)].any()
    assert not leaving(voxels, depth, ends, body, SPACING, Leaving(thickest_mm=1.0), 4.0).any()


@pytest.mark.parametrize(("diameter", "vessel"), [(5.0, 2.5), (6.0, 3.0), (9.0, 3.0)])
def test_a_vessel_along_a_nodule_adds_little_to_its_size(diameter: float, vessel: float) -> None:
    volume = side_vessel(diameter, vessel).volume()
    found = measure(volume, refine_mask(volume, (CENTER, diameter)))
    assert found.diameter_mm == pytest.approx(diameter, abs=0.55)
    assert found.mean_diameter_mm == pytest.approx(diameter, abs=0.8)


def test_a_thick_vessel_is_cut_off_the_outline_of_a_small_nodule() -> None:
    volume = side_vessel(6.0, 3.0).volume()
    truth = on_grid(sphere_mask(volume, CENTER, 7.0), volume)
    cut = on_grid(refine_mask(volume, (CENTER, 6.0)), volume)
    uncut = on_grid(refine_mask(volume, (CENTER, 6.0), settings=RefineSettings(largest_body_mm=0.0)), volume)
    assert (cut & ~truth).sum() < 0.7 * (uncut & ~truth).sum()
    assert dice(cut, truth) > dice(uncut, truth)


def test_contacts_are_taken_off_where_a_vessel_joins_and_nowhere_else() -> None:
    alone, touched = Scene().ball(10).volume(), side_vessel(10.0, 3.0).volume()
    mask = sphere_mask(alone, CENTER, 12.0)
    assert np.array_equal(without_contacts(alone, mask).voxels, mask.voxels)
    less = on_grid(mask, touched) & ~on_grid(without_contacts(touched, mask), touched)
    j = (np.arange(touched.shape[1]) - touched.lps_to_index(CENTER)[1]) * touched.spacing_kji_mm[1]
    assert less.any()
    assert not (less & (j < 2)[None, :, None]).any()


def test_a_mask_that_lacks_a_part_of_its_nodule_keeps_its_edge_there() -> None:
    volume = Scene().ball(14).volume()
    short = sphere_mask(volume, CENTER, 13.0)
    assert without_contacts(volume, short).voxels.sum() == short.voxels.sum()


@pytest.mark.parametrize("count", [1, 2, 3, 100, 1001])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.4, 0.7, 1.0])
def test_quantiles_are_those_of_numpy(count: int, share: float) -> None:
    values = np.random.default_rng(count).normal(-500, 200, count).astype(np.float32)
    assert quantile(values, share) == pytest.approx(float(np.quantile(values.astype(np.float64), share)), rel=1e-12)
