"""Marks to evaluate: the table of a submission, or the results that `detect` left in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.points import PointTable, read_columns, read_points
from .scan_patches import ScanPlace

RESULT = "findings.json"
MALIGNANCY = "malignancy"


@dataclass(frozen=True, eq=False)
class Marks:
    """What a detector marked.

    :param points: values are scores. :param malignancy: a cell for each mark; None where the detector gives none.
    :param scans: the series that were searched, marked or not; None where a table of marks alone is known.
    :param places: where the scans were, by series.
    """

    points: PointTable
    malignancy: Sequence[str] | None
    scans: tuple[str, ...] | None = None
    places: Mapping[str, ScanPlace] = field(default_factory=dict)


def read_marks(path: Path) -> Marks:
    """Read a CSV of marks, or a folder of results.

    :raises InputError: when it cannot be read, or the folder holds no result or two of the same series.
    """
    if path.is_dir():
        return _results(path)
    return Marks(read_points(path, "probability"), read_columns(path, (MALIGNANCY,)).get(MALIGNANCY))


def result_files(folder: Path) -> list[Path]:
    """`findings.json` of every result in a folder, at any depth."""
    return sorted(folder.rglob(RESULT))


def _results(folder: Path) -> Marks:
    files = result_files(folder)
    if not files:
        raise InputError(f"{folder} holds no result ({RESULT}); give a folder that `lungnodulecad detect` wrote into.")
    series: list[str] = []
    rows: list[tuple[Any, ...]] = []
    opinions: list[str] = []
    searched: dict[str, Path] = {}
    places: dict[str, ScanPlace] = {}
    for path in files:
        content = _content(path)
        try:
            uid = str(content["series"]["series_uid"])
            own = [(*candidate["center_lps"], candidate["score"]) for candidate in content["candidates"]]
            rows += [tuple(float(value) for value in row) for row in own]
            told = [candidate.get(MALIGNANCY) for candidate in content["candidates"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path} is damaged or of another version; run the detection again.") from error
        if uid in searched:
            raise InputError(f"{searched[uid]} and {path} are results of the same series {uid}; remove one of them.")
        searched[uid] = path
        series += [uid] * len(own)
        opinions += ["" if value is None else str(value) for value in told]
        places |= _place(uid, content["series"])
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    points = PointTable(np.array(series, dtype=np.str_), table[:, :3].copy(), table[:, 3].copy())
    return Marks(points, opinions, tuple(searched), places)


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and its permissions.") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged; run the detection again.") from error
    return content if isinstance(content, Mapping) else {}


def _place(uid: str, series: Mapping[str, Any]) -> Iterator[tuple[str, ScanPlace]]:
    """Where the scan is, when it is still there."""
    source = series.get("source")
    if source and Path(source).exists():
        yield uid, ScanPlace(Path(source), uid if series.get("format") == "DICOM" else None)
