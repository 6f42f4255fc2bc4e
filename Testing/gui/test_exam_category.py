"""A guideline's suggestion for the whole examination under Report, and a reader's category in place of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module
from PySide6 import QtTest
from PySide6.QtCore import Qt

from gui.driving import (
    add,
    click_detect,
    detect,
    detected,
    is_visible,
    save_close_and_open,
    select_row,
    set_threshold,
    show_detection,
    wait_until,
)
from gui.reviewing import choose_item, said, trail
from gui.test_category import FLEISCHNER, LUNG_RADS, set_category
from LungNoduleCADLib.app.module.logic import DetectionLogic
from LungNoduleCADLib.report.build import build_report
from LungNoduleCADLib.scene.detections import REVIEW_ROLE
from LungNoduleCADLib.scene.stored import stored_detection
from LungNoduleCADLib.volume import Volume

BOTH, SCREENING, NONE = 0, 1, 3


@pytest.fixture
def nodes(module: Module, chest: Volume, tmp_path: Path) -> Any:
    """A detection with N1 (solid, 6.2 mm: 3) and N2 (part-solid, 11.5 mm: 3) shown, a reader, and an open report."""
    nodes = show_detection(module, chest, tmp_path / "result", threshold=0.7, reader="Ada")
    module.widget.ui.guidelineComboBox.setProperty("currentIndex", SCREENING)
    module.widget.ui.reportCollapsibleButton.setProperty("collapsed", False)
    settle(module)
    return nodes


def settle(module: Module) -> None:
    """Let the panel catch up."""
    timer = module.widget.panel.candidates.review.exam._soon
    wait_until(module, lambda: not timer.property("active"))


def words(module: Module) -> str:
    settle(module)
    return re.sub("<[^>]*>", "", said(module, "examSuggestionLabel").replace("<br>", "\n"))


def chosen(module: Module) -> str:
    settle(module)
    return str(module.widget.ui.examCategoryComboBox.property("currentText"))


def set_exam(module: Module, text: str, reason: str) -> None:
    choose_item(module.widget.ui.examCategoryComboBox, text)
    module.widget.ui.examReasonLineEdit.setProperty("text", reason)
    module.widget.ui.setExamCategoryButton.click()
    settle(module)


def test_the_suggestion_follows_findings_threshold_and_what_is_stated(module: Module, nodes: Any) -> None:
    assert chosen(module) == "As suggested: 3" and "Most suspicious of 2" in words(module)
    assert "ACR Lung-RADS v2022" in module.widget.ui.examSuggestionLabel.property("toolTip")
    set_threshold(module, 0.99)
    assert chosen(module) == "As suggested: 1" and "No lung nodule." in words(module)
    set_threshold(module, 0.7)
    select_row(module, "N1")
    set_category(module, "4B", "spiculated")
    assert chosen(module) == "As suggested: 4B" and "Ada chose 4B (spiculated)" in words(module)
    module.widget.ui.significantEdit.setProperty("text", "an aneurysm")
    assert chosen(module) == "As suggested: 4BS" and "an aneurysm" in words(module)
    module.widget.ui.awaitingPriorCheckBox.click()
    assert chosen(module) == "As suggested: 0S"


def test_another_category_counts_when_the_reader_has_said_why(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    box = [ui.examCategoryComboBox.itemText(n) for n in range(ui.examCategoryComboBox.property("count"))]
    assert box == ["As suggested: 3", "0", "1", "2", "3", "4A", "4B", "4X"]
    assert not is_visible(module, "examReasonWidget")
    choose_item(ui.examCategoryComboBox, "2")
    assert is_visible(module, "examReasonWidget") and not ui.setExamCategoryButton.property("enabled")
    QtTest.QTest.keyClick(ui.examReasonLineEdit, Qt.Key.Key_Return)
    assert trail(module) == []
    QtTest.QTest.keyClicks(ui.examReasonLineEdit, "known scars")
    QtTest.QTest.keyClick(ui.examReasonLineEdit, Qt.Key.Key_Return)
    assert trail(module) == [("Ada", "set exam category")]
    assert chosen(module) == "2" and not is_visible(module, "examReasonWidget")
    assert "Ada: 2." in words(module) and "Because: known scars" in words(module) and "Suggested: 3." in words(module)
    review = module.widget.logic.review(nodes)
    result = stored_detection(nodes.record.GetText()).result
    report = build_report(result, review.volume, review.review, guidelines=("lung-rads",), threshold=0.7)
    [advice] = report.recommendations
    assert (advice.final, advice.suggested, advice.overridden_by.reason) == ("2", "3", "known scars")
    assert all(finding.recommendations[0].overridden_by is None for finding in report.findings)


def test_undo_and_the_suggestion_take_it_back(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    set_exam(module, "4A", "two are new")
    assert said(module, "undoButton") == "Undo: examination's category"
    ui.undoButton.click()
    assert chosen(module) == "As suggested: 3"
    ui.redoButton.click()
    assert chosen(module) == "4A"
    module.widget.ui.significantEdit.setProperty("text", "an aneurysm")
    assert chosen(module) == "4A" and "Ada: 4AS." in words(module)
    choose_item(ui.examCategoryComboBox, "As suggested: 3S")  # needs no reason
    settle(module)
    assert not module.widget.logic.review(nodes).state.exam_categories


def test_each_guideline_of_the_report_has_its_own(module: Module, nodes: Any) -> None:
    ui = module.widget.ui
    assert not is_visible(module, "examGuidelineComboBox")
    ui.guidelineComboBox.setProperty("currentIndex", BOTH)
    settle(module)
    assert is_visible(module, "examGuidelineComboBox")
    assert [ui.examGuidelineComboBox.itemText(n) for n in range(2)] == [LUNG_RADS, FLEISCHNER]
    choose_item(ui.examGuidelineComboBox, FLEISCHNER)
    assert "Suggested: CT" in words(module)
    set_exam(module, "No routine follow-up.", "known since 2015")
    assert "Ada: No routine follow-up." in words(module)
    choose_item(ui.examGuidelineComboBox, LUNG_RADS)
    assert chosen(module) == "As suggested: 3"
    ui.guidelineComboBox.setProperty("currentIndex", NONE)
    settle(module)
    assert not is_visible(module, "examCategoryWidget") and not is_visible(module, "examCategoryLabel")


def test_a_wish_without_a_reason_belongs_to_one_scan(module: Module, nodes: Any, chest: Volume) -> None:
    ui = module.widget.ui
    choose_item(ui.examCategoryComboBox, "4X")
    ui.examReasonLineEdit.setProperty("text", "half a")
    select_row(module, "N1")
    select_row(module, "N2")  # other findings leave it
    assert chosen(module) == "4X" and said(module, "examReasonLineEdit") == "half a"
    first = module.widget._parameterNode.inputVolume
    add(module, chest, "Other")
    module.widget.ui.inputVolumeSelector.setCurrentNode(first)
    assert chosen(module) == "As suggested: 3" and said(module, "examReasonLineEdit") == "" and trail(module) == []


def test_the_second_reader_judges_the_examination_after_the_first_read(
    module: Module,
    chest: Volume,
    tmp_path: Path,
    errors: list[str],
) -> None:
    add(module, chest)
    module.widget.ui.readerLineEdit.setProperty("text", "Ada")
    module.widget.logic.readingMode = "second-reader"
    nodes = detect(module, tmp_path / "result")
    module.widget.ui.reportCollapsibleButton.setProperty("collapsed", False)
    assert "declare the first read" in words(module)
    assert not module.widget.ui.examCategoryComboBox.property("enabled")
    module.widget.logic.declareFirstRead(nodes)
    module.widget.panel.candidates.onReviewChanged()
    assert "Suggested" in words(module) and not errors


def test_while_a_run_is_on_it_waits(module: Module, nodes: Any) -> None:
    run = click_detect(module)
    assert not module.widget.ui.examCategoryWidget.property("enabled")
    run.fail("no")
    wait_until(module, lambda: not module.widget.logic.isRunning)
    assert module.widget.ui.examCategoryWidget.property("enabled")


def test_it_comes_back_with_a_saved_scene(module: Module, nodes: Any, tmp_path: Path) -> None:
    set_exam(module, "4A", "two are new")
    save_close_and_open(tmp_path, module)
    module.widget.ui.guidelineComboBox.setProperty("currentIndex", SCREENING)
    assert chosen(module) == "4A" and "Because: two are new" in words(module)
    assert detected(module) is not None


def test_a_review_that_goes_meanwhile_does_no_harm(
    module: Module, nodes: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_threshold(module, 0.6)
    nodes.record.GetNodeReference(REVIEW_ROLE) or module.widget.logic.acceptFindings(nodes, ["N1"])
    nodes.record.GetNodeReference(REVIEW_ROLE).SetText("damaged")
    settle(module)
    slicer.mrmlScene.Clear()
    settle(module)
    assert "Traceback" not in capsys.readouterr().err


def test_at_five_hundred_findings_the_slider_does_not_wait_for_it(
    module: Module, chest: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    original = DetectionLogic.examSuggestion

    def count(self: Any, nodes: Any, threshold: float, *rest: Any) -> Any:
        asked.append(threshold)
        return original(self, nodes, threshold, *rest)

    monkeypatch.setattr(type(module.widget.logic), "examSuggestion", count)
    add(module, chest)
    detect(module, tmp_path / "result", tuple(1.0 - n / 501 for n in range(500)))
    set_threshold(module, 0.5)
    settle(module)
    assert asked == []  # nobody sees it while the section is closed
    module.widget.ui.reportCollapsibleButton.setProperty("collapsed", False)
    for n in range(20):
        set_threshold(module, n / 20)
    assert asked == []
    settle(module)
    assert asked == [pytest.approx(0.95)]
