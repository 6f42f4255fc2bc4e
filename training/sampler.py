"""Random training slices for the segmentation network: real lungs with nodules inserted, real cubes, and what is no
nodule."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .nodules import InsertableNodule, load_nodules, to_window
from .splits import BACKGROUND_SCANS, fold_of

SLICES = 7
PATCH = 64
CUBE = 51
TISSUE_LEVEL = 125
"""Window level (about -315 HU, smoothed over 3 mm) above which there was chest wall or a large vessel already: a
nodule may lie against it, and does not replace it."""


DENSE_LEVEL, AERATED_LEVEL, AWAY_MM = 90, 70, 8.0
"""Window levels of about -500 and -600 HU, and how far from a nodule its surroundings are surely something else."""


@dataclass(frozen=True, eq=False)
class Lung:
    """A background scan at 1 mm.

    :param places: (n, 3) indices inside the lung and outside every doubtful region, where a sample may be centred.
    :param ignore: bool (k, j, i), doubtful: excluded from the loss.
    """

    name: str
    image: NDArray[np.uint8]
    lung: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    places: NDArray[np.int16]
    edge_places: NDArray[np.int16]
    slice_mm: float
    ijk_to_lps: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cube:
    """A real nodule with all its surroundings: (51, 51, 51) at 1 mm.

    :param background: (n, 3) voxels of vessels and walls in its lung, away from the nodule.
    """

    name: str
    patient: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    malignancy: float
    diameter_mm: float
    background: NDArray[np.int16]


def doubtful_regions() -> dict[str, list[tuple[NDArray[np.float64], float]]]:
    """Per background scan: centre (LPS) and radius of what may be disease; neither a nodule nor healthy lung for
    training."""
    regions: dict[str, list[tuple[NDArray[np.float64], float]]] = {}
    with (Path(__file__).parent / "doubtful_regions.csv").open() as file:
        for row in csv.DictReader(file):
            center = np.array([float(row[f"{axis}_lps"]) for axis in "xyz"])
            regions.setdefault(row["scan"], []).append((center, float(row["radius_mm"])))
    return regions


def load_lung(path: Path, seed: int = 0) -> Lung:
    """Read a prepared background scan and mark its doubtful regions."""
    data = np.load(path)
    image, lung, matrix, scan = data["image"], data["lung"], data["ijk_to_lps"], str(data["scan"])
    ignore = np.zeros(lung.shape, dtype=bool)
    axes = np.ogrid[tuple(slice(0, n) for n in lung.shape)]
    for center, radius in doubtful_regions().get(scan, []):
        index = (np.linalg.inv(matrix) @ np.append(center, 1))[2::-1]
        ignore |= sum((axis - c) ** 2 for axis, c in zip(axes, index, strict=True)) < radius**2
    rng = np.random.default_rng(seed)
    free = lung & ~ignore
    core = ndimage.binary_erosion(free, iterations=4)
    inner, edge = np.argwhere(core), np.argwhere(free & ~core)
    places = inner[rng.permutation(len(inner))[:200_000]].astype(np.int16)
    edge_places = edge[rng.permutation(len(edge))[:100_000]].astype(np.int16)
    return Lung(scan, image, lung, ignore, places, edge_places, float(data["slice_mm"]), matrix)


def load_lungs(cache: Path) -> list[Lung]:
    """All prepared background scans, the real ones in the folds' order and then the phantoms."""
    names = [f"lung-{scan}.npz" for scan in BACKGROUND_SCANS]
    return [load_lung(path) for path in [cache / name for name in names] + sorted(cache.glob("lung-phantom-*.npz"))]


def load_cubes(folder: Path) -> list[Cube]:
    """The real nodules with their surroundings."""
    data = np.load(folder / "cubes.npz")
    with (folder / "cubes.csv").open() as file:
        rows = list(csv.DictReader(file))
    cubes = []
    for n, row in enumerate(rows):
        image, mask = to_window(data["hu"][n].astype(np.float32)), data["mask"][n] > 0
        rating, diameter = float(row["malignancy"] or "nan"), float(row["equivalent_diameter_mm"])
        cubes.append(Cube(row["nodule"], row["patient"], image, mask, rating, diameter, background_places(image, mask)))
    return cubes


