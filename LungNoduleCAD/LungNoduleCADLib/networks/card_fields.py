"""Checked access to the entries of a model card's JSON, each fault said in one clause."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any


class CardError(ValueError):
    """What is wrong with a card, as the end of a sentence that begins with the card's name."""


def entries(value: Any, where: str, required: str, optional: str = "") -> Mapping[str, Any]:
    """An object with exactly the required entries (names separated by blanks), and perhaps some optional ones."""
    found = mapping(value, where)
    unknown = sorted(set(found) - set(required.split()) - set(optional.split()))
    if unknown:
        raise CardError(f"has the entry {unknown[0]!r} in {where}, which this version does not know")
    missing = [key for key in required.split() if key not in found]
    if missing:
        raise CardError(f"has no entry {missing[0]!r} in {where}")
    return found


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, Mapping):
        raise CardError(f"has no object where {where} is expected")
    return value


def plain_mapping(value: Any, where: str) -> Mapping[str, Any]:
    """A copy of an object of any depth that JSON can hold, hence without NaN and infinity."""
    try:
        plain = json.loads(json.dumps(mapping(value, where), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, CardError):
            raise
        raise CardError(f"has values in {where} that JSON cannot hold") from error
    return mapping(plain, where)


def sequence(value: Any, where: str) -> list[Any] | tuple[Any, ...]:
    """A JSON array."""
    if not isinstance(value, (list, tuple)):
        raise CardError(f"has no list where {where} is expected")
    return value


def text(value: Any, where: str) -> str:
    """Text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise CardError(f"has no text where {where} is expected")
    return value


def choice(value: Any, where: str, known: tuple[Any, ...]) -> Any:
    """One of the known values, of the same type: in Python, 1 equals True."""
    if not any(type(value) is type(option) and value == option for option in known):
        raise CardError(f"asks for {where} {value!r}, which this version does not know")
    return value


def number(value: Any, where: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number within the limits."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or not low <= value <= high
    ):
        raise CardError(f"has an impossible {where} {value!r}")
    return float(value)


def whole(value: Any, where: str, low: int, high: int) -> int:
    """A whole number within the limits."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise CardError(f"has an impossible {where} {value!r}")
    return value


def file_name(value: Any, where: str) -> str:
    """The plain name of a safetensors file: a card must not reach outside its folder."""
    if not isinstance(value, str) or not re.fullmatch(r"[\w.-]+\.safetensors", value):
        raise CardError(f"has a {where} that is not the name of a .safetensors file")
    return value


def sha256(value: Any, where: str) -> str:
    """A SHA-256 sum in lower-case hexadecimal."""
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise CardError(f"has a {where} that is no SHA-256 sum")
    return value
