"""The FROC plot of the cases with a reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module

from gui.driving import add, detect, set_threshold
from gui.explaining import ui
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.volume import Volume


class Plots:
    """Slicer's plots logic."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def ShowChartInLayout(self, chart: Any) -> None:
        self.shown.append(chart)


@pytest.fixture
def plots(monkeypatch: pytest.MonkeyPatch) -> Plots:
    logic = Plots()
    assert hasattr(slicer.modules.plots.logic(), "ShowChartInLayout"), "as the real one has it"
    monkeypatch.setattr(slicer.modules.plots, "logic", lambda: logic)
    return logic


def reference(nodes: Any, *labels: str) -> Any:
    """Points of the scene at some findings."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Truth")
    points = nodes.candidates
    names = [points.GetNthControlPointLabel(n) for n in range(points.GetNumberOfControlPoints())]
    for label in labels:
        node.AddControlPoint(points.GetNthControlPointPosition(names.index(label)), label)
    return node


def compare(module: Module, nodes: Any, *labels: str) -> None:
    """Compare with points at some findings."""
    module.widget.logic.useReference(nodes, reference(nodes, *labels))
    module.widget.panel.candidates.onReviewChanged()


def table_of(chart: Any, number: int) -> dict[str, list[float]]:
    table = chart.GetNthPlotSeriesNode(number).GetTableNode().GetTable()
    columns = [table.GetColumn(n) for n in range(table.GetNumberOfColumns())]
    return {c.GetName(): [c.GetValue(n) for n in range(c.GetNumberOfValues())] for c in columns}


def test_froc_follows_threshold_and_review(module: Module, nodes: Any, plots: Plots) -> None:
    logic = module.widget.logic
    assert not ui(module).frocButton.property("enabled")
    compare(module, nodes, "N1", "N3")
    assert ui(module).frocButton.property("enabled")
    set_threshold(module, 0.7)
    ui(module).frocButton.click()
    [chart] = plots.shown
    # Scores 0.97 (hit), 0.81, 0.62 (hit), 0.35, 0.08.
    assert table_of(chart, 0)["False positives per scan"] == [0.125, 1, 1, 3, 8]
    assert table_of(chart, 0)["Sensitivity"] == [0.5, 0.5, 1, 1, 1]
    mark = {"False positives per scan": [1, 1], "Sensitivity": [0.5, 0.5], "Threshold": [0.7, 0.7]}
    assert table_of(chart, 1) == mark
    for threshold, point in ((0.9, (0.125, 0.5)), (0.6, (1, 1)), (0.0, (3, 1))):
        set_threshold(module, threshold)
        row = table_of(chart, 1)
        assert (row["False positives per scan"][0], row["Sensitivity"][0]) == point
    assert chart.GetTitle() == "FROC: 2 nodules, scans: 1; at 0.00: 100 %, 3.0 FP/scan"
    logic.rejectFindings(nodes, ["N2"], "vessel")
    module.widget.panel.candidates.onReviewChanged()
    assert chart.GetTitle().endswith("2.0 FP/scan"), "a rejected mark is no false positive any more"


def test_froc_is_of_all_cases_with_a_reference(
    module: Module, nodes: Any, plots: Plots, chest: Volume, tmp_path: Path
) -> None:
    logic = module.widget.logic
    logic.useReference(nodes, reference(nodes, "N1"))
    add(module, chest, "Second")
    second = detect(module, tmp_path / "second")
    with pytest.raises(InputError, match="load a reference first"):
        logic.plotFroc(second, 0.5)
    logic.useReference(second, reference(second, "N1", "N2"))
    chart = logic.plotFroc(second, 0.5)
    # Of at least 0.5: 2 false marks in the first case, 1 in the second.
    assert chart.GetTitle() == "FROC: 3 nodules, scans: 2; at 0.50: 100 %, 1.5 FP/scan"
    # 4 false marks in the first case, 3 in the second.
    assert table_of(chart, 0)["False positives per scan"][-2] == 3.5
    assert table_of(chart, 0)["Sensitivity"][-1] == 1.0


def test_without_a_plot_the_threshold_makes_none(module: Module, nodes: Any, plots: Plots) -> None:
    module.widget.logic.useReference(nodes, reference(nodes, "N1"))
    set_threshold(module, 0.3)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 0


def test_a_plot_that_was_removed_stays_away(module: Module, nodes: Any, plots: Plots) -> None:
    compare(module, nodes, "N1")
    ui(module).frocButton.click()
    slicer.mrmlScene.RemoveNode(plots.shown[0])
    set_threshold(module, 0.3)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 0
