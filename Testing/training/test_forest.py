"""Growing the forest that weighs a proposal's appearance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from training_inputs import lung, nodule

from LungNoduleCADLib.detection.appearance import EDGE, FEATURES, OPINIONS
from LungNoduleCADLib.detection.group import Proposal
from LungNoduleCADLib.networks.cards import Calibration
from training import forest, forest_samples
from training.cross_validation import Seen
from training.forest_samples import Samples
from training.out_of_fold import mark_files, read_out_of_fold
from training.publish import calibrate
from training.splits import fold_of

WIDTH = len(OPINIONS) + len(FEATURES)


def samples(fold: int, count: int = 60, seed: int = 0) -> Samples:
    """Nodules have a greater last feature than what is none; the others are chance."""
    rng = np.random.default_rng(seed + fold)
    inputs = rng.normal(size=(count, WIDTH)).astype(np.float32)
    is_nodule = np.arange(count) % 3 == 0
    inputs[:, -1] += 4 * is_nodule
    return Samples(inputs, is_nodule, np.arange(count) % 2 == 0, np.full(count, fold))


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
def test_joined_trees_decide_as_scikit_learn_does(kind: type) -> None:
    """Also for features that equal a threshold, which are whole numbers here."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 5, size=(300, 4)).astype(np.float32) / np.float32(3)
    y = (x[:, 0] + x[:, 1] > 1.5) ^ (rng.random(300) < 0.1)
    grown = kind(20, random_state=0, min_samples_leaf=2).fit(x, y, sample_weight=rng.random(300))
    joined = forest.joined([tree.tree_ for tree in grown.estimators_])
    unseen = rng.integers(0, 5, size=(500, 4)).astype(np.float32) / np.float32(3)
    for rows in (x, unseen):
        np.testing.assert_allclose(joined.shares(rows), grown.predict_proba(rows)[:, 1], atol=1e-6)


def test_thresholds_are_never_rounded_up() -> None:
    exact = np.array([0.1, -0.1, 1 / 3, 1e9 + 0.5, 2.0])
    single = forest._down_to_single(exact)
    assert single.dtype == np.float32 and (single.astype(float) <= exact).all()
    assert (np.nextafter(single, np.float32(np.inf)).astype(float) > exact).all()


def test_a_folds_own_samples_are_unknown_to_its_forest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "TREES", 20)
    own = [samples(fold) for fold in range(3)]
    seen: list[set[int]] = []
    grow = forest.grow

    def recorded(part: Samples) -> forest.DecisionForest:
        seen.append(set(part.fold.tolist()))
        return grow(part)

    monkeypatch.setattr(forest, "grow", recorded)
    grown = forest.grow_all(own)
    assert seen == [{1, 2}, {0, 2}, {0, 1}, {0, 1, 2}] and sorted(grown.out_of_fold) == [0, 1, 2]
    for fold, part in enumerate(own):
        shares = grown.out_of_fold[fold].shares(part.inputs)
        assert shares[part.is_nodule].mean() > shares[~part.is_nodule].mean() + 0.3


def test_growing_is_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "TREES", 5)
    first, second = forest.grow(samples(0)), forest.grow(samples(0))
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_real_and_inserted_nodules_weigh_alike_however_many_there_are() -> None:
    part = Samples(
        np.zeros((10, WIDTH), np.float32),
        np.arange(10) < 5,
        np.arange(10) < 1,  # one real nodule, four inserted ones, five false marks
        np.zeros(10, dtype=int),
    )
    weight = forest._weights(Samples.together((part, samples(2))))
    real, inserted, false = weight[:1].sum(), weight[1:5].sum(), weight[5:10].sum()
    assert real == pytest.approx(inserted) and real + inserted == pytest.approx(false)


