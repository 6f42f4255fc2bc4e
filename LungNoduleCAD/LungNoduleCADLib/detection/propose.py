"""From the prepared lung to a nodule probability for every voxel (B4, B8)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from .devices import autocast

IN_PLANE_MARGIN = 12
"""Voxels of context around the lung in each slice; beyond, the network sees nothing it needs."""
PLEURA_REACH_MM = 4.0
"""A lung mask may cut through a nodule that lies on the pleura."""


def slice_stacks(image: Tensor, first: int, last: int, slices: int) -> Tensor:
    """The focus slices [first, last) with their neighbours as channels; the outermost slice stands in for those beyond
    it.

    :param image: (k, j, i).
    :returns: (last - first, slices, j, i).
    """
    half = slices // 2
    indices = torch.arange(first - half, last + half, device=image.device).clamp_(0, image.shape[0] - 1)
    return image[indices].unfold(0, slices, 1).permute(0, 3, 1, 2)


def heat_map(
    network: nn.Module,
    image: Tensor,
    inside: NDArray[np.bool_] | None = None,
    *,
    slices: int = 7,
    batch: int = 8,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.float32]:
    """Nodule probability (k, j, i), 0 to 1.

    :param network: (n, slices, h, w) to (n, 1, h, w) logits, on `device`.
    :param image: prepared lung (k, j, i), values in [0, 1].
    :param inside: where nodules may be; each batch runs on the rectangle around it, and it is 0 elsewhere.
    :param batch: slices at a time. `progress` is called between any two batches, and may raise to stop.
    """
    device = torch.device(device)
    out = np.zeros(tuple(image.shape), dtype=np.float32)
    starts = range(0, image.shape[0], batch)
    for n, first in enumerate(starts):
        if progress is not None:
            progress(n / len(starts))
        last = min(first + batch, image.shape[0])
        window = _rectangle(None if inside is None else inside[first:last], image.shape[1:])
        if window is None:
            continue
        stack = slice_stacks(image[:, window[0], window[1]], first, last, slices).to(device)
        with torch.inference_mode(), autocast(device):
            logits = network(stack.contiguous(memory_format=torch.channels_last))
        out[first:last, window[0], window[1]] = logits[:, 0].float().sigmoid().cpu().numpy()
    if inside is not None:
        out *= inside
    return out


def reach_of(lung: NDArray[np.bool_], spacing_mm: float, reach_mm: float = PLEURA_REACH_MM) -> NDArray[np.bool_]:
    """The lung mask (k, j, i) grown by a box of `reach_mm`: a nodule at the pleura is followed to its end."""
    size = 2 * round(reach_mm / spacing_mm) + 1
    grown = lung.view(np.uint8)
    for axis in range(3):
        grown = ndimage.maximum_filter1d(grown, size, axis=axis, mode="constant")
    return grown.view(bool)


def _rectangle(inside: NDArray[np.bool_] | None, shape: torch.Size | tuple[int, ...]) -> tuple[slice, slice] | None:
    """Rows and columns around the mask, sides a multiple of 8 where the image allows it (what the U-Net pools without
    padding); None when the mask is empty."""
    if inside is None:
        return slice(0, shape[0]), slice(0, shape[1])
    footprint = np.asarray(inside.any(axis=0))
    sides = []
    for axis, length in enumerate(shape):
        used = np.flatnonzero(footprint.any(axis=1 - axis))
        if not len(used):
            return None
        low, high = max(int(used[0]) - IN_PLANE_MARGIN, 0), min(int(used[-1]) + 1 + IN_PLANE_MARGIN, length)
        grow = -(high - low) % 8
        high = min(high + grow, length)
        low = max(low - (-(high - low) % 8), 0)
        sides.append(slice(low, high))
    return sides[0], sides[1]
