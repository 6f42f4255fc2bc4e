"""Plain measures of what a proposal looks like: levels, shells, extent and curvature around its centre.

They say what the networks were not taught to say in so many words: whether density goes on as a vessel's does, how far
the lung around is clear, on which scale the spot is round. A forest of decision trees weighs them with the networks'
opinions (`networks.forest`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..networks.cards import peak_logit
from ..preprocess.patches import extract_patches

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

DEFINITION = 1
"""Of the features; a forest grown on another one is refused."""
REACH = 16
"""Voxels of 1 mm on every side of the centre."""
SMOOTHING = 1.0
CORE, NEAR = 1.8, 3.0
SURROUNDINGS = (5.0, 15.0)
DENSE_HU = -500.0
SHELLS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 11.0)
EXTENTS = (6.0, 10.0, 16.0)
SCALES = (1.0, 1.5, 2.2, 3.2)
"""Of the Hessian, mm (Sato et al. 1998; Lindeberg 1998)."""
ASKED = 5
"""Edge of the middle in which the Hessian's best voxel is looked for."""
ABOVE_AND_BELOW = (2, 3, 4, 6)
WANDER = 3
"""The densest point may lie this far from the centre, along each axis."""
LEAST_CONTRAST_HU, LEAST_CURVATURE_HU, LEAST_SLOPE_HU = 50.0, 30.0, 20.0
CONVERGENCE = 5.5
EDGE = 2 * REACH + 1
MIDDLE = (REACH,) * 3


def appearance(
    image: Tensor,
    centers_kji: Sequence[tuple[float, float, float]],
    window_hu: tuple[float, float],
    progress: Callable[[float], None] | None = None,
) -> Singles:
    """Features (n, `len(FEATURES)`) of points of a prepared lung with voxels of 1 mm.

    :param image: (k, j, i) in [0, 1], on any device; beyond it is air. :param window_hu: what 0 and 1 stand for.
    :param progress: called between any two points, and may raise to stop.
    """
    low, high = window_hu
    rows = np.empty((len(centers_kji), len(FEATURES)), dtype=np.float32)
    for done, (row, center) in enumerate(zip(rows, centers_kji, strict=True)):
        if progress is not None:
            progress(done / len(centers_kji))
        patch = extract_patches(image, [center], EDGE)[0, 0].float().cpu().numpy()
        row[:] = list(_features(patch * np.float32(high - low) + np.float32(low)).values())
    return rows


def _features(hu: Singles) -> dict[str, float]:
    smooth = ndimage.gaussian_filter(hu, SMOOTHING, truncate=3, mode="nearest")
    around = hu[_shell(*SURROUNDINGS)]
    emptiest, lung, median = np.percentile(around, (10, 25, 50)).tolist()
    near = smooth[tuple(slice(c - WANDER, c + WANDER + 1) for c in MIDDLE)]
    densest = np.array(np.unravel_index(near.argmax(), near.shape)) + REACH - WANDER
    peak, core = float(near.max()), float(hu[_shell(0, CORE)].mean())
    contrast = max(core - lung, LEAST_CONTRAST_HU)
    features = {
        "peak": peak,
        "centre": float(smooth[MIDDLE]),
        "core": core,
        "near": float(hu[_shell(0, NEAR)].mean()),
        "lung": lung,
        "around": median,
        "emptiest": emptiest,
        "dense around": float((around > DENSE_HU).mean()),
        "contrast": core - lung,
        "peak contrast": peak - lung,
        "off centre": float(np.linalg.norm(densest - REACH)),
    }
    half = lung + (max(core, peak) - lung) / 2
    return {
        **features,
        **_shells(hu, lung, contrast, half),
        **_above_and_below(smooth, lung, contrast),
        **_convergence(smooth),
        **_extents(hu, densest, half, "half"),
        **_extents(hu, densest, DENSE_HU, "dense"),
        **_curvatures(hu, contrast),
    }


def _shells(hu: Singles, lung: float, contrast: float, half: float) -> dict[str, float]:
    """Mean, spread and share above half density at distances from the centre."""
    out = {}
    for radius in SHELLS:
        values = hu[_shell(radius - 0.5, radius + 0.5)]
        out[f"shell {radius:g}"] = float(values.mean())
        out[f"relative shell {radius:g}"] = (float(values.mean()) - lung) / contrast
        out[f"spread {radius:g}"] = float(values.std())
        out[f"share {radius:g}"] = float((values > half).mean())
        out[f"dense share {radius:g}"] = float((values > DENSE_HU).mean())
    return out


def _above_and_below(smooth: Singles, lung: float, contrast: float) -> dict[str, float]:
    """How far the spot goes on along k, where thick slices blur: on the side where it goes on less, and more."""
    column = (smooth[:, REACH - 1 : REACH + 2, REACH - 1 : REACH + 2].mean(axis=(1, 2)) - lung) / contrast
    out = {}
    for step in ABOVE_AND_BELOW:
        sides = sorted((float(column[REACH - step]), float(column[REACH + step])))
        out[f"less {step} above or below"], out[f"more {step} above or below"] = sides
    return out


