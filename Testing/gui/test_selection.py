"""From the table to the views and from the views to the table, and from one candidate to the next by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module, enter_module, leave_module
from PySide6 import QtGui, QtTest, QtWidgets
from PySide6.QtCore import Qt

from gui.driving import (
    center_of,
    click,
    click_row,
    is_visible,
    position_of,
    press,
    select_row,
    selected_row,
    set_threshold,
    show_detection,
    show_views,
    shows,
    table_column,
    texts,
)
from LungNoduleCADLib.app.module.shortcuts import KEYS
from LungNoduleCADLib.volume import Volume


@pytest.fixture
def nodes(module: Module, views: dict[str, Any], chest: Volume, tmp_path: Path) -> Any:
    """A detection with three candidates above the threshold."""
    return show_detection(module, chest, tmp_path, threshold=0.5)


def show_slice_of(view: Any, position_ras: tuple[float, float, float]) -> None:
    view.JumpSliceByCentering(*position_ras)


def fill_of(nodes: Any, label: str) -> float:
    return nodes.segmentation.GetDisplayNode().GetSegmentOpacity2DFill(label)


# -- from the table ------------------------------------------------------------------------------------------------
def test_selected_row_is_shown_in_all_slice_views(module: Module, nodes: Any, views: dict[str, Any]) -> None:
    select_row(module, "N3")
    assert all(shows(view, position_of(nodes, "N3")) for view in views.values())


def test_views_move_no_more_than_they_must(module: Module, nodes: Any, views: dict[str, Any]) -> None:
    """Stepping through candidates, the anatomy stays where the eye has left it."""
    view = views["Red"]
    select_row(module, "N1")
    former = center_of(view)
    select_row(module, "N2")
    assert center_of(view)[:2] == pytest.approx(former[:2])
    assert center_of(view)[2] == pytest.approx(position_of(nodes, "N2")[2])
    view.SetFieldOfView(20.0, 15.0, 1.0)  # the user has zoomed in elsewhere
    select_row(module, "N3")
    assert center_of(view) == pytest.approx(position_of(nodes, "N3"))


def test_row_that_vanishes_takes_the_selection_with_it(module: Module, nodes: Any, views: dict[str, Any]) -> None:
    select_row(module, "N3")
    set_threshold(module, 0.7)
    assert shows(views["Red"], position_of(nodes, "N3"))  # nobody asked to look elsewhere
    assert selected_row(module) is None
    assert "Select a candidate" in texts(module)["selectedLabel"]
    assert not is_visible(module, "closeUpWidget")
    assert fill_of(nodes, "N3") == 1.0


def test_selection_survives_sorting_and_a_threshold_that_keeps_it(module: Module, nodes: Any) -> None:
    select_row(module, "N2")
    module.widget.ui.candidatesTable.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    assert selected_row(module) == "N2"
    set_threshold(module, 0.0)
    assert selected_row(module) == "N2"
    set_threshold(module, 0.7)
    assert selected_row(module) == "N2"


def test_clicking_the_selected_row_again_goes_back_to_it(module: Module, nodes: Any, views: dict[str, Any]) -> None:
    select_row(module, "N1")
    show_slice_of(views["Red"], (0.0, 0.0, 0.0))
    table = module.widget.ui.candidatesTable
    table.clicked.emit(table.currentIndex())
    assert shows(views["Red"], position_of(nodes, "N1"))


def test_selected_segment_is_an_outline_and_the_others_are_tinted(module: Module, nodes: Any) -> None:
    select_row(module, "N1")
    assert [fill_of(nodes, name) for name in ("N1", "N2", "N5")] == [0.0, 1.0, 1.0]
    select_row(module, "N2")
    assert [fill_of(nodes, name) for name in ("N1", "N2", "N5")] == [1.0, 0.0, 1.0]


def test_facts_of_the_selected_candidate_are_told(module: Module, nodes: Any) -> None:
    select_row(module, "N2")
    assert texts(module)["selectedLabel"].startswith("<b>N2</b> · part-solid · ")
    assert "11.5 mm" in texts(module)["selectedLabel"]


# -- from the views ------------------------------------------------------------------------------------------------
def test_click_on_a_candidate_selects_its_row_and_moves_only_the_other_views(
    module: Module, nodes: Any, views: dict[str, Any]
) -> None:
    position = position_of(nodes, "N2")
    view = views["Red"]
    view.JumpSliceByOffsetting(*position)
    before = center_of(view)
    click(view, (position[0] + 2.0, position[1] - 1.0, position[2]))
    assert selected_row(module) == "N2"
    assert center_of(view) == pytest.approx(before)
    assert all(shows(view, position) for view in views.values())


def test_click_while_zoomed_keeps_every_view_close(module: Module, nodes: Any, views: dict[str, Any]) -> None:
    module.widget.ui.zoomCheckBox.click()
    position = position_of(nodes, "N2")
    views["Red"].JumpSliceByOffsetting(*position)
    click(views["Red"], position)
    for view in views.values():
        assert center_of(view) == pytest.approx(position)
        assert min(view.GetFieldOfView()[:2]) == pytest.approx(60.0)


@pytest.mark.parametrize("what", ["beside", "dragged", "hidden", "overlay off", "placing", "left"])
def test_clicks_that_mean_no_candidate_select_nothing(
    module: Module, nodes: Any, views: dict[str, Any], what: str
) -> None:
    label = "N5" if what == "hidden" else "N2"
    position = position_of(nodes, label)
    views["Red"].JumpSliceByOffsetting(*position)
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    if what == "overlay off":
        module.widget.ui.overlayCheckBox.click()
    if what == "placing":
        interaction.SetCurrentInteractionMode(interaction.Place)
    if what == "left":
        leave_module(module)
    offset = 30.0 if what == "beside" else 0.0
    click(views["Red"], (position[0] + offset, position[1], position[2]), drag=20 if what == "dragged" else 0)
    assert selected_row(module) is None
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)


def test_click_counts_in_the_views_of_another_layout(module: Module, nodes: Any) -> None:
    views = show_views()
    position = position_of(nodes, "N1")
    views["Green"].JumpSliceByOffsetting(*position)
    click(views["Green"], position)
    assert selected_row(module) == "N1"


def test_click_under_a_transform_finds_what_is_seen_there(module: Module, nodes: Any, views: dict[str, Any]) -> None:
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtkMatrix4x4()
    matrix.SetElement(0, 3, 55.0)
    transform.SetMatrixTransformToParent(matrix)
    module.widget._parameterNode.inputVolume.SetAndObserveTransformNodeID(transform.GetID())
    nodes.candidates.SetAndObserveTransformNodeID(transform.GetID())
    position = position_of(nodes, "N2")
    views["Red"].JumpSliceByOffsetting(*position)
    click(views["Red"], position)
    assert selected_row(module) == "N2"


def test_point_that_is_clicked_selects_its_row(module: Module, nodes: Any) -> None:
    data = slicer.vtkMRMLInteractionEventData()
    display = nodes.candidates.GetDisplayNode()
    data.SetComponentType(display.ComponentControlPoint)
    data.SetComponentIndex(1)
    assert display.HasObserver(display.JumpToPointEvent)
    # VTK lets only C++ invoke an event with such data.
    module.widget.panel.candidates._picker.onJumpToPoint(display, "JumpToPointEvent", data)
    assert selected_row(module) == "N2"
    assert fill_of(nodes, "N2") == 0.0


def test_points_cannot_be_moved_by_hand(nodes: Any) -> None:
    assert nodes.candidates.GetLocked()


# -- one by one ----------------------------------------------------------------------------------------------------
def test_next_and_previous_go_through_the_rows_as_they_stand(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    ui.candidatesTable.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    seen = []
    for button in (ui.nextButton, ui.nextButton, ui.nextButton, ui.nextButton, ui.previousButton):
        button.click()
        seen.append(selected_row(module))
    assert seen == ["N3", "N2", "N1", "N1", "N2"]  # it stays at the end
    assert table_column(module) == ["N3", "N2", "N1"]


def test_keys_step_and_toggle_while_the_module_is_open(shown: Module, nodes: Any) -> None:
    press(shown, "n")
    assert selected_row(shown) == "N1"
    press(shown, "n")
    press(shown, "n")
    press(shown, "p")
    assert selected_row(shown) == "N2"
    press(shown, "o")
    assert not shown.widget.logic.isOverlayVisible(nodes)
    press(shown, "o")
    assert shown.widget.logic.isOverlayVisible(nodes)
    leave_module(shown)
    press(shown, "n")
    assert selected_row(shown) == "N2"
    enter_module(shown)
    press(shown, "n")
    assert selected_row(shown) == "N3"


def test_letters_typed_into_the_filter_stay_letters(shown: Module) -> None:
    line = shown.widget.ui.filterLineEdit
    line.setFocus()
    QtTest.QTest.keyClicks(line, "nop")
    assert line.property("text") == "nop"
    assert selected_row(shown) is None


def test_no_two_actions_share_a_key() -> None:
    assert len(set(KEYS.values())) == len(KEYS)
    assert {"next", "previous", "accept", "reject", "undo", "redo", "add"} <= set(KEYS)
    taken = {"b", "f", "g", "r", "s", "t", "v"}  # Slicer's views
    assert taken.isdisjoint(key.lower() for key in KEYS.values())


def test_reload_leaves_no_second_set_of_keys(module: Module, nodes: Any) -> None:
    module.widget.cleanup()
    for child in module.holder.children():
        if isinstance(child, QtWidgets.QWidget):
            child.hide()
    module.widget.setup()
    enter_module(module)
    active = [s for s in module.holder.findChildren(QtGui.QShortcut) if s.property("enabled")]
    assert sorted(s.key().toString() for s in active) == sorted(KEYS.values())


def test_points_and_segments_removed_by_the_user_do_no_harm(module: Module, nodes: Any) -> None:
    from gui.driving import detected, points_shown, segments_shown, state
    from LungNoduleCADLib.app.states import State

    nodes.segmentation.GetSegmentation().RemoveSegment("N2")
    nodes.candidates.RemoveNthControlPoint(0)
    set_threshold(module, 0.0)
    assert points_shown(nodes) == ["N2", "N3", "N4", "N5"]
    assert segments_shown(nodes) == ["N1", "N3", "N4", "N5"]
    assert not module.widget.logic.jumpTo(nodes, "N1")
    select_row(module, "N2")
    assert is_visible(module, "closeUpWidget")
    slicer.mrmlScene.RemoveNode(nodes.candidates)
    set_threshold(module, 0.9)  # at once
    module.process_events()
    assert segments_shown(nodes) == ["N1"]
    select_row(module, "N1")
    slicer.mrmlScene.RemoveNode(nodes.segmentation)
    select_row(module, "N1")
    module.process_events()
    select_row(module, "N1")
    assert detected(module).segmentation is None
    slicer.mrmlScene.RemoveNode(nodes.record)
    module.process_events()
    assert state(module) is State.READY


def test_several_rows_can_be_selected_and_the_last_one_is_shown(
    module: Module, nodes: Any, views: dict[str, Any]
) -> None:
    table = module.widget.ui.candidatesTable
    select_row(module, "N1")
    click_row(table, 2, Qt.KeyboardModifier.ShiftModifier)
    assert module.widget.panel.candidates.table.selection == ["N1", "N2", "N3"]
    assert all(shows(view, position_of(nodes, "N3")) for view in views.values())
    click_row(table, 1, Qt.KeyboardModifier.ControlModifier)
    assert module.widget.panel.candidates.table.selection == ["N1", "N3"]
    assert fill_of(nodes, "N3") == 0.0
    click_row(table, 0, Qt.KeyboardModifier.ControlModifier)
    click_row(table, 2, Qt.KeyboardModifier.ControlModifier)
    assert module.widget.panel.candidates.table.selection == []
    assert not is_visible(module, "closeUpWidget")


def test_after_the_selected_row_vanished_next_is_the_row_in_its_place(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    select_row(module, "N2")
    ui.densityFilter.setProperty("currentIndex", ui.densityFilter.findText("solid"))  # N1 and N3
    assert selected_row(module) is None
    ui.nextButton.click()
    assert selected_row(module) == "N3"
    ui.densityFilter.setProperty("currentIndex", 0)
    select_row(module, "N2")
    ui.densityFilter.setProperty("currentIndex", ui.densityFilter.findText("solid"))
    ui.previousButton.click()
    assert selected_row(module) == "N1"
