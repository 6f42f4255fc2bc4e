"""Which finding of the current scan is which one of the prior: the pairs that lie nearest and could be one nodule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ..findings import Side

Floats = NDArray[np.float64]

GATE_MM, GATE_PER_DIAMETER = 5.0, 0.25
"""How far apart the middles may lie once the scans are in line: what the alignment leaves, and what a nodule's middle
moves when it grows to one side, as a share of the larger diameter."""
MOST_RATIO = 27.0
"""Between two volumes of one nodule: three times the diameter."""
FORBIDDEN = 1e6


@dataclass(frozen=True)
class Place:
    """A finding as matching sees it.

    :param point_lps: in the prior's space.
    """

    point_lps: tuple[float, float, float]
    diameter_mm: float
    side: Side | None = None


def nearest_pairs(current: Sequence[Place], prior: Sequence[Place]) -> list[tuple[int, int]]:
    """Pairs of indices: as many as fit, with the least sum of squared distances and size ratios; each index at most
    once."""
    if not current or not prior:
        return []
    cost = np.array([[_cost(a, b) for b in prior] for a in current])
    rows, columns = linear_sum_assignment(cost)
    return [(int(a), int(b)) for a, b in zip(rows, columns, strict=True) if cost[a, b] < FORBIDDEN]


def _cost(current: Place, prior: Place) -> float:
    """0 for the same place and size, up to 2 at the gates."""
    if current.side is not None and prior.side is not None and current.side != prior.side:
        return FORBIDDEN
    gate = GATE_MM + GATE_PER_DIAMETER * max(current.diameter_mm, prior.diameter_mm)
    distance = float(np.linalg.norm(np.subtract(current.point_lps, prior.point_lps))) / gate
    size = 3 * abs(np.log(current.diameter_mm / prior.diameter_mm)) / np.log(MOST_RATIO)
    return float(distance**2 + size**2) if distance <= 1 and size <= 1 else FORBIDDEN
