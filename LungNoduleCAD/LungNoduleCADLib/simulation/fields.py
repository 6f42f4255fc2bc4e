"""Distance fields on a coarse grid: primitive solids, smooth unions, and interpolation to fine slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Points:
    """Coordinates of a grid's points as three broadcastable float32 arrays, mm."""

    x: Field
    y: Field
    z: Field

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, j, i)."""
        return self.z.shape[0], self.y.shape[1], self.x.shape[2]


@dataclass(frozen=True)
class Grid:
    """A regular cubic grid (k, j, i) along z, y, x.

    :param origin_zyx: position of the first point, mm.
    :param step_mm: spacing on every axis.
    """

    origin_zyx: tuple[float, float, float]
    step_mm: float
    shape: tuple[int, int, int]

    @classmethod
    def covering(cls, fov_mm: float, z_range_mm: tuple[float, float], step_mm: float) -> Grid:
        """The grid that covers a centred square field of view and a z range with a step to spare on each side."""
        side = int(np.ceil(fov_mm / step_mm)) + 3
        depth = int(np.ceil((z_range_mm[1] - z_range_mm[0]) / step_mm)) + 3
        start = -(side - 1) / 2 * step_mm
        return cls((z_range_mm[0] - step_mm, start, start), step_mm, (depth, side, side))

    def points(self, scale_xyz: Sequence[float] = (1.0, 1.0, 1.0)) -> Points:
        """The grid's points divided by a stretch, so that fields written for the average adult come out stretched."""
        axes = [
            ((o + np.arange(n) * self.step_mm) / s).astype(np.float32)
            for o, n, s in zip(self.origin_zyx, self.shape, tuple(scale_xyz)[::-1], strict=True)
        ]
        return Points(axes[2][None, None, :], axes[1][None, :, None], axes[0][:, None, None])

    def index(self, points_xyz: ArrayLike) -> NDArray[np.float64]:
        """Continuous (k, j, i) indices of points (..., 3) given as (x, y, z)."""
        return (np.asarray(points_xyz, dtype=np.float64)[..., ::-1] - self.origin_zyx) / self.step_mm

    def sample(self, field: Field, points_xyz: ArrayLike) -> NDArray[np.float64]:
        """Field at points (n, 3), trilinear; points outside take the nearest border value."""
        from scipy.ndimage import map_coordinates

        return map_coordinates(field, self.index(points_xyz).T, order=1, mode="nearest", output=np.float64)


class SliceInterpolator:
    """Trilinear interpolation of coarse fields to the axial slices of a fine grid."""

    def __init__(self, grid: Grid, y_mm: NDArray[np.float64], x_mm: NDArray[np.float64]) -> None:
        self._grid = grid
        self._row, row_share = _lower_neighbour(y_mm, grid.origin_zyx[1], grid.step_mm, grid.shape[1])
        self._column, self._column_share = _lower_neighbour(x_mm, grid.origin_zyx[2], grid.step_mm, grid.shape[2])
        self._row_share = row_share[:, None]

    def __call__(self, field: Field, z_mm: float) -> Field:
        """The field in the plane z, (j, i) of the fine grid."""
        slices, share = _lower_neighbour(np.array([z_mm]), self._grid.origin_zyx[0], self._grid.step_mm, len(field))
        below, above = field[slices[0]], field[slices[0] + 1]
        plane = below + share[0] * (above - below)
        # Columns first, while there are few rows; then whole rows are mixed, which is a copy of contiguous memory.
        left = plane[:, self._column]
        plane = left + self._column_share * (plane[:, self._column + 1] - left)
        result = plane[self._row]
        step = plane[self._row + 1]
        step -= result
        step *= self._row_share
        result += step
        return result


def _lower_neighbour(
    positions: NDArray[np.float64], origin: float, step: float, count: int
) -> tuple[NDArray[np.intp], Field]:
    """Index of the grid point below each position, and the share of the way to the next one."""
    index = np.clip((positions - origin) / step, 0, count - 1)
    lower = np.minimum(index.astype(np.intp), count - 2)
    return lower, (index - lower).astype(np.float32)


