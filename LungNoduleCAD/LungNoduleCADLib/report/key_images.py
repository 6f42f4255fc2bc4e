"""Pictures of a finding for a report: the whole slice, and three planes with outline and callipers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..findings import Segment
from ..volume import Volume
from .colors import Color
from .follow_up import Growth
from .model import ReportFinding
from .panels import TEXT, font, whole_slice, zoomed
from .planes import Plane, planes_of, snap_to_voxel

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

PANEL_PX = 360
MIN_FIELD_MM = 45.0
FIELD_PER_DIAMETER = 2.5
"""A zoomed panel shows 45 mm, or 2.5 diameters of a larger nodule; the whole slice beside it shows what is around."""

OUTLINE_COLOR: Color = (1.0, 0.80, 0.20)
CALLIPER_COLOR = (120, 220, 255)
SHADOW = (0, 0, 0)
JPEG_QUALITY = 92
"""Visually lossless at this size, a third of PNG. The key images written as PNG are exact."""

THUMBNAIL_PX, THUMBNAIL_QUALITY = 108, 85


@dataclass(frozen=True, eq=False)
class KeyImage:
    """A picture of a finding.

    :param name: 'slice', 'axial', 'coronal' or 'sagittal'. :param title: for a reader, above or below the picture.
    :param description: what is to be seen, in words, for who cannot see it.
    """

    name: str
    title: str
    description: str
    picture: Image.Image

    @cached_property
    def jpeg(self) -> bytes:
        """The picture as JPEG without any metadata."""
        return _jpeg(self.picture, JPEG_QUALITY)

    @cached_property
    def thumbnail(self) -> bytes:
        """A small JPEG of it, for a table."""
        return _jpeg(self.picture.resize((THUMBNAIL_PX, THUMBNAIL_PX)), THUMBNAIL_QUALITY)


def key_images(finding: ReportFinding, volume: Volume) -> tuple[KeyImage, ...]:
    """The whole slice with the place framed, then the axial, coronal and sagittal plane with outline.

    Planes run along the volume's own axes, so that the axial one is a slice as it was acquired: the one the axes were
    measured in, by a reader or the program, with them drawn, where that is known.
    """
    number = _callipers_slice(finding, volume) or finding.measured.axes_slice or finding.slice_number
    center = snap_to_voxel(volume, finding.center_lps)
    axial_center = _on_slice(volume, center, number)
    field = _field_mm(finding)
    axial, coronal, sagittal = planes_of(volume)
    whole = as_image(whole_slice(volume, axial, axial_center, field, OUTLINE_COLOR, PANEL_PX))
    draw_sides(whole, axial)
    place = f"{finding.label} on slice {number} of {volume.shape[0]}"
    images = [KeyImage("slice", f"Slice {number}", f"Whole axial slice with a frame around {place}", whole)]
    for plane, at in ((axial, axial_center), (coronal, center), (sagittal, center)):
        panel = as_image(zoomed(volume, plane, at, field, PANEL_PX, OUTLINE_COLOR, finding.mask))
        if plane is axial:
            _callipers(panel, _axes(finding, volume), plane, at, field / PANEL_PX)
        draw_sides(panel, plane)
        _scale_bar(panel, field / PANEL_PX)
        title = f"Axial, slice {number}" if plane is axial else plane.name.capitalize()
        text = f"{plane.name.capitalize()} plane through {place}, {field:.0f} mm wide, outlined"
        images.append(KeyImage(plane.name, title, text, panel))
    return tuple(images)


def prior_image(finding: ReportFinding, growth: Growth, volume: Volume) -> KeyImage:
    """The axial plane of the prior through a finding's place, as wide as the finding's own, with the outline then; a
    cross where there was none.

    :param volume: of the prior, HU.
    """
    then = growth.prior
    center = snap_to_voxel(volume, growth.place_lps if then is None else then.center_lps)
    number = round(float(volume.lps_to_index(center)[0])) + 1
    axial, _, _ = planes_of(volume)
    field = _field_mm(finding)
    panel = as_image(zoomed(volume, axial, center, field, PANEL_PX, OUTLINE_COLOR, None if then is None else then.mask))
    draw_sides(panel, axial)
    _scale_bar(panel, field / PANEL_PX)
    text = f"Axial plane of the prior through the place of {finding.label}, slice {number}, {field:.0f} mm wide"
    return KeyImage("prior", f"Prior, slice {number}", text, panel)


def _field_mm(finding: ReportFinding) -> float:
    """How much of the scan a zoomed panel shows."""
    return max(MIN_FIELD_MM, FIELD_PER_DIAMETER * max(finding.axes_mm[0], finding.measured.diameter_mm))


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def as_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """RGB pixels as a picture to draw on."""
    from PIL import Image

    return Image.fromarray(pixels)


def _on_slice(volume: Volume, center_lps: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    """The point moved along k onto a slice given by its number."""
    index = volume.lps_to_index(center_lps)
    return volume.index_to_lps((number - 1, index[1], index[2]))


def _pixel(plane: Plane, center_lps: ArrayLike, point_lps: ArrayLike, mm_per_px: float) -> tuple[float, float]:
    """Where a point lies in a panel (x, y)."""
    offset = np.subtract(point_lps, center_lps)
    middle = (PANEL_PX - 1) / 2.0
    return (
        float(offset @ plane.right_lps) / mm_per_px + middle,
        float(offset @ plane.down_lps) / mm_per_px + middle,
    )


def _callipers_slice(finding: ReportFinding, volume: Volume) -> int | None:
    """The number of the slice that a reader drew the axes in; None where they were not drawn, or across slices."""
    if finding.callipers_lps is None:
        return None
    slices = {round(float(volume.lps_to_index(end)[0])) + 1 for line in finding.callipers_lps for end in line}
    return slices.pop() if len(slices) == 1 and 1 <= min(slices) <= max(slices) <= volume.shape[0] else None


def _axes(finding: ReportFinding, volume: Volume) -> Sequence[Segment]:
    """The lines of the axes that count, where they are known to lie in the axial picture."""
    if finding.callipers_mm is not None:
        lines = finding.callipers_lps
        return lines if lines is not None and _callipers_slice(finding, volume) is not None else ()
    measured = (finding.measured.long_axis_lps, finding.measured.short_axis_lps)
    return [line for line in measured if line is not None]


def _callipers(
    panel: Image.Image, lines: Sequence[Segment], plane: Plane, center_lps: ArrayLike, mm_per_px: float
) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(panel)
    for segment in lines:
        (x0, y0), (x1, y1) = (_pixel(plane, center_lps, end, mm_per_px) for end in segment)
        draw.line((x0, y0, x1, y1), fill=CALLIPER_COLOR)
        for x, y in ((x0, y0), (x1, y1)):
            draw.line((x - 3, y, x + 3, y), fill=CALLIPER_COLOR)
            draw.line((x, y - 3, x, y + 3), fill=CALLIPER_COLOR)


def draw_sides(picture: Image.Image, plane: Plane) -> None:
    """The patient's sides at the picture's edges, as on every radiological display."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    right, down = np.array(plane.right_lps), np.array(plane.down_lps)
    for direction, place, anchor in (
        (-right, (6, height / 2), "lm"), (right, (width - 6, height / 2), "rm"),
        (-down, (width / 2, 5), "mt"), (down, (width / 2, height - 5), "mb"),
    ):  # fmt: skip
        _text(draw, place, _letter(direction), 15, anchor)


def _letter(direction_lps: NDArray[np.float64]) -> str:
    axis = int(np.argmax(np.abs(direction_lps)))
    return ("RL", "AP", "FH")[axis][int(direction_lps[axis] > 0)]


def _scale_bar(panel: Image.Image, mm_per_px: float) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(panel)
    length = round(10.0 / mm_per_px)
    right, bottom = PANEL_PX - 10, PANEL_PX - 10
    draw.rectangle((right - length - 1, bottom - 1, right + 1, bottom + 3), fill=SHADOW)
    draw.rectangle((right - length, bottom, right, bottom + 2), fill=TEXT)
    _text(draw, (right - length / 2, bottom - 4), "10 mm", 13, "mb")


def _text(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, anchor: str) -> None:
    draw.text(place, text, fill=TEXT, font=font(size), anchor=anchor, stroke_width=2, stroke_fill=SHADOW)
