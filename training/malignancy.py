"""The malignancy estimate: fitted on readers' ratings, judged by patient against the diameter alone, put into the card.

    python -m training.malignancy --data ../shared/data --runs runs --weights LungNoduleCAD/Resources/Models \
        --output runs/malignancy

A logistic regression on piecewise linear functions of what is measured of a nodule and of the classifier's malignancy
logit: ratings 1 and 2 against 4 and 5; beside it one on the logarithm of the measured diameter alone. Each fold's
estimates come from a regression, its penalty chosen, on the other folds, and their logits from networks that never
saw the fold's patients. Only the card of the classifier changes; its weights stay as they are. `--cases` fits again
what was measured before.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from LungNoduleCADLib.cli import USER_ERROR
from LungNoduleCADLib.errors import InputError, LungNoduleCADError
from LungNoduleCADLib.evaluation.auc import AucComparison, Estimate, Resampling, compare_auc
from LungNoduleCADLib.evaluation.calibration import Calibration, calibration
from LungNoduleCADLib.evaluation.classification import classify_cases
from LungNoduleCADLib.evaluation.data_set import is_malignant, numbered
from LungNoduleCADLib.evaluation.figures import calibration_figure, roc_figure
from LungNoduleCADLib.findings import NoduleFeatures
from LungNoduleCADLib.io.atomic import output_folder, write_bytes, write_json
from LungNoduleCADLib.networks.cards import load_card
from LungNoduleCADLib.networks.malignancy import NETWORK, DiameterBaseline, MalignancyModel, MalignancyTerm

from .malignancy_cases import Case, FoldMeasurer, load_cases, rated_nodules, save_cases

KNOTS = (0.2, 0.5, 0.8)
"""Quantiles of a feature at which its slope may change."""
PENALTIES = (0.01, 0.03, 0.1)
"""Inverse strengths of the L2 penalty among which the other folds choose."""
BOOTSTRAP, SEED = 2000, 0
NAMES = (*(field.name for field in fields(NoduleFeatures)), NETWORK)

Floats = NDArray[np.float64]


def values_of(cases: Sequence[Case]) -> Floats:
    """(n, features) of found nodules, in the order of `NAMES`."""
    return np.array([[*asdict(c.features).values(), c.network] for c in cases if c.features is not None], dtype=float)


def labels_of(cases: Sequence[Case]) -> NDArray[np.bool_]:
    """(n,) whether readers called it suspicious."""
    return np.array([bool(is_malignant(case.rating)) for case in cases])


def fit(values: Floats, malignant: NDArray[np.bool_], penalty: float) -> MalignancyModel:
    """The regression at one penalty.

    :raises InputError: when a class is missing.
    """
    _check_both_classes(malignant)
    terms = [
        MalignancyTerm(name, knot, float(column.mean()), float(column.std()), 1.0)
        for name, column0 in zip(NAMES, values.T, strict=True)
        for knot in (None, *dict.fromkeys(float(k) for k in np.quantile(column0, KNOTS)))
        for column in [column0 if knot is None else np.maximum(column0 - knot, 0)]
        if column.std() > 1e-9
    ]
    design = np.array([[term.contribution(row[NAMES.index(term.feature)]) for term in terms] for row in values])
    found = LogisticRegression(C=penalty, max_iter=5000).fit(design, malignant)
    weighted = (replace(term, weight=float(w)) for term, w in zip(terms, found.coef_[0], strict=True))
    return MalignancyModel(tuple(weighted), float(found.intercept_[0]))


def fit_by_diameter(values: Floats, malignant: NDArray[np.bool_]) -> DiameterBaseline:
    """The regression on the diameter alone: two numbers, which need no penalty.

    :raises InputError: when a class is missing.
    """
    _check_both_classes(malignant)
    found = LogisticRegression(C=np.inf).fit(values[:, [NAMES.index("log_diameter")]], malignant)
    return DiameterBaseline(float(found.coef_[0, 0]), float(found.intercept_[0]))


def probabilities(model: MalignancyModel, cases: Sequence[Case]) -> Floats:
    """(n,) as detection gives them."""
    return np.array([model.probability(c.features, c.network) for c in cases if c.features and c.network is not None])


def chosen_penalty(cases: Sequence[Case]) -> float:
    """The penalty with the least log loss over the folds that the cases have."""
    folds, malignant = np.array([case.fold for case in cases]), labels_of(cases)
    losses = []
    for penalty in PENALTIES:
        p = np.zeros(len(cases))
        for fold in np.unique(folds):
            model = fit(values_of(_of(cases, folds != fold)), malignant[folds != fold], penalty)
            p[folds == fold] = probabilities(model, _of(cases, folds == fold))
        p = np.clip(p, 1e-6, 1 - 1e-6)
        losses.append(-float(np.where(malignant, np.log(p), np.log(1 - p)).mean()))
    return PENALTIES[int(np.argmin(losses))]


def out_of_fold(cases: Sequence[Case]) -> tuple[Floats, Floats]:
    """(n,) estimates of found nodules, each by a regression on the other folds; likewise from the diameter alone."""
    folds, estimates, by_diameter = np.array([case.fold for case in cases]), np.zeros(len(cases)), np.zeros(len(cases))
    for fold in np.unique(folds):
        others, own = _of(cases, folds != fold), _of(cases, folds == fold)
        values, malignant = values_of(others), labels_of(others)
        estimates[folds == fold] = probabilities(fit(values, malignant, chosen_penalty(others)), own)
        baseline = fit_by_diameter(values, malignant)
        by_diameter[folds == fold] = [baseline.probability(c.features) for c in own if c.features is not None]
    return estimates, by_diameter


def judged(cases: Sequence[Case], estimates: Floats, by_diameter: Floats, bootstrap: int = BOOTSTRAP) -> dict[str, Any]:
    """The estimate against either diameter and the network's output alone, on the same nodules.

    :param by_diameter: the diameter's own probabilities, whose calibration is told beside the estimate's.
    """
    malignant = labels_of(cases)
    resampling = Resampling.of_units(numbered([case.patient for case in cases]), bootstrap, SEED)
    others = {
        "diameter_of_the_table": np.array([case.diameter_mm for case in cases]),
        "diameter_measured": np.array([case.measured_mm or 0.0 for case in cases]),
        "network_alone": np.array([case.network or 0.0 for case in cases]),
    }
    compared = {name: compare_auc(malignant, estimates, score, resampling) for name, score in others.items()}
    reliability, baseline = calibration(malignant, estimates), calibration(malignant, by_diameter)
    return {
        "nodules": len(cases),
        "patients": len({case.patient for case in cases}),
        "suspicious": int(malignant.sum()),
        "auc": _estimate(next(iter(compared.values())).first),
        **{f"auc_{name}": _estimate(result.second) for name, result in compared.items()},
        **{f"difference_to_{name}": _difference(result) for name, result in compared.items()},
        "brier": round(reliability.brier, 4),
        "brier_of_prevalence": round(reliability.brier_of_prevalence, 4),
        "expected_calibration_error": round(reliability.expected_error, 4),
        "brier_by_diameter": round(baseline.brier, 4),
        "expected_calibration_error_by_diameter": round(baseline.expected_error, 4),
    }


def evaluation(measured: Sequence[Case], bootstrap: int = BOOTSTRAP) -> tuple[dict[str, Any], list[Case], Floats]:
    """What the card says of the estimate; the found nodules, and their estimates out of fold."""
    decided = [case for case in measured if is_malignant(case.rating) is not None]
    found = [case for case in decided if case.features is not None]
    estimates, by_diameter = out_of_fold(found)
    groups = {"crops": "crop", "cubes": "cube"}
    kinds = np.array([case.kind for case in found])
    result: dict[str, Any] = {
        "validation": "5-fold by patient, networks and regression: LIDC nodules rated 1-2 against 4-5, in crops and "
        "cubes, that the detector finds; value and 95 % interval from resampled patients",
        "rated": len(decided),
        "found": len(found),
        "all": judged(found, estimates, by_diameter, bootstrap),
    }
    for name, kind in groups.items():
        inside = kinds == kind
        if len(set(labels_of(_of(found, inside)))) == 2:
            result[name] = judged(_of(found, inside), estimates[inside], by_diameter[inside], bootstrap)
    return result, found, estimates


def write_report(folder: Path, result: dict[str, Any], measured: list[Case], found: list[Case], p: Floats) -> None:
    """`malignancy.json`, the measured cases, the estimates, and the ROC and reliability charts, as one new folder."""
    malignant = labels_of(found)
    resampling = Resampling.of_units(numbered([case.patient for case in found]), BOOTSTRAP, SEED)
    score = classify_cases(malignant, p, resampling=resampling)
    diameter = classify_cases(malignant, np.array([case.diameter_mm for case in found]), resampling=resampling)
    reliability: Calibration = calibration(malignant, p)
    with output_folder(folder) as new:
        write_json(new / "malignancy.json", result)
        save_cases(new / "cases.json", measured)
        write_json(new / "estimates.json", {case.name: float(q) for case, q in zip(found, p, strict=True)})
        write_bytes(new / "malignancy_roc.png", roc_figure(score, ("Diameter alone", diameter), "Estimate"))
        write_bytes(new / "malignancy_reliability.png", calibration_figure(reliability))


def update_card(weights: Path, model: MalignancyModel, result: dict[str, Any]) -> None:
    """Put the estimate and its figures into the classifier's card; the weights stay as they are."""
    path = weights / "classification.json"
    card = load_card(path)
    write_json(path, replace(card, malignancy=model, metrics={**card.metrics, "malignancy": result}).to_json())


