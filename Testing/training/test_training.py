"""What training draws from, and what is published of it, on small made-up data."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from training_inputs import box, lung, nodule, replaceable, write_prepared

from LungNoduleCADLib.detection.score import MIRRORED
from LungNoduleCADLib.networks.hybrid import HybridClassifier, HybridConfig
from LungNoduleCADLib.networks.unet import UNet25D, UNetConfig
from training import cross_validation
from training.boxes import crop_boxes, load_boxes, load_cubes, save_boxes
from training.checkpoints import moving_average
from training.known_nodules import Known
from training.nodules import (
    InsertableNodule,
    crop_nodules,
    insertable,
    level_around,
    load_nodules,
    save_nodules,
    simulated_nodules,
    to_window,
)
from training.out_of_fold import OutOfFold, mark_files, read_out_of_fold
from training.patches import PatchSampler, Place, extent, intersection, malignant
from training.publish import best_hits, calibrate, default_threshold, main, metrics, operating_table
from training.sampler import SLICES, SliceSampler, Sources, doubtful_regions, insert, oriented
from training.splits import BACKGROUND_SCANS, BACKGROUND_SLABS, FOLDS, fold_of
from training.transforms.scanner import THICKNESSES_MM, draw_scanner, slice_operator


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, Path]:
    return write_prepared(tmp_path)


def test_a_patient_is_in_one_fold_and_every_fold_has_patients() -> None:
    folds = [fold_of(f"LIDC-IDRI-{n:04d}") for n in range(400)]
    assert set(folds) == set(range(FOLDS))
    assert folds == [fold_of(f"LIDC-IDRI-{n:04d}") for n in range(400)]
    assert [fold_of(scan) for scan in BACKGROUND_SCANS] == list(range(FOLDS))


def test_left_out_patients_and_scans_are_nowhere_in_a_folds_sources(prepared: tuple[Path, Path]) -> None:
    cache, data = prepared
    for fold in range(FOLDS):
        kept = Sources.load(cache, data, {fold})
        names = {made.name for made in kept.lungs}
        assert names == {name for name in (*BACKGROUND_SCANS, *BACKGROUND_SLABS) if fold_of(name) != fold}
        assert BACKGROUND_SCANS[fold] not in names
        assert all(fold_of(item.patient) != fold for item in kept.cubes + kept.boxes)
        assert all(item.fold != fold for item in kept.crops + kept.decoys)
    assert len(Sources.load(cache, data).crops) == 20


def test_nodules_survive_being_saved(tmp_path: Path) -> None:
    made = [nodule(1, 6.0, "a"), nodule(2, 9.5, "b", float("nan"))]
    save_nodules(tmp_path / "n.npz", made)
    for before, after in zip(made, load_nodules(tmp_path / "n.npz"), strict=True):
        assert (before.density == after.density).all() and (before.alpha == after.alpha).all()
        assert (before.mask == after.mask).all()
        assert (before.fold, before.source, before.diameter_mm) == (
            after.fold,
            after.source,
            pytest.approx(after.diameter_mm),
        )


def test_simulated_nodules_belong_to_no_patient_and_have_lung_nodule_sizes() -> None:
    made = list(simulated_nodules(60, seed=1))
    assert {item.fold for item in made} == {-1}
    assert 4.5 < np.median([item.diameter_mm for item in made]) < 8.5


def test_an_inserted_nodule_is_bright_and_its_surroundings_are_untouched() -> None:
    background, item = lung(), nodule()
    image, mask = insert(background.image, item, np.array([30, 45, 45]))
    assert mask.sum() == item.mask.sum()
    assert image[mask].mean() > background.image[mask].mean() + 80
    far = np.ones(image.shape, dtype=bool)
    far[20:41, 33:58, 33:58] = False
    assert (image[far] == background.image[far]).all()


def cut_from(lung_level: float) -> InsertableNodule:
    """A ball of 6 mm with its partial volumes, cut with the lung of that level (HU) around it."""
    radius = np.linalg.norm(np.indices((15, 15, 15)) - 7.0, axis=0)
    share = np.clip(3.5 - radius, 0, 1)
    made = insertable(lung_level + share * (40 - lung_level), share, fold=0, source="crop", malignancy=3.0)
    assert made is not None
    return made


def test_a_nodule_brings_no_dark_ring_into_a_denser_lung() -> None:
    dense = np.full((40, 40, 40), 60, dtype=np.uint8)
    image, mask = insert(dense, cut_from(-900.0), np.array([20, 20, 20]))
    assert mask.any() and image.min() >= 59
    same, _ = insert(dense, cut_from(-670.0), np.array([20, 20, 20]))
    assert np.abs(image.astype(int) - same.astype(int)).max() <= 12


@pytest.mark.parametrize("slice_blur", [0.7, 1.2])
def test_a_nodule_put_back_into_its_own_lung_is_as_dense_and_as_large_as_before(slice_blur: float) -> None:
    radius = np.linalg.norm(np.indices((25, 25, 25)) - 12.0, axis=0)
    share = ndimage.gaussian_filter((radius < 2.5).astype(float), (slice_blur, 0.7, 0.7))
    own = -860 + share * 900
    mask = share > 0.4
    made = insertable(own, mask.astype(float), fold=0, source="crop", malignancy=3.0)
    assert made is not None
    empty = float(to_window(np.array(-860.0)))
    assert made.lung_level == pytest.approx(empty, abs=1)
    image, inside = insert(np.full((40, 40, 40), empty, dtype=np.uint8), made, np.array([20, 20, 20]))
    assert inside.sum() == mask.sum()
    before = (to_window(own)[mask].astype(float) - empty).sum()
    assert (image[inside].astype(float) - empty).sum() == pytest.approx(before, rel=0.02)


def test_a_crop_brought_to_one_millimetre_is_hardly_blurred(tmp_path: Path) -> None:
    spacing, shape = np.array((1.25, 0.7, 0.7)), (13, 25, 25)
    middle = (np.array(shape)[:, None, None, None] - 1) / 2
    offset = (np.indices(shape) - middle) * spacing[:, None, None, None]
    above = 900 * np.exp(-(offset**2).sum(axis=0) / (2 * 1.3**2))
    mask = above > 250
    np.savez(
        tmp_path / "crops.npz", hu=(above - 850).ravel().astype(np.int16), mask=mask.ravel().astype(np.uint8),
        offset=[0, above.size], shape_kji=[shape], spacing_kji_mm=[spacing],
    )  # fmt: skip
    (tmp_path / "crops.csv").write_text("nodule,patient,malignancy\n1,LIDC-IDRI-0001,3\n")
    made = next(crop_nodules(tmp_path, seed=0))
    levels = (made.density.astype(float) - to_window(np.array(-850.0)))[made.mask] * 1400 / 255
    # Squared, blur shows: linear resampling leaves 0.76 of it. The rest is the mask's edge.
    assert (levels**2).sum() > 0.8 * (above[mask] ** 2).sum() * spacing.prod()


def test_the_lung_around_a_cut_nodule_is_known_beyond_its_blur_and_survives_being_saved(tmp_path: Path) -> None:
    item = cut_from(-900.0)
    assert item.lung_level == to_window(np.array(-900.0))
    bright = np.full((15, 15, 15), 30.0)
    bright[7, 7, 7] = 31
    assert np.isnan(level_around(bright[:, 5:10, 5:10], np.ones((15, 5, 5), dtype=bool)))
    simulated = next(simulated_nodules(1, seed=2))
    save_nodules(tmp_path / "nodules.npz", [item, simulated])
    again = load_nodules(tmp_path / "nodules.npz")
    assert again[0].lung_level == item.lung_level and np.isnan(again[1].lung_level)


def test_a_rendered_nodule_keeps_its_density() -> None:
    """Its density is constant out to the rim: no lung is to be exchanged in it."""
    item = replace(nodule(), density=np.full(nodule().density.shape, 190, dtype=np.uint8))
    image, mask = insert(np.full((60, 60, 60), 50, dtype=np.uint8), item, np.array([30, 30, 30]))
    assert image[mask].max() >= 185


def test_an_inserted_nodule_leaves_the_chest_wall_as_it_was() -> None:
    background = lung()
    image, mask = insert(background.image, nodule(), np.array([30, 13, 45]))
    wall = ~background.lung
    assert (image[wall] >= background.image[wall]).all()
    assert not (mask & wall)[:, :10].any()


def test_thick_slices_blur_a_nodule_along_z_only() -> None:
    rng = np.random.default_rng(0)
    thin, thick = oriented(nodule(), rng), oriented(nodule(), rng, slice_mm=3.0)
    assert thick.alpha.shape[0] > thin.alpha.shape[0] and thick.alpha.shape[1] == thin.alpha.shape[1]
    assert thick.density.shape == thick.alpha.shape == thick.mask.shape


def test_what_was_cut_from_thick_slices_is_not_blurred_twice(tmp_path: Path) -> None:
    item = replace(nodule(), slice_mm=3.0)
    assert oriented(item, np.random.default_rng(0), slice_mm=3.0).alpha.shape[0] == item.alpha.shape[0]
    save_nodules(tmp_path / "n.npz", [item])
    assert load_nodules(tmp_path / "n.npz")[0].slice_mm == 3.0


def test_slices_hold_targets_only_where_a_nodule_is(prepared: tuple[Path, Path]) -> None:
    cache, data = prepared
    sampler = SliceSampler(Sources.load(cache, data, {0}), seed=0)
    kinds = {"nodule": 0, "none": 0, "lung": 0}
    for _ in range(80):
        image, target, ignore, place = sampler.draw()
        assert image.shape == (SLICES, 64, 64) and target.shape == ignore.shape == (64, 64)
        if place is not None:
            kinds["lung"] += 1
            assert not target.any()
        kinds["nodule" if target.any() else "none"] += 1
    assert min(kinds.values()) > 8, kinds


def test_sampling_is_repeatable() -> None:
    first, second = (SliceSampler(replaceable(), seed=3) for _ in range(2))
    for _ in range(5):
        assert (first.draw()[0] == second.draw()[0]).all()


def test_hard_places_come_back_and_old_ones_are_forgotten() -> None:
    sampler = SliceSampler(replaceable(), seed=0)
    for n in range(700):
        sampler.report_hard(0, np.array([20 + n % 20, 40, 40]), keep=600)
    assert len(sampler.hard) == 600
    drawn = [place for _ in range(100) if (place := sampler.draw()[3]) is not None]
    assert sum((place[1][1:] == 40).all() for place in drawn) > 5


@pytest.mark.parametrize("size", [16, 48, 64])
def test_patches_are_centred_on_their_nodule(size: int) -> None:
    sampler = PatchSampler(replaceable(), [Place(0, np.array([30, 45, 45]))], seed=0, size=size)
    samples = [sampler.draw() for _ in range(60)]
    middle = (slice(size // 2 - 4, size // 2 + 5),) * 3
    assert all(s.patch.shape == (size,) * 3 for s in samples)
    assert all(s.patch[middle].max() > 90 for s in samples if s.is_nodule)
    assert 15 < sum(s.is_nodule for s in samples) < 45
    assert all(np.isnan(s.malignancy) and s.proposal in (0, None) for s in samples if not s.is_nodule)


def test_false_proposals_that_are_still_believed_come_back_more_often() -> None:
    sampler = PatchSampler(replaceable(), [Place(0, np.array([30, 45, 45 + n])) for n in range(2)], seed=0)
    sampler.report(0, 0.95)
    sampler.report(1, 0.0)
    drawn = [s.proposal for _ in range(200) if (s := sampler.draw()).proposal is not None]
    assert drawn.count(0) > 3 * drawn.count(1) > 0


def test_where_a_boxed_patch_goes_empty_says_nothing_of_its_class() -> None:
    """Nodules lie at their box's middle and other places do not; the emptied border must not give that away."""
    made = replaceable()
    made.boxes = []
    sampler = PatchSampler(made, [], seed=0)
    filled: dict[bool, list[int]] = {True: [], False: []}
    for _ in range(60):
        for background in (True, False):
            patch = sampler._from_box(background).patch
            filled[not background].append(int((patch > 0).any(axis=(1, 2)).sum()))
    assert abs(np.mean(filled[True]) - np.mean(filled[False])) < 4


