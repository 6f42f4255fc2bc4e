"""The part of the panel with the candidates: threshold, table, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ...errors import InputError
from ...scene.detections import DetectionNodes
from ..operating_table import OperatingTable
from .explain_panel import ExplainPanel
from .findings_table import FindingsTable
from .listing import Listing
from .logic import DetectionLogic
from .picking import ScenePicker
from .reference_panel import ReferencePanel
from .review_panel import ReviewPanel
from .shortcuts import Shortcuts, with_key
from .texts import (
    BAD,
    counts_text,
    expectation_text,
    expectation_tip,
    line_html,
    preset_text,
    warnings_html,
)
from .viewing_panel import ViewingPanel

NOTHING = Listing({}, None)


class CandidatesPanel:
    """Drives the candidates' widgets of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name. :param widget: the one that holds them all.
    :param setThreshold: takes the user's wish for another threshold; `setThreshold` of this class brings it back.
    """

    def __init__(self, ui: Any, widget: Any, logic: DetectionLogic, setThreshold: Callable[[float], None]) -> None:
        self.ui, self._logic, self._wishThreshold = ui, logic, setThreshold
        self._volumeNode: Any = None
        self._nodes: DetectionNodes | None = None
        self._listing = NOTHING
        self._threshold = 1.0
        self._operatingTable: OperatingTable | None = None
        self._warnings: tuple[str, ...] = ()
        self._error = ""
        self.table = FindingsTable(ui, self.onRowSelected, self.updateGui)
        self.viewing = ViewingPanel(ui, logic)
        self.review = ReviewPanel(ui, widget, logic, self.table, self.onReviewChanged)
        self.reference = ReferencePanel(ui, logic, self.onReviewChanged)
        self.explain = ExplainPanel(ui, logic)
        self._picker = ScenePicker(self.onPositionPicked, self.onLabelPicked)
        actions = {
            "next": self.onNext,
            "previous": self.onPrevious,
            "overlay": self.viewing.onOverlayToggled,
            **self.review.keys,
        }
        self._shortcuts = Shortcuts(actions, widget)
        self.review.lendKeysTo(self._shortcuts)
        ui.nextButton.toolTip = with_key(_("Next candidate of the table"), "next")
        ui.previousButton.toolTip = with_key(_("Previous candidate of the table"), "previous")
        ui.nextButton.clicked.connect(self.onNext)
        ui.previousButton.clicked.connect(self.onPrevious)
        ui.presetButton.clicked.connect(self.onPresetButton)

    def enter(self) -> None:
        """Called when the module is shown: its keys and clicks in the views work."""
        self._picker.deactivate()
        self._picker.activate()
        self._shortcuts.setActive(True)
        self.review.enter()

    def exit(self) -> None:
        """Called when another module is shown: keys and clicks are that one's."""
        self._picker.deactivate()
        self._shortcuts.setActive(False)
        self.review.exit()

    def close(self) -> None:
        """Let go of the scene; the panel is not used again."""
        self.exit()
        self._picker.removeObservers()
        self.viewing.close()
        self.review.close()
        self.reference.close()
        self.explain.close()

    # -- content ---------------------------------------------------------------------------------------------------
    def show(
        self, volumeNode: Any, nodes: DetectionNodes | None, table: OperatingTable | None, threshold: float
    ) -> None:
        """Take over what was detected in a volume; where it is the same as before, the selection stays."""
        self.review.leave()
        if nodes != self._nodes:
            self.table.select(None)
        self._volumeNode, self._nodes, self._operatingTable, self._threshold = volumeNode, nodes, table, threshold
        self._warnings = self._logic.warnings(nodes)
        self._picker.follow(nodes)
        self.viewing.show(volumeNode, nodes)
        self.review.show(nodes)
        self.reference.show(nodes)
        self.explain.show(nodes)
        self._fillTable()
        if self.table.selected is not None:
            self._showSelected()

    def setTable(self, table: OperatingTable | None) -> None:
        """Take another operating table."""
        self._operatingTable = table
        self.updateGui()

    def setThreshold(self, threshold: float) -> None:
        """Show the candidates above it, hide the others. No network is run again."""
        self._threshold = threshold
        self._listing = self._show() if self._nodes is not None and not self._error else NOTHING
        self.table.show(self._listing.shown)
        self.explain.setThreshold(threshold, self._listing.match is not None)

    def setBusy(self, isBusy: bool) -> None:
        """While a run is on, a review that it will replace is not changed."""
        self.review.setBusy(isBusy)

    # -- user actions ----------------------------------------------------------------------------------------------
    def onPresetButton(self, checked: bool = False) -> None:
        """Take the clinical threshold."""
        if self._operatingTable is not None:
            self._wishThreshold(self._operatingTable.clinical_threshold)

    def onNext(self, checked: bool = False) -> None:
        """Select the next row, or the first."""
        self.table.step(1)

    def onPrevious(self, checked: bool = False) -> None:
        """Select the row before."""
        self.table.step(-1)

    def onRowSelected(self, label: str | None) -> None:
        """Show a candidate in all slice views."""
        if label is not None:
            self.review.forgetMessage()
            self._logic.jumpTo(self._nodes, label, center=self.viewing.isZoomed)
        self._showSelected()

    def onPositionPicked(self, positionRas: tuple[float, float, float], sliceNode: Any) -> None:
        """A click in a slice view: it adds a nodule where that was asked for; else the candidate there, if any,
        is selected, and the other views show it."""
        if self._nodes is None or self.review.outlines.place(positionRas):
            return
        if not self._logic.isOverlayVisible(self._nodes):
            return
        rows = [row for row in self.table.rows.values() if self._listing.shown.get(row.label)]
        row = self._logic.candidateAt(rows, self._volumeNode, positionRas)
        if row is not None:
            self.onLabelPicked(row.label)
            isZoomed = self.viewing.isZoomed
            self._logic.jumpTo(self._nodes, row.label, isZoomed, exceptView=None if isZoomed else sliceNode)

    def onLabelPicked(self, label: str) -> None:
        """Select a candidate that was picked in the views."""
        if label in self.table.rows:
            self.table.select(label)
            self._showSelected()

    def onReviewChanged(self, label: str | None = None) -> None:
        """Called when the findings, or what they are compared with, are others than before.

        :param label: what to select; None keeps the selection.
        """
        self._fillTable()
        if label is not None:
            self.table.select(label)
        self._showSelected()

    # -- appearance --------------------------------------------------------------------------------------------------
    def updateGui(self) -> None:
        """The widgets around the table follow what it shows."""
        self.review.updateGui(self._threshold, self._error)
        ui, rows, shown = self.ui, self.table.rows, self._listing.shown
        findings = [row.label for row in rows.values() if row.is_finding]
        isHidden = self.review.isHidden
        ui.candidatesCollapsibleButton.visible = self._nodes is not None
        ui.viewingCollapsibleButton.visible = self._nodes is not None and (bool(rows) or isHidden)
        self.table.updateGui()
        for button in (ui.nextButton, ui.previousButton):
            button.visible, button.enabled = bool(rows), self.table.listed > 0
        table = self._operatingTable
        ui.presetButton.enabled = table is not None
        ui.presetButton.text = preset_text(table)
        expectation = table.at(self._threshold) if table is not None else None
        ui.expectedLabel.text = expectation_text(expectation, table is not None)
        ui.expectedLabel.toolTip = expectation_tip(table)
        count = sum(bool(shown.get(label)) for label in findings)
        missed = sum(map(bool, shown.values())) - count
        ui.countsLabel.text = counts_text(count, len(findings), missed, self.table.listed, isHidden)
        error = line_html(BAD, "✕", self._error) if self._error else ""
        ui.warningsLabel.text = "<br>".join(part for part in (error, warnings_html(self._warnings)) if part)
        ui.warningsLabel.visible = bool(ui.warningsLabel.text)
        self.reference.updateGui(self._listing.match, self._threshold)

    def _fillTable(self) -> None:
        self._error = ""
        try:
            rows = self._logic.candidates(self._nodes)
        except InputError as error:
            rows, self._error = [], str(error)
        self.table.setRows(rows)
        self.setThreshold(self._threshold)

    def _show(self) -> Listing:
        assert self._nodes is not None
        try:
            return self._logic.showAt(
                self._nodes, self._threshold, self.review.showsRejected, self.reference.showsOverlap
            )
        except InputError as error:
            self._error = str(error)
            return NOTHING

    def _showSelected(self) -> None:
        self.viewing.select(self.table.selected)
        self.explain.select(self.table.selected)
        self.updateGui()
