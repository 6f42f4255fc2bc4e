"""Reports of a scene: what a reader chooses, and scans that were turned or moved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from export_inputs import content_of, dicom_scene, exported, scene_of_volume
from export_results import advice, folder_of, pdf_text, report_in, review_it
from report_inputs import BLOBS, ball_candidate
from review_inputs import Reviewed
from test_report_dicom import without_errors

from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.report.context import GuidelineContext
from LungNoduleCADLib.report.deidentify import REMOVED
from LungNoduleCADLib.rules import Patient, ScreeningExam
from LungNoduleCADLib.volume import Volume

# -- choices -----------------------------------------------------------------------------------------------------------


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
