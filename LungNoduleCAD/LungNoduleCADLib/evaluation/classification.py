"""How well a score tells two classes apart: ROC, precision-recall, and what a threshold makes of it (A17, B12)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .auc import Estimate, Resampling, check_both_classes, roc_auc
from .calibration import Calibration, calibration
from .free_response import Floats
from .libraries import sklearn_metrics
from .proportions import proportion

CLINICAL_SENSITIVITY = 0.95
"""What the clinical threshold must keep of the positives (A17)."""


@dataclass(frozen=True)
class Confusion:
    """Counts at a threshold, and what is read from them; None where a count of 0 leaves a figure undefined."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def sensitivity(self) -> Estimate | None:
        """Share of the positives that are found (recall), with Wilson's interval."""
        return proportion(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> Estimate | None:
        """Share of the negatives that are left alone, with Wilson's interval."""
        return proportion(self.tn, self.tn + self.fp)

    @property
    def precision(self) -> Estimate | None:
        """Share of the findings that are positives, with Wilson's interval."""
        return proportion(self.tp, self.tp + self.fp)

    @property
    def negative_predictive_value(self) -> Estimate | None:
        """Share of what is left alone that is negative, with Wilson's interval."""
        return proportion(self.tn, self.tn + self.fn)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and sensitivity."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp + self.fp + self.fn else None

    @property
    def accuracy(self) -> float | None:
        """Share of all cases that are right."""
        total = self.tp + self.fp + self.fn + self.tn
        return (self.tp + self.tn) / total if total else None

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of sensitivity and specificity."""
        if self.sensitivity is None or self.specificity is None:
            return None
        return (self.sensitivity.value + self.specificity.value) / 2


@dataclass(frozen=True, eq=False)
class Classification:
    """A score against two classes.

    :param false_positive_rate, sensitivity: corners of the ROC curve.
    :param recall, precision: of the precision-recall curve.
    :param average_precision: its area, as scikit-learn defines it.
    :param clinical_threshold: the highest that keeps 95 % of the positives.
    :param threshold: the one `confusion` was counted at.
    :param calibration: None where the scores are no probabilities.
    """

    positives: int
    negatives: int
    auc: Estimate
    false_positive_rate: Floats
    sensitivity: Floats
    recall: Floats
    precision: Floats
    average_precision: float
    clinical_threshold: float
    threshold: float
    confusion: Confusion
    calibration: Calibration | None


def classify_cases(
    positive: NDArray[np.bool_],
    score: Floats,
    *,
    resampling: Resampling | None = None,
    threshold: float | None = None,
) -> Classification:
    """Every figure of a score.

    :param positive, score: (n,) class and score of each case; a score at the threshold counts as found.
    :param resampling: for the area's interval; None for none.
    :param threshold: where to count; default: the clinical threshold of these cases.
    :raises InputError: when a class is missing or a score is not finite.
    """
    check_both_classes(positive)
    if not np.isfinite(score).all():
        raise InputError("A score is not finite; correct it or leave its case out.")
    metrics = sklearn_metrics()
    false_positive_rate, sensitivity, _ = metrics.roc_curve(positive, score)
    precision, recall, _ = metrics.precision_recall_curve(positive, score, drop_intermediate=True)
    clinical = clinical_threshold(positive, score)
    used = clinical if threshold is None else threshold
    return Classification(
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
        auc=roc_auc(positive, score, resampling),
        false_positive_rate=false_positive_rate,
        sensitivity=sensitivity,
        recall=recall,
        precision=precision,
        average_precision=float(metrics.average_precision_score(positive, score)),
        clinical_threshold=clinical,
        threshold=used,
        confusion=confusion_at(positive, score, used),
        calibration=calibration(positive, score) if ((score >= 0) & (score <= 1)).all() else None,
    )


def clinical_threshold(positive: NDArray[np.bool_], score: Floats, sensitivity: float = CLINICAL_SENSITIVITY) -> float:
    """The highest threshold at which at least this share of the positives is found: the first point of the ROC curve
    that reaches it (A17).

    :raises InputError: when there is no positive case.
    """
    falling = np.sort(score[positive])[::-1]
    if not len(falling):
        raise InputError("There is no positive case, so no threshold has a sensitivity; evaluate some.")
    enough = np.arange(1, len(falling) + 1) / len(falling) >= sensitivity
    return float(falling[np.argmax(enough)])


def confusion_at(positive: NDArray[np.bool_], score: Floats, threshold: float) -> Confusion:
    """Counts at a threshold; a score that equals it counts as found."""
    (tn, fp), (fn, tp) = sklearn_metrics().confusion_matrix(positive, score >= threshold, labels=[False, True])
    return Confusion(int(tp), int(fp), int(fn), int(tn))
