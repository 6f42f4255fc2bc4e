"""The module's panel: input, settings and the run. The candidates have a part of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import slicer
from slicer.i18n import tr as _

from ...errors import LungNoduleCADError
from ..devices import DeviceChoice, list_devices
from ..jobs import DetectionRequest
from ..operating_table import card_title
from ..progress import Progress
from ..run import Outcome
from ..states import State
from ..verdict import InputVerdict
from .candidates_panel import CandidatesPanel
from .device_chooser import DeviceChooser
from .export_panel import ExportPanel
from .input_check import InputCheck
from .logic import MODELS, DetectionLogic
from .performing import DoubleClickGuard
from .texts import BAD, error_html, line_html, progress_text, verdict_html


class DetectionPanel:
    """Drives the widgets of `LungNoduleCAD.ui`; the module's widget tells it the scene's volume and threshold.

    :param ui: the widgets, by name. :param widget: the one that holds them all.
    :param setThreshold: takes the user's wish for another threshold; `show` brings it back.
    :param findDevices: asks the driver for its GPUs, in a thread.
    """

    def __init__(
        self,
        ui: Any,
        widget: Any,
        logic: DetectionLogic,
        setThreshold: Callable[[float], None],
        findDevices: Callable[[], list[DeviceChoice]] = list_devices,
    ) -> None:
        self.ui, self._logic = ui, logic
        self.state = State.NO_INPUT
        self._message = self._details = ""
        self._volume: Any = None
        self._threshold = 1.0
        self._nodes: Any = None
        self._verdict: InputVerdict | None = InputVerdict()
        self._check = InputCheck(self.onInputChecked)
        self._guard = DoubleClickGuard()
        self.devices = DeviceChooser(ui.deviceComboBox, findDevices)
        self.candidates = CandidatesPanel(ui, widget, logic, setThreshold)
        self.export = ExportPanel(ui, logic, lambda: self._threshold)
        for pathEdit in (ui.weightsPathLineEdit, ui.outputPathLineEdit):
            pathEdit.filters = ctk.ctkPathLineEdit.Dirs
            # It takes the last path of its history by itself: nobody should use other weights, or write, unawares.
            pathEdit.currentPath = ""
        ui.detectButton.clicked.connect(self.onDetectButton)
        ui.overrideCheckBox.clicked.connect(self.onOverrideClicked)
        ui.weightsPathLineEdit.currentPathChanged.connect(self.onWeightsChanged)
        logic.listener = self
        self.refresh(None)

    def enter(self) -> None:
        """Called when the module is shown: the GPUs' free memory is asked for anew."""
        self.candidates.enter()
        self.devices.ask()

    def exit(self) -> None:
        """Called when another module is shown. A run goes on."""
        self.candidates.exit()

    def close(self) -> None:
        """End the run and let go of the logic; the panel is not used again."""
        self.devices.close()
        self._check.close()
        self.candidates.close()
        self.export.close()
        self._logic.listener = None
        self._logic.cancelDetection(wait=True)

    # -- the scene -----------------------------------------------------------------------------------------------
    def show(self, volume: Any, threshold: float) -> None:
        """Follow the scene's parameters: a new volume is checked, a new threshold only shows and hides."""
        self._threshold = threshold
        if volume is not self._volume:
            self.ui.overrideCheckBox.checked = False
            self.refresh(volume)
        else:
            self.candidates.setThreshold(threshold)

    def refresh(self, volume: Any) -> None:
        """Look anew at a volume, or none, and at what was detected in it."""
        self._volume = volume
        self._verdict = self._check.verdict(volume) if volume is not None else InputVerdict()
        self._nodes = self._logic.detection(volume)
        if self._nodes is None:
            self._logic.forgetReview()  # it holds the voxels of a scan that may have gone
        table = self._logic.operatingTable(self._nodes, self._weights())
        self.candidates.show(volume, self._nodes, table, self._threshold)
        self.export.show(self._nodes)
        if not self.state.is_busy:
            self.state, self._message = self._idleState(), ""
        self.updateGui()

    def isOutdated(self) -> bool:
        """Whether the volume has left the scene, or what was detected in it is not what is shown."""
        isGone = self._volume is not None and not slicer.mrmlScene.IsNodePresent(self._volume)
        isOther = self._logic.detection(self._volume) != self._nodes
        return isGone or isOther or self.candidates.reference.isOutdated()

    # -- user actions --------------------------------------------------------------------------------------------
    def onDetectButton(self, checked: bool = False) -> None:
        """Start a run, or cancel the one that is on."""
        if self.state.can_cancel and self._guard.isSecondClick():
            return
        if self.state.can_cancel:
            self._setState(State.CANCELLING, _("Ending the detector…"))
            self._logic.cancelDetection()
            return
        if not self.candidates.review.mayBeReplaced():
            return
        with slicer.util.tryWithErrorDisplay(_("The detection could not be started."), waitCursor=True):
            try:
                self._logic.ensureDependencies()
                self._logic.startDetection(self._volume, self._request())
                self._setState(State.RUNNING, progress_text(Progress("preparing", 0.0, None)))
                self._guard.start()
            except LungNoduleCADError as error:
                self._setState(State.FAILED, str(error))
        if self.state is State.FAILED:
            self._displayError()
        for pathEdit in (self.ui.weightsPathLineEdit, self.ui.outputPathLineEdit):
            pathEdit.addCurrentPathToHistory()

    def onOverrideClicked(self, checked: bool = False) -> None:
        """The user has read the warnings and wants to go on, or not."""
        self.updateGui()

    def onWeightsChanged(self, path: str) -> None:
        """Other weights have another operating table."""
        self.candidates.setTable(self._logic.operatingTable(self._nodes, self._weights()))
        self.updateGui()

    # -- what comes by itself --------------------------------------------------------------------------------------
    def onInputChecked(self) -> None:
        """Called when the check of the volume is through."""
        if self._volume is not None:
            self._verdict = self._check.verdict(self._volume)
            if self.state is State.CHECKING:
                self.state = self._idleState()
            self.updateGui()

    def onProgress(self, progress: Progress) -> None:
        """Called by the logic while a run is on."""
        if self.state is State.RUNNING:
            self.ui.progressBar.value = round(self.ui.progressBar.maximum * progress.fraction)
            self.ui.statusLabel.text = self._message = progress_text(progress)

    def onRunEnded(self, outcome: Outcome, error: str, details: str) -> None:
        """Called by the logic when a run is over."""
        if outcome is Outcome.FAILED:
            self._setState(State.FAILED, error, details)
            self._displayError()
            return
        self.state = self._idleState()
        if self.isOutdated():  # results may have been shown already, and the reader at work in them
            self.refresh(self._volume)
        isCancelled = outcome is Outcome.CANCELLED and self._volume is not None
        self._setState(self.state, _("Cancelled; the scene is as it was.") if isCancelled else "")

    # -- appearance ------------------------------------------------------------------------------------------------
    def updateGui(self) -> None:
        """The one place where the widgets of input and run follow the state."""
        state, ui, hasVolume = self.state, self.ui, self._volume is not None
        warned = hasVolume and self._verdict is not None and self._verdict.accepted and bool(self._verdict.warnings)
        mayDetect = state.can_detect and (not warned or ui.overrideCheckBox.checked)
        texts = {State.RUNNING: _("Cancel"), State.CANCELLING: _("Cancelling…")}
        tips = {
            State.NO_INPUT: _("Choose a chest CT first."),
            State.CHECKING: _("The volume is being checked."),
            State.REFUSED: _("This volume cannot be searched: see the check above."),
            State.RUNNING: _("Stop the run; the scene stays as it is."),
        }
        blocked = _("Read the warnings above and tick the box below them.")
        ui.detectButton.text = texts.get(state, _("Detect nodules"))
        ui.detectButton.toolTip = tips.get(state, _("Search the volume for lung nodules.") if mayDetect else blocked)
        ui.detectButton.enabled = mayDetect or state.can_cancel
        ui.inputVolumeSelector.enabled = not state.is_busy
        ui.settingsCollapsibleButton.enabled = not state.is_busy
        ui.settingsCollapsibleButton.text = _("Settings (other weights)") if self._weights() else _("Settings")
        self.candidates.setBusy(state.is_busy)
        ui.overrideCheckBox.visible = warned
        ui.overrideCheckBox.enabled = not state.is_busy
        ui.checkLabel.visible = hasVolume
        ui.verdictLabel.visible = hasVolume
        ui.verdictLabel.text = verdict_html(self._verdict)
        ui.modelLabel.text = self._modelText()
        ui.progressBar.visible = state.is_busy
        ui.statusLabel.text = self._statusText()
        ui.statusLabel.visible = bool(self._statusText())

    def _statusText(self) -> str:
        if self.state is State.NO_INPUT:
            return _("Load a chest CT, or take one from the Sample Data module.")
        return error_html(self._message, self._details) if self.state is State.FAILED else self._message

    def _modelText(self) -> str:
        valid, reason = DetectionRequest(weights=self._weights()).is_valid()
        return card_title(self._weights() or MODELS) if valid else line_html(BAD, "✕", reason)

    def _setState(self, state: State, message: str = "", details: str = "") -> None:
        self.state, self._message, self._details = state, message, details
        self.ui.progressBar.value = 0
        self.updateGui()

    def _idleState(self) -> State:
        if self._volume is None:
            return State.NO_INPUT
        if self._verdict is None:
            return State.CHECKING
        if not self._verdict.accepted:
            return State.REFUSED
        return State.READY if self._nodes is None else State.FINISHED

    def _displayError(self) -> None:
        more = {"detailedText": self._details} if self._details else {}
        slicer.util.errorDisplay(self._message, windowTitle=_("Lung Nodule CAD"), **more)

    def _weights(self) -> str | None:
        return self.ui.weightsPathLineEdit.currentPath or None

    def _request(self) -> DetectionRequest:
        outputs = self.ui.outputPathLineEdit.currentPath or None
        overridden = bool(self.ui.overrideCheckBox.checked)
        return DetectionRequest(self.devices.chosen, self._weights(), outputs, overridden)