def normalised(field: Field, grid: Grid) -> Field:
    """Divide by the gradient's length, so that near its zero level a field measures distance, mm."""
    squared = np.zeros_like(field)
    for axis in range(3):
        squared += np.gradient(field, np.float32(grid.step_mm), axis=axis) ** 2
    return np.clip(field / np.clip(np.sqrt(squared), 0.35, 4.0), -40, 60).astype(np.float32)


def table(z: NDArray[np.floating], knots: Sequence[float], values: Sequence[float]) -> Field:
    """Piecewise linear function of z, softened by the shape of its knots."""
    return np.interp(z, knots, values).astype(np.float32)


def superellipse(p: Points, half_width: Field, half_depth: Field, y: Field, power: float) -> Field:
    """Approximate distance inside a superelliptic cross-section centred on x = 0, y = 0."""
    radius = (np.abs(p.x) / half_width) ** power + (np.abs(y) / half_depth) ** power
    radius **= np.float32(1 / power)
    return ((1 - radius) * np.sqrt(half_width * half_depth)).astype(np.float32)


def ellipsoid(p: Points, center: ArrayLike, semi_axes: Sequence[float], long_axis: ArrayLike | None = None) -> Field:
    """Approximate distance inside an ellipsoid.

    :param semi_axes: along x, y, z; with `long_axis`, along that axis, and two at right angles to it.
    """
    cx, cy, cz = np.asarray(center, dtype=np.float64)
    x, y, z = (np.float32(1) * (a - np.float32(c)) for a, c in ((p.x, cx), (p.y, cy), (p.z, cz)))
    if long_axis is None:
        squared = (x / semi_axes[0]) ** 2 + (y / semi_axes[1]) ** 2 + (z / semi_axes[2]) ** 2
    else:
        u = np.asarray(long_axis, dtype=np.float64) / np.linalg.norm(long_axis)
        v = np.cross(u, (0, 0, 1.0))
        v /= np.linalg.norm(v)
        squared = sum(
            ((x * float(axis[0]) + y * float(axis[1]) + z * float(axis[2])) / half) ** 2
            for axis, half in zip((u, v, np.cross(u, v)), semi_axes, strict=True)
        )
    return ((1 - np.sqrt(squared)) * min(semi_axes)).astype(np.float32)


def add_tube(
    field: Field,
    grid: Grid,
    points_xyz: ArrayLike,
    radii_mm: Sequence[float] | NDArray[np.float64],
    stretch_z: float = 1.0,
) -> None:
    """Union a field, in place, with a smooth tube through points (n, 3), its radius interpolated between `radii_mm`.

    :param stretch_z: the section's height over its width (ribs are taller than thick).
    """
    from scipy.interpolate import PchipInterpolator

    points = np.asarray(points_xyz, dtype=np.float64)
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    samples = np.linspace(0, arc[-1], max(int(arc[-1] / 2.0), 2))
    line = PchipInterpolator(arc, points)(samples)
    axes = [o + np.arange(n) * grid.step_mm for o, n in zip(grid.origin_zyx, grid.shape, strict=True)]
    for (x, y, z), radius in zip(line, np.interp(samples, arc, radii_mm), strict=True):
        reach = radius + 2.5 * grid.step_mm
        box = []
        for axis, centre, extent in zip(axes, (z, y, x), (reach * stretch_z, reach, reach), strict=True):
            low = max(int(np.ceil((centre - extent - axis[0]) / grid.step_mm)), 0)
            high = min(int((centre + extent - axis[0]) / grid.step_mm) + 1, len(axis))
            box.append(slice(low, max(high, low)))
        kb, jb, ib = box
        squared = ((axes[0][kb, None, None] - z) / stretch_z) ** 2 + (axes[1][None, jb, None] - y) ** 2
        distance = np.sqrt(squared + (axes[2][None, None, ib] - x) ** 2)
        np.maximum(field[kb, jb, ib], (radius - distance).astype(np.float32), out=field[kb, jb, ib])


def smooth_min(a: Field, b: Field, width: float) -> Field:
    """Intersection of two fields with its edge rounded over `width` mm."""
    blend = np.maximum(np.float32(width) - np.abs(a - b), 0)
    return (np.minimum(a, b) - blend * blend / np.float32(4 * width)).astype(np.float32)


def smooth_max(a: Field, b: Field, width: float) -> Field:
    """Union of two fields with its edge rounded over `width` mm."""
    return -smooth_min(-a, -b, width)
