"""A submission and its reference tables as a data set to evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from ..errors import InputError
from ..evaluation.data_set import DataSet, FalseMark, Nodule, Origin, Place, density_of_texture, is_malignant, numbered
from ..evaluation.froc import NO_MARK, SubmissionMatch, match_submission
from ..findings import DensityType
from ..io.points import PointTable, read_columns, read_points, read_series_list
from .marks import Marks, read_marks

NOTHING = PointTable(np.zeros(0, dtype=np.str_), np.zeros((0, 3)), np.zeros(0))
CLASSES = {"true": True, "1": True, "false": False, "0": False}
"""How LUNA16's table of malignancy (`mal_bool`) says it."""


@dataclass(frozen=True)
class SubmissionFiles:
    """The tables of one data set; columns as LUNA16 names them.

    :param annotations: nodules, with `diameter_mm` and, where known, `density` (a density type) or `texture` (LIDC's 1
        to 5), and `mal_bool` or `malignancy` (LIDC's 1 to 5).
    :param scans: series UIDs; None for those that the results are of. :param excluded: findings that count neither way.
    :param submission: marks with `probability` and, where the detector gives it, `malignancy`; or a folder of results.
    :param description: which scans these are and how they were chosen.
    """

    submission: Path
    annotations: Path
    scans: Path | None = None
    excluded: Path | None = None
    name: str | None = None
    origin: Origin = "real"
    description: str = ""

    @property
    def sources(self) -> tuple[Path, ...]:
        """Every file, or folder of results, there is."""
        return tuple(p for p in (self.submission, self.annotations, self.scans, self.excluded) if p is not None)


def submission_set(files: SubmissionFiles, marks: Marks | None = None) -> DataSet:
    """Match a submission by the LUNA16 protocol.

    :param marks: what `files.submission` holds; None reads it.
    :raises InputError: when a table cannot be read, or no listed scan has a nodule.
    """
    marks = read_marks(files.submission) if marks is None else marks
    annotations = read_points(files.annotations, "diameter_mm")
    excluded = NOTHING if files.excluded is None else read_points(files.excluded, "diameter_mm")
    scans = _scans(files, marks)
    match = match_submission(annotations, excluded, scans, marks.points)
    if not len(match.nodule_row):
        raise InputError(
            f"None of the scans in {files.scans or files.submission} has a nodule in {files.annotations}; check both."
        )
    points = marks.points
    series = [str(annotations.series[row]) for row in match.nodule_row]
    counted = f"nodules: {len(series)}, scans listed: {len(scans)}, marks in {files.submission.name}: {len(points)}"
    return DataSet(
        name=files.name or files.submission.stem,
        origin=files.origin,
        description=f"{files.description.rstrip('. ')}; {counted}." if files.description else f"{counted}.",
        outcomes=match.outcomes,
        nodules=_nodules(files, annotations, marks, match),
        false_marks=tuple(FalseMark(str(points.series[row]), _place(points, row)) for row in match.false_mark),
        patient=numbered(series),
    )


def _scans(files: SubmissionFiles, marks: Marks) -> list[str]:
    """The series to evaluate."""
    if files.scans is not None:
        return read_series_list(files.scans)
    if marks.scans is None:
        raise InputError(f"{files.submission} does not say which scans were searched; list them with --scans.")
    return list(marks.scans)


def _nodules(
    files: SubmissionFiles, annotations: PointTable, marks: Marks, match: SubmissionMatch
) -> tuple[Nodule, ...]:
    truth = read_columns(files.annotations, ("density", "texture", "mal_bool", "malignancy"))
    opinion = marks.malignancy
    nodules = []
    for row, mark in zip(match.nodule_row, match.nodule_mark, strict=True):
        found = mark != NO_MARK
        diameter = float(annotations.values[row])
        nodules.append(
            Nodule(
                case=str(annotations.series[row]),
                place=_place(marks.points, mark) if found else _place(annotations, row),
                diameter_mm=diameter if diameter > 0 else None,
                density=_density({name: cells[row] for name, cells in truth.items()}, files.annotations),
                malignant=_malignant({name: cells[row] for name, cells in truth.items()}, files.annotations),
                malignancy_score=_number(opinion[mark], files.submission) if found and opinion else None,
            )
        )
    return tuple(nodules)


def _density(cells: dict[str, str], source: Path) -> DensityType | None:
    if name := cells.get("density"):
        for known in get_args(DensityType):
            if name.lower() == known:
                return known
        raise InputError(f"{source} names the density '{name}'; use {', '.join(get_args(DensityType))}.")
    texture = _number(cells.get("texture", ""), source)
    return None if texture is None else density_of_texture(texture)


def _malignant(cells: dict[str, str], source: Path) -> bool | None:
    if said := cells.get("mal_bool"):
        if said.lower() not in CLASSES:
            raise InputError(f"{source} holds '{said}' as mal_bool; use True or False.")
        return CLASSES[said.lower()]
    rating = _number(cells.get("malignancy", ""), source)
    return None if rating is None else is_malignant(rating)


def _number(text: str, source: Path) -> float | None:
    """A cell's number; None of an empty cell."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"{source} holds '{text[:40]}' where a number is needed; correct that cell.")
    return value


def _place(table: PointTable, row: int) -> Place:
    x, y, z = (float(v) for v in table.lps[row])
    return x, y, z
