"""The Explain menu: what it asks, shows, cancels and says; the heat map's controls; the FROC plot."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from host import Module, enter_module, leave_module, load_module
from PIL import Image
from PySide6 import QtGui, QtWidgets

from gui.driving import (
    add,
    class_counts,
    detect,
    is_visible,
    select_row,
    set_threshold,
    show_views,
    wait_until,
)
from gui.module_inputs import MODULE_FILE, FakeRun
from LungNoduleCADLib.app.dependencies import DependencyError
from LungNoduleCADLib.app.explanation_folder import FEATURE_MAPS_FILE, FILM_FILE, OVERLAY_FILE, SavedExplanation
from LungNoduleCADLib.app.explanation_job import ExplanationRequest
from LungNoduleCADLib.app.module.explaining import GRADIENTS, OCCLUSION
from LungNoduleCADLib.app.progress import Progress
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.errors import InputError, LungNoduleCADError
from LungNoduleCADLib.scene import add_volume_node
from LungNoduleCADLib.volume import Volume

ENTRIES = ("Heat map: cover places", "Heat map: gradients", "Both maps as a picture…", "Feature maps…",
           "Slice animation…")  # fmt: skip


class FakeExplanation:
    """An explanation whose progress and end the test decides."""

    last: FakeExplanation | None = None

    def __init__(self, volume: Volume, request: ExplanationRequest) -> None:
        self.volume, self.request = volume, request
        self.outcome: Outcome | None = None
        self.explanation: SavedExplanation | None = None
        self.error = self.details = ""
        self.progress = Progress("preparing", 0.0, None)
        self.started = self.cancelled = False
        FakeExplanation.last = self

    def start(self) -> None:
        self.started = True

    def poll(self) -> Progress:
        return self.progress

    def cancel(self, wait: bool = False) -> None:
        self.cancelled = True
        if wait:
            self.outcome = Outcome.CANCELLED

    def finish(self) -> None:
        """A map that is greatest at the finding, and pictures of the smallest size."""
        center = np.rint(self.volume.lps_to_index(self.request.center_lps)).astype(int)
        start, stop = np.maximum(center - 8, 0), np.minimum(center + 9, self.volume.shape)
        part = self.volume.cropped(start.tolist(), stop.tolist())
        distance = np.linalg.norm(np.moveaxis(np.indices(part.shape), 0, -1) + start - center, axis=-1)
        maps = [part.with_voxels((height * np.exp(-distance / 3)).astype(np.float32)) for height in (2.0, 0.02)]
        pictures = {
            OVERLAY_FILE: png((90, 60)), FEATURE_MAPS_FILE: png((1500, 1800)), FILM_FILE: gif(),
        }  # fmt: skip
        self.explanation = SavedExplanation(*maps, pictures, {"finding": self.request.label})
        self.outcome = Outcome.FINISHED

    def fail(self, error: str, details: str = "") -> None:
        self.error, self.details, self.outcome = error, details, Outcome.FAILED


def png(size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(stream, "PNG")
    return stream.getvalue()


def gif() -> bytes:
    stream, frames = io.BytesIO(), [Image.new("L", (64, 48), 40 * n) for n in range(4)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pictures lie while their windows are open."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def composites(module: Module) -> list[Any]:
    """What the slice views are made of."""
    nodes = []
    for name in show_views():
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode", name)
        node.SetLayoutName(name)
        nodes.append(node)
    return nodes


@pytest.fixture
def nodes(module: Module, composites: list[Any], chest: Volume, installed: list[Path], tmp_path: Path) -> Any:
    """A detection with all its findings shown, the first selected."""
    logic = module.widget.logic
    logic.makeExplanationRun = FakeExplanation
    logic.installExplanationPackages = installed.append
    volume = add(module, chest)
    for view in composites:
        view.SetBackgroundVolumeID(volume.GetID())
    found = detect(module, tmp_path / "result")
    set_threshold(module, 0.0)
    select_row(module, "N1")
    return found


def ui(module: Module) -> Any:
    return module.widget.ui


def text(widget: Any) -> str:
    return str(widget.property("text"))


def entries(module: Module) -> dict[str, Any]:
    return {action.property("text"): action for action in ui(module).explainButton.menu().actions()}


def choose(module: Module, entry: str) -> FakeExplanation | None:
    """Click a menu entry; the run that it has started, if any."""
    FakeExplanation.last = None
    entries(module)[entry].trigger()
    return FakeExplanation.last


def explain(module: Module, entry: str = ENTRIES[0]) -> FakeExplanation:
    """Click a menu entry and let the explanation arrive."""
    run = choose(module, entry)
    assert run is not None
    run.finish()
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    return run


def windows(module: Module) -> list[Any]:
    return [window.window for window in module.widget.panel.candidates.explain._windows]


def errors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said in dialogs from now on."""
    said: list[str] = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda message, *_, **__: said.append(message))
    return said


