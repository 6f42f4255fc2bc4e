"""The report of a scene's detection and review, from the files that the Slicer module has written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..report.export import OF_DICOM, Sources, check_formats, render_report, silence
from ..report.model import Report
from ..report.record import Record
from ..report.words import headline, review_text
from ..review import Review
from ..volume import Volume
from .export_job import DONE_FILE, SCENE_FOLDER, SCENE_FORMAT, VOLUME_FILE, ExportJob, ExportRequest
from .scene_scan import compared_in_scene, read_scene_record, read_scene_review, read_scene_scan

if TYPE_CHECKING:
    from pydicom import Dataset

SCENE_FILE = "scene.mrb"
SCENE_OF_DEIDENTIFIED = (
    "A scene cannot be de-identified: it holds the names of the scan and of the reader; leave it out, or do not "
    "de-identify."
)
NO_DICOM_SLICES = (
    "The slices of {name} are not where those of its DICOM series are (it was moved, cropped, resampled or "
    "straightened), so that DICOM SEG and SR cannot refer to them; leave both out."
)

Progress = Callable[[str, float], None]


def export_scene(job: ExportJob, home: Path, progress: Progress) -> None:
    """Make the report's folder: whole or not at all.

    :param home: the run's folder, with the files that `export_job` names; takes `DONE_FILE`.
    :raises LungNoduleCADError: for everything that is the user's to mend; nothing is left behind.
    """
    from ..io import output_folder, write_bytes, write_json

    request = job.request
    formats = [name for name in request.formats if name != SCENE_FORMAT]
    if request.deidentify and SCENE_FORMAT in request.formats:
        raise InputError(SCENE_OF_DEIDENTIFIED)
    with silence(), output_folder(job.target) as folder:
        progress("reading", 0.0)
        record = read_scene_record(home, job.scan)
        review = read_scene_review(home, record)
        sources = Sources(record.grid, lambda: read_scene_scan(home, record.grid), _images(job, record, formats))
        if job.prior is not None or request.prior.folder:
            progress("comparing", 0.0)
        follow_up = compared_in_scene(job, home, record, review)
        progress("rendering", 0.0)
        report = request.report_of(record, review, follow_up)
        sources = replace(sources, prior=None if follow_up is None else follow_up.grid)
        files = _rendered(report, formats, sources, request)
        progress("writing", 0.0)
        for name, content in files.items():
            write_bytes(folder / name, content)
        if SCENE_FORMAT in request.formats:
            _write_bundle(home, folder / SCENE_FILE, review, read_scene_scan(home, record.grid))
        names = sorted(path.name for path in folder.iterdir())
    summary = f"{headline(report)}. {review_text(report)}."
    write_json(home / DONE_FILE, {"files": names, "summary": summary})
    progress("writing", 1.0)


def _rendered(report: Report, formats: Sequence[str], sources: Sources, request: ExportRequest) -> dict[str, bytes]:
    """None for a scene alone."""
    if not formats:
        return {}
    check_formats(formats, report.series.format)
    return render_report(report, formats, sources, deidentify=request.deidentify)


def _images(job: ExportJob, record: Record, formats: Sequence[str]) -> Sequence[Dataset]:
    """Headers of the slices that DICOM objects refer to, one per k; none when no DICOM object is asked for."""
    if not OF_DICOM.intersection(formats) or not job.scan.dicom_files:
        return ()
    from ..io.dicom_source import source_images_of
    from ..report.dicom_objects import KEYWORDS

    uids = record.result.series["sop_instance_uids"]
    if not uids:
        raise InputError(NO_DICOM_SLICES.format(name=job.scan.name))
    paths = list(map(Path, job.scan.dicom_files))
    return source_images_of(paths, paths[0].parent, uids, KEYWORDS)


def _write_bundle(home: Path, target: Path, review: Review, scan: Volume) -> None:
    from ..scene.review_bundle import complete_bundle

    complete_bundle(home / SCENE_FOLDER, home / VOLUME_FILE, review.state.findings.values(), scan, target)
