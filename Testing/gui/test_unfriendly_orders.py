"""What nobody plans: nodes renamed and removed by other modules, double clicks, scenes loaded in the midst of work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer
from export_inputs import ExportHere
from host import Module, enter_module, leave_module
from PySide6 import QtTest
from PySide6.QtCore import Qt

from gui.driving import (
    add,
    click_detect,
    close_and_open,
    detect,
    detected,
    end_run,
    is_visible,
    points_shown,
    save_close_and_open,
    save_scene,
    segments_shown,
    select_row,
    selected_row,
    set_threshold,
    show_detection,
    show_views,
    state,
    table_column,
    texts,
    wait_until,
)
from gui.exporting import FakeExport
from gui.module_inputs import FakeRun
from gui.reviewing import choose_item, choose_reason, trail
from LungNoduleCADLib.app.module import performing
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.errors import LungNoduleCADError
from LungNoduleCADLib.volume import Volume


@pytest.fixture(autouse=True)
def quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """What escapes from a slot or an observer is printed: nothing may."""
    yield
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out, said.err + said.out


@pytest.fixture
def nodes(module: Module, chest: Volume, tmp_path: Path, errors: list[str]) -> Any:
    show_views()
    return show_detection(module, chest, tmp_path / "result", reader="Ada")


def work(module: Module) -> None:
    """A bit of everything that a reader does next."""
    ui = module.widget.ui
    for name in ("N1", "N2"):
        if name in table_column(module):
            select_row(module, name)
            ui.acceptButton.click()
            ui.undoButton.click()
    ui.nextButton.click()
    set_threshold(module, 0.7)
    set_threshold(module, 0.0)
    ui.overlayCheckBox.click()
    ui.overlayCheckBox.click()
    module.process_events()


def test_points_and_segments_that_were_renamed_or_removed(module: Module, nodes: Any, errors: list[str]) -> None:
    nodes.candidates.SetNthControlPointLabel(0, "my nodule")
    nodes.candidates.RemoveNthControlPoint(1)
    segmentation = nodes.segmentation.GetSegmentation()
    segmentation.GetSegment("N1").SetName("my nodule")
    segmentation.RemoveSegment("N2")
    module.process_events()
    work(module)
    assert table_column(module) == ["N1", "N2", "N3", "N4", "N5"] and errors == []
    assert [action for _, action, *_ in trail(module)] == ["accept", "undo", "accept", "undo"]


@pytest.mark.parametrize("what", ["candidates", "segmentation"])
def test_marks_that_were_deleted_as_a_whole(
    module: Module,
    nodes: Any,
    what: str,
    errors: list[str],
) -> None:
    slicer.mrmlScene.RemoveNode(getattr(nodes, what))
    nodes = None
    module.process_events()
    wait_until(module, lambda: state(module) is not State.CHECKING)
    work(module)
    assert len(table_column(module)) == 5 and errors == []
    assert getattr(detected(module), what) is None


def test_the_scan_is_renamed_in_mid_run_and_deleted_afterwards(
    module: Module,
    chest: Volume,
    tmp_path: Path,
    errors: list[str],
) -> None:
    volume = add(module, chest)
    run = click_detect(module)
    volume.SetName("another name")
    run.finish(tmp_path)
    end_run(module)
    wait_until(module, lambda: state(module) is State.FINISHED)
    set_threshold(module, 0.0)
    select_row(module, "N1")
    nodes = detected(module)
    slicer.mrmlScene.RemoveNode(volume)
    volume = None
    wait_until(module, lambda: state(module) is State.NO_INPUT)
    assert not is_visible(module, "candidatesCollapsibleButton") and not is_visible(module, "reportCollapsibleButton")
    with pytest.raises(LungNoduleCADError, match="not in the scene any more"):
        module.widget.logic.acceptFindings(nodes, ["N1"])
    leave_module(module)
    enter_module(module)
    assert state(module) is State.NO_INPUT and errors == []


def test_a_scene_is_opened_in_mid_run(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    detect(module, tmp_path / "result")
    bundle = save_scene(tmp_path)
    run = click_detect(module)
    close_and_open(bundle)
    run.finish(tmp_path / "late")
    end_run(module)
    wait_until(module, lambda: state(module) is State.FINISHED)
    set_threshold(module, 0.0)
    assert run.cancelled and len(table_column(module)) == 5
    work(module)


def test_a_scene_that_is_added_to_itself_has_two_of_all(module: Module, nodes: Any, tmp_path: Path) -> None:
    select_row(module, "N1")
    module.widget.ui.acceptButton.click()
    first = module.widget._parameterNode.inputVolume
    former = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"), None)
        (tmp_path / "unpacked").mkdir()
        scene = slicer.app.applicationLogic().UnpackSlicerDataBundle(
            str(tmp_path / "scene.mrb"), str(tmp_path / "unpacked")
        )
        slicer.mrmlScene.SetURL(scene)
        slicer.mrmlScene.Import()
    finally:
        os.chdir(former)
    wait_until(module, lambda: state(module) is not State.CHECKING)
    volumes = slicer.mrmlScene.GetNodesByClass("vtkMRMLScalarVolumeNode")
    found = [volumes.GetItemAsObject(n) for n in range(volumes.GetNumberOfItems())]
    assert len(found) == 2 and first in found
    [second] = [node for node in found if node is not first]
    logic = module.widget.logic
    for node in found:
        module.widget.ui.inputVolumeSelector.setCurrentNode(node)
        wait_until(module, lambda: state(module) is not State.CHECKING)
        assert logic.review(detected(module)).state.finding("N1").status == "accepted"
    logic.undo(logic.detection(second))
    assert logic.review(logic.detection(first)).state.finding("N1").status == "accepted"


def test_undo_of_what_was_done_before_the_scene_was_saved(module: Module, nodes: Any, tmp_path: Path) -> None:
    select_row(module, "N2")
    choose_reason(module, "vessel")
    save_close_and_open(tmp_path, module)
    assert "N2" not in table_column(module)
    module.widget.ui.undoButton.click()
    assert table_column(module)[1] == "N2" and "N2" in segments_shown(detected(module))
    select_row(module, "N2")
    assert selected_row(module) == "N2"


def test_the_second_readers_scene_is_saved_before_the_first_read_is_done(
    module: Module, chest: Volume, tmp_path: Path
) -> None:
    ui = module.widget.ui
    ui.readerLineEdit.setProperty("text", "Ada")
    choose_item(ui.readingModeComboBox, "First without them (second reader)")
    add(module, chest)
    detect(module, tmp_path / "result")
    set_threshold(module, 0.0)
    save_close_and_open(tmp_path, module)
    nodes = detected(module)
    assert points_shown(nodes) == segments_shown(nodes) == table_column(module) == []
    assert texts(module)["countsLabel"] == "The detector's marks are hidden."


# -- double clicks ---------------------------------------------------------------------------------------------------
@pytest.fixture
def human(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose second click comes as quickly as people's do."""
    monkeypatch.setattr(performing, "DOUBLE_CLICK_S", 60.0)


