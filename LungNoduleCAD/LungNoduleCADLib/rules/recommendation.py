"""A guideline's suggestion, and a reader's word over it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from ..errors import InputError


@dataclass(frozen=True)
class Override:
    """A reader's decision in place of a suggestion.

    :param category: the reader's category, with any modifier.
    :param at: when, with its time zone.
    """

    category: str
    management: str
    reader: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class Recommendation:
    """What a guideline suggests, and why. The suggestion itself never changes; an override stands beside it.

    :param guideline: its name and version.
    :param category: the suggested one, without modifiers.
    :param management: what to do next.
    :param reason: in words: the facts, the bounds they meet, and what was assumed.
    :param source: where the guideline says so.
    :param modifiers: 'S' of Lung-RADS; shown behind the category.
    """

    guideline: str
    category: str
    management: str
    reason: str
    source: str
    modifiers: tuple[str, ...] = ()
    overridden_by: Override | None = None

    @property
    def suggested(self) -> str:
        """The suggested category with its modifiers, as in '4AS'."""
        return self.category + "".join(self.modifiers)

    @property
    def final(self) -> str:
        """What counts: the reader's category where there is one, else the suggested one."""
        return self.overridden_by.category if self.overridden_by else self.suggested

    @property
    def final_management(self) -> str:
        """The management of what counts."""
        return self.overridden_by.management if self.overridden_by else self.management

    def __str__(self) -> str:
        """One line for a table or a tooltip, always saying who decided."""
        if self.overridden_by is None:
            return f"{self.guideline} {self.suggested} (suggested)"
        return f"{self.guideline} {self.final} ({self.overridden_by.reader}; suggested {self.suggested})"


def override(
    recommendation: Recommendation, category: str, *, management: str, reader: str, reason: str, at: datetime
) -> Recommendation:
    """The same recommendation with a reader's decision beside it, in place of any former one.

    :raises InputError: when category, management, reader or reason is empty, or the time has no zone.
    """
    given = {"category": category, "management": management, "reader": reader, "reason": reason}
    for name, text in given.items():
        if not text.strip():
            raise InputError(f"An override needs a {name}; say it, or keep the suggestion.")
    if at.tzinfo is None:
        raise InputError("An override needs a time with its zone; give one, such as `datetime.now(timezone.utc)`.")
    return replace(recommendation, overridden_by=Override(category, management, reader, reason, at))
