"""A proposal's voxels, from the heat map's grid to the scan's own."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..findings import VoxelMask
from ..volume import Volume
from .group import Proposal


def mask_on_volume(proposal: Proposal, grid: Volume, volume: Volume) -> VoxelMask:
    """Interpolate a proposal onto the scan: both grids share their axes, so each axis maps by itself.

    At least one voxel is set, however thick the slices are: the one nearest to the proposal's centre.
    """
    shape = np.array(proposal.voxels.shape)
    corners = np.array([np.array(proposal.start_kji) - 1, np.array(proposal.start_kji) + shape])
    ends = volume.lps_to_index(grid.index_to_lps(corners))
    low = np.maximum(np.floor(ends.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(ends.max(axis=0)).astype(int) + 1, volume.shape)
    center = np.clip(
        np.rint(volume.lps_to_index(grid.index_to_lps(proposal.center_kji))).astype(int), 0, np.array(volume.shape) - 1
    )
    low, high = np.minimum(low, center), np.maximum(high, center + 1)
    origin = volume.index_to_lps(low)
    first = grid.lps_to_index(origin) - proposal.start_kji
    step = volume.spacing_kji_mm / grid.spacing_kji_mm
    axes = [first[n] + step[n] * np.arange(high[n] - low[n]) for n in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    # Not mode "constant", which is 0 from the outermost centres on: half a voxel all round would be missing.
    occupancy = ndimage.map_coordinates(proposal.voxels.astype(np.float32), points, order=1, mode="grid-constant")
    voxels = occupancy >= 0.5
    if not voxels.any():
        voxels[tuple(center - low)] = True
    box = ndimage.find_objects(voxels.astype(np.int8))[0]
    k, j, i = (int(a + s.start) for a, s in zip(low, box, strict=True))
    return VoxelMask((k, j, i), voxels[box].copy())
