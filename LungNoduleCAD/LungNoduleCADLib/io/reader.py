"""`read_volume` and `read_mask`: any supported source to a `Volume`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import InputError
from ..volume import Volume
from .dicom_headers import is_dicom
from .dicom_reader import read_dicom
from .hounsfield import as_hounsfield
from .image_file import FORMATS, image_suffix, read_image


def read_volume(path: str | Path, *, series_uid: str | None = None) -> Volume:
    """Read a CT: a DICOM folder (searched with its sub-folders), one file of a DICOM series, MetaImage, NRRD or NIfTI.

    Reading refuses what is damaged or has no sound geometry; whether the scan suits nodule detection is for
    `check_quality`.

    :param series_uid: DICOM only: read this series instead of the chosen one.
    :returns: HU, int16 where it fits (else float32), nothing below -1024. Metadata: `source`, `format`, `modality`,
        `series_uid` (a file's stem where it is no DICOM) and, from DICOM, `series_description`, `study_uid`,
        `study_date`, `frame_of_reference_uid`, `patient_id`, `body_part`, `manufacturer`, `kernel`,
        `slice_thickness_mm`, those of `dicom_study.ATTRIBUTES`, `sop_instance_uids` (one per k), `selection` (which
        series and why) and `reading_findings`.
    :raises InputError: in one sentence, when it is missing, damaged, no single 3-D CT, or its slices do not make a
        volume.
    """
    source = _existing(path)
    if source.is_dir() or (image_suffix(source) is None and is_dicom(source)):
        return read_dicom(source, series_uid)
    if image_suffix(source) is None:
        endings = ", ".join(FORMATS)
        raise InputError(f"{source} is no image that can be read; give a DICOM folder or a file ending in {endings}.")
    image = read_image(source)
    if series_uid not in (None, image.metadata["series_uid"]):
        raise InputError(f"{source} holds one image, not series {series_uid}; leave the series out.")
    return Volume(as_hounsfield(image.voxels), image.ijk_to_lps, image.metadata)


def read_mask(path: str | Path, like: Volume) -> Volume:
    """Read a label image onto the grid of a CT.

    :param path: MetaImage, NRRD (also `.seg.nrrd` with one layer) or NIfTI, on that grid or any other (nearest
        neighbour).
    :returns: labels, uint8 or uint16, on the grid of `like`; 0 is background.
    :raises InputError: when it cannot be read, holds no label, does not overlap the CT, or its values are no labels.
    """
    source = _existing(path)
    if source.is_dir() or image_suffix(source) is None:
        raise InputError(f"{source} is no mask file; give one ending in {', '.join(FORMATS)}.")
    mask = read_image(source)
    values = mask.voxels
    lowest, highest = float(values.min()), float(values.max())
    if not (lowest >= 0 and highest <= np.iinfo(np.uint16).max) or not np.array_equal(values, np.rint(values)):
        raise InputError(
            f"{source} is no mask (its values run from {lowest:g} to {highest:g}); give an image of labels."
        )
    if highest == 0:
        raise InputError(f"{source} is an empty mask; mark something in it or leave it out.")
    labels = values.astype(np.uint8 if highest < 256 else np.uint16)
    if not mask.same_grid(like):
        labels = _resample_nearest(Volume(labels, mask.ijk_to_lps), like)
        if not labels.any():
            raise InputError(f"{source} marks nothing within the CT; give the mask that belongs to this scan.")
    return Volume(labels, like.ijk_to_lps, mask.metadata)


def _existing(path: str | Path) -> Path:
    source = Path(path)
    try:
        source.stat()
    except PermissionError as error:
        raise InputError(f"{source} may not be read; check its permissions.") from error
    except OSError as error:
        raise InputError(f"{source} does not exist; check the path.") from error
    return source


def _resample_nearest(mask: Volume, like: Volume) -> NDArray[Any]:
    reference = sitk.Image([int(n) for n in reversed(like.shape)], sitk.sitkUInt8)
    _place(reference, like)
    moving = sitk.GetImageFromArray(mask.voxels)
    _place(moving, mask)
    resampled = sitk.Resample(moving, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)
    return sitk.GetArrayFromImage(resampled)


def _place(image: sitk.Image, volume: Volume) -> None:
    image.SetSpacing([float(s) for s in reversed(volume.spacing_kji_mm)])
    image.SetOrigin([float(x) for x in volume.origin_lps])
    image.SetDirection([float(x) for x in volume.direction.ravel()])
