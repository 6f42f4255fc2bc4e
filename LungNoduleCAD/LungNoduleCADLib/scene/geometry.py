"""LPS to RAS and arrays to VTK: the one place where the library's conventions meet Slicer's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def to_ras(point_lps: Sequence[float]) -> tuple[float, float, float]:
    """An LPS point in RAS, mm; the same change leads back."""
    x, y, z = (float(v) for v in point_lps)
    return -x, -y, z


def ijk_to_ras_matrix(ijk_to_lps: NDArray[np.float64]) -> Any:
    """A `vtkMatrix4x4` from the index (i, j, k) to RAS mm."""
    return _vtk_matrix(LPS_TO_RAS @ ijk_to_lps)


def matrix_from_vtk(matrix: Any) -> NDArray[np.float64]:
    """A `vtkMatrix4x4` as a 4x4 array."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def scalars_from_array(voxels: NDArray[Any]) -> Any:
    """A VTK array over the voxels (k, j, i), sharing (and keeping) their memory when they are contiguous and of a type
    that VTK knows; bool becomes uint8 and float16 becomes float32."""
    from vtkmodules.util.numpy_support import numpy_to_vtk

    known = {np.dtype(bool): np.uint8, np.dtype(np.float16): np.float32}.get(voxels.dtype)
    values = voxels if known is None else voxels.astype(known)
    return numpy_to_vtk(np.ascontiguousarray(values).ravel(), deep=False)


def array_from_image(image: Any) -> NDArray[Any]:
    """The scalars of a `vtkImageData` as an array (k, j, i), sharing its memory."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def _vtk_matrix(values: NDArray[np.float64]) -> Any:
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    matrix.DeepCopy([float(v) for v in values.ravel()])
    return matrix
