"""Density type of a nodule: what blur and partial volume cannot explain away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..findings import DensityType, VoxelMask
from ..volume import Volume
from .blur import central_share, in_plane_variance
from .local_box import depth_mm
from .occupancy import NORMAL_LUNG_HU, Occupancy

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DensityLimits:
    """Bounds between the types; the subsolid ones' are fitted to readers' texture ratings (docs/measurement.md).

    :param calcified_hu: a core of a greater mean is calcified (200 HU: Siegelman et al., Radiology 160, 1986; reads 164
        on some scanners). The mean, because guidelines call a calcified nodule benign: neither noise nor calcium in a
        third of a mass may make it one.
    :param fat_hu: range of fat (-120 to -40 HU: Siegelman et al. on hamartomas), :param fat_share: of the core in it.
    :param solid_depth_mm: a solid part at least so deep is more than a vessel or noise.
    :param solid_depth_share: a less deep one that is at least so deep as a share of the nodule's radius is what blur
        has left of a small solid nodule.
    :param part_solid_share: with one, a nodule of which so much is ground-glass is part-solid, else solid.
    :param ground_glass_share: without one, it is ground-glass.
    :param solid_hu: with less of both, it is too small for either, and its density without blur decides.
    """

    calcified_hu: float = 200.0
    fat_hu: tuple[float, float] = (-120.0, -40.0)
    fat_share: float = 0.5
    solid_depth_mm: float = 1.6
    solid_depth_share: float = 0.35
    part_solid_share: float = 0.3
    ground_glass_share: float = 0.4
    solid_hu: float = -400.0


EDGE = 1.4
"""Depth of the rim that blur and partial volume reach, in the occupancy's units."""
LEAST_CENTRAL_SHARE = 0.5
FEWEST_CORE_VOXELS = 4


def density_type(
    volume: Volume, mask: VoxelMask, found: Occupancy, diameter_mm: float, limits: DensityLimits | None = None
) -> DensityType:
    """The type of a nodule whose mask holds at least one voxel, of a known equivalent diameter."""
    limits = limits or DensityLimits()
    core = core_densities(volume, mask, found, diameter_mm)
    if float(core.mean()) > limits.calcified_hu:
        return "calcified"
    low, high = limits.fat_hu
    if float(((core > low) & (core < high)).mean()) >= limits.fat_share and len(core) >= 4 * FEWEST_CORE_VOXELS:
        return "fat"
    solid_depth = float(depth_mm(found.solid, found.spacing).max())
    if solid_depth >= limits.solid_depth_mm:
        return "part-solid" if found.halo_share >= limits.part_solid_share else "solid"
    if solid_depth >= limits.solid_depth_share * diameter_mm / 2:
        return "solid"
    if found.halo_share >= limits.ground_glass_share:
        return "ground-glass"
    return "solid" if found.lung_hu + found.contrast_hu > limits.solid_hu else "ground-glass"


def core_densities(volume: Volume, mask: VoxelMask, found: Occupancy, diameter_mm: float) -> Floats:
    """HU (n,) of the voxels deeper than the rim that blur and partial volume reach, or of the deepest few in a small
    nodule, with the lung's share that blur mixes in taken out."""
    hu = volume.voxels[mask.region][mask.voxels].astype(np.float64)
    depth = found.depth[found.mask]
    # The outermost slices of a nodule are partly lung however thick they are.
    between = np.pad(mask.voxels, ((1, 1), (0, 0), (0, 0)))
    between = (between[:-2] & between[2:])[mask.voxels]
    deep = between & (depth > EDGE)
    if deep.sum() < FEWEST_CORE_VOXELS:
        deep = depth >= np.sort(depth)[::-1][min(FEWEST_CORE_VOXELS, len(depth)) - 1]
    # A slice's middle lies anywhere up to half a slice off the nodule's: a quarter on average.
    variance = in_plane_variance(float(found.spacing[1]))
    kept = float(central_share(np.array(diameter_mm), found.slice_mm, found.slice_mm / 4, variance))
    return NORMAL_LUNG_HU + (hu[deep] - NORMAL_LUNG_HU) / max(kept, LEAST_CENTRAL_SHARE)
