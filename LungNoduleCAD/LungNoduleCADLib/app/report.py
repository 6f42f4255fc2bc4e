"""`lungnodulecad report`: a result folder becomes a report in several formats."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..report.dicom_objects import KEYWORDS
from ..report.export import OF_DICOM, PACKAGES, WITH_PICTURES, Sources, check_formats, render_report, silence
from ..report.model import Report
from ..report.record import Record, read_record
from ..report.request import ReportRequest
from ..report.words import headline, review_text
from ..volume import Volume
from .report_prior import PriorTask, compared_with_prior, read_prior
from .result_review import read_review
from .result_scan import place_of_scan, read_scan

DEFAULT_FORMATS = ("html", "pdf", "csv", "json")
FOLDER, DEIDENTIFIED_FOLDER = "report", "report-deidentified"
NO_SEGMENTATION = "No DICOM SEG was written: there is no finding with an outline."


@dataclass(frozen=True)
class ReportTask(ReportRequest):
    """What to report, as the command line takes it.

    :param result: folder that a detection wrote. :param output: None takes a folder in it.
    :param source: where the scan is now; None takes the place it was read from.
    :param review: a review's file; None takes the one in the result folder, where there is one.
    :param prior: an earlier examination to compare with.
    """

    result: Path
    formats: tuple[str, ...] = DEFAULT_FORMATS
    output: Path | None = None
    source: Path | None = None
    review: Path | None = None
    prior: PriorTask | None = None

    @property
    def folder(self) -> Path:
        """Where the report goes."""
        return self.output or self.result / (DEIDENTIFIED_FOLDER if self.deidentify else FOLDER)

    def check(self) -> None:
        """Refuse what can be refused before anything is read.

        :raises InputError: naming the first choice that cannot be.
        """
        if refusal := self.refusal():
            raise InputError(refusal)


@dataclass(frozen=True, eq=False)
class ReportOutcome:
    """What was reported.

    :param files: names of the files in the folder.
    """

    report: Report
    folder: Path
    files: tuple[str, ...]
    formats: tuple[str, ...]


def make_report(task: ReportTask) -> ReportOutcome:
    """Read the result, and the scan where pictures or DICOM objects are asked for, and write the report's folder: whole
    or not at all; a former report there is replaced as a whole.

    :raises LungNoduleCADError: for everything that is the user's to mend; nothing is left behind.
    """
    from ..io import output_folder
    from ..io.atomic import write_bytes

    task.check()
    record = read_record(task.result)
    check_formats(task.formats, str(record.result.series.get("format") or ""))
    with silence(), output_folder(task.folder) as folder, ThreadPoolExecutor(2, "reading") as pool:
        import pydicom  # noqa: F401 - whole, before two threads ask for parts of it that need one another

        # The scan is decoded outside Python's lock, so that what needs no pictures is made meanwhile.
        scan, images = pool.submit(_scan, task, record), pool.submit(_images, task, record)
        _import_libraries(task.formats)
        review = read_review(task.result, task.review, record)
        follow_up = None
        if task.prior is not None:
            prior = pool.submit(read_prior, task.prior, record)
            read = scan.result(), prior.result()
            follow_up = compared_with_prior(task.prior, record, task.result, read[0], review, task.threshold, read[1])
        sources = Sources(
            record.grid,
            scan.result,
            images.result(),
            resampled=_is_resampled(record),
            prior=None if follow_up is None else follow_up.grid,
        )
        report = task.report_of(record, review, follow_up)
        files = render_report(report, task.formats, sources, deidentify=task.deidentify)
        for name, content in files.items():
            write_bytes(folder / name, content)
    return ReportOutcome(report, task.folder, tuple(sorted(files)), task.formats)


def describe_report(outcome: ReportOutcome) -> str:
    """For a person: what is in the report, and where it is."""
    lines = [f"{headline(outcome.report)}. {review_text(outcome.report)}."]
    if OF_DICOM.intersection(outcome.formats) and not any(name.startswith("segmentation") for name in outcome.files):
        lines.append(NO_SEGMENTATION)
    return "\n".join([*lines, f"Written to {outcome.folder}: {', '.join(outcome.files)}"])


def _import_libraries(formats: Sequence[str]) -> None:
    for package in {package for name in formats for package in PACKAGES.get(name, ())}:
        importlib.import_module(package)


def _is_resampled(record: Record) -> bool:
    findings: Sequence[Any] = record.result.series.get("reading_findings") or ()
    return any(finding.get("code") == "tilted_gantry" for finding in findings)


def _scan(task: ReportTask, record: Record) -> Volume:
    """The scan the result is of; its grid alone when neither picture nor comparison is asked for.

    :raises InputError: when it is another one.
    """
    if task.prior is None and not WITH_PICTURES.intersection(task.formats):
        return record.grid
    return read_scan(record, task.result, task.source)


def _images(task: ReportTask, record: Record) -> Sequence[Any]:
    """Headers of the scan's DICOM slices; none when no DICOM object is asked for."""
    from ..io.dicom_source import read_source_images

    if not OF_DICOM.intersection(task.formats):
        return ()
    uids = record.result.series.get("sop_instance_uids")
    if not uids:
        raise InputError(f"{task.result} does not say which DICOM slices were searched; run the detection again.")
    return read_source_images(place_of_scan(record, task.source), uids, KEYWORDS)
