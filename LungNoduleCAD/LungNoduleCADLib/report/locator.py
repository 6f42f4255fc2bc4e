"""Where in the lungs the findings lie: projections of the scan with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..volume import Volume
from .key_images import OUTLINE_COLOR, SHADOW, KeyImage, as_image, draw_sides
from .model import Report, ReportFinding
from .panels import font, rgb
from .planes import Plane, cut, planes_of, volume_corners_lps

if TYPE_CHECKING:
    from PIL import ImageDraw

LOCATOR_PX = 300
LEAST_PX = 60
"""What a scan of a few columns would give otherwise does not fit on a page."""
PROJECTED_CUTS = 24
"""Planes averaged for a projection; more do not show."""
PROJECTION_WINDOW = (-950.0, 50.0)
"""HU of black and white: the mean along a ray through a chest lies between."""


def locator_images(report: Report, volume: Volume) -> tuple[KeyImage, ...]:
    """Coronal and sagittal projection of the scan with the findings' numbers: where in the lungs they lie."""
    _, coronal, sagittal = planes_of(volume)
    return tuple(_locator(report.findings, volume, plane) for plane in (coronal, sagittal))


def _locator(findings: Sequence[ReportFinding], volume: Volume, plane: Plane) -> KeyImage:
    from PIL import ImageDraw

    axes = np.array([plane.right_lps, plane.down_lps])
    depth = np.cross(*axes)
    corners = volume_corners_lps(volume)
    low, high = (corners @ axes.T).min(axis=0), (corners @ axes.T).max(axis=0)
    near, far = float((corners @ depth).min()), float((corners @ depth).max())
    middle = (low + high) / 2.0 @ axes
    mm_per_px = float((high - low).max()) / LOCATOR_PX
    width, height = (max(round(float(n) / mm_per_px), LEAST_PX) for n in high - low)
    # The middle half of the body holds the lungs; chest wall and table would only veil them.
    planes = np.linspace(near + (far - near) / 4, far - (far - near) / 4, PROJECTED_CUTS)
    total: NDArray[np.float32] = np.zeros((height, width), np.float32)
    for along in planes:
        total += np.nan_to_num(cut(volume, plane, middle + along * depth, (height, width), mm_per_px), nan=-1000.0)
    black, white = PROJECTION_WINDOW
    grey = np.clip((total / PROJECTED_CUTS - black) / (white - black), 0, 1)
    picture = as_image(np.repeat((grey * 255).astype(np.uint8)[..., None], 3, axis=2))
    draw = ImageDraw.Draw(picture)
    for finding in reversed(findings):  # the most suspicious is drawn last, on top
        x, y = (axes @ np.asarray(finding.center_lps) - (low + high) / 2.0) / mm_per_px + (width / 2, height / 2)
        _badge(draw, float(x), float(y), finding.label.removeprefix("N"))
    draw_sides(picture, plane)
    names = ", ".join(finding.label for finding in findings) or "no finding"
    text = f"{plane.name.capitalize()} projection of the chest with {names}"
    return KeyImage(plane.name, plane.name.capitalize(), text, picture)


def _badge(draw: ImageDraw.ImageDraw, x: float, y: float, text: str) -> None:
    radius = 9
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=rgb(OUTLINE_COLOR), outline=SHADOW)
    draw.text((x, y), text, fill=SHADOW, font=font(11), anchor="mm")
