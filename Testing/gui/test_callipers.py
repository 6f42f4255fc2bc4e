"""A reader's long and short axis: drawn in the views, shown beside the automatic size, kept in review and report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from host import Module, enter_module, leave_module
from screenshots import SliceView

from gui.driving import (
    detected,
    is_visible,
    position_of,
    save_close_and_open,
    select_row,
    set_threshold,
    show_detection,
    show_views,
    shows,
    table_column,
    texts,
    wait_until,
)
from gui.reviewing import choose_item, said, trail
from gui.test_table import tick
from LungNoduleCADLib.report.build import build_report
from LungNoduleCADLib.report.key_images import CALLIPER_COLOR, key_images
from LungNoduleCADLib.scene.geometry import to_ras
from LungNoduleCADLib.scene.stored import stored_detection
from LungNoduleCADLib.volume import Volume


@pytest.fixture
def interaction() -> Iterator[Any]:
    """Slicer's node that knows what a click means."""
    node = slicer.app.applicationLogic().GetInteractionNode()
    yield node
    node.SetCurrentInteractionMode(node.ViewTransform)


@pytest.fixture
def nodes(module: Module, interaction: Any, chest: Volume, tmp_path: Path) -> Any:
    """A detection with everything shown, and a reader; N1 is solid and 6.2 mm, N2 part-solid and 11.5 mm."""
    return show_detection(module, chest, tmp_path / "result", reader="Ada")


def lines() -> dict[str, Any]:
    """The lines of the scene, by their names."""
    found = slicer.mrmlScene.GetNodesByClass("vtkMRMLMarkupsLineNode")
    return {found.GetItemAsObject(n).GetName(): found.GetItemAsObject(n) for n in range(found.GetNumberOfItems())}


def center(module: Module, nodes: Any, name: str) -> np.ndarray:
    return np.array(to_ras(module.widget.logic.review(nodes).state.finding(name).contour.center_lps))


def beside(position: np.ndarray, x_mm: float, y_mm: float = 0.0) -> np.ndarray:
    """A place in the same slice."""
    return position + np.array((x_mm, y_mm, 0.0))


def place(module: Module, interaction: Any, name: str, *ends: np.ndarray) -> None:
    """What Slicer does with two clicks in place mode: it sets the points, then leaves the mode."""
    line = lines()[name]
    application = slicer.app.applicationLogic()
    assert application.GetSelectionNode().GetActivePlaceNodeID() == line.GetID()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    for end in ends:
        line.AddControlPoint(vtk.vtkVector3d(*end))
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    for _ in range(5):
        module.process_events()


def draw(
    module: Module, nodes: Any, interaction: Any, name: str = "N1", long_mm: float = 9.0, short_mm: float = 7.0
) -> None:
    """Measure a finding, and look at what is said meanwhile."""
    select_row(module, name)
    module.widget.ui.measureButton.click()
    assert "long axis of N1" in said(module, "messageLabel").replace(name, "N1")
    middle = center(module, nodes, name)
    across, along = np.array([long_mm / 2, 0, 0]), np.array([0, short_mm / 2, 0])
    place(module, interaction, f"{name} long axis", middle - across, middle + across)
    assert "Now the short axis" in said(module, "messageLabel")
    place(module, interaction, f"{name} short axis", middle - along, middle + along)


def test_two_lines_are_the_readers_size_and_the_automatic_one_stands_beside(
    module: Module, nodes: Any, interaction: Any
) -> None:
    ui = module.widget.ui
    select_row(module, "N1")
    assert said(module, "sizeLabel") == "6.2 mm (7.2 × 5.2) automatic"
    assert not is_visible(module, "automaticButton")
    draw(module, nodes, interaction)
    assert trail(module) == [("Ada", "set callipers", "N1")]
    assert module.widget.logic.trail(nodes)[-1].event.change.detail == "nodule: 9.0 x 7.0 mm"
    assert said(module, "sizeLabel") == "<b>8.0 mm (9.0 × 7.0)</b> callipers<br>6.2 mm (7.2 × 5.2) automatic"
    assert "8.0 mm (9.0 × 7.0) by callipers" in said(module, "messageLabel")
    assert table_column(module, "Ø mm")[0] == "8.0"
    tick(module, "Automatic")
    assert table_column(module, "Automatic")[:2] == ["6.2 mm", "–"]
    assert "8.0 mm · by callipers, automatic 6.2 mm" in texts(module)["selectedLabel"]
    assert ui.categoryComboBox.property("currentText") == "As suggested: 4A"  # 8 mm and more
    assert not ui.measureButton.property("checked")
    assert set(lines()) == {"N1 long axis", "N1 short axis"}


