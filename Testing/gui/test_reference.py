"""The comparison with a reference: files and nodes, live colours and counts, missed nodules, voxels, clearing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from host import Module, load_module

from gui.driving import (
    click,
    detected,
    headings,
    is_visible,
    points_shown,
    position_of,
    save_close_and_open,
    select_row,
    selected_row,
    set_threshold,
    show_detection,
    shows,
    state,
    table_column,
    texts,
    wait_until,
)
from gui.module_inputs import MODULE_FILE, SCORES, FakeRun, result_for
from gui.reviewing import choose_reason, said
from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.report.colors import STATUS_COLORS
from LungNoduleCADLib.scene.detections import MISSED_ROLE, OVERLAP_ROLE, REFERENCE_ROLE
from LungNoduleCADLib.scene.geometry import to_ras
from LungNoduleCADLib.volume import Volume

UID = "1.2.840.113"
MISSED_KJI = (12.0, 100.0, 40.0)


@pytest.fixture
def nodes(module: Module, views: dict[str, Any], chest: Volume, tmp_path: Path) -> Any:
    """A detection with everything shown, of a scan that LUNA16 would call so."""
    return show_detection(module, chest, tmp_path / "result", reader="Ada", name=UID)


def places(chest: Volume) -> list[tuple[float, float, float]]:
    """LPS: the places of N1 and N4, and one where nothing was found."""
    candidates = result_for(chest, SCORES).candidates
    x, y, z = (float(v) for v in chest.index_to_lps(MISSED_KJI))
    return [candidates[0].center_lps, candidates[3].center_lps, (x, y, z)]


@pytest.fixture
def table_file(chest: Volume, tmp_path: Path) -> Path:
    """These places as LUNA16 writes them."""
    rows = [f"{UID},{x:.6f},{y:.6f},{z:.6f},8.0" for x, y, z in places(chest)]
    path = tmp_path / "annotations.csv"
    path.write_text("\n".join(["seriesuid,coordX,coordY,coordZ,diameter_mm", *rows]) + "\n")
    return path


@pytest.fixture
def points(nodes: Any, chest: Volume) -> Any:
    """The same as points of the scene."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Consensus")
    for place in places(chest):
        node.AddControlPoint(to_ras(place))
    return node


def load(module: Module, path: Path | str) -> None:
    """Choose a file and load it."""
    module.widget.ui.referencePathLineEdit.setProperty("currentPath", str(path))
    module.widget.ui.loadReferenceButton.click()


def choose(module: Module, node: Any) -> None:
    """Choose a node, as with the mouse."""
    module.widget.ui.referenceSelector.setCurrentNode(node)
    module.widget.ui.referenceSelector.nodeActivated.emit(node)


def matches(module: Module) -> dict[str, str]:
    """What the table says of each row."""
    return dict(zip(table_column(module), table_column(module, "Ref."), strict=True))


def color_of(nodes: Any, name: str) -> tuple[float, ...]:
    return tuple(nodes.segmentation.GetSegmentation().GetSegment(name).GetColor())


def missed_points(nodes: Any) -> list[str]:
    """The labels of the missed nodules in the views."""
    node = nodes.record.GetNodeReference(MISSED_ROLE)
    shown = range(node.GetNumberOfControlPoints())
    return [node.GetNthControlPointLabel(n) for n in shown if node.GetNthControlPointVisibility(n)]


# -- what it says --------------------------------------------------------------------------------------------------
def test_a_table_of_luna16_is_compared_in_table_views_and_counts(module: Module, nodes: Any, table_file: Path) -> None:
    assert "Ref." not in headings(module) and not is_visible(module, "matchLabel")
    load(module, table_file)
    expected = {"N1": "TP", "N2": "FP", "N3": "FP", "N4": "TP", "N5": "FP", "FN3": "FN"}
    assert matches(module) == expected
    for name, status in (("N1", "TP"), ("N2", "FP"), ("N4", "TP")):
        np.testing.assert_allclose(color_of(nodes, name), STATUS_COLORS[status], atol=1e-6)
    assert missed_points(nodes) == ["FN3"]
    text = said(module, "matchLabel")
    assert "2 of 3 nodules found" in text and "3 false positives" in text and "1 missed" in text
    assert "Sensitivity 67 %, precision 40 %" in text
    assert texts(module)["countsLabel"] == "5 of 5 candidates shown · 1 missed"
    assert "annotations.csv" in module.widget.ui.referenceSelector.currentNode().GetName()
    assert is_visible(module, "overlapCheckBox") is False  # a table has no voxels


def test_counts_follow_the_slider(module: Module, nodes: Any, table_file: Path) -> None:
    load(module, table_file)
    set_threshold(module, 0.5)
    assert matches(module) == {"N1": "TP", "N2": "FP", "N3": "FP", "FN2": "FN", "FN3": "FN"}
    assert "1 of 3 nodules found" in said(module, "matchLabel") and "2 false positives" in said(module, "matchLabel")
    assert missed_points(nodes) == ["FN2", "FN3"]
    set_threshold(module, 1.0)
    assert matches(module) == {"FN1": "FN", "FN2": "FN", "FN3": "FN"}
    assert "Sensitivity 0 %, precision –" in said(module, "matchLabel")
    set_threshold(module, 0.0)
    assert missed_points(nodes) == ["FN3"]


