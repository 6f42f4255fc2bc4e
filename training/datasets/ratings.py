"""What readers said of a nodule on LIDC's scales, and the rules that make one malignancy label of it (B10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from statistics import mean, median

MALIGNANT_FROM, UNDECIDED, BENIGN_TO = 4, 3, 2
"""1 highly unlikely ... 3 indeterminate ... 5 highly suspicious (McNitt-Gray et al. 2007)."""


@dataclass(frozen=True)
class Ratings:
    """One reader's ratings of one nodule, on the scales of McNitt-Gray et al. (Acad Radiol 14:1464, 2007): 1 to 5, but
    for internal structure (1 to 4) and calcification (1 to 6, 6 being absent)."""

    subtlety: int
    internal_structure: int
    calcification: int
    sphericity: int
    margin: int
    lobulation: int
    spiculation: int
    texture: int
    malignancy: int

    def __post_init__(self) -> None:
        for scale in fields(self):
            # LIDC's own data hold a 5 for the internal structure, whose scale ends at 4.
            highest = 6 if scale.name == "calcification" else 5
            if not 1 <= getattr(self, scale.name) <= highest:
                raise ValueError(f"{scale.name} is {getattr(self, scale.name)}, not 1 to {highest}")


def two_readers(ratings: Iterable[int]) -> bool:
    """Malignant when at least two readers gave 4 or 5, else benign: the document's rule."""
    return sum(rating >= MALIGNANT_FROM for rating in ratings) >= 2


def by_median(ratings: Iterable[int]) -> bool | None:
    """Malignant from a median of 4, benign up to 2, undecided between; None without ratings."""
    given = list(ratings)
    if not given:
        return None
    middle = median(given)
    return True if middle >= MALIGNANT_FROM else False if middle <= BENIGN_TO else None


def by_majority(ratings: Iterable[int]) -> bool | None:
    """What more than half of the readers said: 4 or 5 malignant, 1 or 2 benign; else undecided."""
    given = list(ratings)
    if 2 * sum(rating >= MALIGNANT_FROM for rating in given) > len(given):
        return True
    return False if 2 * sum(rating <= BENIGN_TO for rating in given) > len(given) else None


def by_mean(ratings: Iterable[int]) -> bool | None:
    """Malignant when the mean lies above the scale's middle, benign below it, undecided on it."""
    given = list(ratings)
    middle = mean(given) if given else UNDECIDED
    return None if middle == UNDECIDED else middle > UNDECIDED


RULES: Mapping[str, Callable[[Iterable[int]], bool | None]] = {
    "two readers": two_readers,
    "median": by_median,
    "majority": by_majority,
    "mean": by_mean,
}


def malignant(ratings: Iterable[int], rule: str = "two readers", *, ignore_undecided: bool = False) -> bool | None:
    """The label that a rule makes of readers' malignancy ratings; None where it leaves the nodule out.

    :param rule: one of `RULES`.
    :param ignore_undecided: whether readers who gave 3 are passed over first; a nodule that nobody else rated is then
        left out.
    """
    given = [rating for rating in ratings if not (ignore_undecided and rating == UNDECIDED)]
    return RULES[rule](given) if given else None
