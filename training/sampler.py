"""Random training slices for the segmentation network: real lungs with nodules inserted, real cubes, and what is no
nodule."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleCADLib.preprocess.settings import Wavelet
from LungNoduleCADLib.simulation import ScanCharacter

from .boxes import NoduleBox, ball, load_boxes, load_cubes
from .nodules import LUNG_PERCENTILE, InsertableNodule, load_nodules
from .receiving import character_of, receive, suited
from .splits import BACKGROUND_SCANS, BACKGROUND_SLABS, NO_FOLD, fold_of, serves
from .transforms.enhancement import enhanced
from .transforms.orientation import draw_orientation
from .transforms.scanner import draw_scanner

SLICES = 7
PATCH = 64
MARGIN = 4
"""Slices beyond the network's own on either side, for blurring along z."""
PLANES = (0.5, 0.25, 0.25)
"""Shares of axial, coronal and sagittal slices: the scorer looks at a proposal in all three planes."""
TISSUE_LEVEL = 125
"""Window level (about -315 HU, smoothed over 3 mm) above which there was chest wall or a large vessel already: a
nodule may lie against it, and does not replace it."""
MIN_RIM = 8
CORE_PERCENTILE = 90
"""Of the levels inside a nodule: the nodule without its noise."""
MIN_CONTRAST = 30


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

    @cached_property
    def character(self) -> ScanCharacter:
        """Its scan's noise and blur, measured when they are first asked for."""
        return character_of(self.image)


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
    for center, radius in doubtful_regions().get(scan, []):
        ignore |= ball(lung.shape, (np.linalg.inv(matrix) @ np.append(center, 1))[2::-1], radius)
    rng = np.random.default_rng(seed)
    free = lung & ~ignore
    core = ndimage.binary_erosion(free, iterations=4)
    inner, edge = np.argwhere(core), np.argwhere(free & ~core)
    places = inner[rng.permutation(len(inner))[:200_000]].astype(np.int16)
    edge_places = edge[rng.permutation(len(edge))[:100_000]].astype(np.int16)
    return Lung(scan, image, lung, ignore, places, edge_places, float(data["slice_mm"]), matrix)


def load_lungs(cache: Path) -> list[Lung]:
    """All prepared background scans: the complete real ones in the folds' order, the slabs, the phantoms."""
    names = [f"lung-{scan}.npz" for scan in (*BACKGROUND_SCANS, *BACKGROUND_SLABS)]
    return [load_lung(path) for path in [cache / name for name in names] + sorted(cache.glob("lung-phantom-*.npz"))]


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
    density = relevelled(nodule.density[source], alpha, nodule.mask[source], before, nodule.lung_level)
    blended = np.rint(before * (1 - alpha) + density * alpha).astype(np.uint8)
    tissue = ndimage.uniform_filter(before, 3) > TISSUE_LEVEL
    out[target] = np.where(tissue, np.maximum(before, blended), blended)
    mask[target] = nodule.mask[source] & ~tissue
    return out, mask


def relevelled(
    density: NDArray[np.uint8] | NDArray[np.int16],
    alpha: NDArray[np.floating],
    mask: NDArray[np.bool_],
    before: NDArray[np.uint8],
    own: float,
) -> NDArray[np.float32]:
    """A nodule's density with the lung it was cut from exchanged for the lung that receives it: the air in its partial
    volumes and in its feathered rim gets the new lung's level, or a dark ring would mark every nodule in a denser lung.

    :param before: the receiving image, of the density's shape. :param own: level of the lung it was cut from; NaN of
        what was not, whose alpha tells where air is.
    """
    levels = density.astype(np.float32)
    rim = (alpha > 0.02) & ~mask
    if np.isnan(own) or rim.sum() < MIN_RIM or not mask.any():
        return levels
    new = float(np.percentile(before[rim], LUNG_PERCENTILE))
    core = float(np.percentile(levels[mask], CORE_PERCENTILE))
    if core - own < MIN_CONTRAST:
        return levels
    air = 1 - np.clip((levels - own) / (core - own), 0, 1)
    levels += air * np.float32(new - own)
    # A sharp kernel's undershoot would be a ring again.
    return np.where(mask, levels, np.maximum(levels, np.minimum(before, new))).astype(np.float32)


