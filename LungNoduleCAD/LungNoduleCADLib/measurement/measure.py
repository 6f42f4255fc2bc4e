"""First measurements of a nodule on the scan's own voxels."""

from __future__ import annotations

from ..findings import Measurements, VoxelMask
from ..volume import Volume
from .axes import axial_axes
from .density import density_type
from .local_box import equivalent_diameter, trimmed


def measure(volume: Volume, mask: VoxelMask) -> Measurements:
    """Size, density and type of what a mask holds.

    Volume and diameter count voxels, so that they agree with the exported segmentation; the axes follow the density
    between voxels. Mean, least and greatest HU are of all voxels, the blurred rim included; the type is of the core
    alone.

    :param volume: CT in HU; axes at right angles, any spacing and orientation.
    :raises ValueError: when the mask is empty or reaches beyond the volume.
    """
    if not mask.voxels.any():
        raise ValueError("an empty mask has no measurements")
    mask = trimmed(mask)
    if any(side.start < 0 or side.stop > n for side, n in zip(mask.region, volume.shape, strict=True)):
        raise ValueError(f"the mask at {mask.start_kji} reaches beyond the volume of {volume.shape}")
    hu = volume.voxels[mask.region][mask.voxels]
    size = float(mask.voxels.sum()) * volume.voxel_volume_mm3
    long_axis, short_axis = axial_axes(volume, mask)
    return Measurements(
        diameter_mm=equivalent_diameter(size),
        long_axis_mm=long_axis,
        short_axis_mm=short_axis,
        volume_mm3=size,
        mean_hu=float(hu.mean()),
        min_hu=float(hu.min()),
        max_hu=float(hu.max()),
        density=density_type(volume, mask),
    )
