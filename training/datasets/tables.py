"""Tables of nodules, other findings and patients, in LUNA16's columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io.points import SERIES, PointTable, read_columns, read_points

from .scans import Point, point

PATIENT = "patient"


@dataclass(frozen=True)
class Annotation:
    """A nodule as a table states it.

    :param malignancy: the readers' ratings, 1 to 5; empty where the table has none.
    """

    center_lps: Point
    diameter_mm: float
    malignancy: tuple[int, ...] = ()


def read_annotations(table: Path, ratings: str | None = None) -> dict[str, list[Annotation]]:
    """The nodules of each series, in the file's order.

    :param ratings: the column that lists the readers' malignancy ratings, where there is one: `4` or `[4, 5, 3]`.
    :raises InputError: when the table cannot be read, lacks a diameter, or holds something else than ratings.
    """
    points = read_points(table, "diameter_mm")
    listed = read_columns(table, [ratings] if ratings else []).get(ratings or "", [""] * len(points))
    found: dict[str, list[Annotation]] = {}
    for series, lps, diameter, cell in zip(points.series.tolist(), points.lps, points.values, listed, strict=True):
        if diameter <= 0:
            raise InputError(f"{table} has a nodule of {diameter:g} mm in series {series}; correct its diameter.")
        annotation = Annotation(point(lps), float(diameter), _ratings(cell, table))
        found.setdefault(series, []).append(annotation)
    return found


def by_series(points: PointTable, values: NDArray[np.float64] | None = None) -> dict[str, NDArray[np.float64]]:
    """Positions (n, 3) of each series, LPS mm.

    :param values: one for each row, to be had instead of the positions.
    """
    wanted = points.lps if values is None else values
    rows: dict[str, list[int]] = {}
    for row, series in enumerate(points.series.tolist()):
        rows.setdefault(series, []).append(row)
    return {series: wanted[own] for series, own in rows.items()}


def selected(points: PointTable, rows: NDArray[np.bool_]) -> PointTable:
    """Some of a table's rows."""
    return PointTable(points.series[rows], points.lps[rows], points.values[rows])


def read_patients(table: Path) -> dict[str, str]:
    """Patient by series UID, from the columns `seriesuid` and `patient` of a CSV, where the cell is not empty.

    :raises InputError: when the file cannot be read, lacks a column, or gives a series two patients.
    """
    columns = read_columns(table, [SERIES, PATIENT])
    for name in (SERIES, PATIENT):
        if name not in columns:
            raise InputError(f"{table} has no column '{name}'; give a CSV with the columns {SERIES} and {PATIENT}.")
    patients: dict[str, str] = {}
    for series, patient in zip(columns[SERIES], columns[PATIENT], strict=True):
        if patient and patients.setdefault(series, patient) != patient:
            raise InputError(
                f"{table} gives series {series} two patients, {patients[series]} and {patient}; correct it."
            )
    return patients


def has_patients(table: Path) -> bool:
    """Whether a table says whose its scans are."""
    return PATIENT in read_columns(table, [PATIENT])


def _ratings(cell: str, table: Path) -> tuple[int, ...]:
    try:
        ratings = tuple(int(part) for part in cell.strip("[] ").split(",") if cell.strip("[] "))
        if not all(1 <= rating <= 5 for rating in ratings):
            raise ValueError
    except ValueError as error:
        raise InputError(f"{table} has '{cell[:40]}' where ratings from 1 to 5 are needed; correct it.") from error
    return ratings
