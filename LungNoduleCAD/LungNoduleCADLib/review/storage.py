"""A review's events as one JSON text and back. The detector's output is kept elsewhere and only named by its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from ..errors import InputError
from ..findings import Candidate
from .events import ReviewEvent, compact_json
from .review import Original, Review

SCHEMA = "LungNoduleCAD review"
VERSION = 1


def review_to_json(review: Review) -> str:
    """The audit trail as JSON: schema, version, digest of the detector's output, events, and a digest of it all."""
    events = [event.json for event in review.events]
    original = review.original.digest
    digest = _digest(original, events)
    head = compact_json({"schema": SCHEMA, "version": VERSION, "original": original, "sha256": digest})
    return head[:-1] + ',"events":[\n' + ",\n".join(events) + "\n]}"


def review_from_json(text: str, candidates: Iterable[Candidate]) -> Review:
    """The review of a detection, from `review_to_json`.

    :param candidates: of that detection, best first.

    :raises InputError: when the text is damaged, of a newer version, or of another detection.
    """
    original = Original(tuple(candidates))
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise ValueError("it is no review")
        if content.get("version") != VERSION:
            raise InputError(
                f"The stored review has version {content.get('version')}, this software reads {VERSION}; update it."
            )
        if set(content) != {"schema", "version", "original", "sha256", "events"}:
            raise ValueError("parts are missing")
        if content["original"] != original.digest:
            raise InputError("The stored review is of another detection; open it with the scene it was made in.")
        events = content["events"]
        if not isinstance(events, list) or content["sha256"] != _digest(content["original"], map(compact_json, events)):
            raise ValueError("its digest does not agree")
        return _replayed(original, [ReviewEvent.from_json(event) for event in events])
    except (ValueError, RecursionError) as error:
        raise InputError(f"The stored review is damaged ({error}); load an earlier copy of the scene.") from error


def _replayed(original: Original, events: Iterable[ReviewEvent]) -> Review:
    review = Review(original, tuple(events))
    try:
        _ = review.state
    except InputError as error:
        raise ValueError(f"its events contradict each other: {error}") from error
    return review


def _digest(original: str, events: Iterable[str]) -> str:
    """Of the detector's digest and the events, a line each."""
    digest = hashlib.sha256(original.encode())
    for event in events:
        digest.update(b"\n" + event.encode())
    return digest.hexdigest()
