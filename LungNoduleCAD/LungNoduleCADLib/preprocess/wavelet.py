"""Wavelet enhancement of axial slices: shrink fine detail that is no stronger than the noise, keep the coarse shape.

Each slice is decomposed (Daubechies db4, 2 levels), every detail band is soft-thresholded at `factor` times its own
standard deviation (Donoho 1995), and the slice is rebuilt. The result stays on the input's scale: stretching it to the
volume's own minimum and maximum would let one metal voxel change every other value.

A wavelet transform of a line is a linear map, border extension included, so one level is a sparse banded matrix. It is
read off PyWavelets by transforming the unit vectors, which makes the result PyWavelets' own, and is applied to all
slices at once: the same code on CPU and GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pywt
import torch
from numpy.typing import NDArray

from .banded import BandedMatrix

BORDER_MODE = "symmetric"
CPU_SLICES = 8
"""Slices worked on together on a CPU, so that they stay in its cache."""
ACCELERATOR_SLICES = 64
"""Slices worked on together on an accelerator: enough to fill it, 0.5 GB at 512 x 512."""


class _LevelMatrices(NamedTuple):
    """One level of the transform of a line of n samples: low and high pass, there (m, n) and back (n, m)."""

    to_low: BandedMatrix
    to_high: BandedMatrix
    from_low: BandedMatrix
    from_high: BandedMatrix


def wavelet_enhance(slices: torch.Tensor, factor: float = 1.0, wavelet: str = "db4", level: int = 2) -> torch.Tensor:
    """Denoise axial slices by soft thresholding of their wavelet details.

    :param slices: (n, h, w) float32 in [0, 1], on any device.
    :param factor: threshold of a detail band, in standard deviations of that band in that slice; 0 changes nothing.
    :param wavelet: name of a discrete wavelet known to PyWavelets.
    :param level: number of decomposition levels.
    :return: (n, h, w) float32 in [0, 1], same device; equal to PyWavelets' `wavedec2`, `threshold`, `waverec2` with
        symmetric borders, to 1e-4.
    :raises ValueError: when the tensor is not (n, h, w), or the factor or level is negative.
    """
    if slices.ndim != 3:
        raise ValueError(f"expected slices (n, h, w), got shape {tuple(slices.shape)}")
    if factor < 0 or level < 0:
        raise ValueError(f"factor and level must not be negative, got {factor} and {level}")
    values = slices.to(torch.float32)
    if factor == 0 or level == 0 or values.numel() == 0:
        return values.clamp(0.0, 1.0)
    on_cpu = values.device.type == "cpu"
    rows = _matrices(wavelet, values.shape[1], level, values.device)
    columns = _matrices(wavelet, values.shape[2], level, values.device)
    enhanced = torch.empty_like(values, memory_format=torch.contiguous_format)
    step = CPU_SLICES if on_cpu else ACCELERATOR_SLICES
    with torch.no_grad(), _full_precision(values.device):
        for start in range(0, len(values), step):
            part = _shrink(values[start : start + step].contiguous(), rows, columns, factor)
            torch.clamp(part, 0.0, 1.0, out=enhanced[start : start + step])
    return enhanced


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Keep matrix products in true float32 where a network's settings (autocast, TF32) would round to three digits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _shrink(
    image: torch.Tensor, rows: list[_LevelMatrices], columns: list[_LevelMatrices], factor: float
) -> torch.Tensor:
    """Decompose, threshold and rebuild (n, h, w); recurses into the approximation, level by level."""
    if not rows:
        return image
    row, column = rows[0], columns[0]
    low = row.to_low.along_rows(image)
    high = row.to_high.along_rows(image)
    approximation = column.to_low.along_columns(low)
    low_high = _soft_threshold(column.to_high.along_columns(low), factor)
    high_low = _soft_threshold(column.to_low.along_columns(high), factor)
    high_high = _soft_threshold(column.to_high.along_columns(high), factor)
    approximation = _shrink(approximation, rows[1:], columns[1:], factor)
    low = column.from_low.along_columns(approximation).add_(column.from_high.along_columns(low_high))
    high = column.from_low.along_columns(high_low).add_(column.from_high.along_columns(high_high))
    return row.from_low.along_rows(low).add_(row.from_high.along_rows(high))


def _soft_threshold(band: torch.Tensor, factor: float) -> torch.Tensor:
    """Move every value of (n, h, w) towards zero by `factor` standard deviations of its slice, in place."""
    # A detail band's mean is next to nothing, so the difference of moments is safe in float32, and far faster here
    # than torch.std.
    mean = band.mean(dim=(1, 2), keepdim=True)
    square = torch.linalg.vector_norm(band, dim=(1, 2), keepdim=True).square_() / (band.shape[1] * band.shape[2])
    threshold = (square - mean * mean).clamp_min_(0.0).sqrt_() * factor
    return band.sub_(torch.clamp(band, -threshold, threshold))


def _matrices(wavelet: str, length: int, level: int, device: torch.device) -> list[_LevelMatrices]:
    """The transform's matrices for a line of `length`, finest level first, on a device."""
    levels = []
    for _ in range(level):
        arrays = _level_arrays(wavelet, length)
        levels.append(_LevelMatrices(*(BandedMatrix(array, device) for array in arrays)))
        length = arrays[0].shape[0]
    return levels


@lru_cache(maxsize=64)
def _level_arrays(wavelet: str, length: int) -> tuple[NDArray[np.float32], ...]:
    """Low and high pass analysis (m, n) and synthesis (n, m) of a line of n samples, from PyWavelets."""
    low, high = pywt.dwt(np.eye(length), wavelet, mode=BORDER_MODE, axis=0)
    unit = np.eye(low.shape[0])
    # The inverse of an odd length is one sample too long; its last row is the one waverec2's caller crops.
    from_low = pywt.idwt(unit, None, wavelet, mode=BORDER_MODE, axis=0)[:length]
    from_high = pywt.idwt(None, unit, wavelet, mode=BORDER_MODE, axis=0)[:length]
    return tuple(np.ascontiguousarray(array, dtype=np.float32) for array in (low, high, from_low, from_high))
