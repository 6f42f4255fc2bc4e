"""Small CT inputs for the reading tests: a chest-like volume, and DICOM series written from it by pydicom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless

SYNTHETIC_SERIES = "1.2.826.0.1.3680043.8.498.1"


def other_uid(number: int) -> str:
    """A series UID other than `SYNTHETIC_SERIES`."""
    return f"{SYNTHETIC_SERIES[:-1]}{number + 10}"


def chest_hu(shape: tuple[int, int, int] = (12, 40, 48), seed: int = 0) -> NDArray[np.int16]:
    """Air around a body with two lungs and a nodule, noise of 15 HU; every voxel differs from slice to slice."""
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    hu = np.full(shape, -1000.0)
    hu[(j / 0.8) ** 2 + (i / 0.9) ** 2 < 1] = 40
    for side in (-0.45, 0.45):
        hu[(j / 0.55) ** 2 + ((i - side) / 0.3) ** 2 < 1] = -850
    hu[(k / 0.4) ** 2 + (j / 0.15) ** 2 + ((i - 0.45) / 0.12) ** 2 < 1] = 30
    return np.rint(hu + np.random.default_rng(seed).normal(0, 15, shape)).clip(-1024, 3071).astype(np.int16)


def write_series(
    folder: Path,
    hu: NDArray[np.int16] | None = None,
    *,
    spacing_kji: tuple[float, float, float] = (2.5, 0.8, 0.7),
    origin: tuple[float, float, float] = (-20.0, -30.0, -100.0),
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    step: tuple[float, float, float] | None = None,
    syntax: str = JPEGLSLossless,
    series_uid: str = SYNTHETIC_SERIES,
    prefix: str = "",
    intercept: float = -1024,
    slope: float = 1,
    edit: Callable[[Dataset, int], Any] | None = None,
    **attributes: Any,
) -> list[Path]:
    """Write one CT series whose file names do not follow the slice positions.

    :param step: position of the next slice relative to the last; default: along the slice normal.
    :param edit: called with each data set and its index before it is compressed.
    :returns: paths in the order of the slices.
    """
    hu = chest_hu() if hu is None else hu
    folder.mkdir(parents=True, exist_ok=True)
    axes = np.array(orientation, dtype=float).reshape(2, 3)
    advance = np.cross(*axes) * spacing_kji[0] if step is None else np.array(step, dtype=float)
    names = np.random.default_rng(1).permutation(len(hu))
    paths = []
    for n, values in enumerate(hu):
        stored = np.rint((values - intercept) / slope)
        dataset = _slice(stored.astype(np.uint16), series_uid, n)
        dataset.ImagePositionPatient = [round(float(x), 6) for x in np.array(origin) + n * advance]
        dataset.ImageOrientationPatient = list(orientation)
        dataset.PixelSpacing = [spacing_kji[1], spacing_kji[2]]
        dataset.SliceThickness = spacing_kji[0]
        dataset.RescaleIntercept, dataset.RescaleSlope = intercept, slope
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        if edit is not None:
            edit(dataset, n)
        if syntax != ExplicitVRLittleEndian:
            dataset.compress(syntax, generate_instance_uid=False)
        path = folder / f"{prefix}{names[n]:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _slice(stored: NDArray[np.uint16], series_uid: str, n: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{series_uid}.{n + 1}"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{SYNTHETIC_SERIES}.9", series_uid
    dataset.FrameOfReferenceUID = f"{SYNTHETIC_SERIES}.8"
    dataset.Modality, dataset.PatientID, dataset.SeriesDescription = "CT", "phantom", "Thorax"
    dataset.ImageType, dataset.ConvolutionKernel = ["ORIGINAL", "PRIMARY", "AXIAL"], "STANDARD"
    dataset.InstanceNumber = 1000 - n
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = stored.tobytes()
    return dataset


def as_image(
    values: NDArray[Any] | None = None, spacing_ijk: tuple[float, float, float] = (0.7, 0.8, 2.5)
) -> sitk.Image:
    """An ITK image of a chest, or of given values, (k, j, i)."""
    image = sitk.GetImageFromArray(chest_hu() if values is None else values)
    image.SetSpacing(spacing_ijk)
    image.SetOrigin((-20.0, -30.0, -100.0))
    return image


def cut(path: Path, share: float = 0.6) -> None:
    """Keep only the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