def test_decisions_change_the_comparison(module: Module, nodes: Any, points: Any) -> None:
    choose(module, points)
    select_row(module, "N1")
    choose_reason(module, "scar")
    assert "1 of 3 nodules found" in said(module, "matchLabel") and "FN1" in table_column(module)
    module.widget.ui.rejectedCheckBox.click()
    assert matches(module)["N1"] == "–"  # it does not count any more
    module.widget.ui.undoButton.click()
    assert "2 of 3 nodules found" in said(module, "matchLabel") and "FN1" not in table_column(module)


def test_a_missed_nodule_is_a_row_that_leads_to_its_place(
    module: Module, nodes: Any, points: Any, views: dict[str, Any], chest: Volume
) -> None:
    choose(module, points)
    place = to_ras(places(chest)[2])
    select_row(module, "FN3")
    assert all(shows(view, place) for view in views.values())
    assert texts(module)["selectedLabel"] == "<b>FN3</b> · Slice 13 · missed"
    assert is_visible(module, "closeUpWidget") and not is_visible(module, "findingWidget")
    assert not module.widget.ui.acceptButton.property("enabled")
    assert not module.widget.ui.rejectButton.property("enabled")
    select_row(module, "N1")
    views["Red"].JumpSliceByCentering(*place)
    click(views["Red"], place)
    assert selected_row(module) == "FN3"


def test_rows_can_be_filtered_by_what_the_reference_says(module: Module, nodes: Any, points: Any) -> None:
    box = module.widget.ui.statusFilter
    choose(module, points)
    for text, expected in (
        ("true positive", ["N1", "N4"]),
        ("false positive", ["N2", "N3", "N5"]),
        ("missed", ["FN3"]),
    ):
        box.setProperty("currentIndex", box.findText(text))
        assert table_column(module) == expected
    module.widget.ui.clearReferenceButton.click()
    assert box.property("currentText") == "All statuses" and len(table_column(module)) == 5


# -- masks -----------------------------------------------------------------------------------------------------------
def mask_file(chest: Volume, folder: Path) -> Path:
    """N1 without its first slice, and a nodule that was missed."""
    labels = np.zeros(chest.shape, dtype=np.uint8)
    mask = result_for(chest, SCORES).candidates[0].mask
    labels[mask.region][mask.voxels] = 1
    labels[mask.start_kji[0]] = 0
    labels[10:13, 98:101, 38:41] = 2
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing([float(s) for s in chest.spacing_kji_mm[::-1]])
    image.SetOrigin([float(x) for x in chest.origin_lps])
    sitk.WriteImage(image, str(folder / "mask.nrrd"))
    return folder / "mask.nrrd"


def test_a_mask_is_compared_voxel_by_voxel_on_request(
    module: Module, nodes: Any, chest: Volume, tmp_path: Path
) -> None:
    ui = module.widget.ui
    load(module, mask_file(chest, tmp_path))
    assert matches(module)["N1"] == "TP" and matches(module)["FN2"] == "FN"
    assert is_visible(module, "overlapCheckBox") and not is_visible(module, "overlapLabel")
    assert nodes.record.GetNodeReference(OVERLAP_ROLE) is None
    set_threshold(module, 0.9)
    ui.overlapCheckBox.click()
    assert said(module, "overlapLabel") == "Dice 0.69: 48 voxels common, 16 false, 27 missed"
    overlap = nodes.record.GetNodeReference(OVERLAP_ROLE)
    assert overlap.GetSegmentation().GetNumberOfSegments() == 3
    set_threshold(module, 1.0)
    assert said(module, "overlapLabel") == "Dice 0.00: 0 voxels common, 0 false, 75 missed"
    ui.overlapCheckBox.click()
    assert nodes.record.GetNodeReference(OVERLAP_ROLE) is None and not is_visible(module, "overlapLabel")
    ui.overlapCheckBox.click()
    ui.clearReferenceButton.click()
    assert nodes.record.GetNodeReference(OVERLAP_ROLE) is None and not is_visible(module, "overlapCheckBox")


def test_a_segmentation_of_the_scene_is_a_reference(module: Module, nodes: Any) -> None:
    truth = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Truth")
    truth.GetSegmentation().CopySegmentFromSegmentation(nodes.segmentation.GetSegmentation(), "N2")
    truth.GetSegmentation().CopySegmentFromSegmentation(nodes.segmentation.GetSegmentation(), "N3")
    choose(module, truth)
    assert [name for name, match in matches(module).items() if match == "TP"] == ["N2", "N3"]
    truth.GetSegmentation().RemoveSegment("N3")
    wait_until(module, lambda: matches(module)["N3"] == "FP")
    assert "1 of 1 nodules found" in said(module, "matchLabel")


