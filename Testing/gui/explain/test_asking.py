"""The Explain menu: what it asks, cancels and says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module, enter_module, leave_module, load_module

from gui.driving import add, class_counts, detect, is_visible, select_row, set_threshold, wait_until
from gui.explaining import ENTRIES, FakeExplanation, choose, entries, explain, text, ui
from gui.module_inputs import MODULE_FILE, FakeRun
from LungNoduleCADLib.app.dependencies import DependencyError
from LungNoduleCADLib.app.explanation_folder import FEATURE_MAPS_FILE, FILM_FILE, OVERLAY_FILE
from LungNoduleCADLib.app.module.explaining import GRADIENTS, OCCLUSION
from LungNoduleCADLib.app.progress import Progress
from LungNoduleCADLib.errors import InputError, LungNoduleCADError
from LungNoduleCADLib.scene import add_volume_node
from LungNoduleCADLib.volume import Volume


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


def test_a_failure_is_said_once_and_stays_to_be_read(module: Module, nodes: Any, errors: list[str]) -> None:
    run = choose(module, ENTRIES[0])
    assert run is not None
    run.fail("The detection was made with other weights (x); choose their folder under Settings.", "last words")
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    assert errors == [run.error]
    assert "other weights" in text(ui(module).explainingLabel) and is_visible(module, "explainingWidget")
    assert not is_visible(module, "cancelExplanationButton")
    select_row(module, "N2")
    assert not is_visible(module, "explainingWidget"), "it was about another finding"


@pytest.mark.parametrize("which", ["_installer", "installExplanationPackages"])
def test_a_declined_installation_is_said_and_nothing_starts(
    module: Module, nodes: Any, monkeypatch: pytest.MonkeyPatch, errors: list[str], which: str
) -> None:
    def decline(path: Path) -> None:
        raise DependencyError("torch could not be installed; the Python console shows why.")

    monkeypatch.setattr(module.widget.logic, which, decline)
    assert choose(module, ENTRIES[0]) is None
    assert errors == ["torch could not be installed; the Python console shows why."]
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
