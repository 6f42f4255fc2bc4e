"""The phantom is deterministic, its truth is exact, and it looks like a CT in the numbers a CT is judged by."""

from __future__ import annotations

import csv
from functools import cache

import numpy as np
import pytest

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.simulation import (
    LOCATIONS,
    NODULE_SHAPES,
    NoduleSpec,
    Phantom,
    draw_nodule,
    draw_nodule_spec,
    draw_surface,
    insert_nodule,
    make_phantom,
    nodule_labels,
    render_nodule,
    write_phantom,
)
from LungNoduleCADLib.simulation import phantom as phantom_module
from LungNoduleCADLib.simulation.acquisition import KERNELS, acquire
from LungNoduleCADLib.simulation.trees import MURRAY_EXPONENT, grow_tree

DETAILED = (
    NoduleSpec(9.0, "solid", "isolated", shape="sphere", hu=60.0),
    NoduleSpec(10.0, "solid", "juxtapleural", shape="ellipsoid", hu=40.0),
    NoduleSpec(8.0, "solid", "juxtavascular", shape="lobulated", hu=50.0),
    NoduleSpec(12.0, "ground-glass", "isolated", shape="sphere", hu=-600.0),
    NoduleSpec(9.0, "calcified", "isolated", shape="sphere", hu=500.0),
)


@cache
def detailed_phantom() -> Phantom:
    return make_phantom(4, DETAILED, size="small", noise_hu=10.0)


@cache
def empty_phantom() -> Phantom:
    return make_phantom(4, 0, size="small", noise_hu=10.0)


# -- nodules --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", NODULE_SHAPES)
def test_surface_encloses_the_volume_of_the_wanted_diameter(shape):
    surface = draw_surface(shape, 12.0, np.random.default_rng(5))
    axis = (np.arange(120) + 0.5) / 120 * 30 - 15
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).astype(np.float32)
    counted = (surface.depth_mm(points) > 0).sum() * (30 / 120) ** 3
    assert counted == pytest.approx(np.pi / 6 * 12.0**3, rel=0.01)


