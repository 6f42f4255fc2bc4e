"""How a card turns what is measured of a nodule, and what the network thinks of it, into a probability of
malignancy."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..findings import FEATURES, NoduleFeatures
from . import card_fields as read

NETWORK = "network"
"""Name of the classifier's malignancy logit among the features."""
KNOWN = (*(field.name for field in fields(NoduleFeatures)), NETWORK)
LARGEST_DEVIATION = 4.0
"""A term's value is kept within so many standard deviations: nothing odd in a scan decides alone."""
LARGEST_EXPONENT = 60.0


@dataclass(frozen=True)
class MalignancyTerm:
    """weight x (value - mean) / scale, where the value is the feature's, or what it exceeds the knot by."""

    feature: str
    knot: float | None
    mean: float
    scale: float
    weight: float

    def contribution(self, value: float) -> float:
        """To the logit."""
        if self.knot is not None:
            value = max(value - self.knot, 0.0)
        deviation = (value - self.mean) / self.scale
        return self.weight * max(-LARGEST_DEVIATION, min(LARGEST_DEVIATION, deviation))


@dataclass(frozen=True)
class DiameterBaseline:
    """A logistic regression on the diameter alone: sigmoid(slope x its natural logarithm + intercept)."""

    slope: float
    intercept: float

    def probability(self, features: NoduleFeatures) -> float:
        """As `MalignancyModel.probability`, from nothing but the size."""
        return _sigmoid(self.slope * features.log_diameter + self.intercept)


@dataclass(frozen=True)
class MalignancyModel:
    """A logistic regression on piecewise linear functions of the features.

    :param by_diameter: what the size alone says of the same nodules; None in cards made before there was one.
    """

    terms: tuple[MalignancyTerm, ...]
    intercept: float
    by_diameter: DiameterBaseline | None = None

    def probability(self, features: NoduleFeatures, network_logit: float) -> float:
        """Probability, 0 to 1, that readers call the nodule suspicious (LIDC 4 or 5) rather than benign (1 or 2)."""
        values = {**asdict(features), NETWORK: network_logit}
        z = self.intercept + sum(term.contribution(values[term.feature]) for term in self.terms)
        return _sigmoid(z)

    @classmethod
    def from_json(cls, value: Any) -> MalignancyModel:
        """Check and convert a card's entry.

        :raises card_fields.CardError: naming what is missing, unknown or impossible.
        """
        entry = read.entries(value, "malignancy", "method features terms intercept", optional="by_diameter")
        read.choice(entry["method"], "malignancy.method", ("logistic",))
        read.choice(entry["features"], "malignancy.features", (FEATURES,))
        terms = tuple(_term(item) for item in read.sequence(entry["terms"], "malignancy.terms"))
        baseline = _baseline(entry["by_diameter"]) if "by_diameter" in entry else None
        return cls(terms, read.number(entry["intercept"], "malignancy.intercept"), baseline)

    def to_json(self) -> dict[str, Any]:
        """The entry as `from_json` takes it."""
        terms = [asdict(term) for term in self.terms]
        entry = {"method": "logistic", "features": FEATURES, "terms": terms, "intercept": self.intercept}
        return entry if self.by_diameter is None else {**entry, "by_diameter": asdict(self.by_diameter)}


def _term(value: Any) -> MalignancyTerm:
    entry = read.entries(value, "malignancy.terms", "feature knot mean scale weight")
    return MalignancyTerm(
        feature=read.choice(entry["feature"], "malignancy.terms.feature", KNOWN),
        knot=None if entry["knot"] is None else read.number(entry["knot"], "malignancy.terms.knot"),
        mean=read.number(entry["mean"], "malignancy.terms.mean"),
        scale=read.number(entry["scale"], "malignancy.terms.scale", low=1e-9),
        weight=read.number(entry["weight"], "malignancy.terms.weight"),
    )


def _baseline(value: Any) -> DiameterBaseline:
    entry = read.entries(value, "malignancy.by_diameter", "slope intercept")
    return DiameterBaseline(
        *(read.number(entry[key], f"malignancy.by_diameter.{key}") for key in ("slope", "intercept"))
    )


def _sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-LARGEST_EXPONENT, min(LARGEST_EXPONENT, z))))
