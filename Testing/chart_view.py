"""Draws a plot chart of the scene without Slicer's plot view, by VTK's own chart: what that view sets from the nodes is
set here."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy

Series = slicer.vtkMRMLPlotSeriesNode
MARKERS = {
    Series.MarkerStyleNone: vtk.VTK_MARKER_NONE,
    Series.MarkerStyleCircle: vtk.VTK_MARKER_CIRCLE,
    Series.MarkerStyleSquare: vtk.VTK_MARKER_SQUARE,
    Series.MarkerStyleDiamond: vtk.VTK_MARKER_DIAMOND,
}
LINES = {Series.LineStyleNone: vtk.vtkPen.NO_PEN, Series.LineStyleSolid: vtk.vtkPen.SOLID_LINE}


def draw_chart(chart_node: Any, width: int = 480, height: int = 360) -> NDArray[np.uint8]:
    """A chart as the view shows it, RGB (height, width, 3)."""
    view = vtk.vtkContextView()
    window = view.GetRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(0)
    window.SetSize(width, height)
    view.GetRenderer().SetBackground(1.0, 1.0, 1.0)
    chart = vtk.vtkChartXY()
    view.GetScene().AddItem(chart)
    for n in range(chart_node.GetNumberOfPlotSeriesNodes()):
        chart.AddPlot(_plot(chart_node.GetNthPlotSeriesNode(n)))
    chart.SetTitle(chart_node.GetTitle() or "")
    chart.GetTitleProperties().SetFontSize(chart_node.GetTitleFontSize())
    chart.SetShowLegend(chart_node.GetLegendVisibility())
    chart.GetLegend().SetLabelSize(chart_node.GetLegendFontSize())
    _set_axis(
        chart.GetAxis(vtk.vtkAxis.BOTTOM), chart_node, chart_node.GetXAxisTitle(), chart_node.GetXAxisLogScale(),
        chart_node.GetXAxisRange(),
    )  # fmt: skip
    _set_axis(
        chart.GetAxis(vtk.vtkAxis.LEFT), chart_node, chart_node.GetYAxisTitle(), chart_node.GetYAxisLogScale(),
        chart_node.GetYAxisRange(),
    )  # fmt: skip
    window.Render()
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.ReadFrontBufferOff()
    grabber.Update()
    return vtk_to_numpy(grabber.GetOutput().GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()


def _plot(series: Any) -> Any:
    plot = vtk.vtkPlotLine()
    plot.SetWidth(series.GetLineWidth())
    plot.SetColorF(*series.GetColor())
    plot.GetPen().SetLineType(LINES[series.GetLineStyle()])
    plot.SetMarkerSize(series.GetMarkerSize())
    plot.SetMarkerStyle(MARKERS[series.GetMarkerStyle()])
    plot.SetUseIndexForXSeries(False)
    plot.SetInputData(series.GetTableNode().GetTable(), series.GetXColumnName(), series.GetYColumnName())
    plot.SetLabel(series.GetName())
    return plot


def _set_axis(axis: Any, chart_node: Any, title: str, is_log: bool, limits: tuple[float, float]) -> None:
    axis.SetTitle(title)
    axis.GetTitleProperties().SetBold(False)
    axis.GetTitleProperties().SetFontSize(chart_node.GetAxisTitleFontSize())
    axis.GetLabelProperties().SetFontSize(chart_node.GetAxisLabelFontSize())
    axis.SetGridVisible(chart_node.GetGridVisibility())
    axis.SetLogScale(is_log)
    axis.SetBehavior(vtk.vtkAxis.FIXED)
    axis.SetUnscaledRange(*limits)
