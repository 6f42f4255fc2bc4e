"""The classifier's opinion of proposals: nodule and malignancy from what is around each (B9, B10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..preprocess.patches import extract_patches
from .devices import autocast

MIRRORED: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (4,))
"""Each patch is seen as it is and mirrored along each axis; the mean opinion errs less than any of them alone."""


def classify(
    network: nn.Module,
    image: Tensor,
    centers_kji: Sequence[tuple[float, float, float]],
    *,
    patch_size: int = 64,
    batch: int = 8,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.float32]:
    """Logits (n, 2) of "nodule" and "malignant" for patches centred on points of the prepared lung: the mean over
    mirror images.

    :param network: (n, 1, s, s, s) to (n, 2) logits, on `device`.
    :param image: prepared lung (k, j, i); beyond it patches are air.
    """
    device = torch.device(device)
    out = np.zeros((len(centers_kji), 2), dtype=np.float32)
    for first in range(0, len(centers_kji), batch):
        if progress is not None:
            progress(first / len(centers_kji))
        patches = extract_patches(image, centers_kji[first : first + batch], patch_size).to(device)
        for axes in MIRRORED:
            seen = patches.flip(axes).contiguous(memory_format=torch.channels_last_3d)
            with torch.inference_mode(), autocast(device):
                logits = network(seen)
            out[first : first + batch] += logits.float().cpu().numpy() / len(MIRRORED)
    return out
