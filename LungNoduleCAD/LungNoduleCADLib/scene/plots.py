"""The free-response ROC of the scene's cases as a plot, with the point that the threshold stands at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation.free_response import FrocCurve

FROC_ATTRIBUTE = "LungNoduleCAD.froc"
CHART_NAME, CURVE_NAME, POINT_NAME = "FROC", "FROC curve", "FROC operating point"
CURVE, POINT = "curve", "point"
"""Roles of the chart's series; each refers to its table."""

FALSE_POSITIVES, SENSITIVITY, THRESHOLD = "False positives per scan", "Sensitivity", "Threshold"
CURVE_COLOR, POINT_COLOR = (0.16, 0.42, 0.86), (0.90, 0.35, 0.05)
LEAST_RANGE = 1.0


def show_froc(scene: Any, curve: FrocCurve, title: str) -> Any:
    """Draw a curve into the scene's FROC plot, which is made where there is none; returns its chart node."""
    chart = froc_chart(scene) or _add_chart(scene)
    finite = np.isfinite(curve.threshold)
    columns = {
        FALSE_POSITIVES: curve.fp_per_scan,
        SENSITIVITY: curve.sensitivity,
        THRESHOLD: np.where(finite, curve.threshold, 1.0),
    }
    _fill(_table(chart, CURVE), columns)
    chart.SetTitle(title)
    chart.SetXAxisRange(0.0, max(LEAST_RANGE, 1.05 * float(curve.fp_per_scan[-1])))
    return chart


def show_operating_point(scene: Any, threshold: float, fp_per_scan: float, sensitivity: float, name: str) -> None:
    """Move the mark of the scene's FROC plot; nothing happens where there is no plot.

    :param name: as the legend says it.
    """
    chart = froc_chart(scene)
    if chart is None:
        return
    _fill(_table(chart, POINT), {FALSE_POSITIVES: [fp_per_scan], SENSITIVITY: [sensitivity], THRESHOLD: [threshold]})
    _series(chart, POINT).SetName(name)


def froc_chart(scene: Any) -> Any:
    """The scene's FROC plot; None where there is none, or a part of it was removed."""
    found = scene.GetNodesByClass("vtkMRMLPlotChartNode")
    charts = [found.GetItemAsObject(n) for n in range(found.GetNumberOfItems())]
    for chart in charts:
        if chart.GetAttribute(FROC_ATTRIBUTE) and all(_is_whole(chart, role) for role in (CURVE, POINT)):
            return chart
    return None


def remove_froc(scene: Any) -> None:
    """Remove the plot with all that belongs to it."""
    chart = froc_chart(scene)
    if chart is not None:
        parts = [node for role in (CURVE, POINT) for node in (_table(chart, role), _series(chart, role))]
        for node in (*parts, chart):
            scene.RemoveNode(node)


def _add_chart(scene: Any) -> Any:
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", CHART_NAME)
    chart.SetAttribute(FROC_ATTRIBUTE, "1")
    chart.SetXAxisTitle(FALSE_POSITIVES)
    chart.SetYAxisTitle(SENSITIVITY)
    chart.SetXAxisRangeAuto(False)
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisRange(0.0, 1.0)
    for role, name in ((CURVE, CURVE_NAME), (POINT, POINT_NAME)):
        table = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
        series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetPlotType(series.PlotTypeScatter)
        series.SetXColumnName(FALSE_POSITIVES)
        series.SetYColumnName(SENSITIVITY)
        if role == CURVE:
            series.SetColor(*CURVE_COLOR)
            series.SetMarkerStyle(series.MarkerStyleNone)
            series.SetLineStyle(series.LineStyleSolid)
            series.SetLineWidth(2.5)
        else:
            series.SetColor(*POINT_COLOR)
            series.SetLineStyle(series.LineStyleNone)
            series.SetMarkerStyle(series.MarkerStyleCircle)
            series.SetMarkerSize(12.0)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
        chart.SetNodeReferenceID(role, series.GetID())
    return chart


def _fill(table_node: Any, columns: Mapping[str, Sequence[float] | np.ndarray]) -> None:
    """Put numbers into a table, all at once: views must not see columns of different lengths."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkTable

    table = vtkTable()
    for name, values in columns.items():
        column = numpy_to_vtk(np.asarray(values, dtype=np.float64), deep=True)
        column.SetName(name)
        table.AddColumn(column)
    table_node.SetAndObserveTable(table)


def _series(chart: Any, role: str) -> Any:
    return chart.GetNodeReference(role)


def _table(chart: Any, role: str) -> Any:
    return _series(chart, role).GetTableNode()


def _is_whole(chart: Any, role: str) -> bool:
    return _series(chart, role) is not None and _table(chart, role) is not None
