"""An explanation as pictures: maps over three planes, feature maps (A24), and a walk through the slices (A21)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.feature_maps import MOST_CHANNELS
from ..evaluation.pictures import feature_map_picture, film
from ..findings import VoxelMask
from ..report.colors import Color
from ..report.panels import BACKGROUND, TEXT, colored, font, rgb, zoomed
from ..report.planes import Plane, cut, planes_of, snap_to_voxel
from ..volume import Volume
from .explainer import Explanation
from .heat import HEAT_OPACITY, heat_colors, visible_from

if TYPE_CHECKING:
    from PIL import Image

PANEL_PX = 300
FRAME_PX = 320
GAP_PX, LINE_PX = 8, 22
GIVEN_PX = 192
FIELD_MM = 64.0
"""What the classifier sees, and so what the maps know of."""
FAINT = (150, 156, 166)
BAR_PX = (16, 120)
"""Width and height of a colour bar."""
BEYOND_NODULE_MM = 8.0
"""Slices that the animation shows above and below the outline."""
LEAST_FILM_MM = 24.0
MOST_FRAMES = 60
GREYS = 240
"""Of an animation's 256 colours; the outline's take the rest."""


@dataclass(frozen=True, eq=False)
class Pictured:
    """The finding that is explained, as the pictures name and outline it.

    :param mask: its voxels on the scan's grid; None where there are none.
    """

    label: str
    center_lps: tuple[float, float, float]
    color: Color
    mask: VoxelMask | None = None


def overlay_picture(explanation: Explanation, scan: Volume, finding: Pictured) -> bytes:
    """Three planes through the finding, with its outline and under each map; PNG."""
    planes, center = planes_of(scan), snap_to_voxel(scan, finding.center_lps)
    rows: tuple[tuple[str, Volume | None], ...] = (
        (f"{finding.label}, nodule logit {explanation.logit:+.2f}", None),
        ("Occlusion: how far the logit falls where a place is covered", explanation.occlusion),
        ("Integrated gradients: share of the logit, per cubic mm", explanation.gradients),
    )
    height = PANEL_PX + LINE_PX + GAP_PX
    bar = BAR_PX[0] + 70
    page, draw = _page(3 * (PANEL_PX + GAP_PX) + GAP_PX + bar, len(rows) * height + GAP_PX)
    for row, (title, values) in enumerate(rows):
        top = GAP_PX + row * height
        draw.text((GAP_PX, top), title, fill=TEXT, font=font(14))
        for column, plane in enumerate(planes):
            picture = _plane(scan, plane, center, finding, values)
            left = GAP_PX + column * (PANEL_PX + GAP_PX)
            page.paste(picture, (left, top + LINE_PX))
            name = plane.name.capitalize()
            draw.text(
                (left + 5, top + LINE_PX + 3), name, fill=TEXT, font=font(12), stroke_width=2, stroke_fill=(0, 0, 0)
            )
        if values is not None:
            _draw_bar(page, draw, 3 * (PANEL_PX + GAP_PX) + GAP_PX, top + LINE_PX, values)
    return _png(page)


def feature_maps_sheet(explanation: Explanation) -> bytes:
    """What the classifier makes of the patch, layer by layer, in its middle axial slice; PNG.

    The patient's right is on the left and the front at the top, as in all views.
    """
    from PIL import Image

    axes = explanation.patch.grid.direction
    down, right = (slice(None, None, -1 if axes[axis, axis] < 0 else 1) for axis in (1, 0))
    values = explanation.patch.values
    given = np.rint(255 * values[len(values) // 2][down, right]).astype(np.uint8)
    titled = [(f"The classifier is given: middle slice, {len(values)} x {len(values)}", _grey(given))]
    for maps in explanation.layers:
        rows, columns = maps.maps.shape[1:]
        upright = replace(maps, maps=np.ascontiguousarray(maps.maps[:, down, right]))
        picture = Image.open(io.BytesIO(feature_map_picture(upright, columns=MOST_CHANNELS)))
        titled.append((f"{maps.layer}: {len(maps.maps)} of {maps.channels} channels, {rows} x {columns}", picture))
    return _stacked(titled)


def slices_film(scan: Volume, finding: Pictured) -> bytes:
    """The scan's slices through the finding from the feet to the head with its outline, endless; GIF."""
    axial = planes_of(scan)[0]
    center = scan.lps_to_index(snap_to_voxel(scan, finding.center_lps))
    numbers = film_slices(scan, finding)
    from PIL import Image

    palette = _palette(finding.color)
    frames = []
    for k in numbers:
        place = scan.index_to_lps((k, center[1], center[2]))
        mask = finding.mask if finding.mask is not None else _nothing()
        picture = _as_image(zoomed(scan, axial, place, FIELD_MM, FRAME_PX, finding.color, mask))
        _drawer(picture).text(
            (6, 4), f"{finding.label}, slice {k + 1}", fill=TEXT, font=font(14), stroke_width=2, stroke_fill=(0, 0, 0)
        )
        frames.append(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    return film(frames)


def film_slices(scan: Volume, finding: Pictured) -> list[int]:
    """Indices of the slices that the animation shows, from the feet to the head."""
    thickness, count = float(scan.spacing_kji_mm[0]), scan.shape[0]
    middle = float(scan.lps_to_index(finding.center_lps)[0])
    low = high = middle
    if finding.mask is not None and finding.mask.voxels.any():
        marked = np.flatnonzero(finding.mask.voxels.any(axis=(1, 2))) + finding.mask.start_kji[0]
        low, high = float(marked[0]), float(marked[-1])
    low = min(low - BEYOND_NODULE_MM / thickness, middle - LEAST_FILM_MM / 2 / thickness)
    high = max(high + BEYOND_NODULE_MM / thickness, middle + LEAST_FILM_MM / 2 / thickness)
    first, last = max(round(low), 0), min(round(high), count - 1)
    every = -(-(last - first + 1) // MOST_FRAMES)
    numbers = list(range(first, last + 1, every))
    return numbers if scan.direction[2, 2] >= 0 else numbers[::-1]


def _plane(
    scan: Volume, plane: Plane, center: NDArray[np.float64], finding: Pictured, values: Volume | None
) -> Image.Image:
    if values is None:
        return _as_image(zoomed(scan, plane, center, FIELD_MM, PANEL_PX, finding.color, finding.mask))
    size, mm_per_px = (PANEL_PX, PANEL_PX), FIELD_MM / PANEL_PX
    picture = colored(cut(scan, plane, center, size, mm_per_px)).astype(np.float32)
    heat = np.nan_to_num(cut(values, plane, center, size, mm_per_px))
    greatest = float(values.voxels.max())
    shown = heat >= visible_from(greatest) if greatest > 0 else np.zeros(heat.shape, dtype=bool)
    colors = heat_colors(heat[shown] / greatest) * 255 if shown.any() else np.zeros((0, 3))
    picture[shown] = (1 - HEAT_OPACITY) * picture[shown] + HEAT_OPACITY * colors
    return _as_image(np.rint(picture).astype(np.uint8))


def _draw_bar(page: Image.Image, draw: Any, left: int, top: int, values: Volume) -> None:
    """What the colours mean, in the map's own unit."""
    greatest = float(values.voxels.max())
    if greatest <= 0:
        draw.text((left, top), "nothing\nspeaks\nfor it", fill=FAINT, font=font(12))
        return
    width, height = BAR_PX
    low = visible_from(greatest) / greatest
    shares = np.linspace(1.0, low, height)
    bar = np.repeat(np.rint(heat_colors(shares) * 255).astype(np.uint8)[:, None], width, axis=1)
    page.paste(_as_image(bar), (left, top + 4))
    for share, y in ((1.0, top), (low, top + height - 8)):
        draw.text((left + width + 6, y), f"{share * greatest:.2g}", fill=TEXT, font=font(12))


def _grey(plane: NDArray[np.uint8]) -> Image.Image:
    from PIL import Image

    return Image.fromarray(plane).convert("RGB").resize((GIVEN_PX, GIVEN_PX), Image.Resampling.BICUBIC)


def _stacked(titled: Sequence[tuple[str, Image.Image]]) -> bytes:
    width = max(picture.width for _, picture in titled) + 2 * GAP_PX
    page, draw = _page(width, sum(picture.height + LINE_PX for _, picture in titled) + GAP_PX)
    top = GAP_PX
    for title, picture in titled:
        draw.text((2 * GAP_PX, top), title, fill=TEXT, font=font(14))
        page.paste(picture, (GAP_PX, top + LINE_PX - 4))
        top += picture.height + LINE_PX
    return _png(page)


def _palette(color: Color) -> Image.Image:
    """The same colours for all frames, so that nothing flickers: greys, and the outline's."""
    from PIL import Image

    greys = [level for n in range(GREYS) for level in [round(255 * n / (GREYS - 1))] * 3]
    image = Image.new("P", (1, 1))
    image.putpalette([*greys, *rgb(color), *BACKGROUND, *([0, 0, 0] * (256 - GREYS - 2))])
    return image


def _nothing() -> VoxelMask:
    return VoxelMask((0, 0, 0), np.zeros((1, 1, 1), dtype=bool))


def _as_image(pixels: NDArray[np.uint8]) -> Image.Image:
    from PIL import Image

    return Image.fromarray(pixels)


def _drawer(picture: Image.Image) -> Any:
    from PIL import ImageDraw

    return ImageDraw.Draw(picture)


def _page(width: int, height: int) -> tuple[Image.Image, Any]:
    from PIL import Image

    page = Image.new("RGB", (width, height), BACKGROUND)
    return page, _drawer(page)


def _png(page: Image.Image) -> bytes:
    stream = io.BytesIO()
    page.save(stream, "PNG", optimize=True)
    return stream.getvalue()