# -- asking ------------------------------------------------------------------------------------------------------------
def test_the_menu_waits_for_a_selection(module: Module, nodes: Any) -> None:
    assert ui(module).explainButton.property("enabled")
    assert tuple(entries(module)) == ENTRIES
    assert "N1" in ui(module).explainButton.property("toolTip")
    set_threshold(module, 1.0)
    assert not ui(module).explainButton.property("enabled")
    assert "Select a candidate" in ui(module).explainButton.property("toolTip")


@pytest.mark.parametrize("entry", ENTRIES)
def test_each_entry_asks_about_the_selected_finding(
    module: Module, nodes: Any, entry: str, installed: list[Path]
) -> None:
    select_row(module, "N3")
    installed.clear()
    run = choose(module, entry)
    assert run is not None and run.started
    request = run.request
    candidate = module.widget.logic.review(nodes).state.findings["N3"]
    assert (request.label, request.center_lps) == ("N3", candidate.contour.center_lps)
    assert request.mask is not None and (request.device, request.weights) == ("auto", None)
    assert [path.name for path in installed] == ["requirements.txt", "explain-requirements.txt"]
    assert is_visible(module, "explainingWidget") and is_visible(module, "cancelExplanationButton")
    assert not ui(module).explainButton.property("enabled"), "one at a time"


def test_the_scene_is_untouched_until_the_explanation_is_there(module: Module, nodes: Any) -> None:
    before = slicer.mrmlScene.GetNumberOfNodes()
    run = choose(module, ENTRIES[0])
    assert run is not None
    run.progress = Progress("occlusion", 0.5, 20.0)
    wait_until(module, lambda: "50 %" in text(ui(module).explainingLabel))
    assert text(ui(module).explainingLabel) == "N1: Covering place after place · 50 % · about 20 s left"
    assert ui(module).explainingBar.property("value") == 500
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    run.finish()
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    assert slicer.mrmlScene.GetNumberOfNodes() == before + 2, "the map and its display"
    assert not is_visible(module, "explainingWidget")


