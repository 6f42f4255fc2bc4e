"""Reports of a scene: where they lie, what is refused, and what an export that fails leaves."""

from __future__ import annotations

import errno
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from export_inputs import WITHOUT_DICOM, ExportHere, content_of, exported
from export_results import folder_of, report_in
from review_inputs import Reviewed

from LungNoduleCADLib.app.export_job import ExportRequest, report_folder_name
from LungNoduleCADLib.app.export_run import ExportRun, SceneContent
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.io import atomic
from LungNoduleCADLib.scene import bundle


def test_a_report_has_a_folder_of_its_own_that_no_other_takes(plain: Reviewed, tmp_path: Path) -> None:
    at = datetime(2026, 3, 4, 5, 6, 7)
    assert report_folder_name("4: Thorax / Lunge", False, at, "x") == "4 Thorax Lunge report 2026-03-04 05-06-07"
    assert report_folder_name("Jane Doe", True, at, "0a1b2c3d") == "deidentified report 0a1b2c3d"
    assert report_folder_name("..", False, at, "x").startswith("scan report") and "/" not in report_folder_name(
        "a/" * 99, False, at, "x"
    )
    (tmp_path / "letter.txt").write_text("mine")
    first = folder_of(exported(content_of(plain), tmp_path, "json"))
    assert (tmp_path / "letter.txt").read_text() == "mine" and first.parent == tmp_path
    assert {path.name for path in first.iterdir()} == {"report.json", atomic.MARKER}


def is_refused_on_a_full_disk(former: Path, content: SceneContent, *formats: str) -> None:
    """An export in the place of a former report leaves that as it was, and names its folder."""
    before = {path.name: path.read_bytes() for path in former.iterdir()}
    run = ExportHere(content, ExportRequest(str(former.parent), formats))
    run.folder = former
    run.start()
    run._thread.join()
    run.poll()
    assert run.outcome is Outcome.FAILED
    assert run.error.startswith(f"{former} could not be written: the disk is full")
    assert {path.name: path.read_bytes() for path in former.iterdir()} == before
    assert [path.name for path in former.parent.iterdir()] == [former.name]


@pytest.mark.parametrize("after", [0, 2])
def test_an_export_that_fails_half_way_leaves_what_was_there(
    after: int, plain: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = folder_of(exported(content_of(plain), tmp_path, "json", "csv"))
    works, calls = os.fsync, []

    def fails(number: int) -> None:
        calls.append(number)
        if len(calls) > after + 1:  # the first is the job's own file
            raise OSError(errno.ENOSPC, "No space left on device")
        works(number)

    monkeypatch.setattr(atomic.os, "fsync", fails)
    is_refused_on_a_full_disk(former, content_of(plain), "json", "csv", "html")


def test_a_full_temporary_folder_is_named_as_what_it_is(
    plain: Reviewed, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", fails)
    run = exported(content_of(plain), tmp_path / "out", "json")
    said = f"The temporary folder {temporary} could not be used (No space left on device); free some space."
    assert (run.outcome, run.error) == (Outcome.FAILED, said)
    assert list(temporary.iterdir()) == [] and not (tmp_path / "out").exists()


def test_a_bundle_that_fails_half_way_leaves_what_was_there(
    plain: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = folder_of(exported(content_of(plain), tmp_path, "json"))

    def fails(source: Any, destination: Any, length: int) -> None:
        destination.write(source.read(1000))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bundle.shutil, "copyfileobj", fails)
    is_refused_on_a_full_disk(former, content_of(plain, bundle=True), "json", "mrb")


def test_a_scene_cannot_be_deidentified(plain: Reviewed, tmp_path: Path) -> None:
    run = exported(content_of(plain, bundle=True), tmp_path / "out", "mrb", deidentify=True)
    assert run.outcome is Outcome.FAILED and "cannot be de-identified" in run.error
    assert not (tmp_path / "out").exists()


def test_dicom_objects_of_a_scan_that_is_no_dicom_are_refused(plain: Reviewed, tmp_path: Path) -> None:
    run = exported(content_of(plain), tmp_path / "out", "seg")
    assert run.outcome is Outcome.FAILED and "must refer to DICOM images" in run.error


def test_a_damaged_review_is_refused_in_one_sentence(plain: Reviewed, tmp_path: Path) -> None:
    content = content_of(plain)
    broken = type(content)(content.name, content.volume, content.record, '{"schema": "?"}')
    run = exported(broken, tmp_path / "out", "json")
    assert run.outcome is Outcome.FAILED and "The stored review is damaged" in run.error


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ExportRequest(""), "no folder"),
        (ExportRequest("  "), "no folder"),
        (ExportRequest(__file__), "is a file"),
        (ExportRequest(".", formats=()), "No format is chosen"),
        (ExportRequest(".", formats=("docx",)), "The format 'docx' is unknown"),
        (ExportRequest(".", guidelines=("bts",)), "The guideline 'bts' is unknown"),
        (ExportRequest(".", threshold=1.5), "1.5 is no probability"),
    ],
)
def test_impossible_requests_are_refused(request_: ExportRequest, said: str) -> None:
    valid, reason = request_.is_valid()
    assert not valid and said in reason


def test_the_child_process_does_the_same(plain: Reviewed, tmp_path: Path) -> None:
    run = ExportRun(content_of(plain, bundle=True), ExportRequest(str(tmp_path / "out"), WITHOUT_DICOM))
    run.start()
    run._thread.join(120)
    progress = run.poll()
    assert run.outcome is Outcome.FINISHED, run.error + run.details
    assert progress.fraction == pytest.approx(1.0)
    assert {"report.html", "report.pdf", "scene.mrb"} < set(run.files)
    assert report_in(run.folder)["findings"]


def test_a_cancelled_export_leaves_nothing(plain: Reviewed, tmp_path: Path) -> None:
    run = ExportRun(content_of(plain, bundle=True), ExportRequest(str(tmp_path / "out"), WITHOUT_DICOM))
    run.start()
    run.cancel(wait=True)
    run.poll()
    assert run.outcome is Outcome.CANCELLED
    assert not (tmp_path / "out").exists()
