"""Which places are shown as examples of what a threshold gets right and wrong (A20-A23)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .data_set import DataSet, Place

Outcome = Literal["true_positive", "true_negative", "false_positive", "false_negative"]

OUTCOMES: dict[Outcome, str] = {
    "true_positive": "true positive",
    "true_negative": "true negative",
    "false_positive": "false positive",
    "false_negative": "false negative",
}
"""What a judgement can be, and how a reader is told."""

PatchSource = Callable[[str, Place | None], NDArray[np.float32] | None]
"""What is around a place of a case as networks see it: a cube (k, j, i) in [0, 1] at 1 mm, k to the head, j to the
back, i to the patient's left; None where the image is not at hand. The place is None for the case's own nodule."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A place with its picture.

    :param score: of its best mark; None for a nodule without any. :param patch: as a `PatchSource` gives it.
    """

    outcome: Outcome
    case: str
    score: float | None
    patch: NDArray[np.float32]

    @property
    def is_nodule(self) -> bool:
        """Whether a nodule lies there."""
        return self.outcome in ("true_positive", "false_negative")

    @property
    def called_nodule(self) -> bool:
        """Whether the threshold makes it one."""
        return self.outcome in ("true_positive", "false_positive")


def choose_samples(
    data: DataSet, threshold: float, source: PatchSource, each: int, seed: int = 0
) -> dict[Outcome, list[Sample]]:
    """Up to `each` samples of every outcome whose images are at hand.

    What is right is drawn at random, so that it is typical; of what is wrong, the worst come first: the false marks
    with the highest score, the nodules with the lowest.
    """
    generator = np.random.default_rng(seed)
    nodule, false = data.outcomes.nodule_score, data.outcomes.false_score
    rows: dict[Outcome, Iterable[int]] = {
        "true_positive": generator.permutation(np.flatnonzero(nodule >= threshold)),
        "true_negative": generator.permutation(np.flatnonzero(false < threshold)),
        "false_positive": _ordered(-false, false >= threshold),
        "false_negative": _ordered(nodule, nodule < threshold),
    }
    chosen: dict[Outcome, list[Sample]] = {}
    for outcome, numbers in rows.items():
        found = _samples(data, outcome, numbers, source)
        chosen[outcome] = list(itertools.islice(found, each))
    return chosen


def _ordered(key: NDArray[np.float64], wanted: NDArray[np.bool_]) -> list[int]:
    return [int(n) for n in np.argsort(key, kind="stable") if wanted[n]]


def _samples(data: DataSet, outcome: Outcome, numbers: Iterable[int], source: PatchSource) -> Iterator[Sample]:
    for n in numbers:
        if outcome in ("true_positive", "false_negative"):
            nodule = data.nodules[n]
            case, place, score = nodule.case, nodule.place, float(data.outcomes.nodule_score[n])
        else:
            mark = data.false_marks[n]
            case, place, score = mark.case, mark.place, float(data.outcomes.false_score[n])
        patch = source(case, place)
        if patch is not None:
            yield Sample(outcome, case, score if np.isfinite(score) else None, patch)
