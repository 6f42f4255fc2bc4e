"""The module's logic in a review and against a reference, without its widget."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from review_inputs import Reviewed, make_scene, save_and_load, whole
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from LungNoduleCADLib.app.module.comparing import ReferenceLogic
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.report.colors import STATUS_COLORS
from LungNoduleCADLib.scene.detections import MISSED_ROLE, OVERLAP_ROLE, REFERENCE_ROLE
from LungNoduleCADLib.scene.geometry import to_ras
from LungNoduleCADLib.scene.segments import make_labelmap, read_mask

UID = "1.2.840.1"


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    made = make_scene(tmp_path)
    monkeypatch.setattr(slicer, "mrmlScene", made.host.scene, raising=False)
    monkeypatch.setattr(
        slicer, "app", SimpleNamespace(applicationLogic=lambda: made.host.application_logic), raising=False
    )
    return made


@pytest.fixture
def logic() -> ReferenceLogic:
    logic = ReferenceLogic()
    logic.reader = "Ada"
    return logic


def statuses(logic: ReferenceLogic, scene: Reviewed) -> dict[str, str]:
    return {f.id: f.status for f in logic.findings(scene.nodes)}


def center_of(logic: ReferenceLogic, scene: Reviewed, name: str) -> tuple[float, float, float]:
    return logic.review(scene.nodes).state.finding(name).contour.center_lps


# -- review ----------------------------------------------------------------------------------------------------------
def test_every_action_of_a_reader(logic: ReferenceLogic, scene: Reviewed) -> None:
    nodes = scene.nodes
    logic.acceptFindings(nodes, ["N1", "N3"])
    logic.rejectFindings(nodes, ["N2"], "vessel", "enters and leaves")
    logic.reopenFindings(nodes, ["N3"])
    logic.setNote(nodes, "N1", "spiculated")
    logic.setDensity(nodes, "N1", "part-solid")
    logic.setCallipers(nodes, "N1", (17.0, 15.0))
    logic.setCallipers(nodes, "N1", (6.0, 5.0), "solid-part")
    logic.setCategory(nodes, "N1", "Lung-RADS v2022", "4B", "PET/CT", "spiculated")
    logic.setExamCategory(nodes, "Lung-RADS v2022", "4A", "CT in 3 months", "known for years")
    added = logic.addNodule(nodes, to_ras(center_of(logic, scene, "N3")))
    assert added.id == "A1" and added.reader == "Ada"
    assert logic.mergeFindings(nodes, ["A1", "N3"]).id == "N3"
    assert statuses(logic, scene) == {"N1": "accepted", "N2": "rejected", "N3": "accepted"}
    logic.undo(nodes)
    assert logic.nextRedo(nodes) is not None
    logic.redo(nodes)
    logic.undo(nodes)
    logic.deleteFinding(nodes, "A1")
    assert statuses(logic, scene) == {"N1": "accepted", "N2": "rejected", "N3": "pending"}
    assert logic.reviewCounts(nodes, 0.5).reviewed == 2
    assert [e.event.change.action for e in logic.trail(nodes)] == [
        "accept", "reject", "reopen", "set note", "set type", "set callipers", "set callipers", "set category",
        "set exam category", "add", "merge", "undo", "redo", "undo", "delete",
    ]  # fmt: skip
    assert logic.nextUndo(nodes) is logic.trail(nodes)[-1].event


def test_what_is_impossible_leaves_everything_as_it_was(logic: ReferenceLogic, scene: Reviewed) -> None:
    logic.acceptFindings(scene.nodes, ["N1"])
    for attempt in (
        lambda: logic.deleteFinding(scene.nodes, "N1"),
        lambda: logic.mergeFindings(scene.nodes, ["N1"]),
        lambda: logic.addNodule(scene.nodes, (1e4, 0.0, 0.0)),
        lambda: logic.rejectFindings(scene.nodes, ["N1"], "other"),
        lambda: logic.declareFirstRead(scene.nodes),
        lambda: logic.setCallipers(scene.nodes, "N1", (1.0, 2.0)),
    ):
        with pytest.raises(InputError):
            attempt()
    assert len(logic.trail(scene.nodes)) == 1 and statuses(logic, scene)["N1"] == "accepted"


def test_showing_says_what_the_table_shows(logic: ReferenceLogic, scene: Reviewed) -> None:
    logic.rejectFindings(scene.nodes, ["N1"], "vessel")
    assert logic.showFindings(scene.nodes, 0.1) == {"N1": False, "N2": True, "N3": True}
    display = scene.nodes.segmentation.GetDisplayNode()
    assert [display.GetSegmentVisibility(f"N{n}") for n in (1, 2, 3)] == [False, True, True]
    assert logic.showFindings(scene.nodes, 0.9, showRejected=True) == {"N1": True, "N2": False, "N3": False}


def put_under_a_transform(scene: Reviewed) -> None:
    """A quarter turn and a shift of the scan and its marks."""
    matrix = vtkMatrix4x4()
    matrix.DeepCopy([0, -1, 0, 40, 1, 0, 0, -15, 0, 0, 1, 7, 0, 0, 0, 1])
    transform = scene.host.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix)
    for node in (scene.volume_node, scene.nodes.candidates, scene.nodes.segmentation):
        node.SetAndObserveTransformNodeID(transform.GetID())


def test_a_nodule_is_added_where_it_was_clicked_under_a_transform(logic: ReferenceLogic, scene: Reviewed) -> None:
    put_under_a_transform(scene)
    clicked = [0.0, 0.0, 0.0]
    scene.nodes.candidates.GetNthControlPointPositionWorld(0, clicked)
    added = logic.addNodule(scene.nodes, clicked)
    held = logic.review(scene.nodes).state.finding("N1").contour.mask
    assert (whole(added.contour.mask, scene.volume) & whole(held, scene.volume)).sum() > 0.8 * held.voxels.sum()
    placed = scene.nodes.candidates.GetNthControlPointPositionWorld(3)
    assert np.linalg.norm(np.subtract(placed, clicked)) < 1.5


def test_edits_are_taken_and_dropped(logic: ReferenceLogic, scene: Reviewed) -> None:
    before = read_mask(scene.nodes.segmentation.GetSegmentation().GetSegment("N2"), scene.volume)
    logic.startEditing(scene.nodes, "N2")
    segments = slicer.vtkSlicerSegmentationsModuleLogic
    dot = make_labelmap((4, 4, 4), np.ones((2, 2, 2), dtype=np.uint8), scene.volume)
    segments.SetBinaryLabelmapToSegment(dot, scene.nodes.segmentation, "N2", segments.MODE_MERGE_MASK)
    logic.restoreMarks(scene.nodes)
    assert logic.takeEdits(scene.nodes) == []
    segments.SetBinaryLabelmapToSegment(dot, scene.nodes.segmentation, "N2", segments.MODE_MERGE_MASK)
    assert logic.takeEdits(scene.nodes) == ["N2"]
    assert logic.findings(scene.nodes)[1].contour.mask.voxels.sum() == before.voxels.sum() + 8


def test_second_reader_mode_from_the_moment_results_arrive(logic: ReferenceLogic, scene: Reviewed) -> None:
    logic.readingMode = "second-reader"
    logic.startReview(scene.nodes)
    points, display = scene.nodes.candidates, scene.nodes.segmentation.GetDisplayNode()
    assert not any(points.GetNthControlPointVisibility(n) for n in range(3))
    assert not any(display.GetSegmentVisibility(f"N{n}") for n in (1, 2, 3))
    assert logic.findings(scene.nodes) == []
    assert logic.showFindings(scene.nodes, 0.0) == {"N1": False, "N2": False, "N3": False}
    added = logic.addNodule(scene.nodes, to_ras(center_of(logic, scene, "N1")))
    assert added.first_read
    logic.declareFirstRead(scene.nodes)
    assert logic.trail(scene.nodes)[-1].event.change.subjects == ("A1",)
    assert logic.showFindings(scene.nodes, 0.5) == {"N1": True, "N2": True, "N3": False, "A1": True}
    assert len(logic.findings(scene.nodes)) == 4


def test_concurrent_mode_begins_without_an_event(logic: ReferenceLogic, scene: Reviewed) -> None:
    logic.startReview(scene.nodes)
    assert logic.trail(scene.nodes) == []
    logic.setReadingMode(scene.nodes, "concurrent")
    assert logic.trail(scene.nodes) == []


def test_the_reader_is_named_by_slicer_where_nobody_else_does(
    logic: ReferenceLogic, scene: Reviewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    import getpass

    logic.reader = ""
    monkeypatch.setattr(getpass, "getuser", lambda: "gm")
    logic.acceptFindings(scene.nodes, ["N1"])
    scene.host.application_logic.GetUserInformation().SetName("Gesa Müller")
    logic.acceptFindings(scene.nodes, ["N2"])
    assert [e.event.reader for e in logic.trail(scene.nodes)] == ["gm", "Gesa Müller"]

    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    scene.host.application_logic.GetUserInformation().SetName("")
    with pytest.raises(InputError, match="reader's name"):
        logic.acceptFindings(scene.nodes, ["N3"])


def test_a_review_that_changed_in_the_scene_is_read_anew(logic: ReferenceLogic, scene: Reviewed) -> None:
    logic.acceptFindings(scene.nodes, ["N1"])
    other = ReferenceLogic()
    other.reader = "Grace"
    other.rejectFindings(scene.nodes, ["N2"], "scar")
    logic.acceptFindings(scene.nodes, ["N3"])
    assert [e.event.reader for e in logic.trail(scene.nodes)] == ["Ada", "Grace", "Ada"]


# -- reference -------------------------------------------------------------------------------------------------------
def write_csv(scene: Reviewed, path: Path, names: dict[str, tuple[float, float, float]]) -> Path:
    rows = [f"{UID},{x:.6f},{y:.6f},{z:.6f},9.5" for x, y, z in names.values()]
    path.write_text("\n".join(["seriesuid,coordX,coordY,coordZ,diameter_mm", *rows]) + "\n")
    return path


def places(logic: ReferenceLogic, scene: Reviewed) -> dict[str, tuple[float, float, float]]:
    """The nodules of N1 and N3, and one that the detector has not seen."""
    x, y, z = (float(v) for v in scene.volume.index_to_lps((4.0, 50.0, 8.0)))
    return {"N1": center_of(logic, scene, "N1"), "N3": center_of(logic, scene, "N3"), "": (x, y, z)}


def shown_missed(scene: Reviewed) -> list[bool]:
    node = scene.nodes.record.GetNodeReference(MISSED_ROLE)
    return [bool(node.GetNthControlPointVisibility(n)) for n in range(node.GetNumberOfControlPoints())]


def test_a_table_of_nodules_is_compared_at_every_threshold(
    logic: ReferenceLogic, scene: Reviewed, tmp_path: Path
) -> None:
    scene.volume_node.SetName(UID)  # as Slicer calls what it loads from LUNA16
    references = logic.loadReference(scene.nodes, write_csv(scene, tmp_path / "a.csv", places(logic, scene)))
    assert [r.diameter_mm for r in references] == [9.5] * 3
    match = logic.showMatch(scene.nodes, 0.5)
    assert match is not None
    assert match.statuses == {"N1": "TP", "N2": "FP"} and match.found_by == ("N1", None, None)
    assert (match.result.sensitivity, match.result.precision, match.result.false_positives) == (
        pytest.approx(1 / 3),
        0.5,
        1,
    )
    assert shown_missed(scene) == [False, True, True]
    display = scene.nodes.record.GetNodeReference(MISSED_ROLE).GetDisplayNode()
    np.testing.assert_allclose(display.GetSelectedColor(), STATUS_COLORS["FN"], atol=1e-6)
    logic.showMatch(scene.nodes, 0.1)
    assert shown_missed(scene) == [False, False, True]
    assert logic.overlapAt(scene.nodes, 0.5) is None
    logic.rejectFindings(scene.nodes, ["N1"], "scar")
    logic.showMatch(scene.nodes, 0.5)
    assert shown_missed(scene) == [True, True, True]


def test_a_reference_is_saved_with_the_scene(
    logic: ReferenceLogic, scene: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.volume_node.SetName(UID)
    logic.loadReference(scene.nodes, write_csv(scene, tmp_path / "a.csv", places(logic, scene)))
    before = logic.showMatch(scene.nodes, 0.5)
    loaded = save_and_load(scene, tmp_path, monkeypatch)
    monkeypatch.setattr(slicer, "mrmlScene", loaded.host.scene)
    other = ReferenceLogic()
    after = other.matchAt(loaded.nodes, 0.5)
    assert before is not None and after is not None
    assert (after.statuses, after.found_by) == (before.statuses, before.found_by)
    assert [r.diameter_mm for r in after.result.references] == [9.5] * 3
    assert shown_missed(loaded) == [False, True, True]
    other.showMatch(loaded.nodes, 0.5)
    assert shown_missed(loaded) == [False, True, True]


def test_a_mask_file_is_compared_voxel_by_voxel(logic: ReferenceLogic, scene: Reviewed, tmp_path: Path) -> None:
    labels = np.zeros(scene.volume.shape, dtype=np.uint8)
    first = logic.review(scene.nodes).state.finding("N1").contour.mask
    labels[first.region][first.voxels] = 1
    labels[first.start_kji[0]] = 0  # one slice of it is not marked
    labels[2:4, 50:53, 5:9] = 2
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing([float(s) for s in scene.volume.spacing_kji_mm[::-1]])
    image.SetOrigin([float(x) for x in scene.volume.origin_lps])
    image.SetDirection([float(x) for x in scene.volume.direction.ravel()])
    sitk.WriteImage(image, str(tmp_path / "mask.nrrd"))
    assert len(logic.loadReference(scene.nodes, tmp_path / "mask.nrrd")) == 2
    overlap = logic.overlapAt(scene.nodes, 0.9)
    assert overlap is not None
    extra = int(first.voxels[0].sum())
    assert (overlap.true_positives, overlap.false_positives, overlap.false_negatives) == (
        int(first.voxels.sum()) - extra, extra, 24,
    )  # fmt: skip
    logic.showMatch(scene.nodes, 0.9, showOverlap=True)
    node = scene.nodes.record.GetNodeReference(OVERLAP_ROLE)
    counts = [read_mask(node.GetSegmentation().GetSegment(s), scene.volume).voxels.sum() for s in ("TP", "FP", "FN")]
    assert counts == [overlap.true_positives, overlap.false_positives, overlap.false_negatives]
    np.testing.assert_allclose(node.GetSegmentation().GetSegment("FN").GetColor(), STATUS_COLORS["FN"], atol=1e-6)
    logic.showMatch(scene.nodes, 1.0, showOverlap=True)
    assert scene.nodes.record.GetNodeReference(OVERLAP_ROLE) is node
    assert read_mask(node.GetSegmentation().GetSegment("TP"), scene.volume).voxels.sum() == 0
    logic.showMatch(scene.nodes, 0.9)
    assert scene.nodes.record.GetNodeReference(OVERLAP_ROLE) is None


def test_points_of_the_scene_are_a_reference_under_any_transform(logic: ReferenceLogic, scene: Reviewed) -> None:
    put_under_a_transform(scene)
    points = scene.host.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Readers")
    points.AddControlPointWorld(scene.nodes.candidates.GetNthControlPointPositionWorld(1), "here")
    (reference,) = logic.useReference(scene.nodes, points)
    np.testing.assert_allclose(reference.center_lps, center_of(logic, scene, "N2"), atol=1e-6)
    assert (reference.diameter_mm, reference.label) == (None, "here")
    match = logic.matchAt(scene.nodes, 0.5)
    assert match is not None and match.statuses == {"N1": "FP", "N2": "TP"}


def test_a_moved_reference_point_counts_at_once(logic: ReferenceLogic, scene: Reviewed) -> None:
    points = scene.host.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    points.AddControlPoint(to_ras(center_of(logic, scene, "N2")))
    logic.useReference(scene.nodes, points)
    points.SetNthControlPointPosition(0, *to_ras(center_of(logic, scene, "N1")))
    match = logic.matchAt(scene.nodes, 0.5)
    assert match is not None and match.statuses == {"N1": "TP", "N2": "FP"}
    points.RemoveAllControlPoints()
    assert logic.matchAt(scene.nodes, 0.5) is None
    assert "none of them within the scan" in logic.referenceError
    logic.acceptFindings(scene.nodes, ["N1"])  # the review goes on
    points.AddControlPoint(to_ras(center_of(logic, scene, "N2")))
    match = logic.matchAt(scene.nodes, 0.5)
    assert match is not None and match.statuses == {"N1": "FP", "N2": "TP"} and logic.referenceError == ""


def add_segmentation(scene: Reviewed, masks: dict[str, VoxelMask]) -> Any:
    node = scene.host.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Ground truth")
    for name, mask in masks.items():
        segment = slicer.vtkSegment()
        segment.SetName(name)
        labels = mask.voxels.astype(np.uint8)
        segment.AddRepresentation("Binary labelmap", make_labelmap(mask.start_kji, labels, scene.volume))
        node.GetSegmentation().AddSegment(segment, name)
    return node


def test_segments_of_the_scene_are_a_reference(logic: ReferenceLogic, scene: Reviewed) -> None:
    state = logic.review(scene.nodes).state
    masks = {name: state.finding(name).contour.mask for name in ("N1", "N2")}
    references = logic.useReference(scene.nodes, add_segmentation(scene, masks))
    for reference, mask in zip(references, masks.values(), strict=True):
        assert reference.mask is not None
        np.testing.assert_array_equal(whole(reference.mask, scene.volume), whole(mask, scene.volume))
    overlap = logic.overlapAt(scene.nodes, 0.5)
    assert overlap is not None and overlap.dice == 1.0


def test_one_segment_of_several_parts_is_several_nodules(logic: ReferenceLogic, scene: Reviewed) -> None:
    both = np.zeros(scene.volume.shape, dtype=bool)
    for name in ("N1", "N2"):
        mask = logic.review(scene.nodes).state.finding(name).contour.mask
        both[mask.region] |= mask.voxels
    assert len(logic.useReference(scene.nodes, add_segmentation(scene, {"all": VoxelMask((0, 0, 0), both)}))) == 2


def test_a_label_map_of_the_scene_is_a_reference(logic: ReferenceLogic, scene: Reviewed) -> None:
    labels = np.zeros(scene.volume.shape, dtype=np.int16)
    labels[3:6, 10:14, 10:14], labels[10:12, 30:33, 30:33] = 1, 4
    node = scene.host.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    image = make_labelmap((0, 0, 0), labels, scene.volume)
    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    image.SetOrigin(0, 0, 0)
    image.SetSpacing(1, 1, 1)
    node.SetAndObserveImageData(image)
    references = logic.useReference(scene.nodes, node)
    assert [int(r.mask.voxels.sum()) for r in references if r.mask is not None] == [48, 18]
    assert references[1].mask is not None and references[1].mask.start_kji == (10, 30, 30)


def test_what_is_no_reference_is_refused_and_the_former_one_stays(
    logic: ReferenceLogic, scene: Reviewed, tmp_path: Path
) -> None:
    points = scene.host.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    points.AddControlPoint(to_ras(center_of(logic, scene, "N2")))
    logic.useReference(scene.nodes, points)
    scene.volume_node.SetName(UID)
    far = write_csv(scene, tmp_path / "far.csv", {"": (9e3, 0.0, 0.0)})
    transform = scene.host.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    shifted = add_segmentation(scene, {"a": logic.review(scene.nodes).state.finding("N1").contour.mask})
    shifted.SetAndObserveTransformNodeID(transform.GetID())
    before = scene.host.scene.GetNumberOfNodes()
    for attempt, message in (
        (lambda: logic.useReference(scene.nodes, scene.volume_node), "is no reference"),
        (lambda: logic.useReference(scene.nodes, add_segmentation(scene, {})), "marks nothing"),
        (lambda: logic.useReference(scene.nodes, shifted), "another transform"),
        (lambda: logic.loadReference(scene.nodes, tmp_path / "none.csv"), "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            attempt()
    assert logic.loadReference(scene.nodes, far) == []  # the table says that the scan shows no nodule
    assert scene.host.scene.GetNumberOfNodes() > before
    logic.useReference(scene.nodes, points)
    assert scene.nodes.record.GetNodeReference(REFERENCE_ROLE) is points


def test_no_reference_any_more(logic: ReferenceLogic, scene: Reviewed) -> None:
    points = scene.host.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    points.AddControlPoint(to_ras(center_of(logic, scene, "N2")))
    logic.useReference(scene.nodes, points)
    logic.showMatch(scene.nodes, 0.5)
    logic.clearReference(scene.nodes)
    assert logic.matchAt(scene.nodes, 0.5) is None
    assert scene.nodes.record.GetNodeReference(MISSED_ROLE) is None
    assert scene.host.scene.IsNodePresent(points)
    segment = scene.nodes.segmentation.GetSegmentation().GetSegment("N1")
    assert tuple(segment.GetColor()) not in STATUS_COLORS.values()


def test_markups_files_are_read_as_on_the_command_line(logic: ReferenceLogic, scene: Reviewed, tmp_path: Path) -> None:
    x, y, z = center_of(logic, scene, "N1")
    content = {"markups": [{"type": "Fiducial", "controlPoints": [{"position": [x, y, z], "label": "a"}]}]}
    (tmp_path / "points.mrk.json").write_text(json.dumps(content))
    (reference,) = logic.loadReference(scene.nodes, tmp_path / "points.mrk.json")
    assert reference.label == "a"
    node = scene.nodes.record.GetNodeReference(REFERENCE_ROLE)
    assert "points.mrk.json" in node.GetName() and not node.GetDisplayNode().GetVisibility()


def test_hidden_marks_are_not_taken_as_edited(logic: ReferenceLogic, scene: Reviewed) -> None:
    logic.setReadingMode(scene.nodes, "second-reader")
    scene.nodes.segmentation.GetSegmentation().ClearSegment("N2")
    assert logic.takeEdits(scene.nodes) == []
    logic.declareFirstRead(scene.nodes)
    with pytest.raises(InputError, match="N2 is empty"):
        logic.takeEdits(scene.nodes)


def test_edits_are_not_lost_while_the_reader_has_no_name(
    logic: ReferenceLogic, scene: Reviewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = slicer.vtkSlicerSegmentationsModuleLogic
    dot = make_labelmap((4, 4, 4), np.ones((2, 2, 2), dtype=np.uint8), scene.volume)
    segments.SetBinaryLabelmapToSegment(dot, scene.nodes.segmentation, "N2", segments.MODE_MERGE_MASK)
    logic.reader = " "
    with pytest.raises(InputError, match="reader's name"):
        logic.takeEdits(scene.nodes)
    logic.reader = "Ada"
    assert logic.takeEdits(scene.nodes) == ["N2"]
