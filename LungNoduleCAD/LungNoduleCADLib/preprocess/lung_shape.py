"""Shape steps of the lung mask: telling two lungs apart, closing them over nodules on the pleura, filling their holes.

All work on bool arrays (k, j, i) of the coarse grid, axial slices first, spacing in mm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

PLANE = np.array([[[0, 0, 0]] * 3, [[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[0, 0, 0]] * 3], dtype=bool)
"""4-connected within an axial slice, unconnected between slices."""

CROSS = ndimage.generate_binary_structure(3, 1)
"""6-connected."""

MEDIASTINAL_CLOSING_MM, COSTAL_CLOSING_MM = 8.0, 35.0
"""Radii of the closing within a slice. Towards the ribs the lung is convex and a dent is a lesion, at most 30 mm wide
for a nodule: a disc of 35 mm leaves 4 mm of it. So wide a closing at the mediastinum would swallow the hilum."""

LARGEST_FILLED_HOLE_MM2 = 1000.0
"""A hole in an axial slice up to this area (36 mm across) is a nodule or a vessel."""

JUNCTION_EROSIONS = 5
SMALLEST_LUNG_OF_TWO = 0.15
"""Two lungs that touch are told apart when at most so many erosions leave two pieces of at least this share each."""

MIDDLE_BAND_MM = 25.0
"""A region whose centre is nearer to the body's middle than this is not known to be the left or the right lung."""


