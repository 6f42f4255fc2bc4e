"""The review: every button, key and field, what they write into the audit trail, and what comes back with a scene."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
from host import Module, enter_module, leave_module, load_module
from PySide6 import QtTest
from PySide6.QtCore import Qt

from gui.driving import (
    add,
    click_detect,
    detect,
    detected,
    is_visible,
    points_shown,
    position_of,
    segments_shown,
    select_row,
    selected_row,
    set_threshold,
    show_views,
    state,
    table_column,
    texts,
    wait_until,
)
from gui.module_inputs import MODULE_FILE, FakeRun
from gui.test_life import save_close_and_open
from gui.test_selection import click, click_row, press
from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.scene.detections import REVIEW_ROLE
from LungNoduleCADLib.scene.geometry import to_ras
from LungNoduleCADLib.scene.segments import make_labelmap, read_mask
from LungNoduleCADLib.volume import Volume

BALL_KJI, BALL_MM = (45.0, 90.0, 45.0), 5.0
"""A nodule that the detector has missed."""


@pytest.fixture(scope="module")
def scan(chest: Volume) -> Volume:
    """The chest with a nodule in the right lung."""
    voxels = np.where(chest.voxels < -500, -850, chest.voxels).astype(np.int16)
    offsets = np.moveaxis(np.indices(chest.shape), 0, -1) - BALL_KJI
    voxels[np.linalg.norm(offsets * chest.spacing_kji_mm, axis=-1) <= BALL_MM] = 30
    return chest.with_voxels(voxels)


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the error dialogs."""
    shown: list[str] = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **options: shown.append(text))
    return shown


class Answers:
    """Stands for the user in front of a question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.says_yes = True
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", self.ask)

    def ask(self, text: str, **options: Any) -> bool:
        self.asked.append(text)
        return self.says_yes


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    return Answers(monkeypatch)


@pytest.fixture
def views(module: Module) -> dict[str, Any]:
    return show_views()


@pytest.fixture
def nodes(module: Module, views: dict[str, Any], scan: Volume, tmp_path: Path) -> Any:
    """A detection with everything shown, and a reader."""
    add(module, scan)
    module.widget.ui.readerLineEdit.setProperty("text", "Ada")
    nodes = detect(module, tmp_path / "result")
    set_threshold(module, 0.0)
    return nodes


def trail(module: Module) -> list[tuple[str, ...]]:
    """Reader, action and findings of each entry."""
    logic = module.widget.logic
    entries = logic.trail(logic.detection(logic.getParameterNode().inputVolume))
    return [(e.event.reader, e.event.change.action, *e.event.change.subjects) for e in entries]


def said(module: Module, name: str) -> str:
    return str(getattr(module.widget.ui, name).property("text"))


def enabled(module: Module) -> set[str]:
    """The review's buttons that can be used."""
    names = ("accept", "reject", "reopen", "add", "edit", "merge", "delete", "undo", "redo", "restore", "trail")
    return {name for name in names if getattr(module.widget.ui, f"{name}Button").property("enabled")}


def choose_reason(module: Module, reason: str) -> None:
    """Choose from the menu of the reject button."""
    actions = module.widget.ui.rejectButton.menu().actions()
    next(action for action in actions if action.data() == reason).trigger()


def choose_item(box: Any, text: str) -> None:
    """Choose an entry of a box, as with the mouse."""
    box.setProperty("currentIndex", box.findText(text))
    box.activated.emit(box.property("currentIndex"))


def place(module: Module, view: Any, position_ras: tuple[float, float, float]) -> None:
    """Add a nodule by button and click."""
    module.widget.ui.addButton.click()
    view.JumpSliceByCentering(*position_ras)
    click(view, position_ras)


def missed_ras(scan: Volume) -> tuple[float, float, float]:
    return to_ras([float(v) for v in scan.index_to_lps(BALL_KJI)])


