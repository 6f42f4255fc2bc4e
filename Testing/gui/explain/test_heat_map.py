"""The heat map over the scan, and its controls."""

from __future__ import annotations

from typing import Any

import slicer
from host import Module
from PySide6 import QtWidgets

from gui.driving import is_visible, select_row, wait_until
from gui.explaining import ENTRIES, choose, explain, text, ui
from LungNoduleCADLib.app.module.explaining import OCCLUSION


def test_the_heat_map_is_shown_over_the_scan_with_its_controls(
    module: Module, nodes: Any, composites: list[Any]
) -> None:
    assert not is_visible(module, "heatMapWidget")
    explain(module)
    assert is_visible(module, "heatMapWidget")
    assert text(ui(module).heatMapCheckBox) == "Heat map of N1 (covering)"
    assert ui(module).heatMapCheckBox.property("checked")
    assert ui(module).heatMapSlider.property("value") == 50
    assert all(view.GetForegroundVolumeID() for view in composites)

    ui(module).heatMapCheckBox.click()
    assert not any(view.GetForegroundVolumeID() for view in composites)
    ui(module).heatMapCheckBox.click()
    ui(module).heatMapSlider.setValue(80)
    assert {view.GetForegroundOpacity() for view in composites} == {0.8}

    ui(module).removeHeatMapButton.click()
    assert not any(view.GetForegroundVolumeID() for view in composites)
    assert not is_visible(module, "heatMapWidget")
    assert module.widget.logic.heatMap(nodes) is None
    assert choose(module, ENTRIES[0]) is None, "it is still known"
    assert ui(module).heatMapSlider.property("value") == 50


def test_the_heat_map_is_no_choice_for_the_search(module: Module, nodes: Any) -> None:
    explain(module)
    volumes = slicer.mrmlScene.GetNodesByClass("vtkMRMLScalarVolumeNode")
    hidden = [volumes.GetItemAsObject(n).GetHideFromEditors() for n in range(volumes.GetNumberOfItems())]
    assert sorted(bool(h) for h in hidden) == [False, True]
    box = ui(module).inputVolumeSelector.findChild(QtWidgets.QComboBox)
    assert not any("Heat map" in box.itemText(n) for n in range(box.property("count")))


def test_a_heat_map_goes_with_its_scan(module: Module, nodes: Any) -> None:
    explain(module)
    slicer.mrmlScene.RemoveNode(module.widget._parameterNode.inputVolume)
    wait_until(module, lambda: slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0)
    assert module.widget._parameterNode.inputVolume is None


def test_a_heat_map_that_is_on_the_way_is_of_the_finding_that_was_asked_about(module: Module, nodes: Any) -> None:
    run = choose(module, ENTRIES[0])
    assert run is not None
    select_row(module, "N2")
    run.finish()
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    assert module.widget.logic.heatMap(nodes) == ("N1", OCCLUSION)
