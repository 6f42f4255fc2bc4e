"""Long and short axis of a nodule in the axial slice that shows the longest one, to a fraction of a voxel.

A calliper on the outline reads too short: blur draws in what is curved, and a slice beside the nodule's middle, or
thicker than it, shows less of it. The fitted ellipsoid says by how much. Where a nodule is hardly larger than blur and
slices are, its outline says little, and the ellipsoid's own axes are taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform

from .blur import in_plane_variance
from .contrast import SMOOTHING_MM
from .ellipsoid import Ellipsoid
from .occupancy import Occupancy

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

EDGE = 0.5
IN_PLANE = np.ones((1, 3, 3), dtype=bool)
DIRECTIONS = np.pi * np.arange(12) / 12
MOST_CORRECTION = 1.2
SMALL_MM, LARGE_MM = 5.0, 8.0
SMALL_SLICES, LARGE_SLICES = 2.0, 4.0
"""Up to the first, in mm and in slices, the ellipsoid gives the axes, from the second on the callipers."""


@dataclass(frozen=True, eq=False)
class AxialAxes:
    """Two axes in one slice.

    :param slice_k: index of the slice in the box that the occupancy covers.
    :param long_ends, short_ends: (2, 2) ends in continuous (row, column) index of that box.
    """

    long_mm: float
    short_mm: float
    slice_k: int
    long_ends: Floats
    short_ends: Floats


def axial_axes(found: Occupancy, ellipsoid: Ellipsoid, diameter_mm: float) -> AxialAxes:
    """The axes of a nodule of a known equivalent diameter."""
    near = ndimage.binary_dilation(found.mask, structure=IN_PLANE) & ~found.other | found.mask
    dense = near & (found.level >= EDGE)
    outlines = {int(k): _largest_part(dense[k]) for k in np.flatnonzero((dense & found.mask).any(axis=(1, 2)))}
    if not outlines:
        # A mask beside everything dense: its own outline.
        outlines = {k: found.mask[k] for k in range(len(found.mask)) if found.mask[k].any()}
    k = max(outlines, key=lambda n: _rough_extent(outlines[n], found.spacing[1:]))
    read = _callipers(_outline(found, k, outlines[k]), found.spacing[1:], k)
    fitted = _fitted_axes(ellipsoid, found)
    size = diameter_mm, diameter_mm / float(found.spacing[0])
    trust = min(
        float(np.interp(size[0], (SMALL_MM, LARGE_MM), (0, 1))),
        float(np.interp(size[1], (SMALL_SLICES, LARGE_SLICES), (0, 1))),
    )
    middle = float(ellipsoid.center[0] / found.spacing[0])
    factor = _height_correction(abs(k - middle) * float(found.spacing[0]), found, ellipsoid.half_height)
    variance = in_plane_variance(float(found.spacing[1]), SMOOTHING_MM)
    lengths = [
        trust * (factor * length + 2 * variance / max(length, diameter_mm / 2)) + (1 - trust) * from_fit
        for length, from_fit in ((read.long_mm, fitted.long_mm), (read.short_mm, fitted.short_mm))
    ]
    shown = read if trust > 0 else fitted
    long_mm, short_mm = max(lengths), min(lengths)
    return AxialAxes(
        long_mm,
        short_mm,
        shown.slice_k,
        _scaled(shown.long_ends, long_mm / max(shown.long_mm, 1e-6)),
        _scaled(shown.short_ends, short_mm / max(shown.short_mm, 1e-6)),
    )


def _largest_part(inside: Bools) -> Bools:
    labels, count = ndimage.label(inside, structure=IN_PLANE[0])
    return inside if count < 2 else labels == 1 + int(np.bincount(labels.ravel())[1:].argmax())


def _rough_extent(inside: Bools, spacing: Floats) -> float:
    """Longest extent over a few directions: enough to choose a slice."""
    points = np.argwhere(inside) * spacing
    along = points @ np.stack([np.sin(DIRECTIONS), np.cos(DIRECTIONS)])
    return float(np.ptp(along, axis=0).max())


def _outline(found: Occupancy, k: int, inside: Bools) -> Floats:
    """Points (n, 2) in continuous (row, column) index where the outline crosses the lines between voxel centres.

    Between a voxel inside and its neighbour outside, the crossing is where the level passes the edge's; where it does
    not fall there (a cut vessel, the chest wall), it is half way.
    """
    level = np.pad(found.level[k], 1, mode="edge").astype(np.float64)
    framed = np.pad(inside, 1)
    inner, outer = [], []
    for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        edge = np.argwhere(framed & ~np.roll(framed, (-step[0], -step[1]), axis=(0, 1)))
        inner.append(edge)
        outer.append(edge + step)
    start, stop = np.concatenate(inner), np.concatenate(outer)
    high, low = level[tuple(start.T)], level[tuple(stop.T)]
    crosses = (high >= EDGE) & (low < EDGE)
    fraction = np.where(crosses, (high - EDGE) / np.where(crosses, high - low, 1.0), 0.5)
    return start + fraction[:, None] * (stop - start) - 1


def _callipers(outline: Floats, spacing: Floats, k: int) -> AxialAxes:
    """Longest chord of an outline's convex hull, and the longest at right angles to it (RECIST 1.1's two diameters)."""
    points = outline * spacing
    try:
        hull = points[ConvexHull(points).vertices]
    except QhullError:
        # All points on one line cannot happen for the outline of a voxel; rounding could still make it look so.
        hull = points
    distances = squareform(pdist(hull))
    a, b = np.unravel_index(distances.argmax(), distances.shape)
    chord = _widest_chord(hull, hull[b] - hull[a])
    return AxialAxes(
        float(distances[a, b]),
        float(np.linalg.norm(chord[1] - chord[0])),
        k,
        np.stack([hull[a], hull[b]]) / spacing,
        chord / spacing,
    )


def _widest_chord(hull: Floats, direction: Floats) -> Floats:
    """Ends (2, 2) of the longest chord of a convex polygon at right angles to a direction.

    Along the direction the chord's length is concave and piecewise linear, so its maximum is at a corner.
    """
    unit = direction / max(float(np.linalg.norm(direction)), 1e-9)
    normal = np.array([-unit[1], unit[0]])
    along, across = hull @ unit, hull @ normal
    before_along, before_across = np.roll(along, 1), np.roll(across, 1)
    best, best_length = np.zeros((2, 2)), -1.0
    for position in along:
        crossed = (np.minimum(before_along, along) <= position) & (position <= np.maximum(before_along, along))
        run = (along - before_along)[crossed]
        share = np.where(run == 0, 0.0, (position - before_along[crossed]) / np.where(run == 0, 1.0, run))
        heights = before_across[crossed] + share * (across - before_across)[crossed]
        # An edge at right angles to the direction is met in both its ends.
        heights = np.concatenate([heights, across[crossed][run == 0]])
        if np.ptp(heights) > best_length:
            best_length = float(np.ptp(heights))
            best = position * unit + np.outer([heights.min(), heights.max()], normal)
    return best


def _fitted_axes(ellipsoid: Ellipsoid, found: Occupancy) -> AxialAxes:
    """The ellipsoid's section through its middle, drawn in the mask's slice that is nearest to that.

    The middle of what the scan's last slice cuts may lie beyond it.
    """
    spacing = found.spacing
    long_mm, short_mm, direction = ellipsoid.axial_section()
    middle, sideways = ellipsoid.center[1:], np.array([-direction[1], direction[0]])
    own = np.flatnonzero(found.mask.any(axis=(1, 2)))
    k = int(np.clip(round(float(ellipsoid.center[0] / spacing[0])), own[0], own[-1]))
    signs = np.array([[-0.5], [0.5]])
    return AxialAxes(
        long_mm,
        short_mm,
        k,
        (middle + signs * long_mm * direction) / spacing[1:],
        (middle + signs * short_mm * sideways) / spacing[1:],
    )


def _height_correction(off_middle_mm: float, found: Occupancy, half_height: float) -> float:
    """How much longer the middle section is than what a slice shows of it at half density.

    Half of a slice's thickness is nodule where the nodule is as high as a quarter of the slice, or as the slice is off
    the middle when that is more.
    """
    # The longest slice of an irregular nodule may be anywhere; only one next to the middle is known to be beside it.
    beside = off_middle_mm if off_middle_mm <= found.spacing[0] / 2 else 0.0
    shown = 1 - (max(found.slice_mm / 4, beside) / max(half_height, 1e-6)) ** 2
    return float(min(1 / np.sqrt(shown), MOST_CORRECTION)) if shown > 0 else MOST_CORRECTION


def _scaled(ends: Floats, factor: float) -> Floats:
    """A segment made longer about its middle."""
    middle = ends.mean(axis=0)
    return np.asarray(middle + factor * (ends - middle))
