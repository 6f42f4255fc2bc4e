"""Changes of what the findings are: other outlines, further nodules, several marks as one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ..errors import InputError
from .change import ChangeOfOne, ChangeOfSome, Draft
from .state import Contour, Finding

Proposal = Literal["segmented", "sphere"]
"""How the outline of an added nodule was found: on the densities, or a sphere because nothing stands out there."""


@dataclass(frozen=True, eq=False)
class EditContour(ChangeOfOne):
    """A reader's outline, measured."""

    action = "edit contour"
    contour: Contour

    @property
    def detail(self) -> str:
        return contour_text(self.contour)

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        draft.change(self.finding, contour=self.contour, edited=True)


@dataclass(frozen=True, eq=False)
class AddNodule(ChangeOfOne):
    """A nodule that the detector has missed.

    :param point_lps: where the reader has clicked, LPS mm.
    """

    action = "add"
    point_lps: tuple[float, float, float]
    proposal: Proposal
    contour: Contour

    @property
    def detail(self) -> str:
        return contour_text(self.contour)

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        if self.finding in draft.findings:
            raise InputError(f"There is a finding {self.finding} already; add the nodule again.")
        draft.findings[self.finding] = Finding(
            self.finding,
            "reader",
            self.contour,
            status="accepted",
            reader=reader,
            decided_at=time,
            first_read=draft.state().hides_detector,
        )
        draft.touched = True


@dataclass(frozen=True, eq=False)
class Merge(ChangeOfSome):
    """Several marks of one nodule become the first of them; it is accepted when one of them was.

    :param contour: of all their voxels.
    """

    action = "merge"
    contour: Contour

    @property
    def detail(self) -> str:
        return contour_text(self.contour)

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        parts = [draft.changeable(name) for name in self.findings]
        if len(set(self.findings)) < 2 or len(set(self.findings)) < len(self.findings):
            raise InputError("Merging takes two or more different findings; select them in the table.")
        if rejected := [part.id for part in parts if part.status == "rejected"]:
            raise InputError(f"{rejected[0]} is rejected and cannot be merged; accept or reopen it first.")
        first = parts[0].id
        for part in parts[1:]:
            draft.change(part.id, status="merged", merged_into=first)
        draft.change(first, contour=self.contour, edited=True)
        if any(part.status == "accepted" for part in parts) and parts[0].status != "accepted":
            draft.change(first, status="accepted", reader=reader, decided_at=time)


class Delete(ChangeOfOne):
    """Takes back a nodule that a reader added, with what was merged into it."""

    action = "delete"

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        if draft.changeable(self.finding).origin == "detector":
            raise InputError(f"{self.finding} is the detector's and cannot be deleted; reject it instead.")
        gone = {self.finding}
        while more := {f.id for f in draft.findings.values() if f.merged_into in gone} - gone:
            gone |= more
        for name in gone:
            del draft.findings[name]
        draft.touched = True


def contour_text(contour: Contour) -> str:
    """An outline in a few words."""
    measured = contour.measurements
    return f"{measured.diameter_mm:.1f} mm, {measured.volume_mm3:.0f} mm³"
