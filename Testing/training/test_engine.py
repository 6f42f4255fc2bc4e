"""The training engine: its losses, that it learns, goes on after being killed, and runs in several processes."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from training_inputs import lung, nodule, write_prepared

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.networks.fusion import channels_last
from LungNoduleCADLib.networks.hybrid import SMALL_HYBRID, HybridClassifier
from LungNoduleCADLib.networks.unet import SMALL_UNET, UNet25D
from LungNoduleCADLib.networks.weights import load_model
from training import publish
from training.checkpoints import averaged_hybrid, averaged_unet, load_checkpoint
from training.engine.config import read_config
from training.engine.losses import focal_loss, segmentation_loss
from training.engine.memory import bytes_a_sample, fitting_batch, free_bytes
from training.mining import mine, read_places
from training.nodules import to_window
from training.sampler import SLICES, insert
from training.train import main

PROJECT = Path(__file__).resolve().parents[2]
CONFIGS = PROJECT / "training" / "configs"
TINY_UNET = """
[network]
name = "unet25d"
encoder_channels = [4, 6, 8, 8]
decoder_channels = [4, 6, 8]
convolutions = [1, 1, 1, 1]
"""
TINY_HYBRID = """
[network]
name = "hybrid"
patch_size = 48
base_channels = 4
view = "foveated"
halving = "stem"
readout = "centered"
"""
STEADY = 'rate = 2e-3\nschedule = "constant"\nprecision = "32-true"\n'


def write_config(path: Path, network: str, **settings: object) -> Path:
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    path.write_text(f"{network}\n[optimisation]\n{STEADY}{lines}")
    return path


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_prepared(tmp_path_factory.mktemp("prepared"))


def command(config: Path, prepared: tuple[Path, Path] | None, run: Path, *more: object) -> list[str]:
    places = [] if prepared is None else ["--cache", prepared[0], "--data", prepared[1]]
    return [str(each) for each in ("--config", config, "--run", run, "--threads", 1, *places, *more)]


def environment() -> dict[str, str]:
    paths = os.pathsep.join((str(PROJECT), str(PROJECT / "LungNoduleCAD")))
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def history(run: Path) -> list[dict[str, str]]:
    path = run / "history.csv"
    return list(csv.DictReader(path.open())) if path.exists() else []


def assert_same_state(one: Path, other: Path) -> None:
    first, second = (torch.load(run / "last.ckpt", weights_only=True) for run in (one, other))
    assert first["global_step"] == second["global_step"]
    for part in ("state_dict", "current_model_state"):
        assert first[part].keys() == second[part].keys()
        for name, value in first[part].items():
            assert torch.equal(value, second[part][name]), name
    assert first["DrawnData"]["ranks"][0]["rng"] == second["DrawnData"]["ranks"][0]["rng"]


def test_the_engine_learns_the_linear_neuron(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """B15: weight 1.8 and bias 32 within 1 %."""
    assert main(command(CONFIGS / "neuron.toml", None, tmp_path / "run")) == 0
    saved = load_checkpoint(tmp_path / "run")["state_dict"]
    assert saved["network.weight"].item() == pytest.approx(1.8, rel=0.01)
    assert saved["network.bias"].item() == pytest.approx(32, rel=0.01)
    losses = [float(row["loss"]) for row in history(tmp_path / "run")]
    assert losses[-1] < 1e-3 < losses[0]
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))
    assert "F = 1.8" in capsys.readouterr().out
    assert main(command(CONFIGS / "neuron.toml", None, tmp_path / "run")) == 0
    said = capsys.readouterr().out
    assert "trained already" in said and "F = 1.8" in said


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    config = write_config(tmp_path / "unet.toml", TINY_UNET, steps=400, interval=4, batch=2)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    arguments = [sys.executable, "-m", "training.train", *command(config, prepared, killed, "--leave-out", 0)]
    process = subprocess.Popen(arguments, env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while len(history(killed)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it must have been killed in mid-training"
    reached = int(history(killed)[-1]["step"])
    kept = torch.load(killed / "last.ckpt", weights_only=True)["global_step"]
    assert reached - 4 <= kept < 400
    (killed / ".last.ckpt.partial-0a1b2c3d").write_bytes(b"killed while it was written")
    steps = kept + 8
    for run in (killed, whole):
        assert main(command(config, prepared, run, "--leave-out", 0, "--steps", steps)) == 0
    assert_same_state(killed, whole)
    assert [row["step"] for row in history(killed)] == [row["step"] for row in history(whole)]
    assert not list(killed.glob(".*partial*"))


def test_the_classifier_trains_on_the_proposals_and_resumes_exactly(
    prepared: tuple[Path, Path], tmp_path: Path
) -> None:
    """With its dropout, and the weights of its false proposals."""
    unet = write_config(tmp_path / "unet.toml", TINY_UNET, steps=1, interval=1, batch=2)
    assert main(command(unet, prepared, tmp_path / "unet", "--leave-out", 2)) == 0
    config = write_config(tmp_path / "hybrid.toml", TINY_HYBRID, steps=4, interval=2, batch=2)
    once, twice = tmp_path / "once", tmp_path / "twice"
    shared = ["--leave-out", 2, "--segmentation", tmp_path / "unet"]
    for run in (once, twice):
        run.mkdir()
        np.save(run / "proposals.npy", [[n % 3, 30, 45, 40 + n] for n in range(6)])
    assert main(command(config, prepared, once, *shared)) == 0
    assert main(command(config, prepared, twice, *shared, "--steps", 2)) == 0
    assert main(command(config, prepared, twice, *shared)) == 0
    assert_same_state(once, twice)
    assert averaged_hybrid(twice).config.base_channels == 4
    with pytest.raises(InputError, match="unet25d, not hybrid"):
        averaged_hybrid(tmp_path / "unet")


def test_the_classifier_validates_on_patches_of_its_own_size_and_is_published_so(
    prepared: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unet = write_config(tmp_path / "unet.toml", TINY_UNET, steps=1, interval=1, batch=2)
    assert main(command(unet, prepared, tmp_path / "unet", "--leave-out", 2)) == 0
    config = write_config(tmp_path / "hybrid.toml", TINY_HYBRID, steps=2, interval=1, batch=2)
    config.write_text(f"{config.read_text()}[validation]\nbatches = 2\n")
    assert main(command(config, prepared, tmp_path / "hybrid", "--leave-out", 1, "--validate-on", 2)) == 0
    assert (tmp_path / "hybrid" / "best.ckpt").exists()

    entry = {"method": "platt", "slope": 1.0, "plane_slope": 1.0, "intercept": 0.0}
    row = {"threshold": 0.5, "sensitivity": 1.0, "fp_per_scan": 0.0, "bands": {}}
    for name, value in (
        ("mark_files", []), ("read_out_of_fold", None), ("calibrate", (entry, None)), ("default_threshold", 0.5),
        ("metrics", {}), ("operating_table", [row]), ("known_nodules", {}),
    ):  # fmt: skip
        monkeypatch.setattr(publish, name, lambda *_, value=value: value)
    folders = ("--segmentation", "unet", "--classification", "hybrid", "--output", "Models")
    given = [part if part.startswith("--") else str(tmp_path / part) for part in folders]
    assert publish.main(["--marks", "marks", "--data", "data", *given]) == 0
    _, card = load_model(tmp_path / "Models", "classification")
    assert card.preprocessing.patch_size == 48


class Bright(torch.nn.Module):
    """Takes whatever is bright in the middle slice for a nodule."""

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return (slices[:, SLICES // 2 : SLICES // 2 + 1] - 0.5) * 40


def test_what_the_network_marks_in_healthy_lung_is_mined_and_doubtful_places_are_not(tmp_path: Path) -> None:
    healthy = lung()
    healthy.image[:] = 30
    for center in ([30, 30, 40], [30, 60, 40]):
        image, _ = insert(healthy.image, nodule(diameter=8), np.array(center))
        healthy.image[:] = image
    healthy.ignore[:, 50:] = True
    mine([healthy], Bright(), tmp_path / "proposals.npy")
    places = read_places(tmp_path / "proposals.npy")
    assert places and all(place.lung == 0 for place in places)
    assert all(np.linalg.norm(place.center_kji - [30, 30, 40]) < 4 for place in places)


def test_the_u_net_learns_is_validated_and_its_best_weights_are_kept(
    prepared: tuple[Path, Path], tmp_path: Path
) -> None:
    network = TINY_UNET.replace("[4, 6, 8, 8]", "[8, 12, 16, 16]").replace("[4, 6, 8]", "[8, 8, 12]")
    config = write_config(tmp_path / "unet.toml", network, steps=90, interval=30, batch=6, stages=[0.25, 0.5, 1.0])
    config.write_text(f"{config.read_text()}[validation]\nbatches = 3\npatience = 5\n".replace("2e-3", "1e-2"))
    run = tmp_path / "run"
    assert main(command(config, prepared, run, "--leave-out", 1, "--validate-on", 2)) == 0
    rows = history(run)
    assert [int(row["step"]) for row in rows] == [30, 60, 90]
    assert {"loss", "val_loss", "val_dice", "val_sensitivity", "val_false", "hard places"} < rows[0].keys()
    dices = [float(row["val_dice"]) for row in rows]
    best = torch.load(run / "best.ckpt", weights_only=True)
    assert best["global_step"] == int(rows[int(np.argmax(dices))]["step"])
    image = np.full((SLICES, 64, 64), to_window(np.array([-850.0]))[0])
    with_nodule, mask = insert(image, nodule(diameter=9), np.array([3, 32, 32]))
    with torch.inference_mode():
        heat = averaged_unet(run)(torch.from_numpy(with_nodule)[None].float() / 255).sigmoid()[0, 0].numpy()
    assert heat[mask[3]].mean() > 3 * heat[~mask[3]].mean()


def test_two_processes_train_one_network(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    """DDP through torchrun, gloo on the CPU: each process draws its own samples, and both are in the checkpoint."""
    config = write_config(tmp_path / "unet.toml", TINY_UNET, steps=4, interval=2, batch=2)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = tmp_path / "run"
    arguments = [*launcher, "-m", "--", "training.train", *command(config, prepared, run, "--leave-out", 0)]
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    saved = torch.load(run / "last.ckpt", weights_only=True)
    first, second = (state["rng"] for state in saved["DrawnData"]["ranks"])
    assert saved["global_step"] == 4 and first != second
    assert [row["step"] for row in history(run)] == ["2", "4"]


@pytest.mark.parametrize("network", ["unet", "hybrid"])
def test_weights_of_runs_before_the_engine_are_still_read(network: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = UNet25D(SMALL_UNET) if network == "unet" else HybridClassifier(SMALL_HYBRID)
    average = torch.optim.swa_utils.AveragedModel(channels_last(made), use_buffers=True)
    torch.save({"model": made.state_dict(), "average": average.state_dict(), "step": 7}, tmp_path / "checkpoint.pt")
    read = averaged_unet(tmp_path) if network == "unet" else averaged_hybrid(tmp_path)
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in made.state_dict().items())
    assert not read.training


def test_a_run_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no checkpoint"):
        averaged_unet(tmp_path)


def test_a_batch_is_as_large_as_free_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """B14. What a sample needs is known from the network: the first convolution's output alone is kept."""
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.ReLU())
    kept = (1 + 8) * 64 * 64 * 4  # the input for the convolution's weights, the output for the ReLU
    needed = bytes_a_sample(network, (1, 64, 64))
    assert kept <= needed <= 3 * kept
    cpu = torch.device("cpu")
    assert free_bytes(cpu) > 1 << 20
    monkeypatch.setattr("training.engine.memory.free_bytes", lambda device: 20 * needed)
    assert fitting_batch(network, (1, 64, 64), cpu, most=64) == 12
    assert fitting_batch(network, (1, 64, 64), cpu, most=5) == 5
    monkeypatch.setattr("training.engine.memory.free_bytes", lambda device: 0)
    assert fitting_batch(network, (1, 64, 64), cpu, most=64) == 2