def insert_of(
    lung: Lung,
    image: NDArray[np.uint8],
    nodule: InsertableNodule,
    center: NDArray[np.integer],
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The same in a part of a lung: a simulated nodule gets the blur and the noise of the lung's scan."""
    if nodule.location is None:
        return insert(image, nodule, center)
    return receive(image, nodule, center, lung.character, rng)


def oriented(nodule: InsertableNodule, rng: np.random.Generator, slice_mm: float = 1.0) -> InsertableNodule:
    """A random mirror image or in-plane quarter turn of a nodule; what was cut from a scan with thinner slices is
    blurred along z by the difference to those it goes into, as a simulated nodule is when it is inserted."""
    density, alpha, mask = map(draw_orientation(rng), (nodule.density, nodule.alpha, nodule.mask))
    thicker = slice_mm**2 - nodule.slice_mm**2
    if thicker > 1 and nodule.location is None:
        sd = (thicker / 12) ** 0.5  # a box of width w has the variance w^2 / 12
        pad = int(np.ceil(2 * sd))
        mask = np.pad(mask, ((pad, pad), (0, 0), (0, 0)))
        alpha = ndimage.gaussian_filter1d(np.pad(alpha, ((pad, pad), (0, 0), (0, 0))), sd, axis=0)
        density = np.pad(density, ((pad, pad), (0, 0), (0, 0)), mode="edge")
    return replace(nodule, density=density, alpha=alpha, mask=mask)


@dataclass
class Sources:
    """What there is to train on."""

    lungs: list[Lung]
    cubes: list[NoduleBox]
    boxes: list[NoduleBox]
    crops: list[InsertableNodule]
    simulated: list[InsertableNodule]
    decoys: list[InsertableNodule]

    @classmethod
    def load(cls, cache: Path, data: Path, leave_out: Collection[int] = ()) -> Sources:
        """Everything except the patients and the scans of the folds that `leave_out` holds back."""
        return cls(
            [lung for lung in load_lungs(cache) if serves(fold_of(lung.name), leave_out)],
            [cube for cube in load_cubes(data / "lidc-nodules") if serves(fold_of(cube.patient), leave_out)],
            [box for box in load_boxes(cache / "boxes.npz") if serves(fold_of(box.patient), leave_out)],
            [n for n in load_nodules(cache / "crops.npz") if serves(n.fold, leave_out)],
            [n for n in load_nodules(cache / "simulated.npz") if serves(n.fold, leave_out)],
            [n for n in load_nodules(cache / "decoys.npz") if serves(n.fold, leave_out)],
        )

    def restricted(self, insertion: bool, simulator: bool) -> Sources:
        """Without real nodules to insert, or without anything simulated: its nodules and its lungs."""
        return replace(
            self,
            lungs=[lung for lung in self.lungs if simulator or fold_of(lung.name) != NO_FOLD],
            crops=self.crops if insertion else [],
            simulated=self.simulated if simulator else [],
        )

    def draw_nodule(self, rng: np.random.Generator, simulated_share: float = 0.25) -> InsertableNodule:
        """A nodule to insert, real three times out of four."""
        simulated = rng.random() < simulated_share
        pool = self.simulated if self.simulated and (simulated or not self.crops) else self.crops
        return pool[rng.integers(len(pool))]

    def draw_box(self, rng: np.random.Generator, cube_share: float = 0.5) -> NoduleBox:
        """A real nodule in its own surroundings, half of the time a complete cube."""
        pool = self.cubes if rng.random() < cube_share or not self.boxes else self.boxes
        return pool[rng.integers(len(pool))]


class SliceSampler:
    """Draws (slices uint8 (7, 64, 64), target bool (64, 64), ignore bool (64, 64)).

    Shares: nodules inserted into lungs, slices of real nodules' boxes, inserted decoys, and plain lung; half of
    the plain lung comes from places where the network was wrong (`report_hard`), the cheapest form of hard-negative
    mining.
    """

    SHARES: ClassVar[dict[str, float]] = {"insert": 0.36, "box": 0.3, "decoy": 0.06, "lung": 0.28}

    def __init__(self, sources: Sources, seed: int, wavelet: Wavelet | None = None) -> None:
        self.sources = sources
        self.wavelet = wavelet
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
        kind = str(self.rng.choice(list(self.SHARES), p=list(self.SHARES.values())))
        if kind == "box":
            return (*self._box(), None)
        return self._lung("lung" if kind == "decoy" and not self.sources.decoys else kind)

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
        depth = SLICES + 2 * MARGIN
        plane = int(rng.choice(3, p=PLANES))
        shift = rng.integers(-PATCH // 3, PATCH // 3 + 1, size=3)
        shift[plane] = 0
        shape = np.full(3, PATCH)
        shape[plane] = depth
        offset = np.zeros(3, dtype=int)
        nodule = None
        if kind != "lung":
            decoys = self.sources.decoys
            nodule = self.sources.draw_nodule(rng) if kind == "insert" else decoys[rng.integers(len(decoys))]
            nodule = oriented(nodule, rng, lung.slice_mm)
            place = suited(lung.image, nodule, place, rng)
            # Any slice of the nodule may be the focus slice, and now and then one just beyond it.
            reach = max(int(np.moveaxis(nodule.mask, plane, 0).any(axis=(1, 2)).sum()) // 2, 1)
            offset[plane] = rng.integers(-reach, reach + 1)
        first = place + shift - shape // 2
        image, ignore = (cut(a, first, tuple(shape)) for a in (lung.image, lung.ignore))
        target = np.zeros(image.shape, dtype=bool)
        if nodule is not None:
            where = place - first + offset
            image, inserted = insert_of(lung, image, nodule, where, rng)
            if kind == "insert":
                target = inserted
        image, (target, ignore) = self._augment(image, [target, ignore], lung.slice_mm, plane)
        return image, target, ignore, (which, place) if kind == "lung" else None

    def _box(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
        """A slice of a real nodule's box, anywhere on an empty canvas; the canvas beyond it is left out of the loss."""
        rng = self.rng
        box = self.sources.draw_box(rng)
        # Crops are too short along z for other planes than the axial one.
        plane = int(rng.choice(3, p=PLANES)) if min(box.image.shape) >= PATCH // 2 else 0
        depth = box.image.shape[plane]
        slices = np.flatnonzero(np.moveaxis(box.mask, plane, 0).any(axis=(1, 2)))
        edge = min(depth // 4, 5)
        focus = int(rng.choice(slices)) if rng.random() < 0.75 else int(rng.integers(edge, depth - edge))
        first, shape = np.zeros(3, dtype=int), np.array(box.image.shape)
        first[plane], shape[plane] = focus - SLICES // 2 - MARGIN, SLICES + 2 * MARGIN
        image, mask = (cut(a, first, tuple(shape)) for a in (box.image, box.mask))
        image, (mask,) = self._augment(image, [mask], 1.0, plane)
        canvas = np.zeros((SLICES, PATCH, PATCH), dtype=np.uint8)
        target, ignore = np.zeros((PATCH, PATCH), dtype=bool), np.ones((PATCH, PATCH), dtype=bool)
        # Slices larger than the canvas lose a random part of their border.
        on, of = zip(*(_overlap(PATCH, n, rng) for n in image.shape[1:]), strict=True)
        canvas[:, on[0], on[1]], target[on], ignore[on] = image[:, of[0], of[1]], mask[of], False
        return canvas, target, ignore

    def _augment(
        self, image: NDArray[np.uint8], masks: list[NDArray[np.bool_]], slice_mm: float, plane: int
    ) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]:
        """Another scanner, mirror, quarter-turn (B5, A8), one draw a sample; the extra slices of the plane are cut
        off, and the masks reduced to the focus slice."""
        scanner = draw_scanner(self.rng, image.shape, slice_mm)
        orientation = draw_orientation(self.rng)
        middle = image.shape[plane] // 2
        # Scanners make axial slices, whichever plane is looked at.
        x = np.moveaxis(enhanced(scanner(image.astype(np.float32)), self.wavelet), plane, 0)
        x = x[middle - SLICES // 2 : middle + SLICES // 2 + 1]
        focus = [np.moveaxis(mask, plane, 0)[middle : middle + 1] for mask in masks]
        return orientation(np.clip(x, 0, 255).astype(np.uint8)), [orientation.of_mask(mask)[0] for mask in focus]


def _overlap(canvas: int, size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Where `size` pixels lie at random on a canvas, and which of them, when they are more than it holds."""
    shift = int(rng.integers(0, abs(canvas - size) + 1))
    if size <= canvas:
        return slice(shift, shift + size), slice(0, size)
    return slice(0, canvas), slice(shift, shift + canvas)


def cut(array: NDArray, first: NDArray[np.integer], shape: tuple[int, ...]) -> NDArray:
    """A box that may reach beyond the array; there it repeats the nearest voxel."""
    return array[
        np.ix_(
            *[np.clip(np.arange(f, f + n), 0, size - 1) for f, n, size in zip(first, shape, array.shape, strict=True)]
        )
    ]
