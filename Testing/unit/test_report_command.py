"""`lungnodulecad report`: what it reads, refuses and leaves behind."""

from __future__ import annotations

import csv
import errno
import importlib.util
import io
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import html5lib
import pytest
from io_inputs import chest_hu, write_series
from PIL import Image
from pypdf import PdfReader
from report_inputs import HOSTILE, dicom_result, file_result, reviewed
from test_report_dicom import without_errors

from LungNoduleCADLib import cli
from LungNoduleCADLib.io import atomic
from LungNoduleCADLib.report.record import read_record
from LungNoduleCADLib.review import review_to_json

EVERY_FORMAT = "html,pdf,csv,json,sr,seg,png"


@pytest.fixture
def dicom(tmp_path: Path) -> Path:
    """Result of a DICOM scan, which lies beside it in `ct`."""
    return dicom_result(tmp_path)


@pytest.fixture
def nrrd(tmp_path: Path) -> Path:
    """Result of a file, `chest.nrrd` beside it."""
    return file_result(tmp_path)


def report(result: Path, *more: object) -> int:
    return cli.main(["report", str(result), *map(str, more)])


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def contents_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refusal(capfd: pytest.CaptureFixture[str], folder: Path, result: Path, *more: object) -> str:
    """What is said when it is refused: one line with code 2, and nothing has changed."""
    before = contents_of(folder)
    capfd.readouterr()
    assert report(result, *more) == 2
    printed = capfd.readouterr()
    assert printed.out == "" and re.fullmatch(r"[^\n]+[.]\n", printed.err), printed.err
    assert contents_of(folder) == before and not list(folder.rglob("*.partial-*"))
    return printed.err


# -- what it writes ----------------------------------------------------------------------------------------------------


def test_every_format_is_written_and_named(dicom: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert report(dicom, "--format", EVERY_FORMAT) == 0
    files = {"report.html", "report.pdf", "report.csv", "report.json", "report-sr.dcm", "segmentation.dcm",
             "key-image-N1.png", "key-image-N2.png"}  # fmt: skip
    assert names_in(dicom / "report") == files
    printed = capfd.readouterr()
    assert printed.err == "" and "2 findings. Not reviewed by a radiologist." in printed.out
    assert all(name in printed.out for name in files)


@pytest.mark.parametrize(
    ("formats", "files"),
    [
        (None, {"report.html", "report.pdf", "report.csv", "report.json"}),
        ("json", {"report.json"}),
        ("CSV, json,csv", {"report.csv", "report.json"}),
        ("seg", {"segmentation.dcm"}),
        ("sr", {"segmentation.dcm", "report-sr.dcm"}),
        ("png", {"key-image-N1.png", "key-image-N2.png"}),
    ],
)
def test_only_what_was_asked_for_is_written(formats: str | None, files: set[str], dicom: Path) -> None:
    assert report(dicom, *(["--format", formats] if formats else [])) == 0
    assert names_in(dicom / "report") == files


def test_choices_reach_the_report(dicom: Path, tmp_path: Path) -> None:
    output = tmp_path / "here" / "mine"
    assert report(dicom, "--format", "json", "--output", output, "--threshold", "0.9", "--guideline", "lung-rads",
                  "--notes", "Two\nlines") == 0  # fmt: skip
    content = json.loads((output / "report.json").read_text())
    assert [finding["label"] for finding in content["findings"]] == ["N1"]
    assert content["method"]["threshold"] == 0.9 and content["candidates_below_threshold"] == 2
    assert [advice["guideline"] for advice in content["recommendations"]] == ["Lung-RADS v2022"]
    assert content["notes"] == "Two\nlines"
    assert report(dicom, "--format", "json", "--output", output, "--guideline", "none") == 0
    assert json.loads((output / "report.json").read_text())["recommendations"] == []


def test_a_review_in_the_folder_or_elsewhere_is_taken(dicom: Path, tmp_path: Path) -> None:
    text = review_to_json(reviewed(read_record(dicom).result.candidates))
    (dicom / "review.json").write_text(text)
    assert report(dicom, "--format", "json") == 0
    assert json.loads((dicom / "report" / "report.json").read_text())["review"]["state"] == "reviewed"
    (dicom / "review.json").rename(tmp_path / "else.json")
    assert report(dicom, "--format", "json", "--review", tmp_path / "else.json") == 0
    assert json.loads((dicom / "report" / "report.json").read_text())["review"]["readers"] == ["Dr. Read"]


def test_a_file_that_is_no_dicom_gives_every_other_format(nrrd: Path) -> None:
    assert report(nrrd, "--format", "html,pdf,csv,json,png") == 0
    assert {"report.html", "report.pdf", "key-image-N1.png"} < names_in(nrrd / "report")


def test_a_segmentation_of_nothing_is_not_written_and_it_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = dicom_result(tmp_path, lambda volume: [])
    assert report(result, "--format", "seg,sr,html") == 0
    assert names_in(result / "report") == {"report.html", "report-sr.dcm"}
    assert "No DICOM SEG was written: there is no finding with an outline." in capfd.readouterr().out


def test_a_scan_that_has_moved_is_found_where_it_is_said_to_be(dicom: Path, tmp_path: Path) -> None:
    (tmp_path / "ct").rename(tmp_path / "moved")
    assert report(dicom, "--format", "csv,json") == 0, "the record alone gives these"
    assert report(dicom, "--format", EVERY_FORMAT, "--source", tmp_path / "moved") == 0
    assert "report-sr.dcm" in names_in(dicom / "report")


def test_the_scan_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = dicom_result(Path("."))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert report(tmp_path / result, "--format", "png") == 0


def test_hostile_paths_headers_and_notes_come_out_harmless_in_every_format(tmp_path: Path) -> None:
    evil = [text for text in HOSTILE if "\udc80" not in text]
    home = tmp_path / "<img src=x onerror=alert(1)>, '=1+1' \"@SUM\"\n&amp; 名前"
    home.mkdir()
    result = dicom_result(
        home,
        PatientName="<script>alert(1)</script>^=1+1",
        PatientID="=cmd|calc!A0",
        StudyDescription='@SUM(A1), "x"',
        SeriesDescription="</style><h1>x",
        AccessionNumber="+1+1",
    )
    review = reviewed(read_record(result).result.candidates, "\n".join(evil), " ".join(evil))
    (result / "review.json").write_text(review_to_json(review), encoding="utf-8")
    assert report(result, "--format", EVERY_FORMAT, "--notes", "\n".join(evil)) == 0
    folder = result / "report"
    assert names_in(folder) >= {"report.html", "report.pdf", "report.csv", "report.json", "report-sr.dcm"}
    without_errors({name: folder / name for name in ("report-sr.dcm", "segmentation.dcm")})
    html = (folder / "report.html").read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(html)
    assert not re.search(r"<(script|img src=x|h1>x)", html) and "&lt;script&gt;alert(1)" in html
    rows = csv.reader(io.StringIO((folder / "report.csv").read_text(encoding="utf-8-sig"), newline=""))
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if re.match(r"[=+@\t\r]|-(?![\d.]+$)", cell)]
    content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert content["patient"]["id"] == "=cmd|calc!A0" and "<img src=x" in content["series"]["source"]
    text = " ".join(page.extract_text() for page in PdfReader(folder / "report.pdf").pages)
    assert "alert(1)" in text and "=cmd|calc!A0" in text
    shown = Image.open(folder / "key-image-N1.png").info
    assert "calc" not in str(shown) and "alert" not in shown["Title"]


