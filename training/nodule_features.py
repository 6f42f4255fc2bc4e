"""What a physicist would measure of a nodule in a patch of the lung window, by name: densities, edges, noise, form, and
what leaves it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

_NODULE_LEVEL, _VESSEL_LEVEL, _LUNG_LEVEL = 100, 85, 50
"""Window levels of about -450 HU, which divides a nodule from the lung; of vessels; and below which is lung."""
_REACH_MM = 12
_SHELLS_MM = ((0, 2), (2, 4), (4, 6), (6, 9), (9, 12))
_LAYERS_MM = ((-5, -3), (-3, -2), (-2, -1), (-1, 0), (0, 1), (1, 2), (2, 4))
"""By depth below the surface; negative outside."""
_STRANDS_AT_MM = (1.5, 3.0, 5.0)
_LEAST_VOXELS = 4


def features(patch: NDArray[np.uint8]) -> dict[str, float]:
    """Every measure of a cubic patch at 1 mm with the nodule in its middle, where 0 is not seen; 0 where there is
    nothing to measure."""
    x = patch.astype(np.float32)
    seen = x > 0
    nodule = nodule_in(x)
    away = ndimage.distance_transform_edt(~nodule) if nodule.any() else np.full(x.shape, np.inf)
    depth = ndimage.distance_transform_edt(nodule) - away
    slopes = np.stack([ndimage.correlate1d(x, [-0.5, 0, 0.5], axis) for axis in range(3)])
    gradient = np.sqrt((slopes**2).sum(axis=0))
    blurred = [ndimage.gaussian_filter(x, sd) for sd in (0.7, 1.0, 2.0)]
    fine, coarse = x - blurred[1], blurred[0] - blurred[2]
    lung = seen & (x < _LUNG_LEVEL) & (away > 3)
    aerated = float(np.median(x[lung])) if lung.any() else 0.0
    found = {"lung level": aerated, "lung noise": _deviation(fine[lung])}
    found |= _of_shells(x, seen, fine, gradient)
    found |= _of_layers(x - aerated, seen, depth, fine, gradient)
    found |= _of_inside(x, depth > 1, fine, coarse, found["lung noise"])
    found |= _of_edge(depth, gradient, slopes)
    found |= _of_form(nodule, x, blurred[0])
    return found | _of_strands(x, seen, away)


def nodule_in(x: NDArray[np.floating]) -> NDArray[np.bool_]:
    """The dense part that the middle belongs to, within 12 mm."""
    middle = tuple(slice(n // 2 - 2, n // 2 + 2) for n in x.shape)
    core = x[middle]
    labels, _ = ndimage.label(x > min(_NODULE_LEVEL, 0.6 * float(core.max())))
    present = labels[middle]
    if not present.any():
        return np.zeros(x.shape, dtype=bool)
    axes = np.ogrid[tuple(slice(0, n) for n in x.shape)]
    near = sum((a - n // 2) ** 2 for a, n in zip(axes, x.shape, strict=True)) < _REACH_MM**2
    part: NDArray[np.bool_] = (labels == np.bincount(present[present > 0]).argmax()) & near
    return part


def _of_shells(
    x: NDArray[np.float32], seen: NDArray[np.bool_], fine: NDArray[np.float32], gradient: NDArray[np.float32]
) -> dict[str, float]:
    """By distance from the patch's middle."""
    axes = np.indices(x.shape) - (np.array(x.shape)[:, None, None, None] - 1) / 2
    distance = np.sqrt((axes**2).sum(axis=0))
    found: dict[str, float] = {}
    for low, high in _SHELLS_MM:
        shell = (distance >= low) & (distance < high) & seen
        name = f"{low}-{high} mm from the middle"
        found |= _summary(f"density {name}", x[shell])
        found[f"fine texture {name}"] = _deviation(fine[shell])
        for percentile in (50, 90):
            found[f"slope p{percentile} {name}"] = _percentile(gradient[shell], percentile)
    return found


def _of_layers(
    x: NDArray[np.float32],
    seen: NDArray[np.bool_],
    depth: NDArray[np.floating],
    fine: NDArray[np.float32],
    gradient: NDArray[np.float32],
) -> dict[str, float]:
    """By depth below the surface: the profile of the edge, haze, and what is just outside."""
    found: dict[str, float] = {}
    for low, high in _LAYERS_MM:
        layer = (depth > low) & (depth <= high) & (depth != 0) & seen
        name = f"{low} to {high} mm deep"
        found |= _summary(f"density {name}", x[layer])
        found[f"fine texture {name}"] = _deviation(fine[layer])
        found[f"slope {name}"] = _percentile(gradient[layer], 50)
    return found


