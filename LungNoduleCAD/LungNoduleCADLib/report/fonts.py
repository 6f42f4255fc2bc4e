"""DejaVu Sans: a font with Latin, Greek, Cyrillic, Hebrew and Arabic letters, free to embed, that comes with
matplotlib."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import OutputError

REGULAR, BOLD = "DejaVuSans", "DejaVuSans-Bold"


def font_file(name: str) -> Path:
    """The font's file.

    :param name: `REGULAR` or `BOLD`.
    :raises OutputError: when it is missing.
    """
    matplotlib = importlib.util.find_spec("matplotlib")  # where it lies; importing it would take a second
    path = Path((matplotlib.origin if matplotlib else None) or "").parent / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf"
    if not path.is_file():
        raise OutputError(f"The font {path} is missing; install matplotlib again.")
    return path


@cache
def truetype(size: int, *, bold: bool = False) -> Any:
    """For drawing with Pillow."""
    from PIL import ImageFont

    return ImageFont.truetype(str(font_file(BOLD if bold else REGULAR)), size)
