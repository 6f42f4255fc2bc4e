"""Small square pictures of a place in a scan: the whole slice, and a plane through it with the outline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..findings import VoxelMask
from ..volume import Volume
from .colors import Color
from .planes import Plane, cut, cut_mask, to_grey, volume_corners_lps

BACKGROUND = (16, 18, 22)
BEYOND_SCAN = (34, 38, 48)
TEXT = (232, 234, 238)
LUNG_WINDOW_HU = (1500.0, -600.0)
"""Window and level."""
PX_PER_LINE_WIDTH = 200
"""An outline is a pixel wide in a small panel and wider in one that will be shown smaller than it is."""


def whole_slice(
    volume: Volume, plane: Plane, center_lps: ArrayLike, field_mm: float, color: Color, size_px: int
) -> NDArray[np.uint8]:
    """RGB of all the volume shows of a plane through a point, with a frame around what a panel of `field_mm` shows."""
    axes = np.array([plane.right_lps, plane.down_lps])
    corners = volume_corners_lps(volume) @ axes.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    center = np.asarray(center_lps, dtype=np.float64)
    offset = (low + high) / 2.0 - axes @ center  # from the point to the middle of the slice, in the plane
    mm_per_px = float((high - low).max()) / size_px
    picture = colored(cut(volume, plane, center + offset @ axes, (size_px, size_px), mm_per_px))
    half = field_mm / 2.0 / mm_per_px
    column, row = -offset / mm_per_px + (size_px - 1) / 2.0
    a, b = (int(np.clip(round(row + s * half), 1, size_px - 2)) for s in (-1, 1))
    c, d = (int(np.clip(round(column + s * half), 1, size_px - 2)) for s in (-1, 1))
    picture[a : b + 1, (c, d)] = rgb(color)
    picture[(a, b), c : d + 1] = rgb(color)
    return picture


def zoomed(
    volume: Volume,
    plane: Plane,
    center_lps: ArrayLike,
    field_mm: float,
    size_px: int,
    color: Color,
    mask: VoxelMask | None,
    mask_grid: Volume | None = None,
    window_hu: tuple[float, float] = LUNG_WINDOW_HU,
) -> NDArray[np.uint8]:
    """RGB of a plane through a point, `field_mm` wide, with the mask's outline; without a mask a cross marks the point.

    :param mask_grid: what the mask's indices refer to, where that is not the volume.
    :param window_hu: window and level.
    """
    size, mm_per_px = (size_px, size_px), field_mm / size_px
    picture = colored(cut(volume, plane, center_lps, size, mm_per_px), window_hu)
    if mask is not None:
        inside = cut_mask(mask, mask_grid or volume, plane, center_lps, size, mm_per_px)
        outline, edge = _outline(inside, max(1, round(size_px / PX_PER_LINE_WIDTH)))
        picture[edge] //= 2
        picture[outline] = rgb(color)
    else:
        middle = size_px // 2
        picture[middle, middle - 6 : middle + 7] = picture[middle - 6 : middle + 7, middle] = rgb(color)
    return picture


def colored(hu: NDArray[np.float32], window_hu: tuple[float, float] = LUNG_WINDOW_HU) -> NDArray[np.uint8]:
    """Grey as RGB, with a flat colour beyond the scan, so that it is not taken for air."""
    picture = np.repeat(to_grey(hu, *window_hu)[..., None], 3, axis=2)
    picture[np.isnan(hu)] = BEYOND_SCAN
    return picture


def rgb(color: Color) -> tuple[int, int, int]:
    """A colour in 0-1 as bytes."""
    red, green, blue = (round(255 * c) for c in color)
    return red, green, blue


def font(size: int) -> Any:
    """Pillow's own scalable font: the same on every machine."""
    from PIL import ImageFont

    if size not in _fonts:
        _fonts[size] = ImageFont.load_default(size)
    return _fonts[size]


_fonts: dict[int, Any] = {}


def _outline(inside: NDArray[np.bool_], width: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The pixels just outside a region, so that a small nodule is not painted over; and those around them, which are
    darkened, so that a pale line shows on white."""
    from scipy.ndimage import binary_dilation

    first = binary_dilation(inside, iterations=width)
    return first & ~inside, binary_dilation(first) & ~first
