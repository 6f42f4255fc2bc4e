"""The part of the panel with the candidates: threshold, table, filters, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ...scene.detections import DetectionNodes
from ..candidates import CandidateRow, shown_at
from ..operating_table import OperatingTable
from .candidate_view import CandidateView
from .columns import Column, candidate_columns, known_columns
from .logic import DetectionLogic
from .picking import ScenePicker
from .shortcuts import Shortcuts, with_key
from .texts import (
    counts_text,
    expectation_text,
    expectation_tip,
    preset_text,
    warnings_html,
)
from .viewing_panel import ViewingPanel

COLUMNS_SETTING = "LungNoduleCAD/Columns"


class CandidatesPanel:
    """Drives the candidates' widgets of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name. :param widget: the one that holds them all.
    :param setThreshold: takes the user's wish for another threshold; `setThreshold` of this class brings it back.
    """

    def __init__(self, ui: Any, widget: Any, logic: DetectionLogic, setThreshold: Callable[[float], None]) -> None:
        self.ui, self._logic, self._wishThreshold = ui, logic, setThreshold
        self._volumeNode: Any = None
        self._nodes: DetectionNodes | None = None
        self._rows: dict[str, CandidateRow] = {}
        self._searched: dict[str, str] = {}
        self._shown: dict[str, bool] = {}
        self._threshold = 1.0
        self._table: OperatingTable | None = None
        self._warnings: tuple[str, ...] = ()
        self._columns = candidate_columns()
        self._known: list[Column] = []
        self._view = CandidateView(ui.candidatesTable, self.onRowSelected)
        self.viewing = ViewingPanel(ui, logic)
        self._picker = ScenePicker(self.onPositionPicked, self.onLabelPicked)
        actions = {"next": self.onNext, "previous": self.onPrevious, "overlay": self.viewing.onOverlayToggled}
        self._shortcuts = Shortcuts(actions, widget)
        self._columnsMenu = qt.QMenu(ui.columnsButton)
        ui.columnsButton.setMenu(self._columnsMenu)
        ui.nextButton.toolTip = with_key(_("Next candidate of the table"), "next")
        ui.previousButton.toolTip = with_key(_("Previous candidate of the table"), "previous")
        ui.nextButton.clicked.connect(self.onNext)
        ui.previousButton.clicked.connect(self.onPrevious)
        ui.presetButton.clicked.connect(self.onPresetButton)
        ui.filterLineEdit.textChanged.connect(self.onFilterChanged)
        ui.densityFilter.currentIndexChanged.connect(self.onFilterChanged)
        ui.statusFilter.currentIndexChanged.connect(self.onFilterChanged)

    def enter(self) -> None:
        """Called when the module is shown: its keys and clicks in the views work."""
        self._picker.deactivate()
        self._picker.activate()
        self._shortcuts.setActive(True)

    def exit(self) -> None:
        """Called when another module is shown: keys and clicks are that one's."""
        self._picker.deactivate()
        self._shortcuts.setActive(False)

    def close(self) -> None:
        """Let go of the scene; the panel is not used again."""
        self.exit()
        self._picker.removeObservers()
        self.viewing.close()

    # -- content ---------------------------------------------------------------------------------------------------
    def show(
        self, volumeNode: Any, nodes: DetectionNodes | None, table: OperatingTable | None, threshold: float
    ) -> None:
        """Take over what was detected in a volume."""
        self._volumeNode, self._nodes, self._table, self._threshold = volumeNode, nodes, table, threshold
        self._warnings = self._logic.warnings(nodes)
        rows = self._logic.candidates(nodes)
        self._rows = {row.label: row for row in rows}
        self._known = known_columns(self._columns, rows)
        self._searched = {row.label: " ".join(c.cell(row)[0] for c in self._known).casefold() for row in rows}
        self._picker.follow(nodes)
        self.viewing.show(volumeNode, nodes)
        self._view.select(None)
        self._setChoices(self.ui.densityFilter, _("All types"), "density")
        self._setChoices(self.ui.statusFilter, _("All statuses"), "status")
        self.ui.statusFilter.visible = any(column.key == "status" for column in self._known)
        self._fillColumnsMenu()
        self._fillTable()

    def setTable(self, table: OperatingTable | None) -> None:
        """Take another operating table."""
        self._table = table
        self.updateGui()

    def setThreshold(self, threshold: float) -> None:
        """Show the candidates above it, hide the others. Nothing is computed again."""
        self._threshold = threshold
        self._shown = shown_at(self._rows.values(), threshold)
        self._logic.showCandidates(self._nodes, self._shown)
        self._filter()

    # -- user actions ----------------------------------------------------------------------------------------------
    def onPresetButton(self, checked: bool = False) -> None:
        """Take the threshold that the card recommends."""
        if self._table is not None:
            self._wishThreshold(self._table.default_threshold)

    def onFilterChanged(self, value: Any = None) -> None:
        """List only candidates with the words, type and status asked for; the views go by the threshold alone."""
        self._filter()

    def onNext(self, checked: bool = False) -> None:
        """Select the next row, or the first."""
        self._view.step(1)

    def onPrevious(self, checked: bool = False) -> None:
        """Select the row before."""
        self._view.step(-1)

    def onRowSelected(self, label: str | None) -> None:
        """Show a candidate in all slice views."""
        if label is not None:
            self._logic.jumpTo(self._nodes, label, center=self.viewing.isZoomed)
        self.viewing.select(self._rows.get(label) if label is not None else None)
        self.updateGui()

    def onPositionPicked(self, positionRas: tuple[float, float, float], sliceNode: Any) -> None:
        """A click in a slice view: the candidate there, if there is one, is selected, and the other views show it."""
        if self._nodes is None or not self._logic.isOverlayVisible(self._nodes):
            return
        rows = [row for row in self._rows.values() if self._shown.get(row.label)]
        row = self._logic.candidateAt(rows, self._volumeNode, positionRas)
        if row is not None:
            self.onLabelPicked(row.label)
            isZoomed = self.viewing.isZoomed
            self._logic.jumpTo(self._nodes, row.label, isZoomed, exceptView=None if isZoomed else sliceNode)

    def onLabelPicked(self, label: str) -> None:
        """Select a candidate that was picked in the views."""
        if label in self._rows:
            self._view.select(label)
            self.viewing.select(self._rows[label])
            self.updateGui()

    def onColumnToggled(self, checked: bool = False) -> None:
        """Show the ticked columns, now and in future sessions."""
        chosen = {action.data() for action in self._columnsMenu.actions() if action.checked}
        hidden = {column.key for column in self._known} - chosen
        # A column that this detection has no values for stays what it was.
        others = self._visibleKeys() - chosen - hidden
        slicer.app.userSettings().setValue(COLUMNS_SETTING, " ".join(sorted(chosen | others)))
        self._fillTable()

    # -- appearance --------------------------------------------------------------------------------------------------
    def updateGui(self) -> None:
        """The widgets around the table follow what it shows."""
        ui, hasRows = self.ui, bool(self._rows)
        ui.candidatesCollapsibleButton.visible = self._nodes is not None
        ui.viewingCollapsibleButton.visible = self._nodes is not None and hasRows
        for widget in (ui.candidatesTable, ui.filterWidget, ui.nextButton, ui.previousButton):
            widget.visible = hasRows
        listed = self._view.listed
        ui.nextButton.enabled = ui.previousButton.enabled = listed > 0
        ui.presetButton.enabled = self._table is not None
        ui.presetButton.text = preset_text(self._table)
        expectation = self._table.at(self._threshold) if self._table is not None else None
        ui.expectedLabel.text = expectation_text(expectation, self._table is not None)
        ui.expectedLabel.toolTip = expectation_tip(self._table)
        ui.countsLabel.text = counts_text(sum(self._shown.values()), len(self._rows), listed)
        ui.warningsLabel.text = warnings_html(self._warnings)
        ui.warningsLabel.visible = bool(self._warnings)

    def _filter(self) -> None:
        words = self.ui.filterLineEdit.text.casefold().split()
        density, status = (_chosen(box) for box in (self.ui.densityFilter, self.ui.statusFilter))
        listed = {
            label: self._shown[label]
            and all(word in self._searched[label] for word in words)
            and density in ("", row.values.get("density"))
            and status in ("", row.values.get("status"))
            for label, row in self._rows.items()
        }
        self._view.show(listed)
        self.updateGui()

    def _fillTable(self) -> None:
        visible = self._visibleKeys()
        self._view.setRows(list(self._rows.values()), [c for c in self._known if c.key in visible])
        self.setThreshold(self._threshold)

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

    def _setChoices(self, box: Any, everything: str, field: str) -> None:
        former = _chosen(box)
        text = next(column.text for column in self._columns if column.key == field)
        wasBlocked = box.blockSignals(True)
        box.clear()
        box.addItem(everything, "")
        for value in sorted({str(row.values[field]) for row in self._rows.values() if row.values.get(field)}):
            box.addItem(text(value), value)
        box.currentIndex = max(0, box.findData(former))
        box.blockSignals(wasBlocked)


def _chosen(box: Any) -> str:
    """The chosen value; empty for all."""
    return str(box.itemData(box.currentIndex) or "")
