"""The malignancy estimate's training: nothing of a held-out patient is used, and only the card changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from LungNoduleCADLib.detection.detector import MODELS
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import NoduleFeatures
from LungNoduleCADLib.networks.cards import load_card
from training import malignancy
from training.malignancy_cases import Case, load_cases, save_cases


def cases(count: int = 150, seed: int = 0) -> list[Case]:
    """Suspicious ones are larger; calcified ones never are. Some were not found, some are undecided."""
    rng = np.random.default_rng(seed)
    made = []
    for n in range(count):
        log_diameter, dense = rng.normal(2.2, 0.5), float(rng.random() < 0.3)
        suspicious = rng.random() < 1 / (1 + np.exp(-4 * (log_diameter - 2.2) + 6 * dense))
        values = {field.name: float(rng.normal()) for field in fields(NoduleFeatures)}
        features = NoduleFeatures(**values | {"log_diameter": log_diameter, "dense_share": dense})
        size = float(np.exp(log_diameter))
        rating = 3.0 if n % 20 == 0 else 5.0 if suspicious else 1.0
        made.append(Case("cube" if n % 5 == 0 else "crop", f"n{n}", f"p{n // 2}", n // 2 % 5, rating, size, size,
                         float(rng.normal()), features))  # fmt: skip
    return [*made, Case("crop", "missed", "p0", 0, 5.0, 4.0)]


def test_the_estimate_beats_the_diameter_where_there_is_more_to_know() -> None:
    result, found, estimates = malignancy.evaluation(cases(300), bootstrap=100)
    everything = result["all"]
    assert everything["auc"][0] > everything["auc_diameter_measured"][0] + 0.03
    assert everything["difference_to_diameter_measured"][1] > 0
    assert everything["difference_to_network_alone"][1] > 0
    assert result["rated"] == result["found"] + 1 == everything["nodules"] + 1
    assert len(found) == len(estimates) == everything["nodules"]
    assert result["crops"]["nodules"] + result["cubes"]["nodules"] == everything["nodules"]
    assert everything["expected_calibration_error"] < 0.15 and everything["brier"] < everything["brier_of_prevalence"]
    assert everything["brier"] < everything["brier_by_diameter"] < everything["brier_of_prevalence"]


def test_a_held_out_folds_ratings_do_not_touch_its_estimates() -> None:
    known = [case for case in cases() if case.features is not None and case.rating != 3]
    other = [replace(case, rating=6 - case.rating) if case.fold == 2 else case for case in known]
    held_out = np.array([case.fold == 2 for case in known])
    for first, second in zip(malignancy.out_of_fold(known), malignancy.out_of_fold(other), strict=True):
        assert np.array_equal(first[held_out], second[held_out])
        assert not np.allclose(first[~held_out], second[~held_out])


def test_the_baseline_is_the_logistic_that_made_the_ratings() -> None:
    """On a diameter that decides alone, within what a sample of this size tells."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(4000, len(malignancy.NAMES)))
    column = malignancy.NAMES.index("log_diameter")
    values[:, column] = rng.normal(2.2, 0.5, 4000)
    suspicious = rng.random(4000) < 1 / (1 + np.exp(-(4.0 * values[:, column] - 9.0)))
    found = malignancy.fit_by_diameter(values, suspicious)
    assert found.slope == pytest.approx(4.0, abs=0.4) and found.intercept == pytest.approx(-9.0, abs=0.9)


def test_one_class_alone_is_refused() -> None:
    known = [replace(case, rating=5.0) for case in cases() if case.features is not None]
    with pytest.raises(InputError, match="one class"):
        malignancy.fit(malignancy.values_of(known), malignancy.labels_of(known), 0.1)
    with pytest.raises(InputError, match="one class"):
        malignancy.fit_by_diameter(malignancy.values_of(known), malignancy.labels_of(known))


def test_the_command_changes_the_card_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, report = tmp_path / "weights", tmp_path / "report"
    shutil.copytree(MODELS, weights)
    save_cases(tmp_path / "cases.json", cases())
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights.iterdir()}
    arguments = ["--cases", str(tmp_path / "cases.json"), "--weights", str(weights), "--output", str(report)]
    assert malignancy.main(arguments) == 0
    after = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {
        "classification.json"
    } and before.keys() == after.keys()
    old, new = load_card(MODELS / "classification.json"), load_card(weights / "classification.json")
    assert new.malignancy is not None and new.malignancy != old.malignancy and new.malignancy.by_diameter is not None
    assert replace(new, malignancy=None, metrics={}) == replace(old, malignancy=None, metrics={})
    result = json.loads((report / "malignancy.json").read_text())
    assert new.metrics["malignancy"] == result
    assert {path.name for path in report.iterdir() if not path.name.startswith(".")} == {
        "malignancy.json", "cases.json", "estimates.json", "malignancy_roc.png", "malignancy_reliability.png"
    }  # fmt: skip
    assert load_cases(report / "cases.json") == cases()
    assert str(result["all"]["auc"][0]) in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "", "[]]", '[{"kind": "crop"}]', '[{"features": {"colour": 1}}]'])
def test_damaged_cases_are_one_sentence(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cases.json"
    if content is not None:
        path.write_text(content)
    arguments = ["--cases", str(path), "--weights", str(MODELS), "--output", str(tmp_path / "out")]
    assert malignancy.main(arguments) == 2
    assert "measure them again" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_nothing_to_measure_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert malignancy.main(["--weights", str(MODELS), "--output", str(tmp_path / "out")]) == 2
    assert "--cases" in capsys.readouterr().err
