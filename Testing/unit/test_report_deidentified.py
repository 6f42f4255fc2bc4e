"""A de-identified report tells nothing of whose it is, in any file, and is still a valid report."""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pypdf import PdfReader
from report_inputs import DETECTED, blob_candidates, dicom_result, file_result, result_of, reviewed
from test_report_dicom import without_errors

from LungNoduleCADLib import cli
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.report.build import build_report
from LungNoduleCADLib.report.deidentify import REMOVED, UidMap, deidentified
from LungNoduleCADLib.report.model import NOTICE
from LungNoduleCADLib.report.record import read_record
from LungNoduleCADLib.report.suggestions import GUIDELINES
from LungNoduleCADLib.resources import resource_path
from LungNoduleCADLib.review import review_to_json

FORMATS = "html,pdf,csv,json,sr,seg,png"

IDENTITY: dict[str, str] = {
    "PatientName": "Quastenflosser^Hildegunde", "PatientID": "PID774411", "PatientBirthDate": "19510607",
    "PatientAge": "074Y", "StudyDate": "20190817", "StudyTime": "131415", "SeriesDate": "20190818",
    "AcquisitionDate": "20190819", "ContentDate": "20190820", "AccessionNumber": "ACC990088", "StudyID": "SID5511",
    "StudyDescription": "Follow-up of Hildegunde", "SeriesDescription": "Thorax Quastenflosser",
    "InstitutionName": "Klinikum Hinterwald", "ReferringPhysicianName": "Zauberlehrling^Ottokar",
    "StationName": "STATION7788", "DeviceSerialNumber": "SERIAL6655", "PatientComments": "lives in Hinterwald",
    "OtherPatientIDs": "OTHER3344", "OperatorsName": "Operatorsky^Olga",
}  # fmt: skip
READER = "Dr. Adalbert Leserich"
NOTE = "As told by Mrs Quastenflosser, phone 0664-123456."

TELLTALES = (
    "Quastenflosser", "Hildegunde", "774411", "19510607", "1951-06-07", "074Y", "74 years", "20190817", "2019-08-17",
    "2019", "13:14", "131415", "990088", "5511", "Hinterwald", "Zauberlehrling", "7788", "6655", "3344", "Operatorsky",
    "Leserich", "0664", "2026", "1.2.826.0.1.3680043.8.498",
)  # fmt: skip
"""Parts of every value above, the review's times and readers, and the root of every UID of the series."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a reviewed scan whose headers, path, review and notes are full of the patient."""
    home = tmp_path_factory.mktemp("case") / "Quastenflosser 774411"
    home.mkdir()
    result = dicom_result(home, **IDENTITY)
    candidates = read_record(result).result.candidates
    (result / "review.json").write_text(review_to_json(reviewed(candidates, NOTE, READER)), encoding="utf-8")
    arguments = ["report", str(result), "--format", FORMATS, "--deidentify", "--notes", NOTE, "--debug"]
    assert cli.main(arguments) == 0
    return result / "report-deidentified"


def readable_parts(path: Path) -> bytes:
    """Everything that can be read in a file: its bytes, a PDF's streams and text, a PNG's text."""
    content = path.read_bytes()
    parts = [content]
    if path.suffix == ".pdf":
        for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
            try:
                parts.append(zlib.decompress(stream))
            except zlib.error:
                continue
        reader = PdfReader(io.BytesIO(content))
        parts += [page.extract_text().encode() for page in reader.pages] + [str(reader.metadata).encode()]
    if path.suffix == ".png":
        parts.append(str(Image.open(path).info).encode())
    if path.suffix == ".dcm":
        parts.append(str(dcmread(path)).encode())
    return b"\n".join(parts)