def test_extents_are_the_box_around_its_place_and_meet_in_both() -> None:
    whole = extent(64, (51, 51, 51), np.array([25, 25, 25]))
    corner = extent(64, (51, 51, 51), np.array([5, 45, 25]))
    assert whole == (slice(7, 58),) * 3
    assert corner == (slice(27, 64), slice(0, 38), slice(7, 58))
    assert intersection(whole, corner) == (slice(27, 58), slice(7, 38), slice(7, 58))
    assert extent(48, (51, 51, 51), np.array([5, 45, 25])) == (slice(19, 48), slice(0, 30), slice(0, 48))


def test_malignancy_follows_the_readers_and_three_says_nothing() -> None:
    assert [malignant(r) for r in (1, 2, 4, 5)] == [0, 0, 1, 1]
    assert np.isnan(malignant(3)) and np.isnan(malignant(float("nan")))


def test_moving_average_starts_without_bias() -> None:
    value, average = torch.tensor([1.0]), torch.tensor([0.0])
    for count in range(1, 60):
        average = moving_average(average, value, count)
    assert average.item() > 0.99
    steps = torch.tensor(7)
    assert moving_average(steps, torch.tensor(9), 3) == 9


def marks(tmp_path: Path) -> OutOfFold:
    """Two folds: nodules score high but for one, healthy lung low but for two marks."""
    for fold in range(2):
        found = [
            {"kind": "cube", "case": f"c{fold}-{n}", "fold": fold, "peak": 0.9, "side_peak": 0.8, "logit": 3.0 + n / 10,
             "malignancy_logit": n, "hit": True, "doubtful": False, "center_kji": [0, 0, 0]}
            for n in range(9)
        ]  # fmt: skip
        false = [
            {"kind": "lung", "case": "l", "fold": fold, "peak": 0.3, "side_peak": 0.2, "logit": -3.0 + n / 10,
             "malignancy_logit": 0, "hit": False, "doubtful": n == 7, "center_kji": [0, 0, 0]}
            for n in range(8)
        ]  # fmt: skip
        cases = [
            {"kind": "cube", "case": f"c{fold}-{n}", "fold": fold, "diameter_mm": 5.0 + n,
             "malignancy": 5 if n > 4 else 1, "share_in_mask": 0.7}
            for n in range(10)
        ]  # fmt: skip
        (tmp_path / f"cross-validation-{fold}.json").write_text(json.dumps({"marks": found + false, "cases": cases}))
    return read_out_of_fold(mark_files(tmp_path))


