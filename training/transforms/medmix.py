"""MedMix (A9): a nodule as it is, in front of a mixture of its surroundings and another sample's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .base import Intensity

ALPHA = 0.5
FEATHER_MM = 1.0


@dataclass(frozen=True, eq=False)
class MedMix(Intensity):
    """Mixes with another sample, never with a copy of the sample itself, which would teach nothing.

    :param other: the other sample, as large as the image.
    :param keep: share (0-1) of each voxel that stays as it is; 1 in the nodule.
    :param alpha: share of the image in the mixture around it.
    """

    other: NDArray[np.uint8]
    keep: NDArray[np.float32]
    alpha: float = ALPHA

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The mixture as uint8."""
        mixture = self.alpha * image + (1 - self.alpha) * self.other
        return np.rint(self.keep * image + (1 - self.keep) * mixture).astype(np.uint8)


def medmix(mask: NDArray[np.bool_], other: NDArray[np.uint8]) -> MedMix:
    """Mixing outside the nodule's mask, gradually at its border."""
    keep = np.maximum(ndimage.gaussian_filter(mask.astype(np.float32), FEATHER_MM), mask)
    return MedMix(other, keep)