def test_settings_reach_the_request(module: Module, nodes: Any, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    ui(module).weightsPathLineEdit.setProperty("currentPath", str(tmp_path / "weights"))
    ui(module).deviceComboBox.setProperty("currentIndex", ui(module).deviceComboBox.findData("cpu"))
    run = choose(module, ENTRIES[0])
    assert run is not None
    assert (run.request.device, run.request.weights) == ("cpu", str(tmp_path / "weights"))


def test_what_was_explained_once_is_not_worked_out_again(module: Module, nodes: Any) -> None:
    explain(module, ENTRIES[0])
    assert choose(module, ENTRIES[1]) is None
    assert module.widget.logic.heatMap(nodes) == ("N1", GRADIENTS)
    select_row(module, "N2")
    assert choose(module, ENTRIES[1]) is not None, "another finding has other reasons"


def test_an_edited_outline_is_explained_anew(module: Module, nodes: Any) -> None:
    explain(module, ENTRIES[0])
    logic = module.widget.logic
    assert logic.explanation(nodes, "N1") is not None
    logic.acceptFindings(nodes, ["N1"])
    assert logic.explanation(nodes, "N1") is not None, "a decision changes nothing of what the classifier sees"
    finding = logic.mergeFindings(nodes, ["N1", "N2"])
    assert logic.explanation(nodes, finding.id) is None


# -- ends --------------------------------------------------------------------------------------------------------------
def test_cancel_leaves_the_scene_as_it_was(module: Module, nodes: Any) -> None:
    before = slicer.mrmlScene.GetNumberOfNodes()
    run = choose(module, ENTRIES[0])
    assert run is not None
    ui(module).cancelExplanationButton.click()
    assert run.cancelled and text(ui(module).explainingLabel) == "Cancelling…"
    assert not ui(module).cancelExplanationButton.property("enabled")
    run.finish()  # too late: nobody asks any more
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert module.widget.logic.explanation(nodes, "N1") is None
    assert not is_visible(module, "explainingWidget")
    assert ui(module).explainButton.property("enabled")


def test_a_failure_is_said_once_and_stays_to_be_read(
    module: Module, nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = errors(monkeypatch)
    run = choose(module, ENTRIES[0])
    assert run is not None
    run.fail("The detection was made with other weights (x); choose their folder under Settings.", "last words")
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    assert said == [run.error]
    assert "other weights" in text(ui(module).explainingLabel) and is_visible(module, "explainingWidget")
    assert not is_visible(module, "cancelExplanationButton")
    select_row(module, "N2")
    assert not is_visible(module, "explainingWidget"), "it was about another finding"


@pytest.mark.parametrize("which", ["_installer", "installExplanationPackages"])
def test_a_declined_installation_is_said_and_nothing_starts(
    module: Module, nodes: Any, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    def decline(path: Path) -> None:
        raise DependencyError("torch could not be installed; the Python console shows why.")

    said = errors(monkeypatch)
    monkeypatch.setattr(module.widget.logic, which, decline)
    assert choose(module, ENTRIES[0]) is None
    assert said == ["torch could not be installed; the Python console shows why."]
    assert not module.widget.logic.isExplaining and not is_visible(module, "explainingWidget")


def test_a_closed_scene_ends_it(module: Module, nodes: Any, chest: Volume) -> None:
    run = choose(module, ENTRIES[0])
    assert run is not None
    slicer.mrmlScene.Clear()
    assert run.cancelled
    run.finish()
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    assert not any(class_counts().values())
    add(module, chest)
    assert not is_visible(module, "explainingWidget") and not is_visible(module, "heatMapWidget")


def test_another_volume_ends_it(module: Module, nodes: Any, chest: Volume) -> None:
    run = choose(module, ENTRIES[0])
    assert run is not None
    add(module, chest, "Other")
    assert run.cancelled


def test_a_new_detection_of_the_same_volume_ends_it(module: Module, nodes: Any, tmp_path: Path) -> None:
    explain(module, ENTRIES[0])
    run = choose(module, ENTRIES[0]) or choose_other(module)
    detect(module, tmp_path / "again")
    assert run.cancelled
    assert module.widget.logic.heatMap(module.widget.logic.detection(module.widget._parameterNode.inputVolume)) is None


def choose_other(module: Module) -> FakeExplanation:
    select_row(module, "N2")
    run = choose(module, ENTRIES[0])
    assert run is not None
    return run


def test_it_goes_on_while_another_module_is_open(module: Module, nodes: Any) -> None:
    run = choose(module, ENTRIES[0])
    assert run is not None
    leave_module(module)
    assert not run.cancelled
    run.finish()
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    enter_module(module)
    assert module.widget.logic.heatMap(nodes) == ("N1", OCCLUSION)


def test_the_end_of_the_application_ends_it(module: Module, nodes: Any) -> None:
    run = choose(module, ENTRIES[0])
    assert run is not None
    slicer.app.aboutToQuit.emit()
    assert run.cancelled and not module.widget.logic.isExplaining


def test_only_one_at_a_time(module: Module, nodes: Any) -> None:
    choose(module, ENTRIES[0])
    with pytest.raises(LungNoduleCADError, match="already"):
        module.widget.logic.startExplanation(nodes, "N2")
    with pytest.raises(InputError, match="has not been explained yet"):
        module.widget.logic.showHeatMap(nodes, "N1")


def test_a_finding_that_is_gone_is_refused(module: Module, nodes: Any) -> None:
    with pytest.raises(InputError, match="no finding N99"):
        module.widget.logic.startExplanation(nodes, "N99")


# -- the heat map ------------------------------------------------------------------------------------------------------
def test_the_heat_map_is_shown_over_the_scan_with_its_controls(
    module: Module, nodes: Any, composites: list[Any]
) -> None:
    assert not is_visible(module, "heatMapWidget")
    explain(module)
    assert is_visible(module, "heatMapWidget")
    assert text(ui(module).heatMapCheckBox) == "Heat map of N1 (covering)"
    assert ui(module).heatMapCheckBox.property("checked")
    assert ui(module).heatMapSlider.property("value") == 50
    assert all(view.GetForegroundVolumeID() for view in composites)

    ui(module).heatMapCheckBox.click()
    assert not any(view.GetForegroundVolumeID() for view in composites)
    ui(module).heatMapCheckBox.click()
    ui(module).heatMapSlider.setValue(80)
    assert {view.GetForegroundOpacity() for view in composites} == {0.8}

    ui(module).removeHeatMapButton.click()
    assert not any(view.GetForegroundVolumeID() for view in composites)
    assert not is_visible(module, "heatMapWidget")
    assert module.widget.logic.heatMap(nodes) is None
    assert choose(module, ENTRIES[0]) is None, "it is still known"
    assert ui(module).heatMapSlider.property("value") == 50


def test_the_heat_map_is_no_choice_for_the_search(module: Module, nodes: Any) -> None:
    explain(module)
    volumes = slicer.mrmlScene.GetNodesByClass("vtkMRMLScalarVolumeNode")
    hidden = [volumes.GetItemAsObject(n).GetHideFromEditors() for n in range(volumes.GetNumberOfItems())]
    assert sorted(bool(h) for h in hidden) == [False, True]
    box = ui(module).inputVolumeSelector.findChild(QtWidgets.QComboBox)
    assert not any("Heat map" in box.itemText(n) for n in range(box.property("count")))


def test_a_heat_map_goes_with_its_scan(module: Module, nodes: Any) -> None:
    explain(module)
    slicer.mrmlScene.RemoveNode(module.widget._parameterNode.inputVolume)
    wait_until(module, lambda: slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0)
    assert module.widget._parameterNode.inputVolume is None


def test_a_heat_map_that_is_on_the_way_is_of_the_finding_that_was_asked_about(module: Module, nodes: Any) -> None:
    run = choose(module, ENTRIES[0])
    assert run is not None
    select_row(module, "N2")
    run.finish()
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    assert module.widget.logic.heatMap(nodes) == ("N1", OCCLUSION)


# -- pictures ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("entry", "title", "size"),
    [(ENTRIES[2], "Why N1", (90, 60)), (ENTRIES[3], "Feature maps of N1", (1500, 1800)),
     (ENTRIES[4], "Slices through N1", (64, 48))],
)  # fmt: skip
def test_pictures_open_in_windows(
    module: Module, nodes: Any, temporary: Path, entry: str, title: str, size: tuple[int, int]
) -> None:
    explain(module, entry)
    [window] = windows(module)
    assert window.property("windowTitle") == title and not window.isHidden()
    label = window.findChild(QtWidgets.QScrollArea).widget()
    assert (label.property("width"), label.property("height")) == size
    assert window.property("width") <= 1100 and window.property("height") <= 800
    if entry == ENTRIES[4]:
        assert label.movie().frameCount() == 4 and label.movie().state() == QtGui.QMovie.MovieState.Running
    else:
        assert label.property("pixmap").size().toTuple() == size
    module.widget.panel.candidates.explain.close()
    assert window.isHidden() and os.listdir(temporary) == []


def test_several_windows_stay_open_beside_one_another(module: Module, nodes: Any) -> None:
    explain(module, ENTRIES[3])
    choose(module, ENTRIES[3])
    choose(module, ENTRIES[4])
    assert len(windows(module)) == 3 and not any(window.isHidden() for window in windows(module))


def test_windows_close_with_the_scene(module: Module, nodes: Any, temporary: Path) -> None:
    explain(module, ENTRIES[3])
    [window] = windows(module)
    slicer.mrmlScene.Clear()
    assert window.isHidden() and windows(module) == [] and os.listdir(temporary) == []


def test_a_picture_is_saved_where_the_user_says(
    module: Module, nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = explain(module, ENTRIES[4])
    [window] = windows(module)
    suggested: list[str] = []

    def ask(parent: Any, title: str, name: str) -> tuple[str, str]:
        suggested.append(name)
        return str(tmp_path / "mine.gif"), ""

    monkeypatch.setattr(qt, "QFileDialog", SimpleNamespace(getSaveFileName=ask))
    window.findChild(QtWidgets.QPushButton).click()
    assert suggested == ["N1-slices.gif"]
    assert run.explanation is not None
    assert (tmp_path / "mine.gif").read_bytes() == run.explanation.pictures[FILM_FILE]
    monkeypatch.setattr(qt, "QFileDialog", SimpleNamespace(getSaveFileName=lambda *_: ("", "")))
    window.findChild(QtWidgets.QPushButton).click()


def test_a_picture_that_cannot_be_saved_is_said(
    module: Module, nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = errors(monkeypatch)
    explain(module, ENTRIES[3])
    there = (str(tmp_path / "nowhere" / "mine.png"), "")
    monkeypatch.setattr(qt, "QFileDialog", SimpleNamespace(getSaveFileName=lambda *_: there))
    windows(module)[0].findChild(QtWidgets.QPushButton).click()
    assert len(said) == 1 and "parent folder does not exist" in said[0]


def test_where_slicer_cannot_read_the_format_the_system_opens_it(
    module: Module, nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    system = SimpleNamespace(openUrl=lambda url: opened.append(url.toLocalFile()))
    monkeypatch.setattr(qt, "QDesktopServices", system)
    run = choose(module, ENTRIES[4])
    assert run is not None
    run.finish()
    assert run.explanation is not None
    run.explanation.pictures[FILM_FILE] = b"no picture that Qt knows"
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    assert windows(module) == [] and len(opened) == 1 and opened[0].endswith("N1-slices.gif")
    assert Path(opened[0]).read_bytes() == b"no picture that Qt knows"


# -- FROC --------------------------------------------------------------------------------------------------------------
class Plots:
    """Slicer's plots logic."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def ShowChartInLayout(self, chart: Any) -> None:
        self.shown.append(chart)


@pytest.fixture
def plots(monkeypatch: pytest.MonkeyPatch) -> Plots:
    logic = Plots()
    assert hasattr(slicer.modules.plots.logic(), "ShowChartInLayout"), "as the real one has it"
    monkeypatch.setattr(slicer.modules.plots, "logic", lambda: logic)
    return logic


def reference(nodes: Any, *labels: str) -> Any:
    """Points of the scene at some findings."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Truth")
    points = nodes.candidates
    names = [points.GetNthControlPointLabel(n) for n in range(points.GetNumberOfControlPoints())]
    for label in labels:
        node.AddControlPoint(points.GetNthControlPointPosition(names.index(label)), label)
    return node


def compare(module: Module, nodes: Any, *labels: str) -> None:
    """Compare with points at some findings."""
    module.widget.logic.useReference(nodes, reference(nodes, *labels))
    module.widget.panel.candidates.onReviewChanged()


def table_of(chart: Any, number: int) -> dict[str, list[float]]:
    table = chart.GetNthPlotSeriesNode(number).GetTableNode().GetTable()
    columns = [table.GetColumn(n) for n in range(table.GetNumberOfColumns())]
    return {c.GetName(): [c.GetValue(n) for n in range(c.GetNumberOfValues())] for c in columns}


def test_froc_follows_threshold_and_review(module: Module, nodes: Any, plots: Plots) -> None:
    logic = module.widget.logic
    assert not ui(module).frocButton.property("enabled")
    compare(module, nodes, "N1", "N3")
    assert ui(module).frocButton.property("enabled")
    set_threshold(module, 0.7)
    ui(module).frocButton.click()
    [chart] = plots.shown
    # Scores 0.97 (hit), 0.81, 0.62 (hit), 0.35, 0.08.
    assert table_of(chart, 0)["False positives per scan"] == [0.125, 1, 1, 3, 8]
    assert table_of(chart, 0)["Sensitivity"] == [0.5, 0.5, 1, 1, 1]
    mark = {"False positives per scan": [1, 1], "Sensitivity": [0.5, 0.5], "Threshold": [0.7, 0.7]}
    assert table_of(chart, 1) == mark
    for threshold, point in ((0.9, (0.125, 0.5)), (0.6, (1, 1)), (0.0, (3, 1))):
        set_threshold(module, threshold)
        row = table_of(chart, 1)
        assert (row["False positives per scan"][0], row["Sensitivity"][0]) == point
    assert chart.GetTitle() == "FROC: 2 nodules, scans: 1; at 0.00: 100 %, 3.0 FP/scan"
    logic.rejectFindings(nodes, ["N2"], "vessel")
    module.widget.panel.candidates.onReviewChanged()
    assert chart.GetTitle().endswith("2.0 FP/scan"), "a rejected mark is no false positive any more"


def test_froc_is_of_all_cases_with_a_reference(
    module: Module, nodes: Any, plots: Plots, chest: Volume, tmp_path: Path
) -> None:
    logic = module.widget.logic
    logic.useReference(nodes, reference(nodes, "N1"))
    add(module, chest, "Second")
    second = detect(module, tmp_path / "second")
    with pytest.raises(InputError, match="load a reference first"):
        logic.plotFroc(second, 0.5)
    logic.useReference(second, reference(second, "N1", "N2"))
    chart = logic.plotFroc(second, 0.5)
    # Of at least 0.5: 2 false marks in the first case, 1 in the second.
    assert chart.GetTitle() == "FROC: 3 nodules, scans: 2; at 0.50: 100 %, 1.5 FP/scan"
    # 4 false marks in the first case, 3 in the second.
    assert table_of(chart, 0)["False positives per scan"][-2] == 3.5
    assert table_of(chart, 0)["Sensitivity"][-1] == 1.0


def test_without_a_plot_the_threshold_makes_none(module: Module, nodes: Any, plots: Plots) -> None:
    module.widget.logic.useReference(nodes, reference(nodes, "N1"))
    set_threshold(module, 0.3)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 0


def test_a_plot_that_was_removed_stays_away(module: Module, nodes: Any, plots: Plots) -> None:
    compare(module, nodes, "N1")
    ui(module).frocButton.click()
    slicer.mrmlScene.RemoveNode(plots.shown[0])
    set_threshold(module, 0.3)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 0


# -- scripts, and the real worker --------------------------------------------------------------------------------------
def test_a_script_without_panel_can_do_the_same(chest: Volume, tmp_path: Path) -> None:
    class Immediate(FakeRun):
        def start(self) -> None:
            self.finish(tmp_path)

    class Explained(FakeExplanation):
        def start(self) -> None:
            self.finish()

    module = load_module(MODULE_FILE, makeRun=Immediate)
    logic: Any = module.widget.logic
    logic.makeExplanationRun, logic.installExplanationPackages = Explained, lambda path: None
    logic.explanationListener = None
    nodes = logic.detect(add_volume_node(slicer.mrmlScene, chest, "CT"))
    assert set(logic.explain(nodes, "N2").pictures) == {OVERLAY_FILE, FEATURE_MAPS_FILE, FILM_FILE}
    assert logic.showHeatMap(nodes, "N2").GetName() == "Heat map N2"
    module.close()
    slicer.mrmlScene.Clear()
