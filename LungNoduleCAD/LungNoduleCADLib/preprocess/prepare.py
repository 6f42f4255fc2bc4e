"""From a scan to the networks' input: cut to the lungs, resample, window, enhance. Training and inference both come
here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..volume import Volume
from .resample import resample_isotropic
from .settings import Preprocessing
from .wavelet import wavelet_enhance
from .window import AIR_HU, apply_window

LUNG_MARGIN_MM = 16.0
"""Kept around the lungs' bounding box, so that what lies at the pleura is seen with its surroundings."""


@dataclass(frozen=True, eq=False)
class PreparedLung:
    """The networks' input.

    :param image: float32 tensor (k, j, i) in [0, 1] on the run's device.
    :param grid: where its voxels are (a placeholder volume of the same shape).
    :param inside: bool (k, j, i) lung mask on the same grid; None when the run uses no mask.
    :param start_kji: source voxel that the grid's first voxel lies on.
    """

    image: torch.Tensor
    grid: Volume
    inside: NDArray[np.bool_] | None
    start_kji: NDArray[np.int64]


def lung_box(
    lung: NDArray[np.bool_], spacing_kji_mm: NDArray[np.float64], margin_mm: float = LUNG_MARGIN_MM
) -> NDArray[np.int64]:
    """First and last-plus-one voxel (2, 3) of the mask's bounding box with a margin, within the array."""
    # One reduction over the large array, two over a small one.
    footprint = np.asarray(lung.any(axis=0))
    used = [np.flatnonzero(a) for a in (lung.any(axis=(1, 2)), footprint.any(axis=1), footprint.any(axis=0))]
    margin = np.ceil(margin_mm / spacing_kji_mm).astype(int)
    low = np.maximum(np.array([u[0] for u in used]) - margin, 0)
    high = np.minimum(np.array([u[-1] + 1 for u in used]) + margin, lung.shape)
    return np.stack((low, high))


def prepare_lung(
    volume: Volume,
    lung: NDArray[np.bool_] | None,
    settings: Preprocessing | None = None,
    device: torch.device | str = "cpu",
) -> PreparedLung:
    """Prepare the part of a scan that holds the lungs.

    :param volume: CT in HU.
    :param lung: mask on the volume's grid, not empty; None takes the whole volume.
    """
    settings = settings or Preprocessing()
    box = np.array([(0, 0, 0), volume.shape]) if lung is None else lung_box(lung, volume.spacing_kji_mm)
    where = {"start_kji": box[0], "stop_kji": box[1], "device": device}
    hu, grid = resample_isotropic(
        volume,
        settings.spacing_mm,
        order=settings.resampling.order,
        antialias=settings.resampling.antialias,
        clip=settings.window_hu,
        **where,
    )
    inside = None
    if lung is not None:
        mask = Volume(lung.view(np.uint8), volume.ijk_to_lps)
        inside = (
            (resample_isotropic(mask, settings.spacing_mm, order=1, antialias=False, **where)[0] >= 0.5).cpu().numpy()
        )
        if settings.outside_lung == "air":
            hu.masked_fill_(torch.from_numpy(~inside).to(hu.device), AIR_HU)
    image = apply_window(hu, settings.window_hu)
    if settings.wavelet is not None:
        wavelet = settings.wavelet
        image = wavelet_enhance(image, factor=wavelet.factor, wavelet=wavelet.name, level=wavelet.level)
    return PreparedLung(image, grid, inside, box[0])