def eroded_in_plane(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Erosion by one voxel within each slice, the image's border counting as set; 7 times as fast as the general
    one."""
    result = mask.copy()
    result[:, 1:] &= mask[:, :-1]
    result[:, :-1] &= mask[:, 1:]
    result[:, :, 1:] &= mask[:, :, :-1]
    result[:, :, :-1] &= mask[:, :, 1:]
    return result


def only_larger(mask: NDArray[np.bool_], voxels: float) -> NDArray[np.bool_]:
    """The 6-connected parts of `mask` with more than `voxels` voxels."""
    labels, count = ndimage.label(mask, structure=CROSS)
    keep = np.bincount(labels.ravel(), minlength=count + 1) > voxels
    keep[0] = False
    return keep[labels]


def separated(region: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """The two lungs of a region in which they touch (thin anterior junction line), else the region itself.

    In-plane erosion breaks the bridge; every voxel then goes to the nearer remaining piece.
    """
    eroded = region
    for _ in range(JUNCTION_EROSIONS):
        eroded = eroded_in_plane(eroded)
        labels, count = ndimage.label(eroded, structure=CROSS)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        sizes[0] = 0
        pieces = np.flatnonzero(sizes > SMALLEST_LUNG_OF_TWO * sizes.sum())
        if len(pieces) == 2:
            # every second voxel is enough to say which piece is nearer, at an eighth of the cost
            seeds = np.where(np.isin(labels, pieces), labels, 0)[::2, ::2, ::2]
            nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
            owner = seeds[tuple(nearest)]
            for axis, n in enumerate(region.shape):
                owner = owner.repeat(2, axis=axis).take(range(n), axis=axis)
            return [region & (owner == piece) for piece in pieces]
    return [region]


def closed(lung: NDArray[np.bool_], middle: float, spacing_kji_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Close one lung within each axial slice: by much towards the ribs, where a dent is a nodule on the pleura, and by
    little towards the mediastinum and the diaphragm, where it is anatomy.

    :param middle: column index of the body's middle; tells lateral from medial.
    """
    box = ndimage.find_objects(lung.view(np.uint8))[0]
    pixel = float(spacing_kji_mm[1:].mean())
    margin = int(np.ceil(COSTAL_CLOSING_MM / pixel)) + 1
    part = np.pad(lung[box], [(0, 0), (margin, margin), (margin, margin)])
    result = _octagon_closing(part, round(MEDIASTINAL_CLOSING_MM / pixel))
    offset_mm = (ndimage.center_of_mass(lung[box])[2] + box[2].start - middle) * spacing_kji_mm[2]
    if abs(offset_mm) > MIDDLE_BAND_MM:
        wide = _octagon_closing(part, round(COSTAL_CLOSING_MM / pixel))
        result |= wide & _faces_ribs(part, left_of_middle=offset_mm > 0) & _between_lung(part, _cut_ends(lung))
    whole = np.zeros(lung.shape, dtype=bool)
    whole[box] = result[:, margin:-margin, margin:-margin]
    return whole


def filled(lungs: NDArray[np.bool_], spacing_kji_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Fill holes: small ones in an axial slice with lung above and below, and any that is closed in two of the three
    planes.

    A mass is closed in two planes; the dome of the diaphragm is so in axial slices only, and has no lung below.
    """
    votes = np.zeros(lungs.shape, dtype=np.uint8)
    small = np.zeros(lungs.shape, dtype=bool)
    for axis in range(3):
        labels, is_hole = holes(lungs, axis)
        votes += is_hole[labels]
        if axis == 0:
            areas_mm2 = np.bincount(labels.ravel(), minlength=len(is_hole)) * float(np.prod(spacing_kji_mm[1:]))
            small = (is_hole & (areas_mm2 < LARGEST_FILLED_HOLE_MM2))[labels]
    return lungs | (small & _between_lung(lungs, _cut_ends(lungs))) | (votes >= 2)


def holes(mask: NDArray[np.bool_], axis: int = 0) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Labels of what is not in a mask, connected within the planes across an axis, and which of them it encloses."""
    labels, count = ndimage.label(~mask, structure=np.moveaxis(PLANE, 0, axis))
    is_hole = np.ones(count + 1, dtype=bool)
    is_hole[0] = False
    for other in {0, 1, 2} - {axis}:
        for end in (0, -1):
            is_hole[labels.take(end, axis=other)] = False
    return labels, is_hole


def _octagon_closing(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Binary closing within each slice by an octagon of `radius` voxels: a square, then a diamond, whose cost does not
    grow with the radius as a disc's does. The mask needs an empty margin of `radius`."""
    half = round(radius * (2**0.5 - 1))
    steps = radius - half
    size = (1, 2 * half + 1, 2 * half + 1)
    grown = ndimage.maximum_filter(mask.view(np.uint8), size=size)
    if steps:
        grown = ndimage.binary_dilation(grown, structure=PLANE, iterations=steps)
        grown = ndimage.binary_erosion(grown, structure=PLANE, iterations=steps, border_value=1)
    return ndimage.minimum_filter(grown.view(np.uint8), size=size).astype(bool)


def _faces_ribs(lung: NDArray[np.bool_], *, left_of_middle: bool) -> NDArray[np.bool_]:
    """Where the way out of the slice to the side, the front or the back is free of lung, and not only the way to the
    middle.

    Free on the medial side alone is the mediastinum; free on no side is the hilum or the dome of the diaphragm.
    """
    front = np.logical_or.accumulate(lung, axis=1)
    back = np.logical_or.accumulate(lung[:, ::-1], axis=1)[:, ::-1]
    right = np.logical_or.accumulate(lung, axis=2)
    left = np.logical_or.accumulate(lung[:, :, ::-1], axis=2)[:, :, ::-1]
    lateral, medial = (left, right) if left_of_middle else (right, left)
    return ~(front & back & lateral) & ~(lateral & ~medial)


def _cut_ends(lung: NDArray[np.bool_]) -> tuple[bool, bool]:
    """Whether the lung reaches the grid's first and last slice, so that more of it lies beyond (always so in a
    slab)."""
    return bool(lung[0].any()), bool(lung[-1].any())


def _between_lung(lung: NDArray[np.bool_], cut_ends: tuple[bool, bool]) -> NDArray[np.bool_]:
    """Where there is lung both above and below in the same column; a cut end counts as lung."""
    below = np.ones(lung.shape, dtype=bool) if cut_ends[0] else np.logical_or.accumulate(lung, axis=0)
    above = np.ones(lung.shape, dtype=bool) if cut_ends[1] else np.logical_or.accumulate(lung[::-1], axis=0)[::-1]
    return below & above
