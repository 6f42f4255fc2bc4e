"""Doubles of the ctk and qMRML widgets that the module's `.ui` file names."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal
from shiboken6 import isValid

HEADER_HEIGHT = 26


class _Strict:
    """Refuses attributes that the real class does not have: a misspelt property must fail here as it would there."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        elif self.metaObject().indexOfProperty(name) >= 0:
            self.setProperty(name, value)
        else:
            raise AttributeError(f"{type(self).__name__} has no property {name!r}")


def _property(kind: Any, name: str, default: Any, changed: str | None = None, after: str | None = None) -> Any:
    """A Qt property that keeps its value; `changed` names its signal, `after` a method to call."""

    def get(self: Any) -> Any:
        return self.__dict__.get(f"_{name}", default)

    def set_(self: Any, value: Any) -> None:
        former = get(self)
        self.__dict__[f"_{name}"] = value
        if after:
            getattr(self, after)()
        if changed and value != former:
            getattr(self, changed).emit(value)

    return Property(kind, get, set_)


class ctkCollapsibleButton(_Strict, QtWidgets.QWidget):
    """A titled section."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setContentsMargins(0, HEADER_HEIGHT, 0, 0)

    def _collapse(self) -> None:
        self.setMaximumHeight(HEADER_HEIGHT if self._collapsed else 16777215)

    text = _property(str, "text", "", after="update")
    collapsed = _property(bool, "collapsed", False, "contentsCollapsed", "_collapse")

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        box = QtCore.QRect(0, 1, self.width(), HEADER_HEIGHT - 3)
        painter.setPen(self.palette().mid().color())
        painter.setBrush(self.palette().button())
        painter.drawRoundedRect(box.adjusted(0, 0, -1, 0), 3, 3)
        painter.setPen(self.palette().buttonText().color())
        title = f"{'▸' if self.__dict__.get('_collapsed') else '▾'}  {self.property('text')}"
        painter.drawText(box.adjusted(8, 0, 0, 0), QtCore.Qt.AlignmentFlag.AlignVCenter, title)


class ctkSliderWidget(_Strict, QtWidgets.QWidget):
    """A slider with a spin box; like the real one, it keeps its value within its range."""

    valueChanged = Signal(float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._slider, self._box = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal), QtWidgets.QDoubleSpinBox()
        row.addWidget(self._slider)
        row.addWidget(self._box)
        self._slider.setRange(0, 1000)
        self._box.setRange(0.0, 99.0)
        self._box.valueChanged.connect(self._on_box)
        self._slider.valueChanged.connect(self._on_slider)

    def _on_box(self, value: float) -> None:
        span = self._box.maximum() - self._box.minimum()
        blocker = QtCore.QSignalBlocker(self._slider)
        self._slider.setValue(round(1000 * (value - self._box.minimum()) / span) if span else 0)
        del blocker
        self.valueChanged.emit(value)

    def _on_slider(self, value: int) -> None:
        self._box.setValue(self._box.minimum() + value / 1000 * (self._box.maximum() - self._box.minimum()))

    value = Property(float, lambda self: self._box.value(), lambda self, v: self._box.setValue(v))
    minimum = Property(float, lambda self: self._box.minimum(), lambda self, v: self._box.setMinimum(v))
    maximum = Property(float, lambda self: self._box.maximum(), lambda self, v: self._box.setMaximum(v))
    decimals = Property(int, lambda self: self._box.decimals(), lambda self, v: self._box.setDecimals(v))
    singleStep = Property(float, lambda self: self._box.singleStep(), lambda self, v: self._box.setSingleStep(v))
    pageStep = _property(float, "pageStep", 10.0)
    tracking = _property(bool, "tracking", True)


class ctkPathLineEdit(_Strict, QtWidgets.QWidget):
    """A path with a history and a browse button."""

    currentPathChanged = Signal(str)
    Files, Dirs, Drives, NoDot, NoDotDot, NoDotAndDotDot = 2, 1, 4, 0x2000, 0x4000, 0x6000
    Executable, Writable, Readable = 0x40, 0x20, 0x10

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._edit = QtWidgets.QComboBox()
        self._edit.setEditable(True)
        self._edit.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
        self._edit.editTextChanged.connect(self.currentPathChanged)
        row.addWidget(self._edit)
        browse = QtWidgets.QToolButton()
        browse.setText("\u2026")
        row.addWidget(browse)

    def addCurrentPathToHistory(self) -> None:
        path, history = self._edit.currentText(), self._history()
        if path:
            slicer.app.userSettings().setValue(self.property("settingKey"), [path, *(p for p in history if p != path)])
            self._retrieve_history()

    def _history(self) -> list[str]:
        stored = slicer.app.userSettings().value(self.property("settingKey")) or []
        return [stored] if isinstance(stored, str) else stored

    def _retrieve_history(self) -> None:
        """Like the real one, it shows the last path of the history when it has none of its own."""
        path, history = self._edit.currentText(), self._history()
        self._edit.clear()
        self._edit.addItems(history)
        self._edit.setEditText(path or next(iter(history), ""))

    currentPath = Property(str, lambda self: self._edit.currentText(), lambda self, path: self._edit.setEditText(path))
    settingKey = _property(str, "settingKey", "", after="_retrieve_history")
    filters = _property(int, "filters", 0)


class qMRMLWidget(QtWidgets.QWidget):
    """Hands its scene on to the MRML widgets in it, as the connections of a `.ui` file do in the application."""

    mrmlSceneChanged = Signal(object)

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)
        for child in self.findChildren(QtWidgets.QWidget):
            if child is not self and hasattr(child, "setMRMLScene"):
                child.setMRMLScene(scene)

    def mrmlScene(self) -> Any:
        return getattr(self, "_scene", None)


class qMRMLNodeComboBox(_Strict, qMRMLWidget):
    """Chooses one of the scene's nodes. When the chosen one leaves the scene, another or none is chosen."""

    currentNodeChanged = Signal(object)
    nodeActivated = Signal(object)  # when the user chooses

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._box = QtWidgets.QComboBox()
        row.addWidget(self._box)
        self._nodes: list[Any] = []
        self._node: Any = None
        self._box.activated.connect(self._activate)

    nodeTypes = _property("QStringList", "nodeTypes", [])
    showChildNodeTypes = _property(bool, "showChildNodeTypes", True)
    noneEnabled = _property(bool, "noneEnabled", False)
    addEnabled = _property(bool, "addEnabled", True)
    removeEnabled = _property(bool, "removeEnabled", True)
    renameEnabled = _property(bool, "renameEnabled", False)
    currentNodeID = property(lambda self: self._node.GetID() if self._node else "")

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
        tags: list[int] = []

        def follow(caller: Any, event: str) -> None:
            if isValid(self):
                self._update()
            else:  # deleted with its parent, without a word to Python
                while tags:
                    scene.RemoveObserver(tags.pop())

        tags += [scene.AddObserver(event, follow) for event in events]
        self.destroyed.connect(lambda: [scene.RemoveObserver(tag) for tag in tags])
        self._update()

    def currentNode(self) -> Any:
        return self._node

    def setCurrentNode(self, node: Any) -> None:
        if node is not None and node not in self._nodes:
            self._update()
        if node is not None and node not in self._nodes:
            node = None
        changed, self._node = node is not self._node, node
        self._show()
        if changed:
            self.currentNodeChanged.emit(node)

    def _activate(self, index: int) -> None:
        self.setCurrentNode(([None] * bool(self.property("noneEnabled")) + self._nodes)[index])
        self.nodeActivated.emit(self._node)

    def _update(self) -> None:
        collections = [self._scene.GetNodesByClass(name) for name in self.property("nodeTypes")]
        nodes = [c.GetItemAsObject(n) for c in collections for n in range(c.GetNumberOfItems())]
        if not self.property("showChildNodeTypes"):
            nodes = [node for node in nodes if node.GetClassName() in self.property("nodeTypes")]
        self._nodes = nodes = [node for node in nodes if not node.GetHideFromEditors()]
        if self._node is not None and self._node not in nodes:
            self.setCurrentNode(None if self.property("noneEnabled") or not nodes else nodes[0])
        else:
            self._show()

    def _show(self) -> None:
        names = ["Select a volume"] * bool(self.property("noneEnabled")) + [node.GetName() for node in self._nodes]
        self._box.clear()
        self._box.addItems(names)
        offset = int(bool(self.property("noneEnabled")))
        self._box.setCurrentIndex(self._nodes.index(self._node) + offset if self._node in self._nodes else offset - 1)


CTK_WIDGETS = (ctkCollapsibleButton, ctkSliderWidget, ctkPathLineEdit)
QMRML_WIDGETS = (qMRMLWidget, qMRMLNodeComboBox)
