"""A review in a real MRML scene: saved, restored, shown, and edited with Slicer's own segmentation logic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from result_inputs import AXES
from review_inputs import READER, Reviewed, make_scene, said_of, save_and_load, whole

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.report.colors import ACCEPTED_COLOR, REJECTED_COLOR, STATUS_COLORS, score_color
from LungNoduleCADLib.review import (
    Accept,
    Delete,
    EditContour,
    Redo,
    Reject,
    Reopen,
    SetCallipers,
    SetNote,
    Undo,
    add_nodule,
    edit_contour,
    merge_findings,
    shown_findings,
)
from LungNoduleCADLib.scene.detections import REVIEW_ROLE, find_detection, remove_detection
from LungNoduleCADLib.scene.review import SceneReview
from LungNoduleCADLib.scene.review_marks import point_indices
from LungNoduleCADLib.scene.segments import LABELMAP, make_labelmap, read_mask, same_voxels
from LungNoduleCADLib.scene.stored import stored_detection

SEGMENTATIONS = slicer.vtkSlicerSegmentationsModuleLogic


@pytest.fixture
def scene(tmp_path: Path) -> Reviewed:
    return make_scene(tmp_path)


def place_of(scene: Reviewed, index_kji: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in scene.volume.index_to_lps(index_kji))
    return x, y, z


def decide(review: SceneReview) -> None:
    """Something of everything: accepted, rejected, edited, measured, added, noted, undone."""
    state, volume = review.state, review.volume
    first = state.finding("N1").contour.mask
    half = VoxelMask(first.start_kji, first.voxels & (np.arange(len(first.voxels)) < 4)[:, None, None])
    review.record(edit_contour(volume, "N1", half), READER)
    review.record(Accept(("N1",)), READER)
    review.record(SetCallipers("N1", "nodule", (17.25, 11.5)), READER)
    review.record(Reject(("N2",), "other", 'Gefäß – "kein" Knoten & <x>\n2. Zeile 🫁'), READER)
    review.record(add_nodule(review.review, volume, state.finding("N3").contour.center_lps), READER)
    review.record(SetNote("A1", "größer als 2019"), READER)
    review.record(merge_findings(review.state, volume, ["A1", "N1"]), READER)
    review.record(Undo(), READER)


def segment(scene: Reviewed, name: str) -> Any:
    return scene.nodes.segmentation.GetSegmentation().GetSegment(name)


def segment_ids(scene: Reviewed) -> list[str]:
    return list(scene.nodes.segmentation.GetSegmentation().GetSegmentIDs())


def assert_marks_agree(scene: Reviewed, review: SceneReview) -> None:
    """Every finding has its point and its voxels, and nothing else has any."""
    drawn = {f.id: f for f in review.state.findings.values() if f.status != "merged"}
    assert sorted(segment_ids(scene)) == sorted(drawn)
    points = scene.nodes.candidates
    indices = point_indices(points)
    assert set(indices) - {"N1", "N2", "N3"} == set(drawn) - {"N1", "N2", "N3"}
    for name, finding in drawn.items():
        assert same_voxels(read_mask(segment(scene, name), review.volume), finding.contour.mask), name
        x, y, z = points.GetNthControlPointPosition(indices[name])
        np.testing.assert_allclose((-x, -y, z), finding.contour.center_lps, atol=1e-6)


# -- saving ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axes", list(AXES))
def test_a_saved_scene_restores_the_whole_review(tmp_path: Path, axes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = make_scene(tmp_path, axes)
    review = scene.review()
    decide(review)
    review.show(shown_findings(review.state, 0.5))
    loaded = save_and_load(scene, tmp_path, monkeypatch)
    read = loaded.review()
    assert [e.json for e in read.review.events] == [e.json for e in review.review.events]
    held = [said_of(list(r.state.findings.values()), r.volume) for r in (review, read)]
    assert held[0] == held[1]
    assert_marks_agree(loaded, read)
    assert read.take_edits(READER) == []
    shown = loaded.nodes.segmentation.GetDisplayNode()
    assert [shown.GetSegmentVisibility(name) for name in ("N1", "N2", "N3", "A1")] == [True, False, False, True]
    assert SEGMENTATIONS.GetSegmentStatus(segment(loaded, "N1")) == SEGMENTATIONS.Completed
    np.testing.assert_allclose(segment(loaded, "N2").GetColor(), REJECTED_COLOR, atol=1e-6)


@pytest.mark.parametrize("axes", list(AXES))
def test_what_was_done_before_saving_can_be_undone_after_loading(
    tmp_path: Path, axes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(tmp_path, axes)
    decide(scene.review())
    loaded = save_and_load(scene, tmp_path, monkeypatch)
    review = loaded.review()
    review.record(Redo(), READER)  # the merging that was undone
    assert review.state.finding("A1").status == "merged" or review.state.finding("N1").status == "merged"
    assert_marks_agree(loaded, review)
    while review.review.next_undo is not None:
        review.record(Undo(), READER)
        assert_marks_agree(loaded, review)
    for finding, candidate in zip(review.state.findings.values(), review.review.original.candidates, strict=True):
        assert finding.status == "pending" and finding.contour.mask is candidate.mask
    assert len(review.review.events) == 8 + 1 + 7


def test_the_detectors_output_is_never_written_again(
    scene: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scene.nodes.record.GetText()
    decide(scene.review())
    assert scene.nodes.record.GetText() == before
    assert save_and_load(scene, tmp_path, monkeypatch).nodes.record.GetText() == before


def test_nodes_are_found_by_reference_whatever_they_are_called(
    scene: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(scene.review())
    for n, node in enumerate((scene.nodes.candidates, scene.nodes.segmentation, scene.nodes.record, scene.volume_node)):
        node.SetName(f"renamed {n}")
    scene.nodes.record.GetNodeReference(REVIEW_ROLE).SetName("also renamed")
    loaded = save_and_load(scene, tmp_path, monkeypatch)
    assert loaded.nodes.candidates.GetName() == "renamed 0"
    assert_marks_agree(loaded, loaded.review())


def test_looking_at_a_review_adds_nothing_to_the_scene(scene: Reviewed) -> None:
    before = scene.host.scene.GetNumberOfNodes()
    review = scene.review()
    review.show(shown_findings(review.state, 0.5))
    assert scene.host.scene.GetNumberOfNodes() == before
    decide(review)
    assert scene.host.scene.GetNumberOfNodes() == before + 1


def test_a_removed_detection_takes_its_review_along(scene: Reviewed) -> None:
    decide(scene.review())
    assert scene.host.scene.GetNumberOfNodesByClass("vtkMRMLTextNode") == 2
    remove_detection(scene.host.scene, scene.nodes)
    assert scene.host.scene.GetNumberOfNodesByClass("vtkMRMLTextNode") == 0
    assert find_detection(scene.host.scene, scene.volume_node) is None


# -- damage ----------------------------------------------------------------------------------------------------------
def test_a_damaged_review_is_refused_in_one_sentence(scene: Reviewed) -> None:
    decide(scene.review())
    node = scene.nodes.record.GetNodeReference(REVIEW_ROLE)
    node.SetText(node.GetText().replace("accept", "reject", 1))
    with pytest.raises(InputError, match=r"stored review is damaged .*load an earlier copy of the scene"):
        scene.review()


@pytest.mark.parametrize("key", ["masks", "ijk_to_lps", "findings"])
def test_a_damaged_or_old_record_is_refused_in_one_sentence(scene: Reviewed, key: str) -> None:
    content = json.loads(scene.nodes.record.GetText())
    del content[key]
    scene.nodes.record.SetText(json.dumps(content))
    with pytest.raises(InputError, match="run the detection again"):
        scene.review()


def test_a_scan_that_is_gone_or_moved_is_refused(scene: Reviewed) -> None:
    scene.volume_node.SetSpacing(1.0, 1.0, 1.0)
    with pytest.raises(InputError, match="moved or resampled"):
        scene.review()
    scene.host.scene.RemoveNode(scene.volume_node)
    with pytest.raises(InputError, match="not in the scene any more"):
        scene.review()


def test_a_review_knows_when_the_scene_holds_another(scene: Reviewed) -> None:
    review = scene.review()
    assert review.is_current()
    scene.review().record(Accept(("N1",)), READER)  # by somebody else
    assert not review.is_current()
    scene.host.scene.RemoveNode(scene.nodes.segmentation)
    assert not scene.review().is_current()


# -- marks -----------------------------------------------------------------------------------------------------------
def test_a_status_is_seen_in_colour_and_segment_status(scene: Reviewed) -> None:
    review = scene.review()
    review.record(Accept(("N1",)), READER)
    review.record(Reject(("N2",), "vessel"), READER)
    review.record(edit_contour(review.volume, "N3", review.state.finding("N2").contour.mask), READER)
    expected = {
        "N1": (SEGMENTATIONS.Completed, ACCEPTED_COLOR),
        "N2": (SEGMENTATIONS.Flagged, REJECTED_COLOR),
        "N3": (SEGMENTATIONS.InProgress, score_color(0.12)),
    }
    points = scene.nodes.candidates
    for n, (name, (status, color)) in enumerate(expected.items()):
        assert SEGMENTATIONS.GetSegmentStatus(segment(scene, name)) == status
        np.testing.assert_allclose(segment(scene, name).GetColor(), color, atol=1e-6)
        assert points.GetNthControlPointSelected(n) == (name == "N3")
    np.testing.assert_allclose(points.GetDisplayNode().GetColor(), ACCEPTED_COLOR, atol=1e-6)
    assert points.GetNthControlPointDescription(1).endswith("; rejected (vessel)")
    review.record(Reopen(("N1", "N2")), READER)
    assert SEGMENTATIONS.GetSegmentStatus(segment(scene, "N1")) == SEGMENTATIONS.NotStarted
    np.testing.assert_allclose(segment(scene, "N2").GetColor(), score_color(0.61), atol=1e-6)


def test_points_and_segments_follow_what_is_shown(scene: Reviewed) -> None:
    review = scene.review()
    review.record(Accept(("N3",)), READER)
    review.record(Reject(("N1",), "vessel"), READER)
    display, points = scene.nodes.segmentation.GetDisplayNode(), scene.nodes.candidates

    def seen() -> tuple[list[bool], list[bool]]:
        names = ("N1", "N2", "N3")
        visible = [bool(points.GetNthControlPointVisibility(n)) for n in range(3)]
        return visible, [bool(display.GetSegmentVisibility(name)) for name in names]

    review.show(shown_findings(review.state, 0.9))
    assert seen() == ([False, False, True], [False, False, True])
    review.show(shown_findings(review.state, 0.3))
    assert seen() == ([False, True, True], [False, True, True])
    review.show(shown_findings(review.state, 0.3, show_rejected=True))
    assert seen() == ([False, True, True], [True, True, True])  # a rejected one by its outline alone


def test_an_added_nodule_comes_and_goes_with_undo(scene: Reviewed) -> None:
    review = scene.review()
    change = add_nodule(review.review, review.volume, review.state.finding("N1").contour.center_lps)
    review.record(change, READER)
    assert_marks_agree(scene, review)
    assert segment(scene, "A1").GetTerminology() == segment(scene, "N1").GetTerminology()
    review.record(Undo(), READER)
    assert segment_ids(scene) == ["N1", "N2", "N3"] and scene.nodes.candidates.GetNumberOfControlPoints() == 3
    review.record(Redo(), READER)
    review.record(Delete("A1"), READER)
    assert segment_ids(scene) == ["N1", "N2", "N3"]
    assert_marks_agree(scene, review)


def test_no_change_of_one_finding_touches_the_voxels_of_another(scene: Reviewed) -> None:
    """Also where outlines come to overlap, and cease to."""
    review = scene.review()
    volume, random = review.volume, np.random.default_rng(0)
    for _ in range(40):
        name = str(random.choice([f.id for f in review.state.findings.values() if f.status != "merged"]))
        kind = int(random.integers(0, 5))
        if kind == 0:
            k, j, i = (int(n) for n in random.integers(0, np.array(volume.shape) - 8))
            mask = VoxelMask((k, j, i), random.random((8, 8, 8)) < 0.5)
            review.record(edit_contour(volume, name, mask), READER)
        elif kind == 1:
            point = place_of(scene, tuple(random.integers(2, np.array(volume.shape) - 2).astype(float)))
            review.record(add_nodule(review.review, volume, point), READER)
        elif kind == 2 and review.review.next_undo is not None:
            review.record(Undo(), READER)
        elif kind == 3 and review.review.next_redo is not None:
            review.record(Redo(), READER)
        else:
            drawn = [f.id for f in review.state.findings.values() if f.status in ("pending", "accepted")]
            if len(drawn) > 3:
                review.record(
                    merge_findings(review.state, volume, list(random.choice(drawn, 2, replace=False))), READER
                )
        assert_marks_agree(scene, review)


def test_an_event_changes_only_what_it_is_about(scene: Reviewed) -> None:
    """With 500 findings, this is what keeps it quick."""
    review = scene.review()
    changed: list[str] = []
    for name in segment_ids(scene):
        segment(scene, name).AddObserver("ModifiedEvent", lambda *_, name=name: changed.append(name))
    review.record(Accept(("N2",)), READER)
    assert set(changed) == {"N2"}


def test_restoring_brings_back_what_was_changed_by_hand(scene: Reviewed) -> None:
    review = scene.review()
    decide(review)
    segmentation = scene.nodes.segmentation.GetSegmentation()
    segmentation.ClearSegment("N2")
    segmentation.RemoveSegment("N3")
    segment(scene, "A1").SetColor(0, 0, 0)
    scene.nodes.candidates.SetNthControlPointPosition(0, 1.0, 2.0, 3.0)
    scene.nodes.candidates.RemoveNthControlPoint(3)
    review.restore()
    assert_marks_agree(scene, review)
    np.testing.assert_allclose(segment(scene, "A1").GetColor(), ACCEPTED_COLOR, atol=1e-6)


def test_a_review_goes_on_without_points_or_segments(scene: Reviewed) -> None:
    scene.host.scene.RemoveNode(scene.nodes.segmentation)
    nodes = find_detection(scene.host.scene, scene.volume_node)
    assert nodes is not None and nodes.segmentation is None
    review = SceneReview(scene.host.scene, nodes)
    decide(review)
    review.restore()
    review.show(shown_findings(review.state, 0.5))
    assert review.take_edits(READER) == []
    scene.host.scene.RemoveNode(nodes.candidates)
    nodes = find_detection(scene.host.scene, scene.volume_node)
    assert nodes is not None
    SceneReview(scene.host.scene, nodes).record(Accept(("N3",)), READER)


def test_review_of_a_detection_just_added_is_the_one_that_the_scene_holds(scene: Reviewed) -> None:
    added = stored_detection(scene.nodes.record.GetText())
    review, expected = SceneReview(scene.host.scene, scene.nodes, added), scene.review()
    assert list(review.state.findings) == list(expected.state.findings) == ["N1", "N2", "N3"]
    for name, finding in expected.state.findings.items():
        assert review.state.finding(name).contour.measurements == finding.contour.measurements
        assert same_voxels(review.state.finding(name).contour.mask, finding.contour.mask)
    assert not review.has_edits()
    start = review.state.finding("N2").contour.mask.start_kji
    paint(scene, "N2", VoxelMask(start, np.ones((2, 2, 2), dtype=bool)))
    assert review.take_edits(READER) == ["N2"]


def test_outlines_of_a_stored_review_are_compared_whoever_opens_it(scene: Reviewed) -> None:
    added = stored_detection(scene.nodes.record.GetText())
    decide(scene.review())
    scene.nodes.segmentation.GetSegmentation().ClearSegment("N2")
    review = SceneReview(scene.host.scene, scene.nodes, added)
    review.restore()
    assert_marks_agree(scene, review)


# -- edits -----------------------------------------------------------------------------------------------------------
def paint(scene: Reviewed, name: str, mask: VoxelMask, over: tuple[str, ...] = ()) -> None:
    """As the Segment Editor does it: add voxels to a segment, and take them from those it may overwrite."""
    labelmap = make_labelmap(mask.start_kji, mask.voxels.astype(np.uint8), scene.volume)
    logic, node = SEGMENTATIONS, scene.nodes.segmentation
    for other in over:
        erased = make_labelmap(mask.start_kji, (~mask.voxels).astype(np.uint8), scene.volume)
        assert logic.SetBinaryLabelmapToSegment(erased, node, other, logic.MODE_MERGE_MIN)
    assert logic.SetBinaryLabelmapToSegment(labelmap, node, name, logic.MODE_MERGE_MASK)


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("axes", list(AXES))
def test_what_was_painted_becomes_an_event(tmp_path: Path, axes: str, isolated: bool) -> None:
    scene = make_scene(tmp_path, axes)
    review = scene.review()
    before = whole(review.state.finding("N2").contour.mask, review.volume)
    if isolated:
        review.prepare_edit("N2")
        assert review.take_edits(READER) == []
        assert_marks_agree(scene, review)
    blob = VoxelMask((5, 5, 5), np.ones((2, 3, 4), dtype=bool))
    paint(scene, "N2", blob)
    assert review.take_edits(READER) == ["N2"]
    finding = review.state.finding("N2")
    np.testing.assert_array_equal(whole(finding.contour.mask, review.volume), before | whole(blob, review.volume))
    assert finding.edited and isinstance(review.review.events[-1].change, EditContour)
    expected = float((before.sum() + 24) * review.volume.voxel_volume_mm3)
    assert finding.contour.measurements.volume_mm3 == pytest.approx(expected, rel=0.1)
    assert review.take_edits(READER) == []
    review.record(Undo(), READER)
    np.testing.assert_array_equal(whole(read_mask(segment(scene, "N2"), review.volume), review.volume), before)


def test_painting_over_a_neighbour_changes_both(scene: Reviewed) -> None:
    review = scene.review()
    neighbour = review.state.finding("N2").contour.mask
    bite = VoxelMask(neighbour.start_kji, neighbour.voxels & (np.arange(len(neighbour.voxels)) < 2)[:, None, None])
    paint(scene, "N1", bite, over=("N2",))
    assert sorted(review.take_edits(READER)) == ["N1", "N2"]
    left = whole(review.state.finding("N2").contour.mask, review.volume)
    np.testing.assert_array_equal(left, whole(neighbour, review.volume) & ~whole(bite, review.volume))
    assert_marks_agree(scene, review)


def test_an_emptied_outline_is_refused_and_can_be_restored(scene: Reviewed) -> None:
    review = scene.review()
    scene.nodes.segmentation.GetSegmentation().ClearSegment("N2")
    paint(scene, "N1", VoxelMask((5, 5, 5), np.ones((1, 1, 1), dtype=bool)))
    with pytest.raises(InputError, match="N2 is empty"):
        review.take_edits(READER)
    assert review.state.finding("N1").edited and not review.state.finding("N2").edited
    with pytest.raises(InputError, match="N2 is empty"):
        review.take_edits(READER)
    review.restore()
    assert_marks_agree(scene, review)
    assert review.take_edits(READER) == []


def test_a_removed_segment_is_no_edit(scene: Reviewed) -> None:
    review = scene.review()
    scene.nodes.segmentation.GetSegmentation().RemoveSegment("N2")
    assert review.take_edits(READER) == []


def test_edits_on_a_finer_grid_come_back_on_the_scans(scene: Reviewed) -> None:
    """The user may choose another geometry in the Segment Editor."""
    review = scene.review()
    mask = review.state.finding("N1").contour.mask
    fine = np.kron(mask.voxels, np.ones((2, 2, 2), dtype=bool))
    matrix = scene.volume.ijk_to_lps.copy()
    matrix[:3, :3] /= 2
    matrix[:3, 3] = scene.volume.index_to_lps(np.array(mask.start_kji) - 0.25)
    grid = type(scene.volume)(np.zeros(fine.shape, dtype=np.uint8), matrix)
    labels = fine.astype(np.uint8) * segment(scene, "N1").GetLabelValue()
    segment(scene, "N1").AddRepresentation(LABELMAP, make_labelmap((0, 0, 0), labels, grid))
    assert review.take_edits(READER) == []  # the same voxels, cut in eight
    labels[: len(labels) // 4 * 2] = 0
    segment(scene, "N1").AddRepresentation(LABELMAP, make_labelmap((0, 0, 0), labels, grid))
    assert review.take_edits(READER) == ["N1"]
    expected = mask.voxels.copy()
    expected[: len(labels) // 4] = False
    held = whole(review.state.finding("N1").contour.mask, scene.volume)
    np.testing.assert_array_equal(held[mask.region], expected)
    review.record(Undo(), READER)
    assert_marks_agree(scene, review)


def test_edits_that_were_saved_but_not_taken_are_found_after_loading(
    scene: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.review().record(Accept(("N1",)), READER)
    paint(scene, "N2", VoxelMask((5, 5, 5), np.ones((2, 2, 2), dtype=bool)))
    loaded = save_and_load(scene, tmp_path, monkeypatch)
    review = loaded.review()
    review.record(Accept(("N3",)), READER)
    assert review.take_edits(READER) == ["N2"]
    assert_marks_agree(loaded, review)


def test_colours_against_a_reference_win_over_the_decision(scene: Reviewed) -> None:
    from LungNoduleCADLib.findings import ReferenceNodule

    review = scene.review()
    review.compare_with([ReferenceNodule(review.state.finding("N1").contour.center_lps, 10.0)])
    colors = {name: tuple(round(c, 3) for c in segment(scene, name).GetColor()) for name in ("N1", "N2")}
    assert colors == {"N1": STATUS_COLORS["TP"], "N2": STATUS_COLORS["FP"]}
    assert [scene.nodes.candidates.GetNthControlPointSelected(n) for n in range(2)] == [True, False]
    review.record(Accept(("N2",)), READER)
    np.testing.assert_allclose(segment(scene, "N2").GetColor(), STATUS_COLORS["FP"], atol=1e-6)
    review.compare_with(None)
    np.testing.assert_allclose(segment(scene, "N2").GetColor(), ACCEPTED_COLOR, atol=1e-6)
    np.testing.assert_allclose(scene.nodes.candidates.GetDisplayNode().GetSelectedColor(), score_color(1.0), atol=1e-6)
