"""Putting a rendered nodule into a finished scan, so that it is as blurred and as noisy as everything around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .interior import SOFT_TISSUE_HU
from .nodule_spec import Location
from .scan_character import SHARPENED_OVER_MM, ScanCharacter

_WALL_HU, _WALL_MM = -350.0, 2.5
"""Tissue denser than that and thicker than twice that is no vessel: chest wall, mediastinum, diaphragm."""
_VESSEL_HU, _VESSEL_BESIDE_HU = -600.0, 150.0
_VOXEL_VARIANCE = 1 / 12
_NEAREST = 12


def receive_nodule(
    volume_hu: NDArray[np.floating],
    center_index_kji: Sequence[int],
    alpha: NDArray[np.float32],
    hu: NDArray[np.float32],
    character: ScanCharacter,
    rng: np.random.Generator,
    spacing_kji_mm: Sequence[float] = (1.0, 1.0, 1.0),
) -> NDArray[np.bool_]:
    """Put a rendered nodule into a finished scan, in place; what reaches beyond the array or into walls is left out.

    A nodule fills air: a ground-glass one a part of it, so that vessels and noise show through it; a solid one all, and
    then the scan's noise is new in it. It ends at the pleura, and darkens nothing but by the rim that a sharpening
    kernel draws round everything dense.

    :param alpha, hu: as `render_nodule` makes them; blurred here as the scan is, less the voxels' own size, which
        rendering has taken into account.
    :param character: of the scan.
    :return: bool array of `volume_hu`'s shape: where the nodule fills at least half a voxel.
    """
    inside = np.zeros(volume_hu.shape, dtype=bool)
    blur = np.asarray(character.blur_mm) / np.asarray(spacing_kji_mm)
    blur = np.sqrt(np.maximum(blur**2 - _VOXEL_VARIANCE, 0))
    wide = np.array([0.0, SHARPENED_OVER_MM, SHARPENED_OVER_MM]) / np.asarray(spacing_kji_mm)
    margin = np.ceil(2.5 * np.hypot(blur, wide if character.sharpening else 0)).astype(int)
    first = np.asarray(center_index_kji, dtype=int) - np.array(alpha.shape) // 2 - margin
    shape = np.array(alpha.shape) + 2 * margin
    low, high = np.maximum(first, 0), np.minimum(first + shape, volume_hu.shape)
    if (high <= low).any():
        return inside
    cut = tuple(slice(a, b) for a, b in zip(low - first, high - first, strict=True))
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    padding = [(m, m) for m in margin]
    alpha = np.pad(alpha, padding)[cut]
    hu = np.pad(hu, padding, mode="edge")[cut]

    before = np.asarray(volume_hu[box], dtype=np.float32)
    around = volume_hu[tuple(slice(max(s.start - 6, 0), s.stop + 6) for s in box)]
    inner = tuple(slice(s.start - max(s.start - 6, 0), s.stop - max(s.start - 6, 0)) for s in box)
    alpha = alpha * ~walls(around, spacing_kji_mm)[inner]
    air = _air_hu(before)
    tissue = np.maximum(hu, SOFT_TISSUE_HU)
    filled = alpha * np.clip((hu - air) / (tissue - air), 0, 1)
    emptied = alpha * np.clip((air - hu) / 150, 0, 1)  # a cavity's air is emptier than the lung
    share = ndimage.gaussian_filter(filled, blur, mode="nearest")
    target = ndimage.gaussian_filter(filled * tissue, blur, mode="nearest") / np.maximum(share, 1e-6)
    empty = ndimage.gaussian_filter(emptied, blur, mode="nearest")
    share = np.minimum(share, 1)
    added = share * np.maximum(target - before, 0)
    if character.sharpening:
        added += character.sharpening * (added - ndimage.gaussian_filter(added, wide, mode="nearest"))
    after = before + added
    after += empty * (np.minimum(air - 60, after) - after)
    taken = np.minimum(share + empty, 1)
    after += np.sqrt(1 - (1 - taken) ** 2) * character.noise(before.shape, rng)
    volume_hu[box] = after
    inside[box] = alpha >= 0.5
    return inside


def walls(hu: NDArray[np.floating], spacing_kji_mm: Sequence[float] = (1.0, 1.0, 1.0)) -> NDArray[np.bool_]:
    """Chest wall, mediastinum, diaphragm and other thick tissue; vessels and small nodules are not."""
    dense = np.asarray(hu) > _WALL_HU
    thin = ndimage.distance_transform_edt(np.pad(dense, 4, mode="edge"), spacing_kji_mm)[4:-4, 4:-4, 4:-4]
    core = thin > _WALL_MM
    if not core.any():
        return core
    reach: NDArray[np.bool_] = ndimage.distance_transform_edt(~core, spacing_kji_mm) <= _WALL_MM
    return reach & dense


def fitting_place(
    hu: NDArray[np.floating],
    allowed: NDArray[np.bool_],
    location: Location,
    diameter_mm: float,
    rng: np.random.Generator,
    near_kji: Sequence[int] | None = None,
) -> tuple[int, int, int] | None:
    """A voxel of a 1 mm image where a nodule of that kind may be centred; None where nothing is allowed.

    Juxtapleural: less than a radius from a wall, so that it sits on it with a broad base. Juxtavascular: touching a
    vessel. Where the image has no such place, any allowed one.

    :param allowed: voxels that the centre may fall on.
    :param near_kji: the nearest few of the fitting places to this voxel are chosen from; None takes all.
    """
    radius = diameter_mm / 2
    wall = walls(hu)
    smooth = ndimage.gaussian_filter(np.asarray(hu, dtype=np.float32), 0.7)
    free = allowed & ~wall & (smooth < _WALL_HU)
    depth = ndimage.distance_transform_edt(~wall) if wall.any() else np.full(wall.shape, np.inf)
    if location == "juxtapleural":
        fitting = free & (depth > 0.3 * radius) & (depth < 0.8 * radius + 1)
    else:
        fitting = free & (depth > radius + 1)
        # Cut off at the least density of a vessel, the mean around hardly sees vessels and walls.
        around = ndimage.uniform_filter(np.minimum(smooth, _VESSEL_HU), 9)
        vessel = (smooth - around > _VESSEL_BESIDE_HU) & (smooth > _VESSEL_HU) & ~wall
        beside = ndimage.distance_transform_edt(~vessel) if vessel.any() else np.full(wall.shape, np.inf)
        fitting &= beside < 0.6 * radius + 1 if location == "juxtavascular" else beside > radius + 1
    for places in (fitting, free, allowed):
        choices = np.argwhere(places)
        if len(choices):
            if near_kji is not None:
                distance = np.linalg.norm(choices - np.asarray(near_kji), axis=1)
                choices = choices[np.argsort(distance, kind="stable")[:_NEAREST]]
            k, j, i = choices[rng.integers(len(choices))]
            return int(k), int(j), int(i)
    return None


def _air_hu(before: NDArray[np.float32]) -> float:
    """The parenchyma's density beside vessels and walls."""
    lung = before[before < -600]
    return float(np.median(lung)) if lung.size else -850.0
