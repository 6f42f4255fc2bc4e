"""Where in the lung a nodule is, and what it touches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..findings import Side, Zone
from .axes import EDGE
from .local_box import moved
from .lungs import Lungs
from .occupancy import Occupancy

Bools = NDArray[np.bool_]

ROUGH_MM = 4.0
"""How much a rough distance may be short of the true one."""
FINE_MM, MIDDLE_MM, FARTHEST_MM = 12.0, 30.0, 120.0
MIDDLE_STEP_MM, FAR_STEP_MM = 1.4, 2.8
"""The pleura is looked for voxel by voxel up to the first distance, in larger steps beyond it and the second; where it
is then found, every voxel is looked at."""
TOUCHING_MM = 1.0
"""A gap that blur fills."""
PLEURA_MM, PLEURA_HU = 2.5, -400.0
"""Depth of the lung mask's rim in which what is dense is taken for pleura, not for vessels; half way between lung and
soft tissue."""
VESSEL_HU = -500.0
VESSEL_REACH_MM = 4.0
VESSEL_SECTION_MM = (2.0, 3.5)
"""Distances from the outline between which a vessel's cross-section is taken."""
LEAST_VESSEL_MM2 = 16.0
"""Cross-section from which on a vessel belongs to the nodule's picture, blur included: a vessel of about 3 mm."""
NEXT_TO_MM = 1.5


@dataclass(frozen=True)
class Place:
    """None is unknown: there are no lungs to say it by."""

    side: Side | None = None
    zone: Zone | None = None
    pleura_distance_mm: float | None = None
    juxtapleural: bool | None = None
    juxtavascular: bool | None = None


def place_of(found: Occupancy, lungs: Lungs | None) -> Place:
    """The place of an occupancy in the lungs of its scan."""
    if lungs is None:
        return Place()
    inside = found.mask & (found.level >= EDGE)
    inside = inside if inside.any() else found.mask
    center = np.argwhere(inside).mean(axis=0) + found.start
    side, zone = lungs.side_and_zone(lungs.volume.index_to_lps(center))
    rough = lungs.rough_depth_mm(center) - float(np.ptp(np.argwhere(inside) * found.spacing, axis=0).max()) / 2
    distance = _pleura_distance(found, inside, lungs, rough)
    touching = distance is not None and distance <= TOUCHING_MM
    return Place(side, zone, distance, touching, vessel_section_mm2(found, lungs, rough) >= LEAST_VESSEL_MM2)


def _pleura_distance(found: Occupancy, inside: Bools, lungs: Lungs, rough_mm: float) -> float | None:
    """From a nodule's edge to the nearest point that is not lung; the scan's end is none. None when all is lung."""
    box = tuple(slice(int(a), int(a) + n) for a, n in zip(found.start, inside.shape, strict=True))
    if (inside & ~lungs.mask[box]).any():
        return 0.0
    index = np.argwhere(inside & ~ndimage.binary_erosion(inside)) + found.start
    first, last = index.min(axis=0), index.max(axis=0)
    reach = max(rough_mm, 0.0) + ROUGH_MM
    while reach <= FARTHEST_MM:
        step_mm = 0.0 if reach <= FINE_MM else MIDDLE_STEP_MM if reach <= MIDDLE_MM else FAR_STEP_MM
        steps = np.maximum(np.rint(step_mm / found.spacing), 1).astype(int)
        pad = np.ceil(reach / found.spacing).astype(int)
        wall = _wall_points(found, inside, lungs, first - pad, last + 1 + pad, steps)
        distance, nearest = _distance(index, wall, found.spacing, steps)
        if distance <= reach:
            if (steps > 1).any():
                pad = 2 * steps + np.ceil(PLEURA_MM / found.spacing).astype(int)
                near = _wall_points(found, inside, lungs, nearest - pad, nearest + 1 + pad, np.ones(3, dtype=int))
                distance = _distance(index, near, found.spacing, np.ones(3, dtype=int))[0]
            return max(distance, 0.0)
        reach *= 2
    return None


