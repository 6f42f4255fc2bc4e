"""DICOM SEG and SR: read back by highdicom and pydicom, and found without error by dciodvfy."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from highdicom.sr.utils import find_content_items
from io_inputs import chest_hu, write_series
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from report_inputs import (
    DETECTED,
    HOSTILE,
    ball_candidate,
    balls_in_the_lungs,
    blob_candidates,
    result_of,
    reviewed,
)

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import Candidate, VoxelMask
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.io.dicom_source import read_source_images
from LungNoduleCADLib.report.build import build_report
from LungNoduleCADLib.report.dicom_objects import KEYWORDS, source_images
from LungNoduleCADLib.report.export import Sources, render_report
from LungNoduleCADLib.report.json_report import report_as_json
from LungNoduleCADLib.report.model import NOTICE, Report
from LungNoduleCADLib.report.quantities import measured_quantities
from LungNoduleCADLib.report.suggestions import GUIDELINES
from LungNoduleCADLib.volume import Volume


@pytest.fixture(autouse=True)
def _names_of_the_scans() -> Iterator[None]:
    """highdicom warns of patients' names of one part, which real scans have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True, eq=False)
class Exported:
    """A report of a scan, its DICOM files, and the scan."""

    report: Report
    volume: Volume
    files: dict[str, Path]
    images: list[Dataset]

    @property
    def segmentations(self) -> list[highdicom.seg.Segmentation]:
        names = sorted(name for name in self.files if name.startswith("segmentation"))
        return [highdicom.seg.segread(self.files[name]) for name in names]

    @property
    def document(self) -> Any:
        return highdicom.sr.srread(self.files["report-sr.dcm"])


def export(
    folder: Path, candidates: Any = blob_candidates, *, scan: Path | None = None, review: Any = None, notes: str = ""
) -> Exported:
    """Report a DICOM scan."""
    source = scan or folder / "ct"
    volume = read_volume(source)
    found = candidates(volume)
    report = build_report(
        result_of(volume, found, series={**result_of(volume, []).series, **_uids(volume)}),
        volume,
        None if review is None else review(found),
        guidelines=GUIDELINES,
        detected_at=DETECTED,
        notes=notes,
    )
    images = read_source_images(source, volume.metadata["sop_instance_uids"], KEYWORDS)
    tilted = any(finding["code"] == "tilted_gantry" for finding in volume.metadata["reading_findings"])
    content = render_report(report, ("sr",), Sources(volume, lambda: volume, images, tilted), deidentify=False)
    files = {name: folder / name for name in content}
    for name, path in files.items():
        path.write_bytes(content[name])
    return Exported(report, volume, files, images)


def _uids(volume: Volume) -> dict[str, Any]:
    return {"sop_instance_uids": volume.metadata["sop_instance_uids"]}


def without_errors(files: dict[str, Path]) -> None:
    """dciodvfy judges by its own tables of the standard, written independently of highdicom and pydicom."""
    if shutil.which("dciodvfy") is None:
        pytest.fail("dciodvfy is missing; install the Debian package dicom3tools")
    for path in files.values():
        done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).splitlines()
        assert not [line for line in said if line.startswith(("Error", "Abort"))], "\n".join(said)
        assert done.returncode == 0 and any(kind in said for kind in ("Segmentation", "Comprehensive3DSR")), said


def voxels_of(exported: Exported) -> dict[str, NDArray[np.bool_]]:
    """Each segment by its label, placed on the volume's grid by its frames' own positions."""
    found = {}
    for segmentation in exported.segmentations:
        shared = segmentation.SharedFunctionalGroupsSequence[0]
        plane = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        assert np.allclose(plane, exported.volume.direction[:, :2].T.ravel(), atol=1e-4)
        spacing = shared.PixelMeasuresSequence[0].PixelSpacing
        assert np.allclose(spacing, exported.volume.spacing_kji_mm[1:], atol=1e-3)
        frames = np.atleast_3d(segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns))
        for number, frame in enumerate(segmentation.PerFrameFunctionalGroupsSequence):
            position = [float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient]
            k, j, i = exported.volume.lps_to_index(position)
            assert abs(j) < 0.05 and abs(i) < 0.05 and abs(k - round(k)) < 0.1
            groups = frame if "SegmentIdentificationSequence" in frame else shared
            segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            label = segmentation.SegmentSequence[segment - 1].SegmentLabel
            array = found.setdefault(label, np.zeros(exported.volume.shape, dtype=bool))
            array[round(k)] |= frames[number].astype(bool)
    return found


