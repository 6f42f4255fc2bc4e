"""The outline of a nodule that a reader points at."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..findings import VoxelMask
from ..measurement import refine_mask, sphere_mask
from ..measurement.local_box import equivalent_diameter
from ..volume import Volume
from .outlines import Proposal

FIRST_DIAMETER_MM = 8.0
"""Of the first guess. On 83 LIDC nodules of 5 to 29 mm, clicked anywhere in their inner part, 8 and 10 mm gave the best
outlines (mean Dice 0.70; 0.74 when centre and diameter are known beforehand), 4 mm the worst (0.58)."""

MOST_STEPS = 6
STEADY_SHARE = 0.1
"""The search ends when the diameter changes by less."""

LARGEST_DIAMETER_MM = 60.0
"""What is larger is the chest wall or the mediastinum."""

REACH_MM = 2.0
"""The outline may lie this far beside the point: a click next to a small nodule still means that nodule."""

FALLBACK_DIAMETER_MM = 6.0


def propose_outline(volume: Volume, point_lps: tuple[float, float, float]) -> tuple[VoxelMask, Proposal]:
    """Segment what lies at a point, whatever its size: each outline is the next one's guess of centre and diameter.

    :param volume: CT in HU.
    :returns: 'segmented', or 'sphere' with one of 6 mm around the point where nothing nodule-like stands out.
    :raises InputError: when the point lies outside the volume.
    """
    if not volume.contains(point_lps):
        raise InputError("The point lies outside the scan; click on a nodule within it.")
    center, diameter = point_lps, FIRST_DIAMETER_MM
    for _ in range(MOST_STEPS):
        seed = sphere_mask(volume, center, diameter)
        mask = refine_mask(volume, seed)
        found = equivalent_diameter(float(mask.voxels.sum()) * volume.voxel_volume_mm3)
        if mask is seed or found > LARGEST_DIAMETER_MM or abs(found - diameter) < STEADY_SHARE * diameter:
            break
        center, diameter = center_of_mass(volume, mask), found
    nothing = mask is seed or found > LARGEST_DIAMETER_MM or _crosses(volume, mask)
    if nothing or not _is_near(volume, mask, point_lps):
        return sphere_mask(volume, point_lps, FALLBACK_DIAMETER_MM), "sphere"
    return mask, "segmented"


def center_of_mass(volume: Volume, mask: VoxelMask) -> tuple[float, float, float]:
    """Of a mask that is not empty, LPS mm."""
    x, y, z = volume.index_to_lps(np.argwhere(mask.voxels).mean(axis=0) + mask.start_kji)
    return float(x), float(y), float(z)


def _crosses(volume: Volume, mask: VoxelMask) -> bool:
    """Whether it goes from one border of the slices to the opposite one: lung or wall, and no nodule."""
    start, size = mask.start_kji[1:], mask.voxels.shape[1:]
    return any(a == 0 and n == whole for a, n, whole in zip(start, size, volume.shape[1:], strict=True))


def _is_near(volume: Volume, mask: VoxelMask, point_lps: tuple[float, float, float]) -> bool:
    offsets = (np.argwhere(mask.voxels) + mask.start_kji - volume.lps_to_index(point_lps)) * volume.spacing_kji_mm
    beside = np.maximum(np.abs(offsets) - volume.spacing_kji_mm / 2, 0)  # from the voxel's box, not its centre
    return bool((np.linalg.norm(beside, axis=1) <= REACH_MM).any())
