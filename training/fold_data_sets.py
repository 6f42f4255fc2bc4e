"""What cross-validation wrote, as data sets to evaluate: real cubes and inserted nodules apart, both against the lungs
that were left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.evaluation.data_set import (
    DataSet,
    FalseMark,
    Nodule,
    Place,
    density_of_texture,
    is_malignant,
    numbered,
)
from LungNoduleCADLib.evaluation.free_response import Outcomes

from .known_nodules import Known, source_of
from .out_of_fold import KINDS, OutOfFold
from .publish import calibrate
from .splits import BACKGROUND_SCANS


def data_sets(data: OutOfFold, known: dict[str, Known]) -> list[DataSet]:
    """A data set for each kind of case that there is; every mark's score comes from a calibration on the other folds.

    :param known: by a cube's name, or by `crop <nodule>`.
    :raises InputError: when nothing was hit or nothing was marked falsely, so that there is no calibration.
    """
    false = data.is_false()
    if not data.is_hit().any() or not false.any():
        raise InputError("Cross-validation hit no nodule or marked nothing falsely, so scores have no scale.")
    _, scores = calibrate(data)
    return [_data_set(data, scores, kind, known) for kind in KINDS if any(c["kind"] == kind for c in data.cases)]


def _data_set(data: OutOfFold, scores: NDArray[np.float64], kind: str, known: dict[str, Known]) -> DataSet:
    cases = [case for case in data.cases if case["kind"] == kind]
    best = _best_marks(data, scores, kind)
    folds = sorted({int(case["fold"]) for case in data.cases})
    lungs = [BACKGROUND_SCANS[fold] for fold in folds]
    facts = [known.get(source_of(case["case"], kind)) for case in cases]
    patients = [case["case"] if fact is None else fact.patient for case, fact in zip(cases, facts, strict=True)]
    patient = numbered(patients)
    false = np.flatnonzero(data.is_false())
    first_lung = int(patient.max()) + 1
    return DataSet(
        name=KINDS[kind].name,
        origin=KINDS[kind].origin,
        description=_description(kind, len(cases), len(set(patients)), lungs),
        outcomes=Outcomes(
            nodule_score=np.array([scores[best[c["case"]]] if c["case"] in best else -np.inf for c in cases]),
            nodule_unit=patient,
            false_score=scores[false],
            false_unit=np.array([first_lung + lungs.index(data.marks[n]["case"]) for n in false], dtype=np.intp),
            scans=len(lungs),
            listed=(np.unique(patient), first_lung + np.arange(len(lungs))),
        ),
        nodules=tuple(
            _nodule(case, fact, data.marks[best[case["case"]]] if case["case"] in best else None)
            for case, fact in zip(cases, facts, strict=True)
        ),
        false_marks=tuple(FalseMark(data.marks[n]["case"], _place(data.marks[n])) for n in false),
        patient=patient,
    )


def _best_marks(data: OutOfFold, scores: NDArray[np.float64], kind: str) -> dict[str, int]:
    """Which mark on each case's nodule has the highest score."""
    best: dict[str, int] = {}
    for n, mark in enumerate(data.marks):
        if mark["hit"] and mark["kind"] == kind:
            former = best.get(mark["case"])
            if former is None or scores[n] > scores[former]:
                best[mark["case"]] = n
    return best


def _nodule(case: dict[str, Any], fact: Known | None, mark: dict[str, Any] | None) -> Nodule:
    rating = float(case["malignancy"])
    if np.isnan(rating) and fact is not None:
        rating = fact.malignancy
    return Nodule(
        case=case["case"],
        place=None if mark is None else _place(mark),
        diameter_mm=float(case["diameter_mm"]),
        density=None if fact is None or np.isnan(fact.texture) else density_of_texture(fact.texture),
        malignant=is_malignant(rating),
        malignancy_score=None if mark is None else float(1 / (1 + np.exp(-mark["malignancy_logit"]))),
    )


def _place(mark: dict[str, Any]) -> Place:
    k, j, i = (float(v) for v in mark["center_kji"])
    return k, j, i


def _description(kind: str, cases: int, patients: int, lungs: list[str]) -> str:
    return (
        f"{cases} {KINDS[kind].what}, of {patients} patients; false marks in {len(lungs)} left-out lungs of cancer "
        f"patients ({', '.join(lungs)}), outside doubtful regions; networks and calibration of each fold never saw its "
        "patients."
    )
