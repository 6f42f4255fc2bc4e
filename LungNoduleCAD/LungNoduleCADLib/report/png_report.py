"""Key images as PNG: a sheet for each finding, with what must be read beside it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import words
from .fonts import truetype
from .key_images import KeyImage
from .model import NOTICE, Report, ReportFinding
from .panels import BACKGROUND, TEXT
from .pictures import Pictures

if TYPE_CHECKING:
    from PIL import Image

GAP_PX, HEAD_PX, CAPTION_PX, FOOT_PX = 8, 50, 24, 46
FAINT = (150, 156, 166)
WARM = (255, 205, 60)
COMPRESSION = 1
"""Higher levels take twice as long and save a tenth."""


def render_pngs(report: Report, pictures: Pictures) -> dict[str, bytes]:
    """A file for each finding, by its name; one that says so when there is none.

    No name, number or date of the patient is in them; the series' UID is.
    """
    sheets = {
        f"key-image-{finding.label}.png": _png(_title(finding, report), pictures.of(finding), report)
        for finding in report.findings
    }
    return sheets or {"no-findings.png": _png(words.headline(report), pictures.locators, report)}


def _title(finding: ReportFinding, report: Report) -> str:
    place = f", {finding.location}" if finding.location else ""
    return (
        f"{finding.label}   {words.size_text(finding)}, {words.axes_text(finding)}, {finding.density}{place}, "
        f"slice {words.slice_text(finding, report)}"
    )


def _png(title: str, images: Sequence[KeyImage], report: Report) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    for keyword, value in (
        ("Title", title),
        ("Software", f"LungNoduleCAD {report.method.software_version}"),
        ("Disclaimer", NOTICE),
        ("Source", words.provenance_line(report)),
    ):
        note.add_itxt(keyword, value)
    stream = io.BytesIO()
    _sheet(title, images, report).save(stream, format="PNG", pnginfo=note, compress_level=COMPRESSION)
    return stream.getvalue()


def _sheet(title: str, images: Sequence[KeyImage], report: Report) -> Image.Image:
    from PIL import Image, ImageDraw

    # The foot needs its width whatever the pictures' is.
    width = max(sum(image.picture.width + GAP_PX for image in images) + GAP_PX, 1100)
    height = max(image.picture.height for image in images)
    page = Image.new("RGB", (width, HEAD_PX + height + CAPTION_PX + FOOT_PX), BACKGROUND)
    draw = ImageDraw.Draw(page)
    draw.text((GAP_PX * 2, 13), title, fill=WARM, font=truetype(19, bold=True))
    x = GAP_PX
    for image in images:
        page.paste(image.picture, (x, HEAD_PX))
        middle = x + image.picture.width / 2
        draw.text((middle, HEAD_PX + height + 4), image.title, fill=TEXT, font=truetype(13), anchor="mt")
        x += image.picture.width + GAP_PX
    foot = page.height - FOOT_PX
    draw.text((GAP_PX * 2, foot + 4), NOTICE, fill=WARM, font=truetype(14, bold=True))
    _fitted(draw, words.provenance_line(report), (GAP_PX * 2, foot + 25), width - 4 * GAP_PX)
    return page


def _fitted(draw: Any, text: str, place: tuple[int, int], width: int) -> None:
    """In the largest size, of the legible ones, in which the line fits."""
    for size in range(12, 7, -1):
        if draw.textlength(text, font=truetype(size)) <= width:
            break
    draw.text(place, text, fill=FAINT, font=truetype(size))
