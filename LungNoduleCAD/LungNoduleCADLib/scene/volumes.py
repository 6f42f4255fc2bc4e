"""A volume node of a scene as the library's `Volume`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..volume import Volume
from .geometry import LPS_TO_RAS, array_from_image, matrix_from_vtk


def volume_from_node(node: Any) -> Volume:
    """The node's voxels (shared, not copied) in its own coordinate system, LPS, with k along the body.

    A parent transform is not applied: results belong under the same transform. The axes are ordered as `io.read_volume`
    orders those of a file, so that a sagittal volume is searched slice by slice from head to foot too.

    :raises InputError: when it holds no image, or one that is not a single 3-D grey image.
    """
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    name = node.GetName() or "The volume"
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None or image.GetNumberOfPoints() == 0:
        raise InputError(f"{name} holds no image; load it again or choose another volume.")
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(f"{name} has several values a voxel (colour or vectors); choose a CT.")
    to_ras = vtkMatrix4x4()
    node.GetIJKToRASMatrix(to_ras)
    metadata = {"source": name, "series_description": name, "series_uid": "", "modality": "", "format": "MRML"}
    return Volume(array_from_image(image), LPS_TO_RAS @ matrix_from_vtk(to_ras), metadata).along_the_body()


def turned_to_grid(volume: Volume, ijk_to_lps: NDArray[np.float64]) -> Volume:
    """The same volume with its axes turned round where they run against those of another grid; a view.

    :raises InputError: when the two grids differ in more than that.
    """
    against = (volume.ijk_to_lps[:3, :3] * ijk_to_lps[:3, :3]).sum(axis=0)[::-1] < 0
    matrix = volume.ijk_to_lps.copy()
    first = np.where(against, np.array(volume.shape) - 1, 0)
    matrix[:3, :3] *= np.where(against, -1.0, 1.0)[::-1]
    matrix[:3, 3] = volume.index_to_lps(first)
    voxels = volume.voxels[tuple(slice(None, None, -1) if turn else slice(None) for turn in against)]
    turned = Volume(voxels, ijk_to_lps, dict(volume.metadata))
    if not turned.same_grid(Volume(voxels, matrix)):
        raise InputError(
            f"{volume.metadata.get('source', 'The scan')} has been moved or resampled since the detection; load it as "
            "it was, or run the detection again."
        )
    return turned
