"""What a proposal looks like, in numbers, and how the forest's opinion of it gets into the score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_cards import card_fields

from LungNoduleCADLib.detection.appearance import (
    DEFINITION,
    EDGE,
    FEATURES,
    OPINIONS,
    REACH,
    appearance,
    forest_inputs,
)
from LungNoduleCADLib.detection.group import Proposal
from LungNoduleCADLib.detection.network_parts import NetworkScorer
from LungNoduleCADLib.errors import ModelError
from LungNoduleCADLib.networks.forest import DecisionForest, ForestConfig
from LungNoduleCADLib.networks.hybrid import HybridClassifier, HybridConfig
from LungNoduleCADLib.networks.weights import load_model, save_model

WINDOW_HU = (-1000.0, 400.0)
LUNG_HU, TISSUE_HU = -850.0, 30.0
CENTER = (30, 30, 30)
SHAPE = (60, 60, 60)


def image_of(occupied: NDArray[np.floating]) -> torch.Tensor:
    hu = LUNG_HU + (TISSUE_HU - LUNG_HU) * occupied
    low, high = WINDOW_HU
    return torch.from_numpy(((hu - low) / (high - low)).astype(np.float32))


def offsets() -> tuple[NDArray[np.floating], ...]:
    return tuple(a - c for a, c in zip(np.indices(SHAPE), CENTER, strict=True))


def ball(radius: float = 3.0) -> torch.Tensor:
    k, j, i = offsets()
    return image_of(np.clip(radius + 0.5 - np.sqrt(k**2 + j**2 + i**2), 0, 1))


def tube(along: int, radius: float = 3.0) -> torch.Tensor:
    across = [o for axis, o in enumerate(offsets()) if axis != along]
    return image_of(np.clip(radius + 0.5 - np.hypot(*across), 0, 1))


def wall() -> torch.Tensor:
    return image_of(np.clip(offsets()[2] + 0.5, 0, 1))


def features(image: torch.Tensor, center: tuple[float, ...] = CENTER) -> dict[str, float]:
    (row,) = appearance(image, [center], WINDOW_HU)  # type: ignore[list-item]
    return dict(zip(FEATURES, row.tolist(), strict=True))


def test_names_are_unique_and_values_finite_even_where_nothing_is() -> None:
    assert len(set(FEATURES)) == len(FEATURES) > 90
    for level in (0.0, 0.5, 1.0):
        values = appearance(torch.full(SHAPE, level), [CENTER, (0, 0, 0), (59, 59, 59)], WINDOW_HU)
        assert np.isfinite(values).all()


def test_levels_are_hounsfield_units_of_the_right_places() -> None:
    found = features(ball(6.0))
    assert found["core"] == pytest.approx(TISSUE_HU, abs=1) and found["centre"] == pytest.approx(TISSUE_HU, abs=1)
    assert found["lung"] == pytest.approx(LUNG_HU, abs=1) and found["emptiest"] == pytest.approx(LUNG_HU, abs=1)
    assert found["contrast"] == pytest.approx(TISSUE_HU - LUNG_HU, abs=2)
    assert found["shell 3"] == pytest.approx(TISSUE_HU, abs=1) and found["shell 11"] == pytest.approx(LUNG_HU, abs=1)
    assert found["share 4"] == 1 and found["share 8"] == 0 and found["relative shell 11"] == pytest.approx(0, abs=0.01)
    assert found["off centre"] == 0


@pytest.mark.parametrize("along", [0, 1, 2])
def test_a_tube_goes_on_and_a_ball_does_not(along: int) -> None:
    round_, long = features(ball()), features(tube(along))
    for scale in ("1.5", "2.2", "3.2"):
        assert round_[f"roundness {scale}"] > 0.8 and long[f"roundness {scale}"] < 0.1
    assert long["share 11"] > 0.01 and round_["share 11"] == 0
    assert long["half third axis 16"] < 0.3 < 0.9 < round_["half third axis 16"]
    assert long["half second axis 10"] < 0.5 and long["half volume 16"] > round_["half volume 16"] + 0.5
    assert round_["convergence"] > 0.9 > long["convergence"]
    goes_on = long["more 6 above or below"]
    assert goes_on == pytest.approx(1 if along == 0 else 0, abs=0.1)


def test_a_wall_is_dense_far_away() -> None:
    found = features(wall())
    assert found["dense around"] == pytest.approx(0.5, abs=0.05) and found["dense share 11"] == pytest.approx(
        0.5, abs=0.05
    )
    assert features(ball())["dense around"] == 0


def test_what_mirrors_and_quarter_turns_leave_alone_is_left_alone() -> None:
    rng = np.random.default_rng(5)
    patch = torch.from_numpy(rng.random((EDGE,) * 3).astype(np.float32))
    middle = (REACH,) * 3
    expected = appearance(patch, [middle], WINDOW_HU)
    for turned in (patch.flip(0), patch.flip(2), torch.rot90(patch, 1, (1, 2))):
        np.testing.assert_allclose(appearance(turned.contiguous(), [middle], WINDOW_HU), expected, rtol=2e-3, atol=2e-3)


def test_beyond_the_image_is_air() -> None:
    corner = features(torch.full(SHAPE, 0.9), (0, 0, 0))
    assert corner["emptiest"] == WINDOW_HU[0] and corner["shell 1"] < features(torch.full(SHAPE, 0.9))["shell 1"]


def test_a_stop_stops() -> None:
    def stop(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        appearance(ball(), [CENTER], WINDOW_HU, stop)
    assert appearance(ball(), [], WINDOW_HU).shape == (0, len(FEATURES))


def test_opinions_stand_before_the_features() -> None:
    rows = forest_inputs(np.array([0.5, 0.9]), np.array([0.9, 0.5]), np.array([1.0, -2.0]), np.ones((2, 3), np.float32))
    assert rows.dtype == np.float32 and rows.shape == (2, len(OPINIONS) + 3)
    np.testing.assert_allclose(rows[:, :3], [[0, 1, np.log(9)], [0, -2, np.log(9)]], atol=1e-6)


# -- the forest in the score -------------------------------------------------------------------------------------------
def stump(feature: int, threshold: float, definition: int = DEFINITION, inputs: int | None = None) -> DecisionForest:
    """One tree that says 0.9 above a threshold of a feature, else 0.1."""
    count = len(OPINIONS) + len(FEATURES) if inputs is None else inputs
    forest = DecisionForest(ForestConfig(count, definition, EDGE, trees=1, nodes=3, depth=1))
    forest.feature[0, 0], forest.threshold[0, 0] = feature, threshold
    forest.below[0], forest.above[0] = torch.tensor([1, 1, 2]), torch.tensor([2, 1, 2])
    forest.share[0] = torch.tensor([0.0, 0.1, 0.9])
    return forest.eval()


def scorer(folder: Path, forest: DecisionForest | None, forest_slope: float = 2.0) -> NetworkScorer:
    calibration = {"method": "platt", "slope": 0.0, "intercept": 0.0, "forest_slope": forest_slope}
    fields = {**card_fields(patch_size=32), "calibration": calibration}
    save_model(HybridClassifier(HybridConfig(patch_size=32, base_channels=4)), fields, folder)
    network, card = load_model(folder, "classification")
    return NetworkScorer(network, card, torch.device("cpu"), 2, forest=forest)


def scores(one: NetworkScorer, image: torch.Tensor, reports: list[float] | None = None) -> NDArray[np.float64]:
    proposals = [Proposal(CENTER, 0.5, CENTER, np.ones((1, 1, 1), dtype=bool))]
    return one(image, proposals, (reports if reports is not None else []).append, print)[:, 0]


def test_the_forest_moves_the_score_as_the_calibration_says(tmp_path: Path) -> None:
    round_enough = stump(len(OPINIONS) + FEATURES.index("roundness 2.2"), 0.5)
    reports: list[float] = []
    one = scorer(tmp_path, round_enough)
    assert scores(one, ball(), reports) == pytest.approx(0.9**2 / (0.9**2 + 0.1**2))
    assert scores(one, tube(0)) == pytest.approx(0.1**2 / (0.9**2 + 0.1**2))
    assert reports == sorted(reports) and reports[0] >= 0 and reports[-1] <= 1


def test_a_card_without_a_forest_needs_none(tmp_path: Path) -> None:
    assert scores(scorer(tmp_path, None, forest_slope=0.0), ball()) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("forest", "words"),
    [
        (None, "missing; install"),
        (stump(0, 0.0, definition=DEFINITION + 1), "other features"),
        (stump(0, 0.0, inputs=5), "other features"),
    ],
    ids=["missing", "other definition", "other number"],
)
def test_a_forest_that_does_not_fit_is_refused(forest: DecisionForest | None, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=words):
        scorer(tmp_path, forest)


def test_a_forest_is_stored_described_and_checked_like_a_network(tmp_path: Path) -> None:
    forest = stump(2, 0.1234567)
    fields: dict[str, Any] = {**card_fields(patch_size=EDGE), "calibration": {"method": "none"}}
    written = save_model(forest, fields, tmp_path, half=False)
    assert (written.task, written.architecture) == ("appearance", "forest")
    loaded, card = load_model(tmp_path, "appearance")
    assert card == written and isinstance(loaded, DecisionForest) and loaded.config == forest.config
    rows = np.random.default_rng(0).normal(size=(50, forest.config.inputs)).astype(np.float32)
    np.testing.assert_array_equal(loaded.shares(rows), forest.shares(rows))
    assert set(np.round(loaded.shares(rows), 6)) == {0.1, 0.9}
    with pytest.raises(ModelError, match="another size"):
        save_model(forest, {**card_fields(patch_size=EDGE - 1), "calibration": {"method": "none"}}, tmp_path)
