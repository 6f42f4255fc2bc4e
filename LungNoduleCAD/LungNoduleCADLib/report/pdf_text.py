"""Any text as reportlab's markup: escaped, in a font that has its letters, and in the order in which it is read.

Latin, Greek, Cyrillic, Hebrew and Arabic letters are embedded (see `fonts`). So are Chinese, Japanese and Korean where
the system has a TrueType font for them; else they are set in fonts that most PDF readers bring.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from xml.sax.saxutils import escape

from .fonts import BOLD, REGULAR, font_file
from .text import plain_text

HAN, KANA, HANGUL = "STSong-Light", "HeiseiKakuGo-W5", "HYGothic-Medium"
EAST_ASIAN_FONTS = (
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "C:/Windows/Fonts/msyh.ttc",
    "C:/Windows/Fonts/YuGothM.ttc",
    "C:/Windows/Fonts/malgun.ttf",
    "/System/Library/Fonts/Supplemental/Arial Unicode.ttf",
)
"""Where Debian, Windows and macOS keep TrueType fonts with these letters; others cannot be embedded by reportlab."""

WIDEST_LINE = 60
"""Characters in a line of right-to-left text: it is put in order line by line, before lines are broken."""
MISSING = "\N{WHITE SQUARE}"
"""Stands for a letter no font has."""


@cache
def embedded_fonts() -> tuple[tuple[str, frozenset[int]], ...]:
    """Make the fonts known to reportlab.

    :return: names of those that are embedded, with the code points they have, in the order of preference.
    :raises OutputError: when DejaVu Sans is missing.
    """
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    for name in (REGULAR, BOLD):
        pdfmetrics.registerFont(TTFont(name, str(font_file(name))))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)
    for name in (HAN, KANA, HANGUL):
        pdfmetrics.registerFont(UnicodeCIDFont(name))
    names = [REGULAR]
    for path in EAST_ASIAN_FONTS:
        try:
            pdfmetrics.registerFont(TTFont(path, path))
        except (TTFError, OSError):  # not there, or of a kind that cannot be embedded
            continue
        names.append(path)
    return tuple((name, frozenset(pdfmetrics.getFont(name).face.charToGlyph)) for name in names)


def markup(text: object, line_length: int = WIDEST_LINE) -> str:
    """Text as reportlab's paragraph markup that shows exactly it; line ends are kept."""
    lines = plain_text(text, lines=True).split("\n")
    return "<br/>".join(_in_fonts(part) for line in lines for part in _reading_order(line, line_length))


def _in_fonts(text: str) -> str:
    """Runs of letters, each in a font that has them."""
    parts: list[tuple[str, str]] = []
    for character in text:
        name = _font_of(character)
        shown = character if name else MISSING
        if parts and parts[-1][0] == name:
            parts[-1] = (name, parts[-1][1] + shown)
        else:
            parts.append((name, shown))
    return "".join(escape(run) if name in ("", REGULAR) else f'<font name="{name}">{run}</font>' for name, run in parts)


def _font_of(character: str) -> str:
    """Empty when no font has the letter."""
    code = ord(character)
    for name, known in embedded_fonts():
        if code in known:
            return name
    if 0x3040 <= code <= 0x30FF:
        return KANA
    if 0xAC00 <= code <= 0xD7A3:
        return HANGUL
    return HAN if 0x3000 <= code <= 0x303F or 0x4E00 <= code <= 0x9FFF or 0xFF00 <= code <= 0xFF60 else ""


# -- right to left ----------------------------------------------------------------------------------------------------


def _reading_order(line: str, length: int) -> list[str]:
    """The line as it is; or, when it holds right-to-left letters, short lines with their letters joined and put from
    left to right as they are to stand. A plain form of Unicode's algorithm, without nesting."""
    if not any(_direction(c) == "R" for c in line):
        return [line]
    lines, words = [""], line.split(" ")
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) >= length:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [_ordered(_joined(part)) for part in lines]


def _direction(character: str) -> str:
    """R, L, or empty for what takes the direction of its surroundings."""
    kind = unicodedata.bidirectional(character)
    return {"R": "R", "AL": "R", "L": "L", "EN": "L", "AN": "L"}.get(kind, "")


def _ordered(line: str) -> str:
    directions = [_direction(c) for c in line]
    base = next((d for d in directions if d), "L")
    for n, direction in enumerate(directions):  # what is neutral goes with its neighbours when they agree
        if not direction:
            before = directions[n - 1] if n else base
            after = next((d for d in directions[n + 1 :] if d), base)
            mark = unicodedata.combining(line[n]) != 0
            directions[n] = before if mark or before == after else base
    runs: list[tuple[str, str]] = []
    for character, direction in zip(line, directions, strict=True):
        if runs and runs[-1][0] == direction:
            runs[-1] = (direction, runs[-1][1] + character)
        else:
            runs.append((direction, character))
    shown = [_reversed(run) if direction == "R" else run for direction, run in runs]
    return "".join(reversed(shown) if base == "R" else shown)


def _reversed(run: str) -> str:
    """From right to left; a combining mark stays behind its letter, brackets keep their meaning."""
    clusters: list[str] = []
    for character in run:
        if clusters and unicodedata.combining(character):
            clusters[-1] += character
        else:
            clusters.append(character.translate(MIRRORED))
    return "".join(reversed(clusters))


MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")


@cache
def _arabic_forms() -> dict[str, dict[str, str]]:
    """The letters' shapes alone, at the end, at the beginning and within a word, from Unicode's compatibility forms."""
    forms: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFE00), *range(0xFE70, 0xFEFF)):
        kind, *letters = unicodedata.decomposition(chr(code)).split(" ")
        if kind in ("<isolated>", "<final>", "<initial>", "<medial>") and len(letters) == 1:
            forms.setdefault(chr(int(letters[0], 16)), {})[kind] = chr(code)
    return forms


def _joined(line: str) -> str:
    """Arabic letters in the shape that their neighbours ask for."""
    forms = _arabic_forms()
    letters = [n for n, c in enumerate(line) if not unicodedata.combining(c)]
    shown = list(line)
    for place, n in enumerate(letters):
        shapes = forms.get(line[n])
        if shapes is None:
            continue
        before = forms.get(line[letters[place - 1]], {}) if place else {}
        after = forms.get(line[letters[place + 1]], {}) if place + 1 < len(letters) else {}
        joins_before = "<initial>" in before and "<final>" in shapes
        joins_after = "<initial>" in shapes and "<final>" in after
        kind = ("<isolated>", "<initial>", "<final>", "<medial>")[2 * joins_before + joins_after]
        shown[n] = shapes.get(kind, line[n])
    return "".join(shown)
