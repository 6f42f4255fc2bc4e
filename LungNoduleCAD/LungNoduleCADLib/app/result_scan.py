"""The scan that a result is of, read again."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..report.record import Record
from ..volume import Volume


def place_of_scan(record: Record, source: Path | None, how: str = "with --source") -> Path:
    """Where the scan is now.

    :param source: as the user says; None takes the place that it was read from.
    :param how: the user says it, for messages.
    :raises InputError: when that is unknown, or nothing is there any more.
    """
    known = record.result.series.get("source")
    place = source or (Path(known) if known else None)
    if place is None:
        raise InputError(f"The result does not say where its scan is; give the scan {how}.")
    if source is None and not place.exists():
        raise InputError(f"The scan {place} is no longer there; say where it is now {how}.")
    return place


def read_scan(record: Record, result: Path, source: Path | None, how: str = "with --source") -> Volume:
    """Read the scan.

    :param result: the result's folder, and :param how: the user says where the scan is, for messages.
    :raises InputError: when it cannot be read, or is another one.
    """
    from ..io import read_volume

    series, place = record.result.series, place_of_scan(record, source, how)
    volume = read_volume(place, series_uid=series["series_uid"] if series.get("format") == "DICOM" else None)
    if not volume.same_grid(record.grid):
        raise InputError(f"{place} is not the scan that the result in {result} is of; give that {how}.")
    return volume
