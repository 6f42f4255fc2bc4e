"""What the Slicer module does to make a report of a review, without its panel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from ...errors import InputError, LungNoduleCADError
from ...report.export import OF_DICOM, PACKAGES
from ...resources import resource_path
from ...review import review_to_json
from ...scene.detections import VOLUME_ROLE, DetectionNodes, all_detections
from ...scene.review_bundle import bundle_files
from ..dependencies import ensure_packages
from ..export_job import SCENE_FORMAT, ExportRequest
from ..export_run import ExportRun, SceneContent
from ..progress import Progress
from ..run import Outcome
from ..scene_report import SCENE_OF_DEIDENTIFIED
from .reviewing import ReviewLogic

EXPORT_POLL_MS = 100


@dataclass(frozen=True)
class ExportedReport:
    """What was exported. :param summary: of the report, in a sentence or two."""

    folder: Path
    files: tuple[str, ...]
    summary: str


class ExportRunner(Protocol):
    """An export that works beside the user interface; `ExportRun` is the real one."""

    outcome: Outcome | None
    folder: Path
    files: tuple[str, ...]
    summary: str
    error: str
    details: str

    def start(self) -> None: ...
    def poll(self) -> Progress: ...
    def cancel(self, wait: bool = False) -> None: ...


class ExportListener(Protocol):
    """Who wants to know about an export. Called on the main thread."""

    def onExportProgress(self, progress: Progress) -> None:
        """From time to time while an export works."""

    def onExportEnded(self, outcome: Outcome, report: ExportedReport | None, error: str, details: str) -> None:
        """Once: here is the report, or why there is none."""


class ExportLogic(ReviewLogic):
    """The methods of the module's logic class that make reports. An export takes from the scene what it needs when it
    is started: what is done there afterwards, closing it included, does not change the report."""

    exportListener: ExportListener | None = None
    makeExportRun: Callable[[SceneContent, ExportRequest], ExportRunner] = ExportRun
    installPackages: Callable[[Path], None] = staticmethod(ensure_packages)

    _exportRun: ExportRunner | None = None
    _exportEnd: tuple[Outcome, ExportedReport | None, str] = (Outcome.CANCELLED, None, "")
    _exportTimer: Any = None

    def exportObstacles(self, nodes: DetectionNodes, deidentify: bool = False) -> dict[str, str]:
        """The formats in which this detection cannot be exported, each with the reason."""
        obstacles = {SCENE_FORMAT: SCENE_OF_DEIDENTIFIED} if deidentify else {}
        volumeNode = nodes.record.GetNodeReference(VOLUME_ROLE)
        if volumeNode is None:
            return obstacles
        uids = _instanceUids(volumeNode)
        reason = ""
        if not uids:
            reason = _("This volume was not loaded from DICOM, so that DICOM objects have nothing to refer to.")
        elif not _fileOf(uids[0]):
            reason = _("The DICOM files of this volume are not in Slicer's DICOM database any more; import them again.")
        elif volumeNode.GetImageData() is None or len(uids) != volumeNode.GetImageData().GetDimensions()[2]:
            reason = _("This volume does not have the slices of its DICOM series: it was cropped, joined or resampled.")
        return {**obstacles, **dict.fromkeys(sorted(OF_DICOM), reason)} if reason else obstacles

    def priors(self, nodes: DetectionNodes) -> list[tuple[str, DetectionNodes]]:
        """The detections of other scans in the scene, with the scans' names: a report can compare with one."""
        others = [found for found in all_detections(slicer.mrmlScene) if found.record is not nodes.record]
        return [(str(found.record.GetNodeReference(VOLUME_ROLE).GetName()), found) for found in others]

    @property
    def isExporting(self) -> bool:
        """Whether an export is on; also while it is being cancelled."""
        return self._exportRun is not None

    def startExport(self, nodes: DetectionNodes, request: ExportRequest, prior: DetectionNodes | None = None) -> None:
        """Start to make a report in a child process and return. Outlines that were edited and not taken yet are taken.

        :param prior: the detection of an earlier scan, with which the report compares; see `priors`. One that is not in
            the scene is named in the request.
        :raises LungNoduleCADError: when the request is impossible, a package is missing and was not installed, or an
            export is on already.
        """
        if self.isExporting:
            raise LungNoduleCADError(_("A report is being made already; wait for it or cancel it."))
        valid, reason = request.is_valid()
        if not valid:
            raise InputError(reason)
        if prior is not None and request.prior.folder:
            raise InputError(_("There are two priors; choose the one of the scene or the one of a folder."))
        obstacles = self.exportObstacles(nodes, request.deidentify)
        if impossible := [name for name in request.formats if name in obstacles]:
            raise InputError(obstacles[impossible[0]])
        if any(PACKAGES.get(name) for name in request.formats):
            self.installPackages(resource_path("report-requirements.txt"))
        # The prior first: of two reviews the one that was asked for last is kept at hand.
        before = self._content(prior, replace(request, formats=())) if prior is not None else None
        run = self.makeExportRun(replace(self._content(nodes, request), prior=before), request)
        run.start()
        self._exportRun = run
        if self._exportTimer is None:
            self._exportTimer = qt.QTimer()
            self._exportTimer.setInterval(EXPORT_POLL_MS)
            self._exportTimer.timeout.connect(self.pollExport)
        self._exportTimer.start()

    def cancelExport(self, wait: bool = False) -> None:
        """End the export, if one is on; nothing is written.

        :param wait: return when it has happened.
        """
        if self._exportRun is not None:
            self._exportRun.cancel(wait)
            if wait:
                self.pollExport()

    def exportReport(
        self, nodes: DetectionNodes, request: ExportRequest, prior: DetectionNodes | None = None
    ) -> ExportedReport:
        """Make a report and wait, while the application stays responsive.

        :raises LungNoduleCADError: when there is none.
        """
        self.startExport(nodes, request, prior)
        while self.isExporting:
            slicer.app.processEvents()
            self.pollExport()
            qt.QThread.msleep(20)
        outcome, report, error = self._exportEnd
        if outcome is Outcome.FAILED:
            raise LungNoduleCADError(error)
        if report is None:
            raise LungNoduleCADError(_("The export was cancelled; nothing was written."))
        return report

    def pollExport(self) -> None:
        """Called by a timer while an export is on: passes on its progress, or its end."""
        run = self._exportRun
        if run is None:
            return
        progress = run.poll()
        if run.outcome is None:
            if self.exportListener is not None:
                self.exportListener.onExportProgress(progress)
            return
        self._exportTimer.stop()
        self._exportRun = None
        isFinished = run.outcome is Outcome.FINISHED
        report = ExportedReport(run.folder, run.files, run.summary) if isFinished else None
        self._exportEnd = (run.outcome, report, run.error)
        if run.details:
            logging.error("%s\n%s", run.error, run.details)
        if self.exportListener is not None:
            self.exportListener.onExportEnded(run.outcome, report, run.error, run.details)

    def _content(self, nodes: DetectionNodes, request: ExportRequest) -> SceneContent:
        if nodes.segmentation is not None:
            self.takeEdits(nodes)
        review = self.review(nodes)
        volumeNode = nodes.record.GetNodeReference(VOLUME_ROLE)
        name, record = str(volumeNode.GetName()), str(nodes.record.GetText())
        text = review_to_json(review.review) if review.review.events else ""
        bundle = {}
        if SCENE_FORMAT in request.formats:
            bundle = bundle_files(name, review.volume, record, text, request.threshold)
        files = [_fileOf(uid) for uid in _instanceUids(volumeNode)]
        return SceneContent(name, review.volume, record, text, tuple(f for f in files if f), bundle)


def _instanceUids(volumeNode: Any) -> list[str]:
    """SOP Instance UIDs that a volume was loaded from; none when it was not loaded from DICOM."""
    return str(volumeNode.GetAttribute("DICOM.instanceUIDs") or "").split()


def _fileOf(instanceUid: str) -> str:
    """The file of a DICOM image; empty when Slicer's DICOM database does not know it, or it has gone."""
    database = getattr(slicer, "dicomDatabase", None)  # Slicer can be built without
    path = str(database.fileForInstance(instanceUid) or "") if database is not None else ""
    return path if path and Path(path).is_file() else ""
