"""From training runs and their cross-validation to the weights that ship: calibration, operating table, cards.

    python -m training.publish --marks forest --data DATA --segmentation runs/unet-final \
        --classification runs/hybrid-final --output LungNoduleCAD/Resources/Models
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from LungNoduleCADLib.cli import USER_ERROR
from LungNoduleCADLib.detection.appearance import EDGE
from LungNoduleCADLib.errors import LungNoduleCADError
from LungNoduleCADLib.evaluation.data_set import density_of_texture
from LungNoduleCADLib.networks.weights import save_model

from .checkpoints import averaged_hybrid, averaged_unet, wavelet_of
from .forest import FOREST, load_forest
from .known_nodules import Known, known_nodules, source_of
from .out_of_fold import KINDS, OutOfFold, mark_files, read_out_of_fold

VERSION = "1.4.2"
LICENSE = "Apache-2.0"
RESEARCH_USE = "Research use only. Not a medical device; not for diagnostic use."
ALLOWED_FALSE_POSITIVES = 0.25
"""A scan of left-out lung, at the default threshold: diseased lungs give several times as many, and a list that is
mostly right is read. A17's clinical point, a sensitivity of 0.95, lies lower with these weights; the operating table
has it, and the slider's preset goes there."""
OPERATING_POINTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
THRESHOLDS = (0.01, 0.02, *(n / 20 for n in range(1, 14)), *(n / 50 for n in range(35, 50)))
"""Closer together where most scores lie; two digits, as they are shown and set."""
BAND_FROM_MM = 6.0
"""Where guidelines begin to follow a nodule up (MacMahon 2017)."""
DEFAULTS = tuple(n / 10 for n in range(1, 10))
"""Five lungs cannot tell 0.88 from 0.9: a round number, on the strict side."""
DATA = [
    {
        "name": "LIDC-IDRI: 83 nodules in 51 mm cubes; 743 nodules inserted into lungs, 685 of them also in what "
        "surrounds them; one scan and two slabs as background",
        "citation": "Armato et al. 2011, doi:10.1118/1.3528204; Clark et al. 2013, doi:10.1007/s10278-013-9622-7",
        "licence": "CC BY 3.0",
    },
    {
        "name": "LUNA16: centres and diameters of the inserted nodules",
        "citation": "Setio et al. 2017, doi:10.1016/j.media.2017.06.015",
        "licence": "CC BY 4.0",
    },
    {
        "name": "NSCLC-Radiogenomics: one scan as background",
        "citation": "Bakr et al. 2018, doi:10.1038/sdata.2018.202",
        "licence": "CC BY 3.0",
    },
    {
        "name": "4D-Lung: one scan as background",
        "citation": "Hugo et al. 2017, doi:10.1002/mp.12059",
        "licence": "CC BY 3.0",
    },
    {
        "name": "CPTAC-LSCC: one scan as background",
        "citation": "CPTAC 2018, doi:10.7937/K9/TCIA.2018.6EMUB5L2",
        "licence": "CC BY 3.0",
    },
    {
        "name": "CMB-CRC: one scan as background",
        "citation": "Cancer Moonshot Biobank 2022, doi:10.7937/DJG7-GZ87",
        "licence": "CC BY 4.0",
    },
    {
        "name": "LungNoduleCAD nodule simulator: a quarter of the inserted nodules",
        "citation": "this project",
        "licence": "Apache-2.0",
    },
]
PREPROCESSING: dict[str, Any] = {
    "spacing_mm": 1.0,
    "resampling": {"order": 3, "antialias": True},
    "window_hu": [-1000.0, 400.0],
    "outside_lung": "keep",
    "wavelet": None,
}


