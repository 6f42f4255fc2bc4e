"""The ablation: what each arm leaves out, that its command goes on where it was, and what its table says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from data_set_inputs import with_nodules
from numpy.typing import NDArray
from training_inputs import lung, replaceable, write_prepared

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.evaluation.free_response import OPERATING_POINTS, free_response, resampled_sensitivity
from LungNoduleCADLib.preprocess.settings import Wavelet
from LungNoduleCADLib.preprocess.wavelet import wavelet_enhance
from training import ablation, ablation_arms, ablation_report
from training.ablation import main, marked, simulated_scans
from training.ablation_arms import ARMS, REFERENCE, config_of
from training.ablation_report import put_between
from training.ablation_table import AXIAL, BOTH, SIMULATED, UNET, as_markdown, outcomes_of, rows_of
from training.checkpoints import averaged_hybrid, averaged_unet, load_checkpoint, wavelet_of
from training.engine.config import Data
from training.engine.draws import Pick, SampledDraws
from training.engine.lungs import LungOrigin
from training.mining import mine, read_places
from training.patches import Place
from training.publish import PREPROCESSING, preprocessing_of
from training.sampler import Lung, Sources
from training.splits import BACKGROUND_SCANS
from training.train import main as train

TINY = {
    "segmentation": '[network]\nname = "unet25d"\nencoder_channels = [4, 6, 8, 8]\ndecoder_channels = [4, 6, 8]\n'
    "convolutions = [1, 1, 1, 1]\n",
    "classification": '[network]\nname = "hybrid"\nbase_channels = 4\nview = "foveated"\nhalving = "stem"\n'
    'readout = "centered"\n',
}
STEADY = (
    '[optimisation]\nrate = 2e-3\nschedule = "constant"\nprecision = "32-true"\nsteps = 2\ninterval = 1\nbatch = 2\n'
)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configurations of networks that train in no time, instead of those that ship."""
    for network, text in TINY.items():
        (tmp_path / ablation_arms.CONFIGURATIONS[network]).write_text(text + STEADY)  # type: ignore[index]
    monkeypatch.setattr(ablation_arms, "CONFIGS", tmp_path)
    wide = {"segmentation": {"encoder_channels": [6, 8, 10, 10]}, "classification": {"base_channels": 8}}
    arms = tuple(replace(arm, settings=wide) if arm.settings else arm for arm in ARMS)
    monkeypatch.setattr(ablation, "ARMS", arms)
    return tmp_path


class OnePool:
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def at(self, interval: int) -> Pick:
        return Pick(self._sources, tuple(range(len(self._sources.lungs))))


@pytest.mark.parametrize("network", ["segmentation", "classification"])
@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_an_arm_changes_one_thing_of_what_ships(arm: ablation_arms.Arm, network: ablation_arms.Network) -> None:
    reference, changed = (config_of(one, network, None, None).as_json() for one in (ARMS[0], arm))
    parts = {part for part in reference if reference[part] != changed[part]}
    assert len(parts) == (0 if arm.run == REFERENCE else 1)
    if "data" in parts:
        assert sum(reference["data"][entry] != changed["data"][entry] for entry in reference["data"]) == 1


def test_sources_without_insertion_or_without_the_simulator(made_up: tuple[Path, Path]) -> None:
    cache, data = made_up
    phantom = lung("phantom-100")
    sources = Sources.load(cache, data, {0})
    sources.lungs.append(phantom)
    inserted = sources.restricted(insertion=False, simulator=True)
    assert not inserted.crops and inserted.simulated and phantom in inserted.lungs
    assert {inserted.draw_nodule(np.random.default_rng(n)).source for n in range(20)} == {"simulated"}
    real = sources.restricted(insertion=True, simulator=False)
    assert not real.simulated and phantom not in real.lungs and len(real.lungs) == len(sources.lungs) - 1
    assert {real.draw_nodule(np.random.default_rng(n)).source for n in range(20)} <= {f"ball {n}" for n in range(20)}
    assert all(made.cubes == sources.cubes and made.boxes == sources.boxes for made in (inserted, real))
    with pytest.raises(ValueError, match="no nodule to insert"):
        Data(insertion=False, simulator=False)


def test_a_seed_given_and_an_arms_own_add_up() -> None:
    assert [config_of(arm, "segmentation", None, 5).seed for arm in ARMS[:2]] == [5, 6]


