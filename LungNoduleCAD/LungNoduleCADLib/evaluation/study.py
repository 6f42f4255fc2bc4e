"""An evaluation as a whole: every figure of every data set, at one threshold that is the same for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .auc import AucComparison, Resampling, compare_auc
from .classification import Classification, classify_cases, clinical_threshold
from .data_set import DataSet
from .detection import (
    Missed,
    OperatingRow,
    Stratum,
    by_size,
    by_type,
    false_marks_by_case,
    missed_nodules,
    operating_table,
    table_thresholds,
)
from .free_response import Floats, FrocResult, free_response

LONGEST_CASE_LIST = 20
"""Scans that the table of false marks names."""


@dataclass(frozen=True, eq=False)
class Malignancy:
    """The malignancy score of the nodules that were found and rated, against their diameter alone.

    :param left_out: found nodules whose readers were undecided or gave no rating, or whose diameter is unknown.
    """

    score: Classification
    diameter: Classification
    comparison: AucComparison
    left_out: int


@dataclass(frozen=True, eq=False)
class SetResult:
    """Every figure of a data set.

    :param candidates: nodules' best marks against false marks; None where one of the two is missing.
    :param malignancy: None where no nodule has both a score and a decided rating, or all are of one class.
    :param false_by_case: the scans with most false marks at or above the threshold, and how many.
    """

    data: DataSet
    froc: FrocResult
    candidates: Classification | None
    malignancy: Malignancy | None
    sizes: tuple[Stratum, ...]
    types: tuple[Stratum, ...]
    operating: tuple[OperatingRow, ...]
    missed: tuple[Missed, ...]
    false_by_case: tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class Study:
    """An evaluation.

    :param threshold: at which everything is counted. :param threshold_from: where it comes from, for a reader.
    """

    sets: tuple[SetResult, ...]
    threshold: float
    threshold_from: str
    bootstrap: int
    seed: int


def evaluate_sets(
    sets: Sequence[DataSet], *, threshold: float | None = None, bootstrap: int = 1000, seed: int = 0
) -> Study:
    """Evaluate data sets.

    :param threshold: where to count; None takes the clinical threshold of the first set (A17), so that the other sets
        show how it holds elsewhere (A18).
    :param bootstrap: resamples for the intervals; 0 for none. :param seed: of their generator.
    :raises InputError: when there is no set, a set has no nodule, or no threshold can be found.
    """
    if not sets:
        raise InputError("There is nothing to evaluate; give marks or a submission.")
    origin = "given"
    if threshold is None:
        found = sets[0].outcomes.nodule_score[sets[0].outcomes.found]
        if not len(found):
            raise InputError(f"No mark hits a nodule of '{sets[0].name}', so there is no threshold; check its tables.")
        threshold = clinical_threshold(np.ones(len(found), dtype=bool), found)
        origin = f"the clinical threshold of '{sets[0].name}': the highest that keeps 95 % of the nodules with a mark"
    results = tuple(_evaluate(data, threshold, bootstrap, seed) for data in sets)
    return Study(results, threshold, origin, bootstrap, seed)


def _evaluate(data: DataSet, threshold: float, bootstrap: int, seed: int) -> SetResult:
    positive, score, unit = data.candidates()
    candidates = None
    if positive.any() and not positive.all():
        resampling = Resampling(unit, data.outcomes.listed, bootstrap, seed)
        candidates = classify_cases(positive, score, resampling=resampling, threshold=threshold)
    # One scan, however often it is drawn, says nothing of others.
    of_scans = bootstrap if any(len(np.unique(part)) > 1 for part in data.outcomes.listed) else 0
    return SetResult(
        data=data,
        froc=free_response(data.outcomes, of_scans, seed),
        candidates=candidates,
        malignancy=_malignancy(data, bootstrap, seed),
        sizes=tuple(by_size(data, threshold)),
        types=tuple(by_type(data, threshold)),
        operating=tuple(operating_table(data.outcomes, table_thresholds(data.outcomes, threshold), of_scans, seed)),
        missed=tuple(missed_nodules(data, threshold)),
        false_by_case=tuple(false_marks_by_case(data, threshold)[:LONGEST_CASE_LIST]),
    )


def _malignancy(data: DataSet, bootstrap: int, seed: int) -> Malignancy | None:
    scored = [n for n, nodule in enumerate(data.nodules) if nodule.malignancy_score is not None]
    used = np.array(
        [n for n in scored if data.nodules[n].malignant is not None and data.nodules[n].diameter_mm is not None],
        dtype=np.intp,
    )
    malignant: NDArray[np.bool_] = np.array([data.nodules[n].malignant for n in used], dtype=bool)
    if not malignant.any() or malignant.all():
        return None
    score: Floats = np.array([data.nodules[n].malignancy_score for n in used], dtype=np.float64)
    diameter = data.diameters_mm[used]
    resampling = Resampling.of_units(data.patient[used], bootstrap, seed)
    return Malignancy(
        score=classify_cases(malignant, score, resampling=resampling),
        diameter=classify_cases(malignant, diameter, resampling=resampling),
        comparison=compare_auc(malignant, score, diameter, resampling),
        left_out=len(scored) - len(used),
    )
