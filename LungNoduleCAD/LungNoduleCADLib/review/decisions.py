"""A reader's decisions about findings as they are: what they are, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from ..errors import InputError
from ..findings import DensityType, Segment
from ..rules import Override
from .change import Change, ChangeOfOne, ChangeOfSome, Draft
from .state import Callipers, RejectReason

Part = Literal["nodule", "solid-part"]
LONGEST_AXIS_MM = 300.0
SAME_LENGTH_MM = 0.05
"""An axis and the line that was drawn for it differ by rounding at most."""


class Accept(ChangeOfSome):
    """These are nodules."""

    action = "accept"

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        for name in self.findings:
            draft.change(name, status="accepted", reason=None, comment="", reader=reader, decided_at=time)


@dataclass(frozen=True, eq=False)
class Reject(ChangeOfSome):
    """These are none, and why. 'other' needs a comment."""

    action = "reject"
    reason: RejectReason
    comment: str = ""

    @property
    def detail(self) -> str:
        return f"{self.reason}: {self.comment}" if self.comment else self.reason

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        if self.reason == "other" and not self.comment.strip():
            raise InputError("The reason 'other' says nothing alone; add in words why this is no nodule.")
        given = {"reason": self.reason, "comment": self.comment, "reader": reader, "decided_at": time}
        for name in self.findings:
            draft.change(name, status="rejected", **given)


class Reopen(ChangeOfSome):
    """These are undecided again."""

    action = "reopen"

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        for name in self.findings:
            draft.change(name, status="pending", reason=None, comment="", reader="", decided_at=None)


@dataclass(frozen=True, eq=False)
class SetCallipers(ChangeOfOne):
    """A reader's long and short axis, mm; None goes back to the automatic ones.

    :param ends_lps: of the lines that were drawn for them, long one first, LPS mm; None where only the lengths are
        known.
    """

    action = "set callipers"
    part: Part
    axes_mm: tuple[float, float] | None
    ends_lps: Callipers | None = None

    @property
    def detail(self) -> str:
        value = "automatic" if self.axes_mm is None else "{:.1f} x {:.1f} mm".format(*self.axes_mm)
        return f"{self.part}: {value}"

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        if self.axes_mm is not None:
            long_axis, short_axis = self.axes_mm
            if not (math.isfinite(long_axis) and 0 < short_axis <= long_axis <= LONGEST_AXIS_MM):
                raise InputError(
                    f"Axes of {long_axis:g} and {short_axis:g} mm are no long and short axis; give two lengths above 0 "
                    "mm, the longer first."
                )
        self._check_lines()
        prefix = "" if self.part == "nodule" else "solid_"
        draft.change(self.finding, **{f"{prefix}callipers_mm": self.axes_mm, f"{prefix}callipers_lps": self.ends_lps})

    def _check_lines(self) -> None:
        if self.ends_lps is not None:
            drawn, axes = map(length_mm, self.ends_lps), self.axes_mm
            if axes is None or any(abs(a - b) > SAME_LENGTH_MM for a, b in zip(axes, drawn, strict=True)):
                raise InputError("The callipers' lines are not as long as their axes; draw them again.")


@dataclass(frozen=True, eq=False)
class SetNote(ChangeOfOne):
    """A reader's free text; empty removes it."""

    action = "set note"
    note: str

    @property
    def detail(self) -> str:
        return self.note

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        draft.change(self.finding, note=self.note)


@dataclass(frozen=True, eq=False)
class SetDensity(ChangeOfOne):
    """A reader's density type; None goes back to the automatic one."""

    action = "set type"
    density: DensityType | None

    @property
    def detail(self) -> str:
        return self.density or "automatic"

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        draft.change(self.finding, density=self.density)


@dataclass(frozen=True, eq=False)
class ChangeOfCategory(Change):
    """A reader's category in place of a guideline's suggestion; an empty one goes back to it.

    :param management: what to do next. :param justification: why not what the guideline suggests.
    """

    guideline: str
    category: str
    management: str = ""
    justification: str = ""

    @property
    def detail(self) -> str:
        if not self.category:
            return f"{self.guideline}: as suggested"
        return f"{self.guideline}: {self.category}. {self.management} Because: {self.justification}"

    def decided(self, former: Mapping[str, Override], reader: str, time: datetime) -> Mapping[str, Override]:
        """Readers' categories, by guideline, after it.

        :raises InputError: when it does not say what to do, or why.
        """
        categories = dict(former)
        if not self.category:
            categories.pop(self.guideline, None)
        else:
            for name in ("guideline", "management", "justification"):
                if not getattr(self, name).strip():
                    raise InputError(f"A category of your own needs a {name}; say it, or keep the suggestion.")
            categories[self.guideline] = Override(self.category, self.management, reader, self.justification, time)
        return MappingProxyType(categories)


@dataclass(frozen=True, eq=False)
class SetCategory(ChangeOfCategory, ChangeOfOne):
    """The category of one finding."""

    action = "set category"

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        former = draft.changeable(self.finding).categories
        draft.change(self.finding, categories=self.decided(former, reader, time))


class SetExamCategory(ChangeOfCategory):
    """The category of the whole examination."""

    action = "set exam category"

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        if draft.state().hides_detector:
            raise InputError("The examination is judged by all marks; declare the first read first.")
        draft.exam_categories = self.decided(draft.exam_categories, reader, time)
        draft.touched = True


def length_mm(line: Segment) -> float:
    """Of a line between two points."""
    return math.dist(*line)
