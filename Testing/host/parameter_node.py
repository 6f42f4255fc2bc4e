"""Double of `slicer.parameterNodeWrapper` for the types and widgets that the module uses; others are refused."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import vtk

from .widgets import ctkSliderWidget, qMRMLNodeComboBox


@dataclass
class WithinRange:
    """Annotation: a number that must lie within two bounds."""

    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value {value} is not within the range [{self.minimum}, {self.maximum}]")


class _Parameter:
    """One parameter of a wrapper class, as a data descriptor over the MRML node."""

    def __init__(self, name: str, kind: Any, default: Any) -> None:
        self.name, self.kind, self.validators = name, kind, []
        if typing.get_origin(kind) is Annotated:
            self.kind, *self.validators = typing.get_args(kind)
        self.is_node = isinstance(self.kind, type) and self.kind.__name__.startswith("vtkMRML")
        if not self.is_node and self.kind not in (float, int, str):
            raise TypeError(f"Unable to create serializer for {name}: {kind}")
        self.default = default

    def __get__(self, wrapper: Any, owner: Any = None) -> Any:
        if wrapper is None:
            return self
        if self.is_node:
            return wrapper.parameterNode.GetNodeReference(self.name)
        return self.kind(wrapper.parameterNode.GetParameter(self.name))

    def __set__(self, wrapper: Any, value: Any) -> None:
        for validator in self.validators:
            validator.validate(value)
        if self.is_node:
            wrapper.parameterNode.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            wrapper.parameterNode.SetParameter(self.name, str(self.kind(value)))


class _Link:
    """A parameter and the widget that shows it."""

    def __init__(self, wrapper: Any, parameter: _Parameter, widget: Any) -> None:
        self.wrapper, self.parameter, self.widget = wrapper, parameter, widget
        if isinstance(widget, ctkSliderWidget) and parameter.kind is float:
            for bounds in parameter.validators:
                widget.setProperty("minimum", bounds.minimum)
                widget.setProperty("maximum", bounds.maximum)
            self.signal, self.read = widget.valueChanged, lambda: widget.property("value")
            self.write: Callable[[Any], Any] = lambda value: widget.setProperty("value", value)
        elif isinstance(widget, qMRMLNodeComboBox) and parameter.is_node:
            self.signal, self.read, self.write = widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode
        else:
            raise RuntimeError(f"Unable to create GUI connector from {parameter.kind} to {type(widget)}")
        self.show()
        self.signal.connect(self.changed)

    def show(self) -> None:
        self.write(self.parameter.__get__(self.wrapper))

    def changed(self, *values: Any) -> None:
        if not self.wrapper._updating:
            self.parameter.__set__(self.wrapper, self.read())

    def close(self) -> None:
        self.signal.disconnect(self.changed)


class _Wrapper:
    """What the decorator adds to a class."""

    allParameters: dict[str, _Parameter]

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._links: dict[int, list[_Link]] = {}
        self._tags: dict[int, int] = {}
        self._updating = False
        for parameter in self.allParameters.values():
            if not parameter.is_node and not parameterNode.GetParameter(parameter.name):
                parameter.__set__(self, parameter.default)

    def connectGui(self, gui: Any) -> int:
        tag = len(self._links)
        named = [(widget.property("SlicerParameterName"), widget) for widget in vars(gui).values()]
        self._links[tag] = [_Link(self, self.allParameters[name], widget) for name, widget in named if name]
        self._tags[tag] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._update())
        return tag

    def disconnectGui(self, tag: int) -> None:
        for link in self._links.pop(tag, []):
            link.close()
        if tag in self._tags:
            self.RemoveObserver(self._tags.pop(tag))

    def _update(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for links in self._links.values():
                for link in links:
                    link.show()
        finally:
            self._updating = False

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)


def parameterNodeWrapper(wrapped: type) -> type:
    """The decorator."""
    hints = typing.get_type_hints(wrapped, include_extras=True)
    parameters = {name: _Parameter(name, kind, getattr(wrapped, name, None)) for name, kind in hints.items()}
    return type(wrapped.__name__, (_Wrapper,), {"allParameters": parameters, "__doc__": wrapped.__doc__, **parameters})
