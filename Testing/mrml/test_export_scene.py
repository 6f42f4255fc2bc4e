"""Reports of a detection and its review in a scene: what is in each format, where they lie, and what is refused."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import highdicom
import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk
from export_inputs import (
    EVERY_FORMAT,
    WITHOUT_DICOM,
    ExportHere,
    content_of,
    detection_scene,
    dicom_scene,
    exported,
    scene_of_volume,
)
from io_inputs import as_image
from PIL import Image
from pydicom import dcmread
from pypdf import PdfReader
from report_inputs import BLOBS, HOSTILE, ball_candidate
from review_inputs import READER, Reviewed, said_of, whole
from test_report_dicom import without_errors

from LungNoduleCADLib.app.export_job import ExportRequest, report_folder_name
from LungNoduleCADLib.app.export_run import ExportRun
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.io import atomic
from LungNoduleCADLib.report.context import GuidelineContext
from LungNoduleCADLib.report.deidentify import REMOVED
from LungNoduleCADLib.resources import resource_path
from LungNoduleCADLib.review import Accept, Change, Delete, Reject, SetCallipers, SetNote, add_nodule, edit_contour
from LungNoduleCADLib.rules import Patient, ScreeningExam
from LungNoduleCADLib.scene import bundle, read_scene
from LungNoduleCADLib.scene.detections import find_detection
from LungNoduleCADLib.scene.review import SceneReview
from LungNoduleCADLib.volume import Volume

NOTE = "Grew since 2024; <b>spiculated</b>"


def review_it(scene: Reviewed, note: str = NOTE) -> None:
    """Accepted with callipers and a note; rejected; edited; one added and kept, one added and deleted."""
    review = scene.review()
    third = review.state.finding("N3").contour.mask
    smaller = third.voxels.copy()
    smaller[0] = False
    outside = tuple(float(v) for v in review.volume.index_to_lps((6, 16, 34)))
    changes: tuple[Change, ...] = (
        Accept(("N1",)),
        SetCallipers("N1", "nodule", (9.5, 8.5)),
        SetNote("N1", note),
        Reject(("N2",), "vessel", note),
        edit_contour(review.volume, "N3", type(third)(third.start_kji, smaller)),
        Accept(("N3",)),
    )
    for change in changes:
        review.record(change, READER)
    review.record(add_nodule(review.review, review.volume, outside), READER)
    review.record(add_nodule(review.review, review.volume, outside), READER)
    review.record(Delete("A2"), READER)


def folder_of(run: ExportHere) -> Path:
    assert run.outcome is Outcome.FINISHED, run.error
    return run.folder


def report_in(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    schema = json.loads(resource_path("Report", "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(content, schema)
    return content


def pdf_text(folder: Path) -> str:
    return " ".join(" ".join(page.extract_text().split()) for page in PdfReader(folder / "report.pdf").pages)


def sr_text(folder: Path) -> str:
    """All text of the DICOM SR."""
    elements = dcmread(folder / "report-sr.dcm").iterall()
    return "\n".join(str(element.value) for element in elements if element.keyword == "TextValue")


def csv_rows(folder: Path) -> list[dict[str, str]]:
    text = (folder / "report.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


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


def opened(folder: Path, into: Path) -> tuple[Any, SceneReview]:
    into.mkdir()
    host = read_scene(folder / "scene.mrb", into)
    nodes = find_detection(host.scene, host.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
    assert nodes is not None
    return host, SceneReview(host.scene, nodes)


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


# -- choices -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    """A scene from a file that is no DICOM."""
    home = tmp_path_factory.mktemp("plain")
    sitk.WriteImage(as_image(), str(home / "chest.nrrd"))
    return detection_scene(home, home / "chest.nrrd", name="chest")


def test_threshold_guidelines_and_notes_reach_the_report(plain: Reviewed, tmp_path: Path) -> None:
    report = report_in(
        folder_of(
            exported(content_of(plain), tmp_path, "json", threshold=0.3, guidelines=("fleischner",), notes="One\ntwo")
        )
    )
    assert [finding["label"] for finding in report["findings"]] == ["N1", "N2", "N3"]
    assert report["method"]["threshold"] == 0.3 and report["notes"] == "One\ntwo"
    assert {advice["guideline"] for advice in report["recommendations"]} == {"Fleischner 2017"}
    assert report["series"]["uid"] == "chest" and report["series"]["format"] == "MRML"


def advice(folder: Path, guideline: str) -> dict[str, Any]:
    return next(a for a in report_in(folder)["recommendations"] if a["guideline"].startswith(guideline))


def test_what_a_reader_states_for_the_guidelines_decides(plain: Reviewed, tmp_path: Path) -> None:
    def suggested(guideline: str, **stated: Any) -> str:
        run = exported(content_of(plain), tmp_path, "json", context=GuidelineContext(**stated))
        return str(advice(folder_of(run), guideline)["suggested"])

    assert "high risk" in suggested("Fleischner"), "unknown is taken as high"
    assert "low risk" in suggested("Fleischner", patient=Patient(age_years=60, high_risk=False))
    for stated in ({"age_years": 34.0}, {"known_cancer": True}, {"immunosuppressed": True}, {"screening": True}):
        assert suggested("Fleischner", patient=Patient(**stated)) == "not applicable", stated
    assert suggested("Lung-RADS", exam=ScreeningExam(awaiting_prior=True)) == "0"
    assert suggested("Lung-RADS", exam=ScreeningExam(suspected_infection="tree in bud")) == "0"
    assert suggested("Lung-RADS", exam=ScreeningExam(significant=("coronary calcification",))).endswith("S")


def test_a_stated_age_counts_before_that_of_the_images(tmp_path: Path) -> None:
    scene = dicom_scene(tmp_path, PatientAge="030Y")
    content = content_of(scene, dicom=tmp_path / "ct")
    assert advice(folder_of(exported(content, tmp_path / "a", "json")), "Fleischner")["suggested"] == "not applicable"
    stated = GuidelineContext(Patient(age_years=50.0))
    folder = folder_of(exported(content, tmp_path / "b", "json", context=stated))
    assert advice(folder, "Fleischner")["suggested"] != "not applicable"
    assert report_in(folder)["guideline_context"]["patient"]["age_years"] == 50.0


def test_a_deidentified_report_tells_no_name_and_no_words(tmp_path: Path) -> None:
    scene = dicom_scene(tmp_path, PatientName="Quastenflosser^Hildegunde")
    scene.volume_node.SetName("Quastenflosser thorax")
    review_it(scene, "As Mrs Quastenflosser said")
    words = "the left apex of Mrs Quastenflosser"
    exam = ScreeningExam(not_evaluable=words, suspected_infection=words, significant=(words,))
    run = exported(
        content_of(scene, dicom=tmp_path / "ct"),
        tmp_path / "out",
        "html", "pdf", "csv", "json", "sr", "seg",
        deidentify=True, notes="Quastenflosser", context=GuidelineContext(exam=exam),
    )  # fmt: skip
    folder = folder_of(run)
    assert re.fullmatch(r"deidentified report [0-9a-f]{8}", folder.name)
    for path in folder.iterdir():
        assert b"Quastenflosser" not in path.read_bytes() and b"apex" not in path.read_bytes(), path.name
    assert "Quastenflosser" not in pdf_text(folder) and "apex" not in pdf_text(folder)
    assert "Quastenflosser" not in run.summary
    stated = report_in(folder)["guideline_context"]["exam"]
    assert stated["not_evaluable"] == REMOVED and stated["significant"] == [REMOVED]
    suggestion = advice(folder, "Lung-RADS")
    assert REMOVED in suggestion["reason"] and REMOVED in suggestion["suggested_management"]
    assert suggestion["suggested"] == "0S"


# -- geometry ----------------------------------------------------------------------------------------------------------


def test_a_volume_whose_slices_run_the_other_way_refers_to_the_right_images(tmp_path: Path) -> None:
    """As Slicer may load a series: the same voxels in the same places, counted from the other end."""
    scene = dicom_scene(tmp_path)
    flipped = turned_scene(scene.volume, tmp_path / "flipped")
    folder = folder_of(exported(content_of(flipped, dicom=tmp_path / "ct"), tmp_path / "out", "json", "sr"))
    without_errors({name: folder / name for name in ("segmentation.dcm", "report-sr.dcm")})
    straight = folder_of(exported(content_of(scene, dicom=tmp_path / "ct"), tmp_path / "straight", "json", "sr"))
    pairs = zip(report_in(folder)["findings"], report_in(straight)["findings"], strict=True)
    for one, other in pairs:
        assert one["sop_instance_uid"] == other["sop_instance_uid"]
        assert one["slice_number"] == 13 - other["slice_number"]
    assert frames_of(folder) == frames_of(straight)


def turned_scene(volume: Volume, home: Path) -> Reviewed:
    """A detection of the same blobs in the volume turned round along k."""
    turn = np.diag([1.0, 1.0, -1.0, 1.0])
    turn[2, 3] = last = volume.shape[0] - 1
    blobs = [((last - k, j, i), radius, score) for (k, j, i), radius, score in BLOBS]
    return scene_of_volume(
        Volume(volume.voxels[::-1], volume.ijk_to_lps @ turn, dict(volume.metadata)),
        home,
        lambda turned: [ball_candidate(turned, n, *blob) for n, blob in enumerate(blobs, start=1)],
    )


def frames_of(folder: Path) -> dict[tuple[Any, ...], bytes]:
    """The segmented pixels by segment and position."""
    segmentation = highdicom.seg.segread(folder / "segmentation.dcm")
    pixels = segmentation.pixel_array
    found = {}
    for n, frame in enumerate(segmentation.PerFrameFunctionalGroupsSequence):
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        place = tuple(float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient)
        found[segmentation.SegmentSequence[number - 1].SegmentLabel, place] = pixels[n].tobytes()
    return found


def test_a_volume_that_was_moved_gives_a_report_but_no_dicom_objects(tmp_path: Path) -> None:
    scene = dicom_scene(tmp_path, PatientName="Doe^Jane")
    moved = Volume(
        scene.volume.voxels,
        scene.volume.ijk_to_lps + np.pad([[5.0], [0], [0]], ((0, 1), (3, 0))),
        scene.volume.metadata,
    )
    other = scene_of_volume(moved, tmp_path / "moved")
    content = content_of(other, dicom=tmp_path / "ct")
    run = exported(content, tmp_path / "out", "sr", "json")
    assert run.outcome is Outcome.FAILED and "are not where those of its DICOM series are" in run.error
    assert not (tmp_path / "out").exists()
    report = report_in(folder_of(exported(content, tmp_path / "out", "json")))
    assert report["patient"]["name"] == "Doe, Jane" and report["findings"][0]["sop_instance_uid"] == ""


# -- where it lies, and what fails -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("after", [0, 2])
def test_an_export_that_fails_half_way_leaves_what_was_there(
    after: int, plain: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = folder_of(exported(content_of(plain), tmp_path, "json", "csv"))
    before = {path.name: path.read_bytes() for path in former.iterdir()}
    works, calls = os.fsync, []

    def fails(number: int) -> None:
        calls.append(number)
        if len(calls) > after + 1:  # the first is the job's own file
            raise OSError(errno.ENOSPC, "No space left on device")
        works(number)

    monkeypatch.setattr(atomic.os, "fsync", fails)
    run = ExportHere(content_of(plain), ExportRequest(str(tmp_path), ("json", "csv", "html")))
    run.folder = former  # where a report lies already
    run.start()
    run._thread.join()
    run.poll()
    assert run.outcome is Outcome.FAILED and "the disk is full" in run.error
    assert {path.name: path.read_bytes() for path in former.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == [former.name]


def test_a_bundle_that_fails_half_way_leaves_what_was_there(
    plain: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = folder_of(exported(content_of(plain), tmp_path, "json"))
    before = {path.name: path.read_bytes() for path in former.iterdir()}

    def fails(source: Any, destination: Any, length: int) -> None:
        destination.write(source.read(1000))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bundle.shutil, "copyfileobj", fails)
    run = ExportHere(content_of(plain, bundle=True), ExportRequest(str(tmp_path), ("json", "mrb")))
    run.folder = former
    run.start()
    run._thread.join()
    run.poll()
    assert run.outcome is Outcome.FAILED and "the disk is full" in run.error
    assert {path.name: path.read_bytes() for path in former.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == [former.name]


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