def test_the_longer_line_is_the_long_axis_and_a_slanted_one_is_asked_about(
    module: Module, nodes: Any, interaction: Any
) -> None:
    draw(module, nodes, interaction, long_mm=5.0, short_mm=8.0)
    assert module.widget.logic.review(nodes).state.finding("N1").callipers_mm == pytest.approx((8.0, 5.0))
    assert "°" not in said(module, "messageLabel")
    module.widget.ui.measureButton.click()
    middle = center(module, nodes, "N1")
    slanted = 3.0 * np.array([math.cos(math.radians(40)), math.sin(math.radians(40)), 0])
    place(module, interaction, "N1 long axis", beside(middle, -4), beside(middle, 4))
    place(module, interaction, "N1 short axis", middle - slanted, middle + slanted)
    assert "The axes meet at 40°" in said(module, "messageLabel")


def test_undo_redo_and_automatic(module: Module, nodes: Any, interaction: Any) -> None:
    ui = module.widget.ui
    draw(module, nodes, interaction)
    assert said(module, "undoButton") == "Undo: callipers N1"
    ui.undoButton.click()
    assert table_column(module, "Ø mm")[0] == "6.2" and lines() == {}
    ui.redoButton.click()
    assert table_column(module, "Ø mm")[0] == "8.0" and len(lines()) == 2
    ui.automaticButton.click()
    assert table_column(module, "Ø mm")[0] == "6.2" and lines() == {}
    assert [action for _, action, *_ in trail(module)] == ["set callipers", "undo", "redo", "set callipers"]


def test_dragging_an_end_measures_anew(module: Module, nodes: Any, interaction: Any) -> None:
    draw(module, nodes, interaction)
    line = lines()["N1 long axis"]
    end = np.array(line.GetNthControlPointPosition(1))
    for step in (1.0, 2.0):  # while it is being dragged nothing is kept
        line.SetNthControlPointPosition(1, *beside(end, step))
        module.process_events()
    assert len(trail(module)) == 1
    line.InvokeEvent(line.PointEndInteractionEvent)
    wait_until(module, lambda: len(trail(module)) == 2)
    assert module.widget.logic.review(nodes).state.finding("N1").callipers_mm == pytest.approx((11.0, 7.0))
    line.InvokeEvent(line.PointEndInteractionEvent)  # let go where it was taken
    for _ in range(5):
        module.process_events()
    assert len(trail(module)) == 2
    module.widget.ui.undoButton.click()
    assert lines()["N1 long axis"].GetMeasurement("length").GetValue() == pytest.approx(9.0)


def test_giving_up_leaves_nothing(module: Module, nodes: Any, interaction: Any, chest: Volume) -> None:
    ui = module.widget.ui
    select_row(module, "N1")
    ui.measureButton.click()
    ui.measureButton.click()  # once more
    assert lines() == {} and interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert not is_visible(module, "messageLabel")
    ui.measureButton.click()
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)  # Esc
    wait_until(module, lambda: lines() == {})
    assert not ui.measureButton.property("checked")
    middle = center(module, nodes, "N1")
    for leave in (
        lambda: select_row(module, "N2"),
        lambda: (leave_module(module), enter_module(module)),
        lambda: set_threshold(module, 0.99),
    ):
        set_threshold(module, 0.0)
        select_row(module, "N1")
        ui.measureButton.click()
        place(module, interaction, "N1 long axis", middle, beside(middle, 5))
        leave()
        assert lines() == {} and interaction.GetCurrentInteractionMode() == interaction.ViewTransform
        assert not ui.measureButton.property("checked")
    assert trail(module) == []


