"""`Review`: the detector's original output and the list of everything that readers did to it.

Neither ever changes: a further event makes a further review. What the findings are now is computed from both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from functools import cached_property
from types import MappingProxyType

import numpy as np

from .. import __version__
from ..errors import InputError
from ..findings import Candidate
from .change import Change, Draft
from .events import ReviewEvent
from .outlines import AddNodule
from .reading import Redo, Undo
from .state import Finding, ReviewState, detector_finding


@dataclass(frozen=True, eq=False)
class TrailEntry:
    """An event, and whether it is in effect: neither undone, nor an undo or redo itself."""

    event: ReviewEvent
    in_effect: bool


@dataclass(frozen=True, eq=False)
class Original:
    """What the detector said.

    :param candidates: best first.
    """

    candidates: tuple[Candidate, ...]

    @cached_property
    def findings(self) -> Mapping[str, Finding]:
        """The candidates as findings that nobody has judged."""
        return MappingProxyType({f.id: f for f in map(detector_finding, self.candidates)})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything it said, outlines included."""
        digest = hashlib.sha256()
        for c in self.candidates:
            box = ([int(n) for n in c.mask.start_kji], c.mask.voxels.shape)
            measured = [getattr(c.measurements, f.name) for f in fields(c.measurements)]
            # What results of before the baseline do not have is left out: reviews of them stay theirs.
            baseline = () if c.malignancy_by_diameter is None else (c.malignancy_by_diameter,)
            digest.update(json.dumps((c.id, c.center_lps, c.score, c.malignancy, box, measured, *baseline)).encode())
            digest.update(np.packbits(c.mask.voxels).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Review:
    """A detection under review.

    :param events: the audit trail, oldest first.
    """

    original: Original
    events: tuple[ReviewEvent, ...] = ()

    @classmethod
    def of(cls, candidates: Iterable[Candidate]) -> Review:
        """A review in which nothing has happened yet."""
        return cls(Original(tuple(candidates)))

    @cached_property
    def state(self) -> ReviewState:
        """The findings as they are now.

        :raises InputError: when the events do not follow from one another.
        """
        draft = Draft(dict(self.original.findings))
        for event in self._history[0]:
            event.change.apply(draft, event.reader, event.time)
        return draft.state()

    def with_change(self, change: Change, reader: str, time: datetime | None = None) -> Review:
        """The review with a further event.

        :param reader: a name; who it is, the software cannot know.
        :param time: with its zone; None takes now.
        :raises InputError: when the change is impossible, or the reader is not named.
        """
        if not reader.strip():
            raise InputError("The audit trail needs the reader's name; give it in the settings.")
        moment = (time or datetime.now(timezone.utc)).astimezone(timezone.utc)
        event = ReviewEvent(moment, reader.strip(), __version__, change)
        further = replace(self, events=(*self.events, event))
        _ = further.state  # computed now, so that what is impossible never becomes part of a review
        return further

    @property
    def next_undo(self) -> ReviewEvent | None:
        """What an undo would take back."""
        done = self._history[0]
        return done[-1] if done and done[-1].change.can_be_undone else None

    @property
    def next_redo(self) -> ReviewEvent | None:
        """What a redo would bring back."""
        undone = self._history[1]
        return undone[-1] if undone else None

    def trail(self) -> Iterator[TrailEntry]:
        """All events, oldest first."""
        done = set(self._history[0])
        return (TrailEntry(event, event in done) for event in self.events)

    def next_added_id(self) -> str:
        """The name for a further nodule of a reader; that of a deleted or undone one is not given again."""
        numbers = [int(e.change.finding[1:]) for e in self.events if isinstance(e.change, AddNodule)]
        return f"A{max(numbers, default=0) + 1}"

    @cached_property
    def _history(self) -> tuple[list[ReviewEvent], list[ReviewEvent]]:
        return _resolve(self.events)


def replay(candidates: Iterable[Candidate], events: Iterable[ReviewEvent]) -> ReviewState:
    """The findings that follow from the detector's output and everything readers did.

    :raises InputError: when the events do not follow from one another.
    """
    return Review(Original(tuple(candidates)), tuple(events)).state


def _resolve(events: Iterable[ReviewEvent]) -> tuple[list[ReviewEvent], list[ReviewEvent]]:
    """The events in effect, oldest first, and those undone, the next to be redone last."""
    done: list[ReviewEvent] = []
    undone: list[ReviewEvent] = []
    for event in events:
        if isinstance(event.change, Undo):
            if not done or not done[-1].change.can_be_undone:
                raise InputError("There is nothing to undo.")
            undone.append(done.pop())
        elif isinstance(event.change, Redo):
            if not undone:
                raise InputError("There is nothing to redo.")
            done.append(undone.pop())
        else:
            done.append(event)
            undone.clear()
    return done, undone
