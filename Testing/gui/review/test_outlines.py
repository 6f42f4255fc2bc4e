"""Outlines under review: added, edited here and elsewhere, merged, restored."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
from host import Module, enter_module, leave_module
from PySide6.QtCore import Qt

from gui.driving import (
    click_detect,
    click_row,
    is_visible,
    points_shown,
    segments_shown,
    select_row,
    selected_row,
    table_column,
    wait_until,
)
from gui.reviewing import BALL_MM, missed_ras, place, said, trail
from LungNoduleCADLib.scene.geometry import to_ras
from LungNoduleCADLib.scene.segments import make_labelmap, read_mask
from LungNoduleCADLib.volume import Volume


def test_a_missed_nodule_is_added_by_a_click_and_outlined(
    module: Module, nodes: Any, views: dict[str, Any], scan: Volume
) -> None:
    module.widget.ui.addButton.click()
    assert "Click on the nodule" in said(module, "messageLabel")
    leave_module(module)
    enter_module(module)
    assert not module.widget.ui.addButton.property("checked")  # elsewhere a click means something else
    place(module, views["Red"], missed_ras(scan))
    assert selected_row(module) == "A1"
    assert table_column(module, "Status")[table_column(module).index("A1")] == "added"
    assert "A1 was added and outlined" in said(module, "messageLabel")
    assert segments_shown(nodes)[-1] == points_shown(nodes)[-1] == "A1"
    added = module.widget.logic.review(nodes).state.finding("A1").contour
    assert added.measurements.diameter_mm == pytest.approx(2 * BALL_MM, rel=0.15)
    assert said(module, "progressLabel") == "0 of 5 reviewed · 1 added"
    assert not module.widget.ui.addButton.property("checked")
    select_row(module, "N1")
    assert not is_visible(module, "messageLabel")


def test_a_mere_sphere_is_called_one(module: Module, nodes: Any, views: dict[str, Any], scan: Volume) -> None:
    place(module, views["Red"], to_ras([float(v) for v in scan.index_to_lps((20.0, 60.0, 45.0))]))
    assert "only a sphere" in said(module, "messageLabel")


def test_a_click_beside_the_scan_adds_nothing(
    module: Module, nodes: Any, views: dict[str, Any], errors: list[str]
) -> None:
    place(module, views["Red"], (900.0, 0.0, 0.0))
    assert len(errors) == 1 and "outside the scan" in errors[0]
    assert trail(module) == []
    assert not module.widget.ui.addButton.property("checked")


def test_added_nodules_can_be_deleted_merged_and_brought_back(
    module: Module, nodes: Any, views: dict[str, Any], scan: Volume
) -> None:
    ui = module.widget.ui
    place(module, views["Red"], missed_ras(scan))
    ui.deleteButton.click()
    assert "A1" not in table_column(module) and "A1" not in segments_shown(nodes)
    ui.undoButton.click()
    assert "A1" in table_column(module)
    select_row(module, "N2")
    click_row(ui.candidatesTable, table_column(module).index("A1"), Qt.KeyboardModifier.ControlModifier)
    ui.mergeButton.click()
    assert "A1" not in table_column(module) and selected_row(module) == "N2"
    assert "They are N2 now." in said(module, "messageLabel")
    assert table_column(module, "Status")[table_column(module).index("N2")] == "accepted"
    ui.undoButton.click()
    assert {"A1", "N2"} <= set(table_column(module))


class SegmentEditor:
    """Slicer's module and its editor widget."""

    def __init__(self, module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = module
        self.chosen: list[str] = []
        self.given: dict[str, Any] = {}
        self.parameters = slicer.vtkMRMLSegmentEditorNode()
        monkeypatch.setattr(slicer.util, "selectModule", self.select)
        widget = SimpleNamespace(self=lambda: SimpleNamespace(editor=self))
        monkeypatch.setattr(
            slicer.modules, "segmenteditor", SimpleNamespace(widgetRepresentation=lambda: widget), raising=False
        )

    def select(self, name: str) -> None:
        self.chosen.append(name)
        leave_module(self.module)

    def setSegmentationNode(self, node: Any) -> None:
        self.given["segmentation"] = node

    def setSourceVolumeNode(self, node: Any) -> None:
        self.given["volume"] = node

    def setCurrentSegmentID(self, name: str) -> None:
        self.given["segment"] = name

    def mrmlSegmentEditorNode(self) -> Any:
        return self.parameters


@pytest.fixture
def editor(module: Module, monkeypatch: pytest.MonkeyPatch) -> SegmentEditor:
    return SegmentEditor(module, monkeypatch)


def draw(nodes: Any, scan: Volume, name: str, start: tuple[int, int, int] = (4, 4, 4)) -> None:
    """Eight further voxels, by the Segment Editor's own function."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    dot = make_labelmap(start, np.ones((2, 2, 2), dtype=np.uint8), scan)
    logic.SetBinaryLabelmapToSegment(dot, nodes.segmentation, name, logic.MODE_MERGE_MASK)


def voxels_of(nodes: Any, scan: Volume, name: str) -> int:
    return int(read_mask(nodes.segmentation.GetSegmentation().GetSegment(name), scan).voxels.sum())


def test_an_outline_is_edited_in_the_segment_editor_and_taken_on_return(
    module: Module, nodes: Any, scan: Volume, editor: SegmentEditor
) -> None:
    select_row(module, "N2")
    before = voxels_of(nodes, scan, "N2")
    module.widget.ui.editButton.click()
    assert editor.chosen == ["SegmentEditor"]
    volume = module.widget.logic.getParameterNode().inputVolume
    assert editor.given == {"segmentation": nodes.segmentation, "volume": volume, "segment": "N2"}
    assert editor.parameters.GetOverwriteMode() == editor.parameters.OverwriteNone
    draw(nodes, scan, "N2")
    assert trail(module) == []
    enter_module(module)
    assert trail(module) == [("Ada", "edit contour", "N2")]
    assert "taken into the review: N2" in said(module, "messageLabel") and selected_row(module) == "N2"
    module.widget.ui.undoButton.click()
    assert voxels_of(nodes, scan, "N2") == before
    leave_module(module)
    enter_module(module)  # nothing was edited this time
    assert len(trail(module)) == 2


def test_return_without_an_edit_says_so(module: Module, nodes: Any, editor: SegmentEditor) -> None:
    select_row(module, "N2")
    module.widget.ui.editButton.click()
    enter_module(module)
    assert said(module, "messageLabel") == "No outline was changed."
    assert trail(module) == []


def test_an_emptied_outline_is_told_of_once_and_can_be_restored(
    module: Module, nodes: Any, scan: Volume, editor: SegmentEditor, errors: list[str]
) -> None:
    select_row(module, "N2")
    before = voxels_of(nodes, scan, "N2")
    module.widget.ui.editButton.click()
    nodes.segmentation.GetSegmentation().ClearSegment("N2")
    enter_module(module)
    assert len(errors) == 1 and "N2 is empty" in errors[0]
    module.widget.ui.restoreButton.click()
    assert voxels_of(nodes, scan, "N2") == before
    assert "as the review says" in said(module, "messageLabel")
    assert trail(module) == [] and len(errors) == 1


def let_pass(module: Module, seconds: float = 1.5) -> None:
    """Longer than a pause in drawing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        module.process_events()
        time.sleep(0.01)


def test_an_outline_that_was_drawn_elsewhere_is_noticed_when_drawing_pauses(
    module: Module, nodes: Any, scan: Volume
) -> None:
    select_row(module, "N1")
    before = module.widget.logic.review(nodes).state.finding("N2").contour
    for step in range(5):  # a stroke: many changes, none of them a pause
        draw(nodes, scan, "N2", (4 + 2 * step, 4, 4))
        module.process_events()
        assert trail(module) == []
    wait_until(module, lambda: trail(module) != [])
    assert trail(module) == [("Ada", "edit contour", "N2")]
    finding = module.widget.logic.review(nodes).state.finding("N2")
    assert finding.edited and finding.contour.mask.voxels.sum() > before.mask.voxels.sum()
    assert finding.contour.measurements.volume_mm3 != before.measurements.volume_mm3
    assert "taken into the review: N2" in said(module, "messageLabel")
    module.widget.ui.undoButton.click()
    assert not module.widget.logic.review(nodes).state.finding("N2").edited


def test_an_outline_that_was_drawn_in_another_module_is_taken_on_return(
    module: Module, nodes: Any, scan: Volume
) -> None:
    leave_module(module)
    draw(nodes, scan, "N3")
    let_pass(module)
    assert trail(module) == []  # whoever draws there is not disturbed
    enter_module(module)
    assert trail(module) == [("Ada", "edit contour", "N3")]
    enter_module(module)
    let_pass(module)
    assert len(trail(module)) == 1


def test_what_the_module_itself_draws_is_no_edit(
    module: Module, nodes: Any, views: dict[str, Any], scan: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []
    take = module.widget.logic.takeEdits
    monkeypatch.setattr(module.widget.logic, "takeEdits", lambda nodes: taken.append(nodes) or take(nodes))
    place(module, views["Red"], missed_ras(scan))
    select_row(module, "N1")
    click_row(module.widget.ui.candidatesTable, 1, Qt.KeyboardModifier.ControlModifier)
    module.widget.ui.mergeButton.click()
    module.widget.ui.undoButton.click()
    module.widget.ui.undoButton.click()
    let_pass(module)
    leave_module(module)
    enter_module(module)
    assert [action for _, action, *_ in trail(module)] == ["add", "merge", "undo", "undo"]
    assert taken == []


def test_segments_that_are_no_findings_are_nobodys_edit(module: Module, nodes: Any, scan: Volume) -> None:
    nodes.segmentation.GetSegmentation().AddEmptySegment("Pleural effusion")
    draw(nodes, scan, "Pleural effusion")
    let_pass(module)
    assert trail(module) == []


def test_an_edit_during_a_run_is_taken_when_the_run_has_brought_nothing(
    module: Module, nodes: Any, scan: Volume
) -> None:
    run = click_detect(module)
    draw(nodes, scan, "N2")
    let_pass(module)
    assert trail(module) == []
    run.fail("The detector has stopped.")
    module.widget.logic.poll()
    leave_module(module)
    enter_module(module)
    assert trail(module) == [("Ada", "edit contour", "N2")]


def test_without_a_main_window_the_segment_editor_cannot_be_opened(
    module: Module, nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    select_row(module, "N2")

    def refuse(name: str) -> None:
        raise RuntimeError("Could not find moduleSelector in the main window")

    monkeypatch.setattr(slicer.util, "selectModule", refuse)
    module.widget.ui.editButton.click()  # Slicer shows the error, and lets it go on to the console
    leave_module(module)
    enter_module(module)
    assert trail(module) == [] and not is_visible(module, "messageLabel")
    assert slicer.app.cursors == 0