def _distance(
    index: NDArray[np.intp], wall: NDArray[np.intp], spacing: NDArray[np.float64], steps: NDArray[np.intp]
) -> tuple[float, NDArray[np.intp]]:
    """The least distance between the edges of voxels and of the wall's steps, and where the wall is that near;
    infinite without a wall."""
    if not len(wall):
        return np.inf, index[0]
    away, which = cKDTree(wall * spacing).query(index * spacing)
    nearest = int(np.argmin(away))
    way = (wall[which[nearest]] - index[nearest]) * spacing / max(float(away[nearest]), 1e-6)
    # Both points are centres; their edges lie half a voxel and half a step nearer.
    half = np.linalg.norm(way * spacing) / 2 + np.linalg.norm(way * spacing * steps) / 2
    return float(away[nearest] - half), wall[which[nearest]]


def _wall_points(
    found: Occupancy,
    inside: Bools,
    lungs: Lungs,
    start: NDArray[np.intp],
    stop: NDArray[np.intp],
    steps: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Indices in the scan of the wall's surface in a box of it, at every so many voxels."""
    start, stop = np.maximum(start, 0), np.minimum(stop, lungs.mask.shape)
    view = tuple(slice(int(a), int(b), int(n)) for a, b, n in zip(start, stop, steps, strict=True))
    nodule = moved(inside, found.start, start, stop)[tuple(slice(None, None, int(n)) for n in steps)]
    wall = _wall(lungs, view, steps * found.spacing, nodule)
    return np.asarray(np.argwhere(wall & ndimage.binary_dilation(~wall)) * steps + start)


def _wall(lungs: Lungs, view: tuple[slice, ...], spacing: NDArray[np.float64], nodule: Bools) -> Bools:
    """What is not lung: the mask's outside, and what is dense next to it, for the mask lies a little outside the
    pleura."""
    outside = ~lungs.mask[view]
    if not outside.any():
        return outside
    rim = ndimage.distance_transform_edt(~outside, sampling=spacing) <= PLEURA_MM
    dense = rim & (lungs.volume.voxels[view] > PLEURA_HU) & ~nodule
    return np.asarray(ndimage.binary_propagation(outside, mask=outside | dense))


def vessel_section_mm2(found: Occupancy, lungs: Lungs, rough_mm: float = 0.0) -> float:
    """Cross-section of the thickest dense strand between the outline and the lung around it; 0 without one.

    :param rough_mm: about how far the pleura is.
    """
    pad = np.ceil(VESSEL_REACH_MM / found.spacing).astype(int)
    first = np.argwhere(found.mask).min(axis=0) + found.start
    last = np.argwhere(found.mask).max(axis=0) + found.start + 1
    start, stop = np.maximum(first - pad, 0), np.minimum(last + pad, lungs.mask.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    mask = moved(found.mask, found.start, start, stop)
    away = ndimage.distance_transform_edt(~mask, sampling=found.spacing)
    dense = (lungs.volume.voxels[box] > VESSEL_HU) & ~mask & (away <= VESSEL_REACH_MM)
    if rough_mm < VESSEL_REACH_MM + PLEURA_MM + ROUGH_MM:
        dense &= ndimage.distance_transform_edt(lungs.mask[box], sampling=found.spacing) > PLEURA_MM
    labels, count = ndimage.label(dense, structure=np.ones((3, 3, 3)))
    if not count:
        return 0.0
    starts_here = np.bincount(labels[away <= NEXT_TO_MM], minlength=count + 1) > 0
    low, high = VESSEL_SECTION_MM
    shell = (away > low) & (away <= high)
    volumes = np.bincount(labels[shell], minlength=count + 1) * float(found.spacing.prod())
    volumes[~starts_here] = 0
    return float(volumes[1:].max() / (high - low))
