"""Text that came from elsewhere (headers, paths, readers) made harmless, and names and dates made readable."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
"""What makes a spreadsheet take a cell for a formula; the last four are the full-width forms that some fold."""

FORMULA_BEHIND = re.compile(rf"([;\n])(?=[\s\"]*[{re.escape(''.join(FORMULA_STARTS))}])")

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
DIRECTION_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
"""They can make a name read backwards or swap with what stands beside it."""


def plain_text(value: object, *, lines: bool = False) -> str:
    """A value as text that every format can hold: no control characters, no half surrogates (undecodable bytes of a
    path), no marks that change the direction of what follows.

    :param lines: keep line ends, as LF; otherwise they become spaces.
    """
    text = ("" if value is None else str(value)).replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(_plain_character(c, lines) for c in text if c not in DIRECTION_CONTROLS)
    return kept.strip()


def spreadsheet_text(text: str) -> str:
    """Text that no spreadsheet runs as a formula: an apostrophe is put in front of what would start one, also behind a
    semicolon and on a further line, where a spreadsheet of many countries begins another cell whatever the quotes."""
    safe = FORMULA_BEHIND.sub(r"\1'", text)
    return f"'{safe}" if text.lstrip(" ").startswith(FORMULA_STARTS) else safe


def person_name(value: str) -> str:
    """A DICOM person name for a reader: 'Doe, Jane Ann' of 'Doe^Jane^Ann'; the same in further scripts, as it is
    spoken there, behind it in brackets."""
    alphabetic, *others = plain_text(value).split("=")
    family, given, middle, prefix, suffix, *_ = [*(part.strip() for part in alphabetic.split("^")), *[""] * 5]
    forenames = " ".join(part for part in (prefix, given, middle, suffix) if part)
    name = ", ".join(part for part in (family, forenames) if part)
    spoken = " / ".join(text for text in (" ".join(other.split("^")).strip() for other in others) if text)
    return " ".join(part for part in (name, f"({spoken})" if spoken and name else spoken) if part)


def date_text(value: str) -> str:
    """A DICOM date as ISO 8601 ('19900906' -> '1990-09-06'); as it is when it is no such date."""
    text = plain_text(value)
    try:
        return datetime.strptime(text, "%Y%m%d").date().isoformat()
    except ValueError:
        return text


def malignancy_text(estimate: float, by_diameter: float | None) -> str:
    """The malignancy estimate beside what the diameter alone says, as in '0.65 (by diameter 0.41)': never alone."""
    baseline = "not known" if by_diameter is None else f"{by_diameter:.2f}"
    return f"{estimate:.2f} (by diameter {baseline})"


def time_text(moment: datetime | None) -> str:
    """A time to the second with its zone, ISO 8601; empty for None."""
    return "" if moment is None else moment.isoformat(sep=" ", timespec="seconds")


def _plain_character(character: str, lines: bool) -> str:
    if character == "\n" and lines:
        return character
    category = unicodedata.category(character)
    if category == "Cs":
        return REPLACEMENT
    return " " if category in ("Cc", "Zl", "Zp") else character
