"""Banded matrices applied along an axis of a stack of slices, as a few small dense products.

Interpolation, smoothing and wavelets are linear along a line and look only a few samples around, so their matrix is
zero but for a band around the diagonal. Cut into blocks of rows, each needs only a short stretch of the input: on a CPU
that is several times less work than the full product. An accelerator takes the whole matrix at once, for which it is
made.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CPU_BLOCK = 64
"""Rows of a block on a CPU: smaller skips more zeros, larger suits BLAS. Measured best of 16, 32, 64 and 128."""


class Block(NamedTuple):
    """Some rows of the matrix, over the inputs [start, stop) outside which they are zero."""

    start: int
    stop: int
    matrix: Tensor


class BandedMatrix:
    """A matrix (outputs, inputs), held as blocks of rows.

    :param matrix: the dense matrix.
    :param device: where it will be applied.
    :param negligible: entries up to this size at the ends of a block are left out.
    """

    def __init__(
        self, matrix: NDArray[np.floating], device: torch.device | str = "cpu", negligible: float = 0.0
    ) -> None:
        device = torch.device(device)
        step = CPU_BLOCK if device.type == "cpu" else max(len(matrix), 1)
        self.shape: tuple[int, int] = (matrix.shape[0], matrix.shape[1])
        self._blocks = [_block(matrix[n : n + step], device, negligible) for n in range(0, len(matrix), step)]

    def along_slices(self, stack: Tensor) -> Tensor:
        """(inputs, h, w) to (outputs, h, w)."""
        flat = stack.flatten(1)
        return _joined([b.matrix @ flat[b.start : b.stop] for b in self._blocks], 0).view(-1, *stack.shape[1:])

    def along_rows(self, stack: Tensor) -> Tensor:
        """(n, inputs, w) to (n, outputs, w)."""
        return _joined([torch.matmul(b.matrix, stack[:, b.start : b.stop]) for b in self._blocks], 1)

    def along_columns(self, stack: Tensor) -> Tensor:
        """(n, h, inputs) to (n, h, outputs)."""
        flat = stack.reshape(-1, stack.shape[2])
        parts = [flat[:, b.start : b.stop] @ b.matrix.T for b in self._blocks]
        return _joined(parts, 1).view(stack.shape[0], stack.shape[1], -1)


def _block(rows: NDArray[np.floating], device: torch.device, negligible: float) -> Block:
    used = np.flatnonzero((np.abs(rows) > negligible).any(axis=0))
    start, stop = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
    # Tails too small for a float32's normal range would slow every product that meets them.
    part = np.where(np.abs(rows[:, start:stop]) > negligible, rows[:, start:stop], 0).astype(np.float32)
    return Block(start, stop, torch.from_numpy(part).to(device))


def _joined(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=axis)
