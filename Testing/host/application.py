"""Doubles of `slicer.app`, `SampleData` and, where Slicer's own are not at hand, of `slicer.i18n`."""

from __future__ import annotations

import tempfile
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Signal
from vtkmodules.vtkRenderingUI import vtkGenericRenderWindowInteractor


class ModuleManager(QtCore.QObject):
    """qSlicerModuleManager."""

    moduleAboutToBeUnloaded = Signal(str)

    def disconnect(self, signal: str, slot: Callable[..., Any]) -> bool:  # type: ignore[override]
        return bool(getattr(self, signal.partition("(")[0]).disconnect(slot))


class SliceView:
    """qMRMLSliceView."""

    def __init__(self) -> None:
        self._interactor = vtkGenericRenderWindowInteractor()

    def interactor(self) -> Any:
        return self._interactor


class SliceWidget:
    """qMRMLSliceWidget."""

    def __init__(self, slice_node: Any) -> None:
        self._node, self._view = slice_node, SliceView()

    def sliceView(self) -> SliceView:
        return self._view

    def mrmlSliceNode(self) -> Any:
        return self._node


class LayoutManager(QtCore.QObject):
    """qSlicerLayoutManager. The views of a layout are those of the slice nodes that a test hands to `show`."""

    layoutChanged = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._widgets: dict[str, SliceWidget] = {}

    def show(self, slice_nodes: Sequence[Any]) -> None:
        self._widgets = {node.GetLayoutName(): SliceWidget(node) for node in slice_nodes}
        self.layoutChanged.emit(len(self._widgets))

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._widgets)

    def sliceWidget(self, name: str) -> SliceWidget | None:
        return self._widgets.get(name)


class Application(QtCore.QObject):
    """qSlicerApplication in testing mode: no dialogs, messages are logged instead. What it does not offer to Python,
    such as `mainWindow`, is not here either."""

    startupCompleted = Signal()
    aboutToQuit = Signal()
    applicationName = "Slicer"
    documentationBaseUrl = ""

    def __init__(self, application_logic: Any) -> None:
        super().__init__()
        self._logic, self._manager, self._layout = application_logic, ModuleManager(), LayoutManager()
        self._folder = tempfile.TemporaryDirectory(prefix="LungNoduleCAD-settings-")
        self._settings = QtCore.QSettings(
            str(Path(self._folder.name) / "Slicer.ini"), QtCore.QSettings.Format.IniFormat
        )
        self.cursors = 0

    def applicationLogic(self) -> Any:
        return self._logic

    def moduleManager(self) -> ModuleManager:
        return self._manager

    def processEvents(self) -> None:
        QtWidgets.QApplication.processEvents()

    def layoutManager(self) -> LayoutManager:
        return self._layout

    def userSettings(self) -> QtCore.QSettings:
        return self._settings

    settings = userSettings

    def testingEnabled(self) -> bool:
        return True

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
    categories: dict[str, str] = {}  # noqa: RUF012

    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str) -> None:
        SampleDataLogic.categories[category] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: Any = None,
        loadFileTypes: Any = None,
        loadFiles: Any = None,
        loadFileProperties: Any = None,
        checksums: Any = None,
    ) -> None:
        if not isinstance(uris, str):
            raise TypeError(f"object of type {type(uris).__name__} has no len()")  # as the real one fails without any
        SampleDataLogic.registered.append(
            {
                "category": category,
                "sampleName": sampleName,
                "uris": uris,
                "fileNames": fileNames,
                "nodeNames": nodeNames,
                "customDownloader": customDownloader,
                "checksums": checksums,
                "thumbnailFileName": thumbnailFileName,
            }
        )


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