def masks_of(exported: Exported) -> dict[str, NDArray[np.bool_]]:
    found = {}
    for finding in exported.report.findings:
        if finding.mask is not None:
            found[finding.label] = np.zeros(exported.volume.shape, dtype=bool)
            found[finding.label][finding.mask.region] = finding.mask.voxels
    return found


def segments_are_the_masks(exported: Exported) -> None:
    voxels, masks = voxels_of(exported), masks_of(exported)
    assert voxels.keys() == masks.keys()
    for label, mask in masks.items():
        assert mask.any() and np.array_equal(voxels[label], mask), label


def measurements_are_those_of_the_json(exported: Exported) -> None:
    groups = exported.document.content.get_volumetric_roi_measurement_groups()
    report = report_as_json(exported.report)
    assert len(groups) == len(report["findings"])
    for group, entry, finding in zip(groups, report["findings"], exported.report.findings, strict=True):
        assert (group.tracking_identifier, group.tracking_uid) == (entry["label"], entry["tracking_uid"])
        written = [
            (m.name.value, None if m.derivation is None else m.derivation.value, m.unit.value, m.value)
            for m in group.get_measurements()
        ]
        expected = [
            (q.concept.value, q.derivation.value if q.derivation else None, q.unit.value, entry["measurements"][q.key])
            for q, _ in measured_quantities(finding)
        ]
        assert written == expected and len(written) >= 10
        both = [value for name, _, _, value in written if name in ("111047", "BY_DIAMETER")]
        assert both == [finding.malignancy, finding.malignancy_by_diameter]  # never the one alone


# -- real scans --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scan", ["LIDC-IDRI-0003-slab", "R01-001"])
def test_objects_of_a_real_scan_are_valid_and_hold_what_was_found(scan: str, shared_data: Path, tmp_path: Path) -> None:
    exported = export(tmp_path, balls_in_the_lungs, scan=shared_data / "ct" / scan)
    without_errors(exported.files)
    segments_are_the_masks(exported)
    measurements_are_those_of_the_json(exported)
    for dataset in (*exported.segmentations, exported.document):
        for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
            assert dataset.get(keyword) == exported.images[0].get(keyword), keyword


# -- what the objects say ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("dicom")
    write_series(folder / "ct", PatientName="Doe^Jane", PatientID="4711", StudyDate="20260203", StudyTime="101112",
                 PatientSex="F", PatientBirthDate="19700102", AccessionNumber="A-815", StudyID="7")  # fmt: skip
    return export(folder)


def test_objects_are_valid(exported: Exported) -> None:
    without_errors(exported.files)
    assert set(exported.files) == {"segmentation.dcm", "report-sr.dcm"}


def test_segments_equal_the_findings_outlines(exported: Exported) -> None:
    segments_are_the_masks(exported)


def test_measurements_equal_those_of_the_json(exported: Exported) -> None:
    measurements_are_those_of_the_json(exported)


def test_a_segment_says_what_it_is_and_who_made_it(exported: Exported) -> None:
    (segmentation,) = exported.segmentations
    assert segmentation.SegmentationType == "BINARY" and segmentation.Modality == "SEG"
    assert NOTICE in segmentation.ContentDescription and NOTICE in segmentation.SeriesDescription
    assert segmentation.SoftwareVersions == "9.8.7"
    for segment, finding in zip(segmentation.SegmentSequence, exported.report.findings, strict=True):
        assert segment.SegmentLabel == segment.TrackingID == finding.label
        assert segment.TrackingUID == finding.tracking_uid and segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lung nodule"
        assert segment.AnatomicRegionSequence[0].CodeValue == "39607008"
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert algorithm.AlgorithmVersion == "9.8.7"
        for expected in ("a" * 64, "b" * 64, "threshold=0.5", "Not reviewed"):
            assert expected in algorithm.AlgorithmParameters


def test_a_segmentation_refers_to_the_slices_it_lies_on(exported: Exported) -> None:
    (segmentation,) = exported.segmentations
    (series,) = segmentation.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == exported.report.series.uid
    assert segmentation.FrameOfReferenceUID == exported.report.series.frame_of_reference_uid
    assert segmentation.StudyInstanceUID == exported.report.study.uid
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        uid = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        (image,) = [image for image in exported.images if image.SOPInstanceUID == uid]
        assert image.ImagePositionPatient == position


