"""A guideline's suggestion for the selected finding, and a reader's category in place of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module, load_module
from PySide6 import QtTest
from PySide6.QtCore import Qt

from gui.driving import (
    detected,
    is_visible,
    save_close_and_open,
    select_row,
    set_threshold,
    show_detection,
    table_column,
    texts,
)
from gui.module_inputs import MODULE_FILE, FakeRun
from gui.reviewing import choose_item, choose_reason, said, trail
from gui.test_table import tick
from LungNoduleCADLib.report.build import build_report
from LungNoduleCADLib.rules.lung_rads_table import MANAGEMENT
from LungNoduleCADLib.scene.stored import stored_detection
from LungNoduleCADLib.volume import Volume

LUNG_RADS, FLEISCHNER = "Lung-RADS v2022 (screening)", "Fleischner 2017 (found by chance)"


@pytest.fixture
def nodes(module: Module, chest: Volume, tmp_path: Path) -> Any:
    """A detection with everything shown, and a reader. N1 is solid, 6.2 mm; N2 part-solid; N3 solid, 4.8 mm."""
    return show_detection(module, chest, tmp_path / "result", reader="Ada")


def suggestion(module: Module) -> str:
    """The words below the boxes."""
    return re.sub("<[^>]*>", "", said(module, "suggestionLabel").replace("<br>", "\n"))


def choices(module: Module) -> list[str]:
    box = module.widget.ui.categoryComboBox
    return [box.itemText(n) for n in range(box.property("count"))]


def set_category(module: Module, text: str, reason: str) -> None:
    choose_item(module.widget.ui.categoryComboBox, text)
    module.widget.ui.categoryReasonLineEdit.setProperty("text", reason)
    module.widget.ui.setCategoryButton.click()


def reported(module: Module, nodes: Any, guideline: str) -> Any:
    """What the report says of N1."""
    review = module.widget.logic.review(nodes)
    result = stored_detection(nodes.record.GetText()).result
    report = build_report(result, review.volume, review.review, guidelines=(guideline,), threshold=0.0)
    [finding] = [f for f in report.findings if f.label == "N1"]
    return finding.recommendations[0], report


def test_the_suggestion_stands_with_its_reason_in_words(module: Module, nodes: Any) -> None:
    select_row(module, "N1")
    assert module.widget.ui.categoryComboBox.property("currentText") == "As suggested: 3"
    words = suggestion(module)
    assert "Suggested: 3." in words and "Low-dose CT in 6 months." in words
    assert "mean diameter 6.2 mm" in words and "at least 6 mm and below 8 mm" in words
    assert "ACR Lung-RADS v2022" in module.widget.ui.suggestionLabel.property("toolTip")
    assert choices(module) == ["As suggested: 3", "1", "2", "3", "4A", "4B", "4X"]
    assert not is_visible(module, "categoryReasonWidget")
    select_row(module, "N3")
    assert "Suggested: 2." in suggestion(module)


def test_another_category_counts_when_the_reader_has_said_why(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    select_row(module, "N1")
    choose_item(ui.categoryComboBox, "4B")
    assert is_visible(module, "categoryReasonWidget") and not ui.setCategoryButton.property("enabled")
    assert "Say why" in suggestion(module) and "Yours: 4B." in suggestion(module)
    QtTest.QTest.keyClick(ui.categoryReasonLineEdit, Qt.Key.Key_Return)
    assert trail(module) == []
    QtTest.QTest.keyClicks(ui.categoryReasonLineEdit, "spiculated")
    assert ui.setCategoryButton.property("enabled")
    QtTest.QTest.keyClick(ui.categoryReasonLineEdit, Qt.Key.Key_Return)
    assert trail(module) == [("Ada", "set category", "N1")]
    change = module.widget.logic.trail(nodes)[-1].event.change
    assert (change.category, change.management, change.justification) == ("4B", MANAGEMENT["4B"], "spiculated")
    assert "4B" in change.detail and "spiculated" in change.detail
    assert not is_visible(module, "categoryReasonWidget") and said(module, "categoryReasonLineEdit") == ""
    assert "Ada: 4B." in suggestion(module) and "Because: spiculated" in suggestion(module)
    assert "Suggested: 3." in suggestion(module)
    assert "Lung-RADS 4B (suggested 3)" in texts(module)["selectedLabel"]
    tick(module, "Lung-RADS")
    assert table_column(module, "Lung-RADS")[:3] == ["4B (suggested 3)", "3 suggested", "2 suggested"]


def test_a_category_of_ones_own_reaches_the_report(module: Module, nodes: Any) -> None:
    select_row(module, "N1")
    set_category(module, "4A", "upper lobe, spiculated")
    advice, report = reported(module, nodes, "lung-rads")
    assert (advice.final, advice.suggested, advice.overridden_by.reader) == ("4A", "3", "Ada")
    assert advice.overridden_by.reason == "upper lobe, spiculated"
    assert report.recommendations[0].final == "4A" and "Ada chose 4A" in report.recommendations[0].reason
    assert any(event.action == "set category" for event in report.audit)


def test_undo_and_the_suggestion_take_it_back(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    select_row(module, "N1")
    set_category(module, "4X", "nodes")
    assert said(module, "undoButton") == "Undo: category N1"
    ui.undoButton.click()
    assert ui.categoryComboBox.property("currentText") == "As suggested: 3"
    ui.redoButton.click()
    assert ui.categoryComboBox.property("currentText") == "4X"
    choose_item(ui.categoryComboBox, "As suggested: 3")  # needs no reason
    assert trail(module)[-1] == ("Ada", "set category", "N1")
    assert "as suggested" in module.widget.logic.trail(nodes)[-1].event.change.detail
    assert not module.widget.logic.review(nodes).state.finding("N1").categories


def test_a_wish_without_a_reason_is_forgotten(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    select_row(module, "N1")
    choose_item(ui.categoryComboBox, "4B")
    ui.categoryReasonLineEdit.setProperty("text", "half a")
    set_threshold(module, 0.3)  # other changes leave it
    assert ui.categoryComboBox.property("currentText") == "4B" and said(module, "categoryReasonLineEdit") == "half a"
    select_row(module, "N2")
    assert said(module, "categoryReasonLineEdit") == "" and not is_visible(module, "categoryReasonWidget")
    select_row(module, "N1")
    assert ui.categoryComboBox.property("currentText") == "As suggested: 3" and trail(module) == []


def test_fleischner_offers_what_to_do_and_goes_by_the_patient(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    select_row(module, "N1")
    choose_item(ui.categoryGuidelineComboBox, FLEISCHNER)
    assert "Suggested: CT at 3 to 6 months, then CT at 18 to 24 months." in suggestion(module)  # N3 is solid too
    assert "taken as high" in suggestion(module)
    choose_item(ui.riskComboBox, "Low risk")
    ui.riskComboBox.currentIndexChanged.emit(1)
    assert "then consider CT" in suggestion(module) and "taken as high" not in suggestion(module)
    set_category(module, "No routine follow-up.", "known since 2015")
    assert "Ada: No routine follow-up." in suggestion(module)
    advice, report = reported(module, nodes, "fleischner")
    assert advice.final_management == "No routine follow-up."
    assert "Ada has set for N1: No routine follow-up. (known since 2015)" in report.recommendations[0].reason
    later = load_module(MODULE_FILE, makeRun=FakeRun, installer=lambda path: None)
    assert later.widget.ui.categoryGuidelineComboBox.property("currentText") == FLEISCHNER
    later.close()


def test_one_nodule_less_is_a_single_one(module: Module, nodes: Any) -> None:
    choose_item(module.widget.ui.categoryGuidelineComboBox, FLEISCHNER)
    select_row(module, "N1")
    assert "several solid nodules" in suggestion(module)
    set_threshold(module, 0.7)  # N3 does not count any more
    assert "single solid nodule" in suggestion(module)


def test_a_rejected_finding_has_no_category(module: Module, nodes: Any) -> None:
    select_row(module, "N1")
    module.widget.ui.rejectedCheckBox.click()
    choose_reason(module, "vessel")
    select_row(module, "N1")
    assert "no category" in suggestion(module)
    assert not module.widget.ui.categoryComboBox.property("enabled")


def test_it_comes_back_with_a_saved_scene(module: Module, nodes: Any, tmp_path: Path) -> None:
    select_row(module, "N1")
    set_category(module, "4A", "spiculated")
    save_close_and_open(tmp_path, module)
    select_row(module, "N1")
    assert module.widget.ui.categoryComboBox.property("currentText") == "4A"
    assert "Because: spiculated" in suggestion(module)
    assert detected(module) is not None and slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsLineNode") == 0
