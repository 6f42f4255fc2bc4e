"""The candidates table: its columns, their order, and its filters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module, load_module
from PySide6.QtCore import Qt

from gui.driving import (
    add,
    click_detect,
    detect,
    end_run,
    headings,
    points_shown,
    position_of,
    select_row,
    selected_row,
    set_threshold,
    show_detection,
    table_column,
    texts,
)
from gui.module_inputs import MODULE_FILE, FakeRun, result_for
from LungNoduleCADLib.app.result_folder import load_result, save_result
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.volume import Volume

DEFAULT = ["Nodule", "Score", "Status", "Slice", "Ø mm", "Type", "Lung"]


@pytest.fixture
def nodes(module: Module, chest: Volume, tmp_path: Path) -> Any:
    """A detection with everything shown."""
    return show_detection(module, chest, tmp_path)


def tick(module: Module, title: str) -> None:
    """Choose an entry of the columns menu."""
    menu = module.widget.ui.columnsButton.menu()
    next(action for action in menu.actions() if action.property("text") == title).trigger()


def offered(module: Module) -> dict[str, bool]:
    """Columns that can be chosen, and whether they are shown."""
    return {
        action.property("text"): action.property("checked")
        for action in module.widget.ui.columnsButton.menu().actions()
    }


def sort_by(module: Module, heading: str, order: Qt.SortOrder) -> None:
    module.widget.ui.candidatesTable.sortByColumn(headings(module).index(heading), order)


def test_columns_sort_by_number_not_by_text(module: Module, nodes: Any) -> None:
    sort_by(module, "Ø mm", Qt.SortOrder.AscendingOrder)
    assert table_column(module, "Ø mm") == [f"{d}" for d in (4.8, 6.2, 9.1, 11.5, 20.3)]
    sort_by(module, "Score", Qt.SortOrder.DescendingOrder)
    assert table_column(module) == ["N1", "N2", "N3", "N4", "N5"]


def test_names_sort_by_their_number(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    detect(module, tmp_path, tuple(1 - n / 12 for n in range(12)))
    set_threshold(module, 0.0)
    sort_by(module, "Nodule", Qt.SortOrder.AscendingOrder)
    assert table_column(module) == [f"N{n}" for n in range(1, 13)]


def test_default_columns_need_no_scrolling(module: Module, nodes: Any) -> None:
    """Which slice the nodule is on must not hide behind a scroll bar."""
    module.holder.resize(470, 1000)
    module.holder.show()
    module.process_events()
    bar = module.widget.ui.candidatesTable.horizontalScrollBar()
    assert bar.property("maximum") == 0
    widths = [module.widget.ui.candidatesTable.columnWidth(n) for n in range(len(DEFAULT))]
    assert sum(widths) <= module.widget.ui.candidatesTable.viewport().property("width")
    for title in ("Volume", "Mean HU", "Malignancy", "Long axis", "Short axis"):
        tick(module, title)
    module.process_events()
    assert bar.property("maximum") > 0  # many columns keep their width


@pytest.mark.parametrize("width", [420, 500])
def test_nothing_is_cut_in_a_narrow_panel_with_a_reference(module: Module, nodes: Any, width: int) -> None:
    """One column more, a missed nodule with its longer name, and the sections all open."""
    ui = module.widget.ui
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Truth")
    for position in (position_of(nodes, "N1"), (0.0, 0.0, 0.0)):
        points.AddControlPoint(list(position), "nodule")
    module.widget.logic.useReference(nodes, points)
    module.widget.panel.candidates.onReviewChanged()
    select_row(module, "N2")
    for name in ("settings", "reference", "report"):
        getattr(ui, f"{name}CollapsibleButton").setProperty("collapsed", False)
    module.holder.resize(width, 2200)
    module.holder.show()
    for _ in range(5):
        module.process_events()
    assert module.holder.property("width") == width, "its contents ask for more"
    table, header = ui.candidatesTable, ui.candidatesTable.horizontalHeader()
    shown = headings(module)
    assert shown == ["Nodule", "Score", "Status", "Ref.", "Slice", "Ø mm", "Type", "Lung"]
    for column, title in enumerate(shown):
        assert header.sectionSize(column) >= table.sizeHintForColumn(column), f"{title} is cut"
    assert sum(map(header.sectionSize, range(len(shown)))) <= table.viewport().property("width")
    sort_by(module, "Slice", Qt.SortOrder.AscendingOrder)  # the arrow needs room in another column
    assert sum(map(header.sectionSize, range(len(shown)))) <= table.viewport().property("width")


def test_what_was_not_measured_sorts_below_everything(module: Module, nodes: Any) -> None:
    tick(module, "Solid part")
    sort_by(module, "Solid part", Qt.SortOrder.DescendingOrder)
    assert table_column(module, "Solid part") == ["4.0 mm", "–", "–", "–", "–"]


def test_columns_without_any_value_are_not_offered(module: Module, nodes: Any) -> None:
    assert headings(module) == DEFAULT
    assert "Solid part" in offered(module)
    for title in ("Mass", "SD HU", "Ref.", "SOP Instance UID"):  # nothing of these is known
        assert title not in offered(module)


def test_a_measurement_that_could_be_made_has_its_column(module: Module, chest: Volume, tmp_path: Path) -> None:
    measured = {"mass_mg": 62.4, "sd_hu": 40.0, "sphericity": float("nan")}
    result = result_for(chest)
    candidates = tuple(replace(c, measurements=replace(c.measurements, **measured)) for c in result.candidates)
    named = chest.with_voxels(chest.voxels)
    named.metadata["sop_instance_uids"] = [f"1.2.{k}" for k in range(chest.shape[0])]
    add(module, chest)
    run = click_detect(module)
    save_result(replace(result, candidates=candidates), named, tmp_path)
    run.result, run.record = load_result(tmp_path)
    run.outcome = Outcome.FINISHED
    end_run(module)
    set_threshold(module, 0.0)
    assert {"Mass", "SD HU", "SOP Instance UID"} <= set(offered(module)) and "Sphericity" not in offered(module)
    tick(module, "Mass")
    assert table_column(module, "Mass") == ["62 mg"] * 5
    tick(module, "SOP Instance UID")
    uids = [f"1.2.{int(number) - 1}" for number in table_column(module, "Slice")]
    assert table_column(module, "SOP Instance UID") == uids


def test_every_measurement_has_a_column(module: Module, nodes: Any) -> None:
    """A new value of a finding that no column shows is missed here."""
    unseen = {
        "center_lps", "side", "zone", "surface_mm2", "juxtapleural", "juxtavascular", "axes_slice",
        "axes_sop_instance_uid", "long_axis_lps", "short_axis_lps", "malignancy_by_diameter",
    }  # fmt: skip
    table = module.widget.panel.candidates.table
    assert set(table.rows["N1"].values) <= {column.key for column in table._columns} | unseen


def test_malignancy_is_never_shown_without_what_the_diameter_says(module: Module, nodes: Any) -> None:
    tick(module, "Malignancy")
    assert table_column(module, "Malignancy") == ["0.30 (by diameter 0.20)"] * 5
    select_row(module, "N2")
    assert "Malignancy 0.30 (by diameter 0.20)" in texts(module)["selectedLabel"]


def test_result_from_before_the_baseline_says_that_it_is_not_known(
    module: Module, chest: Volume, tmp_path: Path
) -> None:
    add(module, chest)
    run, result = click_detect(module), result_for(chest)
    save_result(
        replace(result, candidates=tuple(replace(c, malignancy_by_diameter=None) for c in result.candidates)),
        chest, tmp_path,
    )  # fmt: skip
    run.result, run.record = load_result(tmp_path)
    run.outcome = Outcome.FINISHED
    end_run(module)
    select_row(module, "N1")
    assert "Malignancy 0.30 (by diameter not known)" in texts(module)["selectedLabel"]


def test_chosen_columns_are_remembered_from_session_to_session(
    module: Module, nodes: Any, chest: Volume, tmp_path: Path
) -> None:
    tick(module, "Mean HU")
    tick(module, "Slice")
    expected = ["Nodule", "Score", "Status", "Ø mm", "Type", "Lung", "Mean HU"]
    assert headings(module) == expected
    assert table_column(module, "Mean HU") == ["−40"] * 5
    later = load_module(MODULE_FILE, makeRun=FakeRun, installer=lambda path: None)
    later.widget.enter()
    assert headings(later) == expected
    assert offered(later)["Mean HU"] and not offered(later)["Slice"]
    later.close()


def test_other_columns_keep_order_and_selection(module: Module, nodes: Any) -> None:
    sort_by(module, "Ø mm", Qt.SortOrder.AscendingOrder)
    select_row(module, "N4")
    before = table_column(module)
    tick(module, "Mean HU")
    assert table_column(module) == before
    assert selected_row(module) == "N4"


def test_rows_without_the_column_they_were_sorted_by_come_best_first(module: Module, nodes: Any) -> None:
    sort_by(module, "Score", Qt.SortOrder.AscendingOrder)
    tick(module, "Score")
    assert table_column(module) == ["N1", "N2", "N3", "N4", "N5"]


def test_words_filter_rows_by_any_column_shown_or_not(module: Module, nodes: Any) -> None:
    line = module.widget.ui.filterLineEdit
    line.setProperty("text", "Part-Solid")
    assert table_column(module) == ["N2"]
    line.setProperty("text", "R upper solid")
    assert set(table_column(module)) <= {"N1", "N2", "N3"}
    line.setProperty("text", "−40")  # mean HU, which is not shown
    assert len(table_column(module)) == 5
    line.setProperty("text", "no such thing")
    assert table_column(module) == []
    assert not module.widget.ui.nextButton.property("enabled")
    line.clear()
    assert len(table_column(module)) == 5


def test_filter_leaves_the_views_alone_and_says_what_it_hides(module: Module, nodes: Any) -> None:
    set_threshold(module, 0.5)
    module.widget.ui.filterLineEdit.setProperty("text", "part-solid")
    assert points_shown(nodes) == ["N1", "N2", "N3"]
    assert texts(module)["countsLabel"] == "3 of 5 candidates shown · 1 in the table"
    set_threshold(module, 0.9)
    assert table_column(module) == []
    set_threshold(module, 0.0)
    assert table_column(module) == ["N2"]


def test_type_filter_lists_the_types_there_are(module: Module, nodes: Any) -> None:
    box = module.widget.ui.densityFilter
    assert [box.itemText(n) for n in range(box.property("count"))] == [
        "All types", "calcified", "ground-glass", "part-solid", "solid",
    ]  # fmt: skip
    box.setProperty("currentIndex", box.findText("solid"))
    assert table_column(module) == ["N1", "N3"]
    box.setProperty("currentIndex", 0)
    assert len(table_column(module)) == 5


def test_status_filter_empties_as_the_review_goes_on(module: Module, nodes: Any) -> None:
    box = module.widget.ui.statusFilter
    assert [box.itemText(n) for n in range(box.property("count"))] == [
        "All statuses", "to review", "accepted", "rejected", "added",
    ]  # fmt: skip
    box.setProperty("currentIndex", box.findText("to review"))
    for expected in (["N1", "N2", "N3", "N4", "N5"], ["N2", "N3", "N4", "N5"], ["N3", "N4", "N5"]):
        assert table_column(module) == expected
        module.widget.ui.nextButton.click()
        assert selected_row(module) == expected[0]
        module.widget.ui.acceptButton.click()
    box.setProperty("currentIndex", box.findText("accepted"))
    assert table_column(module) == ["N1", "N2", "N3"]


def test_filters_survive_another_run(module: Module, nodes: Any, tmp_path: Path) -> None:
    box = module.widget.ui.densityFilter
    box.setProperty("currentIndex", box.findText("part-solid"))
    detect(module, tmp_path / "again", (0.9, 0.8, 0.7))
    assert box.property("currentText") == "part-solid"
    assert table_column(module) == ["N2"]
    detect(module, tmp_path / "fewer", (0.9,))  # no such type any more
    assert box.property("currentText") == "All types"
    assert table_column(module) == ["N1"]
