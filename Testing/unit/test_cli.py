"""The command line, from arguments to files, exit codes and what it prints."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from io_inputs import as_image, chest_hu, write_series
from test_cards import TINY_HYBRID, TINY_UNET, HybridClassifier, UNet25D, card_fields
from test_io_bad_input import CASES

from LungNoduleCADLib import cli
from LungNoduleCADLib.networks.weights import save_model

FILES = {
    "candidates.csv", "findings.json", "heatmap.nrrd", "markups.mrk.json", "overview.png", "scene.mrb",
    "segmentation.seg.nrrd",
}  # fmt: skip
LIBRARY_PARENT = Path(cli.__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks that know nothing, but say something."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_model(UNet25D(TINY_UNET), card_fields(), folder)
    save_model(HybridClassifier(TINY_HYBRID), card_fields(patch_size=32), folder)
    return folder


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A small chest as a file."""
    sitk.WriteImage(as_image(), str(tmp_path / "chest.nrrd"))
    return tmp_path / "chest.nrrd"


def arguments_for(scan: Path, weights: Path, *more: object) -> list[str]:
    output = scan.parent / "result"
    fixed = [scan, "--output", output, "--weights", weights, "--lung-mask", "none", "--device", "cpu"]
    return ["detect", *map(str, fixed), *map(str, more)]


def names_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def refusal(argv: list[str], capfd: pytest.CaptureFixture[str], folder: Path) -> str:
    """What is said when a command is refused: one line, with code 2, and no trace is left."""
    before = names_below(folder)
    capfd.readouterr()
    assert cli.main(argv) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert re.fullmatch(r"[^\n]+[.]\n", printed.err), printed.err
    assert names_below(folder) == before
    return printed.err


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


# -- what a run gives --------------------------------------------------------------------------------------------------


def test_a_run_writes_every_file_and_prints_the_findings(
    scan: Path, weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments_for(scan, weights, "--progress", "none", "--threshold", "0")) == 0
    folder = scan.parent / "result"
    assert {name for name in names_below(folder) if not name.startswith(".")} == FILES
    header = (folder / "candidates.csv").read_text().splitlines()[0]
    assert header.startswith("seriesuid,coordX,coordY,coordZ,probability,diameter_mm,malignancy")
    rows = table_of(folder / "candidates.csv")
    assert rows
    assert {row["seriesuid"] for row in rows} == {"chest"}, "the file's stem where it is no DICOM"
    scores = [float(row["probability"]) for row in rows]
    assert scores == sorted(scores, reverse=True)

    findings = json.loads((folder / "findings.json").read_text())
    top = {"threshold", "candidates", "series", "settings", "model", "versions", "timings_s", "warnings"}
    assert top <= set(findings)
    assert findings["threshold"] == 0 and len(findings["candidates"]) == len(rows)
    assert {"reading", "segmentation", "classification", "until writing"} <= set(findings["timings_s"])
    assert any("shows the lungs in part" in warning for warning in findings["warnings"])

    printed = capfd.readouterr()
    assert printed.err == ""
    assert f"{len(rows)} finding" in printed.out and "For research use only" in printed.out
    for row, line in zip(rows, re.findall(r"^ +\d+ .*$", printed.out, re.MULTILINE), strict=True):
        assert f"{float(row['probability']):.3f}" in line and row["density"] in line
        assert f"{float(row['malignancy']):.2f} (" in line
        assert f"{float(row['coordX']):.1f}" in line and f"{float(row['diameter_mm']):.1f} mm" in line
    assert all(name in printed.out for name in FILES)


def test_the_same_input_gives_the_same_candidates(scan: Path, weights: Path) -> None:
    tables = []
    for batch in (8, 8, 3):
        assert cli.main(arguments_for(scan, weights, "--progress", "none", "--batch", batch)) == 0
        tables.append(table_of(scan.parent / "result" / "candidates.csv"))
    assert tables[0] == tables[1]
    for one, other in zip(tables[0], tables[2], strict=True):
        for column in ("coordX", "coordY", "coordZ", "probability"):
            assert float(one[column]) == pytest.approx(float(other[column]), abs=1e-3), "whatever the batch"


