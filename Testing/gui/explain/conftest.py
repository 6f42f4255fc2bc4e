"""The fixtures of the tests of explanations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module

from gui.driving import add, detect, select_row, set_threshold, show_views
from gui.explaining import FakeExplanation
from LungNoduleCADLib.volume import Volume


@pytest.fixture
def composites(module: Module) -> list[Any]:
    """What the slice views are made of."""
    nodes = []
    for name in show_views():
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode", name)
        node.SetLayoutName(name)
        nodes.append(node)
    return nodes


@pytest.fixture
def nodes(module: Module, composites: list[Any], chest: Volume, installed: list[Path], tmp_path: Path) -> Any:
    """A detection with all its findings shown, the first selected."""
    logic = module.widget.logic
    logic.makeExplanationRun = FakeExplanation
    logic.installExplanationPackages = installed.append
    volume = add(module, chest)
    for view in composites:
        view.SetBackgroundVolumeID(volume.GetID())
    found = detect(module, tmp_path / "result")
    set_threshold(module, 0.0)
    select_row(module, "N1")
    return found
