"""The part of the panel that makes a report: formats, guideline and what it asks, folder, and the export itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from ...errors import LungNoduleCADError
from ...report.suggestions import FLEISCHNER, LUNG_RADS
from ...scene.detections import DetectionNodes
from ..export_job import ExportRequest
from ..progress import Progress
from ..run import Outcome
from .export_texts import export_progress_text, exported_html
from .exporting import ExportedReport, ExportLogic
from .guideline_form import chosen_guidelines, clear_form, fill_form, stated_context
from .performing import DoubleClickGuard
from .prior_form import PriorForm
from .texts import error_html

FORMATS_SETTING = "LungNoduleCAD/ReportFormats"
FIRST_FORMATS = "html pdf json"


class ExportPanel:
    """Drives the report section of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name. :param threshold: tells from which score findings are reported.
    """

    def __init__(self, ui: Any, logic: ExportLogic, threshold: Callable[[], float]) -> None:
        self.ui, self._logic, self._threshold = ui, logic, threshold
        self._nodes: DetectionNodes | None = None
        self._message = ""
        self._isCancelling = False
        self._guard = DoubleClickGuard()
        self._obstacles: dict[str, str] = {}
        self._boxes = {
            "html": ui.htmlCheckBox,
            "pdf": ui.pdfCheckBox,
            "csv": ui.csvCheckBox,
            "json": ui.jsonCheckBox,
            "png": ui.pngCheckBox,
            "seg": ui.segCheckBox,
            "sr": ui.srCheckBox,
            "mrb": ui.mrbCheckBox,
        }
        self._tips = {name: box.toolTip for name, box in self._boxes.items()}
        self._wished = set(str(slicer.app.userSettings().value(FORMATS_SETTING) or FIRST_FORMATS).split())
        ui.reportPathLineEdit.filters = ctk.ctkPathLineEdit.Dirs
        for box in self._boxes.values():
            box.clicked.connect(self.onFormatClicked)
        fill_form(ui)
        self._prior = PriorForm(ui)
        ui.guidelineComboBox.currentIndexChanged.connect(self.onGuidelineChosen)
        ui.deidentifyCheckBox.clicked.connect(self.onDeidentifyClicked)
        ui.exportButton.clicked.connect(self.onExportButton)
        logic.exportListener = self
        self.show(None)

    def close(self) -> None:
        """End an export and let go of the logic; the panel is not used again."""
        self._logic.exportListener = None
        self._logic.cancelExport(wait=True)

    def show(self, nodes: DetectionNodes | None) -> None:
        """Follow a detection, or none. What was stated for one patient is not kept for another."""
        if nodes != self._nodes:
            self._forget()
        self._nodes = nodes
        self.updateGui()

    # -- user actions ----------------------------------------------------------------------------------------------
    def onFormatClicked(self, checked: bool = False) -> None:
        """Other formats, now and in future sessions; the ones that are impossible now keep their tick for later."""
        possible = {name for name in self._boxes if name not in self._obstacles}
        self._wished = (self._wished - possible) | {name for name in possible if self._boxes[name].checked}
        slicer.app.userSettings().setValue(FORMATS_SETTING, " ".join(sorted(self._wished)))
        self.updateGui()

    def onGuidelineChosen(self, choice: Any = None) -> None:
        """Each guideline asks for something else."""
        self.updateGui()

    def onDeidentifyClicked(self, checked: bool = False) -> None:
        """Not every format can be de-identified."""
        self.updateGui()

    def onExportButton(self, checked: bool = False) -> None:
        """Start an export, or cancel the one that is on."""
        if self._logic.isExporting and self._guard.isSecondClick():
            return
        if self._logic.isExporting:
            self._isCancelling = True
            self._logic.cancelExport()
            self.updateGui()
            return
        error = ""
        with slicer.util.tryWithErrorDisplay(_("The report could not be started."), waitCursor=True):
            try:
                assert self._nodes is not None  # the section is hidden without
                self._logic.startExport(self._nodes, self._request(), self._prior.chosen)
                self._guard.start()
                self._message = export_progress_text(Progress("preparing", 0.0, None))
                self.ui.reportPathLineEdit.addCurrentPathToHistory()
            except LungNoduleCADError as reason:
                error = str(reason)
        if error:
            self._fail(error, "")
        self.updateGui()

    # -- what comes by itself --------------------------------------------------------------------------------------
    def onExportProgress(self, progress: Progress) -> None:
        """Called by the logic while an export is on."""
        if not self._isCancelling:
            self._message = export_progress_text(progress)
            self.ui.exportProgressBar.value = round(self.ui.exportProgressBar.maximum * progress.fraction)
            self.ui.exportStatusLabel.text = self._message

    def onExportEnded(self, outcome: Outcome, report: ExportedReport | None, error: str, details: str) -> None:
        """Called by the logic when an export is over."""
        self._isCancelling = False
        if outcome is Outcome.FAILED:
            self._fail(error, details)
        elif report is None:
            self._message = _("Cancelled; nothing was written.")
        else:
            url = qt.QUrl.fromLocalFile(str(report.folder)).toString()
            self._message = exported_html(report, url)
        self.updateGui()

    # -- appearance ------------------------------------------------------------------------------------------------
    def updateGui(self) -> None:
        """The one place where the section follows the state."""
        ui, nodes, isBusy = self.ui, self._nodes, self._logic.isExporting
        ui.reportCollapsibleButton.visible = nodes is not None or isBusy
        self._obstacles = self._logic.exportObstacles(nodes, self._isDeidentified()) if nodes is not None else {}
        for name, box in self._boxes.items():
            reason = self._obstacles.get(name, "")
            box.enabled = not isBusy and not reason
            box.checked = name in self._wished and not reason
            box.toolTip = reason or self._tips[name]
        self._prior.fill(self._logic.priors(nodes) if nodes is not None else [])
        chosen = chosen_guidelines(ui)
        for widget in (ui.patientLabel, ui.patientWidget):
            widget.visible = FLEISCHNER in chosen
        for widget in (ui.examLabel, ui.examWidget):
            widget.visible = LUNG_RADS in chosen
        for widget in (
            ui.guidelineComboBox, ui.patientWidget, ui.examWidget, ui.notesEdit, ui.reportPathLineEdit,
            ui.deidentifyCheckBox, ui.priorWidget,
        ):  # fmt: skip
            widget.enabled = not isBusy
        ui.exportButton.enabled = not self._isCancelling and (isBusy or bool(self._formats()))
        ui.exportButton.text = self._buttonText()
        ui.exportButton.toolTip = (
            _("Make the report, in a new folder inside the one above.")
            if ui.exportButton.enabled
            else _("Tick a format first.")
        )
        ui.exportProgressBar.visible = isBusy
        if not isBusy:
            ui.exportProgressBar.value = 0
        ui.exportStatusLabel.text = self._message
        ui.exportStatusLabel.visible = bool(self._message)

    def _buttonText(self) -> str:
        if self._isCancelling:
            return _("Cancelling…")
        return _("Cancel") if self._logic.isExporting else _("Export report")

    def _fail(self, error: str, details: str) -> None:
        """In one dialog, and below the button for later."""
        self._message = error_html(error, details)
        more = {"detailedText": details} if details else {}
        slicer.util.errorDisplay(error, windowTitle=_("Lung Nodule CAD"), **more)

    def _forget(self) -> None:
        """What belongs to one patient's report."""
        clear_form(self.ui)
        self._prior.clear()
        self.ui.notesEdit.plainText = ""
        if not self._logic.isExporting:
            self._message = ""

    # -- the request -------------------------------------------------------------------------------------------------
    def _request(self) -> ExportRequest:
        return ExportRequest(
            folder=self.ui.reportPathLineEdit.currentPath,
            formats=self._formats(),
            guidelines=chosen_guidelines(self.ui),
            context=stated_context(self.ui),
            deidentify=self._isDeidentified(),
            notes=self.ui.notesEdit.plainText,
            threshold=self._threshold(),
            prior=self._prior.request,
        )

    def _formats(self) -> tuple[str, ...]:
        return tuple(name for name, box in self._boxes.items() if box.checked and name not in self._obstacles)

    def _isDeidentified(self) -> bool:
        return bool(self.ui.deidentifyCheckBox.checked)
