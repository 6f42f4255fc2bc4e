"""What the Slicer module asks its worker to export, as the files that the two share."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ..io.atomic import write_json
from ..report.context import GuidelineContext
from ..report.export import FORMATS
from ..report.request import ReportRequest
from ..rules import Patient, ScreeningExam

SCENE_FORMAT = "mrb"
EXPORT_FORMATS = (*FORMATS, SCENE_FORMAT)
RECORD_FILE, REVIEW_FILE, VOLUME_FILE, SCENE_FOLDER = "record.json", "review.json", "input.nrrd", "scene"
"""In the run's folder: the detection and its review as the scene keeps them, the scan where it is needed, and the
scene's own files where a bundle is made."""

PRIOR_FOLDER = "prior"
"""Likewise in the run's folder, with the same files of the scan that is compared with, where there is one."""

DONE_FILE = "done.json"
LONGEST_NAME = 60


@dataclass(frozen=True)
class PriorRequest:
    """What a reader says of an earlier examination that is compared with.

    :param day, current_day: of the two examinations, ISO 8601; empty takes what the scans say.
    :param same_patient: the two are of one patient although their numbers differ.
    :param folder: that `lungnodulecad detect` wrote, where the examination is not one of the scene.
    :param scan: where that one's scan is now; empty takes the place it was read from.
    """

    day: str = ""
    current_day: str = ""
    same_patient: bool = False
    folder: str = ""
    scan: str = ""

    def is_valid(self) -> tuple[bool, str]:
        """Whether it can be compared with, as far as that is soon seen, and if not, why: one sentence."""
        if self.scan and not Path(self.scan).exists():
            return False, f"The prior's scan {self.scan} is not there; say where it is under 'Its scan'."
        for text in (self.day, self.current_day):
            try:
                text_day(text)
            except ValueError:
                return False, f"'{text}' is no date; write it as year-month-day, such as 2025-03-31."
        return True, ""


@dataclass(frozen=True)
class ExportRequest(ReportRequest):
    """A reader's choices for one report.

    :param folder: in which the report gets a folder of its own.
    :param formats: of `EXPORT_FORMATS`.
    :param prior: of the scan to compare with, where there is one.
    """

    folder: str
    formats: tuple[str, ...] = ("html", "pdf", "json")
    prior: PriorRequest = field(default_factory=PriorRequest)

    def is_valid(self) -> tuple[bool, str]:
        """Whether an export can begin, and if not, why: one sentence."""
        if not self.folder.strip():
            return False, "There is no folder for the report; choose one."
        if Path(self.folder).is_file():
            return False, f"{self.folder} is a file; choose a folder for the report."
        if not self.formats:
            return False, "No format is chosen; tick at least one."
        if unknown := [name for name in self.formats if name not in EXPORT_FORMATS]:
            return False, f"The format '{unknown[0]}' is unknown; choose from {', '.join(EXPORT_FORMATS)}."
        if refusal := self.refusal():
            return False, refusal
        return self.prior.is_valid()


@dataclass(frozen=True)
class ScanJob:
    """What of a scan is not in the run's other files.

    :param name: of the volume. :param shape_kji: of the volume.
    :param dicom_files: it was loaded from; empty when from none.
    """

    name: str
    shape_kji: tuple[int, int, int]
    dicom_files: tuple[str, ...]


@dataclass(frozen=True)
class ExportJob:
    """A request together with what of the scene is not in the run's other files.

    :param target: the report's own folder.
    :param prior: the scan of the scene to compare with; None where there is none.
    """

    target: str
    scan: ScanJob
    request: ExportRequest
    prior: ScanJob | None = None

    def write(self, path: Path) -> None:
        """:raises OutputError: when the file cannot be written."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> ExportJob:
        """The job as written by `write`."""
        content = json.loads(path.read_text(encoding="utf-8"))
        prior = content["prior"]
        return cls(
            content["target"],
            _scan(content["scan"]),
            _request(content["request"]),
            None if prior is None else _scan(prior),
        )


def report_folder_name(volume_name: str, deidentify: bool, at: datetime, token: str) -> str:
    """Name of a report's own folder: it tells the scan and the time, so that reports of two scans, or of one before and
    after a correction, stand beside each other; of a de-identified one it tells neither.

    :param token: that nobody else's has.
    """
    if deidentify:
        return f"deidentified report {token}"
    name = re.sub(r"[^\w.,+-]+", " ", volume_name)[:LONGEST_NAME].strip(" .") or "scan"
    return f"{name} report {at:%Y-%m-%d %H-%M-%S}"


def text_day(text: str) -> date | None:
    """A day as a reader writes it; None for nothing.

    :raises ValueError: when it is none.
    """
    return date.fromisoformat(text.strip()) if text.strip() else None


def _scan(content: dict[str, Any]) -> ScanJob:
    k, j, i = content["shape_kji"]
    return ScanJob(content["name"], (k, j, i), tuple(content["dicom_files"]))


def _request(content: dict[str, Any]) -> ExportRequest:
    context, exam = content["context"], content["context"]["exam"]
    return ExportRequest(
        **{
            **content,
            "formats": tuple(content["formats"]),
            "guidelines": tuple(content["guidelines"]),
            "prior": PriorRequest(**content["prior"]),
            "context": GuidelineContext(
                Patient(**context["patient"]), ScreeningExam(**{**exam, "significant": tuple(exam["significant"])})
            ),
        }
    )
