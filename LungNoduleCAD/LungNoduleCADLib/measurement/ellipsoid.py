"""The ellipsoid that has a nodule's volume and second moments: what is left of a shape that blur has washed out.

Blur adds its own variance to a shape's, exactly and whatever the shape; taken off again, the shape's is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blur import in_plane_variance
from .occupancy import Occupancy

Floats = NDArray[np.float64]

LEAST_RATIO, MOST_RATIO = 0.3, 4.0
"""Bounds of a principal variance over that of the sphere of the same volume: noise may not make needles."""


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """All in mm on the axes (k, j, i) of the scan.

    :param center: from the first voxel of the occupancy's box.
    :param shape: 3x3 matrix A of the surface x' A x = 1 around the centre.
    """

    center: Floats
    shape: Floats

    @property
    def half_height(self) -> float:
        """Half of its extent across the slices."""
        return float(np.sqrt(np.linalg.inv(self.shape)[0, 0]))

    def axial_section(self) -> tuple[float, float, Floats]:
        """Long and short axis of the slice through its centre, and the long one's direction (j, i)."""
        values, vectors = np.linalg.eigh(self.shape[1:, 1:])
        return float(2 / np.sqrt(values[0])), float(2 / np.sqrt(values[1])), vectors[:, 0]


def fitted_ellipsoid(found: Occupancy, diameter_mm: float) -> Ellipsoid:
    """The ellipsoid of an occupancy, of the volume of a sphere of `diameter_mm`."""
    spacing = found.spacing
    index = np.argwhere(found.share != 0)
    share = found.share[tuple(index.T)].astype(np.float64)
    points = index * spacing
    center = (points * share[:, None]).sum(axis=0) / share.sum()
    away = points - center
    covariance = (away.T * share) @ away / share.sum()
    covariance -= np.diag([found.slice_mm**2 / 12, *(in_plane_variance(float(s)) for s in spacing[1:])])
    values, vectors = np.linalg.eigh(covariance)
    sphere = diameter_mm**2 / 20
    values = np.clip(values, LEAST_RATIO * sphere, MOST_RATIO * sphere)
    # A solid ellipsoid's variance along an axis is a fifth of that semi-axis squared; then scaled to the volume.
    squared = values * (diameter_mm**2 / 4) / np.prod(values) ** (1 / 3)
    return Ellipsoid(center, (vectors / squared) @ vectors.T)
