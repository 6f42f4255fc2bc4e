"""Reports of a detection and its review in a scene: what is in each format."""

from __future__ import annotations

import re
from pathlib import Path

import highdicom
import numpy as np
import pytest
import SimpleITK as sitk
from export_inputs import EVERY_FORMAT, WITHOUT_DICOM, content_of, detection_scene, dicom_scene, exported
from export_results import NOTE, csv_rows, folder_of, opened, pdf_text, report_in, review_it, sr_text
from io_inputs import as_image
from PIL import Image
from pydicom import dcmread
from report_inputs import HOSTILE
from review_inputs import READER, Reviewed, said_of, whole
from test_report_dicom import without_errors

from LungNoduleCADLib.report.context import GuidelineContext
from LungNoduleCADLib.rules import ScreeningExam


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reviewed, Path]:
    """A scene from DICOM files with a review of every kind, and its report in every format."""
    home = tmp_path_factory.mktemp("reviewed")
    scene = dicom_scene(home, PatientName="Doe^Jane", PatientAge="061Y")
    review_it(scene)
    run = exported(content_of(scene, dicom=home / "ct", bundle=True), home / "out", *EVERY_FORMAT)
    return scene, folder_of(run)


# -- a review in every format ------------------------------------------------------------------------------------------


def test_every_format_is_there(reviewed: tuple[Reviewed, Path]) -> None:
    names = {path.name for path in reviewed[1].iterdir() if not path.name.startswith(".")}
    assert names == {
        "report.html", "report.pdf", "report.csv", "report.json", "report-sr.dcm", "segmentation.dcm", "scene.mrb",
        "key-image-N1.png", "key-image-N3.png", "key-image-A1.png",
    }  # fmt: skip


def test_json_tells_the_review_and_the_patient(reviewed: tuple[Reviewed, Path]) -> None:
    report = report_in(reviewed[1])
    assert {f["label"]: f["status"] for f in report["findings"]} == {"N1": "accepted", "N3": "edited", "A1": "added"}
    assert {f["label"]: (f["status"], f["reason"]) for f in report["rejected"]} == {
        "N2": ("rejected", f"vessel: {NOTE}")
    }
    first = report["findings"][0]
    assert first["comment"] == NOTE and first["reader"] == READER and first["callipers"]
    assert first["measurements"]["long_axis_mm"] == 9.5 and first["automatic"]["long_axis_mm"] != 9.5
    assert [event["action"] for event in report["audit_trail"]] == [
        "detected", "accept", "set callipers", "set note", "reject", "edit contour", "accept", "add", "add", "delete",
    ]  # fmt: skip
    assert {event["who"] for event in report["audit_trail"][1:]} == {READER}
    assert report["patient"]["name"] == "Doe, Jane" and report["series"]["format"] == "DICOM"
    assert report["review"]["state"] == "reviewed"


def test_slices_are_named_by_their_own_uid(reviewed: tuple[Reviewed, Path]) -> None:
    headers = [dcmread(path, stop_before_pixels=True) for path in (reviewed[1].parents[1] / "ct").glob("*.dcm")]
    position = {str(header.SOPInstanceUID): float(header.ImagePositionPatient[2]) for header in headers}
    for finding in report_in(reviewed[1])["findings"]:
        assert position[finding["sop_instance_uid"]] == pytest.approx(finding["center_lps"][2], abs=1.3)


def test_html_pdf_and_csv_tell_the_review(reviewed: tuple[Reviewed, Path]) -> None:
    html = (reviewed[1] / "report.html").read_text(encoding="utf-8")
    for text in (html, pdf_text(reviewed[1])):
        for said in (READER, "N1", "N3", "A1", "N2", "Doe, Jane", "vessel", "9.5"):
            assert said in text, said
        assert "A2" in text, "what was added and deleted stays in the audit trail"
    assert "<b>spiculated" not in html
    rows = {row["finding"]: row for row in csv_rows(reviewed[1])}
    assert {name: row["status"] for name, row in rows.items()} == {
        "N1": "accepted", "N3": "edited", "A1": "added", "N2": "rejected",
    }  # fmt: skip
    assert rows["N1"]["comment"] == NOTE and READER in rows["N2"]["history"] and "reject" in rows["N2"]["history"]


def test_png_shows_the_findings_of_the_review(reviewed: tuple[Reviewed, Path]) -> None:
    title = Image.open(reviewed[1] / "key-image-N1.png").info["Title"]
    assert title.startswith("N1") and "9.5" in title


def test_dicom_objects_are_valid_and_hold_the_review(reviewed: tuple[Reviewed, Path]) -> None:
    scene, folder = reviewed
    without_errors({name: folder / name for name in ("segmentation.dcm", "report-sr.dcm")})
    segmentation = highdicom.seg.segread(folder / "segmentation.dcm")
    labels = {s.SegmentLabel: (s.SegmentNumber, s.SegmentAlgorithmType) for s in segmentation.SegmentSequence}
    assert {name: kind for name, (_, kind) in labels.items()} == {
        "N1": "AUTOMATIC", "N3": "SEMIAUTOMATIC", "A1": "SEMIAUTOMATIC",
    }  # fmt: skip
    finding = scene.review().state.finding("N3")
    uids = [str(uid) for uid in scene.volume_node.GetAttribute("DICOM.instanceUIDs").split()]
    voxels = segmentation.get_pixels_by_source_instance(
        uids, segment_numbers=[labels["N3"][0]], ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )[..., 0]
    assert np.array_equal(voxels.astype(bool), whole(finding.contour.mask, scene.volume)), "as the reader drew it"
    document = highdicom.sr.srread(folder / "report-sr.dcm")
    groups = document.content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["N1", "N3", "A1"]
    said = sr_text(folder)
    assert READER.split()[-1] in said and "Grew since 2024" in said and "edit contour" in said


