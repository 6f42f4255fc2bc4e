"""Wavelet enhancement (A5) of what training draws: after insertion and scanner, as a scan has them before it is
enhanced."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from LungNoduleCADLib.preprocess.settings import Wavelet
from LungNoduleCADLib.preprocess.wavelet import wavelet_enhance


def enhanced(levels: NDArray[np.float32], wavelet: Wavelet | None) -> NDArray[np.float32]:
    """Levels (k, j, i), 0 to 255, with their axial slices enhanced; without a wavelet, as they are.

    The detail's strength is measured in what is given: a piece of a lung is judged by itself.
    """
    if wavelet is None:
        return levels
    slices = torch.from_numpy(np.clip(levels, 0, 255) / np.float32(255))
    out: NDArray[np.float32] = enhanced_slices(slices, wavelet).mul_(255).numpy()
    return out


def enhanced_slices(slices: torch.Tensor, wavelet: Wavelet | None) -> torch.Tensor:
    """The same of a tensor (k, j, i) in [0, 1]."""
    if wavelet is None:
        return slices
    return wavelet_enhance(slices, factor=wavelet.factor, wavelet=wavelet.name, level=wavelet.level)