def test_the_run_of_an_arm_draws_from_its_sources(made_up: tuple[Path, Path], tmp_path: Path) -> None:
    cache, data = made_up
    for arm in (arm for arm in ARMS if arm.data):
        config = config_of(arm, "segmentation", 100, None)
        origin = LungOrigin(config, "segmentation", cache, data, tmp_path, leave_out=0)
        draws: Any = origin.training(0)
        draws.begin(0)
        sources = draws._sampler.sources
        assert bool(sources.crops) is (arm.name != "no-insertion")
        assert bool(sources.simulated) is (arm.name != "no-simulator")
        assert (draws._sampler.wavelet is not None) is (arm.name == "wavelet")


def test_without_hard_negatives_nothing_comes_back() -> None:
    proposals = [Place(0, np.array([30, 45, 45]))]
    for hard in (True, False):
        settings = Data(hard_negatives=hard)
        slices = SampledDraws("segmentation", OnePool(replaceable()), 0, settings=settings)
        patches = SampledDraws("classification", OnePool(replaceable()), 0, 0, proposals, settings)
        for draws in (slices, patches):
            draws.begin(0)
        batch = slices.draw(12)
        slices.report(batch, torch.ones(12))
        assert bool(slices.state_dict()["hard"]) is hard
        shown: Any = patches.draw(40)
        assert any(number is not None for number in shown.proposals) is hard


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_what_is_drawn_is_enhanced_as_a_scan_would_be(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last thing before the plane is taken out: the same draws, the finished axial slices enhanced."""
    seen: list[NDArray[np.float32]] = []

    def enhanced(levels: NDArray[np.float32], wavelet: Wavelet | None) -> NDArray[np.float32]:
        assert wavelet == Wavelet()
        seen.append(levels)
        return np.full_like(levels, 77)

    for module in ("sampler", "patches"):
        monkeypatch.setattr(f"training.{module}.enhanced", enhanced)
    draws = SampledDraws(task, OnePool(replaceable()), 0, settings=Data(wavelet=True))
    draws.begin(0)
    batch: Any = draws.draw(8)
    images = batch.slices if task == "segmentation" else batch.patches
    assert len(seen) == 8 and set(images.unique().tolist()) <= {0, 77}


def test_enhancement_is_the_products_own() -> None:
    from training.transforms.enhancement import enhanced, enhanced_slices

    levels = np.random.default_rng(0).normal(100, 30, (9, 64, 64)).astype(np.float32)
    kept = levels.copy()
    expected = wavelet_enhance(torch.from_numpy(np.clip(levels, 0, 255) / 255)).numpy() * 255
    np.testing.assert_allclose(enhanced(levels, Wavelet()), expected, atol=1e-3)
    assert (levels == kept).all() and expected.std() < 0.8 * levels.std()
    assert enhanced(levels, None) is levels
    assert enhanced_slices(torch.zeros(1, 8, 8), None).shape == (1, 8, 8)


class Level(torch.nn.Module):
    """Says where a slice has been smoothed: the roughness of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[float] = []

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        middle = slices[:, 3:4]
        self.said.append(float(middle.std()))
        return torch.full_like(middle, -9.0)


def test_mining_shows_a_network_what_it_was_trained_on(tmp_path: Path) -> None:
    background: Lung = lung()
    rough = []
    for wavelet in (None, Wavelet()):
        network = Level()
        mine([background], network, tmp_path / "places.npy", wavelet)
        assert not read_places(tmp_path / "places.npy")
        rough.append(np.mean(network.said))
    assert rough[1] < rough[0]


def trained(config: Path, made_up: tuple[Path, Path], run: Path) -> Path:
    cache, data = made_up
    arguments = ["--config", config, "--run", run, "--cache", cache, "--data", data, "--leave-out", 0, "--threads", 1]
    assert train([str(each) for each in arguments]) == 0
    return run


def test_both_kinds_of_weights_are_in_a_checkpoint(made_up: tuple[Path, Path], tiny: Path) -> None:
    for network, read in (("segmentation", averaged_unet), ("classification", averaged_hybrid)):
        run = trained(tiny / ablation_arms.CONFIGURATIONS[network], made_up, tiny / network)  # type: ignore[index]
        saved = load_checkpoint(run)
        for averaged, part in ((True, "state_dict"), (False, "current_model_state")):
            state = read(run, averaged).state_dict()
            assert all(torch.equal(value, saved[part][f"network.{name}"]) for name, value in state.items())
        first, second = (read(run, averaged).state_dict() for averaged in (True, False))
        assert any(not torch.equal(first[name], second[name]) for name in first)


def test_a_run_says_whether_its_network_was_trained_on_enhanced_slices(made_up: tuple[Path, Path], tiny: Path) -> None:
    config = tiny / ablation_arms.CONFIGURATIONS["segmentation"]
    assert wavelet_of(trained(config, made_up, tiny / "plain")) is None
    config.write_text(config.read_text() + "[data]\nwavelet = true\n")
    assert wavelet_of(trained(config, made_up, tiny / "enhanced")) == Wavelet()
    assert preprocessing_of(tiny / "plain") == PREPROCESSING and PREPROCESSING["wavelet"] is None
    assert preprocessing_of(tiny / "enhanced")["wavelet"] == {"name": "db4", "level": 2, "factor": 1.0}
    assert wavelet_of(tiny) is None  # a run before the engine


def test_a_run_from_before_the_settings_goes_on(made_up: tuple[Path, Path], tiny: Path) -> None:
    config, run = tiny / ablation_arms.CONFIGURATIONS["segmentation"], tiny / "run"
    trained(config, made_up, run)
    settings = json.loads((run / "config.json").read_text())
    settings["data"] = {"augment": False, "lungs": 16}
    (run / "config.json").write_text(json.dumps(settings))
    trained(config, made_up, run)
    assert json.loads((run / "config.json").read_text())["data"]["hard_negatives"] is True


def opinions(fold: int, shift: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Ten cubes and ten insertions, all marked, and as many false marks; the nodules' logits are `shift` higher."""
    rng = np.random.default_rng(fold)
    marks, cases = [], []
    for kind, count in (("cube", 10), ("insertion", 10), ("lung", 10)):
        for n in range(count):
            case = BACKGROUND_SCANS[fold] if kind == "lung" else f"{kind} {fold} {n} x"
            logit, peak = float(rng.normal()), float(rng.uniform(0.2, 0.8))
            opinion = {"peak": peak, "side_peak": peak / 2, "malignancy_logit": 0.0}
            hit = kind != "lung"
            marks.append({"kind": kind, "case": case, "fold": fold, "hit": hit, "doubtful": False, **opinion})
            marks[-1] |= {"logit": logit + (shift if hit else 0.0), "center_kji": [1.0, 1.0, 1.0]}
            if hit:
                cases.append({"kind": kind, "case": case, "fold": fold, "diameter_mm": 5.0})
                cases[-1] |= {"malignancy": 5.0, "share_in_mask": 0.5}
    return marks, cases


def content(fold: int, shift: float) -> dict[str, Any]:
    marks, cases = opinions(fold, shift)
    scans = [f"scan {fold} {n}" for n in range(2)]
    nodules = [{"case": scan, "center_kji": [9.0, 9.0, 9.0 * n], "diameter_mm": 6.0} for scan in scans for n in (1, 3)]
    found = [(nodules[0], 1.0), (nodules[0], 0.0), (nodules[3], -1.0)]
    simulated = [{"case": n["case"], "center_kji": [9.0, 9.0, n["center_kji"][2] + 2]} | {"logit": shift + z}
                 for n, z in found]  # fmt: skip
    simulated.append({"case": scans[0], "center_kji": [50.0, 9.0, 9.0], "logit": 0.0})
    simulated.append({"case": scans[1], "center_kji": [80.0, 9.0, 9.0], "logit": 9.0})
    excluded = [{"case": scans[1], "center_kji": [81.0, 9.0, 9.0], "diameter_mm": -1.0}]
    sides = [{"peak": 0.5, "side_peak": 0.5, **mark} for mark in simulated]
    return {
        "steps": 2, "marks": marks, "cases": cases,
        "simulated": {"scans": scans, "nodules": nodules, "excluded": excluded, "marks": sides},
    }  # fmt: skip


def written(folder: Path, shift: float, folds: tuple[int, ...] = (0, 1)) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"cross-validation-{fold}.json" for fold in folds]
    for fold, path in zip(folds, paths, strict=True):
        path.write_text(json.dumps(content(fold, shift)))
    return paths


def test_the_table_compares_arms_on_the_same_draws(tmp_path: Path) -> None:
    arms = [(name, name, outcomes_of(written(tmp_path / name, shift), {}, BOTH))
            for name, shift in (("first", 0.5), ("same", 0.5), ("better", 4.0))]  # fmt: skip
    first, same, better = rows_of(arms, samples=50)
    assert list(first.sets) == ["LIDC cubes", "Inserted 4-6 mm", SIMULATED]
    for key in ("LIDC cubes", "Inserted 4-6 mm"):
        assert first.sets[key].difference is None
        assert same.sets[key].difference == pytest.approx(replace(same.sets[key].cpm, value=0, low=0, high=0))
        gain = better.sets[key].difference
        assert (
            gain.value > 0.1
            and gain.low > 0
            and better.sets[key].cpm.value == pytest.approx(first.sets[key].cpm.value + gain.value)
        )
        assert first.sets[key].cpm.low < first.sets[key].cpm.value < first.sets[key].cpm.high
    lines = as_markdown([first, same, better]).splitlines()
    assert len(lines) == 5 and lines[2].startswith("| first | 0.") and " +0.000 (+0.000 to +0.000) " in lines[3]
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_simulated_scans_are_matched_by_their_own_rule(tmp_path: Path) -> None:
    """Of four nodules two are marked in each fold, one twice; one mark is false, one lies on an excluded finding."""
    outcomes = outcomes_of(written(tmp_path, 2.0), {}, BOTH)[SIMULATED]
    assert len(outcomes.nodule_score) == 8 and outcomes.found.sum() == 4
    assert (len(outcomes.false_score), outcomes.scans) == (2, 4)
    assert outcomes.nodule_score[0] > outcomes.nodule_score[3] > 0


def test_a_view_silences_what_is_not_heard(tmp_path: Path) -> None:
    mark = {"peak": 0.8, "side_peak": 0.3, "logit": 2.0}
    assert AXIAL.heard(mark) == {"peak": 0.8, "side_peak": 0.8, "logit": 2.0}
    assert UNET.heard(mark) == {"peak": 0.8, "side_peak": 0.3, "logit": 0.0}
    assert mark["logit"] == 2.0
    alone = [outcomes_of(written(tmp_path / str(shift), shift), {}, UNET) for shift in (0.0, 5.0)]
    for key in alone[0]:
        np.testing.assert_allclose(alone[0][key].nodule_score, alone[1][key].nodule_score)


def test_resampled_sensitivities_have_the_band_of_the_curve(tmp_path: Path) -> None:
    outcomes = outcomes_of(written(tmp_path, 1.0), {}, BOTH)["LIDC cubes"]
    rows = resampled_sensitivity(outcomes, samples=40, seed=3)
    assert rows.shape == (40, len(OPERATING_POINTS))
    band = free_response(outcomes, bootstrap=40, seed=3).band
    assert band is not None
    ordered = np.sort(rows.mean(axis=1))
    assert band.cpm == pytest.approx((ordered[1], ordered[39]))
    assert resampled_sensitivity(outcomes, samples=0).shape == (0, len(OPERATING_POINTS))


def command(made_up: tuple[Path, Path], folder: Path, *more: object) -> list[str]:
    cache, data = made_up
    fixed = ["--cache", cache, "--data", data, "--runs", folder / "runs", "--output", folder / "out", "--threads", 1]
    return [str(each) for each in (*fixed, *more)]


@pytest.fixture
def evaluated(tiny: Path, made_up: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The networks' partners, and made-up marks instead of long looks; grows by `averaged` with each evaluation."""
    for name, network in (("unet", "segmentation"), ("hybrid", "classification")):
        config = tiny / ablation_arms.CONFIGURATIONS[network]  # type: ignore[index]
        trained(config, made_up, tiny / "runs" / f"{name}-fold0")
    made: list[bool] = []
    detector = ablation.FoldDetector

    def loaded(segmentation: Path, classification: Path, averaged: bool) -> Any:
        made.append(averaged)
        return detector(segmentation, classification, averaged)

    def evaluate_fold(fold: int, *_: object) -> tuple[list[Any], list[Any]]:
        return opinions(fold, len(made) / 10)

    monkeypatch.setattr(ablation, "FoldDetector", loaded)
    monkeypatch.setattr(ablation, "evaluate_fold", evaluate_fold)
    monkeypatch.setattr(ablation, "asdict", dict)
    monkeypatch.setattr(ablation, "simulated_scans", lambda fold, folder: fold)
    monkeypatch.setattr(ablation, "marked", lambda fold, detector: content(fold, 1.0)["simulated"])
    monkeypatch.setattr(ablation_report, "SAMPLES", 20)
    (made_up[1] / "lidc-nodules" / "crops.csv").write_text("nodule,patient,texture,malignancy\n")
    return made


def test_the_command_trains_what_is_missing_and_writes_the_table(
    evaluated: list[bool], made_up: tuple[Path, Path], tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tiny / "README.md"
    begin, end = "<!-- ablation segmentation -->", "<!-- end of ablation segmentation -->"
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    chosen = ("--folds", 0, "--folds-present", 0, "--readme", readme)
    assert main(command(made_up, tiny, *chosen, "--arms", "reference", "no-average")) == 0, capsys.readouterr().err
    assert evaluated == [True, False] * 2
    out = tiny / "out"
    report = json.loads((out / "ablation-segmentation.json").read_text())
    assert [row["name"] for row in report["tables"][0]["rows"]] == ["reference", "no-average"]
    assert len(report["left_out"]) == len(ARMS) - 2 and len(report["tables"]) == 3
    text = (out / "ablation-segmentation.md").read_text()
    assert (
        "Runs of 2 steps (the network that ships: 2)" in text
        and text.count("Runs of") == 1
        and "4 nodules of 3 mm and more in 2 phantoms" in text
    )
    assert "Left out" in text and readme.read_text() == f"before\n{begin}\n{text}{end}\nafter\n"
    assert not (out / "segmentation-no-average" / "fold0").exists()
    weights = (out / "segmentation-reference" / "fold0" / "last.ckpt").stat().st_mtime_ns
    assert main(command(made_up, tiny, *chosen)) == 0
    assert (out / "segmentation-reference" / "fold0" / "last.ckpt").stat().st_mtime_ns == weights
    assert len(evaluated) == 4 + len(ARMS) - 2
    assert "Left out" not in readme.read_text()
    settings, former = (
        json.loads((out / f"segmentation-{arm}" / "fold0" / "config.json").read_text())
        for arm in ("wavelet", "reference")
    )
    assert settings["data"].pop("wavelet") is True and former["data"].pop("wavelet") is False
    assert settings == former


def test_the_classifiers_arms_stand_behind_the_present_u_net(
    evaluated: list[bool], made_up: tuple[Path, Path], tiny: Path
) -> None:
    chosen = ("--network", "classification", "--folds", 0, "--arms", "reference")
    assert main(command(made_up, tiny, *chosen)) == 0
    report = json.loads((tiny / "out" / "ablation-classification.json").read_text())
    assert "classifier alone" in report["tables"][0]["title"] and len(report["tables"]) == 2
    run = tiny / "out" / "classification-reference" / "fold0"
    assert (run / "last.ckpt").exists() and (run / "proposals.npy").exists()


def test_another_length_is_refused(
    evaluated: list[bool], made_up: tuple[Path, Path], tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = ("--folds", 0, "--arms", "reference")
    assert main(command(made_up, tiny, *some)) == 0
    assert main(command(made_up, tiny, *some, "--steps", 4)) == 2
    assert "holds a run of 2 steps, not 4" in capsys.readouterr().err
    other = ("--folds", 0, "--arms", "no-average", "--output", tiny / "other")
    assert main(command(made_up, tiny, *other)) == 2
    assert "no reference of the folds 0" in capsys.readouterr().err


def test_a_document_without_a_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        put_between(tmp_path / "none.md", "<a>", "<b>", "text")
    (tmp_path / "some.md").write_text("<a>\n")
    with pytest.raises(InputError, match="has no lines"):
        put_between(tmp_path / "some.md", "<a>", "<b>", "text")
    assert (tmp_path / "some.md").read_text() == "<a>\n"


def test_simulated_scans_are_made_once_and_marked(
    tmp_path: Path, made_up: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "SIMULATED_SCANS", 1)
    monkeypatch.setattr(ablation, "SIMULATED_NODULES", 2.0)
    monkeypatch.setattr(ablation, "SIMULATED_SIZE", "small")
    made = simulated_scans(3, tmp_path)
    assert len(made) == 1 and [one.name for one in simulated_scans(3, tmp_path)] == [made[0].name]
    assert [one.name for one in simulated_scans(2, tmp_path)] != [made[0].name]


def test_marks_of_simulated_scans_stand_beside_what_is_there(simulated: Path, tmp_path: Path, cache: Path) -> None:
    entries = with_nodules(cache)

    def detector(image: Any, inside: Any) -> Any:
        entry = next(one for one in entries if one.shape == image.shape)
        proposals = [SimpleNamespace(center_kji=tuple(n.center_kji), peak=0.9) for n in entry.nodules]
        return [(proposal, 0.7, np.ones(2)) for proposal in proposals]

    found: Any = marked(entries[:1], detector)  # type: ignore[arg-type]
    assert found["scans"] == [entries[0].name] and len(found["nodules"]) == len(entries[0].nodules)
    assert all(mark["hit"] and mark["side_peak"] == 0.7 for mark in found["marks"])
    json.dumps(found)