def test_operating_table_counts_missed_nodules_and_leaves_doubtful_marks_out(tmp_path: Path) -> None:
    data = marks(tmp_path)
    calibration, scores = calibrate(data)
    assert calibration["slope"] > 0 and calibration["plane_slope"] > 0 and scores.min() >= 0 and scores.max() <= 1
    assert (best_hits(data, scores, "cube") == -1).sum() == 2
    table = operating_table(data, scores, {})
    assert table[0]["sensitivity"] == 0.9
    assert all(row["bands"] == {} for row in table), "nothing was inserted"
    assert all(a["sensitivity"] >= b["sensitivity"] for a, b in itertools.pairwise(table))
    assert all(a["fp_per_scan"] >= b["fp_per_scan"] for a, b in itertools.pairwise(table))
    assert table[-1]["fp_per_scan"] == 0 and max(row["fp_per_scan"] for row in table) <= 7


def test_the_operating_table_has_a_row_of_large_and_one_of_ground_glass_nodules() -> None:
    cases = [
        {"kind": "any-size", "case": f"R01-001 crop N{n} any-{n}", "fold": 0, "diameter_mm": diameter}
        for n, diameter in enumerate((4.0, 5.9, 6.0, 20.0))
    ]
    shared = {"kind": "any-size", "fold": 0, "hit": True, "doubtful": False}
    found = [{**shared, "case": case["case"]} for case in cases[1:]]
    known = {f"crop N{n}": Known(f"p{n}", texture, 3.0) for n, texture in enumerate((1.0, 2.0, 5.0, float("nan")))}
    table = operating_table(OutOfFold(found, cases, 1), np.array([0.5, 0.2, 0.9]), known)
    (row,) = (row for row in table if row["threshold"] == 0.3)
    assert row["bands"] == {"6 mm and more, inserted": 0.5, "ground-glass, inserted": 0.5}
    (row,) = (row for row in table if row["threshold"] == 0.7)
    assert row["bands"] == {"6 mm and more, inserted": 0.5, "ground-glass, inserted": 0.0}


