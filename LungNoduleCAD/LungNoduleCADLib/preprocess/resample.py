"""Resampling to isotropic voxels as three matrix products, one an axis (A3).

Spline interpolation on a regular grid is linear and separable: along each axis it is one matrix from old samples to new
ones. The matrices come from scipy's own spline, so the result is scipy's, while the work is three banded products, the
same on a CPU and on a GPU.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ..volume import Volume
from .banded import BandedMatrix

EDGE_MARGIN = 12
"""Samples of edge extension on either side; a cubic spline's memory of the border falls below 1e-6 within them."""

NEGLIGIBLE_WEIGHT = 1e-8
"""Weights of far samples below this are dropped: together under 0.001 HU of a 1400 HU window."""
SLICES_AT_A_TIME = 8


@lru_cache(maxsize=64)
def resampling_matrix(
    length: int, spacing_mm: float, start: float, count: int, target_mm: float, order: int, antialias: bool
) -> NDArray[np.float32]:
    """Matrix (count, length) that interpolates an axis of `length` samples, `spacing_mm` apart, at `count` points
    `target_mm` apart, the first at continuous index `start`. Beyond the ends the nearest sample is repeated.

    :param order: spline order, 1 (linear) or 3 (cubic, the document's).
    :param antialias: smooth by a Gaussian first where the new spacing is wider, so that a noisy kernel's fine grain
        does not fold into the coarser grid. Its width makes the finer grid's sampling box as wide as the coarser one's.
    """
    identity = np.eye(length, dtype=np.float64)
    columns = np.pad(identity, ((EDGE_MARGIN, EDGE_MARGIN), (0, 0)), mode="edge")
    ratio = target_mm / spacing_mm
    if antialias and ratio > 1:
        columns = ndimage.gaussian_filter1d(columns, np.sqrt((ratio**2 - 1) / 12), axis=0, mode="nearest")
    points = np.clip(start + ratio * np.arange(count), 0, length - 1) + EDGE_MARGIN
    if order > 1:
        columns = ndimage.spline_filter1d(columns, order=order, axis=0, mode="mirror")
    out = np.empty((count, length))
    for n in range(length):
        out[:, n] = ndimage.map_coordinates(columns[:, n], points[None], order=order, prefilter=False, mode="nearest")
    matrix = out.astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def isotropic_grid(
    volume: Volume, spacing_mm: float, start_kji: NDArray[np.int64], stop_kji: NDArray[np.int64]
) -> Volume:
    """An empty (zero-stride) volume whose grid covers voxels [start, stop) of `volume` at `spacing_mm`, same axes,
    first voxel centre at voxel `start`'s."""
    spacing = volume.spacing_kji_mm
    shape = np.floor((np.asarray(stop_kji) - 1 - start_kji) * spacing / spacing_mm + 1e-6).astype(int) + 1
    matrix = volume.ijk_to_lps.copy()
    matrix[:3, :3] = volume.direction * spacing_mm
    matrix[:3, 3] = volume.index_to_lps(start_kji)
    return Volume(np.broadcast_to(np.float32(0), tuple(int(n) for n in shape)), matrix, dict(volume.metadata))


def resample_isotropic(
    volume: Volume,
    spacing_mm: float = 1.0,
    *,
    start_kji: NDArray[np.int64] | None = None,
    stop_kji: NDArray[np.int64] | None = None,
    order: int = 3,
    antialias: bool = True,
    clip: tuple[float, float] | None = None,
    device: torch.device | str = "cpu",
) -> tuple[torch.Tensor, Volume]:
    """Resample voxels [start, stop) of a volume (default: all) to `spacing_mm` along its own axes.

    :param clip: limits applied before interpolation (the intensity window): metal and padding then cannot ring into
        their neighbourhood.
    :returns: float32 tensor (k, j, i) on `device`, and the grid it lives on (its voxels are a placeholder).
    """
    start = np.zeros(3, dtype=int) if start_kji is None else np.asarray(start_kji, dtype=int)
    stop = np.asarray(volume.shape) if stop_kji is None else np.asarray(stop_kji, dtype=int)
    grid = isotropic_grid(volume, spacing_mm, start, stop)
    # A margin of source voxels around the region keeps the spline there independent of where the region was cut.
    low = np.maximum(start - EDGE_MARGIN, 0)
    high = np.minimum(stop + EDGE_MARGIN, volume.shape)
    region = volume.voxels[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
    spacing = volume.spacing_kji_mm
    slices, rows, columns = (
        BandedMatrix(
            resampling_matrix(
                int(high[n] - low[n]),
                float(spacing[n]),
                float(start[n] - low[n]),
                grid.shape[n],
                spacing_mm,
                order,
                antialias,
            ),
            device,
            NEGLIGIBLE_WEIGHT,
        )
        for n in range(3)
    )
    planes = torch.empty((region.shape[0], *grid.shape[1:]), dtype=torch.float32, device=device)
    for first in range(
        0, len(region), SLICES_AT_A_TIME
    ):  # a few at a time, so that little is ever held at full size in float32
        x = torch.as_tensor(np.ascontiguousarray(region[first : first + SLICES_AT_A_TIME])).to(
            device=device, dtype=torch.float32
        )
        if clip is not None:
            x = x.clamp_(*clip)
        planes[first : first + SLICES_AT_A_TIME] = columns.along_columns(rows.along_rows(x))
    out = slices.along_slices(planes)
    return out, grid
