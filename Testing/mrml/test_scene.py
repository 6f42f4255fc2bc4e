"""Candidates as MRML nodes, and scenes that read back as they were written, on Slicer's own MRML."""

from __future__ import annotations

import resource
import signal
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from result_inputs import AXES, make_result, make_volume
from vtkmodules.vtkCommonCore import reference
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from LungNoduleCADLib.errors import OutputError
from LungNoduleCADLib.findings import DetectionResult, ReferenceNodule
from LungNoduleCADLib.report.colors import STATUS_COLORS, score_color
from LungNoduleCADLib.report.items import report_items, resolve_match
from LungNoduleCADLib.scene import (
    StandaloneScene,
    add_result,
    add_volume_node,
    open_standalone_scene,
    read_scene,
    segment_mask,
    write_scene,
)
from LungNoduleCADLib.scene.geometry import LPS_TO_RAS, array_from_image, matrix_from_vtk
from LungNoduleCADLib.volume import Volume


def written_and_read(
    folder: Path, result: DetectionResult, volume: Volume, references: list[ReferenceNodule] | None = None
) -> StandaloneScene:
    write_scene(result, volume, folder / "scene.mrb", references=references)
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    return read_scene(folder / "scene.mrb", unpacked)


def only_node(host: StandaloneScene, class_name: str, name: str | None = None) -> Any:
    nodes = host.scene.GetNodesByClass(class_name)
    found = [nodes.GetItemAsObject(n) for n in range(nodes.GetNumberOfItems())]
    found = [n for n in found if name is None or n.GetName() == name]
    assert len(found) == 1
    return found[0]


def ras_matrix(node: Any) -> np.ndarray:
    matrix = vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix_from_vtk(matrix)


def points_of(node: Any) -> list[tuple[str, str, tuple[float, ...], bool]]:
    """Label, description, LPS position and visibility of every point."""
    points: list[tuple[str, str, tuple[float, ...], bool]] = []
    for n in range(node.GetNumberOfControlPoints()):
        x, y, z = node.GetNthControlPointPosition(n)
        visible = bool(node.GetNthControlPointVisibility(n))
        points.append((node.GetNthControlPointLabel(n), node.GetNthControlPointDescription(n), (-x, -y, z), visible))
    return points


def tag(segment: Any, name: str) -> str:
    """A segment's tag; VTK returns it through a reference."""
    value = reference("")
    assert segment.GetTag(name, value)
    return str(value)


def full_mask(volume: Volume, mask: Any) -> np.ndarray:
    whole = np.zeros(volume.shape, dtype=bool)
    whole[mask.region] = mask.voxels
    return whole


@pytest.mark.parametrize("axes", list(AXES))
def test_bundle_reads_back_identical(tmp_path: Path, axes: str) -> None:
    volume = make_volume(axes)
    result = make_result(volume)
    host = written_and_read(tmp_path, result, volume)

    volume_node = only_node(host, "vtkMRMLScalarVolumeNode")
    voxels = array_from_image(volume_node.GetImageData())
    assert voxels.dtype == np.int16
    np.testing.assert_array_equal(voxels, volume.voxels)
    np.testing.assert_allclose(ras_matrix(volume_node), LPS_TO_RAS @ volume.ijk_to_lps, atol=1e-9)

    points = points_of(only_node(host, "vtkMRMLMarkupsFiducialNode"))
    assert [p[0] for p in points] == ["N1", "N2", "N3"]
    for point, candidate in zip(points, result.candidates, strict=True):
        assert point[2] == candidate.center_lps

    segmentation_node = only_node(host, "vtkMRMLSegmentationNode")
    segmentation = segmentation_node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 3
    for candidate in result.candidates:
        segment = segmentation.GetSegment(f"N{candidate.id}")
        assert segment.GetName() == f"N{candidate.id}"
        np.testing.assert_allclose(segment.GetColor(), score_color(candidate.score), atol=1e-6)
        read = full_mask(volume, segment_mask(segmentation_node, f"N{candidate.id}"))
        np.testing.assert_array_equal(read, full_mask(volume, candidate.mask))


