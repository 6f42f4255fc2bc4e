"""Measurements of a nodule on the scan's own voxels."""

from __future__ import annotations

import numpy as np

from ..findings import Measurements, Point, Segment, VoxelMask
from ..volume import Volume
from .axes import AxialAxes, axial_axes
from .contacts import without_contacts
from .density import density_type
from .ellipsoid import fitted_ellipsoid
from .local_box import equivalent_diameter, trimmed
from .lungs import Lungs
from .occupancy import Occupancy, occupancy
from .place import place_of
from .solid_part import solid_part
from .surface import surface_and_sphericity


def measure(volume: Volume, mask: VoxelMask, lungs: Lungs | None = None) -> Measurements:
    """Size, density, type and place of what a mask holds.

    Volume, diameters, surface and sphericity are of the edge between the voxels, half way between the nodule's density
    and the lung's, wherever the mask's own edge lies near it, and so is the mass. Densities are of all the mask's
    voxels, the blurred rim included.

    :param volume: CT in HU; axes at right angles, any spacing and orientation.
    :param lungs: to say where in the lungs it is; without them the place stays unknown.
    :raises ValueError: when the mask is empty or reaches beyond the volume.
    """
    if not mask.voxels.any():
        raise ValueError("an empty mask has no measurements")
    mask = trimmed(mask)
    if any(side.start < 0 or side.stop > n for side, n in zip(mask.region, volume.shape, strict=True)):
        raise ValueError(f"the mask at {mask.start_kji} reaches beyond the volume of {volume.shape}")
    hu = volume.voxels[mask.region][mask.voxels].astype(np.float64)
    mask = without_contacts(volume, mask)
    found = occupancy(volume, mask)
    size = found.volume_mm3
    diameter = equivalent_diameter(size)
    axes = axial_axes(found, fitted_ellipsoid(found, diameter), diameter)
    density = density_type(volume, mask, found, diameter)
    solid: tuple[float | None, float | None] = (None, None)
    if density == "solid":
        solid = ((axes.long_mm + axes.short_mm) / 2, size)
    elif density == "ground-glass":
        solid = (0.0, 0.0)
    elif density == "part-solid":
        solid = solid_part(found)
    surface, sphericity = surface_and_sphericity(found, size)
    k = int(found.start[0]) + axes.slice_k
    instances = volume.metadata.get("sop_instance_uids")
    place = place_of(found, lungs)
    return Measurements(
        diameter_mm=diameter,
        long_axis_mm=axes.long_mm,
        short_axis_mm=axes.short_mm,
        volume_mm3=size,
        mean_hu=float(hu.mean()),
        min_hu=float(hu.min()),
        max_hu=float(hu.max()),
        density=density,
        sd_hu=float(hu.std()),
        mass_mg=found.mass_mg,
        solid_diameter_mm=solid[0],
        solid_volume_mm3=solid[1],
        surface_mm2=surface,
        sphericity=sphericity,
        side=place.side,
        zone=place.zone,
        pleura_distance_mm=place.pleura_distance_mm,
        juxtapleural=place.juxtapleural,
        juxtavascular=place.juxtavascular,
        axes_slice=k + 1,
        axes_sop_instance_uid=str(instances[k]) if instances else None,
        long_axis_lps=_segment(volume, found, axes, axes.long_ends),
        short_axis_lps=_segment(volume, found, axes, axes.short_ends),
    )


def _segment(volume: Volume, found: Occupancy, axes: AxialAxes, ends: np.ndarray) -> Segment:
    """Ends in the box's slice as LPS mm."""
    index = np.column_stack([np.full(2, axes.slice_k), ends]) + found.start
    a, b = (_point(p) for p in volume.index_to_lps(index))
    return a, b


def _point(lps: np.ndarray) -> Point:
    x, y, z = (float(v) for v in lps)
    return x, y, z
