"""The two lungs of a scan, as far as saying where a nodule is takes: built once, asked for every nodule.

Sides and heights are told in LPS, never by the order of the array. A zone is a third of the lung's own height, counted
from the lowest point of its base to its apex; no lobe is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..findings import Side, Zone
from ..preprocess.lung_shape import separated
from ..volume import Volume

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STEP_MM = 4.0
SMALLEST_PIECE_SHARE = 0.05
"""A part of the mask below this share of it is no lung, nor a lobe that stands apart."""
BOTH_LUNGS_WIDTH_MM = 190.0
"""One part wider than this is both lungs."""
APART_MM = 60.0
"""Least distance, from side to side, between the middles of two parts that are a lung each; lobes lie nearer."""
TISSUE_HU = -300.0
CUT_AREA_MM2 = 2000.0
"""With more of a lung than this in the scan's first or last slice, the lung is not shown whole. What lies beyond a disc
of 50 mm, some 8 mm of an apex or the tip of the lowest recess, moves no zone's border by more than a few per cent."""
LEAST_HEIGHT_MM = 60.0
"""What is lower than this is a part of a lung."""
ZONES: tuple[Zone, ...] = ("lower", "middle", "upper")


@dataclass(frozen=True, eq=False)
class _Lung:
    side: Side
    tree: cKDTree
    lowest_mm: float
    highest_mm: float
    complete: bool


