"""The candidates table with its filters and its choice of columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..candidates import CandidateRow
from .candidate_view import CandidateView
from .columns import Column, candidate_columns, known_columns
from .texts import density_names, match_choices, status_names

COLUMNS_SETTING = "LungNoduleCAD/Columns"


class FindingsTable:
    """Drives table, filters and columns menu of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name.
    :param onSelected: called with the label of the row that the user selects, and with None when it has vanished.
    :param onChanged: called when other rows are listed or selected.
    """

    def __init__(self, ui: Any, onSelected: Callable[[str | None], None], onChanged: Callable[[], None]) -> None:
        self.ui, self._onChanged = ui, onChanged
        self.rows: dict[str, CandidateRow] = {}
        self._searched: dict[str, tuple[CandidateRow, str]] = {}
        self._shown: Mapping[str, bool] = {}
        self._columns = candidate_columns()
        self._known: list[Column] = []
        self._view = CandidateView(ui.candidatesTable, onSelected, onChanged)
        self._columnsMenu = qt.QMenu(ui.columnsButton)
        ui.columnsButton.setMenu(self._columnsMenu)
        ui.filterLineEdit.textChanged.connect(self.onFilterChanged)
        ui.densityFilter.currentIndexChanged.connect(self.onFilterChanged)
        ui.statusFilter.currentIndexChanged.connect(self.onFilterChanged)

    # -- content ---------------------------------------------------------------------------------------------------
    def setRows(self, rows: Sequence[CandidateRow]) -> None:
        """Take other rows, or other values of the same; none is seen until `show`."""
        self.rows = {row.label: row for row in rows}
        known = known_columns(self._columns, rows)
        isKnown = known == self._known
        self._known = known
        types, matches = ({row.values.get(field) for row in rows} for field in ("density", "match"))
        densities = {value: text for value, text in density_names().items() if value in types}
        _setChoices(self.ui.densityFilter, _("All types"), dict(sorted(densities.items())))
        # All statuses: who lists what is still to review wants an empty list in the end, not all the others.
        reference = {value: text for value, text in match_choices().items() if value in matches}
        _setChoices(self.ui.statusFilter, _("All statuses"), {**status_names(), **reference})
        if not isKnown:
            self._searched.clear()
            self._fillColumnsMenu()
        self._fill()

    def show(self, shown: Mapping[str, bool]) -> None:
        """List the rows of these labels that pass the filters."""
        self._shown = shown
        words = self.ui.filterLineEdit.text.casefold().split()
        density, status = (_chosen(box) for box in (self.ui.densityFilter, self.ui.statusFilter))
        listed = {
            label: bool(shown.get(label))
            and (not words or self._holds(row, words))
            and density in ("", row.values.get("density"))
            and status in ("", row.values.get("status"), row.values.get("match"))
            for label, row in self.rows.items()
        }
        self._view.show(listed)
        self._onChanged()

    # -- selection ---------------------------------------------------------------------------------------------------
    @property
    def listed(self) -> int:
        """Number of rows to be seen."""
        return self._view.listed

    @property
    def selected(self) -> CandidateRow | None:
        """The selected row; of several the one that was selected last."""
        label = self._view.selected
        return self.rows.get(label) if label is not None else None

    @property
    def selection(self) -> list[str]:
        """The labels of all selected rows, from the top."""
        return self._view.selection

    def select(self, label: str | None) -> None:
        """Select a row, if it is listed, without telling anybody."""
        self._view.select(label)

    def step(self, rows: int) -> None:
        """Select the row so many further down, or the first."""
        self._view.step(rows)

    # -- user actions ------------------------------------------------------------------------------------------------
    def onFilterChanged(self, value: Any = None) -> None:
        """List only rows with the words, type and status asked for; the views go by the threshold alone."""
        self.show(self._shown)

    def onColumnToggled(self, checked: bool = False) -> None:
        """Show the ticked columns, now and in future sessions."""
        chosen = {action.data() for action in self._columnsMenu.actions() if action.checked}
        hidden = {column.key for column in self._known} - chosen
        # A column that this detection has no values for stays what it was.
        others = self._visibleKeys() - chosen - hidden
        slicer.app.userSettings().setValue(COLUMNS_SETTING, " ".join(sorted(chosen | others)))
        self._fill()
        self.show(self._shown)

    # -- appearance --------------------------------------------------------------------------------------------------
    def updateGui(self) -> None:
        """Without rows there is nothing to filter."""
        for widget in (self.ui.candidatesTable, self.ui.filterWidget):
            widget.visible = bool(self.rows)

    def _holds(self, row: CandidateRow, words: Sequence[str]) -> bool:
        """Whether all words stand in a row. What it holds is put together when somebody first looks for something."""
        searched = self._searched.get(row.label)
        if searched is None or searched[0] is not row:
            # With what stands behind an abbreviation: "ground" finds a GGN.
            cells = (part for column in self._known for part in column.cell(row))
            searched = (row, " ".join(part for part in cells if isinstance(part, str)).casefold())
            self._searched[row.label] = searched
        return all(word in searched[1] for word in words)

    def _fill(self) -> None:
        visible = self._visibleKeys()
        self._view.setRows(list(self.rows.values()), [c for c in self._known if c.key in visible])

    def _fillColumnsMenu(self) -> None:
        self._columnsMenu.clear()
        visible = self._visibleKeys()
        for column in self._known[1:]:  # a row without its name would be nobody's
            action = self._columnsMenu.addAction(column.title)
            action.setData(column.key)
            action.toolTip = column.explanation
            action.checkable = True
            action.checked = column.key in visible
            action.toggled.connect(self.onColumnToggled)

    def _visibleKeys(self) -> set[str]:
        stored = slicer.app.userSettings().value(COLUMNS_SETTING)
        keys = str(stored).split() if stored else [column.key for column in self._columns if column.is_default]
        return {self._columns[0].key, *keys}


def _setChoices(box: Any, everything: str, choices: Mapping[str, str]) -> None:
    former = _chosen(box)
    wasBlocked = box.blockSignals(True)
    box.clear()
    box.addItem(everything, "")
    for value, text in choices.items():
        box.addItem(text, value)
    box.currentIndex = max(0, box.findData(former))
    box.blockSignals(wasBlocked)


def _chosen(box: Any) -> str:
    """The chosen value; empty for all."""
    return str(box.itemData(box.currentIndex) or "")
