"""How an image becomes a network's input. Part of every model card, so that inference prepares exactly as training
did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

LUNG_WINDOW_HU = (-1000.0, 400.0)
"""The lung window of A2."""


@dataclass(frozen=True)
class Resampling:
    """Spline order and whether the image is smoothed before it is made coarser."""

    order: int = 3
    antialias: bool = True


@dataclass(frozen=True)
class Wavelet:
    """Parameters of `preprocess.wavelet.wavelet_enhance` (A5)."""

    name: str = "db4"
    level: int = 2
    factor: float = 1.0


@dataclass(frozen=True)
class Preprocessing:
    """The defaults are those of the shipped weights.

    :param spacing_mm: edge of the isotropic voxels.
    :param outside_lung: "keep", or "air": everything outside the lung mask becomes -1000 HU (fault 1: not water).
    :param wavelet: None leaves the enhancement out.
    :param slices: segmentation only, neighbouring slices given as channels.
    :param patch_size: classification only, edge of the cubic patch in voxels.
    """

    spacing_mm: float = 1.0
    resampling: Resampling = field(default_factory=Resampling)
    window_hu: tuple[float, float] = LUNG_WINDOW_HU
    outside_lung: Literal["keep", "air"] = "keep"
    wavelet: Wavelet | None = None
    slices: int | None = None
    patch_size: int | None = None
