"""Drawing conical tubes of any calibre, down to a fraction of a voxel, into a CT array."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .trees import Tubes

_REACH_STEP_MM = 1.25
_CHUNK_VALUES = 2_000_000


def draw_tubes(
    volume_hu: NDArray[np.float32],
    tubes: Tubes,
    hu: float,
    origin_zyx: tuple[float, float, float],
    spacing_kji_mm: NDArray[np.float64],
) -> None:
    """Draw tubes of one density into a volume, in place, with partial volume at their edges.

    A dense tube only raises and an air tube (`hu` below -500) only lowers the volume, so that overlapping pieces do not
    add up. A tube thinner than a voxel is drawn a voxel wide with the contrast that its section has.

    :param volume_hu: (k, j, i) float32, C-contiguous.
    :param origin_zyx: position of the first voxel's centre, mm.
    """
    flat = volume_hu.reshape(-1)
    lowers = hu < -500
    width = np.float32(spacing_kji_mm.max())
    for index, occupancy in _occupancies(volume_hu.shape, tubes, origin_zyx, spacing_kji_mm, width):
        before = flat[index]
        after = before + occupancy * (np.float32(hu) - before)
        (np.minimum if lowers else np.maximum).at(flat, index, after)


def _occupancies(
    shape: tuple[int, ...],
    tubes: Tubes,
    origin_zyx: tuple[float, float, float],
    spacing: NDArray[np.float64],
    width: np.float32,
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Flat voxel indices and tube shares, in batches of pieces of like size (one box shape per batch)."""
    starts, ends = tubes.starts[:, ::-1], tubes.ends[:, ::-1]
    middle = (starts + ends) / 2
    reach = np.linalg.norm(ends - starts, axis=1) / 2 + np.maximum(tubes.start_radii, tubes.end_radii) + width
    size_class = np.ceil(reach / _REACH_STEP_MM).astype(int)
    center = np.rint((middle - origin_zyx) / spacing).astype(int)
    half_boxes = np.ceil(size_class[:, None] * _REACH_STEP_MM / spacing).astype(int)
    visible = ((center + half_boxes >= 0) & (center - half_boxes < shape)).all(axis=1)
    for size in np.unique(size_class[visible]):
        members = np.flatnonzero(visible & (size_class == size))
        half = np.ceil(size * _REACH_STEP_MM / spacing).astype(int)
        offsets = [np.arange(-n, n + 1) for n in half]
        per_piece = int(np.prod([len(o) for o in offsets]))
        for first in range(0, len(members), max(1, _CHUNK_VALUES // per_piece)):
            chunk = members[first : first + max(1, _CHUNK_VALUES // per_piece)]
            yield _chunk_occupancy(shape, tubes, starts, ends, center, offsets, chunk, origin_zyx, spacing, width)


def _chunk_occupancy(
    shape: tuple[int, ...],
    tubes: Tubes,
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    center: NDArray[np.intp],
    offsets: list[NDArray[np.intp]],
    chunk: NDArray[np.intp],
    origin_zyx: tuple[float, float, float],
    spacing: NDArray[np.float64],
    width: np.float32,
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    index, from_start, inside = [], [], []
    for axis in range(3):
        broadcast = tuple(slice(None) if a in (0, axis + 1) else None for a in range(4))
        voxel = center[chunk, axis, None] + offsets[axis]
        position = voxel * spacing[axis] + origin_zyx[axis] - starts[chunk, axis, None]
        index.append(voxel[broadcast])
        from_start.append(position.astype(np.float32)[broadcast])
        inside.append(((voxel >= 0) & (voxel < shape[axis]))[broadcast])
    along = (ends - starts)[chunk].astype(np.float32)
    length_squared = np.maximum(np.sum(along**2, axis=1), np.float32(1e-6))
    a, b, c = (along[:, axis, None, None, None] for axis in range(3))
    z, y, x = from_start
    t = np.clip((z * a + y * b + x * c) / length_squared[:, None, None, None], 0, 1)
    distance = np.sqrt((z - t * a) ** 2 + (y - t * b) ** 2 + (x - t * c) ** 2)
    r0 = tubes.start_radii[chunk].astype(np.float32)[:, None, None, None]
    r1 = tubes.end_radii[chunk].astype(np.float32)[:, None, None, None]
    radius = r0 + t * (r1 - r0)
    drawn = np.maximum(radius, width / 2)
    occupancy = np.clip((drawn - distance) / width + np.float32(0.5), 0, 1) * (radius / drawn) ** 2
    touched = (occupancy > 0.01) & inside[0] & inside[1] & inside[2]
    flat = ((index[0] * shape[1] + index[1]) * shape[2] + index[2])[touched]
    return flat, occupancy[touched]
