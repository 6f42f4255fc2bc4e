"""The malignancy estimate of a candidate: what is measured of it, and what the classifier thinks of it, together."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..findings import Measurements, VoxelMask
from ..measurement.features import nodule_features
from ..networks.malignancy import MalignancyModel
from ..volume import Volume

LEAST_PROBABILITY = 1e-6
"""The classifier's probability is kept this far from 0 and 1, whose logits are infinite."""


def estimator_of(model: MalignancyModel | None) -> Callable[[Volume, VoxelMask, Measurements, float], float]:
    """The estimate that a card asks for; the network's own where it asks for none."""
    if model is None:
        return lambda volume, mask, measurements, network_probability: network_probability

    def estimate(volume: Volume, mask: VoxelMask, measurements: Measurements, network_probability: float) -> float:
        features = nodule_features(volume, mask, measurements)
        return model.probability(features, network_logit(network_probability))

    return estimate


def network_logit(probability: float) -> float:
    """The classifier's logit, from the probability that a scorer gives."""
    bounded = min(max(probability, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
    return math.log(bounded / (1 - bounded))
