"""The Slicer module, loaded in the doubled application.

With SLICER_PY set, the same tests run on Slicer's own ScriptedLoadableModule and parameterNodeWrapper (see `host`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import slicer
from host import Module, enter_module, load_module, start_application

from gui.module_inputs import MODULE_FILE, FakeRun, chest_like
from LungNoduleCADLib.volume import Volume

start_application(MODULE_FILE.parent)  # tests import parts of the module, which import qt

from LungNoduleCADLib.app.module import performing  # noqa: E402

performing.DOUBLE_CLICK_S = 0.0  # tests click faster than people


@pytest.fixture(scope="session")
def chest() -> Volume:
    return chest_like()


@pytest.fixture
def installed() -> list[Path]:
    """The requirements files whose packages were asked for."""
    return []


@pytest.fixture
def module(installed: list[Path]) -> Iterator[Module]:
    """The module, entered, with an empty scene and runs that the test decides."""
    loaded = load_module(MODULE_FILE, makeRun=FakeRun, installer=installed.append)
    enter_module(loaded)
    yield loaded
    loaded.close()
    slicer.app.userSettings().clear()
    slicer.app.layoutManager().show([])
    slicer.mrmlScene.Clear()
