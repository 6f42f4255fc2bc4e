"""The contrast that a small nodule would have without blur."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .blur import central_share, in_plane_variance

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

SMOOTHING_MM = 0.4
"""Standard deviation of the smoothing within slices, against noise; well below a CT's own blur."""
LEAST_CONTRAST_HU = 100.0
TISSUE_HU, TISSUE_SD = 30.0, 0.1
"""Density of soft tissue, and how much its contrast varies, as a share."""
LEAST_SOLID_SHARE = 0.5
"""Less of soft tissue's contrast is ground-glass, whose density nothing but its own peak tells."""
BLUR_UNCERTAINTY = 1.2
"""Factor by which a kernel may be blurrier or sharper than assumed."""

LEAST_UNCERTAINTY = 0.02
"""Of a contrast read from a peak, as a share: noise."""

_DIAMETERS_MM = np.linspace(0.8, 16.0, 153)


def unblurred_contrast(
    contrast: Singles,
    smooth: Singles,
    inside: NDArray[np.bool_],
    spacing: Floats,
    slice_mm: float,
    background_hu: float,
) -> float:
    """Contrast from the sum of what is left of it and its peak.

    A sphere of diameter d keeps a known share of its contrast at its middle; its sum is its contrast times its volume.
    The two give both, and the density of soft tissue steadies them where that share is small and the blur uncertain.

    :param contrast: HU above the background, 0 beyond the blur's reach; :param smooth: the same smoothed, anywhere.
    :param background_hu: of the lung, or of the ground-glass around a solid part.
    """
    peak = float(smooth[inside].max())
    total = max(float(contrast.sum(dtype=np.float64)), peak) * float(spacing.prod())
    weight = np.where(inside, np.maximum(smooth, 0), 0).sum(axis=(1, 2), dtype=np.float64)
    middle = float((weight * np.arange(len(weight))).sum() / weight.sum())
    offset = abs(middle - round(middle)) * float(spacing[0])
    variance = in_plane_variance(float(spacing[1]), SMOOTHING_MM)

    def kept(diameter: Floats, factor: float = 1.0) -> Floats:
        return np.maximum(central_share(diameter, slice_mm, offset, variance * factor**2), 1e-3)

    diameter = np.asarray(np.interp(total / peak, np.pi / 6 * _DIAMETERS_MM**3 / kept(_DIAMETERS_MM), _DIAMETERS_MM))
    share = float(kept(diameter))
    found = peak / max(share, 0.1)
    tissue = TISSUE_HU - background_hu
    if found < LEAST_SOLID_SHARE * tissue:
        return found
    spread = float(kept(diameter, 1 / BLUR_UNCERTAINTY)) - float(kept(diameter, BLUR_UNCERTAINTY))
    unsure = spread / (2 * share) + LEAST_UNCERTAINTY
    trust = TISSUE_SD**2 / (TISSUE_SD**2 + unsure**2)
    return trust * found + (1 - trust) * tissue
