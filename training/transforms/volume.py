"""The documents' augmentation (A8, B5) on tensors (k, j, i) with values in [0, 1], on whatever device they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .base import Intensity, Sequence, Transform

MOST_DEGREES = 20.0
MOST_VOXELS = 5
NOISE_SD = 0.02
GAMMA = (0.8, 1.2)
ZOOM = (0.9, 1.1)
MOST_AT_ONCE = 3


@dataclass(frozen=True)
class Mirror:
    """Mirrored along an axis."""

    axis: int

    def __call__(self, image: Tensor) -> Tensor:
        """The mirror image."""
        return image.flip(self.axis)

    of_mask = __call__


@dataclass(frozen=True)
class Shift:
    """Moved by whole voxels; where nothing is known the nearest voxel is repeated, and a mask is empty."""

    voxels: tuple[int, int, int]

    def __call__(self, image: Tensor) -> Tensor:
        """The image moved."""
        for axis, voxels in enumerate(self.voxels):
            index = torch.arange(image.shape[axis], device=image.device) - voxels
            image = image.index_select(axis, index.clamp(0, image.shape[axis] - 1))
        return image

    def of_mask(self, mask: Tensor) -> Tensor:
        """The mask moved."""
        for axis, voxels in enumerate(self.voxels):
            index = torch.arange(mask.shape[axis], device=mask.device) - voxels
            known = (index >= 0) & (index < mask.shape[axis])
            mask = mask.index_select(axis, index.clamp(0, mask.shape[axis] - 1))
            mask = mask & known.view([-1 if n == axis else 1 for n in range(3)])
        return mask


@dataclass(frozen=True)
class Resample:
    """Turned about the head-foot axis and enlarged, about the middle, in one interpolation.

    :param degrees: counterclockwise, as a slice is looked at.
    :param zoom: above 1, everything grows along all three axes.
    """

    degrees: float = 0.0
    zoom: float = 1.0

    def __call__(self, image: Tensor) -> Tensor:
        """Trilinear; beyond the border the nearest voxel is repeated."""
        return self._sampled(image, "border")

    def of_mask(self, mask: Tensor) -> Tensor:
        """At least half covered; empty beyond the border."""
        return self._sampled(mask.float(), "zeros") >= 0.5

    def _sampled(self, image: Tensor, beyond: str) -> Tensor:
        k, j, i = image.shape
        angle = math.radians(self.degrees)
        cosine, sine = math.cos(angle) / self.zoom, math.sin(angle) / self.zoom
        # grid_sample's axes are (i, j, k), each from -1 to 1 over its own length.
        matrix = torch.tensor(
            [[cosine, -sine * j / i, 0, 0], [sine * i / j, cosine, 0, 0], [0, 0, 1 / self.zoom, 0]],
            dtype=image.dtype,
            device=image.device,
        )
        grid = functional.affine_grid(matrix[None], [1, 1, k, j, i], align_corners=False)
        return functional.grid_sample(image[None, None], grid, padding_mode=beyond, align_corners=False)[0, 0]


@dataclass(frozen=True)
class Noise(Intensity):
    """White noise; the same on the same kind of device."""

    sd: float
    seed: int

    def __call__(self, image: Tensor) -> Tensor:
        """Noisy, clipped to [0, 1]."""
        generator = torch.Generator(image.device).manual_seed(self.seed)
        noise = torch.randn(image.shape, generator=generator, device=image.device, dtype=image.dtype)
        return (image + self.sd * noise).clamp(0, 1)


@dataclass(frozen=True)
class Gamma(Intensity):
    """Another contrast."""

    exponent: float

    def __call__(self, image: Tensor) -> Tensor:
        """The image to that power."""
        return image.clamp(0, 1) ** self.exponent


@dataclass(frozen=True)
class Identity(Intensity):
    """The sample as it is, which the networks will meet too."""

    def __call__(self, image: Tensor) -> Tensor:
        """The image itself."""
        return image


def draw_turn(rng: np.random.Generator) -> Resample:
    """By up to 20 degrees in the slice plane."""
    return Resample(degrees=rng.uniform(-MOST_DEGREES, MOST_DEGREES))


def draw_mirror(rng: np.random.Generator) -> Mirror:
    """Along any axis."""
    return Mirror(int(rng.integers(3)))


def draw_shift(rng: np.random.Generator) -> Shift:
    """By up to 5 voxels along every axis."""
    k, j, i = (int(voxels) for voxels in rng.integers(-MOST_VOXELS, MOST_VOXELS + 1, size=3))
    return Shift((k, j, i))


def draw_white_noise(rng: np.random.Generator) -> Noise:
    """Standard deviation 0.02 (28 HU)."""
    return Noise(NOISE_SD, int(rng.integers(2**31)))


def draw_gamma(rng: np.random.Generator) -> Gamma:
    """From 0.8 to 1.2."""
    return Gamma(rng.uniform(*GAMMA))


def draw_identity(rng: np.random.Generator) -> Identity:
    """Nothing to draw."""
    return Identity()


A8 = (draw_turn, draw_mirror, draw_shift, draw_white_noise, draw_gamma, draw_identity)


def draw_a8(rng: np.random.Generator) -> Sequence:
    """One to three of document A's six, each at most once ("AutoAugment 3D")."""
    chosen = rng.permutation(len(A8))[: rng.integers(1, MOST_AT_ONCE + 1)]
    return Sequence(tuple(A8[n](rng) for n in chosen))


def draw_b5(rng: np.random.Generator) -> Sequence:
    """Document B's: mirrored, moved within the slice, enlarged and turned, noisy. The middle slice stays the middle."""
    steps: list[Transform] = [Mirror(axis) for axis in range(3) if rng.random() < 0.5]
    _, j, i = draw_shift(rng).voxels
    steps.append(Shift((0, j, i)))
    steps.append(Resample(rng.uniform(-MOST_DEGREES, MOST_DEGREES), rng.uniform(*ZOOM)))
    steps.append(draw_white_noise(rng))
    return Sequence(tuple(steps))