def marks(fold: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(fold)

    def mark(kind: str, hit: bool, doubtful: bool = False) -> dict[str, Any]:
        looks = rng.normal(size=len(FEATURES)) + (4 if hit else 0)
        return {"kind": kind, "case": kind, "fold": fold, "peak": 0.6, "side_peak": 0.5, "logit": float(rng.normal()),
                "hit": hit, "doubtful": doubtful, "appearance": looks.tolist()}  # fmt: skip

    return (
        [mark("cube", True) for _ in range(12)]
        + [mark("insertion", True) for _ in range(12)]
        + [mark("any-size", True) for _ in range(5)]
        + [mark("cube", False) for _ in range(3)]
        + [mark("lung", False) for _ in range(30)]
        + [mark("lung", False, doubtful=True) for _ in range(4)]
    )


def test_only_what_is_sure_is_grown_on() -> None:
    found = marks(2)
    part = Samples.of_marks(found, forest.inputs_of_marks(found))
    assert len(part.fold) == 54 and set(part.fold) == {2} and part.is_nodule.sum() == 24
    assert (part.is_nodule & part.is_real).sum() == 12 and (~part.is_nodule).sum() == 30


def test_samples_survive_being_saved(tmp_path: Path) -> None:
    part = samples(4)
    part.save(tmp_path / "samples.npz")
    again = Samples.load(tmp_path / "samples.npz")
    for name, values in vars(part).items():
        np.testing.assert_array_equal(getattr(again, name), values)
        assert getattr(again, name).dtype == values.dtype


class SeesMiddle:
    """Takes for a nodule the middle of an image, and for another one a corner."""

    def __call__(self, image: NDArray[np.uint8], inside: NDArray[np.bool_] | None) -> Seen:
        places = [tuple(float(n // 2) for n in image.shape), (1.0, 1.0, 1.0)]
        one = np.ones((1, 1, 1), dtype=bool)
        proposals = [Proposal(place, 0.5, tuple(map(int, place)), one) for place in places]  # type: ignore[arg-type]
        return Seen(torch.from_numpy(image).float() / 255, proposals, np.full(2, 0.4), np.zeros((2, 2), np.float32))


@pytest.fixture
def left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """One small lung and one nodule in every fold, and one cube whose patient belongs to fold 0."""
    import training_inputs

    patient = next(name for name in (f"LIDC-IDRI-{n:04}" for n in range(99)) if fold_of(name) == 0)
    cube = training_inputs.box("cube", patient)
    monkeypatch.setattr(forest_samples, "load_lungs", lambda cache: [lung()] * 5)
    monkeypatch.setattr(forest_samples, "load_cubes", lambda data: [cube])
    monkeypatch.setattr(
        forest_samples,
        "load_nodules",
        lambda path: [nodule(fold=f, source="decoy" if "decoys" in path.name else "ball") for f in range(5)],
    )
    monkeypatch.setattr(forest_samples, "INSERTIONS", 3)
    monkeypatch.setattr(forest_samples, "DECOYS", 2)


def test_a_folds_samples_are_false_marks_copies_insertions_and_decoys(left_out: None) -> None:
    part = forest_samples.samples_of_fold(0, SeesMiddle(), Path(), Path())  # type: ignore[arg-type]
    assert part.inputs.shape == (len(part.fold), WIDTH) and set(part.fold) == {0}
    inserted = ~part.is_real
    assert (part.is_nodule & inserted).sum() == 3 and 1 <= (~part.is_nodule & inserted).sum() <= 2
    # Two copies of the cube at most, and its corners are too near the border to be judged.
    assert 1 <= (part.is_nodule & part.is_real).sum() <= forest_samples.CUBE_COPIES
    assert (~part.is_nodule & part.is_real).sum() <= 2 * forest_samples.LUNG_COPIES
    again = forest_samples.samples_of_fold(0, SeesMiddle(), Path(), Path())  # type: ignore[arg-type]
    np.testing.assert_array_equal(part.inputs, again.inputs)
    elsewhere = forest_samples.samples_of_fold(1, SeesMiddle(), Path(), Path())  # type: ignore[arg-type]
    assert not (elsewhere.is_nodule & elsewhere.is_real).any()


def test_the_command_notes_a_share_of_every_mark_and_keeps_its_samples(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(forest, "TREES", 10)
    made: list[int] = []

    def samples_of_fold(fold: int, *_: object) -> Samples:
        made.append(fold)
        return samples(fold)

    monkeypatch.setattr(forest, "FoldDetector", lambda *_: None)
    monkeypatch.setattr(forest, "samples_of_fold", samples_of_fold)
    runs, output = tmp_path / "runs", tmp_path / "forest"
    runs.mkdir()
    for fold in range(5):
        content = {"marks": marks(fold), "cases": []}
        (runs / f"cross-validation-{fold}.json").write_text(json.dumps(content))
    arguments = ["--data", ".", "--cache", ".", "--runs", str(runs), "--output", str(output), "--marks"]
    assert forest.main([*arguments, str(tmp_path)]) == 2
    assert "holds no cross-validation-<fold>.json" in capsys.readouterr().err and not output.exists()
    assert forest.main([*arguments, str(runs)]) == 0
    assert forest.main([*arguments, str(runs)]) == 0
    assert made == [0, 1, 2, 3, 4]
    data, without = (read_out_of_fold(mark_files(folder)) for folder in (output, runs))
    assert data.features().shape == (len(data.marks), 3) and without.features().shape[1] == 2
    entry, scores = calibrate(data)
    assert entry["forest_slope"] > 0 and Calibration(**entry).forest_slope == entry["forest_slope"]
    assert scores[data.is_hit()].min() > scores[data.is_false()].max()
    grown = forest.load_forest(output / forest.FOREST)
    assert (grown.config.inputs, grown.config.patch_size) == (WIDTH, EDGE)
    first = json.loads((runs / "cross-validation-0.json").read_text())["marks"]
    assert forest.shares_of_marks(grown, first)[:24].min() > 0.5
