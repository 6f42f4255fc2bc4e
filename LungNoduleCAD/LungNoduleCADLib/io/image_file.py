"""Read one image file (MetaImage, NRRD, NIfTI) through SimpleITK, and refuse what ITK would let pass."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..volume import ORTHOGONALITY_TOLERANCE, Volume
from .nifti import check_nifti
from .stderr import silenced_stderr

FORMATS = {
    ".mhd": "MetaImage", ".mha": "MetaImage", ".nrrd": "NRRD", ".nhdr": "NRRD", ".nii": "NIfTI", ".nii.gz": "NIfTI",
}  # fmt: skip


def image_suffix(path: Path) -> str | None:
    """The file's ending when it is one of `FORMATS`, else None."""
    name = path.name.lower()
    return next((suffix for suffix in sorted(FORMATS, key=len, reverse=True) if name.endswith(suffix)), None)


def image_stem(path: Path) -> str:
    """The file's name without its ending (both parts of `.nii.gz`); LUNA16 names its files by their series UID."""
    suffix = image_suffix(path)
    return path.name[: -len(suffix)] if suffix else path.stem


def read_image(path: Path) -> Volume:
    """Values as stored (scaled where the format has a scale) on their grid, k being the axis nearest to the patient's
    length.

    :param path: a file whose ending is in `FORMATS`.
    :raises InputError: when the file is damaged, not a single grey 3-D image, or its grid is not rectangular.
    """
    suffix = image_suffix(path)
    assert suffix is not None
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    if FORMATS[suffix] == "NIfTI":
        check_nifti(path)
    image = _three_dimensional(_execute(path), path)
    axes = np.array(image.GetDirection()).reshape(3, 3)
    if not np.isfinite(axes).all() or np.abs(axes.T @ axes - np.eye(3)).max() > ORTHOGONALITY_TOLERANCE:
        raise InputError(f"{path} has axes that are not at right angles; resample it to a rectangular grid first.")
    matrix = np.eye(4)
    matrix[:3, :3] = axes * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    source = os.path.abspath(path)
    metadata = {"source": source, "format": FORMATS[suffix], "modality": "", "series_uid": image_stem(path)}
    volume = Volume(sitk.GetArrayFromImage(image), matrix, metadata).along_the_body()
    return volume.with_voxels(np.ascontiguousarray(volume.voxels))


def _execute(path: Path) -> sitk.Image:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with silenced_stderr():
            reader.ReadImageInformation()
            components, dimensions, size = reader.GetNumberOfComponents(), reader.GetDimension(), reader.GetSize()
            if dimensions > 3 and max(size[3:]) > 1:
                raise InputError(
                    f"{path} has {dimensions} dimensions ({'x'.join(map(str, size))}); give one 3-D volume of it."
                )
            if components != 1:
                raise InputError(f"{path} holds {components} values a voxel (colour or vectors); give a CT with one.")
            return reader.Execute()
    except RuntimeError as error:
        raise InputError(f"{path} {_plain(str(error))}") from error


def _plain(message: str) -> str:
    """The user's side of what ITK says."""
    if "Zero-valued spacing" in message:
        return "states a voxel spacing of zero; export it again with its spacing."
    if "orthonormal" in message:
        return "has axes that are not at right angles; resample it to a rectangular grid first."
    if "Unable to determine ImageIO" in message:
        return "is not an image of the kind its name says, or is damaged; convert or export it again."
    return "is truncated or damaged, or its data file is missing; copy or export it again."


def _three_dimensional(image: sitk.Image, path: Path) -> sitk.Image:
    while image.GetDimension() > 3:
        image = sitk.Extract(image, [*image.GetSize()[:-1], 0], [0] * image.GetDimension())
    if image.GetDimension() < 3 or min(image.GetSize()) < 2:
        raise InputError(f"{path} is a single slice ({'x'.join(map(str, image.GetSize()))}); give a CT volume.")
    return image
