"""What makes simulated nodules real ones' like: drawn outlines, strands, insides; and scans that receive them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.simulation import (
    CALCIFICATIONS,
    DENSITIES,
    LIDC,
    LOCATIONS,
    PLAIN,
    NoduleSpec,
    Outline,
    draw_nodule,
    draw_nodule_spec,
    fitting_place,
    make_phantom,
    measure_scan,
    receive_nodule,
    render_nodule,
)
from LungNoduleCADLib.simulation.acquisition import KERNELS, acquire
from LungNoduleCADLib.simulation.interior import SmoothNoise
from LungNoduleCADLib.simulation.outline import turned
from LungNoduleCADLib.simulation.receiving import walls
from LungNoduleCADLib.simulation.scan_character import SHARPENED_OVER_MM, ScanCharacter, before_sharpening

AIR = -860.0


def ellipsoid(radii: tuple[float, ...] = (5.0, 7.0, 4.0)) -> Outline:
    axes = np.meshgrid(*[np.arange(-10, 11)] * 3, indexing="ij")
    return Outline((sum((a / r) ** 2 for a, r in zip(axes, radii, strict=True)) < 1).astype(np.float32))


def quiet(blur_mm: float = 0.7, noise_hu: float = 0.0) -> ScanCharacter:
    white = np.zeros((7, 9, 9), dtype=np.float32)
    white[3, 4, 4] = 1
    return ScanCharacter(noise_hu, white, (blur_mm,) * 3)


def lung(shape: tuple[int, ...] = (41, 41, 41)) -> np.ndarray:
    return np.full(shape, AIR, dtype=np.float32)


# -- outlines ---------------------------------------------------------------------------------------------------------
def test_an_outline_keeps_its_form_at_any_size():
    outline = ellipsoid()
    assert outline.volume_mm3 == pytest.approx(4 / 3 * np.pi * 5 * 7 * 4, rel=0.06)
    surface = turned(outline, 12.0, np.random.default_rng(0))
    axis = (np.arange(96) + 0.5) / 96 * 24 - 12
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).astype(np.float32)
    inside = surface.depth_mm(points) > 0
    assert inside.sum() * 0.25**3 == pytest.approx(np.pi / 6 * 12**3, rel=0.03)
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(np.argwhere(inside).T)))
    assert spread / spread[1] == pytest.approx(np.array([4, 5, 7]) / 5, rel=0.06)


def test_an_outline_of_nothing_is_refused():
    with pytest.raises(InputError, match="encloses nothing"):
        Outline(np.full((3, 3, 3), 0.2))


def test_depth_falls_by_a_millimetre_a_millimetre_far_beyond_the_sampled_cube():
    surface = turned(ellipsoid(), 10.0, np.random.default_rng(1))
    far = np.array([[0, 0, 20.0], [0, 0, 25.0]], dtype=np.float32)
    near, farther = surface.depth_mm(far)
    assert near < -8 and near - farther == pytest.approx(5, abs=0.5)


def test_drawn_specs_take_outlines_of_like_size():
    outlines = [ellipsoid((r, r, r)) for r in np.linspace(2, 9, 60)]
    rng = np.random.default_rng(0)
    specs = [draw_nodule_spec(rng, LIDC, outlines, diameter_mm=6.0) for _ in range(400)]
    drawn = [spec.outline.diameter_mm for spec in specs if spec.outline is not None]
    assert 0.6 < len(drawn) / len(specs) < 0.73 and max(drawn) < 10


# -- what is drawn, and that it stays what it was ---------------------------------------------------------------------
def test_the_plain_population_draws_no_details_and_the_other_draws_all():
    rng = np.random.default_rng(0)
    plain = [draw_nodule_spec(rng, PLAIN) for _ in range(50)]
    assert not any(spec.roughness_mm or spec.vessels or spec.haze or spec.heterogeneity_hu for spec in plain)
    rich = [draw_nodule_spec(rng, LIDC) for _ in range(800)]
    assert {spec.calcification for spec in rich} == set(CALCIFICATIONS)
    for name in ("vessels", "tags", "spicules", "haze", "cavity_fraction", "roughness_mm"):
        assert any(getattr(spec, name) for spec in rich), name
    assert np.mean([spec.density == "calcified" for spec in rich if spec.diameter_mm >= 20]) < 0.05


def test_the_same_generator_gives_the_same_detailed_nodule():
    def made() -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(5)
        return render_nodule(draw_nodule_spec(rng, LIDC, [ellipsoid()], diameter_mm=9.0), rng, supersampling=2)

    for one, other in zip(made(), made(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(("field", "value"), [("haze", 1.5), ("cavity_fraction", 1.0), ("vessels", -1)])
def test_refuses_details_that_cannot_be(field, value):
    with pytest.raises(InputError, match=r"(?i)haze|strands"):
        NoduleSpec(8.0, **{field: value})


def test_supersampling_keeps_the_volume_of_a_small_sphere_wherever_it_lies():
    for offset in ((0.0, 0.0, 0.0), (0.5, 0.3, -0.4)):
        alpha, _ = render_nodule(
            NoduleSpec(3.0, shape="sphere", edge_mm=0.4), np.random.default_rng(0), 1.0, offset, supersampling=3
        )
        assert alpha.sum() == pytest.approx(np.pi / 6 * 27, rel=0.06)


def test_vessels_leave_the_body_and_grow_thin():
    rng = np.random.default_rng(0)
    model = draw_nodule(NoduleSpec(8.0, shape="sphere", vessels=2), rng)
    alpha, _ = render_nodule(model, rng, 0.5)
    axes = [(np.arange(n) - n // 2) * 0.5 for n in alpha.shape]
    distance = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    shells = [(alpha[(distance >= r) & (distance < r + 1)] > 0.4).sum() for r in (5, 6, 7)]
    assert min(shells[:2]) > 4 and (model.depth_mm(np.array([[0, 0, 6.0]], dtype=np.float32)) < 0).all()
    assert model.reach_mm > 9


def test_a_cavity_is_air_within_a_wall():
    spec = NoduleSpec(16.0, shape="sphere", hu=40.0, cavity_fraction=0.5, heterogeneity_hu=1.0)
    alpha, hu = render_nodule(spec, np.random.default_rng(1))
    middle = tuple(n // 2 for n in hu.shape)
    assert alpha[middle] == 1 and hu[alpha > 0.9].min() < -800
    wall = tuple(m + d for m, d in zip(middle, (0, 0, 6), strict=True))
    assert hu[wall] > -60


@pytest.mark.parametrize("pattern", CALCIFICATIONS)
def test_calcium_lies_where_its_pattern_says(pattern):
    spec = NoduleSpec(14.0, "calcified", shape="sphere", hu=700.0, calcification=pattern, heterogeneity_hu=1.0)
    alpha, hu = render_nodule(spec, np.random.default_rng(0))
    axes = np.meshgrid(*[np.arange(n) - n // 2 for n in hu.shape], indexing="ij")
    distance = np.sqrt(sum(a**2 for a in axes))
    inside, dense = alpha > 0.95, hu > 350
    share = dense[inside].mean()
    if pattern == "diffuse":
        assert share == 1
    elif pattern == "central":
        assert dense[distance < 2].all() and not dense[inside & (distance > 5.5)].any()
    else:
        assert 0.15 < share < 0.75


def test_smooth_noise_is_the_same_from_wherever_it_is_sampled():
    noise = SmoothNoise.drawn(np.random.default_rng(0), 8.0, 1.5)
    points = np.random.default_rng(1).uniform(-8, 8, (50, 3)).astype(np.float32)
    assert np.array_equal(noise(points), noise(points.reshape(5, 10, 3)).reshape(50))
    assert noise(points * 0.3).std() < 2 and 0.5 < noise(points).std() < 1.5


@pytest.mark.parametrize(
    ("density", "low", "high"),
    [("solid", -180, 300), ("part-solid", -750, 60), ("ground-glass", -760, -200), ("calcified", 150, 2000),
     ("fat", -160, 10)],
)  # fmt: skip
def test_every_density_is_drawn_as_dense_as_readers_nodules_of_its_kind(density, low, high):
    rng = np.random.default_rng(3)
    for diameter in (5.0, 12.0, 25.0):
        spec = replace(draw_nodule_spec(rng, LIDC, diameter_mm=diameter, density=density), cavity_fraction=0.0)
        alpha, hu = render_nodule(replace(spec, calcification="diffuse"), rng, supersampling=2)
        body = alpha > 0.95
        assert body.sum() > 10 and low < np.median(hu[body]) < high
    if density == "part-solid":  # its core is as dense as soft tissue
        assert np.percentile(hu[body], 98) > -100 > np.percentile(hu[body], 20)


def test_large_nodules_are_as_often_spiculated_as_readers_rated_them():
    rng = np.random.default_rng(0)

    def shares(diameter: float) -> tuple[float, float]:
        counts = [draw_nodule_spec(rng, LIDC, diameter_mm=diameter, density="solid").spicules for _ in range(1500)]
        return float(np.mean(np.array(counts) > 0)), float(np.mean(np.array(counts) >= 9))

    assert shares(5.1) == pytest.approx((0.05, 0.0), abs=0.025)  # a corona of a small nodule has few of them
    assert shares(21.1) == pytest.approx((0.69, 0.49), abs=0.05)
    assert not any(draw_nodule_spec(rng, LIDC, diameter_mm=20.0, density="calcified").spicules for _ in range(50))


def test_calcified_nodules_are_rarer_and_less_dense_the_larger_they_are():
    rng = np.random.default_rng(0)
    drawn = {d: [draw_nodule_spec(rng, LIDC, diameter_mm=d) for _ in range(2000)] for d in (5.0, 7.5, 11.0)}
    of_size = [[spec.hu for spec in specs if spec.density == "calcified"] for specs in drawn.values()]
    assert [len(found) / 2000 for found in of_size] == pytest.approx([0.14, 0.075, 0.035], abs=0.025)
    medians = [float(np.median(found)) for found in of_size]
    assert medians[0] > 800 > 600 > medians[1] > 350 > medians[2] > 200


def test_what_hangs_on_the_lungs_vessels_follows_from_the_location_that_is_wanted():
    rng = np.random.default_rng(0)

    def vessels(location: str) -> float:
        wanted = {"diameter_mm": 4.0, "density": "solid", "location": location}
        return float(np.mean([draw_nodule_spec(rng, LIDC, **wanted).vessels > 0 for _ in range(600)]))

    assert vessels("juxtavascular") > vessels("isolated") + 0.1


def test_spicules_leave_the_body_in_their_number():
    spec = NoduleSpec(12.0, shape="sphere", edge_mm=0.5, spicules=8)
    alpha, _ = render_nodule(spec, np.random.default_rng(4), 0.5, supersampling=2)
    axes = [(np.arange(n) - n // 2) * 0.5 for n in alpha.shape]
    distance = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    shell = (distance > 7) & (distance < 7.75) & (alpha > 0.1)
    assert 4 <= ndimage.label(shell, np.ones((3, 3, 3)))[1] <= 8  # some meet
    plain, _ = render_nodule(replace(spec, spicules=0), np.random.default_rng(4), 0.5)
    assert max(plain.shape) < min(alpha.shape)


def test_a_rough_surface_is_larger_and_keeps_the_volume():
    def body(roughness_mm: float) -> np.ndarray:
        spec = NoduleSpec(16.0, shape="sphere", roughness_mm=roughness_mm)
        alpha, _ = render_nodule(spec, np.random.default_rng(2), 0.5)
        return alpha >= 0.5

    smooth, rough = body(0.0), body(1.0)
    surfaces = [(mask & ~ndimage.binary_erosion(mask)).sum() / mask.sum() for mask in (smooth, rough)]
    assert rough.sum() == pytest.approx(smooth.sum(), rel=0.12) and surfaces[1] > 1.2 * surfaces[0]


def test_haze_surrounds_a_nodule_fades_outwards_and_is_uneven_on_a_rough_one():
    haze = {}
    for roughness in (0.0, 0.4):
        spec = NoduleSpec(12.0, shape="sphere", edge_mm=0.5, haze=0.4, roughness_mm=roughness)
        model = draw_nodule(spec, np.random.default_rng(1))
        directions = np.random.default_rng(0).standard_normal((400, 3)).astype(np.float32)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        haze[roughness] = np.array([model.occupancy(directions * r) for r in (7.5, 8.5, 10.0)])
    assert (np.diff(haze[0.0].mean(axis=1)) < 0).all() and 0.05 < haze[0.0][0].mean() < 0.4
    assert haze[0.4][0].std() > 0.05 > 0.01 > haze[0.0][0].std()


def test_strands_change_nothing_of_the_body():
    bare = draw_nodule(NoduleSpec(10.0, shape="sphere", haze=0.3), np.random.default_rng(1))
    model = replace(bare, vessels=draw_nodule(NoduleSpec(10.0, vessels=2), np.random.default_rng(1)).vessels)
    points = np.random.default_rng(2).uniform(-20, 20, (4000, 3)).astype(np.float32)
    with_vessels, without = model.occupancy(points), bare.occupancy(points)
    elsewhere = model.vessels.occupancy(points, 1.0) == 0
    assert model.reach_mm > bare.reach_mm and (with_vessels >= without - 0.04).all()  # haze ends where it is faint
    assert with_vessels[elsewhere] == pytest.approx(without[elsewhere], abs=0.04)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("location", LOCATIONS)
def test_every_kind_is_received_at_its_place_with_its_density(density, location):
    rng = np.random.default_rng(5)
    volume = lung((51, 51, 51))
    volume[:, :, 40:] = 40
    volume[:, 24:26, :] = 20
    center = fitting_place(volume, np.ones(volume.shape, dtype=bool), location, 9.0, rng)
    assert center is not None
    spec = draw_nodule_spec(rng, LIDC, diameter_mm=9.0, density=density, location=location, cavity_fraction=0.0)
    before = volume.copy()
    inside = receive_nodule(volume, center, *render_nodule(spec, rng, supersampling=2), quiet(), rng)
    depths = ndimage.distance_transform_edt(before < -350)[inside]
    assert inside.any() and not inside[:, :, 40:].any() and (volume >= before - 1).all()
    assert location != "juxtapleural" or depths.min() <= 1.5  # it sits on the pleura
    air = inside & (before < -800)
    raised = float(np.median(volume[air]))
    assert raised > (-760 if density == "ground-glass" else -700)


# -- scans ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("noise_hu", [15.0, 60.0])
def test_noise_is_measured_between_vessels_and_made_again_with_its_correlation(noise_hu):
    scan = acquire(
        lung((30, 80, 80)), spacing_kji_mm=np.array([1.0, 1.0, 1.0]), slices_per_output=1, thickness_mm=2.0,
        kernel=KERNELS["soft"], noise_hu=noise_hu, rng=np.random.default_rng(0),
    ).astype(np.float32)  # fmt: skip
    scan[:, 40:44, 20:24] = 60  # a vessel
    character = measure_scan(scan)
    assert character.noise_hu == pytest.approx(noise_hu, rel=0.15)
    again = character.noise((30, 80, 80), np.random.default_rng(1))
    assert again.std() == pytest.approx(character.noise_hu, rel=0.02)
    for axis in range(3):
        of_scan, of_new = (
            np.corrcoef(*[np.delete(a[:, :38], end, axis).ravel() for end in (0, -1)])[0, 1] for a in (scan, again)
        )
        assert of_new == pytest.approx(of_scan, abs=0.2)


@pytest.mark.parametrize("blur", [(1.2, 0.6, 0.6), (0.7, 0.9, 0.9)])
def test_blur_is_measured_at_the_chest_wall(blur):
    image = lung((60, 60, 60))
    image[:, :, 40:], image[45:] = 40, 40
    fine = ndimage.gaussian_filter(image, blur)
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(image.shape), (0.5, 0.8, 0.8))
    measured = measure_scan(fine + 10 * noise / noise.std())
    assert measured.blur_mm == pytest.approx(blur, abs=0.25) and measured.sharpening < 0.15


@pytest.mark.parametrize(("correlated_mm", "low", "high"), [(0.0, 0.55, 0.6), (0.55, 0.2, 0.5), (1.0, 0.0, 0.05)])
def test_a_kernel_whose_noise_is_not_correlated_sharpens(correlated_mm, low, high):
    noise = np.random.default_rng(0).standard_normal((30, 60, 60))
    noise = ndimage.gaussian_filter(noise, (0.5, correlated_mm, correlated_mm))
    assert low <= measure_scan(AIR + 30 * noise / noise.std()).sharpening <= high


def test_a_scan_without_edges_is_taken_for_as_blurred_as_its_noise_is_correlated():
    noise = np.random.default_rng(0).standard_normal((30, 60, 60))
    smooth = ndimage.gaussian_filter(noise, (0.5, 1.0, 1.0))
    sharp, soft = (measure_scan(AIR + 30 * one / one.std()).blur_mm[1] for one in (noise, smooth))
    assert soft > sharp + 0.1


@pytest.mark.parametrize("sharpening", [0.0, 0.3, 0.6])
def test_the_blur_before_sharpening_makes_edges_as_steep_in_the_end(sharpening):
    step = np.repeat([0.0, 1.0], 400)
    once = ndimage.gaussian_filter1d(step, before_sharpening(0.6, sharpening) * 20)
    sharpened = once + sharpening * (once - ndimage.gaussian_filter1d(once, SHARPENED_OVER_MM * 20))
    assert np.diff(sharpened).max() * 20 == pytest.approx(1 / (0.6 * np.sqrt(2 * np.pi)), rel=0.02)


def test_a_scan_without_lung_has_no_noise_to_measure():
    assert measure_scan(np.full((20, 20, 20), 40.0)).noise_hu == 0


def test_a_received_nodule_is_as_noisy_as_its_scan_and_leaves_the_rest_alone():
    rng = np.random.default_rng(0)
    scan = lung() + rng.normal(0, 30, (41, 41, 41)).astype(np.float32)
    before = scan.copy()
    alpha, hu = render_nodule(NoduleSpec(16.0, shape="sphere", hu=40.0), rng, 1.0)
    inside = receive_nodule(scan, (20, 20, 20), alpha, hu, quiet(noise_hu=30.0), rng)
    core = ndimage.binary_erosion(inside, iterations=2)
    assert scan[core].std() == pytest.approx(30, rel=0.25) and scan[core].mean() == pytest.approx(40, abs=15)
    assert inside.sum() == pytest.approx(np.pi / 6 * 16**3, rel=0.04)
    far = ndimage.distance_transform_edt(~inside) > 5
    assert np.array_equal(scan[far], before[far])


def test_a_sharper_scan_shows_a_sharper_edge():
    steepest = []
    for blur in (0.5, 1.2):
        scan = lung()
        alpha, hu = render_nodule(NoduleSpec(12.0, shape="sphere", hu=40.0, edge_mm=0.5), np.random.default_rng(0), 1.0)
        receive_nodule(scan, (20, 20, 20), alpha, hu, quiet(blur), np.random.default_rng(0))
        steepest.append(np.diff(scan[20, 20]).max())
    assert steepest[0] > 1.4 * steepest[1]


def test_a_sharpening_kernel_draws_a_dark_rim_in_the_slice_and_keeps_the_nodules_mass():
    added = []
    for sharpening in (0.0, 0.5):
        scan = lung()
        alpha, hu = render_nodule(NoduleSpec(9.0, shape="sphere", hu=40.0), np.random.default_rng(0), 1.0)
        receive_nodule(scan, (20, 20, 20), alpha, hu, replace(quiet(), sharpening=sharpening), np.random.default_rng(0))
        added.append(scan - AIR)
    plain, sharpened = added
    assert plain.min() > -1 and -150 < sharpened[20].min() < -30
    assert sharpened[:, 20, 20].min() > -1  # slices are not reconstructed together
    assert sharpened.sum() == pytest.approx(plain.sum(), rel=0.01)


def test_vessels_run_through_ground_glass_and_not_through_a_solid_nodule():
    def contrast(density: str, hu: float) -> float:
        scan = lung()
        scan[:, 20, 20] = -100
        alpha, rendered = render_nodule(NoduleSpec(14.0, density, shape="sphere", hu=hu), np.random.default_rng(0), 1.0)
        receive_nodule(scan, (20, 20, 20), alpha, rendered, quiet(0.3), np.random.default_rng(0))
        return float(scan[18:23, 20, 20].mean() - scan[18:23, 20, 24].mean())

    assert contrast("ground-glass", -600.0) > 300
    assert abs(contrast("solid", 40.0)) < 60


def test_a_nodule_ends_at_the_pleura_and_leaves_the_wall_as_it_was():
    scan = lung()
    scan[:, :, 26:] = 40
    scan[:, :, 30:33] = 700  # a rib
    before = scan.copy()
    alpha, hu = render_nodule(NoduleSpec(12.0, shape="sphere", hu=30.0), np.random.default_rng(0), 1.0)
    inside = receive_nodule(scan, (20, 20, 24), alpha, hu, quiet(0.5), np.random.default_rng(0))
    assert inside[:, :, :26].sum() > 300 and not inside[:, :, 26:].any()
    assert scan[20, 20, 20:27].min() > -150  # no gap between them
    assert np.abs(scan[:, :, 29:] - before[:, :, 29:]).max() < 1


def test_what_reaches_beyond_the_image_is_cut_off():
    scan = lung((12, 12, 12))
    alpha, hu = render_nodule(NoduleSpec(10.0, shape="sphere"), np.random.default_rng(0), 1.0)
    assert receive_nodule(scan, (0, 0, 0), alpha, hu, quiet(), np.random.default_rng(0)).any()
    assert not receive_nodule(scan, (90, 0, 0), alpha, hu, quiet(), np.random.default_rng(0)).any()


def test_walls_are_thick_and_vessels_are_not():
    image = lung()
    image[:, :, 30:] = 40
    image[:, 10:14, :20] = 40
    found = walls(image)
    assert found[:, :, 31:].all() and not found[:, 10:14, :18].any()


@pytest.mark.parametrize("location", ["isolated", "juxtapleural", "juxtavascular"])
def test_a_fitting_place_honours_the_kind(location):
    image = lung((48, 48, 48))
    image[:, :, 38:] = 40
    image[:, 14:16, :] = 20
    allowed = np.ones(image.shape, dtype=bool)
    for seed in range(8):
        _, j, i = fitting_place(image, allowed, location, 8.0, np.random.default_rng(seed))
        to_wall, to_vessel = 38 - i, min(abs(j - 14), abs(j - 15))
        if location == "juxtapleural":
            assert 1 <= to_wall <= 5
        else:
            assert to_wall > 4 and (to_vessel <= 5 if location == "juxtavascular" else to_vessel >= 4)


def test_no_place_is_found_where_none_is_allowed():
    assert fitting_place(lung(), np.zeros((41, 41, 41), dtype=bool), "isolated", 8.0, np.random.default_rng(0)) is None


def test_a_phantoms_truth_stays_exact_with_all_details():
    spec = NoduleSpec(
        10.0, hu=40.0, outline=ellipsoid(), roughness_mm=0.3, haze=0.2, vessels=2, tags=2, spicules=8,
        heterogeneity_hu=20.0,
    )  # fmt: skip
    phantom = make_phantom(4, [spec], size="small", noise_hu=5.0)
    (nodule,) = phantom.nodules
    assert nodule.diameter_mm == pytest.approx(10, rel=0.04)
    assert nodule.mask.voxels.sum() * phantom.volume.voxel_volume_mm3 == pytest.approx(nodule.volume_mm3, rel=0.05)
    dense = phantom.volume.voxels[nodule.mask.region] > -400
    assert dense[nodule.mask.voxels].mean() > 0.9
