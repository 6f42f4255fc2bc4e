"""The malignancy estimate of a candidate: what is measured of it, and what the classifier thinks of it, together."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from ..findings import Measurements, VoxelMask
from ..measurement.features import nodule_features
from ..networks.malignancy import MalignancyModel
from ..volume import Volume

LEAST_PROBABILITY = 1e-6
"""The classifier's probability is kept this far from 0 and 1, whose logits are infinite."""


class MalignancyEstimate(NamedTuple):
    """Probability of malignancy, 0 to 1, and what the diameter alone says, where that is known."""

    probability: float
    by_diameter: float | None = None


def estimator_of(
    model: MalignancyModel | None,
) -> Callable[[Volume, VoxelMask, Measurements, float], MalignancyEstimate]:
    """The estimate that a card asks for; the network's own where it asks for none."""
    if model is None:
        return lambda volume, mask, measurements, network_probability: MalignancyEstimate(network_probability)

    def estimate(
        volume: Volume, mask: VoxelMask, measurements: Measurements, network_probability: float
    ) -> MalignancyEstimate:
        features = nodule_features(volume, mask, measurements)
        probability = model.probability(features, network_logit(network_probability))
        baseline = model.by_diameter
        return MalignancyEstimate(probability, None if baseline is None else baseline.probability(features))

    return estimate


def network_logit(probability: float) -> float:
    """The classifier's logit, from the probability that a scorer gives."""
    bounded = min(max(probability, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
    return math.log(bounded / (1 - bounded))
