"""What LUNA16's tables say beyond what the simulator knows: readers' ratings and a detector's false candidates, made up
so that a rehearsal walks through every part. Nothing is to be learned from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.simulation import Phantom, PhantomNodule

READERS = 4
MOST_FALSE_CANDIDATES = 60
DENSE_HU = -500.0
"""Vessels and walls, which detectors before deep learning took for nodules."""
AWAY_MM = 10.0
"""From any nodule's surface."""


def made_up_ratings(nodule: PhantomNodule, rng: np.random.Generator) -> list[int]:
    """Malignancy, 1 to 5, as four readers might rate it: larger and spiculated nodules higher, no two readers alike."""
    spec = nodule.spec
    opinion = 1.5 + 2.0 * np.log2((nodule.diameter_mm or spec.diameter_mm) / 5.0) / 1.5
    opinion += 1.0 if spec.shape == "spiculated" or spec.spicules else 0.0
    opinion -= 2.0 if spec.density in ("calcified", "fat") else 0.0
    return np.clip(np.rint(opinion + rng.normal(0.0, 0.7, READERS)), 1, 5).astype(int).tolist()


def false_candidates(phantom: Phantom, rng: np.random.Generator) -> NDArray[np.float64]:
    """Places (n, 3), LPS mm, in dense parts of the lung and away from every nodule."""
    volume = phantom.volume
    dense = np.argwhere(phantom.lung_mask.voxels & (volume.voxels > DENSE_HU))
    drawn = volume.index_to_lps(dense[rng.permutation(len(dense))[:MOST_FALSE_CANDIDATES]])
    for nodule in phantom.nodules:
        away = (nodule.diameter_mm or 0.0) / 2 + AWAY_MM
        drawn = drawn[np.linalg.norm(drawn - nodule.center_lps, axis=1) > away]
    return drawn
