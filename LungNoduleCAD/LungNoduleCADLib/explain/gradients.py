"""Which voxels carry the score, by the classifier's own gradient: integrated gradients (Sundararajan et al., ICML
2017).

Chosen before SmoothGrad because it needs no random numbers, and because it adds up: the values of all voxels together
are the logit of the patch less that of empty lung, so that a map can be checked, and be compared with another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import nn

from ..preprocess.settings import Preprocessing
from .occlusion import LUNG_HU, filled
from .patch import as_batch


@dataclass(frozen=True)
class GradientSettings:
    """How the gradient is collected.

    :param steps: between empty lung and the patch, each at the middle of its piece of the way.
    :param baseline_hu: of the empty lung that the way begins at.
    :param smooth_mm: standard deviation of the final smoothing, without which single voxels flicker; it changes no sum.
    """

    steps: int = 48
    baseline_hu: float = LUNG_HU
    smooth_mm: float = 1.0


def integrated_gradients(
    network: nn.Module,
    patch: NDArray[np.float32],
    preprocessing: Preprocessing,
    settings: GradientSettings | None = None,
    *,
    batch: int = 8,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.float32]:
    """Share of the nodule logit that each voxel brings, per mm3; below 0 where it speaks against a nodule.

    :param network: (n, 1, s, s, s) to (n, 2) logits, on `device`. :param patch: (s, s, s), prepared.
    :param progress: takes the share that is done; what it raises ends the work.
    :returns: (s, s, s).
    """
    settings = settings or GradientSettings()
    whole = as_batch(patch, device)
    baseline = torch.full_like(whole, filled(settings.baseline_hu, preprocessing))
    total = torch.zeros_like(whole)
    shares = (torch.arange(settings.steps, device=whole.device, dtype=torch.float32) + 0.5) / settings.steps
    for first in range(0, settings.steps, batch):
        if progress is not None:
            progress(first / settings.steps)
        way = shares[first : first + batch].view(-1, 1, 1, 1, 1)
        points = (baseline + way * (whole - baseline)).contiguous(memory_format=torch.channels_last_3d)
        with torch.enable_grad():
            points.requires_grad_(True)
            (gradient,) = torch.autograd.grad(network(points)[:, 0].sum(), points)
        total += gradient.sum(dim=0, keepdim=True)
    shared = ((whole - baseline) * total / settings.steps)[0, 0].cpu().numpy()
    spacing = preprocessing.spacing_mm
    return gaussian_filter(shared, settings.smooth_mm / spacing, output=np.float32) / np.float32(spacing**3)
