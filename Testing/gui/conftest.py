"""The Slicer module, loaded in the doubled application.

With SLICER_PY set, the same tests run on Slicer's own ScriptedLoadableModule and parameterNodeWrapper (see `host`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module, enter_module, load_module, start_application
from PySide6 import QtTest

from gui.driving import show_detection, show_views
from gui.exporting import FakeExport
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


@pytest.fixture
def views(module: Module) -> dict[str, Any]:
    """Three slice views."""
    return show_views()


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the error dialogs."""
    shown: list[str] = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **options: shown.append(text))
    return shown


@pytest.fixture
def shown(module: Module, nodes: Any) -> Module:
    """The module's window, which has the keyboard."""
    module.holder.show()
    module.holder.activateWindow()
    QtTest.QTest.qWaitForWindowActive(module.holder)
    return module


@pytest.fixture
def ready(module: Module, chest: Volume, tmp_path: Path, errors: list[str]) -> Iterator[Module]:
    """The module with a detection, a folder for reports, and exports that the test decides."""
    module.widget.logic.makeExportRun = FakeExport
    module.widget.logic.installPackages = lambda requirements: None
    module.widget.logic.reader = "Ada"
    show_detection(module, chest, tmp_path / "result", threshold=0.5)
    module.widget.ui.reportPathLineEdit.setProperty("currentPath", str(tmp_path / "reports"))
    yield module
    slicer.app.userSettings().clear()
