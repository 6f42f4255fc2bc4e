"""Mirror images and quarter turns (A8, B5): they cost nothing and blur nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """Mirrored along some axes, then rows and columns exchanged or not."""

    mirrored: tuple[bool, bool, bool]
    turned: bool

    def __call__(self, image: NDArray) -> NDArray:
        """A view of the image (k, j, i)."""
        axes = tuple(axis for axis in range(3) if self.mirrored[axis])
        image = np.flip(image, axes)
        return image.swapaxes(1, 2) if self.turned else image

    of_mask = __call__


def draw_orientation(rng: np.random.Generator) -> Orientation:
    """One of the sixteen, each as likely."""
    a, b, c, turned = (bool(rng.random() < 0.5) for _ in range(4))
    return Orientation((a, b, c), turned)
