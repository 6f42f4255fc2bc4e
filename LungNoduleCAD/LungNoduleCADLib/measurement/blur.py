"""What a scanner's blur leaves of a small nodule: in closed form, for a sphere in a slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

IN_PLANE_BLUR_MM = 0.55
"""Standard deviation of a standard chest kernel's blur (FWHM 1.3 mm); soft ones reach 0.75 mm, sharp ones 0.4 mm."""

_ACROSS = (np.arange(24) + 0.5) / 24 - 0.5
"""Heights in a slice, as shares of its thickness, over which it averages."""


def in_plane_variance(pixel_mm: float, smoothing_mm: float = 0.0) -> float:
    """Of the kernel, the pixel and any smoothing after, mm2."""
    return IN_PLANE_BLUR_MM**2 + pixel_mm**2 / 12 + smoothing_mm**2


def central_share(diameter_mm: Floats, slice_mm: float, offset_mm: float, variance_mm2: float) -> Floats:
    """How much of a sphere's contrast with the lung is left at its middle, 0 to 1.

    :param diameter_mm: any shape; the result has the same.
    :param slice_mm: thickness that the slice averages over; :param offset_mm: of its middle from the sphere's.
    :param variance_mm2: of the Gaussian blur within the slice.
    """
    height = offset_mm + _ACROSS * slice_mm
    squared_radius = np.maximum((np.asarray(diameter_mm)[..., None] / 2) ** 2 - height**2, 0)
    return np.asarray((1 - np.exp(-squared_radius / (2 * variance_mm2))).mean(axis=-1))
