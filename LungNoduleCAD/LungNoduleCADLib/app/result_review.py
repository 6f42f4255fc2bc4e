"""What readers made of a result, read again."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..report.record import Record
from ..review import Review, review_from_json

REVIEW_FILE = "review.json"


def read_review(result: Path, review: Path | None, record: Record) -> Review | None:
    """Read the review of a result.

    :param review: as the user says; None takes the one in the result's folder, where there is one.
    :raises InputError: when it cannot be read, or is of another result.
    """
    path = review or result / REVIEW_FILE
    if review is None and not path.exists():
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The review {path} cannot be read ({error}); give the file that holds it.") from error
    return review_from_json(text, record.result.candidates)