def test_the_bundle_opens_with_scan_detection_review_and_marks(reviewed: tuple[Reviewed, Path], tmp_path: Path) -> None:
    scene, folder = reviewed
    original = scene.review()
    host, review = opened(folder, tmp_path / "opened")
    assert said_of(review.state.findings.values(), review.volume) == said_of(
        original.state.findings.values(), original.volume
    )
    assert len(list(review.review.trail())) == len(list(original.review.trail())) > 5
    assert np.array_equal(review.volume.voxels, original.volume.voxels)
    assert review.take_edits("nobody") == [], "the segments are what the review says"
    points, display = review.nodes.candidates, review.nodes.segmentation.GetDisplayNode()
    labels = [points.GetNthControlPointLabel(n) for n in range(points.GetNumberOfControlPoints())]
    assert [points.GetNthControlPointVisibility(labels.index(n)) for n in ("N1", "N2", "N3", "A1")] == [1, 0, 1, 1]
    assert [display.GetSegmentVisibility(name) for name in ("N1", "N2", "N3", "A1")] == [True, False, True, True]
    assert host.scene.GetFirstNodeByName("4: Thorax") is not None


# -- what was not reviewed, and nothing found --------------------------------------------------------------------------


def test_not_reviewed_is_said_in_every_format(tmp_path: Path) -> None:
    scene = dicom_scene(tmp_path)
    folder = folder_of(exported(content_of(scene, dicom=tmp_path / "ct", bundle=True), tmp_path / "out", *EVERY_FORMAT))
    report = report_in(folder)
    assert report["review"]["state"] == "not reviewed"
    assert [finding["status"] for finding in report["findings"]] == ["unreviewed"] * 2
    said = "Not reviewed by a radiologist"
    assert said in (folder / "report.html").read_text(encoding="utf-8") and said in pdf_text(folder)
    assert {(row["status"], row["review"]) for row in csv_rows(folder)} == {("unreviewed", "not reviewed")}
    document = dcmread(folder / "report-sr.dcm")
    assert (
        document.CompletionFlag == "PARTIAL" and document.VerificationFlag == "UNVERIFIED" and said in sr_text(folder)
    )
    segmentation = dcmread(folder / "segmentation.dcm")
    parameters = segmentation.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    assert said in str(parameters)
    assert "not reviewed" in Image.open(folder / "key-image-N1.png").info["Source"].lower()
    without_errors({name: folder / name for name in ("segmentation.dcm", "report-sr.dcm")})
    _, review = opened(folder, tmp_path / "opened")
    assert not review.review.events and {f.status for f in review.state.findings.values()} == {"pending"}


def test_a_scan_without_candidates_gives_every_format_but_a_segmentation(tmp_path: Path) -> None:
    scene = dicom_scene(tmp_path, lambda volume: [])
    run = exported(content_of(scene, dicom=tmp_path / "ct", bundle=True), tmp_path / "out", *EVERY_FORMAT)
    folder = folder_of(run)
    assert set(run.files) == {
        "report.html", "report.pdf", "report.csv", "report.json", "report-sr.dcm", "no-findings.png", "scene.mrb",
    }  # fmt: skip
    assert "No findings" in (folder / "report.html").read_text(encoding="utf-8") and "No findings" in pdf_text(folder)
    assert report_in(folder)["findings"] == [] and csv_rows(folder)[0]["status"] == "no findings"
    assert "No findings" in run.summary
    without_errors({"sr": folder / "report-sr.dcm"})
    _, review = opened(folder, tmp_path / "opened")
    assert not review.state.findings


# -- hostile text ------------------------------------------------------------------------------------------------------


def test_hostile_names_and_notes_come_out_harmless_in_every_format(tmp_path: Path) -> None:
    evil = " ".join(HOSTILE).replace("\udc80", "?")  # MRML and UTF-8 can hold no half letter
    sitk.WriteImage(as_image(), str(tmp_path / "ct.nrrd"))
    scene = detection_scene(tmp_path, tmp_path / "ct.nrrd", name=f"../../{evil}")
    review_it(scene, evil)
    words = GuidelineContext(exam=ScreeningExam(not_evaluable=evil, suspected_infection=evil, significant=(evil,)))
    run = exported(
        content_of(scene, bundle=True), tmp_path / "out", *WITHOUT_DICOM, notes=evil, context=words
    )  # fmt: skip
    folder = folder_of(run)
    assert folder.parent == tmp_path / "out" and re.fullmatch(r"[\w .,+-]+", folder.name)
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|img src=x|h1>x)", html) and "&lt;script&gt;" in html
    assert evil.splitlines()[0][:20] in report_in(folder)["notes"]
    assert all(not re.match(r"[=+@\t\r-](?![\d.]+$)", cell) for row in csv_rows(folder) for cell in row.values())
    assert "alert(1)" in pdf_text(folder)
    _, review = opened(folder, tmp_path / "opened")
    assert "<script>" in review.state.finding("N1").note