def background_places(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Voxels (n, 3) that are dense, with lung around them, well away from the nodule: vessels, airways, pleura."""
    dense = image > DENSE_LEVEL
    lung_around = ndimage.uniform_filter((image < AERATED_LEVEL).astype(np.float32), 11) > 0.4
    away = ndimage.distance_transform_edt(~mask) > AWAY_MM
    return np.argwhere(dense & lung_around & away).astype(np.int16)


def insert(
    image: NDArray[np.uint8], nodule: InsertableNodule, center: NDArray[np.integer]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Blend a nodule into an image at a voxel; returns a new image and the nodule's mask."""
    out, mask = image.copy(), np.zeros(image.shape, dtype=bool)
    first = np.asarray(center, dtype=int) - np.array(nodule.density.shape) // 2
    low, high = np.maximum(first, 0), np.minimum(first + nodule.density.shape, image.shape)
    if (high <= low).any():
        return out, mask
    target = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    source = tuple(slice(a - f, b - f) for a, b, f in zip(low, high, first, strict=True))
    alpha = nodule.alpha[source].astype(np.float32) / 255
    before = image[target]
    blended = np.rint(before * (1 - alpha) + nodule.density[source] * alpha).astype(np.uint8)
    tissue = ndimage.uniform_filter(before, 3) > TISSUE_LEVEL
    out[target] = np.where(tissue, np.maximum(before, blended), blended)
    mask[target] = nodule.mask[source] & ~tissue
    return out, mask


def oriented(nodule: InsertableNodule, rng: np.random.Generator, slice_mm: float = 1.0) -> InsertableNodule:
    """A random mirror image or in-plane quarter turn of a nodule, blurred along z like the scan it goes into."""
    arrays: list[NDArray[Any]] = [nodule.density, nodule.alpha, nodule.mask]
    for axis in range(3):
        if rng.random() < 0.5:
            arrays = [np.flip(a, axis) for a in arrays]
    if rng.random() < 0.5:
        arrays = [a.swapaxes(1, 2) for a in arrays]
    density, alpha, mask = arrays
    if slice_mm > 1.6:
        pad = int(slice_mm / 2)
        mask = np.pad(mask, ((pad, pad), (0, 0), (0, 0)))
        alpha = ndimage.uniform_filter1d(np.pad(alpha, ((pad, pad), (0, 0), (0, 0))), int(slice_mm), axis=0)
        density = np.pad(density, ((pad, pad), (0, 0), (0, 0)), mode="edge")
    return InsertableNodule(density, alpha, mask, nodule.diameter_mm, nodule.fold, nodule.source, nodule.malignancy)


@dataclass
class Sources:
    """What one fold trains on (fold None: everything)."""

    lungs: list[Lung]
    cubes: list[Cube]
    crops: list[InsertableNodule]
    simulated: list[InsertableNodule]
    decoys: list[InsertableNodule]

    @classmethod
    def load(cls, cache: Path, data: Path, leave_out: int | None) -> Sources:
        """Everything except the patients and the scan that `leave_out` holds back."""
        return cls(
            [lung for lung in load_lungs(cache) if fold_of(lung.name) != leave_out],
            [cube for cube in load_cubes(data / "lidc-nodules") if fold_of(cube.patient) != leave_out],
            [n for n in load_nodules(cache / "crops.npz") if n.fold != leave_out],
            load_nodules(cache / "simulated.npz"),
            [n for n in load_nodules(cache / "decoys.npz") if n.fold != leave_out],
        )

    def draw_nodule(self, rng: np.random.Generator, simulated_share: float = 0.25) -> InsertableNodule:
        """A nodule to insert, real three times out of four."""
        pool = self.simulated if rng.random() < simulated_share else self.crops
        return pool[rng.integers(len(pool))]


class SliceSampler:
    """Draws (slices uint8 (7, 64, 64), target bool (64, 64), ignore bool (64, 64)).

    Shares: nodules inserted into lungs, slices of real cubes, inserted decoys, and plain lung; half of the plain lung
    comes from places where the network was wrong (`report_hard`), the cheapest form of hard-negative mining.
    """

    SHARES: ClassVar[dict[str, float]] = {"insert": 0.42, "cubes": 0.2, "decoy": 0.08, "lung": 0.3}

    def __init__(self, sources: Sources, seed: int) -> None:
        self.sources = sources
        self.rng = np.random.default_rng(seed)
        self.hard: list[tuple[int, NDArray[np.int64]]] = []

    def report_hard(self, lung: int, place: NDArray[np.int64], keep: int = 600) -> None:
        """Remember a place where healthy lung was called nodule; the oldest are forgotten."""
        self.hard.append((lung, place))
        del self.hard[:-keep]

    def draw(
        self,
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_], tuple[int, NDArray[np.int64]] | None]:
        """One sample; the last part names its place when it is plain lung."""
        kind = self.rng.choice(list(self.SHARES), p=list(self.SHARES.values()))
        if kind == "cubes":
            return (*self._cube(), None)
        return self._lung(str(kind))

    def _lung(
        self, kind: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_], tuple[int, NDArray[np.int64]] | None]:
        rng = self.rng
        if kind == "lung" and self.hard and rng.random() < 0.5:
            which, place = self.hard[rng.integers(len(self.hard))]
            lung = self.sources.lungs[which]
        else:
            which = int(rng.integers(len(self.sources.lungs)))
            lung = self.sources.lungs[which]
            pool = lung.edge_places if rng.random() < 0.4 else lung.places
            place = pool[rng.integers(len(pool))].astype(np.int64)
        depth = SLICES + 4  # two more on either side, for blurring along z
        center = place + np.array([0, *rng.integers(-PATCH // 3, PATCH // 3 + 1, size=2)])
        offset = 0
        nodule = None
        if kind != "lung":
            decoys = self.sources.decoys
            nodule = self.sources.draw_nodule(rng) if kind == "insert" else decoys[rng.integers(len(decoys))]
            nodule = oriented(nodule, rng, lung.slice_mm)
            # Any slice of the nodule may be the focus slice, and now and then one just beyond it.
            reach = max(int(nodule.mask.any(axis=(1, 2)).sum()) // 2, 1)
            offset = int(rng.integers(-reach, reach + 1))
        first = np.array([center[0] - depth // 2, center[1] - PATCH // 2, center[2] - PATCH // 2])
        image, ignore = (cut(a, first, (depth, PATCH, PATCH)) for a in (lung.image, lung.ignore))
        target = np.zeros(image.shape, dtype=bool)
        if nodule is not None:
            where = place - first + np.array([offset, 0, 0])
            image, inserted = insert(image, nodule, where)
            if kind == "insert":
                target = inserted
        image, (target, ignore) = self._augment(image, [target, ignore])
        return image, target, ignore, (which, place) if kind == "lung" else None

    def _cube(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
        """A slice of a real cube, anywhere on an empty canvas; the canvas beyond it is left out of the loss."""
        rng = self.rng
        cube = self.sources.cubes[rng.integers(len(self.sources.cubes))]
        slices = np.flatnonzero(cube.mask.any(axis=(1, 2)))
        focus = int(rng.choice(slices)) if rng.random() < 0.75 else int(rng.integers(5, CUBE - 5))
        depth = SLICES + 4
        first = np.array([focus - depth // 2, 0, 0])
        box, mask = (cut(a, first, (depth, CUBE, CUBE)) for a in (cube.image, cube.mask))
        box, (mask,) = self._augment(box, [mask])
        row, column = rng.integers(0, PATCH - CUBE + 1, size=2)
        tile = slice(row, row + CUBE), slice(column, column + CUBE)
        image = np.zeros((SLICES, PATCH, PATCH), dtype=np.uint8)
        target, ignore = np.zeros((PATCH, PATCH), dtype=bool), np.ones((PATCH, PATCH), dtype=bool)
        image[:, tile[0], tile[1]], target[tile], ignore[tile] = box, mask, False
        return image, target, ignore

    def _augment(
        self, image: NDArray[np.uint8], masks: list[NDArray[np.bool_]]
    ) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]:
        """Mirror, quarter-turn, slice-thickness blur, sharpness, noise and contrast (B5, A8), one draw a sample; the
        extra slices are cut off, and the masks reduced to the focus slice."""
        rng = self.rng
        middle = image.shape[0] // 2
        masks = [m[middle] for m in masks]
        x = image.astype(np.float32)
        draw = rng.random()
        if draw < 0.25:
            x = ndimage.uniform_filter1d(x, int(rng.integers(2, 4)), axis=0, mode="nearest")
        x = x[middle - SLICES // 2 : middle + SLICES // 2 + 1]
        draw = rng.random()
        if draw < 0.2:
            x = ndimage.gaussian_filter(x, (0, *[rng.uniform(0.3, 0.8)] * 2))
        elif draw < 0.35:
            x += rng.uniform(0.3, 1.0) * (x - ndimage.uniform_filter(x, (0, 3, 3)))
        if rng.random() < 0.4:
            noise = rng.standard_normal(x.shape, dtype=np.float32)
            if rng.random() < 0.5:
                noise = ndimage.uniform_filter(noise, (1, 2, 2)) * 2
            x += noise * rng.uniform(1, 14)
        if rng.random() < 0.5:
            gamma, gain, offset = (np.float32(rng.uniform(*r)) for r in ((0.8, 1.2), (0.95, 1.05), (-6, 6)))
            x = (np.clip(x, 0, 255) / 255) ** gamma * 255 * gain + offset
        image = np.clip(x, 0, 255).astype(np.uint8)
        for axis in range(3):
            if rng.random() < 0.5:
                image = np.flip(image, axis)
                masks = [np.flip(m, axis - 1) for m in masks] if axis else masks
        if rng.random() < 0.5:
            image, masks = image.swapaxes(1, 2), [m.swapaxes(0, 1) for m in masks]
        return image, masks


def cut(array: NDArray, first: NDArray[np.integer], shape: tuple[int, ...]) -> NDArray:
    """A box that may reach beyond the array; there it repeats the nearest voxel."""
    return array[
        np.ix_(
            *[np.clip(np.arange(f, f + n), 0, size - 1) for f, n, size in zip(first, shape, array.shape, strict=True)]
        )
    ]
