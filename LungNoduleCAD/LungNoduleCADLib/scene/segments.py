"""The voxels of a segment on the scan's grid, whatever grid its label map has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..findings import VoxelMask
from ..measurement.local_box import trimmed
from ..volume import Volume
from .geometry import LPS_TO_RAS, array_from_image, ijk_to_ras_matrix, matrix_from_vtk, scalars_from_array

LABELMAP = "Binary labelmap"
GRID_TOLERANCE_MM = 1e-3
EMPTY = VoxelMask((0, 0, 0), np.zeros((1, 1, 1), dtype=bool))


def read_mask(segment: Any, volume: Volume) -> VoxelMask:
    """A segment's voxels on the volume's grid, in the smallest box, whatever grid they are kept on; beyond the volume
    they are cut off. One voxel, False, when there are none."""
    labelmap = segment.GetRepresentation(LABELMAP)
    if labelmap is None or is_empty(labelmap):
        return EMPTY
    inside = array_from_image(labelmap) == segment.GetLabelValue()
    boxes = ndimage.find_objects(inside.view(np.uint8))
    if not boxes:
        return EMPTY
    part = cut_mask(inside[boxes[0]], boxes[0], first_index(labelmap))
    return resampled(part, matrix_from_vtk(_matrix(labelmap)), volume)


def resampled(part: VoxelMask, grid: NDArray[np.float64], volume: Volume) -> VoxelMask:
    """A mask of another grid on the volume's, by nearest voxel centres; `EMPTY` when none of the volume's lies in it.

    :param grid: 4x4, from the mask's index (i, j, k) to RAS mm.
    """
    start, stop = _bounds_in(volume, part, grid)
    if (stop <= start).any():
        return EMPTY
    index = np.moveaxis(np.indices(tuple(stop - start)), 0, -1) + start
    to_labels = np.linalg.inv(grid) @ LPS_TO_RAS @ volume.ijk_to_lps
    ijk = index[..., ::-1] @ to_labels[:3, :3].T + to_labels[:3, 3]
    nearest = np.rint(ijk[..., ::-1]).astype(int) - part.start_kji
    covered = ((nearest >= 0) & (nearest < part.voxels.shape)).all(axis=-1)
    voxels = np.zeros(covered.shape, dtype=bool)
    voxels[covered] = part.voxels[tuple(nearest[covered].T)]
    k, j, i = (int(n) for n in start)
    return trimmed(VoxelMask((k, j, i), voxels)) if voxels.any() else EMPTY


def make_labelmap(start_kji: tuple[int, int, int], labels: NDArray[Any], volume: Volume) -> Any:
    """A `vtkOrientedImageData` of labels (k, j, i) that begin at a voxel of the volume's grid, over the labels' own
    memory."""
    import slicer

    (k, j, i), (depth, rows, columns) = start_kji, labels.shape
    image = slicer.vtkOrientedImageData()
    image.SetExtent(i, i + columns - 1, j, j + rows - 1, k, k + depth - 1)
    image.GetPointData().SetScalars(scalars_from_array(labels))
    image.SetImageToWorldMatrix(ijk_to_ras_matrix(volume.ijk_to_lps))
    return image


def same_voxels(a: VoxelMask, b: VoxelMask) -> bool:
    """Whether two masks on one grid hold the same voxels, whatever their boxes."""
    if not a.voxels.any() or not b.voxels.any():
        return not a.voxels.any() and not b.voxels.any()
    a, b = trimmed(a), trimmed(b)
    return a.start_kji == b.start_kji and np.array_equal(a.voxels, b.voxels)


def is_on_grid(labelmap: Any, volume: Volume) -> bool:
    """Whether a label map's voxels are voxels of the volume, by the same indices."""
    difference = matrix_from_vtk(_matrix(labelmap)) - LPS_TO_RAS @ volume.ijk_to_lps
    return bool(np.abs(difference).max() < GRID_TOLERANCE_MM)


def _bounds_in(volume: Volume, part: VoxelMask, grid: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First index and the one behind the last, in the volume, of all voxels that a box of another grid can reach."""
    ends = [(a - 0.5, a + n - 0.5) for a, n in zip(part.start_kji, part.voxels.shape, strict=True)]
    corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T
    ras = corners[:, ::-1] @ grid[:3, :3].T + grid[:3, 3]
    index = volume.lps_to_index(ras @ LPS_TO_RAS[:3, :3].T)
    start = np.clip(np.ceil(index.min(axis=0) - 1e-6).astype(int), 0, volume.shape)
    stop = np.clip(np.floor(index.max(axis=0) + 1e-6).astype(int) + 1, 0, volume.shape)
    return start, stop


def box_of(labels: NDArray[Any], first: tuple[int, int, int], mask: VoxelMask) -> NDArray[Any] | None:
    """The mask's box in labels that begin at a voxel of the same grid; None when it is not wholly in them."""
    start = [a - b for a, b in zip(mask.start_kji, first, strict=True)]
    stop = [a + n for a, n in zip(start, mask.voxels.shape, strict=True)]
    if min(start) < 0 or any(b > n for b, n in zip(stop, labels.shape, strict=True)):
        return None
    return labels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]


def _matrix(labelmap: Any) -> Any:
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return matrix


def first_index(labelmap: Any) -> tuple[int, int, int]:
    """Index (k, j, i) of a label map's first voxel."""
    i, _, j, _, k, _ = labelmap.GetExtent()
    return k, j, i


def is_empty(labelmap: Any) -> bool:
    """Whether a label map has no voxels at all."""
    i, i_last, j, j_last, k, k_last = labelmap.GetExtent()
    return i > i_last or j > j_last or k > k_last or labelmap.GetPointData().GetScalars() is None


def cut_mask(voxels: NDArray[np.bool_], box: tuple[slice, ...], first: tuple[int, int, int]) -> VoxelMask:
    """Voxels of a box in an array that begins at a voxel of the grid, as a mask on the grid."""
    k, j, i = (side.start + n for side, n in zip(box, first, strict=True))
    return VoxelMask((k, j, i), voxels.copy())
