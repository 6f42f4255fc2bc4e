"""The audit trail in a window of its own, to be read only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from ...review import TrailEntry
from .review_texts import action_names

WIDTH_PX, HEIGHT_PX = 760, 420
UNDOING = ("undo", "redo")


class TrailView:
    """A table of everything readers did, oldest first; what was undone is struck out.

    :param parent: the module's widget.
    """

    def __init__(self, parent: Any) -> None:
        self._parent = parent
        self._dialog: Any = None
        self._table: Any = None

    @property
    def isOpen(self) -> bool:
        """Whether it is to be seen."""
        return self._dialog is not None and bool(self._dialog.visible)

    def open(self, entries: Sequence[TrailEntry]) -> None:
        """Show it."""
        if self._dialog is None:
            self._make()
        self.fill(entries)
        self._dialog.show()
        self._dialog.raise_()

    def close(self) -> None:
        """Hide it."""
        if self._dialog is not None:
            self._dialog.hide()

    def fill(self, entries: Sequence[TrailEntry]) -> None:
        """Take other entries."""
        names = action_names()
        self._table.setRowCount(len(entries))
        for n, entry in enumerate(entries):
            event = entry.event
            cells = (
                event.time.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                event.reader,
                names[event.change.action],
                ", ".join(event.change.subjects),
                event.change.detail,
                event.software,
            )
            for column, text in enumerate(cells):
                self._table.setItem(n, column, self._item(text, entry.in_effect or event.change.action in UNDOING))
        self._table.resizeColumnsToContents()
        self._table.scrollToBottom()

    def _item(self, text: str, inEffect: bool) -> Any:
        item = qt.QTableWidgetItem(text)
        item.setToolTip(text)
        font = item.font()
        font.setStrikeOut(not inEffect)
        item.setFont(font)
        return item

    def _make(self) -> None:
        self._dialog = qt.QDialog(self._parent)
        self._dialog.windowTitle = _("Audit trail")
        self._dialog.resize(WIDTH_PX, HEIGHT_PX)
        layout = qt.QVBoxLayout(self._dialog)
        text = _("Everything that readers did, oldest first. What was undone is struck out.")
        label = qt.QLabel(text)
        label.wordWrap = True
        layout.addWidget(label)
        self._table = qt.QTableWidget(0, 6)
        titles = [_("Time"), _("Reader"), _("Action"), _("Findings"), _("Details"), _("Version")]
        self._table.setHorizontalHeaderLabels(titles)
        self._table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        self._table.setAlternatingRowColors(True)
        self._table.verticalHeader().visible = False
        self._table.horizontalHeader().stretchLastSection = True
        layout.addWidget(self._table)
