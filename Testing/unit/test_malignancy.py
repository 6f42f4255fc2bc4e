"""The malignancy estimate: what is measured for it, how a card says it, and that detection gives it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from test_cards import TINY_HYBRID, card_fields

from LungNoduleCADLib.detection.detector import MODELS, Detector
from LungNoduleCADLib.detection.group import Proposal
from LungNoduleCADLib.detection.malignancy import estimator_of, network_logit
from LungNoduleCADLib.findings import FEATURES, NoduleFeatures, VoxelMask
from LungNoduleCADLib.measurement import measure
from LungNoduleCADLib.measurement.features import nodule_features
from LungNoduleCADLib.networks.card_fields import CardError
from LungNoduleCADLib.networks.cards import load_card
from LungNoduleCADLib.networks.hybrid import HybridClassifier
from LungNoduleCADLib.networks.malignancy import KNOWN, DiameterBaseline, MalignancyModel, MalignancyTerm
from LungNoduleCADLib.networks.weights import save_model
from LungNoduleCADLib.volume import Volume

SPACING = (1.0, 0.6, 0.6)
MODEL = MalignancyModel(
    (MalignancyTerm("log_diameter", None, 2.0, 0.5, 1.5), MalignancyTerm("dense_share", 0.1, 0.05, 0.2, -2.0)), 0.3
)
BESIDE = replace(MODEL, by_diameter=DiameterBaseline(4.0, -9.0))
"""With what the diameter alone says."""


def scene(waves: int = 0, amplitude: float = 0.0, hu: float = 40.0, radius: float = 5.0) -> tuple[Volume, VoxelMask]:
    """A nodule in lung, its outline waving around the axis across the slices, and its mask."""
    k, j, i = np.meshgrid(*[(np.arange(n) - n // 2) * s for n, s in zip((31, 61, 61), SPACING, strict=True)],
                          indexing="ij")  # fmt: skip
    wavy = radius * (1 + amplitude * np.cos(waves * np.arctan2(j, i)))
    inside = np.sqrt((k * wavy / radius) ** 2 + j**2 + i**2) < wavy
    noise = np.random.default_rng(0).normal(0, 15, inside.shape)
    volume = Volume.from_geometry(np.where(inside, hu, -860) + noise, spacing_kji_mm=SPACING)
    return volume, VoxelMask((0, 0, 0), inside)


def features_of(volume: Volume, mask: VoxelMask) -> NoduleFeatures:
    where = np.argwhere(mask.voxels)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    k, j, i = (int(v) for v in low)
    tight = VoxelMask((k, j, i), mask.voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
    return nodule_features(volume, tight, measure(volume, tight))


def test_a_ball_looks_like_one() -> None:
    found = features_of(*scene())
    assert found.log_diameter == pytest.approx(math.log(10), abs=0.05)
    assert found.axis_ratio > 0.95 and found.solidity > 0.93 and found.radial_gradient > 0.9
    assert found.core_median_hu == pytest.approx(40, abs=5) and found.lung_hu == pytest.approx(-860, abs=5)
    assert found.dense_share == found.far_dense == found.strands == 0
    assert found.halo == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("waves", "larger", "smaller"), [(4, "lobulation", "roughness"), (10, "roughness", "lobulation")]
)
def test_lobes_and_spicules_are_told_apart(waves: int, larger: str, smaller: str) -> None:
    plain, wavy = asdict(features_of(*scene())), asdict(features_of(*scene(waves, 0.15)))
    assert wavy[larger] > 3 * plain[larger] and wavy[larger] > 2 * wavy[smaller]
    assert wavy["solidity"] < plain["solidity"]


def test_calcium_counts_and_what_lies_beyond_the_range_counts_no_more() -> None:
    dense, denser = (features_of(*scene(hu=hu)) for hu in (600.0, 3000.0))
    assert dense.dense_share > 0.5 and dense.peak_hu == denser.peak_hu == pytest.approx(400)
    assert dense.core_median_hu == denser.core_median_hu == 400


def test_strands_and_wall_are_seen_beside_the_outline() -> None:
    volume, mask = scene()
    voxels = volume.voxels.copy()
    voxels[:, 29:32, 38:] = np.where(mask.voxels[:, 29:32, 38:], voxels[:, 29:32, 38:], 0.0)
    found = features_of(volume.with_voxels(voxels), mask)
    assert found.strands == 1 and found.far_dense > 0.02


def test_features_do_not_depend_on_slices_beyond_the_nodule() -> None:
    """Half the crops that the estimate is fitted on have none."""
    volume, mask = scene()
    used = np.flatnonzero(mask.voxels.any(axis=(1, 2)))
    first, last = int(used[0]), int(used[-1]) + 1
    tight = volume.cropped((first, 0, 0), (last, *volume.shape[1:]))
    whole = asdict(features_of(volume, mask))
    cut = asdict(features_of(tight, VoxelMask((0, 0, 0), mask.voxels[first:last])))
    shape = {"log_diameter", "sphericity", "log_solid_diameter", "log_long_axis", "log_short_axis", "axis_ratio"}
    assert {n: cut[n] for n in cut if n not in shape} == pytest.approx({n: whole[n] for n in whole if n not in shape})
    assert {n: cut[n] for n in shape} == pytest.approx({n: whole[n] for n in shape}, abs=0.1)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 1), (3, 1, 4)])
def test_a_nodule_of_a_few_voxels_at_the_scans_corner_has_finite_features(shape: tuple[int, int, int]) -> None:
    volume, _ = scene()
    mask = VoxelMask((0, 0, 0), np.ones(shape, dtype=bool))
    assert all(math.isfinite(v) for v in asdict(nodule_features(volume, mask, measure(volume, mask))).values())


def example(**values: float) -> NoduleFeatures:
    return NoduleFeatures(**{field.name: 0.0 for field in fields(NoduleFeatures)} | values)


def test_the_probability_is_the_logistic_of_the_terms() -> None:
    z = 0.3 + 1.5 * (2.5 - 2.0) / 0.5 - 2.0 * (0.3 - 0.1 - 0.05) / 0.2
    found = MODEL.probability(example(log_diameter=2.5, dense_share=0.3), 0.0)
    assert found == pytest.approx(1 / (1 + math.exp(-z)))
    below = [MODEL.probability(example(log_diameter=2.5, dense_share=share), 0.0) for share in (0.0, 0.1)]
    assert below[0] == below[1] > found


def test_no_single_feature_decides_however_odd_it_is() -> None:
    limit = MODEL.probability(example(log_diameter=4.0), 0.0)
    assert MODEL.probability(example(log_diameter=400.0), 0.0) == limit < 1


def test_the_networks_logit_is_a_feature_like_others() -> None:
    model = MalignancyModel((MalignancyTerm("network", None, 0.0, 1.0, 1.0),), 0.0)
    volume, mask = scene()
    assert estimator_of(model)(volume, mask, measure(volume, mask), 0.8).probability == pytest.approx(0.8)
    assert math.isfinite(network_logit(0.0)) and math.isfinite(network_logit(1.0))


@pytest.mark.parametrize("model", [MODEL, BESIDE], ids=["alone", "with the baseline"])
def test_the_entry_round_trips(model: MalignancyModel) -> None:
    assert MalignancyModel.from_json(json.loads(json.dumps(model.to_json()))) == model


def test_the_baseline_goes_by_the_diameter_and_nothing_else() -> None:
    baseline = DiameterBaseline(2.0, -4.0)
    assert baseline.probability(example(log_diameter=2.0)) == 0.5
    expected = 1 / (1 + math.exp(-(2.0 * math.log(10) - 4.0)))
    others = {field.name: 3.0 for field in fields(NoduleFeatures)}
    assert baseline.probability(NoduleFeatures(**others | {"log_diameter": math.log(10)})) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "forest"}, "'forest'"),
        ({"features": FEATURES + 1}, f"malignancy.features {FEATURES + 1}"),
        ({"surprise": 1}, "'surprise'"),
        ({"intercept": None}, "malignancy.intercept"),
        ({"terms": [{"feature": "colour", "knot": None, "mean": 0, "scale": 1, "weight": 1}]}, "'colour'"),
        ({"terms": [{"feature": KNOWN[0], "knot": None, "mean": 0, "scale": 0, "weight": 1}]}, "scale"),
        ({"terms": [{"feature": KNOWN[0], "knot": "low", "mean": 0, "scale": 1, "weight": 1}]}, "knot"),
        ({"terms": [{"feature": KNOWN[0], "mean": 0, "scale": 1, "weight": 1}]}, "'knot'"),
        ({"by_diameter": {"slope": 4.0}}, "'intercept'"),
        ({"by_diameter": {"slope": "steep", "intercept": -9.0}}, "malignancy.by_diameter.slope"),
        ({"by_diameter": {"slope": 4.0, "intercept": -9.0, "knot": 1.0}}, "'knot'"),
        ({"by_diameter": None}, "malignancy.by_diameter"),
    ],
)
def test_an_entry_of_another_version_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(CardError, match=words):
        MalignancyModel.from_json(MODEL.to_json() | change)


def test_only_a_classifiers_card_has_the_entry() -> None:
    card = load_card(MODELS / "segmentation.json")
    with pytest.raises(CardError, match="'malignancy'"):
        type(card).from_json({**card.to_json(), "malignancy": MODEL.to_json()})


@pytest.mark.parametrize("model", [None, MODEL, BESIDE], ids=["network", "features", "with the baseline"])
def test_detection_gives_the_estimate_that_the_card_asks_for(model: MalignancyModel | None, tmp_path: Any) -> None:
    one_mm = Volume.from_geometry(np.full((20, 20, 20), -860.0, dtype=np.float32))
    one_mm.voxels[6:14, 6:14, 6:14] = 40.0
    proposal = Proposal((9.5, 9.5, 9.5), 0.9, (6, 6, 6), np.ones((8, 8, 8), dtype=bool))
    card = save_model(HybridClassifier(TINY_HYBRID), card_fields(patch_size=32), tmp_path)
    detector = Detector(
        lambda image, inside, control, warn: np.zeros(tuple(image.shape), dtype=np.float32),
        lambda image, proposals, control, warn: np.array([[0.9, 0.25]]),
        cards={"segmentation": replace(card, malignancy=None), "classification": replace(card, malignancy=model)},
        device=torch.device("cpu"),
        grouper=lambda heat, spacing: [proposal],
    )
    (found,) = detector.detect(one_mm, lung_mask=None).candidates
    if model is None:
        assert (found.malignancy, found.malignancy_by_diameter) == (0.25, None)
    else:
        features = nodule_features(one_mm, found.mask, found.measurements)
        assert found.malignancy == pytest.approx(model.probability(features, network_logit(0.25)))
        assert found.malignancy != pytest.approx(0.25)
        expected = None if model.by_diameter is None else model.by_diameter.probability(features)
        assert found.malignancy_by_diameter == expected != 0.25


def test_the_shipped_card_has_an_estimate_that_beats_the_networks_own() -> None:
    card = load_card(MODELS / "classification.json")
    assert card.malignancy is not None and card.malignancy.terms
    figures = card.metrics["malignancy"]["all"]
    assert figures["auc"][0] > figures["auc_diameter_measured"][0]
    assert figures["difference_to_network_alone"][1] > 0
    assert figures["brier"] < figures["brier_by_diameter"] < figures["brier_of_prevalence"]


def test_in_the_shipped_card_a_large_soft_nodule_is_more_suspicious_than_a_small_calcified_one() -> None:
    model = load_card(MODELS / "classification.json").malignancy
    assert model is not None
    large, small = features_of(*scene(8, 0.08, radius=9.0)), features_of(*scene(hu=600.0, radius=2.5))
    assert model.probability(large, 0.5) > 0.5 > 0.15 > model.probability(small, -1.0)


def test_in_the_shipped_card_the_baseline_rises_with_the_diameter() -> None:
    model = load_card(MODELS / "classification.json").malignancy
    assert model is not None and model.by_diameter is not None
    found = [model.by_diameter.probability(example(log_diameter=math.log(mm))) for mm in (4.0, 6.0, 10.0, 20.0)]
    assert found == sorted(found) and found[0] < 0.1 and found[-1] > 0.9
