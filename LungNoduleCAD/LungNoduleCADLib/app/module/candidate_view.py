"""The candidates table of the Slicer module: a sortable, filtered view that follows the threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from ..candidates import CandidateRow

SORT_ROLE = int(qt.Qt.UserRole)
SHOWN_ROLE = SORT_ROLE + 1
SCORE_COLUMN = 1


class CandidateView:
    """Fills a QTableView.

    :param onSelected: called with a candidate's label when the user selects its row or clicks it again.
    """

    def __init__(self, view: Any, onSelected: Callable[[str], None]) -> None:
        self._view, self._onSelected = view, onSelected
        self._rows: Sequence[CandidateRow] = ()
        self._shown: dict[str, bool] = {}
        self._changing = False
        headers = [_("Nodule"), _("Score"), _("Diameter"), _("Density"), _("Slice")]
        self._model = qt.QStandardItemModel(0, len(headers), view)
        self._model.setHorizontalHeaderLabels(headers)
        self._proxy = qt.QSortFilterProxyModel(view)
        self._proxy.setSourceModel(self._model)
        self._proxy.sortRole = SORT_ROLE
        self._proxy.filterRole = SHOWN_ROLE
        self._proxy.filterKeyColumn = 0
        self._proxy.setFilterFixedString("1")
        view.setModel(self._proxy)
        view.sortByColumn(SCORE_COLUMN, qt.Qt.DescendingOrder)
        header = view.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.Stretch)
        rows = view.verticalHeader()
        rows.visible = False
        rows.defaultSectionSize = view.fontMetrics().height() + 8
        # Kept in attributes: their Python side must live as long as the connections.
        self._selection = view.selectionModel()
        self._selection.currentRowChanged.connect(self._onCurrentRowChanged)
        view.clicked.connect(self._onClicked)

    def setRows(self, rows: Sequence[CandidateRow]) -> None:
        """Take other candidates; none is seen until `show`."""
        self._changing = True
        try:
            self._rows, self._shown = rows, {}
            self._model.setRowCount(0)
            self._model.setRowCount(len(rows))
            was_blocked = self._model.blockSignals(True)
            for n, row in enumerate(rows):
                self._fill(n, row)
            self._model.blockSignals(was_blocked)
        finally:
            self._changing = False

    def show(self, shown: Mapping[str, bool]) -> None:
        """Show the rows of these candidates; the others vanish."""
        self._changing = True
        try:
            # One update at the end instead of one a row: 500 rows in a few milliseconds.
            was_blocked = self._model.blockSignals(True)
            for n, row in enumerate(self._rows):
                visible = bool(shown.get(row.label))
                if self._shown.get(row.label) != visible:
                    self._model.setData(self._model.index(n, 0), "1" if visible else "0", SHOWN_ROLE)
                    self._shown[row.label] = visible
            self._model.blockSignals(was_blocked)
            self._proxy.invalidate()
        finally:
            self._changing = False

    def selectedLabel(self) -> str | None:
        """The current row's candidate."""
        return self._label(self._view.currentIndex())

    def _fill(self, n: int, row: CandidateRow) -> None:
        cells = (
            (row.label, row.id),
            (f"{row.score:.2f}", row.score),
            ("–" if row.diameter_mm is None else f"{row.diameter_mm:.1f} mm", row.diameter_mm or 0.0),
            (row.density, row.density),
            (str(row.slice_number), row.slice_number),
        )
        details = [] if row.mean_hu is None else [_("mean {hu} HU").format(hu=round(row.mean_hu))]
        if row.malignancy is not None:
            details.append(_("estimated malignancy {value}").format(value=f"{row.malignancy:.2f}"))
        for column, (text, key) in enumerate(cells):
            index = self._model.index(n, column)
            self._model.setData(index, text, qt.Qt.DisplayRole)
            self._model.setData(index, key, SORT_ROLE)
            self._model.setData(index, ", ".join(details), qt.Qt.ToolTipRole)
            self._model.setData(index, int(qt.Qt.AlignCenter), qt.Qt.TextAlignmentRole)

    def _label(self, index: Any) -> str | None:
        row = self._proxy.mapToSource(index).row()
        return self._rows[row].label if 0 <= row < len(self._rows) else None

    def _onCurrentRowChanged(self, current: Any, previous: Any) -> None:
        self._tell(current)

    def _onClicked(self, index: Any) -> None:
        self._tell(index)

    def _tell(self, index: Any) -> None:
        # A row that the threshold removes hands the selection on: that is no wish to look elsewhere.
        label = None if self._changing else self._label(index)
        if label is not None:
            self._onSelected(label)