@dataclass(frozen=True, eq=False)
class Lungs:
    """:param mask: bool, on the volume's grid.
    :param steps: every how many voxels the coarse grid has one; :param depth_mm: its voxels' depth in the lung.
    """

    volume: Volume
    mask: Bools
    steps: NDArray[np.intp]
    depth_mm: Floats
    parts: tuple[_Lung, ...]

    @classmethod
    def of(cls, volume: Volume, mask: Bools) -> Lungs:
        """The lungs of a mask that holds at least one voxel."""
        steps = np.clip(np.rint(STEP_MM / volume.spacing_kji_mm), 1, volume.shape).astype(int)
        every = tuple(slice(step // 2, None, step) for step in steps)
        coarse = mask[every]
        pieces = [volume.index_to_lps(np.argwhere(piece) * steps + steps // 2) for piece in _pieces(coarse, volume)]
        sides = _sides(pieces, volume, every, steps)
        ends = _end_points(volume, mask, steps)
        depth = ndimage.distance_transform_edt(coarse, sampling=steps * volume.spacing_kji_mm)
        parts = tuple(_lung(side, np.concatenate(points), sides, ends) for side, points in sides.items())
        return cls(volume, mask, steps, depth, parts)

    def rough_depth_mm(self, index_kji: ArrayLike) -> float:
        """Depth in the lung of a voxel, to about the coarse grid's step; 0 outside."""
        coarse = np.asarray(index_kji) // self.steps
        k, j, i = np.minimum(coarse, np.subtract(self.depth_mm.shape, 1)).astype(int)
        return float(self.depth_mm[k, j, i])

    def side_and_zone(self, point_lps: ArrayLike) -> tuple[Side | None, Zone | None]:
        """Of the lung nearest to a point; the zone is unknown when the scan does not show the whole lung."""
        if not self.parts:
            return None, None
        lung = min(self.parts, key=lambda part: float(part.tree.query(point_lps)[0]))
        if not lung.complete:
            return lung.side, None
        height = (float(np.asarray(point_lps)[2]) - lung.lowest_mm) / (lung.highest_mm - lung.lowest_mm)
        return lung.side, ZONES[int(np.clip(height * 3, 0, 2))]


def _pieces(coarse: Bools, volume: Volume) -> list[Bools]:
    """The connected parts of a mask, cut where they hold both lungs."""
    labels, count = ndimage.label(coarse, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    large = [labels == n for n in np.flatnonzero(sizes > SMALLEST_PIECE_SHARE * sizes.sum())]
    return [piece for part in large for piece in _cut_in_two(part, volume, alone=len(large) == 1)]


def _cut_in_two(part: Bools, volume: Volume, alone: bool) -> list[Bools]:
    """Two lungs that touch, told apart at their thin junction, else in the middle."""
    steps = np.asarray(volume.shape) / part.shape
    axis = int(np.argmax(np.abs(volume.direction[0])[::-1]))
    across = volume.spacing_kji_mm[axis] * steps[axis]
    where = np.flatnonzero(part.any(axis=tuple(a for a in range(3) if a != axis)))
    wide = len(where) * across > BOTH_LUNGS_WIDTH_MM
    if not (wide or alone):
        return [part]
    # The junction runs from front to back: it breaks under an erosion within the slices that lie across the body.
    head = int(np.argmax(np.abs(volume.direction[2])[::-1]))
    halves = [np.moveaxis(half, 0, head) for half in separated(np.moveaxis(part, head, 0))]
    if len(halves) == 2 and all(half.any() for half in halves):  # in a few voxels one may take all
        middles = [ndimage.center_of_mass(half)[axis] * across for half in halves]
        if abs(middles[0] - middles[1]) >= APART_MM:
            return halves
    if not wide:
        return [part]
    first = np.zeros_like(part)
    np.moveaxis(first, axis, 0)[: (where[0] + where[-1] + 1) // 2] = True
    return [part & first, part & ~first]


def _sides(
    pieces: list[Floats], volume: Volume, every: tuple[slice, ...], steps: NDArray[np.intp]
) -> dict[Side, list[Floats]]:
    """The pieces' points by side."""
    if not pieces:
        return {}
    middles = [float(np.mean(piece[:, 0])) for piece in pieces]
    center = (min(middles) + max(middles)) / 2
    if max(middles) - min(middles) < APART_MM:
        # One lung in view, or what is left of it: most of what is not lung lies towards the body's middle.
        heights = volume.lps_to_index(np.concatenate(pieces))
        low, high = heights.min(axis=0)[0], heights.max(axis=0)[0]
        tissue = np.argwhere(volume.voxels[every] > TISSUE_HU) * steps + steps // 2
        tissue = tissue[(tissue[:, 0] >= low) & (tissue[:, 0] <= high)]
        center = float(np.median(volume.index_to_lps(tissue)[:, 0])) if len(tissue) else center
    sides: dict[Side, list[Floats]] = {}
    for middle, piece in zip(middles, pieces, strict=True):
        # LPS: x grows to the patient's left.
        sides.setdefault("left" if middle > center else "right", []).append(piece)
    return sides


def _end_points(volume: Volume, mask: Bools, steps: NDArray[np.intp]) -> list[tuple[Floats, float]]:
    """Points of the lungs in the scan's two ends towards head and foot, and the area that each stands for."""
    axis = int(np.argmax(np.abs(volume.direction[2])[::-1]))
    others = [a for a in range(3) if a != axis]
    area = float(np.prod((steps * volume.spacing_kji_mm)[others]))
    ends = []
    for last in (0, volume.shape[axis] - 1):
        face = np.asarray(mask.take(last, axis))[:: steps[others[0]], :: steps[others[1]]]
        index = np.insert(np.argwhere(face), axis, 0, axis=1) * steps
        index[:, axis] = last
        ends.append((volume.index_to_lps(index), area))
    return ends


def _lung(side: Side, points: Floats, sides: dict[Side, list[Floats]], ends: list[tuple[Floats, float]]) -> _Lung:
    tree = cKDTree(points)
    others = [np.concatenate(p) for name, p in sides.items() if name != side]
    other = cKDTree(others[0]) if others else None
    lowest, highest = float(points[:, 2].min()), float(points[:, 2].max())
    complete = highest - lowest >= LEAST_HEIGHT_MM
    for at_end, area in ends:
        if len(at_end):
            own = tree.query(at_end)[0] <= (np.inf if other is None else other.query(at_end)[0])
            complete &= bool(own.sum() * area <= CUT_AREA_MM2)
    return _Lung(side, tree, lowest, highest, complete)
