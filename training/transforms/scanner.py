"""What scanners do to the same lung: slice thickness, kernel, noise, and how bright it comes out.

Images are float32 arrays (k, j, i), levels 0-255 at 1 mm; results are not clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from .base import Intensity, Sequence, Transform

Levels = NDArray[np.float32]

THICKNESSES_MM = (1.5, 2.0, 2.5, 3.0)
PHASES = 4
THIN_MM = 1.6
"""Scans with thinner slices can stand for thicker ones."""


@lru_cache(maxsize=64)
def slice_operator(depth: int, thickness_mm: float, phase: float) -> Levels:
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
    operator: Levels = back.astype(np.float32)
    return operator


@dataclass(frozen=True)
class ThickSlices(Intensity):
    """The scan as thicker slices would have shown it."""

    thickness_mm: float
    phase: float

    def __call__(self, image: Levels) -> Levels:
        """Blurred along k."""
        return np.tensordot(slice_operator(len(image), self.thickness_mm, self.phase), image, axes=(1, 0))


@dataclass(frozen=True)
class SoftKernel(Intensity):
    """A softer kernel: blurred within the slices, standard deviations in mm along j and i."""

    sd_mm: tuple[float, float]

    def __call__(self, image: Levels) -> Levels:
        """Blurred along j and i."""
        blurred: Levels = ndimage.gaussian_filter(image, (0, *self.sd_mm), truncate=2.5)
        return blurred


@dataclass(frozen=True)
class SharpKernel(Intensity):
    """A sharper kernel: edges within the slices enhanced."""

    amount: float

    def __call__(self, image: Levels) -> Levels:
        """Enhanced along j and i."""
        return image + np.float32(self.amount) * (image - ndimage.uniform_filter(image, (0, 3, 3)))


@dataclass(frozen=True, eq=False)
class ScannerNoise(Intensity):
    """Noise of one size of image.

    :param field: float32 (k, j, i), what is added.
    """

    field: Levels

    def __call__(self, image: Levels) -> Levels:
        """With the noise."""
        return image + self.field


@dataclass(frozen=True)
class Tone(Intensity):
    """Another contrast and brightness."""

    gamma: float
    gain: float
    offset: float

    def __call__(self, image: Levels) -> Levels:
        """Gamma, then gain and offset."""
        gamma, gain, offset = (np.float32(value) for value in (self.gamma, self.gain, self.offset))
        return (np.clip(image, 0, 255) / 255) ** gamma * 255 * gain + offset


def draw_scanner(rng: np.random.Generator, shape: tuple[int, ...], slice_mm: float) -> Sequence:
    """One random scanner for an image of that shape, from slices `slice_mm` apart. A third of the samples stay as sharp
    and as thin as they were."""
    steps: list[Transform] = []
    draw = rng.random()
    if draw < (0.4 if slice_mm < THIN_MM else 0.1):
        steps.append(ThickSlices(float(rng.choice(THICKNESSES_MM)), float(rng.integers(PHASES) / PHASES)))
    draw = rng.random()
    if draw < 0.35:
        sd = rng.uniform(0.3, 1.1)
        steps.append(SoftKernel((sd, sd)))
    elif draw < 0.5:
        steps.append(SharpKernel(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.4:
        steps.append(draw_noise(rng, shape))
    if rng.random() < 0.5:
        steps.append(Tone(rng.uniform(0.8, 1.2), rng.uniform(0.95, 1.05), rng.uniform(-6, 6)))
    return Sequence(tuple(steps))


def draw_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> ScannerNoise:
    """Noise of a sharp kernel (white) or of a soft one (correlated in the slice), mostly below 60 HU, now and then as
    strong as in a thin B70f scan."""
    field = rng.standard_normal(shape, dtype=np.float32)
    if rng.random() < 0.6:
        field = ndimage.uniform_filter(field, (1, 2, 2)) * 2
    strongest = 28 if rng.random() < 0.2 else 12
    return ScannerNoise(field * np.float32(rng.uniform(1, strongest)))