@pytest.mark.parametrize("axes", list(AXES))
def test_segments_lie_on_the_nodules_in_patient_space(tmp_path: Path, axes: str) -> None:
    volume = make_volume(axes)
    result = make_result(volume)
    host = written_and_read(tmp_path, result, volume)
    node = only_node(host, "vtkMRMLSegmentationNode")
    volume_node = only_node(host, "vtkMRMLScalarVolumeNode")
    voxels = array_from_image(volume_node.GetImageData())
    ras_to_ijk = np.linalg.inv(ras_matrix(volume_node))
    for candidate in result.candidates:
        # By the segment's own matrix to the patient, and from there by the volume's own matrix to its voxels.
        mask = segment_mask(node, f"N{candidate.id}")
        segment = node.GetSegmentation().GetSegment(f"N{candidate.id}")
        to_world = vtkMatrix4x4()
        segment.GetRepresentation("Binary labelmap").GetImageToWorldMatrix(to_world)
        index_kji = np.argwhere(mask.voxels) + mask.start_kji
        homogeneous = np.column_stack([index_kji[:, ::-1], np.ones(len(index_kji))])
        ras = homogeneous @ matrix_from_vtk(to_world).T
        x, y, z = candidate.center_lps
        np.testing.assert_allclose(ras[:, :3].mean(axis=0), (-x, -y, z), atol=1e-6)
        i, j, k = np.rint(ras @ ras_to_ijk.T)[:, :3].astype(int).T
        assert (voxels[k, j, i] == 40).all()


