"""From networks trained on a data set to weights that the detector takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chest_data_set import Sighted, write_chests

from LungNoduleCADLib.detection.detector import Detector, DetectorSettings
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.networks.cards import load_card
from training import data_set_weights
from training.data_set_weights import Validated, validated
from training.engine.data_sets import entries_of
from training.submission import calibration_of, marks_of
from training.train import main as train

NETWORKS = {
    "unet": 'name = "unet25d"\nencoder_channels = [4, 6]\ndecoder_channels = [4]\nconvolutions = [1, 1]',
    "hybrid": 'name = "hybrid"\npatch_size = 48\nbase_channels = 4\nview = "foveated"\n'
    'readout = "centered"\nblocks = "residual"',
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chests(tmp_path_factory.mktemp("data-set") / "cache")


def run_of(name: str, cache: Path, folder: Path) -> Path:
    """A network after two steps."""
    config = folder / f"{name}.toml"
    config.write_text(
        f"[network]\n{NETWORKS[name]}\n[optimisation]\nrate = 1e-3\nsteps = 2\ninterval = 2\nbatch = 2\n"
        'precision = "32-true"\n[validation]\nbatches = 1\n[data]\naugment = true\nlungs = 2\n'
    )
    run = folder / name
    arguments = ["--config", config, "--cache", cache, "--run", run, "--threads", 1]
    assert train([str(each) for each in arguments]) == 0
    return run


def test_the_table_counts_nodules_once_and_false_marks_a_scan(cache: Path) -> None:
    entries = entries_of([cache], "validation")
    detector: Any = Sighted()
    marks = [marks_of(entry, detector) for entry in entries]
    calibration = calibration_of(mark for own in marks for mark in own)
    result = validated(entries, marks, calibration)
    assert result.scans == 2 and len(result.best) == 4 and len(result.false) == 4
    assert result.best.min() > result.false.max()
    first, last = result.table()[0], result.table()[-1]
    assert first["sensitivity"] == 1 and first["fp_per_scan"] == (result.false >= first["threshold"]).sum() / 2
    assert last["fp_per_scan"] == 0
    blind = validated(entries, [[] for _ in entries], calibration)
    assert (blind.best == -1).all() and blind.table()[0]["sensitivity"] == 0
    with pytest.raises(InputError, match="no nodule"):
        validated([], [], calibration)


def test_the_default_is_the_highest_threshold_with_the_clinical_sensitivity() -> None:
    best = np.array([0.97] * 38 + [0.62, 0.1])  # 38 of 40 are 0.95
    assert Validated(best, np.array([0.5]), 1).default_threshold() == 0.96
    assert Validated(np.array([0.97, 0.62, -1.0]), np.array([]), 1).default_threshold() == 0.6


def test_the_detector_takes_the_weights(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {name: run_of(name, cache, tmp_path) for name in NETWORKS}
    monkeypatch.setattr(data_set_weights, "FoldDetector", lambda *_: Sighted())
    output = tmp_path / "weights"
    arguments = ["--cache", cache, "--segmentation", runs["unet"], "--classification", runs["hybrid"], "--name",
                 "rehearsal", "--citation", "nobody 2026", "--licence", "CC0", "--output", output]  # fmt: skip
    capsys.readouterr()
    assert data_set_weights.main([str(each) for each in arguments]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["scans"], said["nodules"], said["default"]["sensitivity"]) == (2, 4, 1.0)
    card = load_card(output / "classification.json")
    assert card.data[0].name == "rehearsal" and card.license == "CC0" and "rehearsal" in card.name
    assert card.calibration.method == "platt" and card.default_threshold == said["default"]["threshold"]
    detector = Detector.load(output, DetectorSettings(device="cpu"))
    assert set(detector.cards) == {"segmentation", "classification"}


def test_what_cards_must_say_cannot_be_left_empty(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--cache", cache, "--segmentation", "a", "--classification", "b", "--name", "x", "--citation", " ",
                 "--licence", "CC0", "--output", tmp_path / "weights"]  # fmt: skip
    assert data_set_weights.main([str(each) for each in arguments]) == 2
    assert capsys.readouterr().err.startswith("--citation is empty;") and not (tmp_path / "weights").exists()
