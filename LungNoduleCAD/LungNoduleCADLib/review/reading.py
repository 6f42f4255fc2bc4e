"""Changes of the reading as a whole: its mode, the declaration of the first read, undo and redo."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..errors import InputError
from .change import Change, Draft
from .state import ReadingMode


@dataclass(frozen=True, eq=False)
class SetMode(Change):
    """Read with the detector's marks, or first without them. Not undone: what was seen was seen."""

    action = "set mode"
    can_be_undone = False
    mode: ReadingMode

    @property
    def detail(self) -> str:
        return self.mode

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        if self.mode == "second-reader" and (draft.touched or draft.first_read_declared):
            raise InputError(
                "The review has begun with the detector's marks in view; the second-reader mode is chosen before."
            )
        draft.mode = self.mode


@dataclass(frozen=True, eq=False)
class DeclareFirstRead(Change):
    """The reader is done without the detector, whose marks may now be seen. Not undone.

    :param findings: ids of all that the reader found alone; empty when nothing.
    """

    action = "declare first read"
    can_be_undone = False
    findings: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        return self.findings

    def apply(self, draft: Draft, reader: str, time: datetime) -> None:
        state = draft.state()
        if not state.hides_detector:
            raise InputError("There is no first read to declare: the detector's marks are in view.")
        own = {f.id for f in state.findings.values() if f.origin == "reader" and f.status == "accepted"}
        if own != set(self.findings) or len(own) < len(self.findings):
            raise InputError("The first read must name all of the reader's findings; declare it again.")
        draft.first_read_declared = draft.touched = True


class Undo(Change):
    """Takes back the last change that is in effect; the trail keeps both."""

    action = "undo"


class Redo(Change):
    """Brings back what was taken back last."""

    action = "redo"
