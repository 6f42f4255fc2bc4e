"""Training on prepared data sets: what each interval draws from, that parts stay apart, and what is submitted."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chest_data_set import PATIENTS, SHAPE, Sighted, write_chests

from LungNoduleCADLib.cli import main as command_line
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.networks.cards import Calibration
from LungNoduleCADLib.volume import Volume
from training.engine.config import Config, Data, Optimisation
from training.engine.data_sets import DataSetOrigin, DataSetPool, entries_of
from training.engine.draws import SampledDraws
from training.entry_images import EntryPatches
from training.evaluate import main as evaluate
from training.submission import calibration_of, marks_of, tables_of, write_tables
from training.train import main

OPTIMISATION = Optimisation(rate=1e-3, steps=8, interval=1, batch=2, stages=(0.25, 0.5, 1.0))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chests(tmp_path_factory.mktemp("data-set") / "cache")


def config(**more: Any) -> Config:
    return Config("unet25d", OPTIMISATION, data=Data(lungs=4), **more)


def test_intervals_draw_from_other_lungs_and_stages_add_patients(cache: Path) -> None:
    entries = entries_of([cache], "training")
    assert len(entries) == PATIENTS["training"]
    pool = DataSetPool(entries, config())
    picks = [pool.at(n) for n in range(8)]
    assert [len(pick.lungs) for pick in picks[:3]] == [2, 2, 2]
    assert [len(pick.lungs) for pick in picks[3:]] == [4, 4, 4, 4, 4]
    assert set(picks[0].lungs) <= set().union(*(pick.lungs for pick in picks[3:6]))
    assert [len(pick.sources.cubes) for pick in picks] == [4, 4, 4, 8, 8, 8, 16, 16]
    assert len(set(picks[6].lungs) - set(picks[7].lungs)) == 1, "one lung in four is exchanged"
    assert DataSetPool(entries, config()).at(5).lungs == picks[5].lungs
    assert picks[5].sources.decoys


def test_no_patient_is_trained_and_tested_on(cache: Path) -> None:
    parts = {part: {entry.patient for entry in entries_of([cache], part)} for part in PATIENTS}
    assert {part: len(patients) for part, patients in parts.items()} == PATIENTS
    assert not parts["training"] & parts["validation"] and not parts["training"] & parts["test"]
    origin = DataSetOrigin(config(), "segmentation", (cache,), Path("nowhere"))
    draws = origin.training(0)
    assert isinstance(draws, SampledDraws)
    draws.begin(7)
    assert draws._pick is not None
    drawn = {box.patient for box in draws._pick.sources.cubes} | {lung.name for lung in draws._pick.sources.lungs}
    assert drawn == parts["training"]


def test_the_classifier_learns_from_false_candidates_and_places_far_from_nodules(cache: Path) -> None:
    origin = DataSetOrigin(config(), "classification", (cache,), Path("nowhere"))
    entries = entries_of([cache], "training")
    places = origin._places(entries, "none.npy")
    for number, entry in enumerate(entries):
        own = [place.center_kji for place in places if place.lung == number]
        assert any(np.allclose(center, entry.candidates_kji[0]) for center in own)
        far = [min(np.linalg.norm(c - n.center_kji) for n in entry.nodules) >= 50 for c in own]
        assert sum(far) >= 5
    draws = origin.training(0)
    draws.begin(7)
    batch = draws.draw(40)
    assert any(proposal is not None for proposal in batch.proposals)
    assert 8 < batch.nodule.sum() < 32
    assert set(batch.malignancy[~batch.malignancy.isnan()].tolist()) == {0.0, 1.0}


def test_what_was_hard_in_a_lung_is_remembered_until_it_comes_back(cache: Path) -> None:
    entries = entries_of([cache], "training")
    pool = DataSetPool(entries, config().unstaged())
    draws = SampledDraws("segmentation", pool, seed=0)
    draws.begin(0)
    assert draws._pick is not None
    lungs = draws._pick.lungs
    draws._sampler.report_hard(1, np.array([20, 30, 40]))
    assert draws.state_dict()["hard"] == [[lungs[1], 20, 30, 40]]
    later = next(n for n in range(1, 8) if lungs[1] not in pool.at(n).lungs)
    draws.begin(later)
    assert draws._sampler.hard == [] and draws.state_dict()["hard"] == [[lungs[1], 20, 30, 40]]
    draws.begin(0)
    assert draws.progress() == {"hard places": 1}


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_a_network_trains_on_a_data_set(task: str, cache: Path, tmp_path: Path) -> None:
    network = {
        "segmentation": 'name = "unet25d"\nencoder_channels = [4, 6]\ndecoder_channels = [4]\nconvolutions = [1, 1]',
        "classification": 'name = "hybrid"\npatch_size = 48\nbase_channels = 4\nview = "foveated"\n'
        'readout = "centered"\nblocks = "residual"',
    }[task]
    path = tmp_path / "config.toml"
    path.write_text(
        f"[network]\n{network}\n[optimisation]\nrate = 1e-3\nsteps = 4\ninterval = 2\nbatch = 0\nmost_batch = 3\n"
        'schedule = "plateau"\nplateau = 0\nstages = [0.5, 1.0]\nprecision = "32-true"\n'
        "[validation]\nbatches = 2\npatience = 3\n[data]\naugment = true\nlungs = 2\n"
    )
    run = tmp_path / "run"
    arguments = ["--config", path, "--cache", cache, "--run", run, "--threads", 1]
    assert main([str(each) for each in arguments]) == 0
    rows = list(csv.DictReader((run / "history.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4"]
    wanted = {"segmentation": {"val_dice", "val_sensitivity"}, "classification": {"val_auc", "val_recall"}}[task]
    assert wanted | {"val_loss", "loss"} < rows[0].keys()
    if task == "classification":
        assert {"val_precision", "val_accuracy", "val_malignancy_auc"} < rows[0].keys()
    assert (run / "best.ckpt").exists()
    saved = torch.load(run / "last.ckpt", weights_only=True)
    assert saved["lr_schedulers"][0]["last_epoch"] == 2, "the plateau is looked at once an interval"


def test_a_submission_lies_where_the_nodules_are_and_is_evaluated_by_the_protocol(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of the four marks hit; scores come from the validation part."""
    validation, test = entries_of([cache], "validation"), entries_of([cache], "test")
    detector: Any = Sighted()
    marks = [mark for entry in validation for mark in marks_of(entry, detector)]
    assert [mark.hit for mark in marks] == [True, True, False, False] * 2
    calibration = calibration_of(marks)
    assert isinstance(calibration, Calibration) and calibration.slope > 0
    write_tables(tables_of(test, detector, calibration), tmp_path / "submission")
    folder = tmp_path / "submission"
    arguments = ["evaluate", "froc", "--submission", folder / "candidates.csv", "--annotations",
                 folder / "annotations.csv", "--excluded", folder / "annotations_excluded.csv", "--scans",
                 folder / "seriesuids.csv", "--json", tmp_path / "froc.json"]  # fmt: skip
    assert command_line([str(each) for each in arguments]) == 0
    said = (tmp_path / "froc.json").read_text()
    assert '"cpm": 1.0' in said and '"tp": 4' in said and '"fp": 4' in said
    rows = list(csv.DictReader((folder / "annotations.csv").open()))
    assert [(row["malignancy"], row["mal_bool"], row["texture"]) for row in rows[:2]] == [
        ("1.0", "False", ""), ("5.0", "True", "2.0"),
    ]  # fmt: skip
    others = list(csv.DictReader((folder / "annotations_excluded.csv").open()))
    assert [float(row["diameter_mm"]) for row in others] == [7.5, -1.0] * 2
    assert [float(rows[0][f"coord{axis}"]) for axis in "XYZ"] == pytest.approx([30 - 40, 32 + 10, 30 + 5], abs=0.01)
    with pytest.raises(InputError, match="no scale"):
        calibration_of([mark for mark in marks if mark.hit])
    page = tmp_path / "page"
    argv = ["--submission", folder, "--cache", cache, "--origin", "simulated", "--bootstrap", 20, "--output", page]
    assert evaluate([str(each) for each in argv]) == 0
    (result,) = json.loads((page / "evaluation.json").read_text())["sets"]
    assert (result["origin"], result["froc"]["cpm"], result["nodules"]) == ("simulated", 1.0, 4)
    assert {row["name"] for row in result["by_type"]} == {"ground-glass", "unknown type"}
    assert result["malignancy"]["score"]["positives"] == result["malignancy"]["score"]["negatives"] == 2
    assert (page / "examples" / "1-submission" / "summary.png").is_file()
    assert list((page / "feature-maps").rglob("*.png"))


def test_pictures_show_the_patches_of_prepared_scans(cache: Path) -> None:
    source = EntryPatches([cache])
    entry = entries_of([cache], "test")[0]
    grid = Volume(np.empty(SHAPE, dtype=np.uint8), entry.ijk_to_lps)
    image = entry.image().astype(np.float32) / 255

    def place(*kji: int) -> tuple[float, float, float]:
        x, y, z = grid.index_to_lps(kji)
        return float(x), float(y), float(z)

    shown = source(entry.name, place(40, 44, 50))
    assert shown is not None
    np.testing.assert_allclose(shown, image[8:72, 12:76, 18:82])
    edge = source(entry.name, place(3, 44, 50))
    assert edge is not None and (edge[:29] == 0).all(), "beyond the prepared scan there is air, as in detection"
    np.testing.assert_allclose(edge[29:], image[:35, 12:76, 18:82])
    assert source("unknown", place(40, 44, 50)) is None and source(entry.name, None) is None
    assert source(entry.name, (9999.0, 0.0, 0.0)) is None
