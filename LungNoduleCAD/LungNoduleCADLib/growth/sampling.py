"""A scan at points that are not its voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..volume import Volume

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


def cube(low_lps: NDArray[np.float64], high_lps: NDArray[np.float64], step_mm: float) -> Floats:
    """Points (k, j, i, 3) in LPS mm, evenly spread about the middle of a box; k runs along z, j along y, i along x."""
    middle = (np.asarray(low_lps) + high_lps) / 2
    count = np.ceil((np.asarray(high_lps) - low_lps) / 2 / step_mm).astype(int)
    x, y, z = (m + step_mm * np.arange(-n, n + 1) for m, n in zip(middle, count, strict=True))
    k, j, i = np.meshgrid(z, y, x, indexing="ij")
    return np.stack([i, j, k], axis=-1)


def sampled(volume: Volume, points_lps: Floats, order: int) -> Singles:
    """Values at points, from the part of the volume around them; its edge goes on beyond it."""
    index = volume.lps_to_index(points_lps)
    # Each column on its own: numpy is ten times slower over many rows of three.
    least, greatest = ([f(index[..., axis]) for axis in range(3)] for f in (np.min, np.max))
    last = np.array(volume.shape) - 1
    low = np.clip(np.floor(least).astype(int), 0, last)
    high = np.clip(np.ceil(greatest).astype(int), 0, last) + 1
    part = volume.voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.float32)
    return np.asarray(
        ndimage.map_coordinates(part, np.moveaxis(index - low, -1, 0), order=order, mode="nearest"), dtype=np.float32
    )
