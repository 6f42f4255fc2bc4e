"""The free-response ROC of the scene's cases as a plot, with the point that the threshold stands at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation.free_response import OPERATING_POINTS, FrocCurve

FROC_ATTRIBUTE = "LungNoduleCAD.froc"
CHART_NAME, CURVE_NAME, POINT_NAME = "FROC", "FROC curve", "FROC operating point"
CURVE, POINT = "curve", "point"
"""Roles of the chart's series; each refers to its table."""

FALSE_POSITIVES, SENSITIVITY, THRESHOLD = "False positives per scan", "Sensitivity", "Threshold"
CURVE_COLOR, POINT_COLOR = (0.16, 0.42, 0.86), (0.90, 0.35, 0.05)
FP_RANGE = (OPERATING_POINTS[0], OPERATING_POINTS[-1])
"""What the plot shows, on a logarithmic axis, as the LUNA16 challenge does: 1/8 to 8 false positives a scan."""
TITLE_SIZE, AXIS_TITLE_SIZE = 14, 14
"""Slicer's own are for a plot as wide as the screen."""


def show_froc(scene: Any, curve: FrocCurve, title: str) -> Any:
    """Draw a curve into the scene's FROC plot, which is made where there is none; returns its chart node.

    The table holds the curve within `FP_RANGE`: from its value at 1/8, and on to 8 with its last value.
    """
    chart = froc_chart(scene) or _add_chart(scene)
    low, high = FP_RANGE
    inside = (curve.fp_per_scan > low) & (curve.fp_per_scan < high)
    fp_per_scan = np.concatenate([[low], curve.fp_per_scan[inside], [high]])
    corner = np.searchsorted(curve.fp_per_scan, fp_per_scan, side="right") - 1
    threshold = np.concatenate([curve.threshold[corner[:1]], curve.threshold[inside], curve.threshold[corner[-1:]]])
    columns = {
        FALSE_POSITIVES: fp_per_scan,
        SENSITIVITY: np.concatenate([curve.at([low]), curve.sensitivity[inside], curve.at([high])]),
        THRESHOLD: np.where(np.isfinite(threshold), threshold, 1.0),
    }
    _fill(_table(chart, CURVE), columns)
    chart.SetTitle(title)
    return chart


def show_operating_point(
    scene: Any, threshold: float, fp_per_scan: float, sensitivity: float, name: str, title: str
) -> None:
    """Move the mark of the scene's FROC plot; nothing happens where there is none. Beyond `FP_RANGE` it stands at the
    plot's edge.

    :param name: of the mark, for whoever points at it. :param title: of the plot. It says where the mark stands: the
        legend, whose place nobody can choose, would cover the curve.
    """
    chart = froc_chart(scene)
    if chart is None:
        return
    # Twice: VTK cannot draw a line of one point, and says so in the error log each time it draws.
    point = {FALSE_POSITIVES: np.clip(fp_per_scan, *FP_RANGE), SENSITIVITY: sensitivity, THRESHOLD: threshold}
    _fill(_table(chart, POINT), {key: [float(value)] * 2 for key, value in point.items()})
    _series(chart, POINT).SetName(name)
    chart.SetTitle(title)


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
    chart.SetTitleFontSize(TITLE_SIZE)
    chart.SetAxisTitleFontSize(AXIS_TITLE_SIZE)
    chart.SetLegendVisibility(False)
    chart.SetXAxisLogScale(True)
    chart.SetXAxisRangeAuto(False)
    chart.SetXAxisRange(*FP_RANGE)
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisRange(0.0, 1.05)  # a curve at 1 must be seen
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
