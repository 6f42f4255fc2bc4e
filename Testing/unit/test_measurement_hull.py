"""The convex hull of the lung around a nodule: the chest wall stays out, whichever way it lies."""

from __future__ import annotations

import numpy as np
import pytest

from LungNoduleCADLib.measurement.hull import within_hull

SPACING = np.array([1.0, 0.8, 0.8])
INDEX = np.stack(np.meshgrid(*(np.arange(n) - n // 2 for n in (41, 51, 51)), indexing="ij"))
MM = INDEX * SPACING[:, None, None, None]


def beyond_the_lung(lung: np.ndarray, outside_mm: np.ndarray, reach_mm: float = 10.0) -> float:
    """How far outside the lung the hull of the whole box still holds a voxel near its middle."""
    whole = tuple(slice(0, n) for n in lung.shape)
    kept = within_hull(np.ones(lung.shape, dtype=bool), lung, whole, SPACING, 0.985, 1.0)
    near = (np.abs(MM) <= reach_mm).all(axis=0)
    assert kept[near & (outside_mm < -2)].all()
    return float(outside_mm[kept & near].max())


@pytest.mark.parametrize("seed", range(12))
def test_a_wall_of_any_direction_is_left_out(seed: int) -> None:
    normal = np.random.default_rng(seed).normal(size=3)
    outside = np.tensordot(normal / np.linalg.norm(normal), MM, axes=1)
    assert 0 < beyond_the_lung(outside < 0, outside) <= 4.0


def test_a_lung_whose_rows_match_the_sampling_is_seen_in_every_column() -> None:
    # Of 39 x 58 x 58 voxels of lung every 87th would be looked at, which lie in two columns only.
    lung = np.ones((39, 58, 58), dtype=bool)
    whole = tuple(slice(0, n) for n in lung.shape)
    kept = within_hull(lung, lung, whole, np.array([1.25, 0.8, 0.8]), 0.985, 1.0)
    middle = kept[10:29, 15:43, :]
    assert middle[:, :, 6:52].all()
