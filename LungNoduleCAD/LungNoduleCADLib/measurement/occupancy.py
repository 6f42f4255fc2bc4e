"""How much of each voxel a nodule fills: its edge to a fraction of a voxel, from density and mask together.

Blur and partial volume move density across the edge, but leave its sum as it is. What the voxels at the edge hold above
the lung, over what the nodule holds above the lung, is therefore the volume in them, however thick the slices are.

Distances here are in units of a voxel, or of a millimetre where voxels are smaller: blur reaches about as far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..findings import VoxelMask
from ..io.quality import slice_thickness_mm
from ..volume import Volume
from .contrast import LEAST_CONTRAST_HU, SMOOTHING_MM, unblurred_contrast

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Bools = NDArray[np.bool_]

UNIT_MM = 1.0
OUTER_REACH, INNER_REACH = 1.5, 2.0
"""How far the edge's blur reaches outside a reader's outline and inside it: the outline lies outside the edge."""
OTHER_REACH = 1.2
"""Around another structure, as far as it and not the nodule makes the density."""
RING = (2.0, 5.0)
"""Distance from the outline at which the lung's density is taken."""

AIR_HU, NORMAL_LUNG_HU, AIR_BELOW_HU = -1000.0, -850.0, -500.0
FEWEST_RING_VOXELS, FEWEST_DEEP_VOXELS = 20, 8
LEAST_CLEAN_SHARE = 0.25
"""When less of the surroundings is free of other structures, nothing is inferred from it."""

SOLID_HU = -300.0
"""Above it tissue hides vessels and bronchi; between -350 and -200 in the literature on subsolid nodules."""
RIM, BLURRED = 0.8, 1.3
"""Depth of an outline's rim that may be lung, and how far blur carries the density of a solid part."""
LEAST_HALO_SHARE = 0.3
"""Share of ground-glass from which on a nodule's edge is that of its ground-glass."""


@dataclass(frozen=True, eq=False)
class Occupancy:
    """A box (k, j, i) of the scan around a mask.

    :param start: index of its first voxel in the scan.
    :param slice_mm: thickness that a slice averages over.
    :param hu: slightly smoothed density.
    :param share: of each voxel's volume in the nodule, 0 to 1 but for noise and blur; 0 far outside, 1 deep inside.
    :param level: the same of smoothed density, for outlines; not set to 0 or 1 anywhere.
    :param mask: the mask; :param depth: of its voxels in it, in units.
    :param other: outside the mask, at or next to another structure: vessel, wall.
    :param solid: what is solid in the mask; :param halo: its inner voxels that are not, and too far from what is for
        blur to explain them: ground-glass; :param halo_share: of all inner voxels.
    :param lung_hu: density of the lung around; :param contrast_hu: of the nodule above it, without blur;
        :param excess_hu: sum over the voxels of what is above it, inside and where blur carries it.
    """

    start: NDArray[np.intp]
    spacing: Floats
    slice_mm: float
    hu: Singles
    share: Singles
    level: Singles
    mask: Bools
    depth: Floats
    other: Bools
    solid: Bools
    halo: Bools
    halo_share: float
    lung_hu: float
    contrast_hu: float
    excess_hu: float

    @property
    def volume_mm3(self) -> float:
        """At least a tenth of a voxel."""
        return max(float(self.share.sum(dtype=np.float64)), 0.1) * float(self.spacing.prod())

    @property
    def mass_mg(self) -> float:
        """Air at -1000 HU has none, water at 0 HU 1 mg in a mm3. Blur spreads mass, and leaves its sum as it is."""
        above_air = self.excess_hu * float(self.spacing.prod()) + (self.lung_hu - AIR_HU) * self.volume_mm3
        return max(above_air, 0.0) / -AIR_HU


