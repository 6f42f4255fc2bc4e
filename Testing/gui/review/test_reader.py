"""Who reads, in which mode, and the audit trail to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module, load_module

from gui.driving import (
    add,
    click,
    detect,
    is_visible,
    points_shown,
    position_of,
    segments_shown,
    select_row,
    selected_row,
    set_threshold,
    table_column,
    texts,
)
from gui.module_inputs import MODULE_FILE, FakeRun
from gui.reviewing import Answers, choose_item, missed_ras, place, said, trail
from LungNoduleCADLib.volume import Volume


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
    table = module.widget.panel.candidates.review.history._trail._table
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
    table = module.widget.panel.candidates.review.history._trail._table
    assert table.property("editTriggers") == table.EditTrigger.NoEditTriggers
    assert table.item(0, 1).text() == "Ada"
    slicer.mrmlScene.Clear()
    assert not module.widget.panel.candidates.review.history._trail.isOpen
