"""Read a DICOM CT series from a folder: choose, sort, check, decode in parallel."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import InputError
from ..volume import Volume
from .dicom_headers import SliceHeader, read_headers
from .dicom_selection import choose_series
from .dicom_stack import Stack, stack_slices
from .dicom_study import study_attributes
from .hounsfield import AIR_HU, as_hounsfield
from .quality import QualityFinding

MOST_THREADS = 8
DICOM_WITHOUT_UIDS = "DICOM without UIDs"
UIDS_MISSING = (
    "The DICOM headers lack UIDs, as some anonymisers leave them, so that no DICOM SR or SEG can refer to the images."
)
TISSUE_HU = (-1000.0, 3071.0)
"""A padding value within this range is a mislabelled density (0 is written often, and would punch holes into water)."""


def read_dicom(path: Path, series_uid: str | None = None) -> Volume:
    """Read the chest CT of a folder (with its sub-folders), or the series a single DICOM file belongs to.

    Pixels are decoded by GDCM (through SimpleITK): every compressed transfer syntax in use, and it releases Python's
    lock, so slices are decoded in parallel; pyjpegls is faster by a quarter on one core but holds the lock.

    :param path: a folder, or one DICOM file.
    :param series_uid: the SeriesInstanceUID to read instead of the chosen one.
    :returns: HU, k ascending along the slice normal; metadata as `read_volume` states.
    :raises InputError: when no usable series is found, or its slices are missing, doubled, mixed, or damaged.
    """
    alone = path.is_file()
    headers = read_headers(path.parent if alone else path, recursive=not alone)
    if not headers:
        raise InputError(f"{path} holds no DICOM images; give a folder with a CT series, or an image file.")
    if alone and series_uid is None:
        series_uid = next((h.series_uid for h in headers if h.path == path), None)
        if series_uid is None:
            raise InputError(f"{path} is a DICOM object without an image; give a CT slice or its folder.")
    series, selection = choose_series(headers, path, series_uid)
    stack = stack_slices(series.headers, path)
    return Volume(_read_pixels(stack), stack.ijk_to_lps, series_metadata(path, stack, selection))


def _read_pixels(stack: Stack) -> NDArray[Any]:
    """All slices, (k, j, i): int16, or float32 when the rescale slope gives fractions."""
    first = stack.headers[0]
    shape = (len(stack.headers), first.rows, first.columns)
    slices: NDArray[Any] = np.empty(shape, dtype=np.int16)
    fractional: dict[int, NDArray[Any]] = {}

    def read(index: int) -> None:
        values = read_slice(stack.headers[index])
        if stack.shift_ji is not None:
            values = _shifted(values, stack.shift_ji[index])
        if values.dtype == np.int16:
            slices[index] = values
        else:
            fractional[index] = values

    workers = min(os.cpu_count() or 1, MOST_THREADS)
    with ThreadPoolExecutor(workers, thread_name_prefix="dicom") as pool:
        list(pool.map(read, range(len(stack.headers))))  # raises the first slice's error, in order of position
    if fractional:
        slices = slices.astype(np.float32)
        for index, values in fractional.items():
            slices[index] = values
    return slices


def read_slice(header: SliceHeader) -> NDArray[Any]:
    """HU of one slice, (j, i), padding made air.

    :raises InputError: when it is truncated or damaged, or not the size its header states.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(header.path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(f"{header.path} is truncated or damaged; copy or export the series again.") from error
    values = np.squeeze(sitk.GetArrayFromImage(image))
    if values.shape != (header.rows, header.columns):
        raise InputError(
            f"{header.path} does not hold one grey image of {header.columns}x{header.rows}; export it again."
        )
    padding = header.padding_hu
    if padding is not None and not TISSUE_HU[0] <= padding <= TISSUE_HU[1]:
        values[values == padding] = AIR_HU
    return as_hounsfield(values)


def _shifted(values: NDArray[Any], shift_ji: NDArray[np.float64]) -> NDArray[Any]:
    """Move a slice in its plane by linear interpolation; what comes in from outside is air."""
    moved = ndimage.shift(values.astype(np.float32), shift_ji, order=1, mode="constant", cval=AIR_HU)
    return np.rint(moved).astype(np.int16) if values.dtype == np.int16 else moved


def series_metadata(source: Path, stack: Stack, selection: str) -> dict[str, Any]:
    """What `read_volume` states of a DICOM series.

    :param source: what it was read from. :param selection: why this series.
    """
    first = stack.headers[0]
    findings = list(stack.findings)
    identified = all(header.is_identified for header in stack.headers)
    if not identified:
        findings.append(QualityFinding("no_uids", UIDS_MISSING))
    return {
        "source": os.path.abspath(source),
        "format": "DICOM" if identified else DICOM_WITHOUT_UIDS,
        "modality": first.modality,
        "series_uid": first.series_uid or first.path.parent.name,
        "series_description": first.description,
        "study_uid": first.study_uid,
        "study_date": first.study_date,
        "frame_of_reference_uid": first.frame_of_reference_uid,
        "patient_id": first.patient_id,
        "body_part": first.body_part,
        "manufacturer": first.manufacturer,
        "kernel": first.kernel,
        "slice_thickness_mm": first.thickness_mm,
        **study_attributes(first.path),
        "sop_instance_uids": [h.sop_instance_uid for h in stack.headers],
        "selection": selection,
        "reading_findings": [asdict(finding) for finding in findings],
    }
