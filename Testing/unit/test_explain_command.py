"""`lungnodulecad explain`: what it writes, refuses and leaves behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from report_inputs import BLOBS, MODEL, blob_candidates, result_of
from test_cards import TINY_HYBRID, card_fields
from test_report_command import contents_of, names_in

from LungNoduleCADLib import cli
from LungNoduleCADLib.app import explain, explanation_folder
from LungNoduleCADLib.app.explanation_folder import read_explanation
from LungNoduleCADLib.explain import explainer
from LungNoduleCADLib.explain.gradients import GradientSettings
from LungNoduleCADLib.explain.occlusion import OcclusionSettings
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.io.image_file import read_image
from LungNoduleCADLib.networks.hybrid import HybridClassifier
from LungNoduleCADLib.networks.weights import save_model
from LungNoduleCADLib.report.results import write_results

FILES = {
    "occlusion.nrrd", "integrated-gradients.nrrd", "overlay.png", "feature-maps.png", "slices.gif", "explanation.json",
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few places are covered; what is computed there is tested elsewhere."""
    settings = explainer.ExplainerSettings(OcclusionSettings(9.0, 10.0), GradientSettings(steps=4))
    monkeypatch.setattr(explainer, "ExplainerSettings", lambda: settings)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A network that has learnt nothing."""
    torch.manual_seed(0)
    save_model(HybridClassifier(TINY_HYBRID), card_fields(patch_size=32), tmp_path / "weights")
    return tmp_path / "weights"


MakeResult = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, weights: Path) -> MakeResult:
    """Writes the result of a detection with these weights in the chest of `io_inputs`."""

    def make_result(**changes: Any) -> Path:
        import SimpleITK as sitk
        from io_inputs import as_image, chest_hu

        sitk.WriteImage(as_image(chest_hu()), str(tmp_path / "chest.nrrd"))
        volume = read_volume(tmp_path / "chest.nrrd")
        sha256 = json.loads((weights / "classification.json").read_text())["weights"]["sha256"]
        model = {**MODEL, "classification": {**MODEL["classification"], "sha256": sha256}}
        settings = {"lung_mask": "none"}
        result = result_of(volume, blob_candidates(volume), **{"model": model, "settings": settings, **changes})
        (tmp_path / "result").mkdir()
        write_results(result, volume, tmp_path / "result")
        return tmp_path / "result"

    return make_result


@pytest.fixture
def command(tmp_path: Path, weights: Path) -> Callable[..., int]:
    """Runs it on the result in the test's folder."""

    def run(finding: str = "N1", *more: object) -> int:
        arguments = ["explain", tmp_path / "result", "--finding", finding, "--output", tmp_path / "why", "--weights",
                     weights, "--device", "cpu", *more]  # fmt: skip
        return cli.main([str(a) for a in arguments])

    return run


def refusal(capfd: pytest.CaptureFixture[str], folder: Path, run: Callable[[], int]) -> str:
    """What is said when it is refused: one line with code 2, and nothing has changed."""
    before = contents_of(folder)
    capfd.readouterr()
    assert run() == 2
    printed = capfd.readouterr()
    said = [line for line in printed.err.splitlines() if not re.match(r" *\d+\.\d s ", line)]
    assert printed.out == "" and len(said) == 1 and said[0].endswith("."), printed.err
    assert contents_of(folder) == before and not list(folder.rglob("*.partial-*"))
    return said[0]