def test_progress_as_json_is_all_that_standard_output_holds(
    scan: Path, weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments_for(scan, weights, "--progress", "json")) == 0
    printed = capfd.readouterr()
    reports = [json.loads(line) for line in printed.out.splitlines()]
    assert all(set(report) == {"stage", "fraction", "elapsed_s"} for report in reports)
    stages = list(dict.fromkeys(report["stage"] for report in reports))
    assert stages == [
        "reading", "loading", "lung mask", "preprocessing", "segmentation", "grouping", "classification", "measurement",
        "writing",
    ]  # fmt: skip
    for stage in stages:
        fractions = [report["fraction"] for report in reports if report["stage"] == stage]
        assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
    times = [report["elapsed_s"] for report in reports]
    assert times == sorted(times)
    assert printed.err == ""


def test_progress_as_a_bar_goes_to_standard_error(scan: Path, weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments_for(scan, weights)) == 0
    printed = capfd.readouterr()
    assert re.search(r"\d s  segmentation\n", printed.err), "a line a stage where there is no terminal"
    assert "segmentation\n" not in printed.out


def test_a_reference_is_compared_with(scan: Path, weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments_for(scan, weights, "--progress", "none", "--threshold", "0")) == 0
    first = table_of(scan.parent / "result" / "candidates.csv")[0]
    reference = scan.parent / "reference.csv"
    place = ",".join(first[name] for name in ("coordX", "coordY", "coordZ"))
    far = f"chest,{float(first['coordX']) + 3},{first['coordY']},{first['coordZ']},0.5"
    reference.write_text(f"seriesuid,coordX,coordY,coordZ,diameter_mm\nchest,{place},6\n{far}\n")
    capfd.readouterr()
    more = ("--progress", "none", "--threshold", "0", "--reference", reference)
    assert cli.main(arguments_for(scan, weights, *more)) == 0
    assert "Against the reference: 1 of 2 nodules found" in capfd.readouterr().out
    rows = table_of(scan.parent / "result" / "candidates.csv")
    assert rows[0]["status"] == "TP"
    findings = json.loads((scan.parent / "result" / "findings.json").read_text())
    assert findings["reference_match"]["false_negatives"] == 1
    assert findings["settings"]["reference"] == str(reference)


def test_only_the_lungs_of_a_luna16_mask_are_searched(scan: Path, weights: Path) -> None:
    shape = chest_hu().shape
    labels = np.zeros(shape, dtype=np.uint8)
    labels[:, 10:30, 4:20] = 3
    labels[:, 10:30, 28:44] = 5  # trachea
    sitk.WriteImage(as_image(labels), str(scan.parent / "lungs.nrrd"))
    argv = arguments_for(scan, weights, "--progress", "none", "--threshold", "0")
    argv[argv.index("none")] = str(scan.parent / "lungs.nrrd")
    assert cli.main(argv) == 0
    heat = sitk.ReadImage(str(scan.parent / "result" / "heatmap.nrrd"))
    image = as_image()
    heat_on_scan = sitk.GetArrayFromImage(sitk.Resample(heat, image, sitk.Transform(), sitk.sitkNearestNeighbor))
    assert heat_on_scan[:, 12:28, 6:18].max() > 0
    assert heat_on_scan[:, :, 28:].max() == 0, "a margin of some millimetres is searched, the trachea is not"
    rows = table_of(scan.parent / "result" / "candidates.csv")
    middle = image.TransformContinuousIndexToPhysicalPoint((23.5, 20.0, 5.0))[0]
    assert rows and all(float(row["coordX"]) < middle for row in rows)


def test_a_dicom_series_keeps_its_uid(tmp_path: Path, weights: Path) -> None:
    paths = write_series(tmp_path / "dicom")
    assert paths
    argv = arguments_for(tmp_path / "dicom", weights, "--progress", "none")
    assert cli.main(argv) == 0
    findings = json.loads((tmp_path / "result" / "findings.json").read_text())
    assert findings["series"]["series_uid"] == "1.2.826.0.1.3680043.8.498.1"
    assert findings["series"]["patient_id"] == "phantom"


