"""The parts a PDF report is laid out with: styles, boxes, grids, tables and pages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import Any, BinaryIO

from .fonts import BOLD, REGULAR
from .model import NOTICE
from .pdf_text import embedded_fonts, markup

PAGE = (595.28, 841.89)
"""A4 in points."""
MARGIN, FOOT = 34.0, 40.0
WIDTH = PAGE[0] - 2 * MARGIN
CELL_LONGEST = 600
"""Characters that a cell can hold, which cannot continue on the next page; names have fewer."""

SHORTENED = " … (shortened; the HTML and JSON reports have it all)"

INK, SOFT, LINE, HEAD, ACCENT = "#14212e", "#5a6a7a", "#dbe2e9", "#0f2a44", "#0a6c74"
PAPER, PANEL, AMBER, AMBER_PAPER, GREEN_PAPER = "#f3f6f9", "#0b0e12", "#8a4b00", "#fff3d6", "#ddf5e4"
GREEN, LABEL = "#14602f", "#ffcc33"

STYLES: dict[str, dict[str, Any]] = {
    "text": {"fontSize": 7.5, "leading": 9.6},
    "soft": {"fontSize": 6.8, "leading": 8.6, "textColor": SOFT},
    "name": {"fontSize": 6.3, "leading": 8, "textColor": SOFT},
    "value": {"fontSize": 7.8, "leading": 9.8, "fontName": BOLD},
    "strong": {"fontSize": 7.8, "leading": 9.6, "fontName": BOLD},
    "head": {"fontSize": 6.5, "leading": 8, "fontName": BOLD, "textColor": SOFT},
    "title": {"fontSize": 16, "leading": 20, "fontName": BOLD, "textColor": "#ffffff"},
    "subtitle": {"fontSize": 8, "leading": 11, "textColor": "#b9cbdc"},
    "notice": {"fontSize": 8, "leading": 11, "fontName": BOLD, "textColor": AMBER, "alignment": 1},
    "heading": {
        "fontSize": 10.5,
        "leading": 13,
        "fontName": BOLD,
        "spaceBefore": 9,
        "spaceAfter": 4,
    },
    "count": {"fontSize": 22, "leading": 27, "fontName": BOLD},
    "lead": {"fontSize": 9.5, "leading": 13},
    "reviewed": {"fontSize": 7.3, "leading": 9.5, "fontName": BOLD, "textColor": GREEN, "alignment": 1},
    "unreviewed": {"fontSize": 7.3, "leading": 9.5, "fontName": BOLD, "textColor": AMBER, "alignment": 1},
    "guideline": {"fontSize": 6.8, "leading": 8.6, "fontName": BOLD, "textColor": ACCENT},
    "category": {"fontSize": 10, "leading": 12.5, "fontName": BOLD},
    "warning": {"fontSize": 8.5, "leading": 11, "fontName": BOLD, "textColor": AMBER},
    "label": {"fontSize": 8.5, "leading": 11, "fontName": BOLD, "alignment": 1},
    "finding": {"fontSize": 10, "leading": 12.5, "fontName": BOLD},
    "caption": {"fontSize": 6.5, "leading": 8, "textColor": "#dfe6ee", "alignment": 1},
}


@cache
def _style(name: str) -> Any:
    from reportlab.lib.styles import ParagraphStyle

    embedded_fonts()
    settings = {"fontName": REGULAR, "textColor": INK, "splitLongWords": 1, **STYLES[name]}
    return ParagraphStyle(name, **settings)


def heading(text: str, height: float = 60) -> list[Any]:
    """A heading that stays with what follows it.

    :param height: of the first part of what follows, in points.
    """
    from reportlab.platypus import CondPageBreak

    return [CondPageBreak(height), paragraph(text, "heading")]


def paragraph(text: str, style: str = "text", *, line_length: int = 60, longest: int = 1 << 20) -> Any:
    """Any text in one of `STYLES`, shown as it is.

    :param line_length: of right-to-left text, in characters.
    :param longest: text beyond is left out, and it is said; for places that cannot go on on the next page.
    """
    from reportlab.platypus import Paragraph

    shown = text if len(text) <= longest else f"{text[:longest]}{SHORTENED}"
    return Paragraph(markup(shown, line_length), _style(style))


def picture(jpeg: bytes, width: float, size_px: tuple[int, int]) -> Any:
    """A JPEG, stored as it is, at a width in points."""
    from reportlab.platypus import Image

    return Image(io.BytesIO(jpeg), width=width, height=width * size_px[1] / size_px[0])


def padded(points: float) -> list[tuple[Any, ...]]:
    """Style of a table: room around every cell's content."""
    return [(f"{side}PADDING", (0, 0), (-1, -1), points) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]


