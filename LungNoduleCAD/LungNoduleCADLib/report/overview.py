"""`overview.png`: what was found, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..findings import DetectionResult
from ..volume import Volume
from .items import ReportItem, known_diameter_mm, slice_number
from .panels import BACKGROUND, BEYOND_SCAN, TEXT, colored, font, rgb, whole_slice, zoomed
from .planes import AXIAL, CORONAL, PLANES, cut, extent_lps, snap_to_voxel
from .tables import RESEARCH_USE
from .text import malignancy_text

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

MAX_ROWS = 24
PANEL_PX = 208
GAP_PX = 8
TEXT_PX = 250
HEADER_PX = 58
FOOTER_PX = 30
MIN_FIELD_MM = 60.0
FIELD_PER_DIAMETER = 2.5
"""A zoomed panel shows 60 mm, or 2.5 diameters of a larger nodule: enough to tell a vessel from a nodule."""

TWO_COLUMNS_ABOVE = 6
FAINT = (150, 156, 166)


def write_overview(items: Sequence[ReportItem], result: DetectionResult, volume: Volume, path: str | Path) -> None:
    """A picture with a row for each candidate at or above the threshold and each missed reference nodule.

    A row has the whole axial slice with the place framed, and the axial, coronal and sagittal plane through the centre
    with the outline, in the lung window and in the body's proportions. The best 24 are shown, and a line says how many
    more there are. When there is none, the page says so above a coronal view.

    :raises OSError: when the file cannot be written.
    """
    from PIL import Image, ImageDraw

    rows = _rows_to_show(items)
    columns = 2 if len(rows) > TWO_COLUMNS_ABOVE else 1
    row_width = TEXT_PX + (1 + len(PLANES)) * (PANEL_PX + GAP_PX) + 2 * GAP_PX
    row_height = PANEL_PX + 2 * GAP_PX
    per_column = -(-len(rows) // columns)
    none_height = 560
    height = HEADER_PX + (per_column * row_height if rows else none_height) + FOOTER_PX
    page = Image.new("RGB", (columns * row_width, height), BACKGROUND)
    draw = ImageDraw.Draw(page)
    _header(draw, result, rows, items)
    for n, item in enumerate(rows):
        column, row = divmod(n, per_column)
        _row(page, draw, item, volume, column * row_width + GAP_PX, HEADER_PX + row * row_height)
    if not rows:
        _no_candidate(page, volume, HEADER_PX, none_height)
    draw.text((GAP_PX * 2, height - FOOTER_PX + 6), RESEARCH_USE, fill=FAINT, font=font(13))
    page.save(path, format="PNG", compress_level=1)


def _rows_to_show(items: Sequence[ReportItem]) -> list[ReportItem]:
    """The best candidates, then missed nodules, which keep up to a third of the page."""
    missed = [item for item in items if item.candidate is None][: MAX_ROWS // 3]
    candidates = [item for item in items if item.shown and item.candidate is not None]
    return candidates[: MAX_ROWS - len(missed)] + missed


def _header(
    draw: ImageDraw.ImageDraw, result: DetectionResult, rows: Sequence[ReportItem], items: Sequence[ReportItem]
) -> None:
    above = len(result.above())
    title = f"{above or 'No'} candidate{'' if above < 2 else 's'} above the threshold {result.threshold:.3g}"
    left_out = above - sum(item.candidate is not None for item in rows)
    if left_out:
        title += f"; the best {above - left_out} are shown, {left_out} more in candidates.csv"
    if missed := sum(item.candidate is None for item in items):
        title += f"; {missed} missed"
    draw.text((GAP_PX * 2, 8), title, fill=TEXT, font=font(20))
    source = [str(result.series.get(key) or "") for key in ("series_description", "series_uid")]
    draw.text((GAP_PX * 2, 35), "   ".join(part for part in source if part)[:130], fill=FAINT, font=font(13))


def _row(page: Image.Image, draw: ImageDraw.ImageDraw, item: ReportItem, volume: Volume, left: int, top: int) -> None:
    color = rgb(item.color)
    draw.line((left, top, left + TEXT_PX + 4 * (PANEL_PX + GAP_PX) - GAP_PX, top), fill=BEYOND_SCAN)
    y = top + GAP_PX
    draw.text((left + GAP_PX, y), item.label, fill=color, font=font(26))
    y += 36
    for line in _facts(item, volume):
        draw.text((left + GAP_PX, y), line, fill=TEXT, font=font(14))
        y += 19
    x = left + TEXT_PX
    center = snap_to_voxel(volume, item.center_lps)
    field = max(MIN_FIELD_MM, FIELD_PER_DIAMETER * _diameter(item))
    _paste(page, whole_slice(volume, AXIAL, center, field, item.color, PANEL_PX), x, top + GAP_PX, "")
    for plane in PLANES:
        x += PANEL_PX + GAP_PX
        _paste(page, zoomed(volume, plane, center, field, PANEL_PX, item.color, item.mask), x, top + GAP_PX, plane.name)
    ten_mm = round(10.0 / field * PANEL_PX)
    right, bottom = x + PANEL_PX - 8, top + GAP_PX + PANEL_PX - 8
    draw.rectangle((right - ten_mm - 1, bottom - 1, right + 1, bottom + 2), fill=BACKGROUND)
    draw.rectangle((right - ten_mm, bottom, right, bottom + 1), fill=TEXT)
    draw.text(
        (right - ten_mm / 2, bottom - 3),
        "10 mm",
        fill=TEXT,
        font=font(11),
        anchor="mb",
        stroke_width=2,
        stroke_fill=BACKGROUND,
    )


def _facts(item: ReportItem, volume: Volume) -> list[str]:
    lines = []
    if item.candidate is not None:
        m = item.candidate.measurements
        lines += [
            f"score {item.candidate.score:.2f}",
            f"{m.diameter_mm:.1f} mm ({m.long_axis_mm:.1f} x {m.short_axis_mm:.1f})",
        ]
        lines += [f"{m.volume_mm3:.0f} mm3", f"{m.density}, mean {m.mean_hu:.0f} HU"]
        if item.candidate.malignancy is not None:
            said = malignancy_text(item.candidate.malignancy, item.candidate.malignancy_by_diameter)
            lines.append(f"malignancy {said}")
    else:
        lines.append("missed reference nodule")
        if _diameter(item) > 0:
            lines.append(f"{_diameter(item):.1f} mm")
    lines += [
        f"slice {slice_number(item.center_lps, volume)} of {volume.shape[0]}",
        f"LPS {', '.join(f'{v:.0f}' for v in item.center_lps)} mm",
    ]
    words = {"TP": "true positive", "FP": "false positive", "ignored": "not counted"}
    if item.status in words:
        lines.append(words[item.status])
    return lines


def _diameter(item: ReportItem) -> float:
    if item.candidate is not None:
        return max(item.candidate.measurements.diameter_mm, item.candidate.measurements.long_axis_mm)
    return known_diameter_mm(item.reference) or 0.0 if item.reference is not None else 0.0


def _no_candidate(page: Image.Image, volume: Volume, top: int, height: int) -> None:
    low, high = extent_lps(volume)
    wide, tall = float(high[0] - low[0]), float(high[2] - low[2])
    available = (page.width - 4 * GAP_PX, height - 2 * GAP_PX)
    mm_per_px = max(wide / available[0], tall / available[1])
    size = (max(round(tall / mm_per_px), 1), max(round(wide / mm_per_px), 1))
    picture = colored(cut(volume, CORONAL, (low + high) / 2.0, size, mm_per_px))
    _paste(page, picture, (page.width - size[1]) // 2, top + (height - size[0]) // 2, "mid-coronal")


def _paste(page: Image.Image, picture: NDArray[np.uint8], x: int, y: int, title: str) -> None:
    from PIL import Image, ImageDraw

    page.paste(Image.fromarray(picture), (x, y))
    if title:
        ImageDraw.Draw(page).text(
            (x + 5, y + 3), title, fill=TEXT, font=font(12), stroke_width=2, stroke_fill=BACKGROUND
        )