def _convergence(smooth: Singles) -> dict[str, float]:
    """Share of the slopes that points to the centre, by their size and one by one (Kobatake and Hashimoto 1999)."""
    reach = int(CONVERGENCE)
    box = (slice(REACH - reach - 1, REACH + reach + 2),) * 3
    part = (slice(1, -1),) * 3
    ball, inwards = _inwards()
    slopes = np.stack([np.asarray(slope)[part][ball] for slope in np.gradient(smooth[box])])
    steepness = np.sqrt((slopes**2).sum(axis=0))
    towards = (slopes * inwards).sum(axis=0)
    return {
        "convergence": float(towards.sum() / max(float(steepness.sum()), 1.0)),
        "mean convergence": float((towards / np.maximum(steepness, LEAST_SLOPE_HU)).mean()),
    }


def _extents(hu: Singles, densest: NDArray[np.integer], level: float, name: str) -> dict[str, float]:
    """Size and axes of what hangs together above a level with the densest point, within some distances."""
    labels, _ = ndimage.label(hu > level)
    found = np.unique(labels[tuple(slice(c - 1, c + 2) for c in densest)])
    body = np.isin(labels, found[found > 0])
    index, distance = np.argwhere(body), _distance()[body]
    out = {}
    for extent in EXTENTS:
        part = index[distance < extent]
        variances = np.linalg.eigvalsh(np.cov(part.T)) if len(part) > 3 else np.full(3, 0.25)
        axes = np.sqrt(np.maximum(variances, 0.01))
        out[f"{name} volume {extent:g}"] = float(np.log1p(len(part)))
        out[f"{name} thickness {extent:g}"] = float(axes[0])
        out[f"{name} second axis {extent:g}"] = float(axes[1] / axes[2])
        out[f"{name} third axis {extent:g}"] = float(axes[0] / axes[2])
    return out


def _curvatures(hu: Singles, contrast: float) -> dict[str, float]:
    """Eigenvalues of the Hessian, least first and positive in a bright spot, where the least is greatest."""
    out = {}
    for scale in SCALES:
        kernels = _derivatives(scale)
        reach = kernels.shape[2] // 2
        box = hu[(slice(REACH - reach, REACH + reach + 1),) * 3]
        # Axis by axis, and each axis in all orders at once: only few voxels in the middle are asked for.
        along_i = np.tensordot(kernels, box, axes=(2, 2))  # order i, i, k, j
        along_j = np.tensordot(kernels, along_i, axes=(2, 3))  # order j, j, order i, i, k
        hessian = np.empty((ASKED, ASKED, ASKED, 3, 3))
        for a, b in combinations_with_replacement(range(3), 2):
            order = np.bincount((a, b), minlength=3)
            second = np.tensordot(kernels[order[0]], along_j[order[1], :, order[2]], axes=(1, 2))
            hessian[..., a, b] = hessian[..., b, a] = second * scale**2
        curvatures = -np.linalg.eigvalsh(hessian)[..., ::-1].reshape(-1, 3)
        least, second_least, most = (float(v) for v in curvatures[curvatures[:, 0].argmax()])
        out[f"least curvature {scale:g}"] = least
        out[f"second curvature {scale:g}"] = second_least
        out[f"most curvature {scale:g}"] = most
        out[f"roundness {scale:g}"] = least / max(most, LEAST_CURVATURE_HU)
        out[f"relative curvature {scale:g}"] = least / contrast
    return out


@lru_cache
def _shell(inner: float, outer: float) -> NDArray[np.bool_]:
    """Voxels of a patch from an inner up to an outer distance from its centre."""
    return (_distance() >= inner) & (_distance() < outer)


@lru_cache
def _distance() -> Floats:
    """Of a patch's voxels from its centre."""
    return np.asarray(np.linalg.norm(np.indices((EDGE,) * 3) - REACH, axis=0))


@lru_cache
def _derivatives(scale: float) -> Floats:
    """Gaussian derivatives of orders 0 to 2 at the middle of a line: (order, place, voxel of the line)."""
    length = 2 * (int(np.ceil(3 * scale)) + ASKED // 2) + 1
    middle = slice(length // 2 - ASKED // 2, length // 2 + ASKED // 2 + 1)
    unit = np.eye(length)
    return np.stack([ndimage.gaussian_filter1d(unit, scale, axis=0, order=n, truncate=3)[middle] for n in range(3)])


@lru_cache
def _inwards() -> tuple[NDArray[np.bool_], Floats]:
    """Voxels of a box about the centre that `_convergence` looks at, and their directions to it (3, n)."""
    reach = int(CONVERGENCE)
    offset = np.indices((2 * reach + 1,) * 3) - reach
    distance = np.linalg.norm(offset, axis=0)
    ball = (distance > 0.5) & (distance < CONVERGENCE)
    return ball, -offset[:, ball] / distance[ball]


FEATURES = tuple(_features(np.zeros((EDGE,) * 3, dtype=np.float32)))
"""Their names, in order."""

OPINIONS = ("lowest plane", "classifier", "highest plane")
"""What stands before them in a forest's input: logits of the peaks in the planes where the segmentation network is
least and most sure, and between them the classifier's."""


def forest_inputs(peaks: Floats, side_peaks: Floats, logits: Floats, looks: Singles) -> Singles:
    """A forest's input (n, 3 + `len(FEATURES)`).

    :param peaks, side_peaks: (n,) from 0 to 1. :param logits: (n,) of the classifier. :param looks: of `appearance`.
    """
    low, high = (peak_logit(choice(peaks, side_peaks)) for choice in (np.minimum, np.maximum))
    return np.column_stack((low, logits, high, looks)).astype(np.float32)