def main(argv: Sequence[str] | None = None) -> int:
    """Fit, judge, write; returns the exit code: 0, or 2 after one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m training.malignancy", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with lidc-nodules")
    parser.add_argument("--runs", type=Path, help="folder of unet-fold<n> and hybrid-fold<n>")
    parser.add_argument("--cases", type=Path, help="cases.json of an earlier run, instead of --data and --runs")
    parser.add_argument("--weights", type=Path, required=True, help="folder of the cards")
    parser.add_argument("--output", type=Path, required=True, help="folder for the report")
    arguments = parser.parse_args(argv)
    try:
        measured = _measured(arguments)
        result, found, estimates = evaluation(measured)
        write_report(arguments.output, result, measured, found, estimates)
        values, malignant = values_of(found), labels_of(found)
        model = fit(values, malignant, chosen_penalty(found))
        update_card(arguments.weights, replace(model, by_diameter=fit_by_diameter(values, malignant)), result)
    except LungNoduleCADError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    print(_summary(result["all"]))
    return 0


def _measured(arguments: argparse.Namespace) -> list[Case]:
    if arguments.cases is not None:
        return load_cases(arguments.cases)
    if arguments.data is None or arguments.runs is None:
        raise InputError("There is nothing to measure; give --data and --runs, or --cases.")
    measure = FoldMeasurer(arguments.runs, arguments.weights)
    nodules = rated_nodules(arguments.data / "lidc-nodules")
    return [measure(nodule) for nodule in nodules if is_malignant(nodule.rating) is not None]


def _check_both_classes(malignant: NDArray[np.bool_]) -> None:
    if malignant.all() or not malignant.any():
        raise InputError("All nodules are of one class, so there is nothing to fit; measure more of them.")


def _of(cases: Sequence[Case], chosen: NDArray[np.bool_]) -> list[Case]:
    return [case for case, wanted in zip(cases, chosen, strict=True) if wanted]


def _estimate(estimate: Estimate) -> list[float | None]:
    """Value, and the ends of its interval."""
    return [None if v is None else round(v, 4) for v in (estimate.value, estimate.low, estimate.high)]


def _difference(result: AucComparison) -> list[float | None]:
    return _estimate(result.difference)


def _summary(result: dict[str, Any]) -> str:
    names = ("diameter_of_the_table", "diameter_measured", "network_alone")
    lines = [f"Malignancy AUC {result['auc']} on {result['nodules']} nodules of {result['patients']} patients"]
    lines += [f"  {name}: {result[f'auc_{name}']}, difference {result[f'difference_to_{name}']}" for name in names]
    for name, kind in (("", ""), ("_by_diameter", "by diameter: ")):
        lines.append(f"  {kind}Brier {result[f'brier{name}']}, ECE {result[f'expected_calibration_error{name}']}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
