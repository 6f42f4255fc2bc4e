"""Parts of a mask: the one that a seed lies in, and what is left of it without what is thin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def part_with_seed(voxels: Bools, seed: Bools, weight: Floats | None = None) -> Bools:
    """The 6-connected part that holds most of a seed; empty when none holds any.

    :param weight: (n,) of the seed's voxels; None counts them.
    """
    labels, count = ndimage.label(voxels)
    if not count:
        return voxels
    if count == 1:
        return voxels if voxels[seed].any() else np.zeros_like(voxels)
    held = np.bincount(labels[seed], weights=weight, minlength=count + 1)
    held[0] = 0
    best = int(held.argmax())
    return labels == best if held[best] > 0 else np.zeros_like(voxels)


def near_core(voxels: Bools, core: Bools, radius_mm: float, spacing: Floats) -> Bools:
    """Those of the voxels that a ball covers whose middle may lie anywhere in a core: an opening, when the core is as
    deep in the voxels as the ball's radius."""
    # Half a voxel more, because distances are between voxel centres, and the core's edge lies beyond its outermost one.
    reach = radius_mm + float(spacing[1]) / 2
    return np.asarray(voxels & (ndimage.distance_transform_edt(~core, sampling=spacing) <= reach))
