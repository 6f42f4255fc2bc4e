"""Three planes through a candidate, as pictures for the panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..findings import VoxelMask
from ..report.colors import Color
from ..report.panels import colored, zoomed
from ..report.planes import PLANES, cut, snap_to_voxel
from ..volume import Volume

SCALE_BAR_MM = 10.0
BAR_MARGIN_PX, BAR_PX = 8, 2
BAR_COLOR, BAR_EDGE = 235, 20


class Outline(NamedTuple):
    """What is drawn around a candidate: its mask, and the grid that the mask's indices refer to."""

    color: Color
    mask: VoxelMask
    grid: Volume


def close_up(
    volume: Volume,
    center_lps: Sequence[float],
    field_mm: float,
    window_hu: tuple[float, float],
    size_px: int,
    outline: Outline | None = None,
) -> dict[str, NDArray[np.uint8]]:
    """Axial, coronal and sagittal plane through the voxel nearest to a point, in radiological convention.

    :param field_mm: width of the pictures. :param window_hu: window and level.
    :return: by the plane's name, RGB (size_px, size_px, 3), with a bar 10 mm long at the lower right.
    """
    center = snap_to_voxel(volume, center_lps)
    pictures = {}
    for plane in PLANES:
        if outline is not None:
            picture = zoomed(
                volume, plane, center, field_mm, size_px, outline.color, outline.mask, outline.grid, window_hu
            )
        else:
            picture = colored(cut(volume, plane, center, (size_px, size_px), field_mm / size_px), window_hu)
        _draw_bar(picture, round(SCALE_BAR_MM / field_mm * size_px))
        pictures[plane.name] = picture
    return pictures


def to_ppm(picture: NDArray[np.uint8]) -> bytes:
    """An RGB picture as a PPM file, which Qt reads without a copy of its pixels being kept alive for it."""
    height, width, _ = picture.shape
    return b"P6 %d %d 255\n" % (width, height) + picture.tobytes()


def _draw_bar(picture: NDArray[np.uint8], length_px: int) -> None:
    right, bottom = picture.shape[1] - BAR_MARGIN_PX, picture.shape[0] - BAR_MARGIN_PX
    top, left = bottom - BAR_PX, max(right - length_px, 1)
    picture[top - 1 : bottom + 1, left - 1 : right + 1] = BAR_EDGE
    picture[top:bottom, left:right] = BAR_COLOR
