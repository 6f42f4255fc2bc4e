"""What is evaluated: nodules, what the detector did to each, what else it marked, and where all of it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..findings import DensityType
from .free_response import Floats, Integers, Outcomes

Origin = Literal["real", "inserted", "simulated"]

ORIGINS: dict[Origin, str] = {
    "real": "real",
    "inserted": "real nodules inserted into real scans",
    "simulated": "simulated",
}
"""Kinds of data, and how a table names them. Figures of two kinds never stand in one row."""

GROUND_GLASS_BELOW, SOLID_FROM = 2.5, 3.5
"""LIDC's texture, 1 (ground glass) to 5 (solid); 3 is part-solid (McNitt-Gray et al., Academic Radiology 14:1464,
2007)."""

BENIGN_TO, MALIGNANT_FROM = 2.0, 4.0
"""LIDC's malignancy, 1 (highly unlikely) to 5 (highly suspicious); between the two the readers were undecided."""

Place = tuple[float, float, float]


@dataclass(frozen=True)
class Nodule:
    """A nodule that was to be found.

    :param case: name of the scan or cube it lies in. :param place: its best mark, or else itself, in the coordinates of
        the case's images; None where only the images know.
    :param malignancy_score: what the detector thinks of it, where it found it.
    """

    case: str
    place: Place | None
    diameter_mm: float | None = None
    density: DensityType | None = None
    malignant: bool | None = None
    malignancy_score: float | None = None


@dataclass(frozen=True)
class FalseMark:
    """A mark that hit nothing."""

    case: str
    place: Place


@dataclass(frozen=True, eq=False)
class DataSet:
    """One set of scans as a detector saw it.

    :param description: which scans, how many, and how they were chosen, in one sentence: stands beside each figure.
    :param nodules: (n,) as `outcomes.nodule_score`. :param false_marks: (m,) as `outcomes.false_score`.
    :param patient: (n,) what the nodules' malignancy is resampled by, numbered from 0.
    """

    name: str
    origin: Origin
    description: str
    outcomes: Outcomes
    nodules: tuple[Nodule, ...]
    false_marks: tuple[FalseMark, ...]
    patient: Integers

    def __post_init__(self) -> None:
        lengths = len(self.outcomes.nodule_score), len(self.outcomes.false_score), len(self.outcomes.nodule_score)
        if lengths != (len(self.nodules), len(self.false_marks), len(self.patient)):
            raise ValueError("outcomes, nodules, false marks and patients must belong together")

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the scans or cubes that hold a nodule or a false mark, each once."""
        return tuple(dict.fromkeys([n.case for n in self.nodules] + [m.case for m in self.false_marks]))

    @property
    def diameters_mm(self) -> Floats:
        """(n,), NaN where unknown."""
        known = [n.diameter_mm if n.diameter_mm is not None else np.nan for n in self.nodules]
        return np.array(known, dtype=np.float64)

    def candidates(self) -> tuple[NDArray[np.bool_], Floats, Integers]:
        """What the classifier was asked: whether it is a nodule, score, and unit, of each nodule's best mark and of
        each false mark. Nodules without a mark were never asked about."""
        found = self.outcomes.found
        positive = np.arange(int(found.sum()) + len(self.false_marks)) < found.sum()
        score = np.concatenate((self.outcomes.nodule_score[found], self.outcomes.false_score))
        return positive, score, np.concatenate((self.outcomes.nodule_unit[found], self.outcomes.false_unit))


def density_of_texture(texture: float) -> DensityType:
    """Density type of a reader's or the readers' median rating of texture."""
    if texture < GROUND_GLASS_BELOW:
        return "ground-glass"
    return "solid" if texture >= SOLID_FROM else "part-solid"


def is_malignant(rating: float) -> bool | None:
    """Class of a reader's or the readers' median rating; None when undecided or not rated (NaN)."""
    if rating >= MALIGNANT_FROM:
        return True
    return False if rating <= BENIGN_TO else None


def numbered(names: Sequence[str]) -> Integers:
    """Numbers from 0, the same for the same name, in order of first appearance."""
    number = {name: n for n, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], dtype=np.intp)