def test_a_former_result_is_replaced_and_other_files_are_not(
    scan: Path, weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = arguments_for(scan, weights, "--progress", "none")
    assert cli.main(argv) == 0
    (scan.parent / "result" / "overview.png").write_bytes(b"old")
    assert cli.main(argv) == 0
    assert (scan.parent / "result" / "overview.png").stat().st_size > 3
    (scan.parent / "result" / "thesis.txt").write_text("mine")
    assert "thesis.txt" in refusal(argv, capfd, scan.parent)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_bad_images_are_refused(case: str, tmp_path: Path, weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build, expected = CASES[case]
    (tmp_path / "in").mkdir()
    path = build(tmp_path / "in")
    output = tmp_path / "out" / "result"
    argv = ["detect", str(path), "--output", str(output), "--weights", str(weights), "--progress", "none"]
    assert re.search(expected, refusal(argv, capfd, tmp_path))


def _edited_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads((folder / "segmentation.json").read_text())
    change(card)
    (folder / "segmentation.json").write_text(json.dumps(card))


def _with_its_hash(folder: Path, content: bytes) -> None:
    (folder / "segmentation.safetensors").write_bytes(content)
    _edited_card(folder, lambda card: card["weights"].update(sha256=hashlib.sha256(content).hexdigest()))


BAD_WEIGHTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no card": (lambda f: (f / "segmentation.json").unlink(), "does not exist"),
    "card is no JSON": (lambda f: (f / "classification.json").write_text("{"), "is not JSON"),
    "unknown preprocessing": (
        lambda f: _edited_card(f, lambda card: card["preprocessing"].update(sharpen=1)), "does not know",
    ),
    "unknown architecture": (
        lambda f: _edited_card(f, lambda card: card["architecture"].update(name="transformer-xxl")), "transformer-xxl",
    ),
    "no weights": (lambda f: (f / "classification.safetensors").unlink(), "do not exist"),
    "wrong hash": (lambda f: (f / "segmentation.safetensors").write_bytes(b"x" * 100), "not the file their card"),
    "corrupt weights": (lambda f: _with_its_hash(f, b"x" * 100), "not a readable safetensors"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_weights_are_refused(case: str, scan: Path, weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    spoil, expected = BAD_WEIGHTS[case]
    copy = scan.parent / "weights"
    copy.mkdir()
    for path in weights.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    spoil(copy)
    argv = arguments_for(scan, copy, "--progress", "none")
    assert expected in refusal(argv, capfd, scan.parent)


BAD_CHOICES: dict[str, tuple[list[str], str]] = {
    "threshold": (["--threshold", "1.5"], "threshold 1.5"),
    "threshold that is no number": (["--threshold", "high"], "'high'"),
    "threshold NaN": (["--threshold", "nan"], "threshold nan"),
    "device": (["--device", "gpu"], "Device 'gpu' is unknown"),
    "GPU that is not there": (["--device", "cuda:99"], "cuda"),
    "batch": (["--batch", "0"], "batch of 0"),
    "reference": (["--reference", "nowhere.csv"], "nowhere.csv does not exist"),
    "lung mask": (["--lung-mask", "nowhere.nrrd"], "nowhere.nrrd does not exist"),
    "weights": (["--weights", "nowhere"], "nowhere does not exist"),
    "series of a file": (["--series", "1.2.3"], "not series 1.2.3"),
    "progress": (["--progress", "dance"], "dance"),
    "option": (["--colour", "red"], "--colour"),
}


@pytest.mark.parametrize("case", BAD_CHOICES)
def test_bad_choices_are_refused(case: str, scan: Path, weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    more, expected = BAD_CHOICES[case]
    quiet = [] if "--progress" in more else ["--progress", "none"]
    assert expected in refusal(arguments_for(scan, weights, *more, *quiet), capfd, scan.parent)


def test_bad_references_and_masks_are_refused(scan: Path, weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (scan.parent / "reference.csv").write_text("x,y,z\n1,2,3\n")
    argv = arguments_for(scan, weights, "--progress", "none", "--reference", scan.parent / "reference.csv")
    assert "no column 'seriesuid'" in refusal(argv, capfd, scan.parent)
    sitk.WriteImage(as_image(np.zeros(chest_hu().shape, np.uint8)), str(scan.parent / "empty.nrrd"))
    argv = arguments_for(scan, weights, "--progress", "none")
    argv[argv.index("none")] = str(scan.parent / "empty.nrrd")
    assert "empty mask" in refusal(argv, capfd, scan.parent)


@pytest.mark.parametrize("argv", [[], ["detect"], ["find"], ["evaluate"], ["phantom"]])
def test_incomplete_commands_are_refused(argv: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "--help" in refusal(argv, capfd, tmp_path)


def test_an_output_that_cannot_be_written_is_refused_at_once(
    scan: Path, weights: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("LungNoduleCADLib.app.detect._read", lambda task: pytest.fail("refuse before reading"))
    (scan.parent / "result").write_text("a file")
    assert "is a file" in refusal(arguments_for(scan, weights, "--progress", "none"), capfd, scan.parent)
    (scan.parent / "result").unlink()
    for folder in (scan.parent, *scan.parents[1:4]):  # pytest keeps them to their owner
        folder.chmod(folder.stat().st_mode | 0o055)
    user = os.geteuid()
    scan.parent.chmod(0o555)
    try:
        if user == 0:
            os.seteuid(65534)
        message = refusal(arguments_for(scan, weights, "--progress", "none"), capfd, scan.parent)
    finally:
        os.seteuid(user)
        scan.parent.chmod(0o755)
    assert "writing there is not permitted" in message


RUN_ON_FULL_DISK = """
import resource, shutil, sys, types
from LungNoduleCADLib import cli
shutil.disk_usage = lambda path: types.SimpleNamespace(free=0)
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
sys.exit(cli.main(sys.argv[2:]))
"""
"""No file can grow beyond a limit, which a library meets as it meets a full disk. With -B, or compiled modules would be
kept, cut off."""


@pytest.mark.parametrize("failing", ["our own writing", "a library's writing", "Slicer's writing"])
def test_a_full_disk_is_named_and_leaves_nothing(failing: str, scan: Path, weights: Path) -> None:
    """In a process of its own: what C++ libraries print on standard error is looked at too."""
    volume_bytes = as_image().GetNumberOfPixels() * 2
    limit = {"our own writing": 100, "a library's writing": 20_000, "Slicer's writing": volume_bytes - 1000}[failing]
    argv = arguments_for(scan, weights, "--progress", "none")
    done = subprocess.run(
        [sys.executable, "-B", "-c", RUN_ON_FULL_DISK, str(limit), *argv], capture_output=True, text=True, check=False
    )
    said = done.stderr.splitlines()
    assert (done.returncode, len(said)) == (2, 1), said
    assert re.search(r" could not be written.*(nothing was left behind|free some space)", said[0])
    assert names_below(scan.parent) == {"chest.nrrd"}


# -- how it ends otherwise ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_run_and_leaves_nothing(number: int, code: int, tmp_path: Path, weights: Path) -> None:
    hu = np.repeat(chest_hu((30, 96, 112)), 8, axis=0)
    sitk.WriteImage(as_image(hu, (1.0, 1.0, 1.0)), str(tmp_path / "long.nrrd"))
    argv = arguments_for(tmp_path / "long.nrrd", weights, "--progress", "json", "--batch", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "LungNoduleCADLib.cli", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(LIBRARY_PARENT)},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["stage"] == "segmentation":
            process.send_signal(number)
            break
    _, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert error == "The run was cancelled; nothing was written.\n"
    assert names_below(tmp_path) == {"long.nrrd"}


def test_nobody_listening_stops_a_run(tmp_path: Path, scan: Path, weights: Path) -> None:
    argv = arguments_for(scan, weights, "--progress", "json")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "LungNoduleCADLib.cli", *argv],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(LIBRARY_PARENT)},
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
    assert names_below(tmp_path) == {"chest.nrrd"}


def test_a_fault_is_one_sentence_and_a_traceback_only_for_who_asks(
    scan: Path, weights: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise KeyError("no such thing")

    monkeypatch.setattr("LungNoduleCADLib.app.detect._run", fail)
    argv = arguments_for(scan, weights, "--progress", "none")
    assert cli.main(argv) == 1
    assert re.fullmatch(r"Unexpected fault \(KeyError: 'no such thing'\); [^\n]*\n", capfd.readouterr().err)
    assert names_below(scan.parent) == {"chest.nrrd"}
    assert cli.main([*argv, "--debug"]) == 1
    assert "Traceback" in capfd.readouterr().err


# -- the other commands ------------------------------------------------------------------------------------------------


def test_a_phantom_has_its_truth_beside_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "phantom"
    argv = ["phantom", "--output", str(output), "--size", "small", "--nodules", "2", "--seed", "3"]
    assert cli.main([*argv, "--spacing", "2.5", "1.4", "1.4", "--format", "mha"]) == 0
    image = sitk.ReadImage(str(output / "phantom-3.mha"))
    assert image.GetSpacing() == pytest.approx((1.4, 1.4, 2.5))
    truth = table_of(output / "annotations.csv")
    assert len(truth) == 2
    printed = capfd.readouterr().out
    assert all(f"{float(nodule['diameter_mm']):.1f} mm" in printed for nodule in truth)


def test_the_demo_detects_in_its_own_phantom(tmp_path: Path, weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    argv = ["demo", "--output", str(tmp_path), "--size", "small", "--weights", str(weights), "--progress", "none"]
    assert cli.main(argv) == 0
    printed = capfd.readouterr().out
    assert re.search(r"Against the reference: \d of 3 nodules found", printed)
    for path in re.findall(r"\S+(?:overview\.png|findings\.json|scene\.mrb|phantom-0\.nrrd)", printed):
        assert Path(path).is_file() or path in FILES
    assert str(tmp_path / "result" / "scene.mrb") in printed


def test_info_names_weights_device_and_versions(weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--weights", str(weights), "--json", "--device", "cpu"]) == 0
    information = json.loads(capfd.readouterr().out)
    card = json.loads((weights / "classification.json").read_text())
    assert information["models"][1]["sha256"] == card["weights"]["sha256"]
    assert information["models"][1]["data"] == card["data"]
    assert information["libraries"]["torch"] == torch.__version__
    assert information["device"].startswith("CPU")
    assert cli.main(["info", "--weights", str(weights), "--device", "cpu"]) == 0
    printed = capfd.readouterr().out
    assert card["weights"]["sha256"] in printed and "For research use only" in printed


def test_info_refuses_weights_that_are_not_their_cards(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "does not exist" in refusal(["info", "--weights", str(tmp_path / "none")], capfd, tmp_path)


def _luna_tables(folder: Path) -> list[str]:
    head = "seriesuid,coordX,coordY,coordZ,"
    (folder / "annotations.csv").write_text(f"{head}diameter_mm\na,0,0,0,10\nb,0,0,0,10\n")
    (folder / "excluded.csv").write_text(f"{head}diameter_mm\na,50,0,0,-1\n")
    (folder / "scans.csv").write_text("a\nb\n")
    marks = "a,1,0,0,0.9\na,50,1,0,0.8\na,90,0,0,0.7\nb,0,2,0,0.6\nb,70,0,0,0.5\n"
    (folder / "marks.csv").write_text(f"{head}probability\n{marks}")
    names = {"annotations": "annotations", "excluded": "excluded", "scans": "scans", "submission": "marks"}
    return [part for option, name in names.items() for part in (f"--{option}", str(folder / f"{name}.csv"))]


def test_froc_of_a_submission(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    argv = ["evaluate", "froc", *_luna_tables(tmp_path), "--json", str(tmp_path / "froc.json")]
    assert cli.main([*argv, "--bootstrap", "20", "--seed", "4"]) == 0
    content = json.loads((tmp_path / "froc.json").read_text())
    assert (content["tp"], content["fp"], content["fn"]) == (2, 2, 0)
    # One mark in two scans is half a false positive a scan, and only then is the second nodule reached.
    assert content["sensitivity"] == pytest.approx([0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert content["cpm"] == pytest.approx(6 / 7)
    assert len(content["band"]["mean"]) == 10_000
    assert f"CPM {content['cpm']:.6f}" in capfd.readouterr().out


def test_froc_refuses_tables_that_are_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tables = _luna_tables(tmp_path)
    (tmp_path / "scans.csv").write_text("")
    assert "lists no series" in refusal(["evaluate", "froc", *tables], capfd, tmp_path)
    (tmp_path / "scans.csv").write_text("c\n")
    assert "no sensitivity" in refusal(["evaluate", "froc", *tables], capfd, tmp_path)
