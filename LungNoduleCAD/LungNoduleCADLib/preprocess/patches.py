"""Cubic patches around points (A7, with fault 4 put right: a patch at the border is padded, its centre stays its
centre)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike


def extract_patches(image: torch.Tensor, centers_kji: ArrayLike, size: int = 64, fill: float = 0.0) -> torch.Tensor:
    """Cut patches with their points at voxel `size // 2` of each axis.

    :param image: tensor (k, j, i).
    :param centers_kji: points (n, 3), continuous indices, rounded to the nearest voxel.
    :param fill: value outside the image; 0 is air after the window.
    :returns: tensor (n, 1, size, size, size) of the image's type.
    """
    centers = np.rint(np.asarray(centers_kji, dtype=np.float64).reshape(-1, 3)).astype(int)
    patches = image.new_full((len(centers), 1, size, size, size), fill)
    for patch, center in zip(patches, centers, strict=True):
        first = center - size // 2
        source, target = _overlap(first, size, image.shape)
        patch[0][target] = image[source]
    return patches


def _overlap(
    first: Sequence[int] | np.ndarray, size: int, shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of the image and of the patch where the two overlap; empty ones when they do not."""
    source, target = [], []
    for begin, length in zip(first, shape, strict=True):
        low = min(max(int(begin), 0), length)
        high = max(min(int(begin) + size, length), low)
        source.append(slice(low, high))
        target.append(slice(low - int(begin), high - int(begin)) if high > low else slice(0, 0))
    return tuple(source), tuple(target)


def spherical_mask(diameter_mm: float, size: int = 64, spacing_mm: float = 1.0) -> np.ndarray:
    """Bool (size, size, size) ball of the annotated diameter around voxel `size // 2` (A7)."""
    axis = (np.arange(size) - size // 2) * spacing_mm
    k, j, i = np.ogrid[:size, :size, :size]
    distance2 = axis[k] ** 2 + axis[j] ** 2 + axis[i] ** 2
    return distance2 <= (diameter_mm / 2) ** 2
