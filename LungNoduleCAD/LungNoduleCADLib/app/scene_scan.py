"""What the Slicer module has written of a scan in the scene, its detection and its review, read again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..report.follow_up import FollowUp
from ..report.record import Record, read_record
from ..review import Review, review_from_json
from ..scene.stored import StoredDetection, stored_detection
from ..volume import Volume
from .export_job import PRIOR_FOLDER, RECORD_FILE, REVIEW_FILE, VOLUME_FILE, ExportJob, ScanJob, text_day
from .report_prior import PriorTask, compared_with_prior
from .result_scan import read_scan

OTHER_PATIENT = (
    "{name} is of patient {patient} and the prior {prior_name} of {prior_patient}; choose another prior, or tick 'Same "
    "patient' if the two are one person."
)
ITS_SCAN = "under 'Its scan'"
"""How the module's user says where the prior's scan is."""
SAME_SERIES = "{name} and the prior {prior_name} are of one DICOM series; choose an earlier scan as the prior."


def read_scene_record(folder: Path, scan: ScanJob) -> Record:
    """The detection.

    :param folder: with the files that `export_job` names.
    """
    stored = stored_detection((folder / RECORD_FILE).read_text(encoding="utf-8"))
    grid = Volume(np.broadcast_to(np.int16(0), scan.shape_kji), stored.ijk_to_lps, {"source": scan.name})
    moment = stored.findings.get("detected_at")
    result = replace(stored.result, series=_series(scan, grid, stored))
    return Record(result, grid, datetime.fromisoformat(moment) if moment else None)


def read_scene_review(folder: Path, record: Record) -> Review:
    """Its review; one without events where there is none."""
    path = folder / REVIEW_FILE
    if not path.exists():
        return Review.of(record.result.candidates)
    return review_from_json(path.read_text(encoding="utf-8"), record.result.candidates)


def read_scene_scan(folder: Path, grid: Volume) -> Volume:
    """The scan.

    :raises InputError: when it is not on the detection's grid any more.
    """
    from ..io import read_volume

    scan = read_volume(folder / VOLUME_FILE)
    if not scan.same_grid(grid):
        raise InputError(
            f"{grid.metadata['source']} has been moved or resampled since the detection; load it as it was, or run the "
            "detection again."
        )
    return scan


def compared_in_scene(job: ExportJob, home: Path, record: Record, review: Review) -> FollowUp | None:
    """What became of the findings since the prior; None where there is none.

    :param home: the run's folder. :param record, review: of the current scan.
    :raises InputError: when the two cannot be compared.
    """
    asked = job.request.prior
    if job.prior is not None:
        name, folder = job.prior.name, home / PRIOR_FOLDER
        prior = read_scene_record(folder, job.prior)
    elif asked.folder:
        folder = Path(asked.folder)
        name, prior = folder.name, read_record(folder)
    else:
        return None
    _check(job.scan.name, name, record.result.series, prior.result.series, asked.same_patient)
    scan = read_scene_scan(home, record.grid)
    if job.prior is not None:
        prior_scan = read_scene_scan(folder, prior.grid)
    else:
        prior_scan = read_scan(prior, folder, Path(asked.scan) if asked.scan else None, ITS_SCAN)
    task = PriorTask(folder, day=text_day(asked.day), current_day=text_day(asked.current_day))
    return compared_with_prior(task, record, home, scan, review, job.request.threshold, (prior, prior_scan))


def _check(name: str, prior_name: str, now: dict[str, Any], then: dict[str, Any], same_patient: bool) -> None:
    """Refuse what cannot be two studies of one patient, as far as DICOM says whose they are."""
    if now["format"] == then.get("format") == "DICOM" and now["series_uid"] == then["series_uid"]:
        raise InputError(SAME_SERIES.format(name=name, prior_name=prior_name))
    patient, prior_patient = now.get("patient_id"), then.get("patient_id")
    if patient and prior_patient and patient != prior_patient and not same_patient:
        raise InputError(
            OTHER_PATIENT.format(name=name, patient=patient, prior_name=prior_name, prior_patient=prior_patient)
        )


def _series(scan: ScanJob, grid: Volume, stored: StoredDetection) -> dict[str, Any]:
    """What the detection was told of its scan, and what the scan's DICOM files say, where it has any."""
    k, j, i = (float(s) for s in grid.spacing_kji_mm)
    series = {**stored.result.series, "shape_kji": list(grid.shape), "spacing_kji_mm": [k, j, i]}
    if scan.dicom_files:
        from ..io.dicom_source import series_of_volume

        return {**series, **series_of_volume(list(map(Path, scan.dicom_files)), grid, f"loaded as {scan.name}")}
    named = {key: series.get(key) or scan.name for key in ("series_uid", "series_description", "source")}
    return {**series, **named, "format": "MRML", "sop_instance_uids": []}
