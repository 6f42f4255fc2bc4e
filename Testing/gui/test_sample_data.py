"""Entries in Slicer's Sample Data module."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import slicer
from host import Module
from host.application import SampleDataLogic

from gui.driving import choose, state
from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.errors import LungNoduleCADError
from LungNoduleCADLib.volume import Volume


@pytest.fixture
def registered(module: Module) -> dict[str, dict[str, Any]]:
    """What was registered when the application had started, by name."""
    return {entry["sampleName"]: entry for entry in SampleDataLogic.registered}


def test_phantom_and_public_chest_are_offered(registered: dict[str, dict[str, Any]]) -> None:
    assert set(registered) == {"ChestPhantom", "CTChest"}
    assert SampleDataLogic.categories == {"LungNoduleCAD": "Lung Nodule CAD"}
    chest = registered["CTChest"]
    assert re.fullmatch(r"https://\S+/SHA256/[0-9a-f]{64}", chest["uris"])
    assert chest["checksums"] == f"SHA256:{chest['uris'][-64:]}"


def test_thumbnail_is_a_picture_of_the_right_shape(registered: dict[str, dict[str, Any]]) -> None:
    from PySide6.QtGui import QImage

    picture = QImage(registered["ChestPhantom"]["thumbnailFileName"])
    assert not picture.isNull()
    assert 240 <= picture.width() <= 280 and 240 <= picture.height() <= 300


def test_phantom_is_computed_on_demand_beside_the_user_interface(
    module: Module, chest: Volume, registered: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    phantom = SimpleNamespace(volume=chest)  # the simulation has tests of its own, and takes half a minute
    monkeypatch.setattr("LungNoduleCADLib.simulation.make_phantom", lambda **settings: phantom)
    [node] = registered["ChestPhantom"]["customDownloader"](None)
    assert slicer.mrmlScene.IsNodePresent(node)
    choose(module, node)
    assert state(module) is State.READY


def test_phantom_that_fails_says_so(
    module: Module, registered: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    monkeypatch.setattr("LungNoduleCADLib.simulation.make_phantom", lambda **settings: 1 / 0)
    with pytest.raises(LungNoduleCADError, match="could not be computed"):
        registered["ChestPhantom"]["customDownloader"](None)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
