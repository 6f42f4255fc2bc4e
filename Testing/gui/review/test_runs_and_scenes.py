"""A review while runs come and scenes are saved, loaded and closed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import slicer
from host import Module
from PySide6 import QtTest

from gui.driving import (
    add,
    click_detect,
    detect,
    detected,
    is_visible,
    save_close_and_open,
    segments_shown,
    select_row,
    set_threshold,
    state,
    table_column,
    texts,
)
from gui.reviewing import Answers, choose_reason, enabled, missed_ras, place, trail
from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.scene.detections import REVIEW_ROLE
from LungNoduleCADLib.volume import Volume


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
