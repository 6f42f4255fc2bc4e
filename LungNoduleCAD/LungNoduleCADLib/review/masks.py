"""Boxes and unions of masks on one grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..findings import VoxelMask


def bounding_box(masks: Sequence[VoxelMask]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """First voxel and shape of the smallest box that holds the boxes of some masks, at least one."""
    start = np.min([m.start_kji for m in masks], axis=0)
    stop = np.max([np.add(m.start_kji, m.voxels.shape) for m in masks], axis=0)
    k, j, i = (int(n) for n in start)
    depth, rows, columns = (int(n) for n in stop - start)
    return (k, j, i), (depth, rows, columns)


def region_within(mask: VoxelMask, start_kji: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """The mask's box in an array that begins at a voxel of its grid."""
    k, j, i = (slice(a - o, a - o + n) for a, o, n in zip(mask.start_kji, start_kji, mask.voxels.shape, strict=True))
    return k, j, i


def union(masks: Sequence[VoxelMask]) -> VoxelMask:
    """All voxels of some masks, at least one."""
    start, shape = bounding_box(masks)
    voxels = np.zeros(shape, dtype=bool)
    for mask in masks:
        voxels[region_within(mask, start)] |= mask.voxels
    return VoxelMask(start, voxels)
