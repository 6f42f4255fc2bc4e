"""A second look at proposals in the coronal and the sagittal plane: a vessel that crosses the axial slices looks round
in them, and long from the side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from .devices import autocast

WINDOW = 48
"""Edge of what the network sees of a slice, voxels."""
LOOK = 7
"""Slices of each plane, and voxels of each slice, around a proposal's centre in which its peak is looked for."""
SMOOTHING = 0.6
"""As in `group`: a single hot voxel is not a nodule."""


def side_peaks(
    network: nn.Module,
    image: Tensor,
    centers_kji: Sequence[tuple[float, float, float]],
    *,
    slices: int = 7,
    batch: int = 8,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.float64]:
    """Peak (n,) of the segmentation network's heat around points, seen from the side: the lower one of the coronal and
    the sagittal plane's, since a nodule is round in both and a vessel in one.

    :param network: (n, slices, h, w) to (n, 1, h, w) logits, on `device`; trained on slices of all three planes.
    :param image: prepared lung (k, j, i) with isotropic voxels; its outermost voxels stand in for those beyond it.
    :param batch: points at a time. `progress` is called between any two batches, and may raise to stop.
    """
    device = torch.device(device)
    out = np.ones(len(centers_kji))
    for first in range(0, len(centers_kji), batch):
        if progress is not None:
            progress(first / len(centers_kji))
        points = [np.rint(c).astype(int) for c in centers_kji[first : first + batch]]
        for plane in (1, 2):
            stack = torch.cat([_stack(image, point, plane, slices) for point in points]).to(device)
            with torch.inference_mode(), autocast(device):
                logits = network(stack.contiguous(memory_format=torch.channels_last))
            heat = logits[:, 0].float().sigmoid().unflatten(0, (len(points), LOOK)).cpu().numpy()
            some = out[first : first + batch]
            np.minimum(some, _central_peaks(heat), out=some)
    return out


def _stack(image: Tensor, point: NDArray[np.int_], plane: int, slices: int) -> Tensor:
    """Focus slices (LOOK, slices, WINDOW, WINDOW) of one plane around a point, their neighbours as channels."""
    sizes = [WINDOW] * 3
    sizes[plane] = LOOK + slices - 1
    box = image
    for axis, (center, size, length) in enumerate(zip(point, sizes, image.shape, strict=True)):
        indices = torch.arange(int(center) - size // 2, int(center) - size // 2 + size, device=image.device)
        box = box.index_select(axis, indices.clamp_(0, length - 1))
    return box.movedim(plane, 0).unfold(0, slices, 1).permute(0, 3, 1, 2)


def _central_peaks(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest smoothed heat around the middle of each of (n, LOOK, WINDOW, WINDOW)."""
    middle = slice(WINDOW // 2 - LOOK // 2, WINDOW // 2 + LOOK // 2 + 1)
    smooth = ndimage.gaussian_filter(heat, (0, SMOOTHING, SMOOTHING, SMOOTHING), mode="nearest")
    peaks: NDArray[np.float32] = smooth[:, :, middle, middle].max(axis=(1, 2, 3))
    return peaks