def test_description_measurements_and_visibility_survive_saving(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    node = only_node(written_and_read(tmp_path, result, volume), "vtkMRMLMarkupsFiducialNode")

    assert points_of(node)[0][1] == "score 0.93; 16.0 mm; solid, mean 40 HU; malignancy 0.40 (by diameter 0.30)"
    assert [p[3] for p in points_of(node)] == [True, True, False]  # the third is below the threshold
    expected = {
        "score": [c.score for c in result.candidates],
        "diameter": [c.measurements.diameter_mm for c in result.candidates],
        "mean density": [c.measurements.mean_hu for c in result.candidates],
        "malignancy": [c.malignancy or 0.0 for c in result.candidates],
        "malignancy by diameter": [c.malignancy_by_diameter or 0.0 for c in result.candidates],
    }
    for name, values in expected.items():
        kept = node.GetMeasurement(name).GetControlPointValues()
        np.testing.assert_allclose([kept.GetValue(n) for n in range(kept.GetNumberOfValues())], values)
    assert node.GetMeasurement("diameter").GetUnits() == "mm"


def test_segments_carry_terminology_score_and_reference_volume(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    host = written_and_read(tmp_path, result, volume)
    node = only_node(host, "vtkMRMLSegmentationNode")
    volume_node = only_node(host, "vtkMRMLScalarVolumeNode")

    assert node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole()) == volume_node.GetID()
    segment = node.GetSegmentation().GetSegment("N2")
    assert "SCT^427359005^Lung nodule" in segment.GetTerminology()
    assert tag(segment, "LungNoduleCAD.Score") == "0.610000"
    assert tag(segment, "LungNoduleCAD.CandidateId") == "2"
    assert not node.GetDisplayNode().GetSegmentVisibility("N3")
    assert node.GetDisplayNode().GetSegmentVisibility("N1")
    display = volume_node.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == (1500.0, -600.0, 0)
    assert volume_node.GetAttribute("DICOM.instanceUIDs").split() == volume.metadata["sop_instance_uids"]


def references_for(result: DetectionResult, volume: Volume) -> list[ReferenceNodule]:
    """The first candidate's nodule, and one that nobody found."""
    x, y, z = (float(v) for v in volume.index_to_lps((6.0, 12.0, 12.0)))
    return [ReferenceNodule(result.candidates[0].center_lps, 16.0, "a"), ReferenceNodule((x, y, z), 6.0, "b")]


def test_reference_colours_found_false_and_missed(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    host = written_and_read(tmp_path, result, volume, references_for(result, volume))

    segmentation_node = only_node(host, "vtkMRMLSegmentationNode")
    segmentation = segmentation_node.GetSegmentation()
    colors = {"N1": STATUS_COLORS["TP"], "N2": STATUS_COLORS["FP"], "FN1": STATUS_COLORS["FN"]}
    for segment_id, color in colors.items():
        np.testing.assert_allclose(segmentation.GetSegment(segment_id).GetColor(), color, atol=1e-6)
    missed = full_mask(volume, segment_mask(segmentation_node, "FN1"))
    assert abs(missed.sum() * volume.voxel_volume_mm3 / (np.pi / 6 * 6.0**3) - 1) < 0.3

    candidates = only_node(host, "vtkMRMLMarkupsFiducialNode", "Nodule candidates")
    assert [candidates.GetNthControlPointSelected(n) for n in range(2)] == [True, False]
    np.testing.assert_allclose(candidates.GetDisplayNode().GetSelectedColor(), STATUS_COLORS["TP"], atol=1e-6)
    np.testing.assert_allclose(candidates.GetDisplayNode().GetColor(), STATUS_COLORS["FP"], atol=1e-6)
    lost = only_node(host, "vtkMRMLMarkupsFiducialNode", "Missed nodules")
    assert [p[0] for p in points_of(lost)] == ["FN1"]
    np.testing.assert_allclose(lost.GetDisplayNode().GetSelectedColor(), STATUS_COLORS["FN"], atol=1e-6)


def test_overlapping_masks_both_survive(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    center = volume.index_to_lps(volume.lps_to_index(result.candidates[1].center_lps) + np.array([0.0, 9.0, 0.0]))
    missed = ReferenceNodule((float(center[0]), float(center[1]), float(center[2])), 8.0)
    host = written_and_read(tmp_path, result, volume, [missed])

    items = {i.label: i for i in report_items(result, volume, resolve_match(result, [missed], None))}
    both = full_mask(volume, items["N2"].mask) & full_mask(volume, items["FN1"].mask)
    assert both.any()
    node = only_node(host, "vtkMRMLSegmentationNode")
    for label in ("N1", "N2", "N3", "FN1"):
        np.testing.assert_array_equal(
            full_mask(volume, segment_mask(node, label)), full_mask(volume, items[label].mask)
        )


def test_result_without_candidates_makes_a_scene_too(tmp_path: Path) -> None:
    volume = make_volume()
    full = make_result(volume)
    empty = DetectionResult((), 0.5, full.series, {}, {}, {}, {})
    host = written_and_read(tmp_path, empty, volume)
    assert only_node(host, "vtkMRMLSegmentationNode").GetSegmentation().GetNumberOfSegments() == 0
    assert only_node(host, "vtkMRMLMarkupsFiducialNode").GetNumberOfControlPoints() == 0


def test_volume_node_shares_the_volume_memory() -> None:
    volume = make_volume()
    host = open_standalone_scene()
    node = add_volume_node(host.scene, volume, "CT")
    assert np.shares_memory(array_from_image(node.GetImageData()), volume.voxels)


def test_result_joins_a_volume_node_that_is_there_already() -> None:
    volume = make_volume()
    result = make_result(volume)
    host = open_standalone_scene()
    volume_node = add_volume_node(host.scene, volume, "CT")
    nodes = add_result(host.scene, result, volume, report_items(result, volume), volume_node)
    assert nodes["volume"] is volume_node
    assert host.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


def test_compressed_bundle_is_smaller_and_equal(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    write_scene(result, volume, tmp_path / "plain.mrb")
    write_scene(result, volume, tmp_path / "packed.mrb", compress=True)
    assert (tmp_path / "packed.mrb").stat().st_size < 0.8 * (tmp_path / "plain.mrb").stat().st_size
    (tmp_path / "unpacked").mkdir()
    host = read_scene(tmp_path / "packed.mrb", tmp_path / "unpacked")
    voxels = array_from_image(only_node(host, "vtkMRMLScalarVolumeNode").GetImageData())
    np.testing.assert_array_equal(voxels, volume.voxels)


def test_bundle_holds_no_absolute_path(tmp_path: Path) -> None:
    volume = make_volume()
    write_scene(make_result(volume), volume, tmp_path / "scene.mrb")
    with zipfile.ZipFile(tmp_path / "scene.mrb") as archive:
        assert archive.testzip() is None
        scene_file = next(n for n in archive.namelist() if n.endswith(".mrml"))
        assert str(tmp_path) not in archive.read(scene_file).decode()
    assert [p.name for p in tmp_path.iterdir()] == ["scene.mrb"]  # no temporary folder left


def test_missing_folder_is_reported_in_one_sentence(tmp_path: Path) -> None:
    volume = make_volume()
    with pytest.raises(OutputError, match="create it first"):
        write_scene(make_result(volume), volume, tmp_path / "missing" / "scene.mrb")


def test_scene_that_cannot_be_written_whole_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = make_volume()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # what is imported meanwhile would be kept, cut off
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))  # the volume has 140 kB
        with pytest.raises((OutputError, OSError)):
            write_scene(make_result(volume), volume, tmp_path / "scene.mrb")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mrb").write_text("no scene")
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(OutputError, match="not a scene"):
        read_scene(tmp_path / "text.mrb", tmp_path / "unpacked")
