"""Simulated nodules in training: outlines by fold, scans that receive them, and the judges of their realism."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from LungNoduleCADLib.simulation import NoduleSpec
from training import judges
from training.boxes import NoduleBox
from training.dense_part import dense_diameter, middle, nominal
from training.judged_pairs import SIZE, Maker, real_pairs, twins
from training.judges import JUDGES, auc_by_patient, give_aways, out_of_fold
from training.nodule_features import features, nodule_in
from training.nodules import load_nodules, save_nodules, simulated_nodule, simulated_nodules, to_window
from training.outlines import ReadOutline, at_one_mm, load_outlines, save_outlines
from training.patches import PatchSampler
from training.reader_ratings import shares
from training.realism import judge_all
from training.receiving import character_of, receive, suited, to_hu
from training.sampler import Lung, SliceSampler, Sources, oriented
from training.splits import FOLDS, NO_FOLD, UNKNOWN_FOLD, fold_of, serves


def lung(noise_hu: float = 25.0, shape: tuple[int, ...] = (51, 51, 51), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    hu = ndimage.gaussian_filter(rng.normal(size=shape), (0.5, 0.6, 0.6))
    hu = -860 + hu / hu.std() * noise_hu
    hu[:, :, 44:] += 900  # the chest wall
    return to_window(hu)


def outline(patient: str, radius: int = 4) -> ReadOutline:
    axis = np.arange(-radius, radius + 1)
    ball = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 < radius**2
    return ReadOutline("1.2", patient, (ball * 255).astype(np.uint8), 3)


@cache
def box(n: int) -> NoduleBox:
    rng = np.random.default_rng(n)
    nodule = simulated_nodule(NoduleSpec(float(rng.uniform(5, 8)), hu=60.0, vessels=1), rng)
    image = lung(seed=n)
    image, mask = receive(image, nodule, (25, 25, 25), character_of(image), rng)
    mask = ndimage.binary_dilation(mask)
    return NoduleBox(f"box {n}", f"patient {n}", image, mask, float("nan"), 7.0, np.empty((0, 3), dtype=np.int16))


# -- outlines ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("slice_mm", [0.7, 2.5])
def test_a_ball_outlined_in_slices_of_any_thickness_is_a_ball_at_a_millimetre(slice_mm):
    spacing, radius = np.array([slice_mm, 0.7, 0.7]), 8.0
    axes = [(np.arange(2 * int(9 / s) + 1) - int(9 / s)) * s for s in spacing]
    ball = sum(a**2 for a in np.meshgrid(*axes, indexing="ij")) < radius**2
    ball = ball[ball.any(axis=(1, 2))]
    occupancy = at_one_mm(ball, spacing)
    assert occupancy.sum() == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.12)
    deep, wide, broad = occupancy.shape
    assert abs(deep - wide) <= 3 and abs(wide - broad) <= 1
    assert 0 < occupancy[occupancy > 0].min() < 0.5  # partial volume at its border


def test_outlines_are_stored_and_know_their_fold(tmp_path):
    items = [outline("LIDC-IDRI-0007"), outline("", 6)]
    save_outlines(tmp_path / "outlines.npz", items)
    again = load_outlines(tmp_path / "outlines.npz")
    for one, other in zip(items, again, strict=True):
        assert np.array_equal(one.occupancy, other.occupancy)
        assert (one.patient, one.series, one.readers) == (other.patient, other.series, other.readers)
    assert again[0].fold == fold_of("LIDC-IDRI-0007") and again[1].fold == UNKNOWN_FOLD


def test_a_nodule_with_a_patients_outline_never_serves_the_fold_that_leaves_him_out():
    patients = [f"LIDC-IDRI-{n:04d}" for n in range(1, 11)]
    made = list(simulated_nodules(24, 0, [outline(patient) for patient in (*patients, *[""] * 10)]))
    folds = {nodule.fold for nodule in made}
    assert {NO_FOLD, UNKNOWN_FOLD} <= folds and folds & set(range(FOLDS))
    for fold in range(FOLDS):
        served = [nodule.fold for nodule in made if serves(nodule.fold, {fold})]
        assert fold not in served and UNKNOWN_FOLD not in served and NO_FOLD in served


# -- what is made -----------------------------------------------------------------------------------------------------
def test_simulated_nodules_are_the_same_again_and_survive_storage(tmp_path):
    made, again = (list(simulated_nodules(6, 3, [outline("LIDC-IDRI-0007")])) for _ in range(2))
    save_nodules(tmp_path / "simulated.npz", made)
    for one, other, stored in zip(made, again, load_nodules(tmp_path / "simulated.npz"), strict=True):
        assert np.array_equal(one.density, other.density) and np.array_equal(one.alpha, stored.alpha)
        assert stored.density.dtype == np.int16 and np.array_equal(one.density, stored.density)
        assert one.location == stored.location and stored.location is not None


def test_the_mask_is_the_body_with_the_wanted_volume_and_its_middle_is_the_boxs():
    nodule = simulated_nodule(NoduleSpec(9.0, shape="sphere", hu=40.0, vessels=2, tags=3), np.random.default_rng(0))
    assert nodule.mask.sum() == pytest.approx(np.pi / 6 * 9**3, rel=0.05)
    assert all(n % 2 for n in nodule.mask.shape)
    center = np.argwhere(nodule.mask).mean(axis=0)
    assert np.abs(center - np.array(nodule.mask.shape) // 2).max() < 0.7
    turned = oriented(nodule, np.random.default_rng(1), slice_mm=3.0)
    assert turned.mask.sum() == nodule.mask.sum() and turned.location == nodule.location


def test_a_received_nodule_is_masked_where_it_is_and_as_noisy_as_the_lung():
    image = lung(noise_hu=40.0)
    nodule = simulated_nodule(NoduleSpec(14.0, shape="sphere", hu=0.0), np.random.default_rng(0))
    out, mask = receive(image, nodule, (25, 25, 22), character_of(image), np.random.default_rng(1))
    assert mask.sum() == pytest.approx(nodule.mask.sum(), rel=0.05)
    core = ndimage.binary_erosion(mask, iterations=2)
    assert to_hu(out)[core].std() == pytest.approx(40, rel=0.35) and to_hu(out)[core].mean() == pytest.approx(0, abs=30)
    cut_off, rest = receive(image, nodule, (25, 25, 44), character_of(image), np.random.default_rng(1))
    assert 0 < rest.sum() < 0.7 * mask.sum() and not rest[:, :, 45:].any() and cut_off.shape == image.shape


def test_a_juxtapleural_nodule_moves_to_the_wall_and_a_cut_one_stays():
    image, rng = lung(), np.random.default_rng(0)
    nodule = simulated_nodule(NoduleSpec(8.0, location="juxtapleural"), rng)
    place = np.array([25, 25, 36])
    moved = suited(image, nodule, place, rng)
    assert 38 < moved[2] < 44 and np.abs(moved - place).max() <= 6
    cut = simulated_nodule(NoduleSpec(8.0), rng)
    assert suited(image, type(cut)(**{**cut.__dict__, "location": None}), place, rng) is place


def test_samplers_draw_simulated_nodules_with_the_noise_of_the_lung_they_go_into():
    image = lung(noise_hu=40.0, shape=(70, 90, 90))
    inside = np.zeros(image.shape, dtype=bool)
    inside[20:50, 20:70, 14:40] = True
    places = np.argwhere(inside)[::97].astype(np.int16)
    background = Lung("phantom-1", image, inside, np.zeros_like(inside), places, places, 1.0, np.eye(4))
    nodules = [
        simulated_nodule(NoduleSpec(12.0, "solid", location, hu=20.0), np.random.default_rng(n))
        for n, location in enumerate(("isolated", "juxtapleural", "juxtavascular"))
    ]
    sources = Sources([background], [], [], [], nodules, [])
    slices = SliceSampler(sources, 0)
    drawn = [slices._lung("insert") for _ in range(6)]
    assert sum(target.any() for _, target, _, _ in drawn) >= 3
    assert all(part.shape[1:] == (64, 64) for part, _, _, _ in drawn)
    patches = PatchSampler(sources, [], 0)
    shown = [sample for sample in (patches.draw() for _ in range(30)) if sample.is_nodule]
    assert len(shown) >= 3 and all(sample.patch[28:37, 28:37, 28:37].mean() > 100 for sample in shown)


# -- the judges -------------------------------------------------------------------------------------------------------
def test_dense_part_measures_a_nodule_whatever_its_mask():
    image = lung()
    nodule = simulated_nodule(NoduleSpec(10.0, shape="sphere", hu=40.0), np.random.default_rng(0))
    image, mask = receive(image, nodule, (25, 24, 23), character_of(image), np.random.default_rng(0))
    for grown in (1, 3):
        wide = ndimage.binary_dilation(mask, iterations=grown)
        drawn = NoduleBox("", "", image, wide, float("nan"), 0.0, np.empty((0, 3), dtype=np.int16))
        assert dense_diameter(drawn) == pytest.approx(10, abs=0.6)
        assert np.abs(middle(image, wide) - (25, 24, 23)).max() <= 1
    assert nominal(10.0) < 10 and nominal(3.0) == 3


@pytest.mark.parametrize("name", sorted(JUDGES))
def test_a_judge_sees_a_difference_and_none_where_there_is_none(name, monkeypatch):
    monkeypatch.setattr(judges, "EPOCHS", 12)
    rng = np.random.default_rng(0)
    simulated = np.tile([False, True], 60)
    folds = np.arange(120) // 2 % 2  # two folds of the five
    patients = np.array([f"p{n // 2}" for n in range(120)])
    patches = rng.normal(60, 10, (120, SIZE, SIZE, SIZE)).astype(np.float32)
    patches[:, 12:20, 12:20, 12:20] += 100
    same = np.clip(patches, 0, 255).astype(np.uint8)
    patches[simulated, 13:19, 13:19, 13:19] += rng.normal(0, 60, (60, 6, 6, 6))
    noisier = np.clip(patches, 0, 255).astype(np.uint8)
    told, low, high = auc_by_patient(out_of_fold(JUDGES[name], noisier, simulated, folds, 0), simulated, patients, 0)
    assert told > 0.65 and 0.5 < low <= told <= high
    guessed, low, high = auc_by_patient(out_of_fold(JUDGES[name], same, simulated, folds, 0), simulated, patients, 0)
    assert 0.25 < guessed < 0.75 and low < 0.55 and high > 0.45


def test_features_are_numbers_for_any_patch():
    for patch in (np.zeros((SIZE,) * 3, dtype=np.uint8), np.full((SIZE,) * 3, 255, dtype=np.uint8)):
        found = features(patch)
        assert np.isfinite(list(found.values())).all() and len(found) > 90
        assert list(found) == list(features(np.zeros((SIZE,) * 3, dtype=np.uint8)))


def test_features_measure_form_edges_and_strands():
    def ball(edge_mm: float, strands: int = 0) -> np.ndarray:
        axes = np.indices((SIZE,) * 3) - SIZE // 2
        share = np.clip((6 - np.sqrt((axes**2).sum(axis=0))) / edge_mm + 0.5, 0, 1)
        for axis in range(strands):
            share[tuple(slice(None) if n == axis else SIZE // 2 for n in range(3))] = 1
        return (25 + 160 * share).astype(np.uint8)

    smooth, sharp, spiky = features(ball(4.0)), features(ball(1.0)), features(ball(1.0, strands=3))
    assert nodule_in(ball(1.0)).sum() == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.1)
    assert sharp["edge slope, p50"] > 1.5 * smooth["edge slope, p50"] > 0
    assert sharp["elongation"] == pytest.approx(1, abs=0.05) and sharp["share of its convex hull"] > 0.8
    assert spiky["strands 3.0 mm outside"] == 6 and sharp["strands 3.0 mm outside"] == 0
    assert spiky["thin share"] > sharp["thin share"] and spiky["surface over volume"] > sharp["surface over volume"]


def test_give_aways_name_what_differs():
    rng = np.random.default_rng(0)
    patches = rng.normal(40, 6, (80, SIZE, SIZE, SIZE))
    simulated = np.tile([False, True], 40)
    patches[:, 11:21, 11:21, 11:21] += 100
    patches[simulated, 13:19, 13:19, 13:19] += rng.normal(0, 40, (40, 6, 6, 6))
    patches = np.clip(patches, 1, 255).astype(np.uint8)
    found = give_aways(patches, simulated, np.arange(80) // 2 % 2, 0)
    assert found[0]["importance"] == max(one["importance"] for one in found) > 0
    assert any(word in str(found[0]["feature"]) for word in ("texture", "SD", "p10", "p90", "slope"))
    best = next(one for one in found if one["feature"] == "fine texture inside")
    assert best["alone"] > 0.95 and best["simulated"] > best["real"]


def test_real_pairs_are_real_and_of_two_patients_and_balls_are_balls(tmp_path):
    pairs = list(twins([box(n) for n in range(6)], Maker("spheres", tmp_path), 0))
    assert all(made.about[0] == "ball" for _, made in pairs)
    control = real_pairs(pairs, 0)
    assert len(control) == len(pairs) // 2
    reals = {real.patch.tobytes() for real, _ in pairs}
    for one, other in control:
        assert one.patient != other.patient and other.simulated and not one.simulated
        assert {one.patch.tobytes(), other.patch.tobytes()} <= reals


def test_readers_shares_add_up_by_size():
    rows = [
        {"diameter_mm": str(d), **dict.fromkeys(("lobulation", "margin", "texture", "sphericity", "calcification"), "")}
        | {"spiculation": str(n)}
        for d, n in ((4, 1), (5, 1), (5.5, 2), (20, 5))
    ]
    small, large = shares(rows)
    assert (small["nodules"], small["median mm"]) == (3, 5.0) and small["rated 1"] == pytest.approx(2 / 3)
    assert small["rated 2"] == pytest.approx(1 / 3) and large["rated 5"] == 1 and large["size"] == "18-40 mm"


def test_twins_share_their_scan_and_the_part_of_the_patch_that_shows_it(tmp_path):
    boxes = [box(n) for n in range(3)]
    maker = Maker("plain", tmp_path)
    pairs, again = (list(twins(boxes, maker, 1)) for _ in range(2))
    assert len(pairs) >= 2
    for (real, simulated), (same, _) in zip(pairs, again, strict=True):
        assert np.array_equal(real.patch, same.patch)
        assert (real.patch > 0).sum() == pytest.approx((simulated.patch > 0).sum(), rel=0.02)
        assert real.patient == simulated.patient and not real.simulated and simulated.simulated
        for one in (real, simulated):  # each shows its nodule in the middle
            assert one.patch[14:18, 14:18, 14:18].mean() > 80


def test_the_result_names_each_judge_and_each_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(judges, "EPOCHS", 1)
    monkeypatch.setattr(judges, "BOOTSTRAPS", 50)
    pairs = list(twins([box(n) for n in range(4)], Maker("plain", tmp_path), 0))
    result = judge_all(pairs, 0)
    assert result["pairs"] == len(pairs) == result["patients"]
    for name in JUDGES:
        auc, low, high = result[name]["all"]
        assert 0 <= low <= auc <= high <= 1
        assert any(kind.startswith("solid") for kind in result[name])
        assert any(" mm (" in kind for kind in result[name])
    assert 0 <= result["together"]["all"][0] <= 1 and "importance" in result["give-aways"][0]