def test_maps_pictures_and_facts_are_written_and_named(
    make: MakeResult, command: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make()
    assert command("n2", "--progress", "none") == 0
    assert names_in(tmp_path / "why") == FILES
    printed = capfd.readouterr()
    assert printed.err == "" and all(name in printed.out for name in FILES)
    scan, (center, _, _) = read_image(tmp_path / "chest.nrrd"), BLOBS[1]
    for name in ("occlusion.nrrd", "integrated-gradients.nrrd"):
        values = read_image(tmp_path / "why" / name)
        assert values.contains(scan.index_to_lps(center)) and np.isfinite(values.voxels).all()
        first = scan.lps_to_index(values.origin_lps)
        np.testing.assert_allclose(first, np.rint(first), atol=1e-4)  # the scan's own voxels
        np.testing.assert_allclose(values.spacing_kji_mm, scan.spacing_kji_mm, atol=1e-6)
    assert Image.open(tmp_path / "why" / "overlay.png").size[0] > 900
    assert Image.open(tmp_path / "why" / "slices.gif").n_frames > 3  # type: ignore[attr-defined]
    facts = json.loads((tmp_path / "why" / "explanation.json").read_text())
    assert facts["finding"] == "N2" and f"{facts['nodule_logit']:+.2f}" in printed.out
    assert facts["occlusion"]["greatest"] == pytest.approx(
        float(read_image(tmp_path / "why" / "occlusion.nrrd").voxels.max())
    )
    assert facts["model"]["sha256"] and "not for diagnostic use" in facts["research_use"]


def test_what_was_written_is_read_again(make: MakeResult, command: Callable[..., int], tmp_path: Path) -> None:
    make()
    assert command() == 0
    saved = read_explanation(tmp_path / "why")
    assert saved.facts["finding"] == "N1" and set(saved.pictures) == set(explanation_folder.PICTURES)
    assert saved.occlusion.same_grid(saved.gradients)


def test_a_scan_that_has_moved_is_found_where_it_is_said_to_be(
    make: MakeResult, command: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make()
    (tmp_path / "chest.nrrd").rename(tmp_path / "moved.nrrd")
    assert "no longer there; say where it is now with --source" in refusal(capfd, tmp_path, command)
    assert command("N1", "--source", tmp_path / "moved.nrrd") == 0


def test_an_explanation_replaces_the_former_one_and_nothing_else(
    make: MakeResult, command: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make()
    assert command("N1") == 0
    assert command("N2") == 0
    assert read_explanation(tmp_path / "why").facts["finding"] == "N2"
    (tmp_path / "why" / "mine.txt").write_text("keep me")
    assert "mine.txt" in refusal(capfd, tmp_path, lambda: command("N1"))


@pytest.mark.parametrize(
    ("finding", "more", "said"),
    [
        ("N4", (), "has no finding N4: it has N1 to N3"),
        ("N0", (), "has no finding N0"),
        ("lung", (), "'lung' is no finding of a detection"),
        ("N1/../x", (), "is no finding of a detection"),
        ("N1", ("--device", "abacus"), "Device 'abacus' is unknown"),
        ("N1", ("--weights", "nowhere"), "nowhere does not exist"),
        ("N1", ("--source", "nowhere.nrrd"), "nowhere.nrrd does not exist"),
        ("N1", ("--progress", "loud"), "invalid choice: 'loud'"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    make: MakeResult,
    command: Callable[..., int],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    finding: str,
    more: tuple[str, ...],
    said: str,
) -> None:
    make()
    assert said in refusal(capfd, tmp_path, lambda: command(finding, *more))


def test_a_folder_without_a_result_is_refused(
    command: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "holds no result" in refusal(capfd, tmp_path, command)


def test_other_weights_than_the_results_are_refused(
    make: MakeResult, command: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Their reasons are not why it has its score."""
    make(model=MODEL)
    assert "made with other weights (Test net, classification 1.2.3)" in refusal(capfd, tmp_path, command)


def test_another_scan_is_refused(
    make: MakeResult, command: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import SimpleITK as sitk
    from io_inputs import as_image, chest_hu

    make()
    sitk.WriteImage(as_image(chest_hu((14, 40, 48))), str(tmp_path / "other.nrrd"))
    said = refusal(capfd, tmp_path, lambda: command("N1", "--source", tmp_path / "other.nrrd"))
    assert "is not the scan that the result" in said


def test_a_lung_mask_that_is_gone_is_missed(
    make: MakeResult, command: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make(settings={"lung_mask": str(tmp_path / "lungs.nrrd")})
    assert "lungs.nrrd) is no longer there" in refusal(capfd, tmp_path, command)


def test_the_detections_own_lung_mask_is_used(
    make: MakeResult, command: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import SimpleITK as sitk
    from io_inputs import as_image

    mask = np.zeros((12, 40, 48), dtype=np.uint8)
    mask[2:10, 5:35, 6:42] = 1
    sitk.WriteImage(as_image(mask), str(tmp_path / "lungs.nrrd"))
    make(settings={"lung_mask": str(tmp_path / "lungs.nrrd")})
    used: list[Any] = []
    ask = explainer.Explainer.explain

    def keep(self: Any, *given: Any, lung_mask: Any, **more: Any) -> Any:
        used.append(lung_mask)
        return ask(self, *given, lung_mask=lung_mask, **more)

    monkeypatch.setattr(explainer.Explainer, "explain", keep)
    assert command() == 0
    np.testing.assert_array_equal(used[0].voxels.astype(bool), mask.astype(bool))


@pytest.mark.parametrize("stage", ["reading", *explainer.STAGES, "writing"])
def test_a_stopped_run_leaves_nothing(
    make: MakeResult, command: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    make()
    before = contents_of(tmp_path)

    def stop_at(style: str) -> Callable[[str, float], None]:
        def progress(name: str, fraction: float) -> None:
            if name == stage:
                raise KeyboardInterrupt

        return progress

    monkeypatch.setattr(cli, "progress_reporter", stop_at)
    assert command() == 130
    assert contents_of(tmp_path) == before and not (tmp_path / "why").exists()


def test_a_picture_that_cannot_be_written_leaves_nothing(
    make: MakeResult,
    command: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    make()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(explanation_folder, "write_bytes", full)
    assert "the disk is full" in refusal(capfd, tmp_path, command)


def test_progress_as_json_says_nothing_else(
    make: MakeResult, command: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    make()
    capfd.readouterr()
    assert command("N1", "--progress", "json") == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {line["stage"] for line in lines} >= {"reading", "occlusion", "gradients", "writing"}


def test_the_default_weights_are_the_shipped_ones() -> None:
    assert explain.ExplanationTask(Path("a"), "N1", Path("b")).weights is None
    assert explainer.Explainer.load(device="cpu").card.task == "classification"