def boxed(content: Any, color: str, *, width: float = WIDTH, padding: float = 6, line: str = "") -> Any:
    """Something on a coloured ground, with a line at its left where one is asked for."""
    from reportlab.platypus import Table

    table = Table([[content]], colWidths=(width,))
    style: list[tuple[Any, ...]] = [
        ("BACKGROUND", (0, 0), (-1, -1), color),
        *padded(padding),
        ("LEFTPADDING", (0, 0), (-1, -1), padding + (3 if line else 0)),
    ]
    if line:
        style.append(("LINEBEFORE", (0, 0), (0, -1), 3, line))
    table.setStyle(style)
    return table


def grid_of_pairs(pairs: Sequence[tuple[str, str]], columns: int, width: float) -> Any:
    """Names above values, so many beside one another."""
    from reportlab.platypus import Table

    limits = {"line_length": 24, "longest": CELL_LONGEST}
    cells: list[Any] = [[paragraph(name, "name"), paragraph(value, "value", **limits)] for name, value in pairs] or [""]
    cells += [""] * (-len(cells) % columns)
    rows = [cells[n : n + columns] for n in range(0, len(cells), columns)]
    table = Table(rows, colWidths=[width / columns] * columns)
    table.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), *padded(3)])
    return table


def plain_table(rows: Sequence[Sequence[Any]], widths: Sequence[float], *, header: bool = False) -> Any:
    """A table that continues on the next page between rows; texts become paragraphs, a header is repeated."""
    from reportlab.platypus import Table

    cells = [[paragraph(c, longest=CELL_LONGEST) if isinstance(c, str) else c for c in row] for row in rows]
    table = Table(cells, colWidths=list(widths), repeatRows=int(header))
    table.setStyle([("VALIGN", (0, 0), (-1, -1), "MIDDLE"), ("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE),
                    *padded(2.5), ("LEFTPADDING", (0, 0), (-1, -1), 1)])  # fmt: skip
    return table


def write_pages(stream: BinaryIO, story: list[Any], author: str, identity: str, fixed: bool) -> None:
    """Lay out the parts on numbered pages.

    :param identity: at the head of every page but the first.
    :param fixed: leave out the time at which the file was made.
    """
    from reportlab import rl_config
    from reportlab.pdfgen.canvas import Canvas
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

    class NumberedCanvas(Canvas):
        """Knows how many pages there are when it writes the first one's foot."""

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self._pages, start=1):
                self.__dict__.update(page)
                _foot(self, number, len(self._pages), identity)
                super().showPage()
            super().save()

    rl_config.useA85 = 0  # pictures as they are, not as text a quarter longer that takes a second to make
    document = BaseDocTemplate(
        stream, pagesize=PAGE, title="Lung nodule report", author=author, subject=NOTICE, creator=author,
        invariant=int(fixed), lang="en",
    )  # fmt: skip
    padding = {"leftPadding": 0, "rightPadding": 0, "topPadding": 0, "bottomPadding": 0}
    frame = Frame(MARGIN, FOOT, WIDTH, PAGE[1] - FOOT - MARGIN - 10, **padding)
    document.addPageTemplates([PageTemplate(frames=[frame])])
    document.build(story, canvasmaker=NumberedCanvas)


def _foot(canvas: Any, number: int, count: int, identity: str) -> None:
    foot = paragraph(f"{NOTICE} · page {number} of {count}", "soft")
    foot.wrapOn(canvas, WIDTH, 20)
    foot.drawOn(canvas, MARGIN, FOOT - 20)
    if number > 1:
        head = paragraph(identity, "soft", longest=160)
        head.wrapOn(canvas, WIDTH, 20)
        head.drawOn(canvas, MARGIN, PAGE[1] - MARGIN + 4)
