"""The Slicer module in real Qt from its real `.ui` file, over real MRML: every state, button and way out of a run.

With SLICER_PY set, the same tests run on Slicer's own ScriptedLoadableModule and parameterNodeWrapper (see `host`).
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import slicer
from host import Module, load_module

from gui.module_inputs import (
    MODULE_FILE,
    SCORES,
    FakeRun,
    chest_like,
    points_shown,
    result_for,
    segments_shown,
    write_card,
)
from LungNoduleCADLib.app.dependencies import DependencyError
from LungNoduleCADLib.app.progress import Progress
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.scene import add_volume_node
from LungNoduleCADLib.volume import Volume


@pytest.fixture(scope="module")
def chest() -> Volume:
    return chest_like()


@pytest.fixture
def installed() -> list[Path]:
    """The requirements files whose packages were asked for."""
    return []


@pytest.fixture
def module(installed: list[Path]) -> Iterator[Module]:
    """The module, entered, with an empty scene and runs that the test decides."""
    loaded = load_module(MODULE_FILE, makeRun=FakeRun, installer=installed.append)
    loaded.widget.enter()
    yield loaded
    loaded.widget.cleanup()
    slicer.mrmlScene.Clear()
    loaded.holder.deleteLater()


def texts(module: Module) -> dict[str, str]:
    """What the panel says."""
    names = ("detectButton", "verdictLabel", "statusLabel", "expectedLabel", "countsLabel")
    return {name: getattr(module.widget.ui, name).text() for name in names}


def is_visible(module: Module, name: str) -> bool:
    return not getattr(module.widget.ui, name).isHidden()


def state(module: Module) -> State:
    return module.widget.panel.state


def add(module: Module, volume: Volume, name: str = "CT") -> Any:
    """A volume in the scene, chosen as input."""
    node = add_volume_node(slicer.mrmlScene, volume, name)
    module.widget.ui.inputVolumeSelector.setCurrentNode(node)
    return node


def click_detect(module: Module) -> FakeRun:
    module.widget.ui.detectButton.click()
    return FakeRun.last


def detect(module: Module, folder: Path, scores: tuple[float, ...] = SCORES) -> Any:
    """Run to the end; returns the nodes."""
    run = click_detect(module)
    folder.mkdir(exist_ok=True)
    run.finish(folder, scores)
    module.widget.logic.poll()
    return module.widget.logic.detection(module.widget._parameterNode.inputVolume)


def set_threshold(module: Module, value: float) -> None:
    module.widget.ui.thresholdSlider.setProperty("value", value)


def table_column(module: Module, column: int = 0) -> list[str]:
    model = module.widget.ui.candidatesTable.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def class_counts() -> dict[str, int]:
    names = ("vtkMRMLMarkupsFiducialNode", "vtkMRMLSegmentationNode", "vtkMRMLTextNode", "vtkMRMLScalarVolumeNode")
    return {name: slicer.mrmlScene.GetNumberOfNodesByClass(name) for name in names}


# -- input ---------------------------------------------------------------------------------------------------------
def test_empty_scene_says_what_to_do_first(module: Module) -> None:
    assert state(module) is State.NO_INPUT
    assert not module.widget.ui.detectButton.isEnabled()
    assert "Load a chest CT" in texts(module)["statusLabel"]
    assert not is_visible(module, "candidatesCollapsibleButton")
    assert not is_visible(module, "progressBar")


def test_suitable_volume_can_be_searched(module: Module, chest: Volume) -> None:
    add(module, chest)
    assert state(module) is State.READY
    assert "Suitable" in texts(module)["verdictLabel"]
    assert module.widget.ui.detectButton.isEnabled()


def test_first_volume_of_the_scene_is_taken_on_entering(module: Module, chest: Volume) -> None:
    module.widget.exit()
    node = add_volume_node(slicer.mrmlScene, chest, "CT")
    module.widget.enter()
    assert module.widget.ui.inputVolumeSelector.currentNode() is node
    assert state(module) is State.READY


def test_thick_slices_are_warned_about_but_searched(module: Module) -> None:
    add(module, chest_like(slice_mm=2.5, depth=60))
    assert "2.5 mm" in texts(module)["verdictLabel"]
    assert state(module) is State.READY


def test_useless_volume_is_refused_with_the_reason(module: Module) -> None:
    add(module, chest_like(slice_mm=8.0, depth=30), "Thick")
    assert state(module) is State.REFUSED
    assert "Thick has slices of 8.0 mm" in texts(module)["verdictLabel"]
    assert not module.widget.ui.detectButton.isEnabled()


def test_volume_node_without_image_is_refused(module: Module) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    module.widget.ui.inputVolumeSelector.setCurrentNode(node)
    assert state(module) is State.REFUSED
    assert "Empty holds no image" in texts(module)["verdictLabel"]


# -- a run ---------------------------------------------------------------------------------------------------------
def test_detect_becomes_cancel_and_locks_the_input(module: Module, chest: Volume, installed: list[Path]) -> None:
    add(module, chest, "Mrs Smith")
    run = click_detect(module)
    assert run.started
    assert run.request.metadata["source"] == "Mrs Smith"
    assert (run.request.device, run.request.weights, run.request.outputs) == ("auto", None, None)
    assert [path.name for path in installed] == ["requirements.txt"]
    assert state(module) is State.RUNNING
    assert texts(module)["detectButton"] == "Cancel"
    assert not module.widget.ui.inputVolumeSelector.isEnabled()
    assert not module.widget.ui.settingsCollapsibleButton.isEnabled()
    assert is_visible(module, "progressBar")


def test_progress_shows_stage_percent_and_time_left(module: Module, chest: Volume) -> None:
    add(module, chest)
    run = click_detect(module)
    run.progress = Progress("segmentation", 0.42, 95.0)
    module.widget.logic.poll()
    assert texts(module)["statusLabel"] == "Searching slice by slice · 42 % · about 2 min left"
    assert is_visible(module, "statusLabel")
    assert module.widget.ui.progressBar.value() == 420


def test_progress_comes_by_the_timer(module: Module, chest: Volume) -> None:
    add(module, chest)
    click_detect(module).progress = Progress("grouping", 0.8, None)
    end = time.monotonic() + 5
    while module.widget.ui.progressBar.value() != 800 and time.monotonic() < end:
        module.process_events()
    assert module.widget.ui.progressBar.value() == 800


def test_scene_is_untouched_until_results_arrive_in_one_batch(module: Module, chest: Volume, tmp_path: Path) -> None:
    volume = add(module, chest)
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)  # in Slicer, every scene has one
    before = class_counts()
    run = click_detect(module)
    assert class_counts() == before
    batches: list[int] = []
    scene = slicer.mrmlScene
    tag = scene.AddObserver(scene.NodeAddedEvent, lambda *_: batches.append(scene.IsBatchProcessing()))
    run.finish(tmp_path)
    module.widget.logic.poll()
    scene.RemoveObserver(tag)
    assert batches
    assert all(batches)
    assert not scene.IsBatchProcessing()
    nodes = module.widget.logic.detection(volume)
    assert nodes.candidates.GetNumberOfControlPoints() == len(SCORES)
    assert nodes.segmentation.GetSegmentation().GetNumberOfSegments() == len(SCORES)
    role = nodes.segmentation.GetReferenceImageGeometryReferenceRole()
    assert nodes.segmentation.GetNodeReference(role) is volume


def test_finished_run_fills_the_table(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    detect(module, tmp_path)
    set_threshold(module, 0.5)
    assert state(module) is State.FINISHED
    assert texts(module)["detectButton"] == "Detect nodules"
    assert table_column(module, 0) == ["N1", "N2", "N3"]
    assert table_column(module, 1) == ["0.97", "0.81", "0.62"]
    assert table_column(module, 2) == ["6.2 mm", "11.5 mm", "4.8 mm"]
    assert table_column(module, 3) == ["solid"] * 3
    slices = [round(float(chest.lps_to_index(c.center_lps)[0])) + 1 for c in result_for(chest).candidates[:3]]
    assert table_column(module, 4) == [str(s) for s in slices]
    assert texts(module)["countsLabel"] == "3 of 5 candidates shown"


def test_run_without_candidates_says_so(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    detect(module, tmp_path, ())
    assert state(module) is State.FINISHED
    assert texts(module)["countsLabel"] == "No candidates were found."
    assert not is_visible(module, "candidatesTable")


def test_results_lie_on_the_volume_under_its_transform(module: Module, chest: Volume, tmp_path: Path) -> None:
    node = add(module, chest)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    nodes = detect(module, tmp_path)
    assert nodes.candidates.GetTransformNodeID() == transform.GetID()
    assert nodes.segmentation.GetTransformNodeID() == transform.GetID()
    x, y, z = result_for(chest).candidates[0].center_lps
    assert nodes.candidates.GetNthControlPointPosition(0) == pytest.approx((-x, -y, z))


def test_second_run_replaces_the_first(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    detect(module, tmp_path / "a")
    nodes = detect(module, tmp_path / "b", (0.9, 0.8))
    assert class_counts()["vtkMRMLMarkupsFiducialNode"] == 1
    assert class_counts()["vtkMRMLSegmentationNode"] == 1
    assert nodes.candidates.GetNumberOfControlPoints() == 2


def test_each_of_two_volumes_has_its_own_results(module: Module, chest: Volume, tmp_path: Path) -> None:
    first = add(module, chest, "first")
    detect(module, tmp_path / "a")
    second = add(module, chest, "second")
    assert state(module) is State.READY
    assert not is_visible(module, "candidatesCollapsibleButton")
    detect(module, tmp_path / "b", (0.9, 0.8))
    set_threshold(module, 0.0)
    assert len(table_column(module)) == 2
    module.widget.ui.inputVolumeSelector.setCurrentNode(first)
    assert len(table_column(module)) == len(SCORES)
    module.widget.ui.inputVolumeSelector.setCurrentNode(second)
    assert len(table_column(module)) == 2


# -- ways out of a run ---------------------------------------------------------------------------------------------
def test_cancel_leaves_the_scene_as_it_was(module: Module, chest: Volume) -> None:
    add(module, chest)
    before = class_counts()
    run = click_detect(module)
    click_detect(module)
    assert run.cancelled
    assert state(module) is State.CANCELLING
    assert not module.widget.ui.detectButton.isEnabled()
    run.outcome = Outcome.CANCELLED
    module.widget.logic.poll()
    assert state(module) is State.READY
    assert "Cancelled" in texts(module)["statusLabel"]
    assert class_counts() == before


def test_crashed_worker_shows_its_error_and_last_lines(
    module: Module, chest: Volume, caplog: pytest.LogCaptureFixture
) -> None:
    add(module, chest)
    with caplog.at_level(logging.ERROR):
        click_detect(module).fail("The detector ended unexpectedly (exit code -11).", "Segmentation fault at 0x0")
        module.widget.logic.poll()
    assert state(module) is State.FAILED
    assert "exit code -11" in texts(module)["statusLabel"]
    assert "Segmentation fault" in texts(module)["statusLabel"]
    assert "Segmentation fault" in caplog.text
    assert module.widget.ui.detectButton.isEnabled()


def test_run_after_a_failure_starts_clean(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    click_detect(module).fail("No lung was found in CT.")
    module.widget.logic.poll()
    detect(module, tmp_path)
    assert state(module) is State.FINISHED
    assert texts(module)["statusLabel"] == ""


def test_closing_the_scene_ends_the_run_and_drops_late_results(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    run = click_detect(module)
    slicer.mrmlScene.Clear()
    assert run.cancelled
    run.finish(tmp_path)  # it had just finished
    module.widget.logic.poll()
    assert state(module) is State.NO_INPUT
    assert not any(class_counts().values())


def test_removing_the_volume_drops_its_results(module: Module, chest: Volume, tmp_path: Path) -> None:
    volume = add(module, chest)
    run = click_detect(module)
    slicer.mrmlScene.RemoveNode(volume)
    run.finish(tmp_path)
    module.widget.logic.poll()
    assert state(module) is State.NO_INPUT
    assert not any(class_counts().values())


def test_leaving_the_module_does_not_end_the_run(module: Module, chest: Volume, tmp_path: Path) -> None:
    volume = add(module, chest)
    run = click_detect(module)
    module.widget.exit()
    run.finish(tmp_path)
    module.widget.logic.poll()
    assert module.widget.logic.detection(volume) is not None
    module.widget.enter()
    assert state(module) is State.FINISHED


def test_cleanup_and_quitting_wait_for_the_worker_to_end(module: Module, chest: Volume) -> None:
    add(module, chest)
    run = click_detect(module)
    slicer.app.aboutToQuit.emit()
    assert (run.cancelled, run.waited) == (True, True)
    run = FakeRun(chest, run.request)
    module.widget.logic._run = run
    module.widget.cleanup()
    assert (run.cancelled, run.waited) == (True, True)
    module.widget.setup()  # the fixture cleans up once more


def test_declined_installation_starts_nothing(chest: Volume) -> None:
    def decline(requirements: Path) -> None:
        raise DependencyError("PyTorch was not installed; the detector cannot run without it.")

    module = load_module(MODULE_FILE, makeRun=FakeRun, installer=decline)
    module.widget.enter()
    add(module, chest)
    module.widget.ui.detectButton.click()
    assert state(module) is State.FAILED
    assert "PyTorch was not installed" in texts(module)["statusLabel"]
    assert not module.widget.logic.isRunning
    assert slicer.app.cursors == 0
    module.widget.cleanup()
    slicer.mrmlScene.Clear()


def test_settings_reach_the_run(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    ui = module.widget.ui
    end = time.monotonic() + 10
    while not module.widget.panel._devices.is_done and time.monotonic() < end:
        module.process_events()
    ui.deviceComboBox.setCurrentIndex(ui.deviceComboBox.findText("CPU"))
    module.widget.panel.onDevicesTimer()  # the driver's answer keeps the user's choice
    weights = str(write_card(tmp_path / "weights"))
    ui.weightsPathLineEdit.setProperty("currentPath", weights)
    ui.outputPathLineEdit.setProperty("currentPath", str(tmp_path / "reports"))
    request = click_detect(module).request
    assert (request.device, request.weights, request.outputs) == ("cpu", weights, str(tmp_path / "reports"))


def test_folder_without_weights_is_refused_before_the_run(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    module.widget.ui.weightsPathLineEdit.setProperty("currentPath", str(tmp_path))
    module.widget.ui.detectButton.click()
    assert state(module) is State.FAILED
    assert "has no segmentation.json" in texts(module)["statusLabel"]


# -- threshold and table -------------------------------------------------------------------------------------------
def test_threshold_shows_and_hides_points_segments_and_rows(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    nodes = detect(module, tmp_path)
    for threshold, count in ((0.0, 5), (0.7, 2), (1.0, 0), (0.35, 4), (0.5, 3)):
        set_threshold(module, threshold)
        expected = [f"N{n + 1}" for n in range(count)]
        assert table_column(module) == expected
        assert points_shown(nodes) == expected
        assert segments_shown(nodes) == expected
    assert FakeRun.last.outcome is Outcome.FINISHED  # no other run was made


def test_threshold_follows_five_hundred_candidates_at_once(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    nodes = detect(module, tmp_path, tuple(1 - n / 500 for n in range(500)))
    set_threshold(module, 1.0)
    started = time.process_time()
    set_threshold(module, 0.0)
    module.process_events()
    elapsed = time.process_time() - started
    assert len(table_column(module)) == len(points_shown(nodes)) == 500
    assert elapsed < 0.05


def test_expected_performance_follows_the_threshold(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    weights = write_card(tmp_path / "weights")
    module.widget.ui.weightsPathLineEdit.setProperty("currentPath", str(weights))
    detect(module, tmp_path / "result")
    set_threshold(module, 0.5)
    assert texts(module)["expectedLabel"] == "90 % of nodules, 1.0 false positives a scan"
    set_threshold(module, 0.7)
    assert texts(module)["expectedLabel"] == "80 % of nodules, 0.6 false positives a scan"
    set_threshold(module, 0.99)
    assert texts(module)["expectedLabel"] == "Not measured at this threshold."


def test_preset_button_takes_the_cards_threshold(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    weights = write_card(tmp_path / "weights", default_threshold=0.8)
    module.widget.ui.weightsPathLineEdit.setProperty("currentPath", str(weights))
    detect(module, tmp_path / "result")
    module.widget.ui.presetButton.click()
    assert module.widget.ui.thresholdSlider.property("value") == pytest.approx(0.8)
    assert table_column(module) == ["N1", "N2"]


def test_columns_sort_by_number_not_by_text(module: Module, chest: Volume, tmp_path: Path) -> None:
    from PySide6.QtCore import Qt

    add(module, chest)
    detect(module, tmp_path)
    set_threshold(module, 0.0)
    module.widget.ui.candidatesTable.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    assert table_column(module, 2) == [f"{d} mm" for d in (4.8, 6.2, 9.1, 11.5, 20.3)]


def test_selected_row_is_shown_in_all_slice_views(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    nodes = detect(module, tmp_path)
    views = []
    for name in ("Red", "Green", "Yellow"):
        view = slicer.vtkMRMLSliceNode()
        view.SetLayoutName(name)
        views.append(slicer.mrmlScene.AddNode(view))
    set_threshold(module, 0.5)
    table = module.widget.ui.candidatesTable
    table.selectRow(2)
    position = nodes.candidates.GetNthControlPointPosition(2)
    for view in views:
        matrix = view.GetSliceToRAS()
        assert [matrix.GetElement(row, 3) for row in range(3)] == pytest.approx(position)
    # The row vanishes; another becomes current, but nobody asked to look elsewhere.
    set_threshold(module, 0.7)
    assert [views[0].GetSliceToRAS().GetElement(row, 3) for row in range(3)] == pytest.approx(position)


def test_points_and_segments_removed_by_the_user_do_no_harm(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    nodes = detect(module, tmp_path)
    nodes.segmentation.GetSegmentation().RemoveSegment("N2")
    nodes.candidates.RemoveNthControlPoint(0)
    set_threshold(module, 0.0)
    assert points_shown(nodes) == ["N2", "N3", "N4", "N5"]
    assert segments_shown(nodes) == ["N1", "N3", "N4", "N5"]
    assert not module.widget.logic.jumpTo(nodes, "N1")
    slicer.mrmlScene.RemoveNode(nodes.candidates)
    set_threshold(module, 0.9)
    assert segments_shown(nodes) == ["N1"]
    slicer.mrmlScene.RemoveNode(nodes.record)
    assert state(module) is State.READY


# -- life of the module --------------------------------------------------------------------------------------------
def test_threshold_and_results_come_back_with_a_saved_scene(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    (tmp_path / "result").mkdir()
    detect(module, tmp_path / "result")
    set_threshold(module, 0.7)
    bundle = tmp_path / "scene.mrb"
    former = Path.cwd()
    os.chdir(tmp_path)  # where Slicer unpacks
    try:
        assert slicer.mrmlScene.WriteToMRB(str(bundle), None)
        slicer.mrmlScene.Clear()
        assert state(module) is State.NO_INPUT
        folder = tmp_path / "unpacked"
        folder.mkdir()
        file = slicer.app.applicationLogic().UnpackSlicerDataBundle(str(bundle), str(folder))
        slicer.mrmlScene.SetURL(file)
        slicer.mrmlScene.Import()
    finally:
        os.chdir(former)
    assert state(module) is State.FINISHED
    assert module.widget.ui.thresholdSlider.property("value") == pytest.approx(0.7)
    assert table_column(module) == ["N1", "N2"]
    nodes = module.widget.logic.detection(module.widget._parameterNode.inputVolume)
    set_threshold(module, 0.5)
    assert points_shown(nodes) == ["N1", "N2", "N3"]
    assert segments_shown(nodes) == ["N1", "N2", "N3"]


def test_closed_scene_leaves_no_results_in_the_panel(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    detect(module, tmp_path)
    slicer.mrmlScene.Clear()
    assert state(module) is State.NO_INPUT
    assert table_column(module) == []


def test_script_without_panel_can_do_the_same(chest: Volume, tmp_path: Path) -> None:
    class Immediate(FakeRun):
        def start(self) -> None:
            self.finish(tmp_path)

    module = load_module(MODULE_FILE, makeRun=Immediate)
    logic = module.widget.logic
    node = add_volume_node(slicer.mrmlScene, chest, "CT")
    nodes = logic.detect(node)
    rows = logic.candidates(nodes)
    assert [row.score for row in rows] == list(SCORES)
    logic.showCandidates(nodes, {row.label: row.id == 2 for row in rows})
    assert points_shown(nodes) == ["N2"]
    module.widget.cleanup()
    slicer.mrmlScene.Clear()


def test_sample_data_offers_phantom_and_public_chest(
    module: Module, chest: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = {entry["sampleName"]: entry for entry in sys.modules["SampleData"].SampleDataLogic.registered}
    assert set(registered) == {"ChestPhantom", "CTChest"}
    assert all(Path(entry["thumbnailFileName"]).is_file() for entry in registered.values())
    phantom = SimpleNamespace(volume=chest)  # the simulation has tests of its own, and takes half a minute
    monkeypatch.setattr("LungNoduleCADLib.simulation.make_phantom", lambda **settings: phantom)
    [node] = registered["ChestPhantom"]["customDownloader"](None)
    assert slicer.mrmlScene.IsNodePresent(node)
    module.widget.ui.inputVolumeSelector.setCurrentNode(node)
    assert state(module) is State.READY


def test_module_loads_without_the_packages_that_slicer_lacks() -> None:
    """A module that fails to import never shows up in Slicer, and its user sees nothing."""
    code = (
        "import sys; from pathlib import Path; from host import load_module;"
        f"load_module(Path({str(MODULE_FILE)!r}));"
        "print([n for n in ('torch', 'pywt', 'pydicom', 'highdicom', 'safetensors', 'matplotlib', 'PIL', 'skimage')"
        " if n in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(MODULE_FILE.parents[1] / "Testing")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stderr
