"""The values of a review as plain JSON and back. Reading is strict: whatever is not exactly what was written is refused
with a `ValueError`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import datetime, timedelta
from typing import Any, get_args

import numpy as np

from ..findings import DensityType, Measurements, Segment, VoxelMask
from .decisions import Part
from .outlines import Proposal
from .state import Callipers, Contour, ReadingMode, RejectReason

FINDING_ID = re.compile(r"[AN][1-9][0-9]{0,8}")
MOST_VOXELS = 1 << 27
"""Of a box; a whole chest scan has fewer."""

Decoder = Callable[[Any], Any]


def encode_mask(mask: VoxelMask) -> dict[str, Any]:
    """Box and run lengths, outside first, along i, then j, then k."""
    flat = mask.voxels.ravel()
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], turns, [flat.size]])
    runs = np.diff(edges).tolist()
    start, shape = ([int(n) for n in triple] for triple in (mask.start_kji, mask.voxels.shape))
    return {"start": start, "shape": shape, "runs": [0, *runs] if flat.size and flat[0] else runs}


def decode_mask(value: Any) -> VoxelMask:
    """What `encode_mask` made.

    :raises ValueError: when it is anything else.
    """
    content = _mapping(value, {"start", "shape", "runs"})
    (a, b, c), (depth, rows, columns) = (_whole_numbers(content[name], 3) for name in ("start", "shape"))
    runs = _whole_numbers(content["runs"])
    if not 0 < depth * rows * columns <= MOST_VOXELS or sum(runs) != depth * rows * columns or 0 in runs[1:]:
        raise ValueError("a mask's runs do not fill its box")
    inside = np.zeros(len(runs), dtype=bool)
    inside[1::2] = True
    return VoxelMask((a, b, c), np.repeat(inside, runs).reshape(depth, rows, columns))


def encode_contour(contour: Contour) -> dict[str, Any]:
    """Mask, measurements (without those that could not be made) and centre."""
    measured = {f.name: getattr(contour.measurements, f.name) for f in fields(Measurements)}
    return {
        "mask": encode_mask(contour.mask),
        "measurements": {name: value for name, value in measured.items() if value is not None},
        "center_lps": list(contour.center_lps),
    }


def decode_contour(value: Any) -> Contour:
    """What `encode_contour` made.

    :raises ValueError: when it is anything else.
    """
    content = _mapping(value, {"mask", "measurements", "center_lps"})
    return Contour(decode_mask(content["mask"]), _measurements(content["measurements"]), _point(content["center_lps"]))


def decode_text(value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def decode_time(value: Any) -> datetime:
    """A moment in UTC."""
    time = datetime.fromisoformat(decode_text(value))
    if time.utcoffset() != timedelta(0):
        raise ValueError(f"{value} is no time in UTC")
    return time


def _finding_id(value: Any) -> str:
    if not FINDING_ID.fullmatch(decode_text(value)):
        raise ValueError(f"{value!r} is no finding")
    return str(value)


def _finding_ids(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("findings are no list")
    return tuple(_finding_id(name) for name in value)


def _one_of(choices: Any) -> Decoder:
    known = get_args(choices)

    def decode(value: Any) -> Any:
        if value not in known:
            raise ValueError(f"{value!r} is none of {', '.join(known)}")
        return value

    return decode


def _or_none(decode: Decoder) -> Decoder:
    return lambda value: None if value is None else decode(value)


def _mapping(value: Any, names: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise ValueError(f"a part must hold {', '.join(sorted(names))}")
    return value


def _whole_numbers(value: Any, count: int | None = None) -> list[int]:
    if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
        raise ValueError("a list must hold whole numbers from 0 on")
    if count is not None and len(value) != count:
        raise ValueError(f"a list must hold {count} numbers")
    return value


def _numbers(count: int) -> Decoder:
    def decode(value: Any) -> tuple[float, ...]:
        if not isinstance(value, list) or len(value) != count:
            raise ValueError(f"a list must hold {count} numbers")
        return tuple(_number(n) for n in value)

    return decode


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


_point = _numbers(3)


def _line(value: Any) -> Segment:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("a line must have two ends")
    return _point(value[0]), _point(value[1])


def _callipers(value: Any) -> Callipers:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("callipers are two lines")
    return _line(value[0]), _line(value[1])


def _measurements(value: Any) -> Measurements:
    known = {f.name: f for f in fields(Measurements)}
    required = {name for name, f in known.items() if f.default is MISSING}
    if not isinstance(value, dict) or not required <= set(value) <= set(known):
        raise ValueError("measurements are missing or unknown")
    return Measurements(**{name: _measurement(name, str(known[name].type), v) for name, v in value.items()})


def _measurement(name: str, type_name: str, value: Any) -> Any:
    """A value by the type that the record declares for it."""
    if "float" in type_name:
        return _number(value)
    if "Segment" in type_name:
        return _line(value)
    if "bool" in type_name or "int" in type_name:
        if type(value) not in (bool, int):
            raise ValueError(f"{name} is {value!r}")
        return value
    return _one_of(DensityType)(value) if name == "density" else decode_text(value)


FIELDS: dict[str, tuple[Callable[[Any], Any], Decoder]] = {
    "finding": (str, _finding_id),
    "findings": (list, _finding_ids),
    "reason": (str, _one_of(RejectReason)),
    "contour": (encode_contour, decode_contour),
    "part": (str, _one_of(Part)),
    "axes_mm": (_or_none(list), _or_none(_numbers(2))),
    "ends_lps": (_or_none(list), _or_none(_callipers)),
    "point_lps": (list, _point),
    "proposal": (str, _one_of(Proposal)),
    "density": (_or_none(str), _or_none(_one_of(DensityType))),
    "mode": (str, _one_of(ReadingMode)),
}
"""By the name of a change's field: how it becomes JSON, and how it is read. Every other field is text."""
