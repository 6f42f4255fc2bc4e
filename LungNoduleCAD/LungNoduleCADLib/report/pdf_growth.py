"""The PDF report's part on growth since a prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import growth_words
from .follow_up import PriorStudy
from .model import Report
from .pdf_layout import WIDTH, heading, paragraph, plain_table


def since_the_prior(report: Report, prior: PriorStudy) -> list[Any]:
    """A table of all that was compared, with how it is meant, and notes."""
    shares = (26, 26, 52, 76, 84, 52, 96, 84)
    widths = [WIDTH * share / sum(shares) for share in shares]
    rows: list[Sequence[Any]] = [[paragraph(name, "head") for name in growth_words.TABLE_HEAD]]
    rows += growth_words.growth_rows(report)
    return [
        *heading(f"Since {growth_words.compared_with(prior)}"),
        paragraph(growth_words.CAPTION, "soft"),
        plain_table(rows, widths, header=True),
        *(paragraph(note, "soft") for note in growth_words.growth_notes(report)),
    ]
