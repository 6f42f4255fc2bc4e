"""What the Slicer module does, without its panel: check, run, bring results into the scene, show, jump."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import qt
import slicer

from ...errors import InputError, LungNoduleCADError
from ...findings import DetectionResult
from ...resources import resource_path
from ...scene.detections import (
    DetectionNodes,
    PreparedDetection,
    add_detection,
    batch,
    find_detection,
    prepare_detection,
    release_segments,
    remove_detection,
)
from ...scene.volumes import volume_from_node
from ...volume import Volume
from ..background import Background
from ..dependencies import ensure_dependencies
from ..jobs import DetectionRequest
from ..operating_table import OperatingTable, read_operating_table
from ..progress import Progress
from ..run import DetectionRun, Outcome
from ..verdict import InputVerdict, check_input
from .explaining import ExplanationLogic
from .exporting import ExportLogic
from .plotting import PlottingLogic
from .viewing import ViewingLogic

MODELS = resource_path("Models")
POLL_MS = 100
NOT_ADDED = "The results could not be put into the scene; the Python console shows why. Please report this."


class Run(Protocol):
    """A detection that works beside the user interface; `DetectionRun` is the real one."""

    outcome: Outcome | None
    result: DetectionResult | None
    record: str
    error: str
    details: str

    def start(self) -> None: ...
    def poll(self) -> Progress: ...
    def cancel(self, wait: bool = False) -> None: ...


class RunListener(Protocol):
    """Who wants to know about a run. Called on the main thread."""

    def onProgress(self, progress: Progress) -> None:
        """From time to time while a run works."""

    def onRunEnded(self, outcome: Outcome, error: str, details: str) -> None:
        """Once: the results are in the scene, or here is why there are none."""


class DetectionLogic(ViewingLogic, ExplanationLogic, PlottingLogic, ExportLogic):
    """The methods of the module's logic class.

    :param makeRun: makes a run of a volume and a request.
    :param installer: installs what a requirements file asks for, or raises.
    """

    def __init__(
        self,
        makeRun: Callable[[Volume, DetectionRequest], Run] = DetectionRun,
        installer: Callable[[Path], None] = ensure_dependencies,
    ) -> None:
        self.listener: RunListener | None = None
        self._makeRun, self._installer = makeRun, installer
        self._run: Run | None = None
        self._runVolumeNode: Any = None
        self._runVolume: Volume | None = None
        self._runTable: OperatingTable | None = None
        self._runPreparation: Background[PreparedDetection] | None = None
        self._formerNodes: DetectionNodes | None = None
        self._isRunCancelled = self._isRunSettled = False
        self._lastOutcome, self._lastError = Outcome.CANCELLED, ""
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)

    def ensureDependencies(self) -> None:
        """Install the missing Python packages, after asking.

        :raises DependencyError: when something is still missing afterwards.
        """
        self._installer(resource_path("requirements.txt"))

    def checkInput(self, volumeNode: Any) -> InputVerdict:
        """Whether a volume suits the detector."""
        try:
            return check_input(volume_from_node(volumeNode))
        except InputError as error:
            return InputVerdict(refusal=str(error))

    # -- runs ----------------------------------------------------------------------------------------------------
    @property
    def isRunning(self) -> bool:
        """Whether a run is on; also while it is being cancelled."""
        return self._run is not None

    def startDetection(self, volumeNode: Any, request: DetectionRequest | None = None) -> None:
        """Start a run in a child process and return; the scene is untouched until the results arrive, in one batch.

        :raises LungNoduleCADError: when the volume or the request cannot be used, or a run is on already.
        """
        if self.isRunning:
            raise LungNoduleCADError("A detection is running already; wait for it or cancel it.")
        if volumeNode is None:
            raise InputError("There is no volume; choose a chest CT.")
        if self.readingMode != "concurrent" and not self.readerName().strip():
            raise InputError("Reading without the detector first needs the reader's name; give it under Review.")
        request = request or DetectionRequest()
        valid, reason = request.is_valid()
        if not valid:
            raise InputError(reason)
        name = volumeNode.GetName()
        metadata = {"source": name, "series_description": name, "series_uid": "", **request.metadata}
        volume = volume_from_node(volumeNode)
        run = self._makeRun(volume, replace(request, metadata=metadata))
        run.start()
        self._run, self._runVolumeNode, self._runVolume = run, volumeNode, volume
        self._isRunCancelled = self._isRunSettled = False
        self._runTable = read_operating_table(request.weights or MODELS)
        self._timer.start()

    def cancelDetection(self, wait: bool = False) -> None:
        """End the run, if one is on, with all its processes and files; nothing reaches the scene.

        :param wait: return when it has happened.
        """
        if self._run is not None:
            self._isRunCancelled = True
            self._run.cancel(wait)
            if wait:
                self.poll()

    def detect(self, volumeNode: Any, request: DetectionRequest | None = None) -> DetectionNodes:
        """Run and wait, while the application stays responsive.

        :raises LungNoduleCADError: when there is no result.
        """
        self.startDetection(volumeNode, request)
        while self.isRunning:
            slicer.app.processEvents()
            self.poll()
            qt.QThread.msleep(20)
        if self._lastOutcome is Outcome.FAILED:
            raise LungNoduleCADError(self._lastError)
        nodes = self.detection(volumeNode)
        if self._lastOutcome is Outcome.CANCELLED or nodes is None:
            raise LungNoduleCADError("The detection was cancelled; the scene is as it was.")
        return nodes

    def poll(self) -> None:
        """Called by a timer while a run is on: passes on its progress, or its end."""
        if self._run is None:
            return
        run, progress = self._run, self._run.poll()
        outcome = self._settledOutcome(run) if not self._isRunSettled else self._lastOutcome
        if outcome is None:
            if self.listener is not None:
                self.listener.onProgress(progress)
            return
        if not self._isRunSettled:
            self._settle(outcome, run)
            if outcome is Outcome.FINISHED and not self._isRunCancelled:
                return  # to the event loop: adding results and showing them is too much for one turn of it
        self._timer.stop()
        self._run = None
        self._removeFormer()
        if run.details:
            logging.error("%s\n%s", run.error, run.details)
        if self.listener is not None:
            self.listener.onRunEnded(self._lastOutcome, self._lastError, run.details)

    def _settle(self, outcome: Outcome, run: Run) -> None:
        """What the scene gets from a run."""
        volumeNode, preparation = self._runVolumeNode, self._runPreparation
        self._runVolumeNode = self._runVolume = self._runPreparation = None
        self._isRunSettled, self._lastOutcome, self._lastError = True, outcome, run.error
        if outcome is Outcome.FINISHED:
            prepared = preparation.answer(None) if preparation is not None else None
            if prepared is not None:
                self._addResult(prepared, volumeNode)
            else:
                self._lastOutcome, self._lastError = Outcome.FAILED, NOT_ADDED

    def _settledOutcome(self, run: Run) -> Outcome | None:
        """How a run ended; None while it works, and while its results are made ready for the scene in a thread."""
        if run.outcome is not Outcome.FINISHED:
            return run.outcome
        if self._isRunCancelled or not slicer.mrmlScene.IsNodePresent(self._runVolumeNode):
            return Outcome.CANCELLED  # results of a closed scene have no place
        if self._runPreparation is None:
            result, volume = run.result, self._runVolume
            assert result is not None and volume is not None
            table = self._runTable.to_json() if self._runTable is not None else None
            self._runPreparation = Background(lambda: prepare_detection(result, volume, run.record, table))
        return run.outcome if self._runPreparation.is_done else None

    def _addResult(self, prepared: PreparedDetection, volumeNode: Any) -> None:
        self._formerNodes = self.detection(volumeNode)
        with batch(slicer.mrmlScene):
            nodes = add_detection(slicer.mrmlScene, prepared, volumeNode)
            self.rememberDetection(nodes, prepared.stored)
            self.startReview(nodes)

    def _removeFormer(self) -> None:
        """Until the new results are shown the reader has the former ones, whole: `detection` finds the oldest."""
        former, self._formerNodes = self._formerNodes, None
        if former is not None:
            remove_detection(slicer.mrmlScene, former)

    # -- results -------------------------------------------------------------------------------------------------
    def detection(self, volumeNode: Any) -> DetectionNodes | None:
        """What was detected in a volume, in this session or in a scene that was loaded."""
        return find_detection(slicer.mrmlScene, volumeNode) if volumeNode is not None else None

    def warnings(self, nodes: DetectionNodes | None) -> tuple[str, ...]:
        """What the reader of a detection must know."""
        return tuple(self._record(nodes)["findings"]["warnings"]) if nodes is not None else ()

    def operatingTable(self, nodes: DetectionNodes | None, weights: str | None = None) -> OperatingTable | None:
        """What to expect at a threshold: of the weights that made a detection, or that would make the next."""
        if nodes is None:
            return read_operating_table(weights or MODELS)
        content = self._record(nodes)["operating_table"]
        return OperatingTable.from_json(content) if content is not None else None

    def releaseSegments(self, node: Any = None) -> None:
        """Before a detection leaves the scene: empty its segments, so that Slicer removes them at once.

        :param node: what is about to leave; None for the whole scene.
        """
        release_segments(slicer.mrmlScene, node)
