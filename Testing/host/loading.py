"""Start the doubled application and load a scripted module in it, as Slicer's module factory does."""

from __future__ import annotations

import importlib
import os
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
from PySide6 import QtCore, QtWidgets

from . import application, pythonqt, widgets

LOGICS = {
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "markups": "vtkSlicerMarkupsLogic",
    "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "plots": "vtkSlicerPlotsLogic",
}


@dataclass(eq=False)
class Module:
    """A loaded module: its Python module, its panel and the widget that holds the panel."""

    python: types.ModuleType
    widget: Any
    holder: Any

    def process_events(self) -> None:
        """Let Qt do what waits."""
        QtWidgets.QApplication.processEvents()

    def close(self) -> None:
        """End the module, as the application does at its own end."""
        self.widget.cleanup()
        self.holder.deleteLater()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)


def load_module(path: Path, **logic_parts: Any) -> Module:
    """Start the application, once a process, and load a module with a new panel.

    :param path: of the module's file.
    :param logic_parts: for the constructor of its logic.
    """
    start_application(path.parent)
    name = path.stem
    python = importlib.import_module(name)
    parent = types.SimpleNamespace(path=str(path), icon=None)
    instance = getattr(python, name)(parent)
    holder = widgets.qMRMLWidget()
    QtWidgets.QVBoxLayout(holder)
    holder.isEntered = False
    entry = types.SimpleNamespace(path=str(path), instance=instance, widgetRepresentation=lambda: holder)
    setattr(slicer.modules, name.lower(), entry)
    panel = getattr(python, f"{name}Widget")(holder, getattr(python, f"{name}Logic")(**logic_parts))
    panel.setup()
    slicer.app.startupCompleted.emit()
    return Module(python, panel, holder)


def start_application(module_folder: Path) -> None:
    """Make `slicer.app`, `qt` and `ctk` what they are in Slicer, once a process.

    :param module_folder: its sources get PythonQt's manners.
    """
    slicer_python = os.environ.get("SLICER_PY")
    if not isinstance(getattr(slicer, "app", None), application.Application):
        _start([module_folder, *([Path(slicer_python)] if slicer_python else [])], slicer_python)


def enter_module(module: Module) -> None:
    """Open the module."""
    module.holder.isEntered = True
    module.widget.enter()


def leave_module(module: Module) -> None:
    """Open another module."""
    module.holder.isEntered = False
    module.widget.exit()


def _start(folders: list[Path], slicer_python: str | None) -> None:
    _keep(QtWidgets.QApplication.instance() or QtWidgets.QApplication([]))
    QtCore.qInstallMessageHandler(_show_qt_message)
    scene, application_logic = slicer.vtkMRMLScene(), slicer.vtkSlicerApplicationLogic()
    application_logic.SetMRMLScene(scene)
    logics = {name: getattr(slicer, class_name)() for name, class_name in LOGICS.items()}
    for logic in logics.values():
        logic.SetMRMLApplicationLogic(application_logic)
        logic.SetMRMLScene(scene)
    application_logic.GetColorLogic().SetMRMLScene(scene)
    application_logic.GetColorLogic().AddDefaultColorNodes()
    slicer.mrmlScene, slicer.app = scene, application.Application(application_logic)
    slicer.modules = types.SimpleNamespace()
    for name, logic in logics.items():
        setattr(slicer.modules, name, types.SimpleNamespace(logic=lambda logic=logic: logic))
    for widget in widgets.QMRML_WIDGETS:
        setattr(slicer, widget.__name__, widget)

    custom = (*widgets.CTK_WIDGETS, *widgets.QMRML_WIDGETS)
    ctk = types.ModuleType("ctk")
    vars(ctk).update({widget.__name__: widget for widget in widgets.CTK_WIDGETS})
    if slicer_python:  # Slicer's own connectors compare with more widgets than the module has
        ctk.__getattr__ = _empty_class("ctk")  # type: ignore[method-assign]
        slicer.__getattr__ = _empty_class("qMRML")
        slicer.__path__.append(str(Path(slicer_python) / "slicer"))
    pythonqt.install(folders, pythonqt.qt_module(custom), ctk)
    sys.modules["SampleData"] = application.sample_data_module()
    if not slicer_python:
        from . import parameter_node, scripted

        sys.modules["slicer.i18n"] = application.i18n_module()
        sys.modules["slicer.parameterNodeWrapper"] = parameter_node  # type: ignore[assignment]
        sys.modules["slicer.ScriptedLoadableModule"] = scripted


def _empty_class(prefix: str) -> Any:
    def get(name: str) -> Any:
        if name.startswith(prefix):
            return type(name, (), {})
        raise AttributeError(name)

    return get


_kept: list[Any] = []


def _keep(thing: Any) -> None:
    """Qt's application object must outlive every widget."""
    _kept.append(thing)


def _show_qt_message(kind: Any, context: Any, text: str) -> None:
    # The .ui file's connections are those of the real qMRML classes, whose C++ signatures the doubles lack.
    if not any(part in text for part in ("vtkMRMLScene*", "propagateSizeHints", "sender name", "receiver name")):
        print(text, file=sys.stderr)
