"""Deciding on findings: every button, key and field, and what they write into the audit trail."""

from __future__ import annotations

from typing import Any

import slicer
from host import Module, enter_module, leave_module
from PySide6 import QtTest
from PySide6.QtCore import Qt

from gui.driving import (
    click_row,
    is_visible,
    points_shown,
    press,
    segments_shown,
    select_row,
    selected_row,
    set_threshold,
    table_column,
    texts,
)
from gui.reviewing import choose_item, choose_reason, enabled, missed_ras, place, said, trail
from LungNoduleCADLib.volume import Volume


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
