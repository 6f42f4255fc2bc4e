"""The windows with an explanation's pictures."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import qt
import slicer
from host import Module
from PySide6 import QtGui, QtWidgets

from gui.driving import wait_until
from gui.explaining import ENTRIES, choose, explain
from LungNoduleCADLib.app.explanation_folder import FILM_FILE

pytestmark = pytest.mark.usefixtures("temporary")


def windows(module: Module) -> list[Any]:
    return [window.window for window in module.widget.panel.candidates.explain._windows]


@pytest.mark.parametrize(
    ("entry", "title", "size"),
    [(ENTRIES[2], "Why N1", (90, 60)), (ENTRIES[3], "Feature maps of N1", (1500, 1800)),
     (ENTRIES[4], "Slices through N1", (64, 48))],
)  # fmt: skip
def test_pictures_open_in_windows(
    module: Module, nodes: Any, temporary: Path, entry: str, title: str, size: tuple[int, int]
) -> None:
    explain(module, entry)
    [window] = windows(module)
    assert window.property("windowTitle") == title and not window.isHidden()
    label = window.findChild(QtWidgets.QScrollArea).widget()
    assert (label.property("width"), label.property("height")) == size
    assert window.property("width") <= 1100 and window.property("height") <= 800
    if entry == ENTRIES[4]:
        assert label.movie().frameCount() == 4 and label.movie().state() == QtGui.QMovie.MovieState.Running
    else:
        assert label.property("pixmap").size().toTuple() == size
    module.widget.panel.candidates.explain.close()
    assert window.isHidden() and os.listdir(temporary) == []


def test_several_windows_stay_open_beside_one_another(module: Module, nodes: Any) -> None:
    explain(module, ENTRIES[3])
    choose(module, ENTRIES[3])
    choose(module, ENTRIES[4])
    assert len(windows(module)) == 3 and not any(window.isHidden() for window in windows(module))


def test_windows_close_with_the_scene(module: Module, nodes: Any, temporary: Path) -> None:
    explain(module, ENTRIES[3])
    [window] = windows(module)
    slicer.mrmlScene.Clear()
    assert window.isHidden() and windows(module) == [] and os.listdir(temporary) == []


def test_a_picture_is_saved_where_the_user_says(
    module: Module, nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = explain(module, ENTRIES[4])
    [window] = windows(module)
    suggested: list[str] = []

    def ask(parent: Any, title: str, name: str) -> tuple[str, str]:
        suggested.append(name)
        return str(tmp_path / "mine.gif"), ""

    monkeypatch.setattr(qt, "QFileDialog", SimpleNamespace(getSaveFileName=ask))
    window.findChild(QtWidgets.QPushButton).click()
    assert suggested == ["N1-slices.gif"]
    assert run.explanation is not None
    assert (tmp_path / "mine.gif").read_bytes() == run.explanation.pictures[FILM_FILE]
    monkeypatch.setattr(qt, "QFileDialog", SimpleNamespace(getSaveFileName=lambda *_: ("", "")))
    window.findChild(QtWidgets.QPushButton).click()


def test_a_picture_that_cannot_be_saved_is_said(
    module: Module, nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: list[str]
) -> None:
    explain(module, ENTRIES[3])
    there = (str(tmp_path / "nowhere" / "mine.png"), "")
    monkeypatch.setattr(qt, "QFileDialog", SimpleNamespace(getSaveFileName=lambda *_: there))
    windows(module)[0].findChild(QtWidgets.QPushButton).click()
    assert len(errors) == 1 and "parent folder does not exist" in errors[0]


def test_where_slicer_cannot_read_the_format_the_system_opens_it(
    module: Module, nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    system = SimpleNamespace(openUrl=lambda url: opened.append(url.toLocalFile()))
    monkeypatch.setattr(qt, "QDesktopServices", system)
    run = choose(module, ENTRIES[4])
    assert run is not None
    run.finish()
    assert run.explanation is not None
    run.explanation.pictures[FILM_FILE] = b"no picture that Qt knows"
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    assert windows(module) == [] and len(opened) == 1 and opened[0].endswith("N1-slices.gif")
    assert Path(opened[0]).read_bytes() == b"no picture that Qt knows"