def test_lines_of_no_length_are_refused_in_one_dialog(
    module: Module,
    nodes: Any,
    interaction: Any,
    errors: list[str],
) -> None:
    draw(module, nodes, interaction, short_mm=0.0)
    assert len(errors) == 1 and "no long and short axis" in errors[0]
    assert trail(module) == [] and lines() == {}


def test_the_solid_part_is_measured_where_there_is_one(module: Module, nodes: Any, interaction: Any) -> None:
    ui = module.widget.ui
    select_row(module, "N1")
    assert not is_visible(module, "solidSizeWidget")
    choose_item(ui.typeComboBox, "part-solid")
    assert is_visible(module, "solidSizeWidget")
    select_row(module, "N2")
    assert said(module, "solidSizeLabel") == "4.0 mm automatic"
    assert ui.categoryComboBox.property("currentText") == "As suggested: 3"
    ui.measureSolidButton.click()
    assert "solid part of N2" in said(module, "messageLabel")
    middle = center(module, nodes, "N2")
    place(module, interaction, "N2 solid part, long axis", middle, beside(middle, 9))
    place(module, interaction, "N2 solid part, short axis", middle, beside(middle, 0, 8))
    assert said(module, "solidSizeLabel") == "<b>8.5 mm (9.0 × 8.0)</b> callipers<br>4.0 mm automatic"
    assert ui.categoryComboBox.property("currentText") == "As suggested: 4B"
    ui.automaticSolidButton.click()
    assert said(module, "solidSizeLabel") == "4.0 mm automatic"


def test_lines_belong_to_the_selected_finding_and_to_this_module(module: Module, nodes: Any, interaction: Any) -> None:
    draw(module, nodes, interaction)
    select_row(module, "N2")
    assert lines() == {}
    select_row(module, "N1")
    assert len(lines()) == 2
    leave_module(module)
    assert lines() == {}
    enter_module(module)
    assert len(lines()) == 2


@pytest.mark.parametrize("shift_mm", [0.0, 25.0])
def test_selecting_a_finding_shows_the_slice_in_which_it_was_measured(
    module: Module, nodes: Any, interaction: Any, shift_mm: float
) -> None:
    views = show_views()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, shift_mm)
    transform.SetMatrixTransformToParent(matrix)
    for node in (detected(module).candidates, module.widget._parameterNode.inputVolume):
        node.SetAndObserveTransformNodeID(transform.GetID())
    middle = center(module, nodes, "N1") + np.array((2.0, 0.0, 5.0))
    lines_lps = tuple(
        (tuple(to_ras(middle - half)), tuple(to_ras(middle + half)))
        for half in (np.array((4.5, 0.0, 0.0)), np.array((0.0, 3.5, 0.0)))
    )
    select_row(module, "N2")
    module.widget.logic.setCalliperLines(nodes, "N1", lines_lps)
    select_row(module, "N1")
    r, a, s = middle
    assert all(shows(view, (r, a, s + shift_mm)) for view in views.values())
    module.widget.logic.undo(nodes)
    select_row(module, "N2")
    select_row(module, "N1")
    assert all(shows(view, position_of(nodes, "N1")) for view in views.values())


def test_they_come_back_with_a_saved_scene_and_reach_the_report(
    module: Module, nodes: Any, interaction: Any, tmp_path: Path
) -> None:
    draw(module, nodes, interaction)
    save_close_and_open(tmp_path, module)
    nodes = detected(module)
    assert lines() == {}
    select_row(module, "N1")
    assert set(lines()) == {"N1 long axis", "N1 short axis"}
    logic = module.widget.logic
    review = logic.review(nodes)
    result = stored_detection(nodes.record.GetText()).result
    report = build_report(result, review.volume, review.review, guidelines=("lung-rads",), threshold=0.0)
    [finding] = [f for f in report.findings if f.label == "N1"]
    assert finding.callipers_mm == pytest.approx((9.0, 7.0)) and finding.mean_diameter_mm == 8.0
    assert (finding.measured.long_axis_mm, finding.measured.short_axis_mm) == pytest.approx((7.2, 5.2))
    assert "reader's callipers, 6.2 mm measured automatically" in finding.recommendations[0].reason
    axial = np.asarray(key_images(finding, review.volume)[1].picture)
    assert (axial == CALLIPER_COLOR).all(axis=2).sum() > 60  # the reader's lines are drawn


