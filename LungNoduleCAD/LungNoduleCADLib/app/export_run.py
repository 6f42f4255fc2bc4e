"""One export beside a user interface: what it needs of the scene goes into files, a child process makes the report."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..report.export import WITH_PICTURES
from ..volume import Volume
from .child_process import worker_command
from .export_job import (
    DONE_FILE,
    PRIOR_FOLDER,
    RECORD_FILE,
    REVIEW_FILE,
    SCENE_FOLDER,
    SCENE_FORMAT,
    VOLUME_FILE,
    ExportJob,
    ExportRequest,
    ScanJob,
    report_folder_name,
)
from .nrrd import write_nrrd
from .progress import EXPORT_SHARES
from .run import WorkerRun

EXPORT_WORKER_MODULE = "LungNoduleCADLib.app.export_worker"


@dataclass(frozen=True, eq=False)
class SceneContent:
    """What an export needs of the scene, taken from it at one moment.

    :param name: of the volume. :param volume: on the grid of the detection's outlines.
    :param record: text of the detection's record. :param review: text of the review; empty when there is none.
    :param dicom_files: that the volume was loaded from, one a slice; empty when from none.
    :param bundle: the scene's own files for a bundle, by their place in it; empty when none is wanted.
    :param prior: the same of the scan to compare with, where that is one of the scene.
    """

    name: str
    volume: Volume
    record: str
    review: str = ""
    dicom_files: tuple[str, ...] = ()
    bundle: Mapping[str, bytes] = field(default_factory=dict)
    prior: SceneContent | None = None


class ExportRun(WorkerRun):
    """Makes a report of a scene's content. When it has finished, `files` are in `folder`.

    :param command: how to start the worker, without the job's file; for tests.
    """

    def __init__(self, content: SceneContent, request: ExportRequest, command: Sequence[str] | None = None) -> None:
        super().__init__(
            worker_command(EXPORT_WORKER_MODULE) if command is None else command, EXPORT_SHARES, "The export"
        )
        name = report_folder_name(content.name, request.deidentify, datetime.now(), uuid.uuid4().hex[:8])
        self.folder = Path(request.folder).absolute() / name
        self.files: tuple[str, ...] = ()
        self.summary = ""
        self._content, self._request = content, request

    def _write_job(self, folder: Path) -> bool:
        content, prior = self._content, self._content.prior
        before = None if prior is None else _scan_job(prior)
        ExportJob(str(self.folder), _scan_job(content), self._request, before).write(folder / "job.json")
        _write_texts(content, folder)
        for place, file in content.bundle.items():
            path = folder / SCENE_FOLDER / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file)
        if prior is not None:
            _write_texts(prior, folder / PRIOR_FOLDER)
            if not write_nrrd(prior.volume, folder / PRIOR_FOLDER / VOLUME_FILE, self._goes_on):
                return False
        elif not (self._request.prior.folder or (WITH_PICTURES | {SCENE_FORMAT}).intersection(self._request.formats)):
            return self._goes_on()
        return write_nrrd(content.volume, folder / VOLUME_FILE, self._goes_on)

    def _take_result(self, folder: Path) -> None:
        done = json.loads((folder / DONE_FILE).read_text(encoding="utf-8"))
        self.files, self.summary = tuple(done["files"]), done["summary"]


def _scan_job(content: SceneContent) -> ScanJob:
    return ScanJob(content.name, content.volume.shape, content.dicom_files)


def _write_texts(content: SceneContent, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / RECORD_FILE).write_text(content.record, encoding="utf-8")
    if content.review:
        (folder / REVIEW_FILE).write_text(content.review, encoding="utf-8")
