"""Surface and sphericity of a nodule's edge between the voxels."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .axes import EDGE
from .local_box import equivalent_diameter, extent_of
from .occupancy import Occupancy

STEPS_ACROSS = 16
FINEST_MM, COARSEST_MM = 0.4, 1.0
"""The edge is drawn on a grid of so many steps across the nodule, within these bounds."""


def surface_and_sphericity(found: Occupancy, volume_mm3: float) -> tuple[float, float]:
    """Surface, mm2, of the edge scaled to a volume; and sphericity, at most 1.

    The surface is ITK's estimate from the edge's crossings of many directions (Lehmann and Legland, Insight Journal,
    2012).
    """
    step = float(np.clip(equivalent_diameter(volume_mm3) / STEPS_ACROSS, FINEST_MM, COARSEST_MM))
    box = extent_of(found.mask, margin=1)
    near = (ndimage.binary_dilation(found.mask[box]) & ~found.other[box]) | found.mask[box]
    level = np.pad(np.where(near, np.clip(found.level[box], 0, 1), np.float32(0)), 1)
    fine = ndimage.zoom(level, found.spacing / step, order=1, mode="grid-constant", grid_mode=True) >= EDGE
    if not fine.any():
        fine = ndimage.zoom(np.pad(found.mask[box], 1).astype(np.float32), found.spacing / step, order=0) >= EDGE
    image = sitk.GetImageFromArray(fine.astype(np.uint8))
    image.SetSpacing([float(s) for s in (np.array(level.shape) * found.spacing / fine.shape)[::-1]])
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputePerimeterOn()
    # Threads cost more than they save on a thousand voxels.
    shape.SetNumberOfWorkUnits(1)
    shape.Execute(image)
    drawn, surface = shape.GetPhysicalSize(1), shape.GetPerimeter(1)
    surface *= (volume_mm3 / drawn) ** (2 / 3)
    sphere = np.pi * equivalent_diameter(volume_mm3) ** 2
    return float(surface), float(min(sphere / surface, 1.0))
