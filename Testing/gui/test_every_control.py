"""Every control of the panel: some test of its own drives it, and in no state of the module does it end in a fault."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args
from xml.etree import ElementTree

import pytest
import qt
import slicer
from host import Module
from host.widgets import ctkPathLineEdit, ctkSliderWidget, qMRMLNodeComboBox
from PySide6 import QtWidgets

from gui.driving import add, click_detect, detect, headings, select_row, set_threshold, show_views, state, wait_until
from gui.explaining import FakeExplanation
from gui.exporting import BOXES, FakeExport
from gui.module_inputs import MODULE_FILE
from LungNoduleCADLib.app.module.shortcuts import KEYS
from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.review.state import RejectReason
from LungNoduleCADLib.volume import Volume

UI_FILE = MODULE_FILE.parent / "Resources" / "UI" / "LungNoduleCAD.ui"
ONLY_SHOWN = {"QLabel", "QWidget", "QProgressBar", "qMRMLWidget", "ctkCollapsibleButton"}
"""Classes that show something, or hold and fold others."""
TICKED_BY_FORMAT = {f"{name}CheckBox" for name in BOXES}
"""What `test_export` ticks under a name that it puts together."""


def controls() -> list[str]:
    """Names of what a user can press, choose or write in."""
    widgets = ElementTree.parse(UI_FILE).iter("widget")
    return [str(w.get("name")) for w in widgets if w.get("class") not in ONLY_SHOWN]


def other_tests() -> str:
    """The source of all other tests of the module."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.rglob("*.py"))
                     if path != Path(__file__))  # fmt: skip


def test_every_control_is_driven_by_a_test_of_its_own() -> None:
    source = other_tests()
    assert len(controls()) > 80
    alone = [name for name in controls() if not re.search(rf"\b{name}\b", source)]
    assert set(alone) <= TICKED_BY_FORMAT, "no test touches these"


def test_every_menu_entry_and_key_is_driven_by_a_test_of_its_own(detected: Module) -> None:
    source, ui = other_tests(), detected.widget.ui
    entries = [str(action.property("text")) for action in ui.explainButton.menu().actions()]
    assert len(entries) == 5 and [entry for entry in entries if f'"{entry}"' not in source] == []
    pressed = set(re.findall(r'press\(\w+, "(\w)"\)', source)) | set(
        "".join(re.findall(r"for key in \(([^)]*)\)", source))
    )
    assert {key.lower() for key in KEYS.values()} <= pressed


def test_every_entry_of_the_reject_menu_gives_its_own_reason(detected: Module) -> None:
    logic, actions = detected.widget.logic, detected.widget.ui.rejectButton.menu().actions()
    nodes = detected.widget.panel._nodes
    for action in actions:
        select_row(detected, "N1")
        detected.widget.ui.commentLineEdit.setProperty("text", "as last year")  # 'other' wants one
        action.trigger()
        assert logic.trail(nodes)[-1].event.change.reason == action.data()
        detected.widget.ui.undoButton.click()
    assert [action.data() for action in actions] == list(get_args(RejectReason))


def test_every_entry_of_the_columns_menu_shows_and_hides_its_column(detected: Module) -> None:
    for action in detected.widget.ui.columnsButton.menu().actions():
        title, before = str(action.property("text")), headings(detected)
        action.trigger()
        assert (title in before) != (title in headings(detected)), title


def test_every_widget_that_shows_nodes_is_given_the_scene() -> None:
    """In Slicer by a connection of the `.ui` file; the host's double does without."""
    tree = ElementTree.parse(UI_FILE)
    asking = {w.get("name") for w in tree.iter("widget") if str(w.get("class")).startswith("qMRML")} - {"LungNoduleCAD"}
    ends = [{end.tag: end.text for end in connection} for connection in tree.iter("connection")]
    given = {end["receiver"] for end in ends if (end["sender"], end["signal"], end["slot"]) ==
             ("LungNoduleCAD", "mrmlSceneChanged(vtkMRMLScene*)", "setMRMLScene(vtkMRMLScene*)")}  # fmt: skip
    assert len(asking) == 2 and given == asking


