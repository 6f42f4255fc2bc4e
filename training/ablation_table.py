"""The ablation's figures: each arm's, and how far they are from the reference's on the same patients."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from LungNoduleCADLib.evaluation.auc import Estimate
from LungNoduleCADLib.evaluation.free_response import (
    Floats,
    Outcomes,
    band_positions,
    free_response,
    resampled_sensitivity,
)
from LungNoduleCADLib.evaluation.froc import match_submission
from LungNoduleCADLib.io.points import PointTable
from LungNoduleCADLib.networks.cards import Calibration

from .fold_data_sets import data_sets
from .known_nodules import Known
from .out_of_fold import OutOfFold, read_out_of_fold
from .publish import calibrate

SAMPLES = 1000
SIMULATED = "Simulated scans"
Mark = dict[str, Any]


@dataclass(frozen=True)
class View:
    """Which of the detector's opinions make a mark's score.

    :param heard: a mark with the others silenced; 0 as a logit and 0.5 as a peak say nothing either way.
    """

    name: str
    what: str
    heard: Callable[[Mark], Mark]


BOTH = View("both", "both networks, three planes", lambda mark: mark)
UNET = View("segmentation", "U-Net alone, three planes", lambda mark: {**mark, "logit": 0.0})
CLASSIFIER = View(
    "classification", "classifier alone on the U-Net's proposals", lambda mark: {**mark, "peak": 0.5, "side_peak": 0.5}
)
AXIAL = View("axial", "both networks, axial plane only", lambda mark: {**mark, "side_peak": mark["peak"]})
AXIAL_UNET = View(
    "axial segmentation", "U-Net alone, axial plane only", lambda m: {**m, "side_peak": m["peak"], "logit": 0.0}
)
PRESENT_VIEWS = BOTH, AXIAL, UNET, AXIAL_UNET, CLASSIFIER


@dataclass(frozen=True)
class Figures:
    """What an arm does on one set.

    :param marked: share of the nodules with any mark. :param sensitivity: at the seven operating points;
    :param cpm: their mean, with a bootstrap interval over patients, lungs or scans.
    :param difference: of the CPM from the reference's, over the same resamples; None of the reference itself.
    """

    nodules: int
    scans: int
    marked: float
    sensitivity: tuple[float, ...]
    cpm: Estimate
    difference: Estimate | None = None


@dataclass(frozen=True)
class Row:
    """An arm in one view, by the sets' names."""

    name: str
    what: str
    sets: dict[str, Figures]


def rows_of(arms: Sequence[tuple[str, str, Mapping[str, Outcomes]]], samples: int, seed: int = 0) -> list[Row]:
    """A row an arm; the first one is the reference.

    :param arms: name, what it is, and its outcomes by set, all on the same cases.
    """
    resampled: dict[str, Floats] = {}
    reference: dict[str, float] = {}
    rows = []
    for name, what, sets in arms:
        figures = {}
        for key, outcomes in sets.items():
            result = free_response(outcomes)
            draws = resampled_sensitivity(outcomes, samples=samples, seed=seed).mean(axis=1)
            first = key not in reference
            if first:
                reference[key], resampled[key] = result.cpm, draws
            figures[key] = Figures(
                nodules=len(outcomes.nodule_score),
                scans=outcomes.scans,
                marked=float(outcomes.found.mean()),
                sensitivity=tuple(float(value) for value in result.sensitivity),
                cpm=_estimate(result.cpm, draws),
                difference=None if first else _estimate(result.cpm - reference[key], draws - resampled[key]),
            )
        rows.append(Row(name, what, figures))
    return rows


def outcomes_of(paths: Sequence[Path], known: Mapping[str, Known], view: View) -> dict[str, Outcomes]:
    """What one arm did, by set: cubes, inserted nodules, and simulated scans where they were marked.

    :raises InputError: when a file is damaged, or nothing was hit or marked falsely.
    """
    data = read_out_of_fold(paths)
    data = replace(data, marks=[view.heard(mark) for mark in data.marks])
    sets = {one.name: one.outcomes for one in data_sets(data, dict(known))}
    simulated = [json.loads(path.read_text(encoding="utf-8")).get("simulated") for path in paths]
    if all(simulated):
        sets[SIMULATED] = simulated_outcomes(simulated, data, view)
    return sets


def simulated_outcomes(contents: Sequence[Mapping[str, Any]], data: OutOfFold, view: View) -> Outcomes:
    """What was marked in all folds' simulated scans; scores are calibrated on the real ones, as a user's are."""
    calibration = Calibration(**calibrate(data)[0])
    marks = [view.heard(mark) for content in contents for mark in content["marks"]]
    scores = [calibration.probability(m["logit"], min(m["peak"], m["side_peak"])) for m in marks]
    nodules, excluded = ([one for content in contents for one in content[part]] for part in ("nodules", "excluded"))
    scans = [scan for content in contents for scan in content["scans"]]
    return match_submission(_findings(nodules), _findings(excluded), scans, _table(marks, scores)).outcomes


def _findings(points: Sequence[Mapping[str, Any]]) -> PointTable:
    return _table(points, [point["diameter_mm"] for point in points])


def _table(points: Sequence[Mapping[str, Any]], values: Sequence[float]) -> PointTable:
    # In voxels of 1 mm: distances are those in mm.
    places = np.array([point["center_kji"] for point in points], dtype=np.float64).reshape(-1, 3)
    return PointTable(np.array([point["case"] for point in points], dtype=np.str_), places, np.array(values, float))


def _estimate(value: float, draws: Floats) -> Estimate:
    if not len(draws):
        return Estimate(value)
    ordered = np.sort(draws)
    low, high = band_positions(len(draws))
    return Estimate(value, float(ordered[low]), float(ordered[high]))


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows, as JSON knows them."""
    return [asdict(row) for row in rows]


def as_markdown(rows: Sequence[Row]) -> str:
    """A table: CPM and difference of each set, with 95 % intervals."""
    names = list(rows[0].sets)
    lines = ["| | " + " | ".join(f"{name} | difference" for name in names) + " |"]
    lines.append("|---" * (1 + 2 * len(names)) + "|")
    for row in rows:
        cells = [cell for name in names for cell in (_cell(row.sets[name].cpm), _cell(row.sets[name].difference, "+"))]
        lines.append("| " + " | ".join([row.what, *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return "-"
    text = f"{estimate.value:{sign}.3f}"
    return text if estimate.low is None else f"{text} ({estimate.low:{sign}.3f} to {estimate.high:{sign}.3f})"
