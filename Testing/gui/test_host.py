"""The doubles refuse what Slicer's own classes do not have: otherwise the module's tests would prove nothing."""

from __future__ import annotations

import types
from typing import Any

import pytest
import slicer
from host import parameter_node, pythonqt, widgets
from host.application import SampleDataLogic
from PySide6 import QtWidgets
from vtkmodules.vtkCommonDataModel import vtkPolyData


def assign(widget: Any, name: str, value: Any) -> None:
    """As the module's compiled source does."""
    setattr(pythonqt.owner(widget, name), name, value)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (QtWidgets.QLabel, "caption"),
        (QtWidgets.QPushButton, "tooltip"),
        (widgets.ctkSliderWidget, "maximumValue"),
        (widgets.ctkPathLineEdit, "path"),
        (widgets.ctkCollapsibleButton, "isCollapsed"),
        (widgets.qMRMLNodeComboBox, "nodeType"),
    ],
)
def test_properties_that_do_not_exist_cannot_be_set(kind: type, name: str) -> None:
    widget = kind()
    with pytest.raises(AttributeError, match=name):
        assign(widget, name, "x")


def test_properties_that_exist_can_be_set() -> None:
    label, slider = QtWidgets.QLabel(), widgets.ctkSliderWidget()
    assign(label, "text", "x")
    assign(slider, "maximum", 1.0)
    assert slider.property("maximum") == 1.0
    thing = types.SimpleNamespace()
    assign(thing, "anything", 1)  # what is no Qt object is none of its business
    assert thing.anything == 1


def test_application_offers_to_python_what_the_real_one_does() -> None:
    assert not hasattr(slicer.app, "mainWindow")  # not invokable in qSlicerApplication
    assert slicer.util.mainWindow() is None


def test_unknown_signals_cannot_be_connected() -> None:
    with pytest.raises(ValueError, match="no signal"):
        pythonqt.connect(slicer.app, "startedUp()", print)


def test_sample_data_need_an_address_and_known_arguments() -> None:
    with pytest.raises(TypeError):
        SampleDataLogic.registerCustomSampleDataSource(sampleName="no address", fileNames="x")
    with pytest.raises(TypeError):
        SampleDataLogic.registerCustomSampleDataSource(sampleDescription="unknown", uris="")  # type: ignore[call-arg]


def test_parameters_of_unknown_kind_are_refused() -> None:
    class Parameters:
        surface: vtkPolyData

    Parameters.__annotations__ = {"surface": vtkPolyData}
    with pytest.raises(TypeError, match="serializer"):
        parameter_node.parameterNodeWrapper(Parameters)


def test_slider_keeps_its_value_within_its_range() -> None:
    slider = widgets.ctkSliderWidget()
    assign(slider, "maximum", 1.0)
    assign(slider, "value", 7.0)
    assert slider.property("value") == 1.0
