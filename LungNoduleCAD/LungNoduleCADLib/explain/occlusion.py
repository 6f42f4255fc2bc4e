"""Which places carry the score: cover one after the other with lung, and see how far the classifier's logit falls
(Zeiler and Fergus, ECCV 2014)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor, nn

from ..preprocess.settings import Preprocessing
from ..preprocess.window import apply_window
from .patch import as_batch

LUNG_HU = -850.0
"""Density of inflated lung, which the detector sees nothing in."""


@dataclass(frozen=True)
class OcclusionSettings:
    """How a patch is covered.

    :param side_mm: edge of the cube that covers; 7 mm hide a nodule of the least size that matters, and leave its
        surroundings. :param step_mm: from one place to the next; the map is interpolated between.
    :param fill_hu: what the cube is filled with.
    """

    side_mm: float = 7.0
    step_mm: float = 4.0
    fill_hu: float = LUNG_HU


def filled(hu: float, preprocessing: Preprocessing) -> float:
    """A density as the networks see it."""
    return float(apply_window(torch.tensor(hu), preprocessing.window_hu))


def occlusion_map(
    network: nn.Module,
    patch: NDArray[np.float32],
    preprocessing: Preprocessing,
    settings: OcclusionSettings | None = None,
    *,
    batch: int = 16,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.float32]:
    """Fall of the nodule logit when a cube around each voxel is covered; below 0 where covering raises it.

    In float32 also where detection runs in half precision, whose steps of 0.03 would be seen in the map.

    :param network: (n, 1, s, s, s) to (n, 2) logits, on `device`. :param patch: (s, s, s), prepared.
    :param progress: takes the share that is done; what it raises ends the work.
    :returns: (s, s, s).
    """
    settings, size = settings or OcclusionSettings(), len(patch)
    half = max(round((settings.side_mm / preprocessing.spacing_mm - 1) / 2), 0)
    step = max(round(settings.step_mm / preprocessing.spacing_mm), 1)
    # Counted from the middle, where the candidate lies: a small one is covered whole at one place at least.
    middle, reach = size // 2, (size // 2 - 1) // step
    axis = middle + step * np.arange(-reach, reach + 1)
    centers = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    whole, fill = as_batch(patch, device), filled(settings.fill_hu, preprocessing)
    falls = np.empty(len(centers), dtype=np.float32)
    with torch.inference_mode():
        before = _logits(network, whole)
        for first in range(0, len(centers), batch):
            if progress is not None:
                progress(first / len(centers))
            chosen = centers[first : first + batch]
            covered = whole.repeat(len(chosen), 1, 1, 1, 1)
            for one, center in zip(covered, chosen, strict=True):
                k, j, i = (slice(max(c - half, 0), c + half + 1) for c in center.tolist())
                one[0, k, j, i] = fill
            falls[first : first + batch] = (before - _logits(network, covered)).cpu().numpy()
    places = (np.indices(patch.shape) - axis[0]) / step
    lattice = falls.reshape(len(axis), len(axis), len(axis))
    return map_coordinates(lattice, places, output=np.float32, order=1, mode="nearest")


def _logits(network: nn.Module, patches: Tensor) -> Tensor:
    logits: Tensor = network(patches.contiguous(memory_format=torch.channels_last_3d))[:, 0]
    return logits.float()
