"""What is inside a nodule beside its mean density: uneven tissue, patterns of calcium, cavities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

if TYPE_CHECKING:
    from .nodule_spec import NoduleSpec

_LATTICE_STEP_MM = 0.75
CAVITY_HU, SOFT_TISSUE_HU = -950.0, 40.0
_LAYER_MM = 2.5
_POPCORN_MM = 2.2


@dataclass(frozen=True, eq=False)
class SmoothNoise:
    """A random field of mean 0 and standard deviation 1, the same wherever it is sampled from."""

    values: NDArray[np.float32]

    @classmethod
    def drawn(cls, rng: np.random.Generator, reach_mm: float, correlation_mm: float) -> SmoothNoise:
        """A field on the cube that holds the ball of `reach_mm`, smooth over `correlation_mm`."""
        size = 2 * int(np.ceil(reach_mm / _LATTICE_STEP_MM)) + 3
        values = rng.standard_normal((size,) * 3, dtype=np.float32)
        values = gaussian_filter(values, correlation_mm / _LATTICE_STEP_MM, mode="wrap")
        return cls((values - values.mean()) / max(float(values.std()), 1e-6))

    def __call__(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """At points (..., 3) relative to the middle; beyond the cube it repeats itself."""
        index = np.moveaxis(offsets_mm, -1, 0) / np.float32(_LATTICE_STEP_MM) + np.float32(len(self.values) // 2)
        sampled: NDArray[np.float32] = map_coordinates(self.values, index, order=1, mode="grid-wrap")
        return sampled


def calcium_share(
    spec: NoduleSpec, depth_mm: NDArray[np.float32], offsets_mm: NDArray[np.float32], noise: SmoothNoise
) -> NDArray[np.float32]:
    """Share of a calcified nodule's tissue that is calcium, 0 to 1: all of it, a centre, layers like an onion's, or
    grains (Swensen et al. 2000)."""
    if spec.calcification == "central":
        core = 0.27 * spec.diameter_mm - np.linalg.norm(offsets_mm, axis=-1)
        return np.clip(core / 1.0 + np.float32(0.5), 0, 1).astype(np.float32)
    if spec.calcification == "laminated":
        return (0.5 + 0.5 * np.cos(2 * np.pi * (depth_mm - 1) / _LAYER_MM)).astype(np.float32)
    if spec.calcification == "popcorn":
        return np.clip(noise(offsets_mm * np.float32(2.0 / _POPCORN_MM)) * 1.5, 0, 1).astype(np.float32)
    return np.ones(depth_mm.shape, dtype=np.float32)


def cavity_share(
    spec: NoduleSpec, offsets_mm: NDArray[np.float32], noise: SmoothNoise, center_mm: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Share of air, 0 to 1, in a nodule that broke down inside; its wall is uneven."""
    distance = np.linalg.norm(offsets_mm - center_mm.astype(np.float32), axis=-1)
    radius = spec.cavity_fraction * spec.diameter_mm / 2 * (1 + 0.15 * noise(offsets_mm))
    return np.clip(radius - distance + np.float32(0.5), 0, 1).astype(np.float32)