class SlicerView:
    """A slice view with Slicer's own markups in it, and a mouse."""

    def __init__(self) -> None:
        application = slicer.app.applicationLogic()
        application.SetModuleLogic("Markups", slicer.modules.markups.logic())
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene)
        # Not one of the usual names: their nodes outlive the scene in which another test has made them.
        self._view = SliceView("Callipers", "Axial")
        managers = self._view._managers
        found = [managers.GetNthDisplayableManager(n) for n in range(managers.GetDisplayableManagerCount())]
        self._markups = next(m for m in found if m.GetClassName() == "vtkMRMLMarkupsDisplayableManager")

    def show(self, position_ras: np.ndarray) -> None:
        self._view.node.SetFieldOfView(60.0, 60.0, 1.0)
        self._view.node.JumpSliceByCentering(*position_ras)
        self._view._window.Render()

    def move(self, position_ras: np.ndarray) -> None:
        self._send("MouseMoveEvent", position_ras)

    def press(self, position_ras: np.ndarray) -> None:
        self._send("LeftButtonPressEvent", position_ras)

    def release(self, position_ras: np.ndarray) -> None:
        self._send("LeftButtonReleaseEvent", position_ras)

    def click(self, position_ras: np.ndarray) -> None:
        for act in (self.move, self.press, self.release):
            act(position_ras)

    def _send(self, event: str, position_ras: np.ndarray) -> None:
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self._view.node.GetXYToRAS(), inverse)
        x, y, *_ = inverse.MultiplyPoint((*position_ras, 1.0))
        data = slicer.vtkMRMLInteractionEventData()
        data.SetType(getattr(vtk.vtkCommand, event))
        data.SetDisplayPosition([round(x), round(y)])
        data.SetWorldPosition(list(position_ras))
        data.SetRenderer(self._markups.GetRenderer())
        data.SetViewNode(self._view.node)
        data.SetMouseMovedSinceButtonDown(False)
        if self._markups.CanProcessInteractionEvent(data, vtk.reference(0.0)):
            self._markups.ProcessInteractionEvent(data)
        self._view._window.Render()


@pytest.fixture
def view(module: Module, interaction: Any) -> SlicerView:
    """Before any node that it is to draw."""
    return SlicerView()


def test_in_slicers_own_view_four_clicks_measure_and_a_drag_corrects(
    view: SlicerView, module: Module, nodes: Any, interaction: Any
) -> None:
    def let_it_work() -> None:
        for _ in range(5):
            module.process_events()

    select_row(module, "N1")
    middle = center(module, nodes, "N1")
    view.show(middle)
    module.widget.ui.measureButton.click()
    for end in ((-5, 0), (5, 0), (0, -4), (0, 4)):
        view.click(beside(middle, *end))
        let_it_work()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    axes = module.widget.logic.review(nodes).state.finding("N1").callipers_mm
    assert axes == pytest.approx((10.0, 8.0), abs=0.4)  # of a pixel at each end
    view.move(beside(middle, 5))
    view.press(beside(middle, 5))
    for step in (6, 7, 8):
        view.move(beside(middle, step))
    view.release(beside(middle, 8))
    let_it_work()
    axes = module.widget.logic.review(nodes).state.finding("N1").callipers_mm
    assert axes == pytest.approx((13.0, 8.0), abs=0.4)
    assert len(trail(module)) == 2


def test_a_moved_scan_has_its_lines_with_it(module: Module, nodes: Any, interaction: Any) -> None:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 25.0)
    transform.SetMatrixTransformToParent(matrix)
    for node in (module.widget.logic.getParameterNode().inputVolume, nodes.segmentation, nodes.candidates):
        node.SetAndObserveTransformNodeID(transform.GetID())
    draw(module, nodes, interaction)
    position = [0.0, 0.0, 0.0]
    lines()["N1 long axis"].GetNthControlPointPositionWorld(0, position)
    expected = beside(center(module, nodes, "N1"), 25.0 - 4.5)
    assert position == pytest.approx(list(expected))
