"""Banded matrices against the plain product."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from LungNoduleCADLib.preprocess.banded import CPU_BLOCK, BandedMatrix


def banded(outputs: int, inputs: int, width: int, seed: int = 0) -> NDArray[np.float64]:
    """A random matrix with nothing further than `width` from its diagonal."""
    i, j = np.mgrid[:outputs, :inputs]
    values = np.random.default_rng(seed).normal(size=(outputs, inputs))
    return np.where(np.abs(j - i * inputs / outputs) <= width, values, 0)


@pytest.mark.parametrize("shape", [(1, 1), (CPU_BLOCK, 90), (CPU_BLOCK + 1, CPU_BLOCK), (200, 290), (290, 200)])
def test_products_along_each_axis_equal_the_dense_ones(shape: tuple[int, int]) -> None:
    matrix = banded(*shape, width=5)
    cube = np.random.default_rng(1).normal(size=(shape[1], 4, 3))
    expected = np.einsum("oi,iab->oab", matrix, cube)
    ours = BandedMatrix(matrix)
    stack = torch.from_numpy(cube).float()
    assert ours.shape == shape
    for product, axis in ((ours.along_slices, 0), (ours.along_rows, 1), (ours.along_columns, 2)):
        result = product(stack.movedim(0, axis)).movedim(axis, 0)
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-4)


def test_negligible_entries_are_left_out() -> None:
    matrix = np.full((3, 200), 1e-9)
    matrix[:, 50:60] = 1.0
    values = torch.full((1, 200, 2), 1e9)
    values[:, 50:60] = 2.0
    result = BandedMatrix(matrix, negligible=1e-8).along_rows(values)
    assert torch.equal(result, torch.full((1, 3, 2), 20.0))


def test_rows_of_zeros_give_zeros() -> None:
    result = BandedMatrix(np.zeros((CPU_BLOCK * 2, 5))).along_columns(torch.ones(2, 3, 5))
    assert result.shape == (2, 3, CPU_BLOCK * 2) and not result.any()
