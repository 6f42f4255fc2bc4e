"""Tables of points in LUNA16's CSV layout: annotations, excluded findings, candidate submissions."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

COORDINATES = ("coordX", "coordY", "coordZ")
SERIES = "seriesuid"


@dataclass(frozen=True, eq=False)
class PointTable:
    """Points in scans, one per row, in the file's order.

    :param series: series UID of each row, array of str (n,).
    :param lps: positions in LPS mm, float64 (n, 3).
    :param values: one number a row (n,): the diameter in mm of an annotation (negative: unknown), the probability of a
        mark.
    """

    series: NDArray[np.str_]
    lps: NDArray[np.float64]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.lps.shape != (len(self.series), 3) or self.values.shape != (len(self.series),):
            raise ValueError("series, lps and values must have one row for each point")

    def __len__(self) -> int:
        return len(self.series)


def read_points(path: str | Path, value: str, *, default: float | None = None) -> PointTable:
    """Read a CSV (also gzipped) with the columns `seriesuid`, `coordX`, `coordY`, `coordZ` and `value`, in any order,
    among others.

    :param value: the column's name: `diameter_mm` for annotations, `probability` for submissions.
    :param default: what stands in for a missing column or empty cell; without it such a file is refused.
    :raises InputError: when the file cannot be read, lacks a column, or a row holds no number.
    """
    source = Path(path)
    rows = _rows(source)
    header = [name.strip() for name in next(rows, [])]
    columns = []
    for name in (SERIES, *COORDINATES, value):
        if name in header:
            columns.append(header.index(name))
        elif name != value or default is None:
            found = ", ".join(name[:40] for name in header[:12]) or "nothing"
            raise InputError(
                f"{source} has no column '{name}' (its first line holds: {found}); name the columns as LUNA16 does."
            )
    # Strings are gathered as a list: a fixed-width numpy array would be sized anew for each row.
    series: list[str] = []
    numbers: list[list[float]] = []
    for line, row in enumerate(rows, start=2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            cells = [row[column].strip() for column in columns]
            point = [float(cell) for cell in cells[1:4]]
            last = cells[4] if len(cells) == 5 else ""
            point.append(default if not last and default is not None else float(last))
        except (IndexError, ValueError) as error:
            raise InputError(
                f"{source} holds no number where one is needed in line {line}; correct that line."
            ) from error
        if not np.isfinite(point).all():
            raise InputError(f"{source} holds a number that is not finite in line {line}; correct that line.")
        series.append(cells[0])
        numbers.append(point)
    table = np.array(numbers, dtype=np.float64).reshape(-1, 4)
    return PointTable(np.array(series, dtype=np.str_), table[:, :3].copy(), table[:, 3].copy())


def read_columns(path: str | Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Those of some columns that a CSV has, as text without white space around it: one cell for each row that
    `read_points` gives.

    :raises InputError: when the file cannot be read.
    """
    rows = _rows(Path(path))
    header = [name.strip() for name in next(rows, [])]
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    places = {name: header.index(name) for name in names if name in header}
    return {name: [row[n].strip() if n < len(row) else "" for row in filled] for name, n in places.items()}


def read_series_list(path: str | Path) -> list[str]:
    """Series UIDs, one per line in the first column and without a header, in the file's order and with its repetitions.

    :raises InputError: when the file cannot be read or lists nothing.
    """
    source = Path(path)
    uids = [row[0].strip() for row in _rows(source) if row]
    uids = [uid for uid in uids if uid and uid != SERIES]
    if not uids:
        raise InputError(f"{source} lists no series; give one series UID a line.")
    return uids


def _rows(source: Path) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(_text(source), newline=""))
    except csv.Error as error:
        raise InputError(f"{source} is no CSV file ({error}); save it again as comma-separated text.") from error


def _text(source: Path) -> str:
    try:
        content = source.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{source} does not exist; check the path.") from error
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{source} is damaged or no text; give a CSV file.") from error
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}); check the path and its permissions.") from error
