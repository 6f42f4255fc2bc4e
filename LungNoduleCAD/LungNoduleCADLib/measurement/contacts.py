"""What a mask holds of the vessels and walls that its nodule touches.

A reader's outline, and one like it, lies a little outside the edge. Next to lung that does no harm, for there is hardly
any density beyond the edge. Next to another structure there is, and it would be taken for the nodule's: there the
nodule ends at the ellipsoid that its free edge goes with.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..findings import VoxelMask
from ..volume import Volume
from .body import fitted_body
from .contrast import LEAST_CONTRAST_HU, SMOOTHING_MM
from .local_box import depth_mm, trimmed
from .occupancy import boxed, lung_density
from .quantiles import quantile

REACH_MM = 2.0
"""How far into a mask another structure is looked for: about as far as outlines lie outside the edge."""
LEAST_GAP_MM = 0.7
"""How far outside the body another structure's voxels begin."""
DEEP_SHARE, INNER_SHARE, LOW_QUANTILE = 0.6, 0.4, 0.25
"""Of the greatest depth: what is deeper than the first gives the nodule's density and middle; of what is deeper than
the second, a low quantile is the density of a halo where there is one."""


def without_contacts(volume: Volume, mask: VoxelMask) -> VoxelMask:
    """A mask that holds at least one voxel, without what lies between its nodule's body and another structure.

    :returns: the mask as it is when it touches none, or does not stand out from the lung.
    """
    spacing = volume.spacing_kji_mm
    start, hu, inside = boxed(volume, mask, REACH_MM, np.minimum(spacing, 1.0))
    depth = depth_mm(inside, spacing)
    deep = depth >= DEEP_SHARE * depth.max()
    smooth = ndimage.gaussian_filter(hu, np.array([0.0, 1.0, 1.0]) * SMOOTHING_MM / spacing, truncate=3)
    above = smooth - np.float32(lung_density(volume, mask))
    edge = float(np.median(above[deep])) / 2
    free_edge = min(quantile(above[depth >= INNER_SHARE * depth.max()], LOW_QUANTILE) / 2, edge)
    other, dense = ~inside & (above > edge), inside & (above > free_edge)
    if free_edge < LEAST_CONTRAST_HU / 2 or not other.any():
        return mask
    body = fitted_body(dense, dense & deep, spacing)
    # What a mask lacks of its own nodule is no other structure.
    other[other] = body.outside_mm(np.argwhere(other), spacing)[0] > LEAST_GAP_MM
    if not other.any():
        return mask
    near = inside & (ndimage.distance_transform_edt(~other, sampling=spacing) <= REACH_MM)
    near[near] = body.outside_mm(np.argwhere(near), spacing)[0] > 0
    k, j, i = (int(n) for n in start)
    kept = inside & ~near
    return trimmed(VoxelMask((k, j, i), kept)) if kept.any() else mask
