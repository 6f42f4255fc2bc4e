"""Choosing what to search: volumes, their check, warnings and how they are overridden, device, weights, outputs."""

from __future__ import annotations

import html
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module, enter_module, leave_module, load_module

from gui.driving import add, choose, click_detect, detect, is_visible, set_threshold, state, texts, wait_until
from gui.driving import table_column as column
from gui.module_inputs import MODULE_FILE, FakeRun, chest_like, write_card
from LungNoduleCADLib.app.devices import DeviceChoice
from LungNoduleCADLib.app.jobs import DetectionRequest
from LungNoduleCADLib.app.module import input_check
from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.app.verdict import InputVerdict, check_input
from LungNoduleCADLib.scene import add_volume_node
from LungNoduleCADLib.volume import Volume


def test_empty_scene_says_what_to_do_first(module: Module) -> None:
    assert state(module) is State.NO_INPUT
    assert not module.widget.ui.detectButton.property("enabled")
    assert "Load a chest CT" in texts(module)["statusLabel"]
    for name in ("candidatesCollapsibleButton", "viewingCollapsibleButton", "progressBar", "overrideCheckBox"):
        assert not is_visible(module, name)


def test_suitable_volume_can_be_searched(module: Module, chest: Volume) -> None:
    add(module, chest)
    assert state(module) is State.READY
    assert "Suitable" in texts(module)["verdictLabel"]
    assert module.widget.ui.detectButton.property("enabled")
    assert not is_visible(module, "overrideCheckBox")


def test_first_volume_of_the_scene_is_taken_on_entering(module: Module, chest: Volume) -> None:
    leave_module(module)
    node = add_volume_node(slicer.mrmlScene, chest, "CT")
    enter_module(module)
    assert module.widget.ui.inputVolumeSelector.currentNode() is node
    wait_until(module, lambda: state(module) is State.READY)


