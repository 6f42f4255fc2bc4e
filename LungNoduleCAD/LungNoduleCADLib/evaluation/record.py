"""An evaluation as data, ready for JSON: what stands on the page, and no more rounding than a double's."""

from __future__ import annotations

from typing import Any

from .auc import Estimate
from .classification import Classification, Confusion
from .data_set import ORIGINS
from .detection import Stratum
from .free_response import OPERATING_POINTS, FrocResult
from .study import Malignancy, SetResult, Study


def study_as_json(study: Study) -> dict[str, Any]:
    """Every figure of an evaluation with the data it comes from."""
    return {
        "threshold": study.threshold,
        "threshold_from": study.threshold_from,
        "bootstrap": study.bootstrap,
        "seed": study.seed,
        "fp_per_scan": list(OPERATING_POINTS),
        "sets": [_set(result) for result in study.sets],
    }


def froc_as_json(result: FrocResult) -> dict[str, Any]:
    """Figures, curve and band of a free-response ROC."""
    curve = result.curve
    content: dict[str, Any] = {
        "cpm": result.cpm,
        "fp_per_scan": list(OPERATING_POINTS),
        "sensitivity": result.sensitivity.tolist(),
        "tp": result.tp,
        "fp": result.fp,
        "fn": result.fn,
        "scans": result.scans,
        "curve": {
            "fp_per_scan": curve.fp_per_scan.tolist(),
            "sensitivity": curve.sensitivity.tolist(),
            # The first point lies above every probability; JSON knows no infinity.
            "threshold": [None, *curve.threshold[1:].tolist()],
        },
    }
    if result.band is not None:
        band = result.band
        content["band"] = {
            "confidence": 0.95,
            "cpm": list(band.cpm),
            "fp_per_scan": band.fp_per_scan.tolist(),
            "mean": band.mean.tolist(),
            "lower": band.lower.tolist(),
            "upper": band.upper.tolist(),
        }
    return content


def _set(result: SetResult) -> dict[str, Any]:
    data = result.data
    froc = froc_as_json(result.froc)
    # Ten thousand points a line: `evaluate froc --json` writes them.
    band = froc.pop("band", None)
    return {
        "name": data.name,
        "origin": ORIGINS[data.origin],
        "description": data.description,
        "nodules": len(data.nodules),
        "scans": data.outcomes.scans,
        "froc": {**froc, "cpm_interval": None if band is None else band["cpm"]},
        "candidates": None if result.candidates is None else classification_as_json(result.candidates),
        "malignancy": None if result.malignancy is None else _malignancy(result.malignancy),
        "by_size": [stratum_as_json(s) for s in result.sizes],
        "by_type": [stratum_as_json(s) for s in result.types],
        "operating_table": [
            {
                "threshold": row.threshold,
                "sensitivity": estimate_as_json(row.sensitivity),
                "fp_per_scan": estimate_as_json(row.fp_per_scan),
            }
            for row in result.operating
        ],
        "missed": [
            {"case": m.nodule.case, "diameter_mm": m.nodule.diameter_mm, "density": m.nodule.density, "score": m.score}
            for m in result.missed
        ],
        "false_marks_by_case": dict(result.false_by_case),
    }


def classification_as_json(result: Classification) -> dict[str, Any]:
    """Figures of a score against two classes, without the curves."""
    content = {
        "positives": result.positives,
        "negatives": result.negatives,
        "auc": estimate_as_json(result.auc),
        "average_precision": result.average_precision,
        "clinical_threshold": result.clinical_threshold,
        "threshold": result.threshold,
        **_confusion(result.confusion),
    }
    if result.calibration is not None:
        content["calibration"] = {
            "brier": result.calibration.brier,
            "brier_of_prevalence": result.calibration.brier_of_prevalence,
            "expected_error": result.calibration.expected_error,
            "bins": [
                {
                    "low": b.low,
                    "high": b.high,
                    "count": b.count,
                    "mean_score": b.mean_score,
                    "observed": estimate_as_json(b.observed),
                }
                for b in result.calibration.bins
            ],
        }
    return content


def estimate_as_json(estimate: Estimate | None) -> dict[str, float | None] | None:
    """A figure with its interval."""
    return None if estimate is None else {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _confusion(counts: Confusion) -> dict[str, Any]:
    return {
        "tp": counts.tp,
        "fp": counts.fp,
        "fn": counts.fn,
        "tn": counts.tn,
        "sensitivity": estimate_as_json(counts.sensitivity),
        "specificity": estimate_as_json(counts.specificity),
        "precision": estimate_as_json(counts.precision),
        "negative_predictive_value": estimate_as_json(counts.negative_predictive_value),
        "f1": counts.f1,
        "accuracy": counts.accuracy,
        "balanced_accuracy": counts.balanced_accuracy,
    }


def _malignancy(result: Malignancy) -> dict[str, Any]:
    return {
        "score": classification_as_json(result.score),
        "diameter_alone": classification_as_json(result.diameter),
        "auc_difference": estimate_as_json(result.comparison.difference),
        "p_value": result.comparison.p_value,
        "left_out": result.left_out,
    }


def stratum_as_json(stratum: Stratum) -> dict[str, Any]:
    """Figures of the nodules of one size or type."""
    return {
        "name": stratum.name,
        "nodules": stratum.nodules,
        "without_mark": stratum.without_mark,
        "found_at_threshold": estimate_as_json(stratum.found),
        "sensitivity": stratum.sensitivity.tolist(),
        "cpm": stratum.cpm,
    }
