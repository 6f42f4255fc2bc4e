"""Size of the solid part of a part-solid nodule: measured as a nodule in its ground-glass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .axes import axial_axes
from .contrast import LEAST_CONTRAST_HU, unblurred_contrast
from .ellipsoid import fitted_ellipsoid
from .local_box import depth_mm, equivalent_diameter
from .occupancy import Occupancy
from .parts import near_core, part_with_seed

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

OPENING = 0.6
"""Radius of the ball, as a share of that of the largest one in the solid part."""


def solid_part(found: Occupancy) -> tuple[float, float]:
    """Mean diameter (mm) and volume (mm3) of the largest solid part of a nodule with ground-glass around it.

    :returns: zeros when nothing in it is solid.
    """
    if not found.solid.any():
        return 0.0, 0.0
    labels, _ = ndimage.label(_without_strands(found.solid, found.spacing), structure=np.ones((3, 3, 3)))
    solid = labels == 1 + int(np.bincount(labels.ravel())[1:].argmax())
    halo = found.mask & ~ndimage.binary_dilation(solid, iterations=2)
    halo_hu = float(np.median(found.hu[halo if halo.any() else found.mask]))
    above = found.hu - np.float32(halo_hu)
    near = ndimage.binary_dilation(solid, iterations=1) & found.mask
    contrast = unblurred_contrast(
        np.where(near, above, np.float32(0)), above, solid, found.spacing, found.slice_mm, halo_hu
    )
    level = above / np.float32(max(contrast, LEAST_CONTRAST_HU))
    share = np.where(near, np.clip(level, 0, 1), np.float32(0))
    part = replace(found, share=share, level=level, mask=solid, other=np.zeros_like(solid))
    diameter = equivalent_diameter(part.volume_mm3)
    axes = axial_axes(part, fitted_ellipsoid(part, diameter), diameter)
    return (axes.long_mm + axes.short_mm) / 2, part.volume_mm3


def _without_strands(solid: Bools, spacing: Floats) -> Bools:
    """What is solid without vessels and the pleura's rim, which the mask may hold: an opening by a ball."""
    depth = depth_mm(solid, spacing)
    radius = OPENING * float(depth.max())
    return near_core(solid, part_with_seed(depth > radius, solid, depth[solid] ** 2), radius, spacing)
