"""A run and every way out of it: results, cancel, failure, declined installation, a scene that is closed."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module, enter_module, leave_module, load_module

from gui.driving import (
    add,
    class_counts,
    click_detect,
    detect,
    detected,
    end_run,
    is_visible,
    set_threshold,
    state,
    table_column,
    texts,
    wait_until,
)
from gui.module_inputs import MODULE_FILE, SCORES, FakeRun, result_for
from LungNoduleCADLib.app.dependencies import DependencyError
from LungNoduleCADLib.app.module.logic import NOT_ADDED
from LungNoduleCADLib.app.progress import STAGE_SHARES, Progress
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.volume import Volume


def test_detect_becomes_cancel_and_locks_the_input(module: Module, chest: Volume, installed: list[Path]) -> None:
    add(module, chest, "Mrs Smith")
    run = click_detect(module)
    assert run.started
    assert run.request.metadata["source"] == "Mrs Smith"
    assert (run.request.device, run.request.weights, run.request.outputs) == ("auto", None, None)
    assert [path.name for path in installed] == ["requirements.txt"]
    assert state(module) is State.RUNNING
    assert texts(module)["detectButton"] == "Cancel"
    assert not module.widget.ui.inputVolumeSelector.property("enabled")
    assert not module.widget.ui.settingsCollapsibleButton.property("enabled")
    assert is_visible(module, "progressBar")


def test_progress_shows_stage_percent_and_time_left(module: Module, chest: Volume) -> None:
    add(module, chest)
    run = click_detect(module)
    run.progress = Progress("segmentation", 0.42, 95.0)
    module.widget.logic.poll()
    assert texts(module)["statusLabel"] == "Searching slice by slice · 42 % · about 2 min left"
    assert is_visible(module, "statusLabel")
    assert module.widget.ui.progressBar.property("value") == 420


def test_progress_comes_by_the_timer(module: Module, chest: Volume) -> None:
    add(module, chest)
    click_detect(module).progress = Progress("grouping", 0.8, None)
    wait_until(module, lambda: module.widget.ui.progressBar.property("value") == 800)


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
    end_run(module)
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
    assert table_column(module, "Nodule") == ["N1", "N2", "N3"]
    assert table_column(module, "Score") == ["0.97", "0.81", "0.62"]
    assert table_column(module, "Ø mm") == ["6.2", "11.5", "4.8"]
    assert table_column(module, "Type") == ["solid", "part-solid", "solid"]
    slices = [round(float(chest.lps_to_index(c.center_lps)[0])) + 1 for c in result_for(chest).candidates[:3]]
    assert table_column(module, "Slice") == [str(s) for s in slices]
    assert texts(module)["countsLabel"] == "3 of 5 candidates shown"


def test_run_without_candidates_says_so(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    detect(module, tmp_path, ())
    assert state(module) is State.FINISHED
    assert texts(module)["countsLabel"] == "No candidates were found."
    for name in ("candidatesTable", "filterWidget", "nextButton", "viewingCollapsibleButton"):
        assert not is_visible(module, name)


def test_warnings_of_the_result_are_shown_with_it(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    detect(module, tmp_path / "a")
    assert not is_visible(module, "warningsLabel")
    detect(module, tmp_path / "b", warnings=("The GPU's memory was short; the CPU took over.",))
    assert is_visible(module, "warningsLabel")
    assert "the CPU took over" in texts(module)["warningsLabel"]


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


# -- ways out ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stage", list(STAGE_SHARES))
def test_cancel_at_any_stage_leaves_the_scene_as_it_was(module: Module, chest: Volume, stage: str) -> None:
    add(module, chest)
    before = class_counts()
    run = click_detect(module)
    run.progress = Progress(stage, 0.3, None)
    module.widget.logic.poll()
    assert stage not in texts(module)["statusLabel"]  # each has a name for people
    click_detect(module)
    assert run.cancelled
    assert state(module) is State.CANCELLING
    assert texts(module)["detectButton"] == "Cancelling…"
    assert not module.widget.ui.detectButton.property("enabled")
    run.progress = Progress("writing", 0.9, None)
    module.widget.logic.poll()  # what the worker still says is not shown any more
    assert "Ending" in texts(module)["statusLabel"]
    run.outcome = Outcome.CANCELLED
    module.widget.logic.poll()
    assert state(module) is State.READY
    assert "Cancelled" in texts(module)["statusLabel"]
    assert class_counts() == before


def test_cancel_while_the_results_are_made_ready_drops_them(
    module: Module, chest: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr("LungNoduleCADLib.app.module.logic.prepare_detection", lambda *_: go_on.wait(60))
    add(module, chest)
    before = class_counts()
    click_detect(module).finish(tmp_path)
    module.widget.logic.poll()
    assert state(module) is State.RUNNING
    click_detect(module)
    module.widget.logic.poll()
    go_on.set()
    assert state(module) is State.READY
    assert class_counts() == before


def test_result_that_cannot_be_added_is_a_failure(
    module: Module, chest: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    monkeypatch.setattr("LungNoduleCADLib.app.module.logic.prepare_detection", lambda *_: 1 / 0)
    add(module, chest)
    before = class_counts()
    click_detect(module).finish(tmp_path)
    end_run(module)
    assert state(module) is State.FAILED
    assert NOT_ADDED in texts(module)["statusLabel"]
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
    assert module.widget.ui.detectButton.property("enabled")


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
    module.process_events()
    assert state(module) is State.NO_INPUT
    assert not any(class_counts().values())


def test_leaving_the_module_does_not_end_the_run(module: Module, chest: Volume, tmp_path: Path) -> None:
    volume = add(module, chest)
    run = click_detect(module)
    leave_module(module)
    run.finish(tmp_path)
    end_run(module)
    assert module.widget.logic.detection(volume) is not None
    enter_module(module)
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


def failing_install(error: Exception) -> Any:
    def install(requirements: Path) -> None:
        raise error

    return install


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            DependencyError("PyTorch was not installed; the detector cannot run without it."),
            "PyTorch was not installed",
        ),
        (DependencyError("safetensors could not be installed; the Python console shows why."), "safetensors could not"),
    ],
)
def test_declined_or_failed_installation_starts_nothing(chest: Volume, error: Exception, text: str) -> None:
    module = load_module(MODULE_FILE, makeRun=FakeRun, installer=failing_install(error))
    enter_module(module)
    add(module, chest)
    module.widget.ui.detectButton.click()
    assert state(module) is State.FAILED
    assert text in texts(module)["statusLabel"]
    assert not module.widget.logic.isRunning
    assert slicer.app.cursors == 0
    assert module.widget.ui.detectButton.property("enabled")  # they may think better of it
    module.close()
    slicer.mrmlScene.Clear()


def test_nothing_is_installed_before_the_click(module: Module, chest: Volume, installed: list[Path]) -> None:
    add(module, chest)
    leave_module(module)
    enter_module(module)
    assert installed == []
    click_detect(module)
    assert len(installed) == 1


def test_unforeseen_fault_while_starting_is_reported_and_leaves_no_wait_cursor(chest: Volume) -> None:
    """Slicer shows what escapes from a button; a test must see it."""
    module = load_module(MODULE_FILE, makeRun=FakeRun, installer=failing_install(ValueError("boom")))
    enter_module(module)
    add(module, chest)
    with pytest.raises(ValueError, match="boom"):
        module.widget.panel.onDetectButton()
    assert slicer.app.cursors == 0
    assert state(module) is State.READY
    module.close()
    slicer.mrmlScene.Clear()


def test_closing_a_scene_with_many_candidates_takes_no_time(module: Module, chest: Volume, tmp_path: Path) -> None:
    """Slicer takes segments out of a common label map one by one: a minute and more for 100 on a whole scan."""
    add(module, chest)
    nodes = detect(module, tmp_path, tuple(1 - n / 300 for n in range(300)))
    started = time.process_time()
    slicer.mrmlScene.Clear()
    nodes = None  # noqa: F841 - the last hold on the segmentation
    assert time.process_time() - started < 0.5


def test_removing_a_segmentation_with_many_candidates_takes_no_time(
    module: Module, chest: Volume, tmp_path: Path
) -> None:
    add(module, chest)
    nodes = detect(module, tmp_path, tuple(1 - n / 300 for n in range(300)))
    started = time.process_time()
    slicer.mrmlScene.RemoveNode(nodes.segmentation)
    nodes = None
    assert time.process_time() - started < 0.5
    assert detected(module).segmentation is None


def test_failed_pip_is_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Slicer's installer raises `CalledProcessError` when pip fails."""
    import sys
    import types

    from LungNoduleCADLib.app import dependencies

    def pip_ensure(requirements: list[str], requester: str = "") -> None:
        raise subprocess.CalledProcessError(1, "pip")

    packaging = types.ModuleType("slicer.packaging")
    packaging.pip_ensure = pip_ensure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    monkeypatch.setattr(dependencies, "is_torch_missing", lambda: False)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("no-such-package-of-ours>=1\n")
    with pytest.raises(DependencyError, match="could not be installed"):
        dependencies.ensure_dependencies(requirements)