def test_rendered_sphere_has_the_analytic_volume_wherever_its_centre_falls():
    for offset in ((0, 0, 0), (0.4, -0.3, 0.2)):
        spec = NoduleSpec(10.0, shape="sphere", edge_mm=1.0)
        alpha, _ = render_nodule(spec, np.random.default_rng(0), (1.0, 0.7, 0.7), offset)
        assert alpha.sum() * 0.49 == pytest.approx(np.pi / 6 * 1000, rel=0.02)
        middle = [(np.arange(n) - n // 2) * s for n, s in zip(alpha.shape, (1.0, 0.7, 0.7), strict=True)]
        centre = [np.average(m, weights=alpha.sum(axis=tuple({0, 1, 2} - {a}))) for a, m in enumerate(middle)]
        assert centre == pytest.approx(offset, abs=0.05)


def test_rendered_nodule_is_a_share_that_vanishes_at_the_border_of_its_box():
    rng = np.random.default_rng(1)
    for _ in range(30):
        alpha, hu = render_nodule(draw_nodule_spec(rng), rng)
        assert alpha.dtype == hu.dtype == np.float32 and alpha.shape == hu.shape
        assert alpha.min() >= 0 and alpha.max() == pytest.approx(1, abs=0.15)
        border = np.ones(alpha.shape, dtype=bool)
        border[1:-1, 1:-1, 1:-1] = False
        assert alpha[border].max() < 0.05


def test_part_solid_nodule_has_a_dense_core_in_a_ground_glass_halo():
    spec = NoduleSpec(16.0, "part-solid", shape="sphere", hu=-600.0, core_fraction=0.5)
    alpha, hu = render_nodule(spec, np.random.default_rng(2))
    inside = hu[alpha > 0.95]
    dense, halo = (inside > -300).mean(), (inside < -450).mean()
    assert 0.06 < dense < 0.3 and halo > 0.5


def test_spicules_reach_beyond_the_body_and_leave_its_volume_alone():
    rng = np.random.default_rng(3)
    model = draw_nodule(NoduleSpec(12.0, shape="spiculated"), rng)
    assert model.surface.volume_mm3 == pytest.approx(np.pi / 6 * 12**3, rel=0.01)
    alpha, _ = render_nodule(model, rng, 0.5)
    axes = [(np.arange(n) - n // 2) * 0.5 for n in alpha.shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    outside = model.depth_mm(points) < -1.5
    assert (alpha[outside] > 0.5).sum() * 0.125 > 5


def test_drawn_diameters_follow_the_luna16_distribution():
    rng = np.random.default_rng(0)
    diameters = [draw_nodule_spec(rng).diameter_mm for _ in range(4000)]
    assert np.percentile(diameters, [5, 50, 95]) == pytest.approx([4.1, 6.4, 19.0], rel=0.08)
    assert draw_nodule_spec(rng, diameter_mm=8.0, density="ground-glass").density == "ground-glass"


def test_insertion_is_cut_at_the_border_and_kept_to_what_is_allowed():
    alpha, hu = render_nodule(NoduleSpec(10.0, shape="sphere", hu=50.0), np.random.default_rng(0))
    volume = np.full((20, 30, 30), -860.0, dtype=np.float32)
    allowed = np.zeros(volume.shape, dtype=bool)
    allowed[:, :15] = True
    inside = insert_nodule(volume, (0, 15, 15), alpha, hu, allowed)
    assert inside[0, 14, 15] and not inside[:, 15:].any()
    assert (volume[:, 15:] == -860).all() and volume[0, 12, 15] == pytest.approx(50, abs=60)
    assert not insert_nodule(volume, (90, 15, 15), alpha, hu).any()


@pytest.mark.parametrize(
    ("field", "value"),
    [("diameter_mm", 0.0), ("density", "woolly"), ("location", "liver"), ("shape", "cube"), ("core_fraction", 1.0),
     ("edge_mm", 0.0), ("elongation", 0.5)],
)  # fmt: skip
def test_refuses_a_nodule_that_cannot_be_simulated(field, value):
    with pytest.raises(InputError, match=str(value)):
        NoduleSpec(**{"diameter_mm": 8.0, field: value})


# -- trees and acquisition --------------------------------------------------------------------------------------------
def test_trees_serve_every_point_and_obey_murrays_law():
    rng = np.random.default_rng(0)
    points = rng.uniform(-50, 50, (700, 3))
    tree = grow_tree(points, (points[:, 0] > 0).astype(int), np.array([0.0, 0.0, 60.0]), rng)
    ends = tree.flow == 1
    assert ends.sum() == len(points) and (tree.parents[1:] < np.arange(1, len(tree.parents))).all()
    radii = tree.radii_mm(0.3)
    cubes = np.bincount(tree.parents[1:], radii[1:] ** MURRAY_EXPONENT, len(radii))
    assert cubes[~ends] == pytest.approx(radii[~ends] ** MURRAY_EXPONENT)


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_noise_has_the_asked_deviation_and_a_ramp_times_apodisation_spectrum(kernel):
    flat = np.zeros((12, 128, 128), dtype=np.float32)
    spacing = np.array([1.0, 0.7, 0.7])
    scan = acquire(
        flat, spacing_kji_mm=spacing, slices_per_output=1, thickness_mm=1.0, kernel=KERNELS[kernel], noise_hu=30.0,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert scan.std() == pytest.approx(30, rel=0.03)
    assert scan[:, :64].std() == pytest.approx(scan[:, 64:].std(), rel=0.03)  # stationary in plane
    power = (np.abs(np.fft.fft2(scan)) ** 2).mean(axis=0)
    radial = np.hypot(np.fft.fftfreq(128, 0.7)[:, None], np.fft.fftfreq(128, 0.7))
    bands = [power[(radial > a) & (radial < a + 0.06)].mean() for a in np.arange(0.02, 0.68, 0.06)]
    peak = int(np.argmax(bands))
    assert 0 < peak < len(bands) - 2 and bands[0] < 0.6 * bands[peak] and bands[-1] < 0.75 * bands[peak]


def test_thicker_slices_blur_along_the_body_axis_and_keep_the_mean():
    step = np.zeros((40, 32, 32), dtype=np.float32)
    step[20:] = 1000
    spacing = np.array([1.0, 1.0, 1.0])
    settings = {"spacing_kji_mm": spacing, "slices_per_output": 1, "kernel": KERNELS["soft"], "noise_hu": 0.0}
    thin = acquire(step, thickness_mm=1.0, rng=np.random.default_rng(0), **settings)[:, 16, 16].astype(float)
    thick = acquire(step, thickness_mm=5.0, rng=np.random.default_rng(0), **settings)[:, 16, 16].astype(float)
    assert ((thick > 50) & (thick < 950)).sum() >= 5 > ((thin > 50) & (thin < 950)).sum()
    assert thick.mean() == pytest.approx(thin.mean(), abs=2)


# -- the whole phantom ----------------------------------------------------------------------------------------------
def test_same_seed_gives_the_same_phantom_and_another_seed_another():
    def build(seed):  # from nothing, not from a kept patient
        phantom_module._patient.cache_clear()
        return make_phantom(seed, 2, (2.5, 1.4, 1.4), size="small")

    first, again, other = build(7), build(7), build(8)
    assert np.array_equal(first.volume.voxels, again.volume.voxels)
    assert [n.center_lps for n in first.nodules] == [n.center_lps for n in again.nodules]
    assert first.volume.metadata["series_uid"] == "phantom-7" and first.volume.metadata["modality"] == "CT"
    assert (first.volume.voxels != other.volume.voxels).mean() > 0.5


def test_nodules_change_only_their_own_surroundings():
    with_nodules, without = detailed_phantom(), empty_phantom()
    changed = np.abs(with_nodules.volume.voxels.astype(int) - without.volume.voxels) > 30
    for nodule in with_nodules.nodules:
        low = np.maximum(np.array(nodule.mask.start_kji) - 5, 0)
        high = np.array(nodule.mask.start_kji) + nodule.mask.voxels.shape + 5
        changed[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = False
    assert not changed.any()


def test_true_diameter_is_the_wanted_one_and_the_mask_has_the_true_volume():
    phantom = detailed_phantom()
    for nodule, spec in zip(phantom.nodules, DETAILED, strict=True):
        tolerance = 0.03 if spec.location == "juxtapleural" else 0.01
        assert nodule.diameter_mm == pytest.approx(spec.diameter_mm, rel=tolerance)
        assert nodule.volume_mm3 == pytest.approx(np.pi / 6 * nodule.diameter_mm**3, rel=1e-6)
        assert nodule.mask.voxels.sum() * phantom.volume.voxel_volume_mm3 == pytest.approx(nodule.volume_mm3, rel=0.05)
    sphere = phantom.nodules[0]
    assert sphere.volume_mm3 == pytest.approx(np.pi / 6 * 9.0**3, rel=0.02)


def test_nodule_centre_is_the_centre_of_its_mask_and_lies_in_the_lung():
    phantom = detailed_phantom()
    for nodule in phantom.nodules:
        index = np.argwhere(nodule.mask.voxels).mean(axis=0) + nodule.mask.start_kji
        assert np.linalg.norm(phantom.volume.index_to_lps(index) - nodule.center_lps) < 0.3
        assert phantom.lung_mask.voxels[nodule.mask.region][nodule.mask.voxels].mean() > 0.9


def test_places_honour_the_type():
    from scipy.ndimage import distance_transform_edt

    phantom, before = detailed_phantom(), empty_phantom()
    assert {n.spec.location for n in phantom.nodules} == set(LOCATIONS)
    depth = distance_transform_edt(phantom.lung_mask.voxels, phantom.volume.spacing_kji_mm)
    for nodule in phantom.nodules:
        center = tuple(np.rint(phantom.volume.lps_to_index(nodule.center_lps)).astype(int))
        radius = nodule.diameter_mm / 2
        if nodule.spec.location == "juxtapleural":
            assert depth[center] < radius + 0.8
        else:
            assert depth[center] > radius + 1
        if nodule.spec.location == "juxtavascular":
            # Within 2 mm of its surface, the same patient without nodules shows a vessel.
            spacing = phantom.volume.spacing_kji_mm
            low = np.maximum(nodule.mask.start_kji - np.ceil(3 / spacing).astype(int), 0)
            high = np.array(nodule.mask.start_kji) + nodule.mask.voxels.shape + np.ceil(3 / spacing).astype(int)
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            near = distance_transform_edt(~_mask(phantom, nodule)[box], spacing) < 2
            assert (before.volume.voxels[box][near] > -300).sum() >= 5


def test_tissues_have_their_hounsfield_units():
    phantom = detailed_phantom()
    voxels, grid = phantom.volume.voxels, phantom.volume
    lung = voxels[phantom.lung_mask.voxels]
    assert -900 < np.median(lung) < -820
    assert 0.02 < (lung > -600).mean() < 0.12  # vessels
    assert np.median(voxels[:, :8, :8]) == pytest.approx(-1000, abs=10)
    assert 0.03 < ((voxels > -140) & (voxels < -70)).mean() < 0.4  # fat
    assert 0.004 < (voxels > 300).mean() < 0.05  # bone
    for nodule in phantom.nodules:
        center = np.rint(grid.lps_to_index(nodule.center_lps)).astype(int)
        core = voxels[tuple(slice(c - 1, c + 2) for c in center)].mean()
        assert core == pytest.approx(nodule.spec.hu, abs=60), nodule.label


def test_trachea_is_air_and_outside_the_lung_mask():
    phantom = make_phantom(2, 0, (8.0, 1.6, 1.6), thickness_mm=2.0)
    x, y, _ = phantom.volume.index_to_lps((0, 0, 0))
    k = int(phantom.volume.shape[0] * 0.78)
    window = phantom.volume.voxels[k, :, :]
    mask = phantom.lung_mask.voxels[k]
    rows = slice(int((-15 - y) / 1.6), int((35 - y) / 1.6))
    columns = slice(int((-18 - x) / 1.6), int((18 - x) / 1.6))
    air = (window < -850) & ~mask
    assert 100 < air[rows, columns].sum() * 1.6**2 < 420  # 11 to 23 mm across
    assert 2500 < phantom.lung_mask.voxels.sum() * phantom.volume.voxel_volume_mm3 / 1000 < 6500  # ml


def test_noise_deviation_follows_the_dose():
    def scan(noise_hu, dose=1.0):
        phantom = make_phantom(4, 0, (5.0, 1.6, 1.6), size="small", thickness_mm=2.0, noise_hu=noise_hu, dose=dose)
        return phantom.volume.voxels.astype(float)

    plain = scan(0.0)
    full, half = scan(20.0) - plain, scan(20.0, dose=0.5) - plain
    inside = (plain > -300) & (plain < 1000)  # away from the floor at -1024
    assert full[inside].std() == pytest.approx(20, rel=0.05)
    assert half[inside].std() == pytest.approx(20 * np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("spacing", [(1.0, 1.3, 1.3), (3.0, 1.5, 1.2)])
def test_other_spacings_show_the_same_nodule_at_the_same_place(spacing):
    spec = NoduleSpec(9.0, shape="sphere", hu=50.0, center_lps=detailed_phantom().nodules[0].center_lps)
    phantom = make_phantom(4, [spec], spacing, size="small", noise_hu=5.0)
    assert phantom.volume.spacing_kji_mm == pytest.approx(spacing)
    nodule = phantom.nodules[0]
    assert nodule.center_lps == pytest.approx(spec.center_lps, abs=0.05)
    assert nodule.diameter_mm == pytest.approx(9.0, rel=0.01)
    center = np.rint(phantom.volume.lps_to_index(nodule.center_lps)).astype(int)
    assert phantom.volume.voxels[tuple(center)] > -80


def test_oblique_flipped_direction_moves_the_coordinates_and_not_the_voxels():
    turn = np.radians(20)
    direction = np.array([[np.cos(turn), np.sin(turn), 0], [np.sin(turn), -np.cos(turn), 0], [0, 0, 1]])
    plain = make_phantom(8, 2, (2.5, 1.4, 1.4), size="small")
    oblique = make_phantom(8, 2, (2.5, 1.4, 1.4), size="small", direction=direction, origin_lps=(10.0, -20.0, 300.0))
    assert np.array_equal(plain.volume.voxels, oblique.volume.voxels)
    assert oblique.volume.direction == pytest.approx(direction)
    for a, b in zip(plain.nodules, oblique.nodules, strict=True):
        assert plain.volume.lps_to_index(a.center_lps) == pytest.approx(oblique.volume.lps_to_index(b.center_lps))


def test_written_phantom_reads_back_with_its_truth(tmp_path):
    phantom = detailed_phantom()
    path = write_phantom(phantom, tmp_path / "out")
    again = read_volume(path)
    assert np.array_equal(again.voxels, phantom.volume.voxels) and again.same_grid(phantom.volume)
    assert again.metadata["series_uid"] == phantom.volume.metadata["series_uid"]
    with (tmp_path / "out" / "annotations.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for row, nodule in zip(rows, phantom.nodules, strict=True):
        assert row["seriesuid"] == again.metadata["series_uid"]
        assert [float(row[f"coord{a}"]) for a in "XYZ"] == pytest.approx(nodule.center_lps, abs=1e-3)
        assert float(row["diameter_mm"]) == pytest.approx(nodule.diameter_mm, abs=1e-3)
    counts = np.bincount(nodule_labels(phantom).voxels.ravel())
    assert counts[1:].tolist() == [int(n.mask.voxels.sum()) for n in phantom.nodules]


@pytest.mark.parametrize(
    "settings",
    [{"size": "huge"}, {"kernel": "B99"}, {"spacing_kji_mm": (1.0, 0.0, 1.0)}, {"noise_hu": -1.0}, {"dose": 0.0}],
)
def test_refuses_a_phantom_that_cannot_be_simulated(settings):
    with pytest.raises(InputError, match=f"(?i){next(iter(settings)).split('_')[0]}"):
        make_phantom(0, 0, **settings)


def test_refuses_nodules_that_do_not_fit_or_lie_outside_the_lung():
    with pytest.raises(InputError, match="No room"):
        make_phantom(4, [NoduleSpec(55.0)] * 4, size="small")
    with pytest.raises(InputError, match="outside the lungs"):
        make_phantom(4, [NoduleSpec(8.0, center_lps=(0.0, -200.0, 130.0))], size="small")


def _mask(phantom, nodule):
    mask = np.zeros(phantom.volume.shape, dtype=bool)
    mask[nodule.mask.region] = nodule.mask.voxels
    return mask
