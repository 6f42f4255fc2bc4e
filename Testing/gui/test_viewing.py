"""How the views show the volume and the candidates: window, slab, overlay, labels, zoom; and the close-up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from host import Module, enter_module, leave_module
from PySide6 import QtGui

from gui.driving import (
    add,
    center_of,
    click_detect,
    detected,
    end_run,
    position_of,
    select_row,
    selected_row,
    set_threshold,
    show_detection,
    table_column,
    wait_until,
)
from gui.module_inputs import result_for
from LungNoduleCADLib.app.close_up import close_up, to_ppm
from LungNoduleCADLib.app.module.close_up_view import PIXELS_PER_POINT
from LungNoduleCADLib.app.module.viewing import WINDOWS_HU
from LungNoduleCADLib.scene import segment_mask
from LungNoduleCADLib.scene.local_mask import local_mask
from LungNoduleCADLib.scene.segments import make_labelmap
from LungNoduleCADLib.volume import Volume


@pytest.fixture
def nodes(module: Module, views: dict[str, Any], chest: Volume, tmp_path: Path) -> Any:
    return show_detection(module, chest, tmp_path, threshold=0.5)


def volume_display(module: Module) -> Any:
    return module.widget._parameterNode.inputVolume.GetDisplayNode()


def middle(side: int, width_mm: float) -> slice:
    """Pixels of a picture of 60 mm that lie so near to its centre."""
    half = round(side * width_mm / 120)
    return slice(side // 2 - half, side // 2 + half)


def picture(module: Module, plane: str) -> np.ndarray:
    """Grey levels that the panel shows of a plane; nothing before it has drawn it."""
    image = getattr(module.widget.ui, f"{plane}Picture").property("pixmap").toImage()
    image = image.convertToFormat(QtGui.QImage.Format.Format_RGB888)
    if image.isNull():
        return np.zeros((0, 0, 3), np.uint8)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


# -- window and slab -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("button", "window"), [("mediastinumButton", (400.0, 40.0)), ("lungButton", (1500.0, -600.0))])
def test_window_presets(module: Module, nodes: Any, button: str, window: tuple[float, float]) -> None:
    volume_display(module).SetWindowLevel(1000.0, 0.0)
    getattr(module.widget.ui, button).click()
    display = volume_display(module)
    assert (display.GetWindow(), display.GetLevel()) == window
    assert not display.GetAutoWindowLevel()
    assert getattr(module.widget.ui, button).property("checked")


def test_preset_buttons_follow_the_window_wherever_it_is_changed(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    assert ui.lungButton.property("checked")
    volume_display(module).SetWindowLevel(*WINDOWS_HU["mediastinum"])
    wait_until(module, lambda: ui.mediastinumButton.property("checked"))
    assert not ui.lungButton.property("checked")
    volume_display(module).SetWindowLevel(350.0, 50.0)
    wait_until(module, lambda: not ui.mediastinumButton.property("checked"))


def test_volume_without_a_display_gets_one(module: Module, nodes: Any) -> None:
    node = module.widget._parameterNode.inputVolume
    slicer.mrmlScene.RemoveNode(node.GetDisplayNode())
    module.widget.ui.mediastinumButton.click()
    assert node.GetDisplayNode().GetLevel() == 40.0


def test_slab_is_a_maximum_projection_in_every_slice_view(module: Module, nodes: Any, views: dict[str, Any]) -> None:
    box = module.widget.ui.slabComboBox
    assert [box.itemText(n) for n in range(box.property("count"))] == ["Slices", "MIP 5 mm", "MIP 8 mm", "MIP 10 mm"]
    box.setProperty("currentIndex", 2)
    for view in views.values():
        assert view.GetSlabReconstructionEnabled()
        assert view.GetSlabReconstructionType() == vtk.VTK_IMAGE_SLAB_MAX
        assert view.GetSlabReconstructionThickness() == 8.0
    box.setProperty("currentIndex", 0)
    assert not any(view.GetSlabReconstructionEnabled() for view in views.values())


def test_slab_that_the_scene_brings_is_shown(module: Module, nodes: Any, views: dict[str, Any]) -> None:
    module.widget.logic.setSlab(10.0)
    module.widget.panel.candidates.viewing.updateGui()
    assert module.widget.ui.slabComboBox.property("currentText") == "MIP 10 mm"


# -- overlay and labels --------------------------------------------------------------------------------------------
def test_overlay_button_hides_outlines_and_points_together(module: Module, nodes: Any) -> None:
    displays = [nodes.segmentation.GetDisplayNode(), nodes.candidates.GetDisplayNode()]
    module.widget.ui.overlayCheckBox.click()
    assert not any(display.GetVisibility() for display in displays)
    assert not module.widget.ui.overlayCheckBox.property("checked")
    set_threshold(module, 0.7)  # the threshold does not bring them back
    assert not any(display.GetVisibility() for display in displays)
    module.widget.ui.overlayCheckBox.click()
    assert all(display.GetVisibility() for display in displays)
    assert module.widget.ui.overlayCheckBox.property("checked")


def test_labels_button_hides_names_alone(module: Module, nodes: Any) -> None:
    display = nodes.candidates.GetDisplayNode()
    module.widget.ui.labelsCheckBox.click()
    assert not display.GetPointLabelsVisibility()
    assert display.GetVisibility()
    module.widget.ui.labelsCheckBox.click()
    assert display.GetPointLabelsVisibility()


def test_buttons_follow_what_is_hidden_elsewhere(module: Module, nodes: Any) -> None:
    nodes.segmentation.GetDisplayNode().SetVisibility(False)
    nodes.candidates.GetDisplayNode().SetVisibility(False)
    wait_until(module, lambda: not module.widget.ui.overlayCheckBox.property("checked"))


# -- zoom ----------------------------------------------------------------------------------------------------------
def test_zoom_keeps_the_views_close_to_whatever_is_selected(module: Module, nodes: Any, views: dict[str, Any]) -> None:
    select_row(module, "N1")
    module.widget.ui.zoomCheckBox.click()
    for view in views.values():
        assert min(view.GetFieldOfView()[:2]) == pytest.approx(60.0)
        assert view.GetFieldOfView()[0] / view.GetFieldOfView()[1] == pytest.approx(400 / 300)
    views["Red"].SetFieldOfView(200.0, 150.0, 1.0)
    select_row(module, "N2")
    assert min(views["Red"].GetFieldOfView()[:2]) == pytest.approx(60.0)
    assert center_of(views["Red"]) == pytest.approx(position_of(nodes, "N2"))


def test_large_nodules_get_a_wider_field(module: Module, nodes: Any, views: dict[str, Any], chest: Volume) -> None:
    row = next(row for row in module.widget.logic.candidates(nodes) if row.label == "N5")
    widened = replace(row, values={**row.values, "long_axis_mm": 40.0})
    module.widget.ui.zoomCheckBox.click()
    module.widget.panel.candidates.viewing.select(widened)
    assert min(views["Red"].GetFieldOfView()[:2]) == pytest.approx(100.0)


def test_end_of_zoom_shows_the_whole_volume_at_the_same_slice(
    module: Module, nodes: Any, views: dict[str, Any]
) -> None:
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
    logic.SetMRMLScene(slicer.mrmlScene)
    logic.SetSliceNode(views["Red"])
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetLayoutName("Red")
    composite.SetBackgroundVolumeID(module.widget._parameterNode.inputVolume.GetID())
    logic.SetSliceCompositeNode(composite)
    logics = vtk.vtkCollection()
    logics.AddItem(logic)
    slicer.app.applicationLogic().SetSliceLogics(logics)
    select_row(module, "N1")
    module.widget.ui.zoomCheckBox.click()
    offset = views["Red"].GetSliceOffset()
    module.widget.ui.zoomCheckBox.click()
    assert min(views["Red"].GetFieldOfView()[:2]) > 150.0
    assert views["Red"].GetSliceOffset() == pytest.approx(offset)
    slicer.app.applicationLogic().SetSliceLogics(None)


# -- close-up ------------------------------------------------------------------------------------------------------
def test_close_up_shows_three_planes_with_the_outline(module: Module, nodes: Any, chest: Volume) -> None:
    select_row(module, "N2")
    candidate = result_for(chest).candidates[1]
    side = round(PIXELS_PER_POINT * module.widget.ui.axialPicture.property("minimumWidth"))
    expected = close_up(chest, candidate.center_lps, 60.0, WINDOWS_HU["lung"], side)
    for plane in ("axial", "coronal", "sagittal"):
        shown = picture(module, plane)
        assert shown.shape == (side, side, 3)
        coloured = (shown.max(axis=-1) - shown.min(axis=-1)) > 20
        inner = coloured[middle(side, 15.0), middle(side, 15.0)]
        assert inner.any()
        assert coloured.sum() == inner.sum()  # the outline lies around the centre and nowhere else
        outside = np.ones((side, side), bool)
        outside[middle(side, 20.0), middle(side, 20.0)] = False
        np.testing.assert_array_equal(shown[outside], expected[plane][outside])
        assert getattr(module.widget.ui, f"{plane}Caption").property("text") == f"{plane.capitalize()}, 60 mm"


def test_close_up_follows_the_window_and_the_overlay(module: Module, nodes: Any) -> None:
    select_row(module, "N2")
    before = picture(module, "axial")
    module.widget.ui.mediastinumButton.click()
    assert np.abs(picture(module, "axial").astype(int) - before).mean() > 5
    module.widget.ui.lungButton.click()
    np.testing.assert_array_equal(picture(module, "axial"), before)
    module.widget.ui.overlayCheckBox.click()
    bare = picture(module, "axial")
    assert (bare.max(axis=-1) - bare.min(axis=-1)).max() < 20  # beyond the scan it is a bluish grey


def test_close_up_shows_an_edited_outline(module: Module, nodes: Any, chest: Volume) -> None:
    select_row(module, "N2")
    before = picture(module, "axial")
    k, j, i = np.rint(chest.lps_to_index(result_for(chest).candidates[1].center_lps)).astype(int)
    segments = slicer.vtkSlicerSegmentationsModuleLogic
    drawn = make_labelmap((k - 1, j - 2, i + 4), np.ones((3, 5, 14), dtype=np.uint8), chest)
    assert segments.SetBinaryLabelmapToSegment(drawn, nodes.segmentation, "N2", segments.MODE_MERGE_MASK)
    select_row(module, "N2")
    after = picture(module, "axial")
    assert after.shape == before.shape
    assert not np.array_equal(after, before)


def test_picture_of_one_colour_is_that_colour(chest: Volume) -> None:
    image = QtGui.QImage()
    assert image.loadFromData(to_ppm(np.full((5, 7, 3), (10, 20, 30), np.uint8)))
    assert (image.width(), image.height()) == (7, 5)
    assert image.pixelColor(6, 4).getRgb()[:3] == (10, 20, 30)


def test_scale_bar_is_ten_millimetres_long(chest: Volume) -> None:
    flat = chest.with_voxels(np.full(chest.shape, -600, np.int16))
    center = flat.index_to_lps(np.array(flat.shape) // 2)
    axial = close_up(flat, center, 60.0, WINDOWS_HU["lung"], 264)["axial"]
    bar = (axial[:, :, 0] > 200).any(axis=0)
    assert bar.sum() == round(10 / 60 * 264)


# -- what is selected while something else changes -------------------------------------------------------------------
def arrive(module: Module) -> Any:
    """Let results come into the scene, and the run not yet be over, however slow the machine is."""
    logic, former = module.widget.logic, slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    wait_until(module, lambda: slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") > former)
    logic._timer.stop()
    assert logic.isRunning


def end_arrival(module: Module) -> None:
    """Let the run end."""
    module.widget.logic._timer.start()
    end_run(module)


def test_selection_made_before_the_run_is_over_stays(
    module: Module, views: dict[str, Any], chest: Volume, tmp_path: Path
) -> None:
    add(module, chest)
    set_threshold(module, 0.5)
    click_detect(module).finish(tmp_path)
    arrive(module)
    leave_module(module)
    enter_module(module)  # which shows what is in the scene
    select_row(module, "N2")
    before = picture(module, "axial")
    end_arrival(module)
    assert selected_row(module) == "N2"
    np.testing.assert_array_equal(picture(module, "axial"), before)
    assert not module.widget.ui.closeUpWidget.isHidden()


def test_former_results_can_be_looked_at_until_the_new_ones_are_shown(
    module: Module, nodes: Any, chest: Volume, tmp_path: Path
) -> None:
    click_detect(module).finish(tmp_path / "again", (0.9, 0.8))
    arrive(module)
    module.process_events()
    assert detected(module) == nodes
    select_row(module, "N3")
    assert picture(module, "axial").size > 0
    end_arrival(module)
    assert detected(module) != nodes
    assert not slicer.mrmlScene.IsNodePresent(nodes.candidates)
    assert table_column(module) == ["N1", "N2"]
    assert selected_row(module) is None  # its row is gone, and N3 is another one's name
    assert picture(module, "axial").size == 0


def test_selection_stays_when_the_reference_leaves_the_scene(module: Module, nodes: Any) -> None:
    reference = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Reference")
    reference.AddControlPoint(position_of(nodes, "N1"))
    module.widget.ui.referenceSelector.setCurrentNode(reference)
    module.widget.ui.referenceSelector.nodeActivated.emit(reference)
    select_row(module, "N2")
    match_column = table_column(module, "Ref.")
    assert match_column[:3] == ["TP", "FP", "FP"]
    slicer.mrmlScene.RemoveNode(reference)
    wait_until(module, lambda: module.widget.logic.matchAt(nodes, 0.5) is None and not module.widget.panel.isOutdated())
    assert selected_row(module) == "N2"
    assert picture(module, "axial").size > 0


# -- the part of a segment that a close-up needs ---------------------------------------------------------------------
def test_local_mask_is_the_segment(module: Module, nodes: Any, chest: Volume) -> None:
    for candidate in result_for(chest).candidates:
        found = local_mask(nodes.segmentation, f"N{candidate.id}", candidate.center_lps, 30.0)
        assert found is not None
        mask, grid = found
        whole = segment_mask(nodes.segmentation, f"N{candidate.id}")
        assert mask.voxels.sum() == whole.voxels.sum() == candidate.mask.voxels.sum()
        first = np.argwhere(mask.voxels)[0] + mask.start_kji
        expected = chest.index_to_lps(np.argwhere(candidate.mask.voxels)[0] + candidate.mask.start_kji)
        np.testing.assert_allclose(grid.index_to_lps(first), expected, atol=1e-6)


def test_local_mask_is_none_where_there_is_nothing(module: Module, nodes: Any, chest: Volume) -> None:
    first, second = result_for(chest).candidates[:2]
    assert local_mask(nodes.segmentation, "N99", first.center_lps, 30.0) is None
    assert local_mask(nodes.segmentation, "N1", second.center_lps, 5.0) is None
    assert local_mask(nodes.segmentation, "N1", (9999.0, 0.0, 0.0), 30.0) is None
