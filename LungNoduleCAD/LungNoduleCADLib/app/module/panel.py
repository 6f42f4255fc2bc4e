"""The module's panel: what its widgets show, and what they ask of the logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from ...errors import LungNoduleCADError
from ...scene.detections import DetectionNodes
from ..background import Background
from ..candidates import CandidateRow, shown_at
from ..devices import DeviceChoice, list_devices
from ..jobs import DetectionRequest
from ..operating_table import OperatingTable
from ..progress import Progress
from ..run import Outcome
from ..states import State
from ..verdict import InputVerdict
from .candidate_view import CandidateView
from .logic import POLL_MS, DetectionLogic
from .texts import counts_text, device_text, error_html, expectation_text, progress_text, verdict_html


class DetectionPanel:
    """Drives the widgets of `LungNoduleCAD.ui`; the module's widget tells it the scene's volume and threshold.

    :param ui: the widgets, by name.
    :param setThreshold: takes the user's wish for another threshold; `show` brings it back.
    :param findDevices: asks the driver for its GPUs, in a thread.
    """

    def __init__(
        self,
        ui: Any,
        logic: DetectionLogic,
        setThreshold: Callable[[float], None],
        findDevices: Callable[[], list[DeviceChoice]] = list_devices,
    ) -> None:
        self.ui, self._logic, self._setThreshold = ui, logic, setThreshold
        self.state = State.NO_INPUT
        self._message = self._details = ""
        self._volume: Any = None
        self._threshold = 1.0
        self._verdict = InputVerdict()
        self._nodes: DetectionNodes | None = None
        self._rows: list[CandidateRow] = []
        self._shown: dict[str, bool] = {}
        self._table: OperatingTable | None = None
        self._view = CandidateView(ui.candidatesTable, self.onCandidateSelected)
        for pathEdit in (ui.weightsPathLineEdit, ui.outputPathLineEdit):
            pathEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.detectButton.clicked.connect(self.onDetectButton)
        ui.presetButton.clicked.connect(self.onPresetButton)
        ui.weightsPathLineEdit.currentPathChanged.connect(self.onWeightsChanged)
        logic.listener = self
        self._setDevices([DeviceChoice("auto"), DeviceChoice("cpu")])
        self._devices = Background(findDevices)
        self._devicesTimer = qt.QTimer()
        self._devicesTimer.setInterval(POLL_MS)
        self._devicesTimer.timeout.connect(self.onDevicesTimer)
        self._devicesTimer.start()
        self.updateGui()

    def close(self) -> None:
        """End the run and let go of the logic; the panel is not used again."""
        self._devicesTimer.stop()
        self._logic.listener = None
        self._logic.cancelDetection(wait=True)

    # -- the scene -----------------------------------------------------------------------------------------------
    def show(self, volume: Any, threshold: float) -> None:
        """Follow the scene's parameters: a new volume is checked, a new threshold only shows and hides."""
        self._threshold = threshold
        if volume is not self._volume:
            self.refresh(volume)
        else:
            self._applyThreshold()

    def refresh(self, volume: Any) -> None:
        """Look anew at a volume, or none, and at what was detected in it."""
        self._volume = volume
        self._verdict = self._logic.checkInput(volume) if volume is not None else InputVerdict()
        self._nodes = self._logic.detection(volume)
        self._rows = self._logic.candidates(self._nodes)
        self._table = self._logic.operatingTable(self._nodes, self._weights())
        self._view.setRows(self._rows)
        if not self.state.is_busy:
            self.state, self._message = self._idleState(), ""
        self._applyThreshold()

    def isOutdated(self) -> bool:
        """Whether the volume, or what was detected in it, has left the scene."""
        nodes = [self._volume, self._nodes.record if self._nodes is not None else None]
        return any(node is not None and not slicer.mrmlScene.IsNodePresent(node) for node in nodes)

    def _applyThreshold(self) -> None:
        self._shown = shown_at(self._rows, self._threshold)
        self._logic.showCandidates(self._nodes, self._shown)
        self._view.show(self._shown)
        self.updateGui()

    # -- user actions --------------------------------------------------------------------------------------------
    def onDetectButton(self, checked: bool = False) -> None:
        """Start a run, or cancel the one that is on."""
        if self.state.can_cancel:
            self._setState(State.CANCELLING, _("Ending the detector…"))
            self._logic.cancelDetection()
            return
        with slicer.util.tryWithErrorDisplay(_("The detection could not be started."), waitCursor=True):
            try:
                self._logic.ensureDependencies()
                self._logic.startDetection(self._volume, self._request())
                self._setState(State.RUNNING, progress_text(Progress("preparing", 0.0, None)))
            except LungNoduleCADError as error:
                self._setState(State.FAILED, str(error))
        if self.state is State.FAILED:
            self._displayError()

    def onPresetButton(self, checked: bool = False) -> None:
        """Take the threshold that the card recommends."""
        if self._table is not None:
            self._setThreshold(self._table.default_threshold)

    def onCandidateSelected(self, label: str) -> None:
        """Show a candidate in all slice views."""
        self._logic.jumpTo(self._nodes, label)

    def onWeightsChanged(self, path: str) -> None:
        """Other weights have another operating table."""
        self._table = self._logic.operatingTable(self._nodes, self._weights())
        self.updateGui()

    # -- what comes by itself --------------------------------------------------------------------------------------
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
        self.refresh(self._volume)
        if outcome is Outcome.CANCELLED and self._volume is not None:
            self._setState(self.state, _("Cancelled; the scene is as it was."))

    def onDevicesTimer(self) -> None:
        """Called until the driver has said which GPUs there are."""
        if self._devices.is_done:
            self._devicesTimer.stop()
            self._setDevices(self._devices.answer([DeviceChoice("auto"), DeviceChoice("cpu")]))

    # -- appearance ------------------------------------------------------------------------------------------------
    def updateGui(self) -> None:
        """The one place where the widgets follow the state."""
        state, ui, hasVolume = self.state, self.ui, self._volume is not None
        texts = {State.RUNNING: _("Cancel"), State.CANCELLING: _("Cancelling…")}
        tips = {
            State.NO_INPUT: _("Choose a chest CT first."),
            State.REFUSED: _("This volume cannot be searched: see the check above."),
            State.RUNNING: _("Stop the run; the scene stays as it is."),
        }
        ui.detectButton.text = texts.get(state, _("Detect nodules"))
        ui.detectButton.toolTip = tips.get(state, _("Search the volume for lung nodules."))
        ui.detectButton.enabled = state.can_detect or state.can_cancel
        ui.inputVolumeSelector.enabled = not state.is_busy
        ui.settingsCollapsibleButton.enabled = not state.is_busy
        ui.checkLabel.visible = hasVolume
        ui.verdictLabel.visible = hasVolume
        ui.verdictLabel.text = verdict_html(self._verdict)
        ui.progressBar.visible = state.is_busy
        ui.statusLabel.text = self._statusText()
        ui.statusLabel.visible = bool(self._statusText())
        ui.candidatesCollapsibleButton.visible = self._nodes is not None
        ui.candidatesTable.visible = bool(self._rows)
        ui.presetButton.enabled = self._table is not None
        expectation = self._table.at(self._threshold) if self._table is not None else None
        ui.expectedLabel.text = expectation_text(expectation, self._table is not None)
        ui.countsLabel.text = counts_text(sum(self._shown.values()), len(self._rows))

    def _statusText(self) -> str:
        if self.state is State.NO_INPUT:
            return _("Load a chest CT, or take one from the Sample Data module.")
        return error_html(self._message, self._details) if self.state is State.FAILED else self._message

    def _setState(self, state: State, message: str = "", details: str = "") -> None:
        self.state, self._message, self._details = state, message, details
        self.ui.progressBar.value = 0
        self.updateGui()

    def _idleState(self) -> State:
        if self._volume is None:
            return State.NO_INPUT
        if not self._verdict.accepted:
            return State.REFUSED
        return State.READY if self._nodes is None else State.FINISHED

    def _displayError(self) -> None:
        more = {"detailedText": self._details} if self._details else {}
        slicer.util.errorDisplay(self._message, windowTitle=_("Lung Nodule CAD"), **more)

    def _setDevices(self, devices: list[DeviceChoice]) -> None:
        box = self.ui.deviceComboBox
        chosen = box.itemData(box.currentIndex)
        box.clear()
        for device in devices:
            box.addItem(device_text(device), device.key)
        box.currentIndex = max(0, box.findData(chosen))

    def _weights(self) -> str | None:
        return self.ui.weightsPathLineEdit.currentPath or None

    def _request(self) -> DetectionRequest:
        device = self.ui.deviceComboBox.itemData(self.ui.deviceComboBox.currentIndex)
        return DetectionRequest(device or "auto", self._weights(), self.ui.outputPathLineEdit.currentPath or None)