def test_the_cards_metrics_read_the_curve_at_each_number_of_false_positives(tmp_path: Path) -> None:
    data = marks(tmp_path)
    scores = np.where(data.is_hit(), 0.5, 0.1)
    false = np.flatnonzero(data.is_false())
    scores[false[:2]] = 0.9  # two false marks in two scans lie above every nodule
    found = metrics(data, scores, threshold=0.5)
    at = dict(zip(found["fp_per_scan"], found["sensitivity_cubes"], strict=True))
    assert at[0.5] == 0.0 and at[1.0] == at[2.0] == at[8.0] == 0.9
    assert found["fp_per_scan_at_default"] == 1.0 and found["proposed_cubes"] == 0.9


def test_default_threshold_is_the_lowest_that_calls_little_healthy_lung_a_nodule(tmp_path: Path) -> None:
    data = marks(tmp_path)
    scores = np.where(data.is_hit(), 0.73, 0.2)
    assert default_threshold(data, scores) == 0.3
    scores[np.flatnonzero(data.is_false())[:4]] = 0.82  # four in two scans
    assert default_threshold(data, scores, allowed=2) == 0.3
    assert default_threshold(data, scores) == 0.9


def test_a_folder_without_marks_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = (
        "--data",
        "data",
        "--segmentation",
        "unet",
        "--classification",
        "hybrid",
        "--output",
        str(tmp_path / "Models"),
    )
    assert main(["--marks", str(tmp_path), *folders]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"{tmp_path} holds no cross-validation") and printed.err.count("\n") == 1
    assert printed.out == "" and not (tmp_path / "Models").exists()


