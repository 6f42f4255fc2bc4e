"""Density type of a nodule from the HU of its core, where blur and partial volume have little say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from ..findings import DensityType, VoxelMask
from ..volume import Volume
from .local_box import depth_mm, equivalent_diameter

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DensityLimits:
    """Bounds between the types, HU and shares of the core.

    :param calcified_hu: a core above it is calcified (200 HU: Siegelman et al., Radiology 160, 1986; reads 164 on some
        scanners).
    :param calcified_share: of the core above it; a calcified centre in a soft rim counts.
    :param fat_hu: range of fat (-120 to -40 HU: Siegelman et al. on hamartomas), :param fat_share: of the core in it.
    :param solid_hu: above it tissue hides vessels and bronchi; between -350 and -200 in the literature on subsolid
        nodules.
    :param ground_glass_share, solid_share: a core with less than the first above `solid_hu` is ground-glass, with more
        than the second solid, part-solid between.
    """

    calcified_hu: float = 200.0
    calcified_share: float = 0.3
    fat_hu: tuple[float, float] = (-120.0, -40.0)
    fat_share: float = 0.7
    solid_hu: float = -300.0
    ground_glass_share: float = 0.25
    solid_share: float = 0.75


IN_PLANE_BLUR_MM = 0.55
"""Standard deviation of a standard chest kernel's blur (FWHM 1.3 mm)."""

EDGE_MM = 1.0
"""Depth of the rim that blur and partial volume reach."""

LUNG_HU = -850.0
FEWEST_CORE_VOXELS = 4


def density_type(volume: Volume, mask: VoxelMask, limits: DensityLimits | None = None) -> DensityType:
    """The type of a nodule whose mask holds at least one voxel."""
    limits = limits or DensityLimits()
    core = core_densities(volume, mask)
    above = float((core > limits.solid_hu).mean())
    if float((core > limits.calcified_hu).mean()) >= limits.calcified_share:
        return "calcified"
    low, high = limits.fat_hu
    if float(((core > low) & (core < high)).mean()) >= limits.fat_share and len(core) >= 4 * FEWEST_CORE_VOXELS:
        return "fat"
    if above >= limits.solid_share:
        return "solid"
    return "ground-glass" if above < limits.ground_glass_share else "part-solid"


def core_densities(volume: Volume, mask: VoxelMask) -> Floats:
    """HU (n,) of the voxels at least `EDGE_MM` deep, or of the deepest few in a small nodule, with the lung's share
    that blur mixes in taken out."""
    hu = volume.voxels[mask.region][mask.voxels].astype(np.float64)
    spacing = volume.spacing_kji_mm
    depth = depth_mm(np.pad(mask.voxels, 1), spacing)[1:-1, 1:-1, 1:-1][mask.voxels]
    # The outermost slices of a nodule are partly lung however thick they are.
    between = np.pad(mask.voxels, ((1, 1), (0, 0), (0, 0)))
    between = (between[:-2] & between[2:])[mask.voxels]
    # Half a voxel, because depth is measured to the next voxel's centre.
    deep = between & (depth > EDGE_MM + spacing[1] / 2)
    if deep.sum() < FEWEST_CORE_VOXELS:
        deep = depth >= np.sort(depth)[::-1][min(FEWEST_CORE_VOXELS, len(depth)) - 1]
    diameter = equivalent_diameter(len(hu) * volume.voxel_volume_mm3)
    return LUNG_HU + (hu[deep] - LUNG_HU) / recovered_share(diameter, float(spacing[0]))


def recovered_share(diameter_mm: float, slice_mm: float) -> float:
    """How much of a sphere's contrast its centre keeps under a Gaussian blur (closed form), no less than a half.

    The blur is the kernel's in plane, and along the slices that of a box as thick as they are apart.
    """
    variance = (2 * IN_PLANE_BLUR_MM**2 + slice_mm**2 / 12) / 3
    ratio = diameter_mm / 2 / np.sqrt(variance)
    share = erf(ratio / np.sqrt(2)) - np.sqrt(2 / np.pi) * ratio * np.exp(-(ratio**2) / 2)
    return float(max(share, 0.5))
