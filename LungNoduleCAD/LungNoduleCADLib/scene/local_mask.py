"""A segment's voxels near a point, whatever the size of the label map that holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..findings import VoxelMask
from ..volume import Volume
from .geometry import LPS_TO_RAS, array_from_image, matrix_from_vtk
from .segments import LABELMAP


def local_mask(
    segmentation_node: Any, segment_id: str, center_lps: ArrayLike, radius_mm: float
) -> tuple[VoxelMask, Volume] | None:
    """What a segment holds in the box around a point, and the grid (not its voxels) that this mask lies on.

    `segment_mask` looks at the whole label map, which hundreds of segments share: on a long scan that takes a second.

    :param center_lps: in the node's own coordinates.
    :return: None when there is no such segment, or nothing of it there.
    """
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
    labelmap = segment.GetRepresentation(LABELMAP) if segment is not None else None
    if labelmap is None or labelmap.GetNumberOfPoints() == 0:
        return None
    to_ras = vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(to_ras)
    matrix = LPS_TO_RAS @ matrix_from_vtk(to_ras)
    first = labelmap.GetExtent()[::2]
    matrix[:3, 3] += matrix[:3, :3] @ np.array(first)
    try:
        grid = Volume(array_from_image(labelmap), matrix)
    except InputError:  # a sheared grid, which no volume of ours has
        return None
    center, reach = grid.lps_to_index(center_lps), radius_mm / grid.spacing_kji_mm
    start = np.clip(np.floor(center - reach), 0, grid.shape).astype(int)
    stop = np.clip(np.ceil(center + reach) + 1, start, grid.shape).astype(int)
    voxels = grid.voxels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] == segment.GetLabelValue()
    if not voxels.any():
        return None
    k, j, i = (int(n) for n in start)
    return VoxelMask((k, j, i), voxels), grid
