"""The candidates table: its columns, their order, and its filters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from host import Module, load_module
from PySide6.QtCore import Qt

from gui.driving import (
    add,
    detect,
    headings,
    is_visible,
    points_shown,
    select_row,
    selected_row,
    set_threshold,
    table_column,
    texts,
)
from gui.module_inputs import MODULE_FILE, FakeRun
from LungNoduleCADLib.app.candidates import candidate_rows
from LungNoduleCADLib.volume import Volume

DEFAULT = ["Nodule", "Score", "Type", "Lung", "Size", "Slice"]


@pytest.fixture
def nodes(module: Module, chest: Volume, tmp_path: Path) -> Any:
    """A detection with everything shown."""
    add(module, chest)
    nodes = detect(module, tmp_path)
    set_threshold(module, 0.0)
    return nodes


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
    sort_by(module, "Size", Qt.SortOrder.AscendingOrder)
    assert table_column(module, "Size") == [f"{d} mm" for d in (4.8, 6.2, 9.1, 11.5, 20.3)]
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


def test_what_was_not_measured_sorts_below_everything(module: Module, nodes: Any) -> None:
    tick(module, "Solid part")
    sort_by(module, "Solid part", Qt.SortOrder.DescendingOrder)
    assert table_column(module, "Solid part") == ["4.0 mm", "–", "–", "–", "–"]


def test_columns_without_any_value_are_not_offered(module: Module, nodes: Any) -> None:
    assert headings(module) == DEFAULT
    assert "Solid part" in offered(module)
    for title in ("Mass", "SD HU", "Status", "Category", "SOP Instance UID"):  # nothing of these was measured
        assert title not in offered(module)


def test_a_field_that_comes_into_the_record_has_its_column(module: Module, nodes: Any) -> None:
    record = json.loads(nodes.record.GetText())
    for entry in record["findings"]["candidates"]:
        entry.update(mass_mg=62.4, sop_instance_uid="1.2.3", status="TP", sd_hu=40.0, sphericity=0.91)
    nodes.record.SetText(json.dumps(record))
    module.widget.panel.refresh(module.widget._parameterNode.inputVolume)
    assert {"Mass", "SD HU", "Sphericity", "SOP Instance UID", "Status"} <= set(offered(module))
    assert table_column(module, "Status") == ["true positive"] * 5
    tick(module, "Mass")
    assert table_column(module, "Mass") == ["62 mg"] * 5


def test_every_measurement_has_a_column(module: Module, nodes: Any) -> None:
    """A new field of the record that no column shows is missed here."""
    unseen = {
        "above_threshold", "center_lps", "index_kji", "mask_voxels", "side", "zone", "surface_mm2", "juxtapleural",
        "juxtavascular", "axes_slice", "axes_sop_instance_uid", "long_axis_lps", "short_axis_lps",
    }  # fmt: skip
    entry = json.loads(nodes.record.GetText())["findings"]["candidates"][0]
    shown = {column.key for column in module.widget.panel.candidates._columns}
    assert set(entry) - {"id"} <= shown | unseen


def test_chosen_columns_are_remembered_from_session_to_session(
    module: Module, nodes: Any, chest: Volume, tmp_path: Path
) -> None:
    tick(module, "Mean HU")
    tick(module, "Slice")
    expected = ["Nodule", "Score", "Type", "Lung", "Size", "Mean HU"]
    assert headings(module) == expected
    assert table_column(module, "Mean HU") == ["−40"] * 5
    later = load_module(MODULE_FILE, makeRun=FakeRun, installer=lambda path: None)
    later.widget.enter()
    assert headings(later) == expected
    assert offered(later)["Mean HU"] and not offered(later)["Slice"]
    later.close()


def test_other_columns_keep_order_and_selection(module: Module, nodes: Any) -> None:
    sort_by(module, "Size", Qt.SortOrder.AscendingOrder)
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


def test_status_filter_is_there_once_there_are_statuses(module: Module, nodes: Any) -> None:
    assert not is_visible(module, "statusFilter")
    record = json.loads(nodes.record.GetText())
    for entry, status in zip(record["findings"]["candidates"], ("TP", "FP", "TP", None, None), strict=True):
        entry["status"] = status
    nodes.record.SetText(json.dumps(record))
    module.widget.panel.refresh(module.widget._parameterNode.inputVolume)
    assert is_visible(module, "statusFilter")
    box = module.widget.ui.statusFilter
    box.setProperty("currentIndex", box.findText("true positive"))
    assert table_column(module) == ["N1", "N3"]


def test_filters_survive_another_run(module: Module, nodes: Any, tmp_path: Path) -> None:
    box = module.widget.ui.densityFilter
    box.setProperty("currentIndex", box.findText("part-solid"))
    detect(module, tmp_path / "again", (0.9, 0.8, 0.7))
    assert box.property("currentText") == "part-solid"
    assert table_column(module) == ["N2"]
    detect(module, tmp_path / "fewer", (0.9,))  # no such type any more
    assert box.property("currentText") == "All types"
    assert table_column(module) == ["N1"]


def test_rows_take_what_an_older_record_lacks_as_unknown() -> None:
    entry = {"id": 3, "score": 0.4, "center_lps": [1.0, 2.0, 3.0], "density": "solid"}
    [row] = candidate_rows({"candidates": [entry]})
    assert row.values["mean_diameter_mm"] is None
    assert row.reach_mm == 3.0
