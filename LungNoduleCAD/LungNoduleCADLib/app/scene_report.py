"""The report of a scene's detection and review, from the files that the Slicer module has written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..findings import DetectionResult
from ..report.build import build_report
from ..report.export import OF_DICOM, Sources, check_formats, render_report, silence
from ..report.model import Report
from ..report.words import headline, review_text
from ..review import Review, review_from_json
from ..scene.stored import StoredDetection, stored_detection
from ..volume import Volume
from .export_job import (
    DONE_FILE,
    RECORD_FILE,
    REVIEW_FILE,
    SCENE_FOLDER,
    SCENE_FORMAT,
    VOLUME_FILE,
    ExportJob,
    ExportRequest,
)

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
        stored = stored_detection((home / RECORD_FILE).read_text(encoding="utf-8"))
        grid = Volume(np.broadcast_to(np.int16(0), job.shape_kji), stored.ijk_to_lps, {"source": job.name})
        result = replace(stored.result, series=_series(job, grid, stored))
        review = _review(home, result)
        sources = Sources(grid, lambda: _scan(home, grid), _images(job, result, formats))
        progress("rendering", 0.0)
        report = _report(result, grid, review, request, stored)
        files = _rendered(report, formats, sources, request)
        progress("writing", 0.0)
        for name, content in files.items():
            write_bytes(folder / name, content)
        if SCENE_FORMAT in request.formats:
            _write_bundle(home, folder / SCENE_FILE, review, _scan(home, grid))
        names = sorted(path.name for path in folder.iterdir())
    summary = f"{headline(report)}. {review_text(report)}."
    write_json(home / DONE_FILE, {"files": names, "summary": summary})
    progress("writing", 1.0)


def _report(
    result: DetectionResult, grid: Volume, review: Review, request: ExportRequest, stored: StoredDetection
) -> Report:
    moment = stored.findings.get("detected_at")
    return build_report(
        result,
        grid,
        review,
        guidelines=request.guidelines,
        context=request.context,
        threshold=request.threshold,
        detected_at=datetime.fromisoformat(moment) if moment else None,
        notes=request.notes,
    )


def _rendered(report: Report, formats: Sequence[str], sources: Sources, request: ExportRequest) -> dict[str, bytes]:
    """None for a scene alone."""
    if not formats:
        return {}
    check_formats(formats, report.series.format)
    return render_report(report, formats, sources, deidentify=request.deidentify)


def _review(home: Path, result: DetectionResult) -> Review:
    path = home / REVIEW_FILE
    if not path.exists():
        return Review.of(result.candidates)
    return review_from_json(path.read_text(encoding="utf-8"), result.candidates)


def _series(job: ExportJob, grid: Volume, stored: StoredDetection) -> dict[str, Any]:
    """What the detection was told of its scan, and what the scan's DICOM files say, where it has any."""
    k, j, i = (float(s) for s in grid.spacing_kji_mm)
    series = {**stored.result.series, "shape_kji": list(grid.shape), "spacing_kji_mm": [k, j, i]}
    if job.dicom_files:
        from ..io.dicom_source import series_of_volume

        return {**series, **series_of_volume(list(map(Path, job.dicom_files)), grid, f"loaded as {job.name}")}
    named = {key: series.get(key) or job.name for key in ("series_uid", "series_description", "source")}
    return {**series, **named, "format": "MRML", "sop_instance_uids": []}


def _images(job: ExportJob, result: DetectionResult, formats: Sequence[str]) -> Sequence[Dataset]:
    """Headers of the slices that DICOM objects refer to, one per k; none when no DICOM object is asked for."""
    if not OF_DICOM.intersection(formats) or not job.dicom_files:
        return ()
    from ..io.dicom_source import source_images_of
    from ..report.dicom_objects import KEYWORDS

    if not result.series["sop_instance_uids"]:
        raise InputError(NO_DICOM_SLICES.format(name=job.name))
    paths = list(map(Path, job.dicom_files))
    return source_images_of(paths, paths[0].parent, result.series["sop_instance_uids"], KEYWORDS)


def _scan(home: Path, grid: Volume) -> Volume:
    from ..io import read_volume

    scan = read_volume(home / VOLUME_FILE)
    if not scan.same_grid(grid):
        raise InputError(
            f"{grid.metadata['source']} has been moved or resampled since the detection; load it as it was, or run the "
            "detection again."
        )
    return scan


def _write_bundle(home: Path, target: Path, review: Review, scan: Volume) -> None:
    from ..scene.review_bundle import complete_bundle

    complete_bundle(home / SCENE_FOLDER, home / VOLUME_FILE, review.state.findings.values(), scan, target)
