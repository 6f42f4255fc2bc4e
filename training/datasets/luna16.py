"""LUNA16 as it is distributed: ten subset folders, lung masks, and tables of nodules and of what counts neither way.

subset0/ ... subset9/            <seriesuid>.mhd, <seriesuid>.raw
seg-lungs-LUNA16/                <seriesuid>.mhd, <seriesuid>.zraw      labels 3 and 4 lungs, 5 trachea
annotations.csv                  also in CSVFILES/
annotations_excluded.csv         also in evaluationScript/annotations/
candidates_V2.csv                optional; also candidates.csv
annotations_with_malignancy.csv  optional: the readers' malignancy ratings of the same nodules
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io.points import PointTable, read_points

from .images import ImageCase
from .tables import Annotation, by_series, read_annotations, selected

SCANS, NODULES, SCANS_WITH_NODULES = 888, 1186, 601
"""The whole of LUNA16."""
MASKS = "seg-lungs-LUNA16"
ANNOTATIONS, EXCLUDED, RATED = "annotations.csv", "annotations_excluded.csv", "annotations_with_malignancy.csv"
CANDIDATES = ("candidates_V2.csv", "candidates.csv")
TABLE_FOLDERS = ("", "CSVFILES", "evaluationScript/annotations")
SAME_PLACE_MM = 0.01
"""Tables of the same nodules differ by rounding only."""


def luna16_cases(folder: Path, patients: Mapping[str, str] | None = None) -> list[ImageCase]:
    """Every scan of the subset folders that are there, in the order of the series' UIDs.

    :param patients: patient by series UID. A series it does not name counts as a patient of its own: LUNA16 does not
        say whose its scans are.
    :raises InputError: when there is no scan, a scan is there twice, or a table is missing or damaged.
    """
    images = sorted(folder.glob("subset[0-9]/*.mhd"), key=lambda path: path.stem)
    if not images:
        raise InputError(f"{folder} holds no subset0 ... subset9 with .mhd scans; give the folder of LUNA16.")
    for one, other in pairwise(images):
        if one.stem == other.stem:
            raise InputError(f"{one} and {other} are the same series; remove one of them.")
    nodules = read_annotations(find_table(folder, ANNOTATIONS))
    if rated := _table(folder, RATED):
        nodules = with_ratings(nodules, read_annotations(rated, "mal_details"))
    others = read_points(find_table(folder, EXCLUDED), "diameter_mm", default=-1.0)
    excluded, diameters = by_series(others), by_series(others, others.values)
    candidates = by_series(_false_candidates(folder))
    nowhere = np.empty((0, 3))
    return [
        ImageCase(
            image.stem,
            (patients or {}).get(image.stem, image.stem),
            image.relative_to(folder).as_posix(),
            image,
            mask if (mask := folder / MASKS / image.name).exists() else None,
            tuple(nodules.get(image.stem, ())),
            excluded.get(image.stem, nowhere),
            candidates.get(image.stem, nowhere),
            diameters.get(image.stem),
        )
        for image in images
    ]


def with_ratings(
    nodules: Mapping[str, Sequence[Annotation]], rated: Mapping[str, Sequence[Annotation]]
) -> dict[str, list[Annotation]]:
    """The same nodules with the ratings that another table gives at their places."""

    def ratings(series: str, nodule: Annotation) -> tuple[int, ...]:
        for other in rated.get(series, ()):
            if np.linalg.norm(np.subtract(other.center_lps, nodule.center_lps)) < SAME_PLACE_MM:
                return other.malignancy
        return ()

    return {
        series: [replace(nodule, malignancy=ratings(series, nodule)) for nodule in own]
        for series, own in nodules.items()
    }


def summary(cases: Sequence[ImageCase]) -> str:
    """What is there of LUNA16, in numbers that can be checked against the whole."""
    nodules = sum(len(case.annotations) for case in cases)
    with_nodules = sum(bool(case.annotations) for case in cases)
    return (
        f"{len(cases)} scans, {nodules} nodules in {with_nodules} of them "
        f"(all of LUNA16: {SCANS}, {NODULES}, {SCANS_WITH_NODULES})"
    )


def find_table(folder: Path, name: str) -> Path:
    """A table in the places where LUNA16 has them, packed or not.

    :raises InputError: when it is missing.
    """
    found = _table(folder, name)
    if found is None:
        raise InputError(f"{folder} lacks {name}; copy it there from LUNA16's tables or evaluation script.")
    return found


def _table(folder: Path, *names: str) -> Path | None:
    paths = (folder / place / f"{name}{packed}" for name in names for place in TABLE_FOLDERS for packed in ("", ".gz"))
    return next((path for path in paths if path.exists()), None)


def _false_candidates(folder: Path) -> PointTable:
    table = _table(folder, *CANDIDATES)
    if table is None:
        return PointTable(np.empty(0, dtype=np.str_), np.empty((0, 3)), np.empty(0))
    points = read_points(table, "class")
    return selected(points, points.values == 0)