# -- what it refuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("formats", ["sr", "seg", "html,seg"])
def test_dicom_objects_of_what_is_no_dicom_are_refused(
    formats: str, nrrd: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capfd, nrrd.parent, nrrd, "--format", formats)
    assert "must refer to DICOM images, but the scan is of the format NRRD; leave sr and seg out" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "docx"], "report format 'docx' is unknown; choose from html, pdf"),
        (["--format", ""], "report format '' is unknown"),
        (["--threshold", "2"], "The threshold 2 is no probability"),
        (["--guideline", "bts"], "The guideline 'bts' is unknown; choose from lung-rads, fleischner, or none"),
        (["--review", "nowhere.json"], "The review nowhere.json cannot be read"),
        (["--source", "nowhere"], "nowhere does not exist"),
    ],
)
def test_impossible_choices_are_refused_in_one_sentence(
    arguments: list[str], said: str, dicom: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(capfd, dicom.parent, dicom, *arguments)


def test_another_scan_than_the_results_is_refused(
    dicom: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ct").rename(tmp_path / "gone")
    assert "is no longer there; say where it is now with --source" in refusal(capfd, tmp_path, dicom)
    write_series(tmp_path / "shifted", origin=(0.0, 0.0, 0.0))
    said = refusal(capfd, tmp_path, dicom, "--format", "html", "--source", tmp_path / "shifted")
    assert "is not the scan that the result" in said
    write_series(tmp_path / "other", series_uid="1.2.3.4", hu=chest_hu(seed=3))
    assert "holds no series" in refusal(capfd, tmp_path, dicom, "--format", "html", "--source", tmp_path / "other")
    assert "no longer holds 12 of the 12 slices" in refusal(
        capfd, tmp_path, dicom, "--format", "seg", "--source", tmp_path / "other"
    )


def test_a_folder_that_is_no_result_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no result (findings.json is missing)" in refusal(capfd, tmp_path, tmp_path / "empty")
    assert "holds no result" in refusal(capfd, tmp_path, tmp_path / "nowhere")


def test_a_result_that_does_not_name_its_slices_is_refused(dicom: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = json.loads((dicom / "findings.json").read_text())
    del content["series"]["sop_instance_uids"]
    (dicom / "findings.json").write_text(json.dumps(content))
    said = refusal(capfd, dicom.parent, dicom, "--format", "sr")
    assert "does not say which DICOM slices were searched; run the detection again" in said


def test_a_review_of_another_detection_is_refused(dicom: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = review_to_json(reviewed(read_record(dicom).result.candidates))
    (dicom / "review.json").write_text(text)
    content = json.loads((dicom / "findings.json").read_text())
    content["candidates"][0]["score"] = 0.6
    (dicom / "findings.json").write_text(json.dumps(content))
    assert "is of another detection" in refusal(capfd, dicom.parent, dicom)
    (dicom / "review.json").write_text("{")
    assert "is damaged" in refusal(capfd, dicom.parent, dicom)
    (dicom / "review.json").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refusal(capfd, dicom.parent, dicom)


@pytest.mark.parametrize(("package", "formats"), [("highdicom", "sr"), ("reportlab", "pdf"), ("jinja2", "html")])
def test_a_package_that_is_missing_is_named(
    package: str, formats: str, dicom: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "LungNoduleCADLib.report.export.find_spec", lambda name: None if name == package else find(name)
    )
    said = refusal(capfd, dicom.parent, dicom, "--format", formats)
    assert f"needs {package}, which is not installed; install `lungnodulecad[reports]`" in said


# -- what it leaves behind ---------------------------------------------------------------------------------------------


def test_a_further_report_replaces_the_former_as_a_whole(dicom: Path) -> None:
    assert report(dicom, "--format", "csv,json") == 0
    assert report(dicom, "--format", "json") == 0
    assert names_in(dicom / "report") == {"report.json"}, "files of two reviews are never mixed"


def test_files_of_others_are_never_replaced(dicom: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert report(dicom, "--format", "csv") == 0
    (dicom / "report" / "letter.txt").write_text("mine")
    assert "letter.txt" in refusal(capfd, dicom.parent, dicom, "--format", "csv")


FAILURES: dict[str, tuple[str, Callable[[], BaseException], str]] = {
    "disk full": ("fsync", lambda: OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
    "not permitted": ("fsync", lambda: PermissionError(errno.EACCES, "denied"), "writing there is not permitted"),
    "moving fails": ("replace", lambda: OSError(errno.EROFS, "read-only"), "the disk is read-only"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("after", [0, 3])
def test_an_export_that_fails_half_way_leaves_the_former_one_as_it_was(
    failure: str, after: int, dicom: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report(dicom, "--format", EVERY_FORMAT) == 0
    name, error, reason = FAILURES[failure]
    works, calls = getattr(os, name), []

    def fails(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > after:
            raise error()
        return works(*arguments)

    monkeypatch.setattr(atomic.os, name, fails)
    said = refusal(capfd, dicom.parent, dicom, "--format", EVERY_FORMAT, "--threshold", "0")
    assert f"{dicom / 'report'} could not be written: {reason}" in said
    assert len(calls) > after


def test_a_report_that_cannot_be_made_leaves_the_former_one_as_it_was(
    dicom: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report(dicom, "--format", "html,csv") == 0
    before = contents_of(dicom)
    monkeypatch.setattr("LungNoduleCADLib.report.csv_report.render_csv", lambda report: 1 / 0)
    assert report(dicom, "--format", "html,csv") == 1
    assert contents_of(dicom) == before


def test_a_place_where_writing_is_not_permitted_is_refused(
    dicom: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    assert "is a file" in refusal(capfd, tmp_path, dicom, "--format", "csv", "--output", tmp_path / "file")
    said = refusal(capfd, tmp_path, dicom, "--format", "csv", "--output", tmp_path / "file" / "below")
    assert "a part of the path is a file" in said


def test_a_report_of_a_read_only_result_can_be_written_elsewhere(dicom: Path, tmp_path: Path) -> None:
    before = contents_of(dicom)
    assert report(dicom, "--format", "html,json", "--output", tmp_path / "out") == 0
    assert contents_of(dicom) == before and names_in(tmp_path / "out") == {"report.html", "report.json"}
    shutil.rmtree(tmp_path / "out")


def test_detection_does_not_wipe_a_report(dicom: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A report in the result's folder makes the folder one that holds something else."""
    assert report(dicom, "--format", "csv") == 0
    with pytest.raises(Exception, match="holds files that are not a former result's"), atomic.output_folder(dicom):
        pass
    assert names_in(dicom / "report") == {"report.csv"}
