"""The convex hull of the lung around a nodule: what lies beyond it is chest wall, mediastinum or diaphragm."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

FEWEST_HULL_POINTS, MOST_HULL_POINTS = 50, 1500
ROUNDING_MM = 1e-3
"""More than single precision's error."""


def directions(count: int) -> NDArray[np.float32]:
    """Unit vectors spread evenly over the sphere (a golden spiral)."""
    step = np.arange(count) + 0.5
    height = 1 - 2 * step / count
    turn = np.pi * (1 + np.sqrt(5)) * step
    width = np.sqrt(1 - height**2)
    return np.stack([height, width * np.sin(turn), width * np.cos(turn)]).astype(np.float32)


HULL_DIRECTIONS = directions(128)
"""No wall's own direction is more than 14 degrees from one of them: with fewer, wedges of wall stay within."""


def within_hull(
    voxels: Bools,
    lung: Bools,
    place: tuple[slice, ...],
    spacing: NDArray[np.float64],
    share: float,
    margin_mm: float,
) -> Bools:
    """Those of the voxels that lie within the convex hull of the lung nearby, given by its extent in many directions.

    The lung is convex towards the chest wall: the hull spans a juxtapleural nodule, and leaves the wall out.

    :param place: where the voxels' array lies in the lung's.
    :param share: of the lung that a plane of its hull has on its inner side; the rest is noise, and gas beyond the
        wall.
    :param margin_mm: how far beyond the hull a voxel may lie.
    """
    air = np.flatnonzero(lung)
    if len(air) < FEWEST_HULL_POINTS:
        return voxels
    # Every n-th voxel gives the same extent to a fraction of a voxel, for a fraction of the time.
    step = max(len(air) // MOST_HULL_POINTS, 1)
    # In step with the rows, it would see only a few columns.
    while math.gcd(step, lung.shape[1] * lung.shape[2]) > 1:
        step += 1
    air = air[::step]
    of_air, of_points = (
        HULL_DIRECTIONS.T @ (index.astype(np.float32) * spacing.astype(np.float32)[:, None])
        for index in (
            np.stack(np.unravel_index(air, lung.shape)),
            np.stack(np.nonzero(voxels)) + np.array([[side.start] for side in place]),
        )
    )
    if not of_points.size:
        return voxels
    rank = int(share * (len(air) - 1))
    # Only where the lung's extent is less than the farthest point is it worth knowing.
    farthest = of_points.max(axis=1) - margin_mm + ROUNDING_MM
    short = (of_air < farthest[:, None]).sum(axis=1) > rank
    extent = np.partition(of_air[short], rank, axis=1)[:, rank]
    kept = voxels.copy()
    kept[voxels] = (of_points[short] <= extent[:, None] + margin_mm).all(axis=0)
    return kept
