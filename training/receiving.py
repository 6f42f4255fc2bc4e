"""Simulated nodules in training's images: placed as their kind lies in a lung, blurred and noisy as the scan is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.preprocess.window import LUNG_WINDOW_HU
from LungNoduleCADLib.simulation import ScanCharacter, fitting_place, measure_scan, receive_nodule

from .nodules import InsertableNodule, to_window

MEASURED_MM = 120
"""Side of the cube in a lung's middle that its scan's character is measured in."""
SHIFT_MM = 6
"""How far a place may be moved so that it suits the nodule."""
MARGIN_MM = 8
"""How much of the lung around a nodule tells what is a wall and what a vessel."""


def to_hu(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Window levels back to HU; below the window nothing is known."""
    low, high = LUNG_WINDOW_HU
    return image.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)


def character_of(image: NDArray[np.uint8]) -> ScanCharacter:
    """Noise and blur of a 1 mm image, from its middle."""
    middle = tuple(slice(max((n - MEASURED_MM) // 2, 0), (n + MEASURED_MM) // 2) for n in image.shape)
    return measure_scan(to_hu(image[middle]))


def receive(
    image: NDArray[np.uint8],
    nodule: InsertableNodule,
    center: Sequence[int] | NDArray[np.integer],
    character: ScanCharacter,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Put a simulated nodule into an image at a voxel; returns a new image and the nodule's mask."""
    hu = to_hu(image)
    alpha: NDArray[np.float32] = nodule.alpha.astype(np.float32)
    alpha /= 255
    density = nodule.density.astype(np.float32)
    inside = receive_nodule(hu, [int(c) for c in center], alpha, density, character, rng)
    mask = np.zeros(image.shape, dtype=bool)
    first = np.asarray(center, dtype=int) - np.array(nodule.mask.shape) // 2
    body = np.argwhere(nodule.mask) + first
    body = body[((body >= 0) & (body < image.shape)).all(axis=1)]
    mask[tuple(body.T)] = True
    return to_window(hu), mask & inside


def suited(
    image: NDArray[np.uint8], nodule: InsertableNodule, place: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """The place in a lung, near the one given, where a simulated nodule of that kind would lie; for what was cut from a
    scan, the place given."""
    if nodule.location is None:
        return place
    reach = SHIFT_MM + int(np.ceil(nodule.diameter_mm / 2)) + MARGIN_MM
    region = tuple(slice(max(int(p) - reach, 0), int(p) + reach + 1) for p in place)
    first = np.array([s.start for s in region])
    around = image[region]
    near = np.zeros(around.shape, dtype=bool)
    near[tuple(slice(max(p - SHIFT_MM, 0), p + SHIFT_MM + 1) for p in place - first)] = True
    found = fitting_place(
        to_hu(around), near, nodule.location, nodule.diameter_mm, rng, near_kji=(place - first).tolist()
    )
    return place if found is None else first + np.array(found)