# -- its life ----------------------------------------------------------------------------------------------------------
def test_moving_a_point_is_followed(module: Module, nodes: Any, points: Any) -> None:
    choose(module, points)
    points.SetNthControlPointPosition(2, *position_of(nodes, "N2"))
    wait_until(module, lambda: matches(module)["N2"] == "TP")
    assert "FN3" not in table_column(module)


def test_a_reference_that_cannot_be_used_any_more_says_why(
    module: Module, nodes: Any, points: Any, errors: list[str]
) -> None:
    choose(module, points)
    points.RemoveAllControlPoints()
    wait_until(module, lambda: "none of them within the scan" in said(module, "matchLabel"))
    assert "Ref." not in headings(module) and errors == []
    select_row(module, "N1")
    module.widget.ui.acceptButton.click()
    assert table_column(module, "Status")[0] == "accepted"


def test_clear_leaves_nothing_behind_but_the_references_own_node(module: Module, nodes: Any, points: Any) -> None:
    ui = module.widget.ui
    assert not ui.clearReferenceButton.property("enabled")
    choose(module, points)
    ui.clearReferenceButton.click()
    assert "Ref." not in headings(module) and not is_visible(module, "matchLabel")
    assert nodes.record.GetNodeReference(MISSED_ROLE) is None
    assert slicer.mrmlScene.IsNodePresent(points) and ui.referenceSelector.currentNode() is None
    assert color_of(nodes, "N1") not in STATUS_COLORS.values()
    choose(module, points)
    choose(module, None)  # 'none' in the list means the same
    assert nodes.record.GetNodeReference(REFERENCE_ROLE) is None and "Ref." not in headings(module)


def test_a_reference_that_leaves_the_scene_is_cleared(module: Module, nodes: Any, points: Any) -> None:
    choose(module, points)
    slicer.mrmlScene.RemoveNode(points)
    module.process_events()
    wait_until(module, lambda: "Ref." not in headings(module))
    assert not is_visible(module, "matchLabel") and state(module) is State.FINISHED
    assert len(table_column(module)) == 5


def test_a_reference_comes_back_with_a_saved_scene(
    module: Module, nodes: Any, table_file: Path, tmp_path: Path
) -> None:
    load(module, table_file)
    set_threshold(module, 0.5)
    before, text = matches(module), said(module, "matchLabel")
    save_close_and_open(tmp_path, module)
    assert matches(module) == before and said(module, "matchLabel") == text
    assert module.widget.ui.referenceSelector.currentNode() is detected(module).record.GetNodeReference(REFERENCE_ROLE)
    assert missed_points(detected(module)) == ["FN2", "FN3"]
    assert points_shown(detected(module)) == ["N1", "N2", "N3"]
    module.widget.ui.clearReferenceButton.click()
    assert table_column(module) == ["N1", "N2", "N3"]


def test_reference_section_belongs_to_a_detection(module: Module, nodes: Any, points: Any) -> None:
    assert is_visible(module, "referenceCollapsibleButton")
    choose(module, points)
    slicer.mrmlScene.Clear()
    assert not is_visible(module, "referenceCollapsibleButton")
    assert module.widget.ui.referenceSelector.currentNode() is None


# -- what is refused ---------------------------------------------------------------------------------------------------
def test_what_cannot_be_used_is_refused_in_one_dialog_and_the_former_reference_stays(
    module: Module, nodes: Any, points: Any, tmp_path: Path, errors: list[str]
) -> None:
    choose(module, points)
    (tmp_path / "empty.csv").write_text("")
    others = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Elsewhere")
    others.AddControlPoint(5e3, 0.0, 0.0)
    for attempt, message in (
        (lambda: load(module, tmp_path / "none.csv"), "does not exist"),
        (lambda: load(module, tmp_path / "empty.csv"), "empty.csv"),
        (lambda: choose(module, others), "none of them within the scan"),
        (lambda: choose(module, nodes.candidates), "is what the detector found"),
        (lambda: choose(module, nodes.segmentation), "is what the detector found"),
        (lambda: choose(module, nodes.record.GetNodeReference(MISSED_ROLE)), "is what the detector found"),
    ):
        errors.clear()
        attempt()
        assert len(errors) == 1 and message in errors[0]
        assert module.widget.ui.referenceSelector.currentNode() is points
        assert matches(module)["N1"] == "TP"


def test_load_needs_a_path(module: Module, nodes: Any, tmp_path: Path) -> None:
    ui = module.widget.ui
    assert not ui.loadReferenceButton.property("enabled")
    ui.referencePathLineEdit.setProperty("currentPath", str(tmp_path))
    assert ui.loadReferenceButton.property("enabled")
    ui.referencePathLineEdit.setProperty("currentPath", "  ")
    assert not ui.loadReferenceButton.property("enabled")


def test_no_file_of_a_former_session_is_loaded_unawares(module: Module, nodes: Any, table_file: Path) -> None:
    load(module, table_file)
    stored = slicer.app.userSettings().value("LungNoduleCAD/Reference")
    assert str(table_file) in stored
    later = load_module(MODULE_FILE, makeRun=FakeRun, installer=lambda path: None)
    assert later.widget.ui.referencePathLineEdit.property("currentPath") == ""
    later.close()
