"""What a user does with the module, and what a user sees of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer
from host import Module
from PySide6 import QtTest
from PySide6.QtCore import Qt

from gui.module_inputs import SCORES, FakeRun
from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.scene import add_volume_node
from LungNoduleCADLib.volume import Volume

MOST_SECONDS = 120.0
"""A busy machine is no fault."""


def wait_until(module: Module, condition: Callable[[], bool]) -> None:
    """Let Qt work until something is so."""
    end = time.monotonic() + MOST_SECONDS
    while not condition():
        assert time.monotonic() < end, "this never came to be"
        module.process_events()
        time.sleep(0.001)


def state(module: Module) -> State:
    return module.widget.panel.state


def texts(module: Module) -> dict[str, str]:
    """What the panel says."""
    names = (
        "detectButton", "verdictLabel", "statusLabel", "expectedLabel", "countsLabel", "warningsLabel", "modelLabel",
        "presetButton", "selectedLabel",
    )  # fmt: skip
    return {name: getattr(module.widget.ui, name).property("text") for name in names}


def is_visible(module: Module, name: str) -> bool:
    return not getattr(module.widget.ui, name).isHidden()


def choose(module: Module, node: Any) -> None:
    """Choose a volume, and wait for its check."""
    module.widget.ui.inputVolumeSelector.setCurrentNode(node)
    wait_until(module, lambda: state(module) is not State.CHECKING)


def add(module: Module, volume: Volume, name: str = "CT") -> Any:
    """A volume in the scene, chosen as input."""
    node = add_volume_node(slicer.mrmlScene, volume, name)
    choose(module, node)
    return node


def click_detect(module: Module) -> FakeRun:
    module.widget.ui.detectButton.click()
    return FakeRun.last


def end_run(module: Module) -> None:
    """Let the logic take in the end of a run."""
    wait_until(module, lambda: not module.widget.logic.isRunning)


def detect(module: Module, folder: Path, scores: tuple[float, ...] = SCORES, **result: Any) -> Any:
    """Run to the end; returns the nodes."""
    click_detect(module).finish(folder, scores, **result)
    end_run(module)
    return detected(module)


def show_detection(
    module: Module, volume: Volume, folder: Path, *, threshold: float = 0.0, reader: str = "", name: str = "CT"
) -> Any:
    """Add a volume, run to the end, and show what is at or above a threshold; returns the nodes."""
    add(module, volume, name)
    if reader:
        module.widget.ui.readerLineEdit.setProperty("text", reader)
    nodes = detect(module, folder)
    set_threshold(module, threshold)
    return nodes


def detected(module: Module) -> Any:
    """The nodes of what was detected in the chosen volume."""
    return module.widget.logic.detection(module.widget._parameterNode.inputVolume)


def set_threshold(module: Module, value: float) -> None:
    module.widget.ui.thresholdSlider.setProperty("value", value)


def headings(module: Module) -> list[str]:
    model = module.widget.ui.candidatesTable.model()
    return [model.headerData(n, Qt.Orientation.Horizontal) for n in range(model.columnCount())]


def table_column(module: Module, heading: str = "Nodule") -> list[str]:
    """The cells of a column, from the top."""
    model = module.widget.ui.candidatesTable.model()
    if model.rowCount() == 0:  # and then it has no columns either
        return []
    column = headings(module).index(heading)
    return [model.index(row, column).data() for row in range(model.rowCount())]


def selected_row(module: Module) -> str | None:
    """Name in the selected row."""
    rows = module.widget.ui.candidatesTable.selectionModel().selectedRows()
    return rows[0].data() if rows else None


def select_row(module: Module, label: str) -> None:
    """Click a row, and hold down no key."""
    click_row(module.widget.ui.candidatesTable, table_column(module).index(label), Qt.KeyboardModifier.NoModifier)


def click_row(table: Any, row: int, modifier: Qt.KeyboardModifier) -> None:
    """Click a row of a table. Qt takes the key for held down until the next click or key."""
    index = table.model().index(row, 0)
    table.scrollTo(index)
    place = table.visualRect(index).center()
    QtTest.QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, modifier, place)


def click(view: Any, position_ras: tuple[float, float, float], drag: int = 0) -> None:
    """Press and release the left button in a slice view."""
    to_xy = slicer.vtkMRMLSliceNode.SafeDownCast(view).GetXYToRAS()
    inverse = type(to_xy)()
    to_xy.Invert(to_xy, inverse)
    x, y, *_ = inverse.MultiplyPoint((*position_ras, 1.0))
    interactor = slicer.app.layoutManager().sliceWidget(view.GetLayoutName()).sliceView().interactor()
    interactor.SetEventInformation(round(x), round(y))
    interactor.InvokeEvent("LeftButtonPressEvent")
    interactor.SetEventInformation(round(x) + drag, round(y))
    interactor.InvokeEvent("LeftButtonReleaseEvent")


def press(module: Module, key: str) -> None:
    """A key while the module has the keyboard."""
    QtTest.QTest.keyClick(module.holder, key)
    module.process_events()


def points_shown(nodes: Any) -> list[str]:
    """Labels of the visible points."""
    node = nodes.candidates
    return [
        node.GetNthControlPointLabel(n)
        for n in range(node.GetNumberOfControlPoints())
        if node.GetNthControlPointVisibility(n)
    ]


def segments_shown(nodes: Any) -> list[str]:
    """Ids of the visible segments."""
    segmentation, display = nodes.segmentation.GetSegmentation(), nodes.segmentation.GetDisplayNode()
    ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    return [name for name in ids if display.GetSegmentVisibility(name)]


def position_of(nodes: Any, label: str) -> tuple[float, float, float]:
    """RAS position of a candidate's point, in the world."""
    node, position = nodes.candidates, [0.0, 0.0, 0.0]
    labels = [node.GetNthControlPointLabel(n) for n in range(node.GetNumberOfControlPoints())]
    node.GetNthControlPointPositionWorld(labels.index(label), position)
    return (position[0], position[1], position[2])


