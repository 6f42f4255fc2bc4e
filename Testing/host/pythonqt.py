"""PythonQt's manners on PySide6: properties are attributes, setters exist, and `obj.connect("signal(...)", f)` works.

PySide6's `true_property` feature makes properties attributes but hides the setters, and it is chosen for each importing
module. So the sources of the module under test are compiled with two kinds of calls redirected, and with every
assignment to an attribute checked.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import shibokensupport.feature as feature
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

_spec_from_file_location = importlib.util.spec_from_file_location
TRUE_PROPERTY = 2
CONNECT, CALL_SETTER, OWNER = "__pythonqt_connect__", "__pythonqt_call_setter__", "__pythonqt_owner__"


def connect(sender: Any, signal: str, slot: Any) -> Any:
    """`sender.connect("signal(types)", slot)`; PythonQt returns whether the signal exists."""
    if not isinstance(sender, QtCore.QObject):
        return sender.connect(signal, slot)
    found = getattr(sender, signal.partition("(")[0], None)
    if not isinstance(found, QtCore.SignalInstance):
        raise ValueError(f"{type(sender).__name__} has no signal {signal}")
    return bool(found.connect(slot))


def call_setter(target: Any, name: str, *arguments: Any, **named: Any) -> Any:
    """`target.setX(...)`; from here, where no feature is chosen, the setter is seen."""
    return getattr(target, name)(*arguments, **named)


def owner(target: Any, name: str) -> Any:
    """The target of `target.name = ...`. PythonQt refuses what is no property; PySide6 would take it for something of
    Python's, and a misspelt property would never be missed."""
    if isinstance(target, QtCore.QObject) and name != "name" and target.metaObject().indexOfProperty(name) < 0:
        raise AttributeError(f"{type(target).__name__} has no property {name!r}")
    return target


class _Redirect(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        method = node.func
        if not isinstance(method, ast.Attribute):
            return node
        first = node.args[0] if node.args else None
        if method.attr == "connect" and isinstance(first, ast.Constant) and isinstance(first.value, str):
            return self._call(node, CONNECT, [method.value, *node.args])
        if method.attr.startswith("set") and method.attr[3:4].isupper():
            return self._call(node, CALL_SETTER, [method.value, ast.Constant(method.attr), *node.args])
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Store):
            call = ast.Call(ast.Name(OWNER, ast.Load()), [node.value, ast.Constant(node.attr)], [])
            node.value = ast.copy_location(call, node)
        return node

    def _call(self, node: ast.Call, function: str, arguments: list[ast.expr]) -> ast.Call:
        return ast.copy_location(ast.Call(ast.Name(function, ast.Load()), arguments, node.keywords), node)


class _Loader(importlib.machinery.SourceFileLoader):
    def source_to_code(self, data: Any, path: Any, *, _optimization: int = -1) -> Any:  # type: ignore[override]
        tree = ast.fix_missing_locations(_Redirect().visit(ast.parse(data, path)))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimization)

    def get_code(self, fullname: str) -> Any:
        """Never from the cache, which holds the code without redirection."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__.update({CONNECT: connect, CALL_SETTER: call_setter, OWNER: owner})
        feature.set_selection(TRUE_PROPERTY, module.__name__)
        super().exec_module(module)


class PythonQtFinder(importlib.abc.MetaPathFinder):
    """Finds modules below the given folders, and gives them PythonQt's manners."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder.resolve() for folder in folders]

    def spec_from_file_location(self, name: str, location: Any = None, **options: Any) -> Any:
        if location is not None and self._is_ours(Path(location)):
            options.setdefault("loader", _Loader(name, str(location)))
        return _spec_from_file_location(name, location, **options)

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        tail = name.rpartition(".")[2]
        for folder in map(Path, path or self._folders):
            if not self._is_ours(folder):
                continue
            package, module = folder / tail / "__init__.py", folder / f"{tail}.py"
            if package.exists():
                loader = _Loader(name, str(package))
                return importlib.util.spec_from_file_location(
                    name, package, loader=loader, submodule_search_locations=[str(package.parent)]
                )
            if module.exists():
                return importlib.util.spec_from_file_location(name, module, loader=_Loader(name, str(module)))
        return None

    def _is_ours(self, path: Path) -> bool:
        return any(path.resolve().is_relative_to(root) for root in self._folders)


def qt_module(custom_widgets: Sequence[type]) -> types.ModuleType:
    """The module `qt`: PySide6's classes in one namespace, and a QUiLoader that knows the application's widgets."""

    class QUiLoader(QtUiTools.QUiLoader):
        def __init__(self) -> None:
            super().__init__()
            for widget in custom_widgets:
                self.registerCustomWidget(widget)

    qt = types.ModuleType("qt")
    for module in (QtCore, QtGui, QtWidgets):
        # Not `vars`: PySide6 makes its classes when they are first asked for.
        vars(qt).update({name: getattr(module, name) for name in dir(module) if not name.startswith("_")})
    qt.QUiLoader = QUiLoader  # type: ignore[attr-defined]
    return qt


def install(folders: Sequence[Path], qt: types.ModuleType, ctk: types.ModuleType) -> None:
    """Make `import qt`, `import ctk` and the sources below `folders` work as in Slicer."""
    # PythonQt offers an object's name as `name`.
    QtCore.QObject.name = property(lambda o: o.objectName(), lambda o, name: o.setObjectName(name))  # type: ignore[attr-defined]
    _choose_first_feature("slicer.util")
    sys.modules.update(qt=qt, ctk=ctk)
    finder = PythonQtFinder(folders)
    sys.meta_path.insert(0, finder)
    importlib.util.spec_from_file_location = finder.spec_from_file_location  # how Slicer reloads a module


def _choose_first_feature(module_name: str) -> None:
    """The first choice makes PySide6 read the source of every module in memory, on which some of PyTorch's fail."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "torch"}
    try:
        feature.set_selection(TRUE_PROPERTY, module_name)
    finally:
        sys.modules.update(hidden)
