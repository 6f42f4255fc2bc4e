"""The candidates table of the Slicer module: sortable, filtered, with the columns the user wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import qt

from ..candidates import CandidateRow
from .columns import Column

SORT_ROLE = int(qt.Qt.UserRole)
SHOWN_ROLE = SORT_ROLE + 1
SHOWN, HIDDEN = "1", "0"
SORTED_FIRST = "score"
NARROWEST_PX = 26
ARROW_PX = 14
MEASURED_ROWS = 50
"""That decide about a column's width."""
FONT_SHARE = 0.9
"""Of the panel's font: so that the columns that are shown at first need no scrolling."""
SWATCH_PX = 10
"""Side of the square that shows the colour of a candidate's outline."""


class CandidateView:
    """Fills a QTableView.

    :param onSelected: called with a candidate's label when the user selects its row or clicks it again, and with None
        when the selected row has vanished. Of several selected rows it is the last.
    :param onSelectionChanged: called when the user selects more rows, or fewer.
    """

    def __init__(
        self, view: Any, onSelected: Callable[[str | None], None], onSelectionChanged: Callable[[], None]
    ) -> None:
        self._view, self._onSelected, self._onMore = view, onSelected, onSelectionChanged
        self._columns: Sequence[Column] = ()
        self._rows: Sequence[CandidateRow] = ()
        self._numbers: dict[str, int] = {}
        self._shown: dict[str, bool] = {}
        self._selected: str | None = None
        self._lostAt: int | None = None
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
        header.setResizeContentsPrecision(MEASURED_ROWS)
        header.sortIndicatorChanged.connect(self._onSorted)
        view.setIconSize(qt.QSize(SWATCH_PX, SWATCH_PX))
        font = view.font
        font.setPointSizeF(FONT_SHARE * font.pointSizeF())
        view.setFont(font)
        rows = view.verticalHeader()
        rows.visible = False
        rows.defaultSectionSize = view.fontMetrics().height() + 8
        # Kept in attributes: their Python side must live as long as the connections.
        self._selection = view.selectionModel()
        self._selection.selectionChanged.connect(self._onSelectionChanged)
        view.clicked.connect(self._onClicked)

    # -- content -------------------------------------------------------------------------------------------------
    def setRows(self, rows: Sequence[CandidateRow], columns: Sequence[Column]) -> None:
        """Take other candidates or columns; the order is kept, and no new row is seen until `show`.

        Where only values have changed, only those rows are written anew.
        """
        labels = [row.label for row in rows]
        if columns == self._columns and labels == [row.label for row in self._rows]:
            former, self._rows = self._rows, rows
            changed = [n for n, row in enumerate(rows) if row is not former[n]]
            self._fill(changed)
            self._hasNewContent = self._hasNewContent or bool(changed)
            return
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
            for n, column in enumerate(columns):
                self._model.setHeaderData(n, qt.Qt.Horizontal, column.explanation, qt.Qt.ToolTipRole)
            self._model.setRowCount(len(rows))
            self._fill(range(len(rows)))
            self._hasNewContent, self._lostAt = True, None
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
            selectedAt = self._proxyRow(self._selected)
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
                self._fitColumns()
                self._hasNewContent = False
            isLost = self._selected is not None and not self._shown.get(self._selected)
            self._makeCurrent(None if isLost else self._selected)
        finally:
            self._changing = False
        if isLost:
            self._selected, self._lostAt = None, selectedAt
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
        """Select the row so many further down in the present order, or the first; stays at the ends. Where the selected
        row has vanished, that which took its place is the next one."""
        last = self._proxy.rowCount() - 1
        if last >= 0:
            current = self._proxyRow(self._selected)
            wanted = current + rows if current is not None else 0
            if current is None and self._lostAt is not None:
                wanted = self._lostAt + rows - (rows > 0)
            self._selectRow(min(max(wanted, 0), last))

    @property
    def listed(self) -> int:
        """Number of rows to be seen."""
        return int(self._proxy.rowCount())

    @property
    def selected(self) -> str | None:
        """The selected candidate's label."""
        return self._selected

    @property
    def selection(self) -> list[str]:
        """The labels of all selected rows, from the top."""
        rows = sorted(self._selection.selectedRows(), key=lambda index: index.row())
        labels = (self._label(index) for index in rows)
        return [label for label in labels if label is not None]

    def _fill(self, numbers: Iterable[int]) -> None:
        colors: dict[Any, Any] = {}
        was_blocked = self._model.blockSignals(True)
        # Looked up once: it is done thousands of times.
        index_of, write, display_role = self._model.index, self._model.setData, qt.Qt.DisplayRole
        for n in numbers:
            row = self._rows[n]
            for position, column in enumerate(self._columns):
                index = index_of(n, position)
                text, key = column.cell(row)
                write(index, text, display_role)
                write(index, key, SORT_ROLE)
                if column.colors:
                    brush = column.colors.get(key)
                    write(index, qt.QColor(brush) if brush else None, qt.Qt.ForegroundRole)
            if self._columns:
                if row.color not in colors:
                    colors[row.color] = qt.QColor.fromRgbF(*row.color)
                self._model.setData(self._model.index(n, 0), colors[row.color], qt.Qt.DecorationRole)
        self._model.blockSignals(was_blocked)

    def _fitColumns(self) -> None:
        """As wide as what is in them. Qt leaves room for the arrow of the sorted column in all of them, which costs as
        much as two columns: here that one alone has it."""
        header = self._view.horizontalHeader()
        header.setSortIndicatorShown(False)
        header.setStretchLastSection(False)
        self._view.resizeColumnsToContents()
        header.setSortIndicatorShown(True)
        header.setStretchLastSection(True)  # where there is room
        column = header.sortIndicatorSection()
        if 0 <= column < len(self._columns) - 1:
            self._view.setColumnWidth(column, self._view.columnWidth(column) + ARROW_PX)

    def _onSorted(self, column: int, order: Any = None) -> None:
        if not self._changing:
            self._fitColumns()

    def _makeCurrent(self, label: str | None) -> None:
        row = self._proxyRow(label)
        if row is None:
            self._selection.clear()
        elif self._label(self._view.currentIndex()) != label:
            self._selectRow(row)

    def _selectRow(self, row: int) -> None:
        # Not by QTableView.selectRow, for which a Ctrl or Shift that is held down means something else.
        alone = qt.QItemSelectionModel.ClearAndSelect | qt.QItemSelectionModel.Rows
        self._selection.setCurrentIndex(self._proxy.index(row, 0), alone)

    def _proxyRow(self, label: str | None) -> int | None:
        if label not in self._numbers:
            return None
        row = self._proxy.mapFromSource(self._model.index(self._numbers[label], 0)).row()
        return row if row >= 0 else None

    def _label(self, index: Any) -> str | None:
        row = self._proxy.mapToSource(index).row()
        return self._rows[row].label if 0 <= row < len(self._rows) else None

    def _onSelectionChanged(self, selected: Any, deselected: Any) -> None:
        # A row that vanishes hands the selection on: that is no wish to look elsewhere.
        if self._changing:
            return
        chosen, label = self.selection, self._label(self._view.currentIndex())
        if label not in chosen:
            label = chosen[-1] if chosen else None
        if label == self._selected:
            self._onMore()
        else:
            self._selected, self._lostAt = label, None
            self._onSelected(label)

    def _onClicked(self, index: Any) -> None:
        if self._selected is not None:
            self._onSelected(self._selected)
