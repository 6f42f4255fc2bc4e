"""Doubles of `slicer.app`, `slicer.modules`, `SampleData` and, where Slicer's own are not at hand, of `slicer.i18n`."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Signal


class ModuleManager(QtCore.QObject):
    """qSlicerModuleManager."""

    moduleAboutToBeUnloaded = Signal(str)

    def disconnect(self, signal: str, slot: Callable[..., Any]) -> bool:  # type: ignore[override]
        return bool(getattr(self, signal.partition("(")[0]).disconnect(slot))


class Application(QtCore.QObject):
    """qSlicerApplication in testing mode: no dialogs, messages are logged instead."""

    startupCompleted = Signal()
    aboutToQuit = Signal()
    applicationName = "Slicer"
    documentationBaseUrl = ""

    def __init__(self, application_logic: Any) -> None:
        super().__init__()
        self._logic, self._manager = application_logic, ModuleManager()
        self.cursors = 0

    def applicationLogic(self) -> Any:
        return self._logic

    def moduleManager(self) -> ModuleManager:
        return self._manager

    def processEvents(self) -> None:
        QtWidgets.QApplication.processEvents()

    def settings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    userSettings = settings

    def testingEnabled(self) -> bool:
        return True

    def mainWindow(self) -> None:
        return None

    def topLevelWidgets(self) -> list[QtWidgets.QWidget]:
        return []

    def setOverrideCursor(self, shape: Any) -> None:
        self.cursors += 1

    def restoreOverrideCursor(self) -> None:
        self.cursors -= 1

    def translate(self, context: str, text: str) -> str:
        return text

    def moduleDocumentationUrl(self, name: str) -> str:
        return ""


class SampleDataLogic:
    """SampleData.SampleDataLogic, as far as registering goes."""

    registered: list[dict[str, Any]] = []  # noqa: RUF012 - a double of Slicer's registry, which is global too
    KNOWN = frozenset(
        {
            *("category", "sampleName", "uris", "fileNames", "nodeNames", "customDownloader", "thumbnailFileName"),
            *("loadFiles", "loadFileTypes", "loadFileProperties", "checksums", "sampleDescription"),
        }
    )

    @classmethod
    def registerCustomSampleDataSource(cls, **entry: Any) -> None:
        unknown = set(entry) - cls.KNOWN
        if unknown:
            raise TypeError(f"registerCustomSampleDataSource() got an unexpected keyword argument {unknown.pop()!r}")
        cls.registered.append(entry)


def sample_data_module() -> types.ModuleType:
    """The module `SampleData`."""
    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
    return module


def i18n_module() -> types.ModuleType:
    """The module `slicer.i18n`, in English. Refuses what cannot be translated because it is no literal text."""
    module = types.ModuleType("slicer.i18n")

    def tr(text: str) -> str:
        if not isinstance(text, str):
            raise TypeError(f"tr() takes text, not {type(text).__name__}")
        return text

    module.tr, module.translate = tr, lambda context, text: text  # type: ignore[attr-defined]
    return module