# -- deciding --------------------------------------------------------------------------------------------------------
def test_accept_reject_and_reopen_are_seen_at_once(module: Module, nodes: Any) -> None:
    assert texts(module)["countsLabel"] == "5 of 5 candidates shown"
    assert said(module, "progressLabel") == "0 of 5 reviewed"
    select_row(module, "N1")
    module.widget.ui.acceptButton.click()
    assert table_column(module, "Status")[0] == "accepted"
    assert selected_row(module) == "N1"
    select_row(module, "N2")
    module.widget.ui.commentLineEdit.setProperty("text", "enters and leaves")
    choose_reason(module, "vessel")
    assert table_column(module) == ["N1", "N3", "N4", "N5"]
    assert segments_shown(nodes) == points_shown(nodes) == ["N1", "N3", "N4", "N5"]
    assert said(module, "progressLabel") == "2 of 5 reviewed · 1 accepted · 1 rejected"
    assert module.widget.ui.reviewProgressBar.property("value") == 2
    assert said(module, "commentLineEdit") == ""
    change = module.widget.logic.trail(nodes)[-1].event.change
    assert (change.reason, change.comment) == ("vessel", "enters and leaves")
    select_row(module, "N1")
    module.widget.ui.reopenButton.click()
    assert table_column(module, "Status")[0] == "to review"
    assert trail(module) == [("Ada", "accept", "N1"), ("Ada", "reject", "N2"), ("Ada", "reopen", "N1")]


def test_rejected_findings_are_listed_on_request(module: Module, nodes: Any) -> None:
    select_row(module, "N2")
    choose_reason(module, "scar")
    module.widget.ui.rejectedCheckBox.click()
    assert table_column(module) == ["N1", "N2", "N3", "N4", "N5"]
    assert segments_shown(nodes) == ["N1", "N2", "N3", "N4", "N5"]
    select_row(module, "N2")
    module.widget.ui.acceptButton.click()  # another opinion
    assert table_column(module, "Status")[1] == "accepted"
    module.widget.ui.rejectedCheckBox.click()
    assert table_column(module) == ["N1", "N2", "N3", "N4", "N5"]


def test_accepted_findings_stay_at_any_threshold(module: Module, nodes: Any) -> None:
    select_row(module, "N5")
    module.widget.ui.acceptButton.click()
    set_threshold(module, 0.9)
    assert table_column(module) == ["N1", "N5"]
    assert said(module, "progressLabel") == "1 of 2 reviewed · 1 accepted"


def test_after_a_rejection_next_is_the_following_row(module: Module, nodes: Any) -> None:
    select_row(module, "N2")
    choose_reason(module, "airway")
    assert selected_row(module) is None
    module.widget.ui.nextButton.click()
    assert selected_row(module) == "N3"


def test_several_rows_are_decided_at_once(module: Module, nodes: Any) -> None:
    select_row(module, "N1")
    click_row(module.widget.ui.candidatesTable, 2, Qt.KeyboardModifier.ShiftModifier)
    module.widget.ui.acceptButton.click()
    assert trail(module) == [("Ada", "accept", "N1", "N2", "N3")]
    assert module.widget.panel.candidates.table.selection == ["N1", "N2", "N3"]
    click_row(module.widget.ui.candidatesTable, 3, Qt.KeyboardModifier.ControlModifier)
    module.widget.ui.acceptButton.click()
    assert trail(module)[-1] == ("Ada", "accept", "N4")  # the others are already
    choose_reason(module, "pleura")
    assert said(module, "undoButton") == "Undo: reject, 4 findings"


def test_other_needs_a_comment_and_says_so_in_one_dialog(module: Module, nodes: Any, errors: list[str]) -> None:
    select_row(module, "N3")
    choose_reason(module, "other")
    assert len(errors) == 1 and "says nothing alone" in errors[0]
    assert trail(module) == []
    module.widget.ui.commentLineEdit.setProperty("text", "electrode")
    choose_reason(module, "other")
    assert trail(module) == [("Ada", "reject", "N3")]
    assert len(errors) == 1


def test_every_reason_can_be_chosen_by_a_letter_of_its_own(module: Module, nodes: Any) -> None:
    actions = module.widget.ui.rejectButton.menu().actions()
    labels = [action.property("text") for action in actions]
    letters = [label[label.index("&") + 1].lower() for label in labels]
    assert len(set(letters)) == len(letters) == 12