def _of_inside(
    x: NDArray[np.float32],
    inside: NDArray[np.bool_],
    fine: NDArray[np.float32],
    coarse: NDArray[np.float32],
    noise: float,
) -> dict[str, float]:
    found = _summary("density inside", x[inside])
    found["fine texture inside"] = _deviation(fine[inside])
    found["fine texture inside over the lung's"] = found["fine texture inside"] / max(noise, 1.0)
    found["coarse texture inside"] = _deviation(coarse[inside])
    return found


def _of_edge(
    depth: NDArray[np.floating], gradient: NDArray[np.float32], slopes: NDArray[np.float32]
) -> dict[str, float]:
    border = (depth > 0) & (depth <= 1)
    found = _summary("edge slope", gradient[border])
    for axis, slope in zip("kji", slopes, strict=True):
        found[f"edge slope along {axis}"] = float(np.abs(slope[border]).mean()) if border.any() else 0.0
    return found


def _of_form(nodule: NDArray[np.bool_], x: NDArray[np.float32], smooth: NDArray[np.float32]) -> dict[str, float]:
    """How large, how long, how rough and how full it is."""
    places = np.argwhere(nodule).astype(np.float64)
    count = len(places)
    spread, filled = np.zeros(3), 0.0
    if count > 8:
        spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(places.T)), 0))[::-1]
        filled = _filled(places)
    border = nodule & ~ndimage.binary_erosion(nodule)
    # Opening takes off what is thin: strands, spicules, the corners of a rough surface.
    opened = ndimage.binary_opening(nodule, iterations=1)
    level = _NODULE_LEVEL if count == 0 else min(_NODULE_LEVEL, 0.6 * float(x[nodule].max()))
    return {
        "volume": float(count),
        "surface over volume": float(border.sum() / max(count, 1) ** (2 / 3)),
        **{f"spread {n}": float(each) for n, each in enumerate(spread)},
        "elongation": float(spread[0] / max(spread[2], 0.3)),
        "share of its convex hull": filled,
        "thin share": float(1 - opened.sum() / max(count, 1)),
        "share lost by smoothing": float((nodule & (smooth <= level)).sum() / max(count, 1)),
    }


def _filled(places: NDArray[np.float64]) -> float:
    corners = np.concatenate([places - 0.5, places + 0.5])
    try:
        return float(len(places) / ConvexHull(corners).volume)
    except QhullError:  # all in one plane
        return 1.0


def _of_strands(x: NDArray[np.float32], seen: NDArray[np.bool_], away: NDArray[np.floating]) -> dict[str, float]:
    """What crosses shells around the nodule: vessels, tags, walls."""
    found: dict[str, float] = {}
    for reach in _STRANDS_AT_MM:
        shell = (away > reach - 0.75) & (away <= reach + 0.75) & seen
        dense = shell & (x > _VESSEL_LEVEL)
        name = f"{reach} mm outside"
        found[f"strands {name}"] = float(ndimage.label(dense, np.ones((3, 3, 3)))[1])
        found[f"dense share {name}"] = float(dense.sum() / max(shell.sum(), 1))
    return found


def _summary(name: str, values: NDArray[np.float32]) -> dict[str, float]:
    if values.size < _LEAST_VOXELS:
        return {f"{name}, {what}": 0.0 for what in ("mean", "SD", "p10", "p50", "p90")}
    low, middle, high = np.percentile(values, [10, 50, 90]).tolist()
    return {
        f"{name}, mean": float(values.mean()), f"{name}, SD": float(values.std()), f"{name}, p10": low,
        f"{name}, p50": middle, f"{name}, p90": high,
    }  # fmt: skip


def _deviation(values: NDArray[np.float32]) -> float:
    return float(values.std()) if values.size >= _LEAST_VOXELS else 0.0


def _percentile(values: NDArray[np.float32], percentile: float) -> float:
    return float(np.percentile(values, percentile)) if values.size >= _LEAST_VOXELS else 0.0