def files_of(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def test_all_formats_are_there(folder: Path) -> None:
    assert {path.name for path in files_of(folder)} == {
        "report.html", "report.pdf", "report.csv", "report.json", "report-sr.dcm", "segmentation.dcm",
        "key-image-N1.png",
    }  # fmt: skip


@pytest.mark.parametrize("telltale", TELLTALES)
def test_nothing_that_identifies_is_in_any_file(telltale: str, folder: Path) -> None:
    for path in files_of(folder):
        text = readable_parts(path)
        if path.suffix in (".html", ".pdf", ".png", ".dcm"):  # pictures' bytes and new UIDs may hold any digits
            text = re.sub(rb"data:image/jpeg;base64,[^\"]+", b"", text)
            text = re.sub(rb"2\.25\.\d+|ANON-\d+|[0-9a-f]{64}", b"", text)
        if telltale.isdigit() and path.suffix in (".pdf", ".png", ".dcm"):
            text = b"\n".join(line for line in _texts(path))
        # A PDF breaks a long UID over lines.
        text = re.sub(rb"2\.25\.\d+(\n\d+)*|ANON-\d+", b"", text)
        assert telltale.encode() not in text, (path.name, telltale)
    assert not any(telltale in path.name for path in files_of(folder))


def _texts(path: Path) -> list[bytes]:
    """Text alone, without the numbers of pictures and of layout."""
    if path.suffix == ".pdf":
        reader = PdfReader(path)
        return [str(reader.metadata).encode(), *(page.extract_text().encode() for page in reader.pages)]
    if path.suffix == ".png":
        return [str(Image.open(path).info).encode()]
    kept = []
    for element in dcmread(path).iterall():
        if element.VR not in ("DS", "FD", "OB", "OW", "UI", "IS", "US"):
            kept.append(str(element.value).encode())
    return kept


def test_the_telltales_would_be_found_in_a_report_that_identifies(folder: Path) -> None:
    result = folder.parent
    assert cli.main(["report", str(result), "--format", FORMATS, "--notes", NOTE]) == 0
    everything = b"".join(readable_parts(path) for path in files_of(result / "report"))
    not_needed = {"Hinterwald", "Zauberlehrling", "7788", "6655", "3344", "Operatorsky", "074Y", "19510607"}
    for telltale in set(TELLTALES) - not_needed:
        assert telltale.encode() in everything, telltale


def test_the_report_is_still_whole_and_valid(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    schema = json.loads(resource_path("Report", "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(report)
    assert report["deidentified"] is True and report["notice"] == NOTICE and report["created"] is None
    assert report["patient"]["name"] == "" and report["patient"]["id"].startswith("ANON-")
    (finding,) = report["findings"]
    assert finding["measurements"]["long_axis_mm"] == 9.5 and finding["slice_number"] == 4
    assert finding["reader"] == "Reader 1" and finding["comment"] == REMOVED and finding["reviewed_at"] is None
    assert report["rejected"][0]["reason"] == "vessel", "the choice is kept, the words are not"
    assert report["notes"] == REMOVED
    assert [event["at"] for event in report["audit_trail"]] == [None] * 7
    assert {event["who"] for event in report["audit_trail"]} == {"LungNoduleCAD", "Reader 1"}
    decision = finding["recommendations"][0]
    assert (decision["final"], decision["final_management"], decision["suggested"]) == ("4B", REMOVED, "4A")
    exam = report["recommendations"][0]
    assert (exam["final"], exam["final_management"], exam["suggested"]) == ("4A", REMOVED, "4B")
    assert exam["reason"] == REMOVED
    assert report["method"]["models"][0]["sha256"] == "a" * 64 and report["method"]["threshold"] == 0.5


def test_the_new_uids_agree_in_all_files(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    segmentation, document = dcmread(folder / "segmentation.dcm"), dcmread(folder / "report-sr.dcm")
    series = report["series"]
    assert segmentation.StudyInstanceUID == document.StudyInstanceUID == report["study"]["uid"]
    assert segmentation.FrameOfReferenceUID == series["frame_of_reference_uid"]
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == series["uid"]
    referred = {
        item.ReferencedSOPInstanceUID for item in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert referred < set(series["sop_instance_uids"]) and report["findings"][0]["sop_instance_uid"] in referred
    assert segmentation.SegmentSequence[0].TrackingUID == report["findings"][0]["tracking_uid"]
    assert series["uid"] in (folder / "report.html").read_text(encoding="utf-8")
    assert segmentation.PatientID == document.PatientID == report["patient"]["id"]
    everyone = [report["study"]["uid"], series["uid"], series["frame_of_reference_uid"], *series["sop_instance_uids"]]
    assert len(set(everyone)) > 12 and all(uid.startswith("2.25.") for uid in everyone)


def test_the_dicom_objects_say_that_they_are_deidentified(folder: Path) -> None:
    names = ("segmentation.dcm", "report-sr.dcm")
    without_errors({name: folder / name for name in names})
    for name in names:
        dataset: Dataset = dcmread(folder / name)
        assert dataset.PatientIdentityRemoved == "YES" and dataset.LongitudinalTemporalInformationModified == "REMOVED"
        dates = {str(e.value) for e in dataset.iterall() if e.VR in ("DA", "DT", "TM") and e.value}
        assert dates <= {"19000101", "000000"}, "the standard wants one; it tells nothing"


def test_another_export_has_other_uids(folder: Path) -> None:
    first = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    result = folder.parent
    other = result.parent / "other"
    assert cli.main(["report", str(result), "--format", "json", "--deidentify", "--output", str(other)]) == 0
    second = json.loads((other / "report.json").read_text(encoding="utf-8"))
    assert first["series"]["uid"] != second["series"]["uid"], "nobody can find the old from the new"
    assert first["patient"]["id"] != second["patient"]["id"]


def test_a_scan_that_is_no_dicom_is_deidentified_too(tmp_path: Path) -> None:
    home = tmp_path / "Quastenflosser"
    home.mkdir()
    result = file_result(home)
    assert cli.main(["report", str(result), "--format", "html,pdf,csv,json,png", "--deidentify"]) == 0
    for path in files_of(result / "report-deidentified"):
        assert b"Quastenflosser" not in readable_parts(path) and b"chest.nrrd" not in readable_parts(path)
    report = json.loads((result / "report-deidentified" / "report.json").read_text())
    assert report["series"]["uid"] != "chest" and report["series"]["source"] == ""


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (lambda series: f"The file {series['source']} is odd.", False),
        (lambda series: f"Series {series['series_uid']} is noisy.", False),
        (lambda series: "Patient PID774411 moved.", False),
        (lambda series: "The scan of QUASTENFLOSSER is odd.", False),
        (lambda series: "ct/Hildegunde_3.dcm is odd.", False),
        (lambda series: "Order ACC990088 is unknown.", False),
        (lambda series: "Slices of 2.5 mm: nodules below 5 mm may be missed.", True),
    ],
)
def test_a_warning_that_names_the_patient_or_the_files_goes(
    text: Callable[[Any], str], kept: bool, tmp_path: Path
) -> None:
    dicom_result(tmp_path, **IDENTITY)
    volume = read_volume(tmp_path / "ct")
    series = result_of(volume, []).series
    result = result_of(
        volume, blob_candidates(volume), warnings=(text(series),), settings={"lung_mask": "/scans/q.nrrd"}
    )
    report = deidentified(build_report(result, volume, guidelines=GUIDELINES, detected_at=DETECTED), UidMap())
    assert report.warnings == ((text(series),) if kept else (REMOVED,))
    assert report.method.settings == {"lung_mask": REMOVED}


def test_the_same_uid_is_always_given_for_the_same() -> None:
    uids = UidMap()
    assert uids["1.2"] == uids["1.2"] != uids["1.3"] and uids[""] == ""
    assert len(uids["1.2"]) <= 64