def occupancy(volume: Volume, mask: VoxelMask) -> Occupancy:
    """The occupancy of a nodule whose mask, drawn about its edge, holds at least one voxel."""
    spacing = volume.spacing_kji_mm
    unit = spacing / np.maximum(spacing, UNIT_MM)
    lung = lung_density(volume, mask)
    start, hu, inside = boxed(volume, mask, OUTER_REACH + OTHER_REACH, unit)
    outside = ndimage.distance_transform_edt(~inside, sampling=unit)
    # The scan's own edge is no edge of the nodule, and everywhere else the box is wider than the mask.
    depth = ndimage.distance_transform_edt(inside, sampling=unit)
    deep = depth >= INNER_REACH
    smooth = ndimage.gaussian_filter(hu, np.array([0.0, 1.0, 1.0]) * SMOOTHING_MM / spacing, truncate=3)
    raw, above = hu - np.float32(lung), smooth - np.float32(lung)

    solid = inside & (smooth > SOLID_HU)
    inner = depth > RIM
    halo = inner & (_distance_from(solid, unit) > BLURRED)
    halo_share = float(halo.sum() / max(int(inner.sum()), 1))
    plateau = float(np.median(above[deep])) if deep.sum() >= FEWEST_DEEP_VOXELS else float(above[inside].max())
    edge = plateau
    if solid.any() and halo_share >= LEAST_HALO_SHARE:
        edge = float(np.median(above[halo]))
    bright = ~inside & (above > max(edge, LEAST_CONTRAST_HU) / 2)
    other = ~inside & (_distance_from(bright, unit) <= OTHER_REACH)
    outer = ~inside & (outside <= OUTER_REACH)
    clean = outer & ~other
    # What is free of other structures outside stands for all of it.
    weight = inside.astype(np.float32)
    weight[clean] = outer.sum() / max(int(clean.sum()), 1)
    slice_mm = slice_thickness_mm(volume)
    excess = float((raw * weight).sum(dtype=np.float64))

    if edge < LEAST_CONTRAST_HU or clean.sum() < LEAST_CLEAN_SHARE * outer.sum():
        # Nothing stands out from the lung, or there is no lung around: the mask is all there is to go by.
        share = level = inside.astype(np.float32)
        contrast = edge
    elif edge != plateau:
        share, level, contrast = np.clip(raw / edge, -1.0, 1.0) * weight, above / np.float32(edge), edge
        share[deep] = 1.0
    elif deep.sum() >= FEWEST_DEEP_VOXELS:
        local = _nearest_deep(raw, deep, spacing, unit)
        share, level, contrast = (
            np.clip(raw / local, -1.0, 1.5) * weight,
            above / local,
            float(np.median(local[inside])),
        )
        share[deep] = 1.0
    else:
        contrast = unblurred_contrast(raw * weight, above, inside, spacing, slice_mm, lung)
        share, level = raw * weight / np.float32(contrast), above / np.float32(contrast)
    return Occupancy(
        start,
        spacing,
        slice_mm,
        smooth,
        share,
        level,
        inside,
        depth,
        other,
        solid,
        halo,
        halo_share,
        lung,
        contrast,
        excess,
    )


def boxed(volume: Volume, mask: VoxelMask, reach: float, unit: Floats) -> tuple[NDArray[np.intp], Singles, Bools]:
    """The box that reaches beyond a mask: its first voxel's index, its densities, and the mask in it."""
    pad = np.ceil(reach / unit).astype(int) + 1
    start = np.maximum(np.asarray(mask.start_kji) - pad, 0)
    stop = np.minimum(np.add(mask.start_kji, mask.voxels.shape) + pad, volume.shape)
    hu = volume.voxels[tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))].astype(np.float32)
    inside = np.zeros(hu.shape, dtype=bool)
    offset = np.subtract(mask.start_kji, start)
    inside[tuple(slice(a, a + n) for a, n in zip(offset, mask.voxels.shape, strict=True))] = mask.voxels
    return start, hu, inside


def lung_density(volume: Volume, mask: VoxelMask) -> float:
    """Median density of the lung around a mask."""
    spacing = volume.spacing_kji_mm
    unit = spacing / np.maximum(spacing, UNIT_MM)
    _, hu, inside = boxed(volume, mask, RING[1], unit)
    # Every other row and column say the same of a median, in a quarter of the time.
    hu, outside = (
        hu[:, ::2, ::2],
        ndimage.distance_transform_edt(~inside[:, ::2, ::2], sampling=unit * (1.0, 2.0, 2.0)),
    )
    ring = hu[(outside > RING[0]) & (outside <= RING[1]) & (hu < AIR_BELOW_HU)]
    return float(np.median(ring)) if len(ring) > FEWEST_RING_VOXELS else NORMAL_LUNG_HU


def _distance_from(voxels: Bools, unit: Floats) -> Floats:
    if not voxels.any():
        return np.full(voxels.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(~voxels, sampling=unit))


def _nearest_deep(raw: Singles, deep: Bools, spacing: Floats, unit: Floats) -> Singles:
    """Contrast of the nearest voxels deep in the nodule, where blur does not reach: a rim's own full density."""
    sigma = 0.7 / spacing
    mean = ndimage.gaussian_filter(np.where(deep, raw, np.float32(0)), sigma, truncate=3)
    mean /= np.maximum(ndimage.gaussian_filter(deep.astype(np.float32), sigma, truncate=3), 1e-3)
    nearest = ndimage.distance_transform_edt(~deep, sampling=unit, return_distances=False, return_indices=True)
    return np.maximum(mean[tuple(nearest)], np.float32(LEAST_CONTRAST_HU))
