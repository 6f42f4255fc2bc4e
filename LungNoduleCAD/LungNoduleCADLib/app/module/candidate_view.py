"""The candidates table of the Slicer module: sortable, filtered, with the columns the user wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import qt

from ...report.colors import score_color
from ..candidates import CandidateRow
from .columns import Column

SORT_ROLE = int(qt.Qt.UserRole)
SHOWN_ROLE = SORT_ROLE + 1
SHOWN, HIDDEN = "1", "0"
SORTED_FIRST = "score"
NARROWEST_PX = 48
SWATCH_PX = 10
"""Side of the square that shows the colour of a candidate's outline."""


class CandidateView:
    """Fills a QTableView.

    :param onSelected: called with a candidate's label when the user selects its row or clicks it again, and with None
        when the selected row has vanished.
    """

    def __init__(self, view: Any, onSelected: Callable[[str | None], None]) -> None:
        self._view, self._onSelected = view, onSelected
        self._columns: Sequence[Column] = ()
        self._rows: Sequence[CandidateRow] = ()
        self._numbers: dict[str, int] = {}
        self._shown: dict[str, bool] = {}
        self._selected: str | None = None
        self._changing = self._hasNewContent = False
        self._model = qt.QStandardItemModel(view)
        # Every new cell is a copy of it: one call for all alignments instead of one a cell.
        self._prototype = qt.QStandardItem()
        self._prototype.setTextAlignment(qt.Qt.AlignCenter)
        self._model.setItemPrototype(self._prototype)
        self._proxy = qt.QSortFilterProxyModel(view)
        self._proxy.setSourceModel(self._model)
        self._proxy.sortRole = SORT_ROLE
        self._proxy.filterRole = SHOWN_ROLE
        self._proxy.filterKeyColumn = 0
        self._proxy.setFilterFixedString(SHOWN)
        view.setModel(self._proxy)
        header = view.horizontalHeader()
        header.setMinimumSectionSize(NARROWEST_PX)
        header.setHighlightSections(False)
        view.setIconSize(qt.QSize(SWATCH_PX, SWATCH_PX))
        rows = view.verticalHeader()
        rows.visible = False
        rows.defaultSectionSize = view.fontMetrics().height() + 8
        # Kept in attributes: their Python side must live as long as the connections.
        self._selection = view.selectionModel()
        self._selection.currentRowChanged.connect(self._onCurrentRowChanged)
        view.clicked.connect(self._onClicked)

    # -- content -------------------------------------------------------------------------------------------------
    def setRows(self, rows: Sequence[CandidateRow], columns: Sequence[Column]) -> None:
        """Take other candidates or columns; the order is kept, and no row is seen until `show`."""
        order = (self._proxy.sortColumn(), self._proxy.sortOrder()) if self._columns else None
        sortedBy = self._columns[order[0]].key if order and 0 <= order[0] < len(self._columns) else SORTED_FIRST
        keys = [column.key for column in columns]
        self._changing = True
        try:
            self._rows, self._columns, self._shown = rows, columns, {}
            self._numbers = {row.label: n for n, row in enumerate(rows)}
            self._model.setRowCount(0)
            self._model.setColumnCount(len(columns))
            self._model.setHorizontalHeaderLabels([column.title for column in columns])
            if columns:  # the first takes the room that the others leave
                self._view.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
            for n, column in enumerate(columns):
                self._model.setHeaderData(n, qt.Qt.Horizontal, column.explanation, qt.Qt.ToolTipRole)
            self._model.setRowCount(len(rows))
            self._fill()
            self._hasNewContent = True
            if sortedBy in keys:
                self._view.sortByColumn(keys.index(sortedBy), order[1] if order else qt.Qt.DescendingOrder)
            elif keys:  # by name: the detector's own order, best first
                self._view.sortByColumn(0, qt.Qt.AscendingOrder)
        finally:
            self._changing = False

    def show(self, shown: Mapping[str, bool]) -> None:
        """Show the rows of these candidates; the others vanish, and with them the selection."""
        self._changing = True
        try:
            # One update at the end instead of one a row: 500 rows in a few milliseconds.
            was_blocked = self._model.blockSignals(True)
            for n, row in enumerate(self._rows):
                visible = bool(shown.get(row.label))
                if self._shown.get(row.label) != visible:
                    self._model.setData(self._model.index(n, 0), SHOWN if visible else HIDDEN, SHOWN_ROLE)
                    self._shown[row.label] = visible
            self._model.blockSignals(was_blocked)
            self._proxy.invalidate()
            if self._hasNewContent and self.listed:
                self._view.resizeColumnsToContents()
                self._hasNewContent = False
            isLost = self._selected is not None and not self._shown.get(self._selected)
            self._makeCurrent(None if isLost else self._selected)
        finally:
            self._changing = False
        if isLost:
            self._selected = None
            self._onSelected(None)

    # -- selection -----------------------------------------------------------------------------------------------
    def select(self, label: str | None) -> None:
        """Select a candidate's row, if it is shown, without telling anybody."""
        self._changing = True
        try:
            self._selected = label if label is not None and self._shown.get(label) else None
            self._makeCurrent(self._selected)
        finally:
            self._changing = False

    def step(self, rows: int) -> None:
        """Select the row so many further down in the present order, or the first; stays at the ends."""
        last = self._proxy.rowCount() - 1
        if last >= 0:
            current = self._proxyRow(self._selected)
            wanted = current + rows if current is not None else 0
            self._view.selectRow(min(max(wanted, 0), last))

    @property
    def listed(self) -> int:
        """Number of rows to be seen."""
        return int(self._proxy.rowCount())

    @property
    def selected(self) -> str | None:
        """The selected candidate's label."""
        return self._selected

    def _fill(self) -> None:
        colors = [qt.QColor.fromRgbF(*score_color(percent / 100)) for percent in range(101)]
        was_blocked = self._model.blockSignals(True)
        for n, row in enumerate(self._rows):
            for position, column in enumerate(self._columns):
                index = self._model.index(n, position)
                text, key = column.cell(row)
                self._model.setData(index, text, qt.Qt.DisplayRole)
                self._model.setData(index, key, SORT_ROLE)
            if self._columns:
                self._model.setData(self._model.index(n, 0), colors[round(100 * row.score)], qt.Qt.DecorationRole)
        self._model.blockSignals(was_blocked)

    def _makeCurrent(self, label: str | None) -> None:
        row = self._proxyRow(label)
        if row is None:
            self._selection.clear()
        elif self._label(self._view.currentIndex()) != label:
            self._view.selectRow(row)

    def _proxyRow(self, label: str | None) -> int | None:
        if label not in self._numbers:
            return None
        row = self._proxy.mapFromSource(self._model.index(self._numbers[label], 0)).row()
        return row if row >= 0 else None

    def _label(self, index: Any) -> str | None:
        row = self._proxy.mapToSource(index).row()
        return self._rows[row].label if 0 <= row < len(self._rows) else None

    def _onCurrentRowChanged(self, current: Any, previous: Any) -> None:
        self._tell(current)

    def _onClicked(self, index: Any) -> None:
        self._tell(index)

    def _tell(self, index: Any) -> None:
        # A row that vanishes hands the selection on: that is no wish to look elsewhere.
        label = None if self._changing else self._label(index)
        if label is not None:
            self._selected = label
            self._onSelected(label)