# -- a walk over all of them -----------------------------------------------------------------------------------------
@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What no user can mend: errors that leave a slot. What a user can mend is said in a dialog."""
    caught: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: caught.append(error))
    return caught


@pytest.fixture
def quiet(module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """The module without anything that leaves this process, and a user who agrees to everything."""
    logic = module.widget.logic
    logic.makeExportRun, logic.makeExplanationRun = FakeExport, FakeExplanation
    logic.installPackages = logic.installExplanationPackages = lambda path: None
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda *_, **__: None)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_, **__: True)
    monkeypatch.setattr(slicer.util, "selectModule", lambda *_: None)
    monkeypatch.setattr(qt, "QFileDialog", SimpleNamespace(getExistingDirectory=lambda *_: str(tmp_path)))
    show_views()
    module.widget.ui.reportPathLineEdit.setProperty("currentPath", str(tmp_path / "reports"))
    return module


@pytest.fixture
def detected(quiet: Module, chest: Volume, tmp_path: Path) -> Iterator[Module]:
    add(quiet, chest)
    quiet.widget.ui.readerLineEdit.setProperty("text", "Ada")
    detect(quiet, tmp_path / "result")
    set_threshold(quiet, 0.0)
    yield quiet
    quiet.widget.logic.cancelExport(wait=True)


def operate(widget: Any, turn: int) -> None:
    """As a user might, without thinking; what is chosen or written in the first turn is taken back in the second."""
    if isinstance(widget, QtWidgets.QAbstractButton):
        menu = widget.menu() if hasattr(widget, "menu") else None
        for action in menu.actions() if menu is not None else []:
            action.trigger()
        if menu is None:
            widget.click()
    elif isinstance(widget, QtWidgets.QComboBox):
        count = widget.property("count")
        widget.setProperty("currentIndex", (1 - turn) % count if count else -1)
    elif isinstance(widget, (QtWidgets.QSlider, QtWidgets.QSpinBox)):
        low, high = widget.property("minimum"), widget.property("maximum")
        widget.setProperty("value", low + (high - low) // 3)
    elif isinstance(widget, ctkSliderWidget):
        widget.setProperty("value", (0.9, 0.0)[turn])
    elif isinstance(widget, ctkPathLineEdit):
        widget.setProperty("currentPath", str(MODULE_FILE))
    elif isinstance(widget, QtWidgets.QLineEdit):
        widget.setProperty("text", ("2", "")[turn])
        widget.returnPressed.emit()
        widget.editingFinished.emit()
    elif isinstance(widget, QtWidgets.QPlainTextEdit):
        widget.setProperty("plainText", "two\nlines")
    elif isinstance(widget, QtWidgets.QTableView):
        widget.selectRow(0)
    elif isinstance(widget, qMRMLNodeComboBox):
        widget._box.activated.emit(widget._box.property("count") - 1)
    else:
        raise TypeError(f"how is a {type(widget).__name__} operated?")


def walk(module: Module, operated: set[str]) -> None:
    """Operate everything that can be reached now, twice: what a first click starts, a second one may end."""
    for name in controls():
        widget = getattr(module.widget.ui, name)
        for turn in range(2):
            if widget.property("enabled") and widget.isVisibleTo(module.holder):
                operate(widget, turn)
                operated.add(name)
                module.process_events()


def empty(module: Module, chest: Volume) -> None:
    assert state(module) is State.NO_INPUT


def with_a_volume(module: Module, chest: Volume) -> None:
    add(module, chest)


def running(module: Module, chest: Volume) -> None:
    add(module, chest)
    click_detect(module)
    assert state(module) is State.RUNNING


SITUATIONS: dict[str, Callable[[Module, Volume], None]] = {
    "empty": empty,
    "with a volume": with_a_volume,
    "running": running,
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_control_ends_in_a_fault_without_a_detection(
    situation: str, quiet: Module, chest: Volume, faults: list[BaseException]
) -> None:
    SITUATIONS[situation](quiet, chest)
    walk(quiet, set())
    assert faults == []


@pytest.mark.parametrize("selected", [False, True], ids=["nothing selected", "selected"])
def test_no_control_ends_in_a_fault_with_a_detection(
    selected: bool, detected: Module, faults: list[BaseException]
) -> None:
    if selected:
        select_row(detected, "N2")
    for name in ("settings", "reference", "report", "review", "viewing"):
        getattr(detected.widget.ui, f"{name}CollapsibleButton").setProperty("collapsed", False)
    operated: set[str] = set()
    walk(detected, operated)
    walk(detected, operated)  # from wherever the first one has led
    assert faults == []
    assert len(operated) > 50


def test_a_fault_of_a_slot_would_be_noticed(quiet: Module, chest: Volume, faults: list[BaseException]) -> None:
    """Otherwise the walks above prove nothing."""
    add(quiet, chest)
    wait_until(quiet, lambda: not quiet.widget.panel.devices.isAsking)  # the answer fills the box anew
    quiet.widget.ui.deviceComboBox.currentIndexChanged.connect(lambda *_: 1 / 0)
    walk(quiet, set())
    assert [type(fault) for fault in faults] == [ZeroDivisionError] * 2
