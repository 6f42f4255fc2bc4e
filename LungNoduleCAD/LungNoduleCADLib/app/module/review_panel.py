"""The part of the panel in which a reader decides: accept, reject, undo, and how far they have got."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from ...errors import InputError
from ...review import Finding, ReviewState
from ...scene.detections import DetectionNodes
from .callipers_panel import CallipersPanel
from .category_panel import CategoryPanel
from .exam_panel import ExamPanel
from .finding_panel import FindingPanel
from .findings_table import FindingsTable
from .history_panel import HistoryPanel
from .logic import DetectionLogic
from .outline_panel import OutlinePanel
from .performing import Said, confirm, perform
from .reader_panel import ReaderPanel
from .review_texts import reason_names, replace_question, review_text
from .shortcuts import Shortcuts, with_key


class ReviewPanel:
    """Drives the review's widgets of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name. :param widget: the one that holds them all.
    :param table: whose selected rows are decided about.
    :param onChanged: called after every change, with the finding to select, or None to keep the selection.
    """

    def __init__(
        self,
        ui: Any,
        widget: Any,
        logic: DetectionLogic,
        table: FindingsTable,
        onChanged: Callable[[str | None], None],
    ) -> None:
        self.ui, self._logic, self._table, self._onChanged = ui, logic, table, onChanged
        self._nodes: DetectionNodes | None = None
        self._state: ReviewState | None = None
        self._message = ""
        self.reader = ReaderPanel(ui, logic, self.change)
        self.outlines = OutlinePanel(ui, logic, self._selection, self.change, self._tell)
        self.finding = FindingPanel(ui, logic, self.change)
        self.callipers = CallipersPanel(ui, logic, self.change, self._tell)
        self.category = CategoryPanel(ui, logic, self.change)
        self.exam = ExamPanel(ui, logic, self.change)
        self.history = HistoryPanel(ui, widget, logic, self.change)
        self._reasons = qt.QMenu(ui.rejectButton)
        for reason, text in reason_names().items():
            self._reasons.addAction(text).setData(reason)
        self._reasons.triggered.connect(self.onReasonChosen)
        ui.rejectButton.setMenu(self._reasons)
        for button, action, text in (
            (ui.acceptButton, "accept", _("The selected findings are nodules.")),
            (ui.rejectButton, "reject", _("The selected findings are none: choose why.")),
            (ui.undoButton, "undo", _("Take back the last change. The audit trail keeps both.")),
            (ui.redoButton, "redo", _("Bring back what was taken back.")),
            (ui.addButton, "add", _("Then click on a nodule in a slice view: its outline is proposed.")),
        ):
            button.toolTip = with_key(text, action)
        ui.acceptButton.clicked.connect(self.onAccept)
        ui.reopenButton.clicked.connect(self.onReopen)
        ui.rejectedCheckBox.clicked.connect(self.onRejectedToggled)
        self.keys: dict[str, Callable[[], None]] = {
            "accept": lambda: ui.acceptButton.click(),
            "reject": self.onRejectKey,
            "undo": lambda: ui.undoButton.click(),
            "redo": lambda: ui.redoButton.click(),
            "add": lambda: ui.addButton.click(),
        }

    def lendKeysTo(self, shortcuts: Shortcuts) -> None:
        """While the menu of reasons is open, letters choose from it."""
        self._reasons.aboutToShow.connect(lambda: shortcuts.setActive(False))
        self._reasons.aboutToHide.connect(lambda: shortcuts.setActive(True))

    # -- content ---------------------------------------------------------------------------------------------------
    def show(self, nodes: DetectionNodes | None) -> None:
        """Take over a detection, or none."""
        if nodes != self._nodes:
            self._message = ""
            self.history.closeTrail()
        self._nodes = nodes
        self.outlines.show(nodes)

    def leave(self) -> None:
        """Called before another detection is shown: what was typed is kept."""
        self.finding.commit()

    def enter(self) -> None:
        """Called when the module is shown."""
        self.callipers.enter()
        self.outlines.enter()

    def exit(self) -> None:
        """Called when another module is shown."""
        self.finding.commit()
        self.callipers.exit()
        self.outlines.exit()
        self.ui.addButton.checked = False

    def close(self) -> None:
        """Let go of the scene; the panel is not used again."""
        self.callipers.close()
        self.outlines.close()
        self.exam.close()

    def setBusy(self, isBusy: bool) -> None:
        """While a run is on, its results will replace this review."""
        for widget in (self.ui.reviewWidget, self.ui.readerWidget, self.ui.examCategoryWidget):
            widget.enabled = not isBusy
        if isBusy:
            self.ui.addButton.checked = False
            self.callipers.stop()

    def mayBeReplaced(self) -> bool:
        """Ask where a new result would take the place of decisions."""
        nodes = self._nodes
        self.finding.commit()
        try:
            hasDecisions = nodes is not None and self._logic.hasDecisions(nodes)
        except InputError:  # damaged: nothing is lost with it
            return True
        return nodes is None or not hasDecisions or confirm(replace_question(len(self._logic.trail(nodes))))

    def forgetMessage(self) -> None:
        """Called when the user looks at another finding: what was said of the last one is over."""
        if not self.ui.addButton.checked:
            self.callipers.stop()
            self._message = ""

    @property
    def isHidden(self) -> bool:
        """Whether the detector's marks must not be seen yet."""
        return self._state is not None and self._state.hides_detector

    @property
    def showsRejected(self) -> bool:
        """Whether rejected findings are listed and drawn."""
        return bool(self.ui.rejectedCheckBox.checked)

    def change(self, action: Callable[[DetectionNodes], Said | None]) -> bool:
        """Change the review; whether it was possible. If not, one dialog says why, and nothing has changed."""
        nodes, said = self._nodes, Said()
        if nodes is None:
            return False

        def act() -> None:
            nonlocal said
            said = action(nodes) or said

        done = perform(_("The review could not be changed."), act)
        self._message = said.message
        self._onChanged(said.select)
        return done

    # -- user actions ------------------------------------------------------------------------------------------------
    def onAccept(self, checked: bool = False) -> None:
        """The selected findings are nodules."""
        self._decide(self._logic.acceptFindings, "accepted")

    def onReopen(self, checked: bool = False) -> None:
        """The selected findings are undecided again."""
        self._decide(self._logic.reopenFindings, "pending")

    def onRejectKey(self) -> None:
        """Open the menu of reasons."""
        button = self.ui.rejectButton
        if button.enabled and self.ui.reviewWidget.enabled:
            self._reasons.popup(button.mapToGlobal(qt.QPoint(0, button.height)))

    def onReasonChosen(self, action: Any) -> None:
        """The selected findings are no nodules."""
        reason, comment = action.data(), self.ui.commentLineEdit.text.strip()
        names = [finding.id for finding in self._selection()]
        if self.change(lambda nodes: self._logic.rejectFindings(nodes, names, reason, comment)):
            self.ui.commentLineEdit.text = ""
        else:
            self.ui.commentLineEdit.setFocus()

    def onRejectedToggled(self, checked: bool = False) -> None:
        """List and draw rejected findings, or not."""
        self._onChanged(None)

    # -- appearance --------------------------------------------------------------------------------------------------
    def updateGui(self, threshold: float, error: str) -> None:
        """The widgets follow the review and the selection.

        :param error: why there is no review; empty when there is one.
        """
        ui, nodes = self.ui, self._nodes if not error else None
        self._state = self._logic.review(nodes).state if nodes is not None else None
        self.reader.updateGui(nodes, self._state)
        ui.reviewWidget.visible = nodes is not None
        selected = self._selection()
        finding = selected[0] if len(selected) == 1 else None
        self.finding.updateGui(nodes, finding)
        self.callipers.updateGui(nodes, finding)
        self.category.updateGui(nodes, finding, threshold)
        self.exam.updateGui(nodes, threshold)
        self.history.updateGui(nodes)
        self.outlines.updateGui(selected)
        if nodes is None:
            return
        counts = self._logic.reviewCounts(nodes, threshold)
        ui.progressLabel.text = review_text(counts, self.isHidden)
        ui.reviewProgressBar.visible = not self.isHidden and counts.total > 0
        ui.reviewProgressBar.maximum = max(counts.total, 1)
        ui.reviewProgressBar.value = counts.reviewed
        ui.acceptButton.enabled = any(finding.status != "accepted" for finding in selected)
        ui.rejectButton.enabled = ui.commentLineEdit.enabled = bool(selected)
        ui.reopenButton.enabled = any(finding.status != "pending" for finding in selected)
        ui.messageLabel.text, ui.messageLabel.visible = self._message, bool(self._message)

    def _tell(self, message: str) -> None:
        self._message = message
        self._onChanged(None)

    def _selection(self) -> list[Finding]:
        """The selected rows that are findings."""
        known = self._state.findings if self._state is not None else {}
        return [known[label] for label in self._table.selection if label in known]

    def _decide(self, decide: Callable[[DetectionNodes, Sequence[str]], None], status: str) -> None:
        names = [finding.id for finding in self._selection() if finding.status != status]
        if names:
            self.change(lambda nodes: decide(nodes, names))