def calibrate(data: OutOfFold) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Logistic regression (Platt 1999) of all opinions on "is on a nodule": the card's entry, and every mark's score.

    Each fold's scores come from a regression on the other folds.
    """
    x, hit = data.features(), data.is_hit()
    used = data.teaches()
    fold = np.array([m["fold"] for m in data.marks])
    scores = np.zeros(len(x))
    for held_out in np.unique(fold):
        rest = used & (fold != held_out) if data.folds > 1 else used
        model = LogisticRegression(C=10.0, class_weight="balanced").fit(x[rest], hit[rest])
        scores[fold == held_out] = model.predict_proba(x[fold == held_out])[:, 1]
    model = LogisticRegression(C=10.0, class_weight="balanced").fit(x[used], hit[used])
    entry = {
        "method": "platt",
        "slope": float(model.coef_[0, 1]),
        "plane_slope": float(model.coef_[0, 0]),
        "intercept": float(model.intercept_[0]),
        **({"forest_slope": float(model.coef_[0, 2])} if x.shape[1] > 2 else {}),
    }
    return entry, scores


def best_hits(
    data: OutOfFold,
    scores: NDArray[np.float64],
    kind: str,
    chosen: Callable[[dict[str, Any]], bool] = lambda case: True,
) -> NDArray[np.float64]:
    """Per case of a kind, or per chosen one, the score of its best mark on the nodule, -1 when there is none."""
    best = {c["case"]: -1.0 for c in data.cases if c["kind"] == kind and chosen(c)}
    for mark, score in zip(data.marks, scores, strict=True):
        if mark["hit"] and mark["case"] in best:
            best[mark["case"]] = max(best[mark["case"]], float(score))
    return np.array(list(best.values()))


def operating_table(data: OutOfFold, scores: NDArray[np.float64], known: Mapping[str, Known]) -> list[dict[str, Any]]:
    """Sensitivity on real cubes, and by band, and false positives a scan of left-out lung, by threshold.

    :param known: as `known_nodules` gives it.
    """

    def is_large(case: dict[str, Any]) -> bool:
        return bool(case["diameter_mm"] >= BAND_FROM_MM)

    def is_ground_glass(case: dict[str, Any]) -> bool:
        fact = known.get(source_of(case["case"], "any-size"))
        return fact is not None and not np.isnan(fact.texture) and density_of_texture(fact.texture) == "ground-glass"

    cubes = best_hits(data, scores, "cube")
    bands = {
        "4-6 mm, inserted": best_hits(data, scores, "insertion"),
        f"{BAND_FROM_MM:g} mm and more, inserted": best_hits(data, scores, "any-size", is_large),
        "ground-glass, inserted": best_hits(data, scores, "any-size", is_ground_glass),
    }
    false = scores[data.is_false()]
    return [
        {
            "threshold": threshold,
            "sensitivity": _share(cubes >= threshold),
            "fp_per_scan": round(float((false >= threshold).sum() / data.folds), 3),
            "bands": {name: _share(found >= threshold) for name, found in bands.items() if len(found)},
        }
        for threshold in THRESHOLDS
    ]


def default_threshold(data: OutOfFold, scores: NDArray[np.float64], allowed: float = ALLOWED_FALSE_POSITIVES) -> float:
    """Lowest of `DEFAULTS` at which left-out lungs give no more false positives a scan."""
    false = scores[data.is_false()]
    passing = [threshold for threshold in DEFAULTS if (false >= threshold).sum() <= allowed * data.folds]
    return min(passing, default=max(DEFAULTS))


def metrics(data: OutOfFold, scores: NDArray[np.float64], threshold: float) -> dict[str, Any]:
    """What the card says of the weights; each number with the data it comes from."""
    cubes, small, any_size = (best_hits(data, scores, kind) for kind in KINDS)
    false = np.sort(scores[data.is_false()])[::-1]
    limits = [_threshold_at(false, rate * data.folds) for rate in OPERATING_POINTS]
    at_two = limits[OPERATING_POINTS.index(2.0)]
    rated = [(m["malignancy_logit"], c["malignancy"]) for c in data.cases for m in data.marks
             if m["hit"] and m["case"] == c["case"] and (c["malignancy"] >= 4 or c["malignancy"] <= 2)]  # fmt: skip
    sizes = [
        c["diameter_mm"] for c in data.cases if c["kind"] == "cube" and (c["malignancy"] >= 4 or c["malignancy"] <= 2)
    ]
    labels = [
        c["malignancy"] >= 4
        for c in data.cases
        if c["kind"] == "cube" and (c["malignancy"] >= 4 or c["malignancy"] <= 2)
    ]
    return {
        "validation": f"{data.folds}-fold by patient: {len(cubes)} real LIDC nodules in 51 mm cubes; {len(small)} "
        f"unseen real nodules of 4-6 mm and {len(any_size)} of any size inserted into the left-out lung; "
        f"{data.folds} left-out lungs of cancer patients without their doubtful regions",
        "fp_per_scan": list(OPERATING_POINTS),
        "sensitivity_cubes": [_share(cubes > limit) for limit in limits],
        "sensitivity_inserted_4_6_mm": [_share(small > limit) for limit in limits],
        "sensitivity_inserted_any_size": [_share(any_size > limit) for limit in limits],
        "threshold_at_2_fp_per_scan": round(at_two, 4),
        "sensitivity_cubes_at_default": _share(cubes >= threshold),
        "sensitivity_inserted_4_6_mm_at_default": _share(small >= threshold),
        "sensitivity_inserted_any_size_at_default": _share(any_size >= threshold),
        "fp_per_scan_at_default": round(float((false >= threshold).sum() / data.folds), 3),
        "proposed_cubes": _share(cubes >= 0),
        "proposed_inserted_4_6_mm": _share(small >= 0),
        "proposed_inserted_any_size": _share(any_size >= 0),
        "median_dice_cubes": round(
            float(np.median([c["share_in_mask"] for c in data.cases if c["kind"] == "cube"])), 3
        ),
        "malignancy_auc_cubes": round(float(roc_auc_score([r >= 4 for _, r in rated], [z for z, _ in rated])), 3),
        "malignancy_auc_cubes_diameter_alone": round(float(roc_auc_score(labels, sizes)), 3),
    }


def preprocessing_of(run: Path) -> dict[str, Any]:
    """The card's entry: how a run's network was trained to see a scan."""
    wavelet = wavelet_of(run)
    return {**PREPROCESSING, "wavelet": None if wavelet is None else asdict(wavelet)}


def _share(found: NDArray[np.bool_]) -> float | None:
    """Share that was found, four digits; None of nothing."""
    return round(float(found.mean()), 4) if len(found) else None


def _threshold_at(false: NDArray[np.float64], allowed: float) -> float:
    """Score above which at most `allowed` of the false positives (sorted, best first) lie; 0 when all may."""
    return float(false[int(allowed)]) if len(false) > int(allowed) else 0.0


def main(argv: Sequence[str] | None = None) -> int:
    """Publish; returns the exit code: 0, or 2 after one sentence on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--marks", type=Path, required=True, help="folder of cross-validation-<fold>.json, and perhaps of a forest"
    )
    parser.add_argument("--data", type=Path, required=True, help="holds lidc-nodules, for the nodules' densities")
    parser.add_argument("--segmentation", type=Path, required=True)
    parser.add_argument("--classification", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    try:
        print(json.dumps(publish(parser.parse_args(argv)), indent=2))
    except LungNoduleCADError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    return 0


def publish(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write weights and cards; returns their metrics, calibration and threshold."""
    data = read_out_of_fold(mark_files(arguments.marks))
    calibration, scores = calibrate(data)
    threshold = default_threshold(data, scores)
    common: dict[str, Any] = {
        "version": VERSION,
        "data": DATA,
        "metrics": metrics(data, scores, threshold),
        "operating_table": operating_table(data, scores, known_nodules(arguments.data)),
        "default_threshold": threshold,
        "license": LICENSE,
        "research_use": RESEARCH_USE,
    }
    save_model(
        averaged_unet(arguments.segmentation),
        {
            **common,
            "name": "LungNoduleCAD 2.5-D U-Net, small",
            "preprocessing": {**preprocessing_of(arguments.segmentation), "slices": 7},
            "calibration": {"method": "none"},
        },
        arguments.output,
    )
    classifier = averaged_hybrid(arguments.classification)
    save_model(
        classifier,
        {
            **common,
            "name": "LungNoduleCAD hybrid CNN-Transformer, small",
            "preprocessing": {**preprocessing_of(arguments.classification), "patch_size": classifier.config.patch_size},
            "calibration": calibration,
        },
        arguments.output,
    )
    if "forest_slope" in calibration:
        save_model(
            load_forest(arguments.marks / FOREST),
            {
                **common,
                "name": "LungNoduleCAD forest of appearances",
                "preprocessing": {**PREPROCESSING, "patch_size": EDGE},
                "calibration": {"method": "none"},
            },
            arguments.output,
            half=False,  # a threshold that moves is another decision
        )
    return {**common["metrics"], "calibration": calibration, "default_threshold": threshold}


if __name__ == "__main__":
    sys.exit(main())
