"""The lung window (A2)."""

from __future__ import annotations

import torch

from .settings import LUNG_WINDOW_HU

AIR_HU = -1000.0


def apply_window(hu: torch.Tensor, window_hu: tuple[float, float] = LUNG_WINDOW_HU) -> torch.Tensor:
    """HU clipped to the window and scaled to [0, 1], in place where the tensor is already float32."""
    low, high = window_hu
    return hu.float().sub_(low).div_(high - low).clamp_(0.0, 1.0)
