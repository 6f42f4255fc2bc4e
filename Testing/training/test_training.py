"""Training on small made-up data: what goes in, what the losses say, and that a killed run goes on."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from training import train_classification, train_segmentation
from training.boxes import NoduleBox, crop_boxes, load_boxes, load_cubes, save_boxes
from training.checkpoints import averaged_unet, moving_average
from training.degrade import THICKNESSES_MM, degrade, slice_operator
from training.nodules import InsertableNodule, insertable, load_nodules, save_nodules, simulated_nodules, to_window
from training.patches import HALF, SIZE, UNCUT, PatchSampler, Place, extent, intersection, malignant
from training.publish import OutOfFold, best_hits, calibrate, default_threshold, metrics, operating_table
from training.sampler import SLICES, Lung, SliceSampler, Sources, doubtful_regions, insert, oriented
from training.splits import BACKGROUND_SCANS, BACKGROUND_SLABS, FOLDS, fold_of
from training.train_classification import focal_loss
from training.train_segmentation import segmentation_loss


def nodule(fold: int = 0, diameter: float = 8.0, source: str = "ball", malignancy: float = 5.0) -> InsertableNodule:
    reach = int(diameter)
    axis = np.arange(-reach, reach + 1)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    occupancy = np.clip(diameter / 2 - radius + 0.5, 0, 1)
    made = insertable(np.full(occupancy.shape, 30.0), occupancy, fold=fold, source=source, malignancy=malignancy)
    assert made is not None
    return made


def lung(name: str = BACKGROUND_SCANS[0], seed: int = 0) -> Lung:
    rng = np.random.default_rng(seed)
    image = to_window(rng.normal(-850, 20, (60, 90, 90)))
    inside = np.zeros(image.shape, dtype=bool)
    inside[8:52, 12:78, 12:78] = True
    image[~inside] = to_window(np.array([40.0]))[0]
    places = np.argwhere(inside)[::50].astype(np.int16)
    return Lung(name, image, inside, np.zeros_like(inside), places, places, 1.0, np.eye(4))


def sources() -> Sources:
    balls = [nodule(source=f"ball {n}", diameter=5 + n) for n in range(4)]
    return Sources([lung()], [], [], balls, balls, [nodule(source="decoy")])


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, Path]:
    """A cache and a data folder in the layout that training reads, with one lung and five cubes a fold."""
    cache, data = tmp_path / "cache", tmp_path / "data"
    cache.mkdir()
    (data / "lidc-nodules").mkdir(parents=True)
    for n, scan in enumerate((*BACKGROUND_SCANS, *BACKGROUND_SLABS)):
        made = lung(scan, seed=n)
        np.savez_compressed(
            cache / f"lung-{scan}.npz", image=made.image, lung=made.lung, ijk_to_lps=np.eye(4), slice_mm=1.0, scan=scan
        )
    balls = [nodule(fold=n % FOLDS, source=f"ball {n}", diameter=4.2 + 0.3 * n) for n in range(20)]
    save_nodules(cache / "crops.npz", balls)
    save_nodules(cache / "simulated.npz", [nodule(fold=-1, source="simulated")])
    save_boxes(cache / "boxes.npz", [box(f"box {n}", f"patient-{n}") for n in range(10)])
    save_nodules(cache / "decoys.npz", [nodule(fold=n, source="decoy") for n in range(FOLDS)])
    columns = "nodule,patient,volume_mm3,equivalent_diameter_mm,malignancy"
    axis = np.arange(51) - 25
    mask = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) <= 25
    with (data / "lidc-nodules" / "cubes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns.split(","))
        for n in range(25):
            writer.writerow([f"n{n}", f"patient-{n}", mask.sum(), 10.0, 5 if n % 2 else 1])
    np.savez_compressed(
        data / "lidc-nodules" / "cubes.npz",
        hu=np.where(mask, 30, -850).astype(np.int16)[None].repeat(25, axis=0),
        mask=mask.astype(np.uint8)[None].repeat(25, axis=0),
    )
    return cache, data


def run(main, *arguments: object) -> None:
    saved = sys.argv
    sys.argv = ["training", *map(str, arguments)]
    try:
        main()
    finally:
        sys.argv = saved


def test_a_patient_is_in_one_fold_and_every_fold_has_patients() -> None:
    folds = [fold_of(f"LIDC-IDRI-{n:04d}") for n in range(400)]
    assert set(folds) == set(range(FOLDS))
    assert folds == [fold_of(f"LIDC-IDRI-{n:04d}") for n in range(400)]
    assert [fold_of(scan) for scan in BACKGROUND_SCANS] == list(range(FOLDS))


def test_left_out_patients_and_scans_are_nowhere_in_a_folds_sources(prepared: tuple[Path, Path]) -> None:
    cache, data = prepared
    for fold in range(FOLDS):
        kept = Sources.load(cache, data, fold)
        names = {made.name for made in kept.lungs}
        assert names == {name for name in (*BACKGROUND_SCANS, *BACKGROUND_SLABS) if fold_of(name) != fold}
        assert BACKGROUND_SCANS[fold] not in names
        assert all(fold_of(item.patient) != fold for item in kept.cubes + kept.boxes)
        assert all(item.fold != fold for item in kept.crops + kept.decoys)
    assert len(Sources.load(cache, data, None).crops) == 20


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


def test_slices_hold_targets_only_where_a_nodule_is(prepared: tuple[Path, Path]) -> None:
    cache, data = prepared
    sampler = SliceSampler(Sources.load(cache, data, 0), seed=0)
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


def replaceable() -> Sources:
    made = sources()
    made.cubes = [box("cube", "p")]
    made.boxes = [box("crop", "q", shape=(12, 40, 70))]
    return made


def box(name: str, patient: str, shape: tuple[int, int, int] = (51, 51, 51)) -> NoduleBox:
    """A bright 7 mm block at the middle, and a dense place beside it."""
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(n // 2 - 3, n // 2 + 4) for n in shape)] = True
    image = np.where(mask, 200, 25).astype(np.uint8)
    image[5, 10, 10] = 150
    return NoduleBox(name, patient, image, mask, 4.0, 8.0, np.array([[5, 10, 10]], dtype=np.int16))


def test_hard_places_come_back_and_old_ones_are_forgotten() -> None:
    sampler = SliceSampler(replaceable(), seed=0)
    for n in range(700):
        sampler.report_hard(0, np.array([20 + n % 20, 40, 40]), keep=600)
    assert len(sampler.hard) == 600
    drawn = [place for _ in range(100) if (place := sampler.draw()[3]) is not None]
    assert sum((place[1][1:] == 40).all() for place in drawn) > 5


def test_patches_are_centred_on_their_nodule() -> None:
    sampler = PatchSampler(replaceable(), [Place(0, np.array([30, 45, 45]))], seed=0)
    samples = [sampler.draw() for _ in range(60)]
    assert all(s.patch.shape == (SIZE,) * 3 for s in samples)
    assert all(s.patch[28:37, 28:37, 28:37].max() > 90 for s in samples if s.is_nodule)
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
    whole = extent((51, 51, 51), np.array([25, 25, 25]))
    corner = extent((51, 51, 51), np.array([5, 45, 25]))
    assert whole == (slice(7, 58),) * 3
    assert corner == (slice(27, 64), slice(0, 38), slice(7, 58))
    assert intersection(whole, corner) == (slice(27, 58), slice(7, 38), slice(7, 58))
    assert UNCUT < HALF


def test_malignancy_follows_the_readers_and_three_says_nothing() -> None:
    assert [malignant(r) for r in (1, 2, 4, 5)] == [0, 0, 1, 1]
    assert np.isnan(malignant(3)) and np.isnan(malignant(float("nan")))


def test_focal_loss_is_the_documents_formula() -> None:
    """A12, from its definition."""
    logits, target = torch.tensor([-1.2, 0.3, 2.0, -0.4]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    p = torch.sigmoid(logits)
    expected = 0.0
    for probability, label in zip(p.tolist(), target.tolist(), strict=True):
        right, weight = (probability, 0.25) if label else (1 - probability, 0.75)
        expected -= weight * (1 - right) ** 2 * float(np.log(right))
    assert focal_loss(logits, target).item() == pytest.approx(expected / 4, rel=1e-5)


def test_segmentation_loss_rewards_the_truth_and_ignores_what_is_doubtful() -> None:
    target = torch.zeros(2, 1, 32, 32)
    target[0, 0, 10:16, 10:16] = 1
    valid = torch.ones_like(target)
    right, wrong = (target * 2 - 1) * 8, -(target * 2 - 1) * 8
    assert segmentation_loss(right, target, valid) < 0.05 < 1 < segmentation_loss(wrong, target, valid)
    spurious = right.clone()
    spurious[1, 0, 2:6, 2:6] = 8
    doubtful = valid.clone()
    doubtful[1, 0, 2:6, 2:6] = 0
    assert segmentation_loss(spurious, target, valid) > 0.5
    assert segmentation_loss(spurious, target, doubtful) < 0.05


def test_moving_average_starts_without_bias() -> None:
    value, average = torch.tensor([1.0]), torch.tensor([0.0])
    for count in range(1, 60):
        average = moving_average(average, value, count)
    assert average.item() > 0.99
    steps = torch.tensor(7)
    assert moving_average(steps, torch.tensor(9), 3) == 9


def test_segmentation_training_learns_is_killed_and_goes_on(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    cache, data = prepared
    shared = [
        "--data",
        data,
        "--cache",
        cache,
        "--run",
        tmp_path / "run",
        "--leave-out",
        1,
        "--batch",
        6,
        "--threads",
        1,
    ]
    run(train_segmentation.main, *shared, "--steps", 100)
    before = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert before["step"] == 100
    run(train_segmentation.main, *shared, "--steps", 130)
    after = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert after["step"] == 130
    rows = list(csv.reader((tmp_path / "run" / "history.csv").open()))
    assert [int(row[0]) for row in rows] == [100, 130]
    network = averaged_unet(tmp_path / "run")
    image = np.full((SLICES, 64, 64), to_window(np.array([-850.0]))[0])
    with_nodule, mask = insert(image, nodule(diameter=9), np.array([3, 32, 32]))
    with torch.inference_mode():
        heat = network(torch.from_numpy(with_nodule)[None].float() / 255).sigmoid()[0, 0].numpy()
    assert heat[mask[3]].mean() > 3 * heat[~mask[3]].mean()


def test_classification_training_runs_from_a_segmentation_run(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    cache, data = prepared
    common = ["--data", data, "--cache", cache, "--leave-out", 2, "--threads", 1]
    run(train_segmentation.main, *common, "--run", tmp_path / "unet", "--steps", 1, "--batch", 2)
    run(
        train_classification.main, *common, "--segmentation", tmp_path / "unet", "--run", tmp_path / "hybrid",
        "--steps", 3, "--batch", 3,
    )  # fmt: skip
    assert torch.load(tmp_path / "hybrid" / "checkpoint.pt", weights_only=True)["step"] == 3
    assert (tmp_path / "hybrid" / "proposals.npy").exists()


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
    return OutOfFold.load(tmp_path)


def test_operating_table_counts_missed_nodules_and_leaves_doubtful_marks_out(tmp_path: Path) -> None:
    data = marks(tmp_path)
    calibration, scores = calibrate(data)
    assert calibration["slope"] > 0 and calibration["side_slope"] > 0 and scores.min() >= 0 and scores.max() <= 1
    assert (best_hits(data, scores, "cube") == -1).sum() == 2
    table = operating_table(data, scores)
    assert table[0]["sensitivity"] == 0.9
    assert all(a["sensitivity"] >= b["sensitivity"] for a, b in itertools.pairwise(table))
    assert all(a["fp_per_scan"] >= b["fp_per_scan"] for a, b in itertools.pairwise(table))
    assert table[-1]["fp_per_scan"] == 0 and max(row["fp_per_scan"] for row in table) <= 7


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
    assert default_threshold(data, scores) == 0.21
    scores[np.flatnonzero(data.is_false())[:4]] = 0.9  # four in two scans may stay
    assert default_threshold(data, scores) == 0.21
    assert default_threshold(data, scores, allowed=1) == 0.91


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
            out = np.clip(degrade(image, rng, slice_mm), 0, 255)
            assert out[7, 18:22, 18:22].mean() > out[:3].mean() + 15
            spread[slice_mm] += bool(out[6, 18:22, 18:22].mean() > out[2, 18:22, 18:22].mean() + 8)
    assert spread[1.0] > 2 * spread[3.0]