def test_other_settings_are_refused_in_a_runs_folder(
    prepared: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path / "a.toml", TINY_UNET, steps=1, interval=1, batch=2)
    assert main(command(config, prepared, tmp_path / "run", "--leave-out", 0)) == 0
    write_config(config, TINY_UNET, steps=1, interval=1, batch=3)
    assert main(command(config, prepared, tmp_path / "run", "--leave-out", 0)) == 2
    assert "other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("steps = 7", "multiple"),
        ("rat = 1.0", "unknown entry 'rat'"),
        ('schedule = "sine"', "schedule must be one of"),
        ("batch = 2.5", "batch must be int"),
        ("stages = [0.0, 1.0]", "shares above 0"),
    ],
)
def test_a_wrong_entry_of_a_configuration_is_named(line: str, fault: str, tmp_path: Path) -> None:
    lines = {"rate": "rate = 1e-3", "steps": "steps = 4", "interval": "interval = 2", line.split()[0]: line}
    path = tmp_path / "config.toml"
    path.write_text("\n".join((TINY_UNET, "[optimisation]", *lines.values())))
    with pytest.raises(InputError, match=fault):
        read_config(path)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_configuration_is_read(path: Path) -> None:
    config = read_config(path)
    assert config.optimisation.stage(0) == 0
    assert config.optimisation.stage(config.optimisation.intervals - 1) == len(config.optimisation.stages) - 1


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