def test_check_works_beside_the_user_interface(module: Module, chest: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, threads = threading.Event(), []

    def check(volume: Volume) -> InputVerdict:
        threads.append(threading.current_thread())
        go_on.wait(60)
        return check_input(volume)

    monkeypatch.setattr(module.widget.panel._check, "_check", check)
    node = add_volume_node(slicer.mrmlScene, chest, "CT")
    module.widget.ui.inputVolumeSelector.setCurrentNode(node)
    assert state(module) is State.CHECKING
    assert "Checking" in texts(module)["verdictLabel"]
    assert not module.widget.ui.detectButton.property("enabled")
    module.widget.ui.inputVolumeSelector.setCurrentNode(None)  # meanwhile the user thinks better of it
    assert state(module) is State.NO_INPUT
    go_on.set()
    choose(module, node)
    assert state(module) is State.READY
    assert threading.main_thread() not in threads


def test_check_that_fails_is_no_approval(module: Module, chest: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(volume: Volume) -> InputVerdict:
        raise MemoryError

    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    monkeypatch.setattr(module.widget.panel._check, "_check", check)
    add(module, chest)
    assert state(module) is State.REFUSED
    assert input_check.FAULT in texts(module)["verdictLabel"]


def test_volume_that_changes_is_checked_again(module: Module, chest: Volume) -> None:
    node = add(module, chest)
    assert state(module) is State.READY
    node.SetSpacing(1.19, 1.19, 8.0)
    module.widget.panel.refresh(node)
    wait_until(module, lambda: state(module) is State.REFUSED)
    assert "8.0 mm" in texts(module)["verdictLabel"]


def test_warnings_must_be_overridden_and_are_carried_into_the_run(module: Module) -> None:
    ui = module.widget.ui
    add(module, chest_like(slice_mm=2.5, depth=60))
    assert "2.5 mm" in texts(module)["verdictLabel"]
    assert not ui.detectButton.property("enabled")
    assert "tick the box" in ui.detectButton.property("toolTip")
    ui.overrideCheckBox.click()
    assert ui.detectButton.property("enabled")
    run = click_detect(module)
    assert run.request.warnings_overridden
    assert not ui.overrideCheckBox.property("enabled")


def test_overriding_one_volumes_warnings_says_nothing_of_the_next(module: Module, chest: Volume) -> None:
    first = add(module, chest_like(slice_mm=2.5, depth=60), "first")
    module.widget.ui.overrideCheckBox.click()
    add(module, chest_like(slice_mm=2.0, depth=70), "second")
    assert not module.widget.ui.detectButton.property("enabled")
    choose(module, first)
    assert not module.widget.ui.detectButton.property("enabled")
    add(module, chest, "third")
    assert not click_detect(module).request.warnings_overridden


def test_useless_volume_is_refused_with_the_reason(module: Module) -> None:
    add(module, chest_like(slice_mm=8.0, depth=30), "Thick")
    assert state(module) is State.REFUSED
    assert "Thick has slices of 8.0 mm" in texts(module)["verdictLabel"]
    assert not module.widget.ui.detectButton.property("enabled")
    assert not is_visible(module, "overrideCheckBox")  # nobody can override a refusal


def test_volume_node_without_image_is_refused(module: Module) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    module.widget.ui.inputVolumeSelector.setCurrentNode(node)
    assert state(module) is State.REFUSED
    assert "Empty holds no image" in texts(module)["verdictLabel"]


def test_each_of_two_volumes_has_its_own_results(module: Module, chest: Volume, tmp_path: Path) -> None:
    first = add(module, chest, "first")
    detect(module, tmp_path / "a")
    second = add(module, chest, "second")
    assert state(module) is State.READY
    assert not is_visible(module, "candidatesCollapsibleButton")
    detect(module, tmp_path / "b", (0.9, 0.8))
    set_threshold(module, 0.0)
    assert len(column(module)) == 2
    choose(module, first)
    assert len(column(module)) == 5
    choose(module, second)
    assert len(column(module)) == 2


# -- settings ------------------------------------------------------------------------------------------------------
def with_devices(devices: list[DeviceChoice]) -> Module:
    module = load_module(MODULE_FILE, makeRun=FakeRun, installer=lambda path: None)
    module.widget.panel.devices.find = lambda: devices
    enter_module(module)
    wait_until(module, lambda: not module.widget.panel.devices.isAsking)
    return module


def device_names(module: Module) -> list[str]:
    box = module.widget.ui.deviceComboBox
    return [box.itemText(n) for n in range(box.property("count"))]


def test_each_gpu_is_offered_with_its_free_memory() -> None:
    sure = [DeviceChoice("auto"), DeviceChoice("cpu")]
    module = with_devices([*sure, DeviceChoice("cuda:0", "RTX 4000", 6349), DeviceChoice("cuda:1", "T4", 512)])
    assert device_names(module) == [
        "Automatic (GPU when there is one)", "CPU", "RTX 4000 (cuda:0), 6.2 GB free", "T4 (cuda:1), 0.5 GB free",
    ]  # fmt: skip
    module.widget.ui.deviceComboBox.setProperty("currentIndex", 3)
    module.widget.panel.devices.find = lambda: [*sure, DeviceChoice("cuda:1", "T4", 15000)]
    leave_module(module)
    enter_module(module)  # what is free has changed, the choice has not
    wait_until(module, lambda: not module.widget.panel.devices.isAsking)
    assert module.widget.ui.deviceComboBox.property("currentText") == "T4 (cuda:1), 14.6 GB free"
    module.close()


def test_driver_that_fails_leaves_the_cpu() -> None:
    module = load_module(MODULE_FILE, makeRun=FakeRun, installer=lambda path: None)

    def fail() -> list[DeviceChoice]:
        raise OSError("no driver")

    hook, threading.excepthook = threading.excepthook, lambda arguments: None
    try:
        module.widget.panel.devices.find = fail
        enter_module(module)
        wait_until(module, lambda: not module.widget.panel.devices.isAsking)
    finally:
        threading.excepthook = hook
    assert device_names(module) == ["Automatic (GPU when there is one)", "CPU"]
    module.close()


def test_settings_reach_the_run(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    ui = module.widget.ui
    wait_until(module, lambda: not module.widget.panel.devices.isAsking)
    ui.deviceComboBox.setProperty("currentIndex", ui.deviceComboBox.findText("CPU"))
    weights = str(write_card(tmp_path / "weights"))
    ui.weightsPathLineEdit.setProperty("currentPath", weights)
    ui.outputPathLineEdit.setProperty("currentPath", str(tmp_path / "reports"))
    request = click_detect(module).request
    assert (request.device, request.weights, request.outputs) == ("cpu", weights, str(tmp_path / "reports"))


def test_chosen_weights_are_named_and_noticed(module: Module, tmp_path: Path) -> None:
    ui = module.widget.ui
    assert texts(module)["modelLabel"].startswith("LungNoduleCAD")
    assert ui.settingsCollapsibleButton.property("text") == "Settings"
    ui.weightsPathLineEdit.setProperty("currentPath", str(write_card(tmp_path / "weights")))
    assert texts(module)["modelLabel"] == "Test network 2.1"
    assert ui.settingsCollapsibleButton.property("text") == "Settings (other weights)"


def test_folder_without_weights_is_refused_at_once_and_before_the_run(
    module: Module, chest: Volume, tmp_path: Path
) -> None:
    add(module, chest)
    module.widget.ui.weightsPathLineEdit.setProperty("currentPath", str(tmp_path))
    assert "has no segmentation.json" in texts(module)["modelLabel"]
    module.widget.ui.detectButton.click()
    assert state(module) is State.FAILED
    assert "has no segmentation.json" in texts(module)["statusLabel"]


def test_a_forest_that_the_card_asks_for_is_missed_at_once(module: Module, tmp_path: Path) -> None:
    weights = write_card(tmp_path / "weights")
    path = weights / "classification.json"
    card = {**json.loads(path.read_text()), "calibration": {"method": "platt", "slope": 1.0, "forest_slope": 0.9}}
    path.write_text(json.dumps(card))
    module.widget.ui.weightsPathLineEdit.setProperty("currentPath", str(weights))
    said = f"The folder {weights} has no appearance.json; choose the detector's folder."
    assert said in html.unescape(texts(module)["modelLabel"])
    assert DetectionRequest(weights=str(weights)).is_valid() == (False, said)
    (weights / "appearance.json").write_text("{}")
    assert DetectionRequest(weights=str(weights)).is_valid() == (True, "")
    (weights / "appearance.json").unlink()
    path.write_text(json.dumps({**card, "calibration": {"method": "platt", "slope": 1.0}}))
    assert DetectionRequest(weights=str(weights)).is_valid() == (True, "")


def test_former_paths_are_offered_but_never_used_unawares(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    weights = str(write_card(tmp_path / "weights"))
    module.widget.ui.weightsPathLineEdit.setProperty("currentPath", weights)
    module.widget.ui.outputPathLineEdit.setProperty("currentPath", str(tmp_path / "reports"))
    click_detect(module)
    later = load_module(MODULE_FILE, makeRun=FakeRun, installer=lambda path: None)

    def history(name: str) -> list[Any]:
        box = getattr(later.widget.ui, name)._edit
        return [box.itemText(n) for n in range(box.property("count"))]

    assert later.widget.ui.weightsPathLineEdit.property("currentPath") == ""
    assert later.widget.ui.outputPathLineEdit.property("currentPath") == ""
    assert history("weightsPathLineEdit") == [weights]
    assert history("outputPathLineEdit") == [str(tmp_path / "reports")]
    later.close()
