"""A scan as the registration sees it: the lungs with their vessels, on a coarse grid of cubes in LPS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..volume import Volume

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

LOWEST_HU, HIGHEST_HU = -1000.0, 0.0
"""Of lung and vessels. What is denser counts the same, so that bone, which moves with no lung, weighs no more."""
PICTURE_MM = 2.0
AROUND_MM = 30.0
"""Kept around the lungs, so that a first guess that far off still finds something."""
RIM_MM = 4.0
"""Of the chest wall that belongs to the compared region: the lungs' surface is half of what there is to go by."""


@dataclass(frozen=True, eq=False)
class LungPicture:
    """:param image: float32 HU, clipped. :param region: uint8, the lungs with their rim, same grid.
    :param lungs, seen: uint8, the lungs, and what the scan shows of the grid. :param points: of the lungs, LPS mm.
    """

    image: sitk.Image
    region: sitk.Image
    lungs: sitk.Image
    seen: sitk.Image
    points: Floats

    @classmethod
    def of(cls, volume: Volume, lungs: Bools) -> LungPicture:
        """The picture of a scan with at least one voxel of lung."""
        steps = np.maximum(np.rint(2 * PICTURE_MM / volume.spacing_kji_mm), 1).astype(int)
        points = volume.index_to_lps(np.argwhere(lungs[tuple(slice(None, None, n) for n in steps)]) * steps)
        low, high = points.min(axis=0) - AROUND_MM, points.max(axis=0) + AROUND_MM
        grid = sitk.Image([int(n) for n in np.ceil((high - low) / PICTURE_MM)], sitk.sitkFloat32)
        grid.SetSpacing([PICTURE_MM] * 3)
        grid.SetOrigin([float(v) for v in low])
        image = sitk.Resample(as_image(volume, PICTURE_MM), grid, sitk.Transform(), sitk.sitkLinear, LOWEST_HU)
        mask = as_image(volume.with_voxels(lungs.astype(np.uint8)))
        inside = sitk.Resample(mask, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        seen = sitk.Resample(mask * 0 + 1, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        region = sitk.BinaryDilate(inside, [round(RIM_MM / PICTURE_MM)] * 3) * seen
        return cls(image, region, inside, seen, points)


def as_image(volume: Volume, blurred_mm: float | None = None) -> sitk.Image:
    """A volume as an image of SimpleITK.

    :param blurred_mm: densities are clipped, and averaged along every axis to about this spacing.
    """
    voxels = volume.voxels
    if blurred_mm is not None:
        voxels = np.clip(voxels, LOWEST_HU, HIGHEST_HU).astype(np.float32)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing([float(s) for s in volume.spacing_kji_mm[::-1]])
    image.SetOrigin([float(c) for c in volume.origin_lps])
    image.SetDirection([float(c) for c in volume.direction.ravel()])
    if blurred_mm is None:
        return image
    factors = [max(1, int(blurred_mm / s)) for s in volume.spacing_kji_mm[::-1]]
    return image if max(factors) == 1 else sitk.BinShrink(image, factors)