def test_the_report_refers_to_its_segments_and_source_images(exported: Exported) -> None:
    (segmentation,), document = exported.segmentations, exported.document
    groups = document.content.get_volumetric_roi_measurement_groups()
    for number, (group, finding) in enumerate(zip(groups, exported.report.findings, strict=True), start=1):
        segment = group.referenced_segment
        assert segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert group[0].ContentSequence.find(codes.DCM.ReferencedSegment)[0].referenced_segment_numbers == [number]
        images = {image.referenced_sop_instance_uid for image in segment.source_images_for_segmentation}
        assert finding.mask is not None
        slices = range(exported.volume.shape[0])[finding.mask.region[0]]
        assert images == {exported.report.series.sop_instance_uids[k] for k in slices}
    evidence = {
        item.ReferencedSOPInstanceUID
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert segmentation.SOPInstanceUID in evidence and images <= evidence


def test_the_report_names_template_algorithm_site_and_type(exported: Exported) -> None:
    document = exported.document
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    group = document.content.get_volumetric_roi_measurement_groups()[0]
    assert group.finding_type.value == "427359005"
    (site,) = group.finding_sites
    assert (site.topographical_modifier, site.laterality.meaning) == (None, "Right")
    assert site.value.meaning == "Middle zone of lung"
    evaluations = {e.name.meaning: e.value.meaning for e in group.get_qualitative_evaluations()}
    assert evaluations["Nodule type"] == "Solid" and evaluations["Review status"] == "Not reviewed"
    parameters = [item.value for item in group[0].ContentSequence if item.name.value == "111002"]
    assert f"segmentation weights sha256: {'a' * 64}" in parameters and "threshold: 0.5" in parameters
    assert document.CompletionFlag == "PARTIAL" and document.VerificationFlag == "UNVERIFIED"


def texts_of(document: Any) -> list[str]:
    return [item.TextValue for item in find_content_items(document, value_type="TEXT", recursive=True)]


def test_the_report_tells_notice_warnings_method_and_audit_trail(exported: Exported) -> None:
    texts = texts_of(exported.document)
    for expected in (NOTICE, "2 findings. Largest: N1", "Not reviewed by a radiologist.", "Warning: Slices of 2.5 mm",
                     "Audit trail: 2026-03-04 05:06:07+00:00; LungNoduleCAD; all; detected", "Lung-RADS v2022",
                     f"series: {exported.report.series.uid}"):  # fmt: skip
        assert any(expected in text for text in texts), expected


# -- special cases -----------------------------------------------------------------------------------------------------


def test_a_review_is_in_both_objects(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    exported = export(tmp_path, review=reviewed, notes="Seen twice.")
    without_errors(exported.files)
    segments_are_the_masks(exported)
    measurements_are_those_of_the_json(exported)
    document = exported.document
    assert document.CompletionFlag == "COMPLETE" and document.VerificationFlag == "UNVERIFIED"
    people = [item.value for item in find_content_items(document, value_type="PNAME", recursive=True)]
    assert [str(name) for name in people] == ["Dr. Read^"]
    group = document.content.get_volumetric_roi_measurement_groups()[0]
    assert group.get_measurements(codes.SCT.LongAxis)[0].value == 9.5
    texts = " | ".join(texts_of(document))
    for expected in ("4B (by Dr. Read; suggested 4A)", "Notes: Seen twice.", "N2, slice 7, rejected: vessel",
                     "Dr. Read; N1; set callipers; nodule: 9.5 x 8.5 mm", "Comment: Stable since 2024."):  # fmt: skip
        assert expected in texts, expected


def test_a_scan_without_finding_gives_a_valid_report_and_no_segmentation(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    exported = export(tmp_path, lambda volume: [])
    assert set(exported.files) == {"report-sr.dcm"}
    without_errors(exported.files)
    (group,) = exported.document.content.get_image_measurement_groups()
    (evaluation,) = group.get_qualitative_evaluations()
    assert evaluation.value.meaning == "Absent" and len(group.source_images) == len(exported.images)
    assert any("No findings." in text for text in texts_of(exported.document))
    (study,) = exported.document.CurrentRequestedProcedureEvidenceSequence
    assert len(study.ReferencedSeriesSequence[0].ReferencedSOPSequence) == len(exported.images)


def test_outlines_that_overlap_are_kept_apart_in_two_objects(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    exported = export(
        tmp_path, lambda volume: [ball_candidate(volume, n, (5, 20, 8 + 8 * n), 4.0, 0.9) for n in range(1, 4)]
    )
    assert set(exported.files) == {"segmentation.dcm", "segmentation-2.dcm", "report-sr.dcm"}
    without_errors(exported.files)
    segments_are_the_masks(exported)
    measurements_are_those_of_the_json(exported)
    assert len({segmentation.SeriesInstanceUID for segmentation in exported.segmentations}) == 1


def test_a_finding_that_is_only_a_point_refers_to_its_slice(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")

    def pointed(volume: Volume) -> list[Candidate]:
        first, second, _ = blob_candidates(volume)
        return [first, replace(second, mask=VoxelMask((0, 0, 0), np.zeros((1, 1, 1), dtype=bool)))]

    exported = export(tmp_path, pointed)
    without_errors(exported.files)
    segments_are_the_masks(exported)
    (group,) = exported.document.content.get_image_measurement_groups()
    (image,) = group.source_images
    assert group.tracking_identifier == "N2"
    assert image.referenced_sop_instance_uid == exported.report.findings[1].sop_instance_uid


ORIENTATIONS: dict[str, tuple[float, ...]] = {
    "flipped": (-1, 0, 0, 0, -1, 0),
    "oblique": (0.96, 0.28, 0, -0.28, 0.96, 0),
    "tilted_table": (1, 0, 0, 0, 0.9945219, -0.1045285),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_segments_lie_where_they_belong_whatever_the_orientation(orientation: Sequence[float], tmp_path: Path) -> None:
    write_series(tmp_path / "ct", orientation=tuple(orientation))
    exported = export(tmp_path)
    without_errors(exported.files)
    segments_are_the_masks(exported)


def test_slices_of_a_tilted_gantry_are_placed_where_the_volume_has_them(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", step=(0.0, 0.5, 2.5))
    exported = export(tmp_path)
    assert any(finding["code"] == "tilted_gantry" for finding in exported.volume.metadata["reading_findings"])
    without_errors(exported.files)
    segments_are_the_masks(exported)


def test_faulty_and_hostile_headers_are_mended_or_left_out(tmp_path: Path) -> None:
    def spoil(dataset: Dataset, n: int) -> None:
        dataset.PatientName = "Ωmega <script>^\\Two=名前^漢"
        dataset.PatientID, dataset.AccessionNumber = "<b>'\"; 1\\2", "A" * 30
        dataset.PatientSex, dataset.StudyDate, dataset.StudyTime = "Male", "2026-02-03", "noon"
        dataset.PatientAge, dataset.StudyDescription = "56", "x" * 100
        dataset.SpecificCharacterSet = "ISO_IR 192"

    write_series(tmp_path / "ct", edit=spoil)
    note = " ".join(HOSTILE).replace("\udc80", "")
    exported = export(tmp_path, review=lambda found: reviewed(found, note, "Dr. \\ = ^ <i>名前</i>"), notes=note)
    without_errors(exported.files)
    document = dcmread(exported.files["report-sr.dcm"])
    assert document.PatientID == "<b>'\"; 1/2" and document.PatientSex == "" and document.StudyDate == ""
    assert "名前" in str(document.PatientName) and "Ωmega" in str(document.PatientName)
    assert document.AccessionNumber == "A" * 16


def test_a_series_without_frame_of_reference_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", edit=lambda dataset, n: setattr(dataset, "FrameOfReferenceUID", ""))
    with pytest.raises(InputError, match="no Frame of Reference UID, which DICOM SEG and SR need"):
        export(tmp_path)


def test_slices_in_different_frames_of_reference_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", edit=lambda dataset, n: setattr(dataset, "FrameOfReferenceUID", f"1.2.3.{n + 1}"))
    with pytest.raises(InputError, match="different frames of reference"):
        export(tmp_path)


def test_slices_that_have_gone_are_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct")
    uids = read_volume(tmp_path / "ct").metadata["sop_instance_uids"]
    assert [i.SOPInstanceUID for i in read_source_images(tmp_path / "ct", uids, KEYWORDS)] == uids
    assert len(read_source_images(paths[3], uids, KEYWORDS)) == 12, "one file stands for its folder"
    paths[0].unlink()
    (tmp_path / "ct" / "note.txt").write_text("x")
    with pytest.raises(InputError, match=r"no longer holds 1 of the 12 slices .*\(first 1\.2\.826"):
        read_source_images(tmp_path / "ct", uids, KEYWORDS)


def test_the_validator_notices_what_is_wrong(exported: Exported, tmp_path: Path) -> None:
    spoilt = dcmread(exported.files["segmentation.dcm"])
    del spoilt.SegmentSequence[0].SegmentAlgorithmType
    spoilt.save_as(tmp_path / "spoilt.dcm")
    with pytest.raises(AssertionError, match="SegmentAlgorithmType"):
        without_errors({"spoilt": tmp_path / "spoilt.dcm"})


def test_source_images_carry_nothing_that_is_not_needed(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", InstitutionName="Secret", OtherPatientIDs="Secret", PatientAddress="Secret")
    uids = read_volume(tmp_path / "ct").metadata["sop_instance_uids"]
    for image in source_images(read_source_images(tmp_path / "ct", uids, KEYWORDS), None):
        assert "Secret" not in str(image)


def test_the_chest_of_these_tests_has_as_many_slices_as_they_say() -> None:
    assert chest_hu().shape[0] == 12
