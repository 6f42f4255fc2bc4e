"""What every kind of change has in common, and the draft of a state that changes are applied to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar

from ..errors import InputError
from ..rules import Override
from .state import Finding, ReadingMode, ReviewState


@dataclass(eq=False)
class Draft:
    """A state in the making.

    :param touched: whether anything but the reading mode has been changed.
    """

    findings: dict[str, Finding]
    mode: ReadingMode = "concurrent"
    first_read_declared: bool = False
    touched: bool = False
    exam_categories: Mapping[str, Override] = field(default_factory=lambda: MappingProxyType({}))

    def state(self) -> ReviewState:
        """What it has come to."""
        return ReviewState(MappingProxyType(self.findings), self.mode, self.first_read_declared, self.exam_categories)

    def changeable(self, finding_id: str) -> Finding:
        """A finding that may be changed now.

        :raises InputError: when it does not exist, is part of another, or must not be seen yet.
        """
        state = self.state()
        finding = state.finding(finding_id)
        if finding.status == "merged":
            raise InputError(f"{finding_id} is a part of {finding.merged_into}; change that one, or undo the merging.")
        if finding.origin == "detector" and state.hides_detector:
            raise InputError(f"{finding_id} is hidden until the first read is declared; declare it first.")
        return finding

    def change(self, finding_id: str, **values: Any) -> None:
        """Give a changeable finding other values."""
        self.findings[finding_id] = replace(self.changeable(finding_id), **values)
        self.touched = True


@dataclass(frozen=True, eq=False)
class Change:
    """Base of all changes."""

    action: ClassVar[str]
    can_be_undone: ClassVar[bool] = True

    @property
    def subjects(self) -> tuple[str, ...]:
        """Ids of the findings it is about."""
        return ()

    @property
    def detail(self) -> str:
        """What the trail says beside the action and the findings."""
        return ""

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        """Change the draft.

        :raises InputError: when that is impossible.
        """
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class ChangeOfOne(Change):
    """About one finding."""

    finding: str

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.finding,)


@dataclass(frozen=True, eq=False)
class ChangeOfSome(Change):
    """About one or several findings."""

    findings: tuple[str, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        return self.findings