def double_click(module: Module, button: Any) -> None:
    """Both clicks come, as from a real mouse."""
    module.widget.ui.reportCollapsibleButton.setProperty("collapsed", False)
    module.holder.show()
    module.process_events()
    for act in (QtTest.QTest.mousePress, QtTest.QTest.mouseRelease) * 2:
        act(button, Qt.MouseButton.LeftButton)


def test_a_double_click_on_detect_starts_and_does_not_cancel(
    human: None, module: Module, chest: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(module, chest)
    double_click(module, module.widget.ui.detectButton)
    assert state(module) is State.RUNNING and not FakeRun.last.cancelled
    monkeypatch.setattr(performing, "DOUBLE_CLICK_S", 0.0)
    module.widget.ui.detectButton.click()
    assert FakeRun.last.cancelled


def test_a_double_click_on_export_starts_and_does_not_cancel(
    human: None, module: Module, nodes: Any, tmp_path: Path
) -> None:
    module.widget.logic.makeExportRun = FakeExport
    module.widget.logic.installPackages = lambda requirements: None
    module.widget.ui.reportPathLineEdit.setProperty("currentPath", str(tmp_path))
    double_click(module, module.widget.ui.exportButton)
    assert module.widget.logic.isExporting and not FakeExport.last.cancelled
    FakeExport.last.outcome = Outcome.CANCELLED
    wait_until(module, lambda: not module.widget.logic.isExporting)


def test_a_double_click_on_accept_is_one_decision(module: Module, nodes: Any) -> None:
    select_row(module, "N1")
    double_click(module, module.widget.ui.acceptButton)
    assert trail(module) == [("Ada", "accept", "N1")]


def test_the_scan_is_deleted_while_its_report_is_made(
    module: Module,
    nodes: Any,
    tmp_path: Path,
    errors: list[str],
) -> None:
    module.widget.logic.makeExportRun = ExportHere
    module.widget.logic.installPackages = lambda requirements: None
    module.widget.ui.reportPathLineEdit.setProperty("currentPath", str(tmp_path / "reports"))
    module.widget.ui.exportButton.click()
    slicer.mrmlScene.RemoveNode(module.widget._parameterNode.inputVolume)
    wait_until(module, lambda: not module.widget.logic.isExporting)
    assert errors == [] and list((tmp_path / "reports").glob("*/report.html"))