def test_a_folds_classifier_gets_patches_of_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = HybridConfig(patch_size=48, base_channels=4, view="foveated", readout="centered", blocks="residual")
    classifier = HybridClassifier(config).eval()
    spot = np.zeros((64, 64, 64), dtype=np.float32)
    spot[30:35, 30:35, 30:35] = 0.9
    unet = UNet25D(UNetConfig(encoder_channels=(2, 2), decoder_channels=(2,), convolutions=(1, 1))).eval()
    for name, value in (("averaged_unet", unet), ("averaged_hybrid", classifier), ("wavelet_of", None)):
        monkeypatch.setattr(cross_validation, name, lambda *_, value=value: value)
    monkeypatch.setattr(cross_validation, "heat_map", lambda *_, **__: spot)
    image = np.random.default_rng(0).integers(0, 255, spot.shape, dtype=np.uint8)
    seen = cross_validation.FoldDetector(Path("unet"), Path("hybrid"))(image, None)
    np.testing.assert_allclose([p.center_kji for p in seen.proposals], [(32, 32, 32)], atol=1e-3)
    patch = torch.from_numpy(image[8:56, 8:56, 8:56].copy()).float()[None, None] / 255
    with torch.inference_mode():
        views = [classifier(patch.flip(axes)) for axes in MIRRORED]
    np.testing.assert_allclose(seen.logits, torch.stack(views).mean(0), atol=0.02)


def test_doubtful_regions_are_in_known_scans() -> None:
    regions = doubtful_regions()
    assert set(regions) <= {*BACKGROUND_SCANS, *BACKGROUND_SLABS}
    assert all(radius > 0 for found in regions.values() for _, radius in found)


def test_the_real_cubes_are_read(shared_data: Path) -> None:
    cubes = load_cubes(shared_data / "lidc-nodules")
    assert len(cubes) == 83
    assert all(cube.mask[20:31, 20:31, 20:31].any() for cube in cubes)


def test_the_real_crops_become_boxes_whose_background_is_no_finding(shared_data: Path) -> None:
    for _, made in zip(range(30), crop_boxes(shared_data), strict=False):
        assert made.image.shape == made.mask.shape and made.mask.any() and len(made.image) >= 5
        assert made.image[made.mask].mean() > made.image[~made.mask].min() + 20
        assert not made.mask[tuple(made.background.T.astype(int))].any()


def test_boxes_survive_being_saved(tmp_path: Path) -> None:
    made = [box("a", "p"), box("b", "q", shape=(9, 20, 33))]
    assert save_boxes(tmp_path / "b.npz", made) == 2
    for before, after in zip(made, load_boxes(tmp_path / "b.npz"), strict=True):
        assert (before.image == after.image).all() and (before.mask == after.mask).all()
        assert (before.background == after.background).all()
        assert (before.name, before.patient, before.diameter_mm) == (after.name, after.patient, after.diameter_mm)


@pytest.mark.parametrize("thickness", THICKNESSES_MM)
def test_thick_slices_keep_what_is_even_and_dilute_what_is_thin(thickness: float) -> None:
    for phase in (0.0, 0.25, 0.5, 0.75):
        operator = slice_operator(15, thickness, phase)
        assert operator.shape == (15, 15)
        assert operator.sum(axis=1) == pytest.approx(np.ones(15), abs=1e-4)
        thin = operator @ np.eye(15, dtype=np.float32)[7]
        assert thin.max() < 1.25 / thickness
        assert thin.sum() == pytest.approx(1.0, abs=0.35)


def test_a_degraded_lung_stays_the_same_lung_and_thick_scans_get_no_thicker_often() -> None:
    rng = np.random.default_rng(0)
    image = np.full((15, 40, 40), 30, dtype=np.float32)
    image[7, 15:25, 15:25] = 200
    spread = {1.0: 0, 3.0: 0}
    for slice_mm in spread:
        for _ in range(60):
            out = np.clip(draw_scanner(rng, image.shape, slice_mm)(image), 0, 255)
            assert out[7, 18:22, 18:22].mean() > out[:3].mean() + 15
            spread[slice_mm] += bool(out[6, 18:22, 18:22].mean() > out[2, 18:22, 18:22].mean() + 8)
    assert spread[1.0] > 2 * spread[3.0]
