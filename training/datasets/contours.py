"""Readers' outlines as voxels, their marks as nodules, and several readers' opinion as one mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.volume import Volume

from ..nodules import equivalent_diameter
from .lidc_xml import Contour, NoduleMark

CONSENSUS = 0.5
"""Share of the readers of a nodule who must have outlined a voxel."""

SliceOf = Callable[[Contour], int | None]
"""The slice (k) of a volume that a contour was drawn in; None where the volume lacks it."""


@dataclass(frozen=True, eq=False)
class Outline:
    """What one reader outlined, on a scan's grid.

    :param center_lps: centre of mass, mm.
    :param diameter_mm: of the sphere of the same volume, as LUNA16's diameters are.
    """

    mark: NoduleMark
    mask: VoxelMask
    center_lps: NDArray[np.float64]
    diameter_mm: float


def outlines(marks: Iterable[NoduleMark], volume: Volume, slice_of: SliceOf) -> list[Outline]:
    """The marks that the volume shows, in their order."""
    found = []
    for mark in marks:
        mask = outline_mask(mark, volume.shape, slice_of)
        if mask is not None:
            center = np.argwhere(mask.voxels).mean(axis=0) + mask.start_kji
            diameter = equivalent_diameter(float(mask.voxels.sum()) * volume.voxel_volume_mm3)
            found.append(Outline(mark, mask, volume.index_to_lps(center), diameter))
    return found


def outline_mask(mark: NoduleMark, shape: Sequence[int], slice_of: SliceOf) -> VoxelMask | None:
    """The voxels that a reader's contours enclose; None when the volume shows none of them.

    LIDC's readers drew through the first pixels outside the nodule (Armato et al. 2011), so the contour's own pixels
    are left out; likewise those around a hole belong to the nodule. Where nothing at all is enclosed, the nodule is as
    small as its contour, and the contour is taken.
    """
    placed = [(k, contour) for contour in mark.contours if (k := slice_of(contour)) is not None]
    if not placed:
        return None
    corners = np.array([(k, *extreme[::-1]) for k, c in placed for extreme in (c.points_ij.min(0), c.points_ij.max(0))])
    low, high = corners.min(axis=0), corners.max(axis=0) + 1
    inside, edge, holes = (np.zeros(high - low, dtype=bool) for _ in range(3))
    for k, contour in placed:
        enclosed, line = enclosed_pixels(contour.points_ij - low[:0:-1], (high - low)[1:])
        if contour.inclusion:
            inside[k - low[0]] |= enclosed
            edge[k - low[0]] |= line
        else:
            holes[k - low[0]] |= enclosed
    voxels = inside & ~holes
    if not voxels.any():
        voxels = edge
    first, last = np.maximum(low, 0), np.minimum(high, shape)
    if (last <= first).any():
        return None
    kept = voxels[tuple(slice(a, b) for a, b in zip(first - low, last - low, strict=True))]
    return _trimmed(first, kept) if kept.any() else None


def enclosed_pixels(
    points_ij: NDArray[np.int64], shape_ji: Sequence[int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What a closed line through pixels (n, 2: column, row) encloses, and the line itself, both (j, i).

    A line that touches or crosses itself encloses every loop of it.
    """
    rows, columns = (int(n) for n in shape_ji)
    image = Image.new("1", (columns, rows))
    path = [(int(i), int(j)) for i, j in points_ij]
    ImageDraw.Draw(image).line([*path, path[0]], fill=1)
    line = np.array(image)
    return ndimage.binary_fill_holes(line) & ~line, line


def same_nodules(found: Sequence[Outline]) -> list[list[Outline]]:
    """Group the outlines that are of one nodule, as LUNA16 does: centres nearer than the sum of their radii (Setio et
    al. 2017), nearest first. Two outlines of one reader are two nodules, or the reader would have drawn one.
    """
    distances = [
        (float(np.linalg.norm(a.center_lps - b.center_lps)), m, n)
        for (m, a), (n, b) in combinations(enumerate(found), 2)
        if a.mark.reader != b.mark.reader
    ]
    groups = [[n] for n in range(len(found))]
    readers = [{outline.mark.reader} for outline in found]
    home = list(range(len(found)))
    for distance, m, n in sorted(distances):
        one, other = home[m], home[n]
        near = distance < (found[m].diameter_mm + found[n].diameter_mm) / 2
        if one == other or not near or readers[one] & readers[other]:
            continue
        for member in groups[other]:
            home[member] = one
        groups[one] += groups[other]
        readers[one] |= readers[other]
        groups[other] = []
    return [[found[n] for n in sorted(group)] for group in groups if group]


def consensus(masks: Sequence[VoxelMask], share: float = CONSENSUS) -> VoxelMask:
    """The voxels that at least this share of the masks holds; where there is none, those that most masks share."""
    low = np.min([mask.start_kji for mask in masks], axis=0)
    high = np.max([np.add(mask.start_kji, mask.voxels.shape) for mask in masks], axis=0)
    votes = np.zeros(high - low, dtype=np.int16)
    for mask in masks:
        region = tuple(slice(a, a + n) for a, n in zip(mask.start_kji - low, mask.voxels.shape, strict=True))
        votes[region] += mask.voxels
    return _trimmed(low, votes >= min(share * len(masks), votes.max()))


def _trimmed(start: NDArray[np.int64], voxels: NDArray[np.bool_]) -> VoxelMask:
    box = ndimage.find_objects(voxels.astype(np.uint8))[0]
    k, j, i = (int(a + side.start) for a, side in zip(start, box, strict=True))
    return VoxelMask((k, j, i), voxels[box].copy())