def show_views() -> dict[str, Any]:
    """Slice views as in Slicer's usual layout: the nodes, by name."""
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene)
    views = {}
    for name, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
        view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", name)
        view.SetLayoutName(name)
        view.SetOrientation(orientation)
        view.SetDimensions(400, 300, 1)
        view.SetFieldOfView(400.0, 300.0, 1.0)
        views[name] = view
    slicer.app.layoutManager().show(list(views.values()))
    return views


def shows(view: Any, position_ras: tuple[float, float, float]) -> bool:
    """Whether a place is in the slice of a view, and in sight."""
    matrix = view.GetXYToRAS()
    inverse = type(matrix)()
    inverse.Invert(matrix, inverse)
    x, y, z, _ = inverse.MultiplyPoint((*position_ras, 1.0))
    width, height, _ = view.GetDimensions()
    return abs(z) < 1e-3 and 0 <= x <= width and 0 <= y <= height


def center_of(view: Any) -> tuple[float, float, float]:
    """RAS position in the middle of a slice view."""
    matrix = view.GetSliceToRAS()
    r, a, s = (matrix.GetElement(row, 3) for row in range(3))
    return (r, a, s)


def class_counts() -> dict[str, int]:
    """How many nodes of each class that the module makes or takes there are."""
    names = ("vtkMRMLMarkupsFiducialNode", "vtkMRMLSegmentationNode", "vtkMRMLTextNode", "vtkMRMLScalarVolumeNode")
    return {name: slicer.mrmlScene.GetNumberOfNodesByClass(name) for name in names}


def save_close_and_open(folder: Path, module: Module) -> None:
    """Save the scene as a bundle, close it, and open it again."""
    close_and_open(save_scene(folder))
    wait_until(module, lambda: state(module) is not State.CHECKING)


def save_scene(folder: Path) -> Path:
    """The bundle the scene was saved as."""
    bundle = folder / "scene.mrb"
    with working_in(folder):
        assert slicer.mrmlScene.WriteToMRB(str(bundle), None)
    return bundle


def close_and_open(bundle: Path) -> None:
    """Close the scene, and open a saved one."""
    unpacked = bundle.with_name("unpacked")
    with working_in(bundle.parent):
        slicer.mrmlScene.Clear()
        assert not any(class_counts().values())
        unpacked.mkdir()
        file = slicer.app.applicationLogic().UnpackSlicerDataBundle(str(bundle), str(unpacked))
        slicer.mrmlScene.SetURL(file)
        slicer.mrmlScene.Import()


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Slicer packs and unpacks in the working directory."""
    former = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(former)
