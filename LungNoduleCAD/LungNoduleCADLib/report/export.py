"""A report in the formats asked for, as the contents of files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..errors import InputError, OutputError
from ..io.atomic import json_text
from ..volume import Volume
from .deidentify import UidMap, deidentified
from .model import Report
from .pictures import Pictures

if TYPE_CHECKING:
    from pydicom import Dataset

FORMATS = ("html", "pdf", "csv", "json", "sr", "seg", "png")
WITH_PICTURES = frozenset({"html", "pdf", "png"})
OF_DICOM = frozenset({"sr", "seg"})
PACKAGES = {"html": ("jinja2",), "pdf": ("reportlab",), "sr": ("highdicom",), "seg": ("highdicom",)}

SEGMENTATION_FILE, STRUCTURED_REPORT_FILE = "segmentation.dcm", "report-sr.dcm"


@dataclass(frozen=True, eq=False)
class Sources:
    """What the pictures and the DICOM objects are made from.

    :param grid: of the findings' masks.
    :param scan: gives the scan, HU, for pictures. It is asked for last, so that it may still be on its way.
    :param images: headers of the DICOM slices, one per k; for SR and SEG.
    :param resampled: the volume's slices were shifted against the images' (tilted gantry).
    :param prior: the earlier scan that the report compares with, HU, for pictures of it.
    """

    grid: Volume
    scan: Callable[[], Volume]
    images: Sequence[Dataset] = ()
    resampled: bool = False
    prior: Volume | None = None


def check_formats(formats: Sequence[str], series_format: str) -> None:
    """Refuse what cannot be made, before anything is read.

    :param series_format: of the images, as the reader names it.
    :raises InputError: for an unknown format, and for SR and SEG of images that are no DICOM.
    :raises OutputError: naming the packages that are missing.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise InputError(f"The report format '{', '.join(unknown)}' is unknown; choose from {', '.join(FORMATS)}.")
    if OF_DICOM.intersection(formats) and series_format != "DICOM":
        raise InputError(
            f"DICOM SR and SEG must refer to DICOM images, but the scan is of the format {series_format or 'unknown'}; "
            "leave sr and seg out."
        )
    needed = {package for name in formats for package in PACKAGES.get(name, ())}
    if missing := sorted(package for package in needed if find_spec(package) is None):
        raise OutputError(
            f"The report needs {' and '.join(missing)}, which is not installed; install `lungnodulecad[reports]`."
        )


def render_report(report: Report, formats: Sequence[str], sources: Sources, *, deidentify: bool) -> dict[str, bytes]:
    """Contents of the report's files by their names. SR comes with the SEG it refers to; a report without an outline
    has no SEG.

    :param formats: checked by `check_formats`. Pictures need the volume, SR and SEG the images.
    :raises LungNoduleCADError: when one of them cannot be made.
    """
    uids = UidMap() if deidentify else None
    if uids is not None:
        report = deidentified(report, uids)
    files: dict[str, bytes] = {}
    if OF_DICOM.intersection(formats):
        files |= _of_dicom(report, "sr" in formats, sources, uids)
    if "csv" in formats:
        from .csv_report import render_csv

        files["report.csv"] = render_csv(report).encode("utf-8")
    if "json" in formats:
        from .json_report import report_as_json

        files["report.json"] = json_text(report_as_json(report)).encode("utf-8")
    if WITH_PICTURES.intersection(formats):
        files |= _with_pictures(report, formats, Pictures(report, sources.scan(), sources.prior))
    return files


def _with_pictures(report: Report, formats: Sequence[str], pictures: Pictures) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if "html" in formats:
        from .html_report import render_html

        files["report.html"] = render_html(report, pictures).encode("utf-8")
    if "pdf" in formats:
        from .pdf_report import render_pdf

        files["report.pdf"] = render_pdf(report, pictures)
    if "png" in formats:
        from .png_report import render_pngs

        files |= render_pngs(report, pictures)
    return files


def _of_dicom(report: Report, structured: bool, sources: Sources, uids: UidMap | None) -> dict[str, bytes]:
    from .dicom_objects import file_content, source_images
    from .dicom_seg import build_segmentations
    from .dicom_sr import build_structured_report

    with silence():
        images = source_images(sources.images, uids)
        segmentations = build_segmentations(report, images, sources.grid, resampled=sources.resampled)
        names = (SEGMENTATION_FILE, *(f"segmentation-{n}.dcm" for n in range(2, len(segmentations) + 1)))
        files = {name: file_content(s.dataset) for name, s in zip(names, segmentations, strict=False)}
        if structured:
            files[STRUCTURED_REPORT_FILE] = file_content(build_structured_report(report, images, segmentations))
    return files


@contextmanager
def silence() -> Iterator[None]:
    """pydicom and highdicom warn of names and values that came with the images and must be handed on.

    Python's filters belong to the process: where another thread changes them too, this must surround both.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
