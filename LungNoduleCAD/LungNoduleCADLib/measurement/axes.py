"""Long and short axis of a nodule in the axial slice where it is largest, to a fraction of a voxel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform

from ..findings import VoxelMask
from ..volume import Volume

Floats = NDArray[np.float64]


def axial_axes(volume: Volume, mask: VoxelMask) -> tuple[float, float]:
    """Long axis, and the longest chord at right angles to it (RECIST 1.1's two diameters), in mm.

    Measured on the convex hull of the outline, as callipers do, in the slice (index k) with the most of the mask.
    """
    k = int(mask.voxels.sum(axis=(1, 2)).argmax())
    inside = _largest_part(mask.voxels[k])
    outline = _outline(volume, mask, k, inside) * volume.spacing_kji_mm[1:]
    try:
        hull = outline[ConvexHull(outline).vertices]
    except QhullError:
        # All points on one line cannot happen for the outline of a voxel; rounding could still make it look so.
        return float(pdist(outline).max()), 0.0
    distances = squareform(pdist(hull))
    a, b = np.unravel_index(distances.argmax(), distances.shape)
    return float(distances[a, b]), _widest_chord(hull, hull[b] - hull[a])


def _largest_part(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(inside, structure=np.ones((3, 3)))
    return inside if count < 2 else labels == 1 + int(np.bincount(labels.ravel())[1:].argmax())


def _outline(volume: Volume, mask: VoxelMask, k: int, inside: NDArray[np.bool_]) -> Floats:
    """Points (n, 2) in continuous (row, column) index where the outline crosses the lines between voxel centres.

    Between a voxel inside and its neighbour outside, the crossing is where the density passes the edge's level; where
    the density does not fall there (a cut vessel, the chest wall), it is half way.
    """
    hu = _slice_with_frame(volume, mask, k)
    framed = np.pad(inside, 1)
    inner, outer = [], []
    for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        edge = np.argwhere(framed & ~np.roll(framed, (-step[0], -step[1]), axis=(0, 1)))
        inner.append(edge)
        outer.append(edge + step)
    start, stop = np.concatenate(inner), np.concatenate(outer)
    high, low = hu[tuple(start.T)], hu[tuple(stop.T)]
    level = float(np.median((high + low) / 2))
    crosses = (high > level) & (low < level)
    fraction = np.where(crosses, (high - level) / np.where(crosses, high - low, 1.0), 0.5)
    return start + fraction[:, None] * (stop - start)


def _slice_with_frame(volume: Volume, mask: VoxelMask, k: int) -> Floats:
    """Densities of the mask's slice, one voxel more on every side; beyond the scan its border repeats."""
    _, rows, columns = volume.shape
    height, width = mask.voxels.shape[1:]
    j = np.clip(np.arange(-1, height + 1) + mask.start_kji[1], 0, rows - 1)
    i = np.clip(np.arange(-1, width + 1) + mask.start_kji[2], 0, columns - 1)
    return volume.voxels[mask.start_kji[0] + k][np.ix_(j, i)].astype(np.float64)


def _widest_chord(hull: Floats, direction: Floats) -> float:
    """Longest chord of a convex polygon at right angles to a direction.

    Along the direction the chord's length is concave and piecewise linear, so its maximum is at a corner.
    """
    unit = direction / np.linalg.norm(direction)
    along, across = hull @ unit, hull @ np.array([-unit[1], unit[0]])
    best = 0.0
    for position in along:
        heights: list[float] = []
        for n in range(len(hull)):
            first, second = along[n - 1], along[n]
            if min(first, second) <= position <= max(first, second):
                share = 0.5 if first == second else (position - first) / (second - first)
                ends = (
                    (across[n - 1], across[n])
                    if first == second
                    else (across[n - 1] + share * (across[n] - across[n - 1]),)
                )
                heights.extend(ends)
        best = max(best, max(heights) - min(heights))
    return float(best)
