"""A result of the command line as the earlier examination that a report of a scene compares with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..report.record import SEGMENTATION_FILE, read_findings
from ..report.text import date_text, plain_text


@dataclass(frozen=True)
class PriorFolder:
    """What a reader sees of such a result before it is compared with.

    :param name: of folder, series and day. :param scan: where it was searched; empty where the result does not say.
    :param is_dicom: whether that is a folder of DICOM files.
    """

    folder: Path
    name: str
    scan: str
    is_dicom: bool


def prior_folder(folder: Path) -> PriorFolder:
    """Look at a result. Outlines and scan, which take longer, are read when the report is made.

    :raises InputError: when there is none, or it is damaged.
    """
    series = read_findings(folder).result.series
    if not (folder / SEGMENTATION_FILE).is_file():
        raise InputError(f"{folder} has lost its outlines ({SEGMENTATION_FILE}); run the detection again.")
    said = [plain_text(series.get("series_description")), date_text(series.get("study_date") or "")]
    name = ", ".join(part for part in said if part)
    return PriorFolder(
        folder,
        f"{folder.name}: {name}" if name else folder.name,
        str(series.get("source") or ""),
        series.get("format") == "DICOM",
    )
