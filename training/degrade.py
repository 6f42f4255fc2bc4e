"""What scanners do to the same lung: slice thickness, kernel, noise, and how bright it comes out."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import make_interp_spline

THICKNESSES_MM = (1.5, 2.0, 2.5, 3.0)
PHASES = 4
THIN_MM = 1.6
"""Scans with thinner slices can stand for thicker ones."""


@lru_cache(maxsize=64)
def slice_operator(depth: int, thickness_mm: float, phase: float) -> NDArray[np.float32]:
    """Matrix (depth, depth) that takes 1 mm slices to what resampling makes of a scan with thicker ones: boxes of that
    thickness, then cubic interpolation back to 1 mm, as the preprocessing does.

    :param phase: where the first thick slice lies, as a share of the thickness.
    """
    centers = np.arange((phase - 1.5) * thickness_mm, depth + 1.5 * thickness_mm, thickness_mm)
    fine = np.clip(np.arange(-20, (depth + 20) * 10) / 10, -0.5, depth - 0.5)
    index = np.clip(np.rint(fine).astype(int), 0, depth - 1)
    boxes = np.zeros((len(centers), depth))
    for row, center in zip(boxes, centers, strict=True):
        edges = np.clip((center - thickness_mm / 2, center + thickness_mm / 2), -0.5, depth - 0.5)
        if edges[1] - edges[0] < 0.05:
            row[0 if center < depth / 2 else -1] = 1
            continue
        np.add.at(row, index[(fine >= edges[0]) & (fine <= edges[1])], 1.0)
        row /= row.sum()
    back = make_interp_spline(centers, boxes, k=3)(np.arange(depth))
    operator: NDArray[np.float32] = back.astype(np.float32)
    return operator


def degrade(x: NDArray[np.float32], rng: np.random.Generator, slice_mm: float) -> NDArray[np.float32]:
    """One random scanner: `x` (k, j, i), levels 0-255 at 1 mm from slices `slice_mm` apart; not clipped.

    A third of the samples stay as sharp and as thin as they were.
    """
    draw = rng.random()
    if draw < (0.4 if slice_mm < THIN_MM else 0.1):
        thickness, phase = float(rng.choice(THICKNESSES_MM)), rng.integers(PHASES) / PHASES
        x = np.tensordot(slice_operator(len(x), thickness, phase), x, axes=(1, 0))
    draw = rng.random()
    if draw < 0.35:
        x = ndimage.gaussian_filter(x, (0, *[rng.uniform(0.3, 1.1)] * 2), truncate=2.5)
    elif draw < 0.5:
        x = x + np.float32(rng.uniform(0.3, 1.2)) * (x - ndimage.uniform_filter(x, (0, 3, 3)))
    if rng.random() < 0.4:
        x = x + noise(x.shape, rng)
    if rng.random() < 0.5:
        gamma, gain, offset = (np.float32(rng.uniform(*r)) for r in ((0.8, 1.2), (0.95, 1.05), (-6, 6)))
        x = (np.clip(x, 0, 255) / 255) ** gamma * 255 * gain + offset
    return x


def noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of a sharp kernel (white) or of a soft one (correlated in the slice), mostly below 60 HU, now and then as
    strong as in a thin B70f scan."""
    field = rng.standard_normal(shape, dtype=np.float32)
    if rng.random() < 0.6:
        field = ndimage.uniform_filter(field, (1, 2, 2)) * 2
    strongest = 28 if rng.random() < 0.2 else 12
    return field * np.float32(rng.uniform(1, strongest))
