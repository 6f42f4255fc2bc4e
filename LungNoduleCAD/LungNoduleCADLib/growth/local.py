"""The last millimetres: the surroundings of one place in a scan, found again in the other by their vessels.

An affine transform of the whole lungs cannot follow how a breath moves each part of them. Around one place the rest is
nearly a shift, which the correlation of the two neighbourhoods at every shift tells without a search that could stray.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, signal

from ..volume import Volume
from .picture import HIGHEST_HU, LOWEST_HU
from .registration import Alignment
from .sampling import sampled

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

STEP_MM = 1.0
RADIUS_MM, REACH_MM = 20.0, 12.0
"""Of the neighbourhood that is compared, and how far it may have moved."""
SMOOTHING_MM = 1.0
"""Against the noise, and against kernels that differ."""
LEAST_CORRELATION = 0.5
"""Below it nothing was found again, and the whole lungs' transform is left as it is."""
DRIFT_COST = 5e-4
"""Correlation that a shift of 1 mm must gain, growing with its square: of two like vessels the nearer one is meant."""
FEWEST_VOXELS = 2000


@dataclass(frozen=True)
class LocalFit:
    """Where a place was found again.

    :param point_lps: in the prior. :param correlation: of the neighbourhoods there; None when the transform of the
        whole lungs is all there is.
    """

    point_lps: tuple[float, float, float]
    correlation: float | None


def refined_place(
    current: Volume, lungs: NDArray[np.bool_], prior: Volume, alignment: Alignment, point_lps: ArrayLike
) -> LocalFit:
    """Where a place of the current scan lies in the prior, by its own neighbourhood.

    :param lungs: of the current scan, on its grid; only they are compared.
    """
    point = np.asarray(point_lps, dtype=np.float64)
    away = _cube(RADIUS_MM)
    weight = sampled(current.with_voxels(lungs), point + away, order=0) > 0
    weight &= (away**2).sum(axis=-1) <= RADIUS_MM**2
    rough = _triple(alignment.to_prior(point))
    if weight.sum() < FEWEST_VOXELS:
        return LocalFit(rough, None)
    here = _neighbourhood(current, point + away)
    there = _neighbourhood(prior, alignment.to_prior(point + _cube(RADIUS_MM + REACH_MM)))
    fit = _correlation(here, there, weight.astype(np.float32))
    distance = np.sqrt((_cube(REACH_MM) ** 2).sum(axis=-1))
    best = np.unravel_index(int(np.argmax(fit - DRIFT_COST * distance**2)), fit.shape)
    inside = all(0 < n < size - 1 for n, size in zip(best, fit.shape, strict=True))
    if not inside or fit[best] < LEAST_CORRELATION:
        return LocalFit(rough, None)
    shift = (np.array(best) + _vertex(fit, best) - (np.array(fit.shape) - 1) / 2) * STEP_MM
    return LocalFit(_triple(alignment.to_prior(point + shift[::-1])), float(fit[best]))


def _cube(reach_mm: float) -> Floats:
    """Offsets (k, j, i, 3) of a cube's points in LPS mm; k runs along z, j along y, i along x."""
    axis = np.arange(-round(reach_mm / STEP_MM), round(reach_mm / STEP_MM) + 1) * STEP_MM
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.stack([x, y, z], axis=-1)


def _neighbourhood(volume: Volume, points_lps: Floats) -> Singles:
    hu = np.clip(sampled(volume, points_lps, order=1), LOWEST_HU, HIGHEST_HU)
    return np.asarray(ndimage.gaussian_filter(hu, SMOOTHING_MM / STEP_MM), dtype=np.float32)


def _correlation(here: Singles, there: Singles, weight: Singles) -> Singles:
    """Pearson's, of the weighted neighbourhood with the larger one at every shift."""
    total = float(weight.sum())
    centred = weight * (here - float((weight * here).sum()) / total)
    spread = float((centred * here).sum())
    # A constant taken away first keeps the differences of large sums exact in single precision.
    there = there - there.mean()
    cross = signal.correlate(there, centred, mode="valid", method="fft")
    first = signal.correlate(there, weight, mode="valid", method="fft")
    second = signal.correlate(there**2, weight, mode="valid", method="fft")
    variance = np.maximum(second - first**2 / total, 1.0)
    return np.asarray(cross / np.sqrt(variance * max(spread, 1.0)), dtype=np.float32)


def _vertex(fit: Singles, best: tuple[np.intp, ...]) -> Floats:
    """Where between the steps the highest point lies, by a parabola along each axis."""
    shift = np.zeros(3)
    for axis in range(3):
        below, above = ([*best] for _ in range(2))
        below[axis] -= 1
        above[axis] += 1
        low, mid, high = (float(fit[tuple(n)]) for n in (below, best, above))
        curve = low - 2 * mid + high
        shift[axis] = np.clip((low - high) / (2 * curve), -0.5, 0.5) if curve < 0 else 0.0
    return shift


def _triple(point: Floats) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in point)
    return x, y, z
