"""A detection under review in the module's panel: what the tests of reviews share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from host import Module

from gui.driving import click, show_detection
from LungNoduleCADLib.scene.geometry import to_ras
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
def nodes(module: Module, views: dict[str, Any], scan: Volume, tmp_path: Path) -> Any:
    """A detection with everything shown, and a reader."""
    return show_detection(module, scan, tmp_path / "result", reader="Ada")


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
