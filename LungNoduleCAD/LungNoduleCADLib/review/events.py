"""`ReviewEvent`: one entry of the audit trail."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import Any

from . import decisions, outlines, reading
from .change import Change
from .codec import FIELDS, decode_text, decode_time

CHANGES: dict[str, type[Change]] = {
    change.action: change
    for change in (
        decisions.Accept,
        decisions.Reject,
        decisions.Reopen,
        outlines.EditContour,
        decisions.SetCallipers,
        outlines.AddNodule,
        outlines.Merge,
        outlines.Delete,
        decisions.SetNote,
        decisions.SetDensity,
        decisions.SetCategory,
        decisions.SetExamCategory,
        reading.SetMode,
        reading.DeclareFirstRead,
        reading.Undo,
        reading.Redo,
    )
}


@dataclass(frozen=True, eq=False)
class ReviewEvent:
    """A change, with who made it, when (UTC), and with which version of this software."""

    time: datetime
    reader: str
    software: str
    change: Change

    @cached_property
    def json(self) -> str:
        """The event as one line of JSON."""
        values = {f.name: FIELDS.get(f.name, (str, None))[0](getattr(self.change, f.name)) for f in fields(self.change)}
        content = {
            "time": self.time.isoformat(),
            "reader": self.reader,
            "software": self.software,
            "action": self.change.action,
            **values,
        }
        return compact_json(content)

    @classmethod
    def from_json(cls, content: Any) -> ReviewEvent:
        """The event of a line of JSON that was read.

        :raises ValueError: when it is none.
        """
        if not isinstance(content, dict) or content.get("action") not in CHANGES:
            raise ValueError("an event has no known action")
        kind = CHANGES[content["action"]]
        head = {"time", "reader", "software", "action"}
        required = {f.name for f in fields(kind) if f.default is MISSING}
        given = set(content) - head
        # What has a default may be missing: an earlier version did not know it.
        if not head <= set(content) or not required <= given <= {f.name for f in fields(kind)}:
            raise ValueError(f"an event '{kind.action}' has not the fields it should have")
        values = {name: FIELDS.get(name, (str, decode_text))[1](content[name]) for name in given}
        return cls(
            decode_time(content["time"]), decode_text(content["reader"]), decode_text(content["software"]),
            kind(**values),
        )  # fmt: skip


def compact_json(content: Any) -> str:
    """JSON in ASCII, the same for the same content: fit for any node or file, and for comparing digests."""
    return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