def test_undo_and_redo_name_what_they_do(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    assert said(module, "undoButton") == "Undo" and said(module, "redoButton") == "Redo"
    select_row(module, "N1")
    ui.acceptButton.click()
    assert said(module, "undoButton") == "Undo: accept N1"
    ui.undoButton.click()
    assert table_column(module, "Status")[0] == "to review"
    assert (said(module, "undoButton"), said(module, "redoButton")) == ("Undo", "Redo: accept N1")
    assert {"undo", "redo"} & enabled(module) == {"redo"}
    ui.redoButton.click()
    assert table_column(module, "Status")[0] == "accepted"
    assert [action for _, action, *_ in trail(module)] == ["accept", "undo", "redo"]


def test_buttons_can_be_used_when_they_mean_something(module: Module, nodes: Any, views: Any, scan: Volume) -> None:
    always = {"add", "restore", "trail"}
    assert enabled(module) == always
    select_row(module, "N1")
    assert enabled(module) == always | {"accept", "reject", "edit"}
    module.widget.ui.acceptButton.click()
    assert enabled(module) == always | {"reject", "reopen", "edit", "undo"}
    click_row(module.widget.ui.candidatesTable, 1, Qt.KeyboardModifier.ControlModifier)
    assert enabled(module) == always | {"accept", "reject", "reopen", "merge", "undo"}
    place(module, views["Red"], missed_ras(scan))
    assert selected_row(module) == "A1"
    assert enabled(module) == always | {"reject", "reopen", "edit", "delete", "undo"}
    slicer.mrmlScene.RemoveNode(nodes.segmentation)
    module.process_events()
    select_row(module, "A1")
    assert "edit" not in enabled(module)


# -- keys ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def shown(module: Module, nodes: Any) -> Module:
    """The module's window, which has the keyboard."""
    module.holder.show()
    module.holder.activateWindow()
    QtTest.QTest.qWaitForWindowActive(module.holder)
    return module


def test_a_scan_can_be_reviewed_by_keys_alone(shown: Module, nodes: Any) -> None:
    for key in ("n", "a", "n", "x"):
        press(shown, key)
    menu = shown.widget.ui.rejectButton.menu()
    assert menu.property("visible")
    QtTest.QTest.keyClick(menu, "a")  # airway; outside the menu it accepts
    shown.process_events()
    assert not menu.property("visible")
    assert trail(shown) == [("Ada", "accept", "N1"), ("Ada", "reject", "N2")]
    assert shown.widget.logic.trail(nodes)[-1].event.change.reason == "airway"
    for key in ("u", "u", "y"):
        press(shown, key)
    assert [action for _, action, *_ in trail(shown)][-3:] == ["undo", "undo", "redo"]
    press(shown, "m")
    assert shown.widget.ui.addButton.property("checked")
    press(shown, "m")
    assert not shown.widget.ui.addButton.property("checked")


def test_keys_of_what_is_impossible_do_nothing(shown: Module, errors: list[str]) -> None:
    for key in ("a", "x", "u", "y"):
        press(shown, key)
    assert trail(shown) == [] and errors == []
    assert not shown.widget.ui.rejectButton.menu().property("visible")


# -- the finding -----------------------------------------------------------------------------------------------------
def test_type_and_note_of_the_selected_finding(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    assert not is_visible(module, "findingWidget")
    select_row(module, "N1")
    assert ui.typeComboBox.property("currentText") == "Automatic: solid"
    choose_item(ui.typeComboBox, "part-solid")
    assert table_column(module, "Type")[0] == "part-solid"
    assert texts(module)["selectedLabel"].startswith("<b>N1</b> · part-solid")
    QtTest.QTest.keyClicks(ui.noteLineEdit, "spiculated")
    QtTest.QTest.keyClick(ui.noteLineEdit, Qt.Key.Key_Return)
    select_row(module, "N2")
    assert said(module, "noteLineEdit") == "" and ui.typeComboBox.property("currentText") == "Automatic: part-solid"
    select_row(module, "N1")
    assert said(module, "noteLineEdit") == "spiculated" and ui.typeComboBox.property("currentText") == "part-solid"
    choose_item(ui.typeComboBox, "Automatic: solid")
    assert table_column(module, "Type")[0] == "solid"
    assert [action for _, action, *_ in trail(module)] == ["set type", "set note", "set type"]
    for expected in ("part-solid", "part-solid", "solid"):
        ui.undoButton.click()
        assert table_column(module, "Type")[0] == expected
    assert said(module, "noteLineEdit") == ""


def test_a_note_is_kept_wherever_the_user_goes_next(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    select_row(module, "N1")
    QtTest.QTest.keyClicks(ui.noteLineEdit, "cavity?")
    select_row(module, "N2")
    QtTest.QTest.keyClicks(ui.noteLineEdit, "calcified")
    leave_module(module)
    assert trail(module) == [("Ada", "set note", "N1"), ("Ada", "set note", "N2")]
    findings = module.widget.logic.review(nodes).state.findings
    assert (findings["N1"].note, findings["N2"].note) == ("cavity?", "calcified")
    enter_module(module)
    assert said(module, "noteLineEdit") == "calcified"


def test_a_note_that_is_being_typed_survives_other_changes(module: Module, nodes: Any) -> None:
    select_row(module, "N1")
    QtTest.QTest.keyClicks(module.widget.ui.noteLineEdit, "half a sen")
    set_threshold(module, 0.5)
    assert said(module, "noteLineEdit") == "half a sen"
    assert trail(module) == []


# -- outlines --------------------------------------------------------------------------------------------------------
def test_a_missed_nodule_is_added_by_a_click_and_outlined(
    module: Module, nodes: Any, views: dict[str, Any], scan: Volume
) -> None:
    module.widget.ui.addButton.click()
    assert "Click on the nodule" in said(module, "messageLabel")
    leave_module(module)
    enter_module(module)
    assert not module.widget.ui.addButton.property("checked")  # elsewhere a click means something else
    place(module, views["Red"], missed_ras(scan))
    assert selected_row(module) == "A1"
    assert table_column(module, "Status")[table_column(module).index("A1")] == "added"
    assert "A1 was added and outlined" in said(module, "messageLabel")
    assert segments_shown(nodes)[-1] == points_shown(nodes)[-1] == "A1"
    added = module.widget.logic.review(nodes).state.finding("A1").contour
    assert added.measurements.diameter_mm == pytest.approx(2 * BALL_MM, rel=0.15)
    assert said(module, "progressLabel") == "0 of 5 reviewed · 1 added"
    assert not module.widget.ui.addButton.property("checked")
    select_row(module, "N1")
    assert not is_visible(module, "messageLabel")


def test_a_mere_sphere_is_called_one(module: Module, nodes: Any, views: dict[str, Any], scan: Volume) -> None:
    place(module, views["Red"], to_ras([float(v) for v in scan.index_to_lps((20.0, 60.0, 45.0))]))
    assert "only a sphere" in said(module, "messageLabel")


def test_a_click_beside_the_scan_adds_nothing(
    module: Module, nodes: Any, views: dict[str, Any], errors: list[str]
) -> None:
    place(module, views["Red"], (900.0, 0.0, 0.0))
    assert len(errors) == 1 and "outside the scan" in errors[0]
    assert trail(module) == []
    assert not module.widget.ui.addButton.property("checked")


def test_added_nodules_can_be_deleted_merged_and_brought_back(
    module: Module, nodes: Any, views: dict[str, Any], scan: Volume
) -> None:
    ui = module.widget.ui
    place(module, views["Red"], missed_ras(scan))
    ui.deleteButton.click()
    assert "A1" not in table_column(module) and "A1" not in segments_shown(nodes)
    ui.undoButton.click()
    assert "A1" in table_column(module)
    select_row(module, "N2")
    click_row(ui.candidatesTable, table_column(module).index("A1"), Qt.KeyboardModifier.ControlModifier)
    ui.mergeButton.click()
    assert "A1" not in table_column(module) and selected_row(module) == "N2"
    assert "They are N2 now." in said(module, "messageLabel")
    assert table_column(module, "Status")[table_column(module).index("N2")] == "accepted"
    ui.undoButton.click()
    assert {"A1", "N2"} <= set(table_column(module))


class SegmentEditor:
    """Slicer's module and its editor widget."""

    def __init__(self, module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = module
        self.chosen: list[str] = []
        self.given: dict[str, Any] = {}
        self.parameters = slicer.vtkMRMLSegmentEditorNode()
        monkeypatch.setattr(slicer.util, "selectModule", self.select)
        widget = SimpleNamespace(self=lambda: SimpleNamespace(editor=self))
        monkeypatch.setattr(
            slicer.modules, "segmenteditor", SimpleNamespace(widgetRepresentation=lambda: widget), raising=False
        )

    def select(self, name: str) -> None:
        self.chosen.append(name)
        leave_module(self.module)

    def setSegmentationNode(self, node: Any) -> None:
        self.given["segmentation"] = node

    def setSourceVolumeNode(self, node: Any) -> None:
        self.given["volume"] = node

    def setCurrentSegmentID(self, name: str) -> None:
        self.given["segment"] = name

    def mrmlSegmentEditorNode(self) -> Any:
        return self.parameters


@pytest.fixture
def editor(module: Module, monkeypatch: pytest.MonkeyPatch) -> SegmentEditor:
    return SegmentEditor(module, monkeypatch)


def draw(nodes: Any, scan: Volume, name: str, start: tuple[int, int, int] = (4, 4, 4)) -> None:
    """Eight further voxels, by the Segment Editor's own function."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    dot = make_labelmap(start, np.ones((2, 2, 2), dtype=np.uint8), scan)
    logic.SetBinaryLabelmapToSegment(dot, nodes.segmentation, name, logic.MODE_MERGE_MASK)


def voxels_of(nodes: Any, scan: Volume, name: str) -> int:
    return int(read_mask(nodes.segmentation.GetSegmentation().GetSegment(name), scan).voxels.sum())


def test_an_outline_is_edited_in_the_segment_editor_and_taken_on_return(
    module: Module, nodes: Any, scan: Volume, editor: SegmentEditor
) -> None:
    select_row(module, "N2")
    before = voxels_of(nodes, scan, "N2")
    module.widget.ui.editButton.click()
    assert editor.chosen == ["SegmentEditor"]
    volume = module.widget.logic.getParameterNode().inputVolume
    assert editor.given == {"segmentation": nodes.segmentation, "volume": volume, "segment": "N2"}
    assert editor.parameters.GetOverwriteMode() == editor.parameters.OverwriteNone
    draw(nodes, scan, "N2")
    assert trail(module) == []
    enter_module(module)
    assert trail(module) == [("Ada", "edit contour", "N2")]
    assert "taken into the review: N2" in said(module, "messageLabel") and selected_row(module) == "N2"
    module.widget.ui.undoButton.click()
    assert voxels_of(nodes, scan, "N2") == before
    leave_module(module)
    enter_module(module)  # nothing was edited this time
    assert len(trail(module)) == 2


def test_return_without_an_edit_says_so(module: Module, nodes: Any, editor: SegmentEditor) -> None:
    select_row(module, "N2")
    module.widget.ui.editButton.click()
    enter_module(module)
    assert said(module, "messageLabel") == "No outline was changed."
    assert trail(module) == []


def test_an_emptied_outline_is_told_of_once_and_can_be_restored(
    module: Module, nodes: Any, scan: Volume, editor: SegmentEditor, errors: list[str]
) -> None:
    select_row(module, "N2")
    before = voxels_of(nodes, scan, "N2")
    module.widget.ui.editButton.click()
    nodes.segmentation.GetSegmentation().ClearSegment("N2")
    enter_module(module)
    assert len(errors) == 1 and "N2 is empty" in errors[0]
    module.widget.ui.restoreButton.click()
    assert voxels_of(nodes, scan, "N2") == before
    assert "as the review says" in said(module, "messageLabel")
    assert trail(module) == [] and len(errors) == 1


def let_pass(module: Module, seconds: float = 1.5) -> None:
    """Longer than a pause in drawing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        module.process_events()
        time.sleep(0.01)


def test_an_outline_that_was_drawn_elsewhere_is_noticed_when_drawing_pauses(
    module: Module, nodes: Any, scan: Volume
) -> None:
    select_row(module, "N1")
    before = module.widget.logic.review(nodes).state.finding("N2").contour
    for step in range(5):  # a stroke: many changes, none of them a pause
        draw(nodes, scan, "N2", (4 + 2 * step, 4, 4))
        module.process_events()
        assert trail(module) == []
    wait_until(module, lambda: trail(module) != [])
    assert trail(module) == [("Ada", "edit contour", "N2")]
    finding = module.widget.logic.review(nodes).state.finding("N2")
    assert finding.edited and finding.contour.mask.voxels.sum() > before.mask.voxels.sum()
    assert finding.contour.measurements.volume_mm3 != before.measurements.volume_mm3
    assert "taken into the review: N2" in said(module, "messageLabel")
    module.widget.ui.undoButton.click()
    assert not module.widget.logic.review(nodes).state.finding("N2").edited


def test_an_outline_that_was_drawn_in_another_module_is_taken_on_return(
    module: Module, nodes: Any, scan: Volume
) -> None:
    leave_module(module)
    draw(nodes, scan, "N3")
    let_pass(module)
    assert trail(module) == []  # whoever draws there is not disturbed
    enter_module(module)
    assert trail(module) == [("Ada", "edit contour", "N3")]
    enter_module(module)
    let_pass(module)
    assert len(trail(module)) == 1


def test_what_the_module_itself_draws_is_no_edit(
    module: Module, nodes: Any, views: dict[str, Any], scan: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []
    take = module.widget.logic.takeEdits
    monkeypatch.setattr(module.widget.logic, "takeEdits", lambda nodes: taken.append(nodes) or take(nodes))
    place(module, views["Red"], missed_ras(scan))
    select_row(module, "N1")
    click_row(module.widget.ui.candidatesTable, 1, Qt.KeyboardModifier.ControlModifier)
    module.widget.ui.mergeButton.click()
    module.widget.ui.undoButton.click()
    module.widget.ui.undoButton.click()
    let_pass(module)
    leave_module(module)
    enter_module(module)
    assert [action for _, action, *_ in trail(module)] == ["add", "merge", "undo", "undo"]
    assert taken == []


def test_segments_that_are_no_findings_are_nobodys_edit(module: Module, nodes: Any, scan: Volume) -> None:
    nodes.segmentation.GetSegmentation().AddEmptySegment("Pleural effusion")
    draw(nodes, scan, "Pleural effusion")
    let_pass(module)
    assert trail(module) == []


def test_an_edit_during_a_run_is_taken_when_the_run_has_brought_nothing(
    module: Module, nodes: Any, scan: Volume
) -> None:
    run = click_detect(module)
    draw(nodes, scan, "N2")
    let_pass(module)
    assert trail(module) == []
    run.fail("The detector has stopped.")
    module.widget.logic.poll()
    leave_module(module)
    enter_module(module)
    assert trail(module) == [("Ada", "edit contour", "N2")]


def test_without_a_main_window_the_segment_editor_cannot_be_opened(
    module: Module, nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    select_row(module, "N2")

    def refuse(name: str) -> None:
        raise RuntimeError("Could not find moduleSelector in the main window")

    monkeypatch.setattr(slicer.util, "selectModule", refuse)
    module.widget.ui.editButton.click()  # Slicer shows the error, and lets it go on to the console
    leave_module(module)
    enter_module(module)
    assert trail(module) == [] and not is_visible(module, "messageLabel")
    assert slicer.app.cursors == 0


# -- reader and mode -------------------------------------------------------------------------------------------------
def test_reader_and_mode_are_remembered(module: Module, nodes: Any, scan: Volume) -> None:
    ui = module.widget.ui
    choose_item(ui.readingModeComboBox, "First without them (second reader)")
    later = load_module(MODULE_FILE, makeRun=FakeRun, installer=lambda path: None)
    assert later.widget.ui.readerLineEdit.property("text") == "Ada"
    assert later.widget.ui.readingModeComboBox.property("currentText") == "First without them (second reader)"
    assert (later.widget.logic.reader, later.widget.logic.readingMode) == ("Ada", "second-reader")
    later.close()


def test_without_a_name_the_login_is_offered(module: Module) -> None:
    import getpass

    assert module.widget.ui.readerLineEdit.property("placeholderText") == getpass.getuser()
    module.widget.ui.readerLineEdit.setProperty("text", "  Grace ")
    assert module.widget.logic.readerName() == "Grace"


def test_second_reader_sees_nothing_until_the_first_read_is_done(
    module: Module, views: dict[str, Any], scan: Volume, tmp_path: Path, answers: Answers
) -> None:
    ui = module.widget.ui
    ui.readerLineEdit.setProperty("text", "Ada")
    choose_item(ui.readingModeComboBox, "First without them (second reader)")
    add(module, scan)
    nodes = detect(module, tmp_path)
    set_threshold(module, 0.0)
    assert points_shown(nodes) == segments_shown(nodes) == table_column(module) == []
    assert texts(module)["countsLabel"] == "The detector's marks are hidden."
    assert said(module, "progressLabel") == "0 added"  # not even how many there are
    assert not is_visible(module, "reviewProgressBar")
    assert is_visible(module, "firstReadWidget") and is_visible(module, "viewingCollapsibleButton")
    place(module, views["Red"], missed_ras(scan))
    assert table_column(module) == points_shown(nodes) == ["A1"]
    position = position_of(nodes, "N2")
    views["Red"].JumpSliceByCentering(*position)
    click(views["Red"], position)
    assert selected_row(module) == "A1"
    answers.says_yes = False
    ui.firstReadButton.click()
    assert "1 nodule(s)" in answers.asked[0] and table_column(module) == ["A1"]
    answers.says_yes = True
    ui.firstReadButton.click()
    assert set(table_column(module)) == {"N1", "N2", "N3", "N4", "N5", "A1"}
    assert not is_visible(module, "firstReadWidget")
    assert trail(module)[-1] == ("Ada", "declare first read", "A1")
    assert not ui.undoButton.property("enabled")
    assert module.widget.logic.review(nodes).state.finding("A1").first_read


def test_mode_is_chosen_before_the_review_begins(module: Module, nodes: Any, answers: Answers) -> None:
    box = module.widget.ui.readingModeComboBox
    choose_item(box, "First without them (second reader)")
    assert table_column(module) == [] and points_shown(nodes) == []
    answers.says_yes = False
    choose_item(box, "With the detector's marks")
    assert len(answers.asked) == 1 and table_column(module) == []
    assert box.property("currentText") == "First without them (second reader)"
    answers.says_yes = True
    choose_item(box, "With the detector's marks")
    assert len(table_column(module)) == 5
    select_row(module, "N1")
    module.widget.ui.acceptButton.click()
    assert not box.property("enabled") and "has begun" in box.property("toolTip")
    assert [action for _, action, *_ in trail(module)] == ["set mode", "set mode", "accept"]


def test_second_reader_must_have_a_name_before_the_run(
    module: Module, scan: Volume, errors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import getpass

    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    choose_item(module.widget.ui.readingModeComboBox, "First without them (second reader)")
    add(module, scan)
    assert module.widget.ui.readerLineEdit.property("placeholderText") == "Your name, for the audit trail"
    module.widget.ui.detectButton.click()
    assert len(errors) == 1 and "reader's name" in errors[0]
    assert not module.widget.logic.isRunning


# -- the trail -------------------------------------------------------------------------------------------------------
def trail_rows(module: Module) -> list[tuple[str, str, bool]]:
    """Action, findings, struck out."""
    table = module.widget.panel.candidates.review._trail._table
    return [
        (table.item(n, 2).text(), table.item(n, 3).text(), table.item(n, 2).font().strikeOut())
        for n in range(table.property("rowCount"))
    ]


def test_audit_trail_can_be_read_while_it_grows(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    select_row(module, "N1")
    ui.acceptButton.click()
    ui.trailButton.click()
    assert trail_rows(module) == [("accept", "N1", False)]
    ui.undoButton.click()
    assert trail_rows(module) == [("accept", "N1", True), ("undo", "", False)]
    table = module.widget.panel.candidates.review._trail._table
    assert table.property("editTriggers") == table.EditTrigger.NoEditTriggers
    assert table.item(0, 1).text() == "Ada"
    slicer.mrmlScene.Clear()
    assert not module.widget.panel.candidates.review._trail.isOpen


# -- runs and scenes -------------------------------------------------------------------------------------------------
def test_a_new_run_asks_before_it_replaces_a_review(
    module: Module, nodes: Any, tmp_path: Path, answers: Answers
) -> None:
    detect(module, tmp_path / "second")
    assert answers.asked == []  # there was nothing to lose
    select_row(module, "N1")
    module.widget.ui.acceptButton.click()
    answers.says_yes = False
    module.widget.ui.detectButton.click()
    assert len(answers.asked) == 1 and "1 entries" in answers.asked[0]
    assert not module.widget.logic.isRunning and state(module) is State.FINISHED
    answers.says_yes = True
    detect(module, tmp_path / "third")
    assert trail(module) == []
    assert table_column(module, "Status") == ["to review"] * len(table_column(module))


def test_a_review_that_will_be_replaced_is_not_changed(module: Module, nodes: Any, tmp_path: Path) -> None:
    select_row(module, "N1")
    run = click_detect(module)
    assert enabled(module) == set()
    module.widget.ui.acceptButton.click()
    assert trail(module) == []
    run.fail("The detector has stopped.")
    module.widget.logic.poll()
    assert "accept" in enabled(module)


def test_a_review_comes_back_with_a_saved_scene(
    module: Module, nodes: Any, views: dict[str, Any], scan: Volume, tmp_path: Path
) -> None:
    original = nodes.record.GetText()
    select_row(module, "N1")
    module.widget.ui.acceptButton.click()
    select_row(module, "N2")
    choose_reason(module, "fissure")
    place(module, views["Red"], missed_ras(scan))
    set_threshold(module, 0.5)
    before, rows = trail(module), table_column(module)
    statuses = table_column(module, "Status")
    save_close_and_open(tmp_path, module)
    assert trail(module) == before
    assert (table_column(module), table_column(module, "Status")) == (rows, statuses)
    assert segments_shown(detected(module)) == sorted(rows, key=lambda name: (name[0] == "A", name))
    assert detected(module).record.GetText() == original
    module.widget.ui.undoButton.click()
    assert "A1" not in table_column(module)


def test_two_volumes_have_two_reviews(module: Module, nodes: Any, chest: Volume, tmp_path: Path) -> None:
    first = module.widget.logic.getParameterNode().inputVolume
    select_row(module, "N1")
    module.widget.ui.acceptButton.click()
    second = add(module, chest, "Prior")
    assert is_visible(module, "readerWidget") and not is_visible(module, "reviewWidget")
    detect(module, tmp_path / "prior")
    assert table_column(module, "Status")[0] == "to review" and trail(module) == []
    module.widget.ui.inputVolumeSelector.setCurrentNode(first)
    assert table_column(module, "Status")[0] == "accepted"
    module.widget.ui.inputVolumeSelector.setCurrentNode(second)
    assert trail(module) == []


def test_a_damaged_review_is_told_of_and_does_no_harm(
    module: Module, nodes: Any, tmp_path: Path, errors: list[str], answers: Answers
) -> None:
    select_row(module, "N1")
    module.widget.ui.acceptButton.click()
    stored = nodes.record.GetNodeReference(REVIEW_ROLE)
    content = json.loads(stored.GetText())
    content["events"][0]["reader"] = "Somebody else"
    stored.SetText(json.dumps(content))
    module.widget.panel.refresh(module.widget.logic.getParameterNode().inputVolume)
    assert "damaged" in texts(module)["warningsLabel"]
    assert table_column(module) == [] and not is_visible(module, "reviewWidget")
    set_threshold(module, 0.3)
    assert errors == []
    detect(module, tmp_path / "again")
    assert len(table_column(module)) == 4 and is_visible(module, "reviewWidget")


def test_closing_the_scene_ends_the_review(module: Module, nodes: Any) -> None:
    select_row(module, "N1")
    QtTest.QTest.keyClicks(module.widget.ui.noteLineEdit, "half")
    module.widget.ui.addButton.click()
    slicer.mrmlScene.Clear()
    assert module.widget.logic._sceneReview is None
    assert not module.widget.ui.addButton.property("checked")
    assert not is_visible(module, "reviewWidget") and is_visible(module, "readerWidget")
    assert state(module) is State.NO_INPUT
