"""Nodules as they are inserted into lungs: small 1 mm boxes of density and occupancy, real ones and simulated ones."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleCADLib.preprocess.window import LUNG_WINDOW_HU
from LungNoduleCADLib.simulation import (
    LIDC,
    Location,
    NoduleSpec,
    Population,
    draw_nodule,
    draw_nodule_spec,
    render_nodule,
)
from LungNoduleCADLib.simulation.nodule import box_offsets_mm

from .splits import NO_FOLD, fold_of

if TYPE_CHECKING:
    from .outlines import ReadOutline

LUNA16_LOG_DIAMETER = (np.log(6.4), 0.46)
"""Mean and SD of ln(diameter / mm): LUNA16's median is 6.4 mm, and its 5th and 95th percentiles 4.1 and 19 mm; the
right tail is heavier than a lognormal's, so large nodules are also inserted at their own size."""
SCALE_LIMITS = (0.35, 1.3)
"""Enlarging blurs and invents; shrinking is safe down to where a 20 mm nodule becomes a 7 mm one."""
SOLID_MASK_LEVEL = 0.5
LUNG_PERCENTILE = 20
"""Of the levels around a nodule: the lung without its vessels."""
BLUR_MM, BEYOND_MM, FEWEST_BEYOND = 2.0, 6.0, 20
"""How far from its mask a nodule's blur reaches, and how far its own lung is looked at, in so many voxels at least."""


@dataclass(frozen=True, eq=False)
class InsertableNodule:
    """A nodule ready to be blended: `image * (1 - alpha) + density * alpha` around its centre.

    :param density: (k, j, i) at 1 mm: uint8, the lung window scaled to 0-255; of a simulated nodule int16, HU, because
        calcium beyond the window counts until the scan has blurred it.
    :param alpha: uint8 (k, j, i), occupancy 0-255; feathered beyond the mask, so that no cut edge shows.
    :param mask: bool (k, j, i), the nodule proper: the training target.
    :param malignancy: 1 to 5, or NaN when no reader rated it or its size was changed (size is most of malignancy).
    :param location: of a simulated nodule, what it lies against; None for what is cut from a scan.
    :param slice_mm: thickness of the slices it was cut from, scaled with it.
    :param lung_level: window level of the lung it was cut from; NaN where none is known, as of a simulated nodule.
    """

    density: NDArray[np.uint8] | NDArray[np.int16]
    alpha: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    diameter_mm: float
    fold: int
    source: str
    malignancy: float = float("nan")
    location: Location | None = None
    slice_mm: float = 1.0
    lung_level: float = float("nan")


def to_window(hu: NDArray[np.floating]) -> NDArray[np.uint8]:
    """HU to the lung window as uint8 0-255."""
    low, high = LUNG_WINDOW_HU
    return np.rint(np.clip((hu - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def equivalent_diameter(volume_mm3: float) -> float:
    """Diameter of the sphere of that volume."""
    return float((6 * volume_mm3 / np.pi) ** (1 / 3))


def insertable(
    hu: NDArray[np.floating],
    occupancy: NDArray[np.floating],
    *,
    fold: int,
    source: str,
    malignancy: float,
    feather_mm: float = 1.0,
    slice_mm: float = 1.0,
) -> InsertableNodule | None:
    """Build from density and occupancy (0-1) at 1 mm; None when less than a few voxels are left of it.

    :param feather_mm: how far beyond the mask the density is real and blends in gradually; 0 for a simulated nodule,
        whose occupancy says it all.
    """
    mask = occupancy >= SOLID_MASK_LEVEL
    if mask.sum() < 8:
        return None
    pad = 3
    occupancy = np.pad(occupancy, pad)
    hu = np.pad(hu, pad, mode="edge")
    mask = np.pad(mask, pad)
    alpha = np.clip(occupancy, 0, 1)
    if feather_mm > 0:
        # In the slice plane only: a crop is often tight along z, where nothing real lies beyond its mask.
        outside = ndimage.distance_transform_edt(~mask, sampling=(1 + 2 * feather_mm, 1, 1))
        alpha = np.maximum(alpha, np.clip(1.0 - (outside - 1.0) / (1.0 + feather_mm), 0, 1))
    alpha = ndimage.gaussian_filter(alpha, 0.5)
    if feather_mm > 0:
        alpha[mask] = 1  # what was cut has its partial volumes in its density: to fade it again would make it smaller
    box = ndimage.find_objects((alpha > 0.02).astype(int))[0]
    return InsertableNodule(
        to_window(hu[box]),
        np.rint(alpha[box] * 255).astype(np.uint8),
        mask[box],
        equivalent_diameter(float(mask.sum())),
        fold,
        source,
        malignancy,
        slice_mm=slice_mm,
        lung_level=level_around(hu, mask) if feather_mm > 0 else float("nan"),
    )


def level_around(hu: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """Window level of the lung around a nodule in its own slices, from beyond its blur; NaN when nothing is shown."""
    distance = ndimage.distance_transform_edt(~mask, sampling=(2 * BEYOND_MM, 1, 1))
    beyond = hu[(distance > BLUR_MM) & (distance < BEYOND_MM)]
    if len(beyond) < FEWEST_BEYOND:
        return float("nan")
    return float(to_window(np.percentile(beyond, LUNG_PERCENTILE)))


def _zoomed(array: NDArray[np.floating], factors: NDArray[np.floating], order: int) -> NDArray[np.floating]:
    blur = np.where(factors < 1, 0.45 * np.sqrt(np.maximum(1 / factors**2 - 1, 0)), 0)
    return ndimage.zoom(
        ndimage.gaussian_filter(array, blur, mode="nearest"), factors, order=order, mode="nearest", grid_mode=True
    )


def crop_nodules(folder: Path, seed: int, copies: int = 3) -> Iterator[InsertableNodule]:
    """Real nodules from `crops.npz` (native spacing): one copy at its own size, the others rescaled toward LUNA16's
    sizes."""
    rng = np.random.default_rng(seed)
    data = np.load(folder / "crops.npz")
    with (folder / "crops.csv").open() as file:
        rows = list(csv.DictReader(file))
    hu_all, mask_all, offsets = data["hu"], data["mask"], data["offset"]
    for n, row in enumerate(rows):
        shape = tuple(data["shape_kji"][n])
        hu = hu_all[offsets[n] : offsets[n + 1]].reshape(shape).astype(np.float32)
        mask = mask_all[offsets[n] : offsets[n + 1]].reshape(shape).astype(np.float32)
        box = ndimage.find_objects((mask > 0).astype(int))[0]
        margin = (1, 6, 6)
        box = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(box, margin, strict=True))
        hu, mask = hu[box], mask[box]
        spacing = data["spacing_kji_mm"][n]
        own = equivalent_diameter(float((mask > 0).sum() * np.prod(spacing)))
        rating = float(row["malignancy"] or "nan")
        for copy in range(copies):
            scale = 1.0
            if copy:
                scale = float(np.clip(np.exp(rng.normal(*LUNA16_LOG_DIAMETER)) / own, *SCALE_LIMITS))
            # The outermost slice's partial volume reaches half a slice beyond it.
            factors = spacing * scale
            padded = np.pad(mask, ((1, 1), (1, 1), (1, 1)))
            nodule = insertable(
                _zoomed(np.pad(hu, 1, mode="edge"), factors, 3),
                np.clip(_zoomed(padded, factors, 1), 0, 1),
                fold=fold_of(row["patient"]),
                source=f"crop {row['nodule']}",
                malignancy=rating if copy == 0 else float("nan"),
                slice_mm=float(max(factors[0], 1.0)),
            )
            if nodule is not None:
                yield nodule


def simulated_nodules(
    count: int, seed: int, outlines: Sequence[ReadOutline] = (), population: Population = LIDC
) -> Iterator[InsertableNodule]:
    """Nodules of the simulator, with LUNA16's sizes. A nodule with a reader's outline is of that patient's fold, the
    others' fold is -1: they belong to no patient."""
    rng = np.random.default_rng(seed)
    shapes = {id(outline): (one, outline) for one in outlines for outline in [one.outline()]}
    pool = [outline for _, outline in shapes.values()]
    for n in range(count):
        diameter = float(np.clip(np.exp(rng.normal(*LUNA16_LOG_DIAMETER)), 3.0, 25.0))
        spec = draw_nodule_spec(rng, population, pool, diameter_mm=diameter)
        fold = NO_FOLD if spec.outline is None else shapes[id(spec.outline)][0].fold
        nodule = simulated_nodule(spec, rng, fold=fold, source=f"simulated {n} {spec.density}")
        if nodule is not None:
            yield nodule


def simulated_nodule(
    spec: NoduleSpec, rng: np.random.Generator, fold: int = NO_FOLD, source: str = "simulated"
) -> InsertableNodule | None:
    """One nodule of the simulator, its centre anywhere in a voxel; its mask is the body without strands and haze."""
    model = draw_nodule(spec, rng)
    offset = rng.uniform(-0.5, 0.5, 3).tolist()
    alpha, hu = render_nodule(model, rng, 1.0, offset, supersampling=2)
    body = model.depth_mm(box_offsets_mm(model, np.ones(3), offset)) > 0
    if body.sum() < 8:
        return None
    box = ndimage.find_objects((ndimage.maximum_filter(alpha > 0.02, 3) | body).astype(np.uint8))[0]
    # The box stays centred on the nodule: its middle voxel is what is placed.
    middle = np.array(alpha.shape) // 2
    reach = np.max([[m - s.start, s.stop - 1 - m] for m, s in zip(middle, box, strict=True)], axis=1)
    box = tuple(slice(m - r, m + r + 1) for m, r in zip(middle, reach, strict=True))
    return InsertableNodule(
        np.rint(hu[box]).astype(np.int16),
        np.rint(alpha[box] * 255).astype(np.uint8),
        body[box],
        equivalent_diameter(float(body.sum())),
        fold,
        source,
        location=spec.location,
    )


def decoys(
    image: NDArray[np.uint8], lung: NDArray[np.bool_], count: int, seed: int, fold: int
) -> Iterator[InsertableNodule]:
    """Pieces of healthy lung (vessels, airways, noise), cut and feathered exactly as nodules are. Inserted as
    negatives, they keep a network from learning the insertion instead of the nodule."""
    rng = np.random.default_rng(seed)
    inside = np.argwhere(ndimage.binary_erosion(lung, iterations=6))
    low, high = LUNG_WINDOW_HU
    while count:
        center = inside[rng.integers(len(inside))]
        diameter = float(np.clip(np.exp(rng.normal(*LUNA16_LOG_DIAMETER)), 3.5, 16))
        reach = int(np.ceil(diameter / 2)) + 3
        region = tuple(slice(max(c - reach, 0), c + reach + 1) for c in center)
        box = image[region]
        if box.shape != (2 * reach + 1,) * 3 or (box > 64).sum() < 10:
            continue
        axis = np.arange(-reach, reach + 1)
        radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
        wobble = ndimage.gaussian_filter(rng.normal(size=box.shape), 2)
        occupancy = np.clip(diameter / 2 - radius + 0.5 + 1.5 * wobble / max(wobble.std(), 1e-6), 0, 1)
        nodule = insertable(
            box / 255.0 * (high - low) + low, occupancy, fold=fold, source="decoy", malignancy=float("nan")
        )
        if nodule is not None:
            count -= 1
            yield nodule


def save_nodules(path: Path, nodules: Iterable[InsertableNodule]) -> int:
    """Pack nodules of any shape into one .npz; returns how many."""
    items = list(nodules)
    shapes = np.array([n.density.shape for n in items], dtype=np.int16)
    np.savez_compressed(
        path,
        density=np.concatenate([n.density.ravel() for n in items]),
        alpha=np.concatenate([n.alpha.ravel() for n in items]),
        mask=np.concatenate([n.mask.ravel() for n in items]),
        shape=shapes,
        diameter_mm=np.array([n.diameter_mm for n in items], dtype=np.float32),
        fold=np.array([n.fold for n in items], dtype=np.int8),
        malignancy=np.array([n.malignancy for n in items], dtype=np.float32),
        source=np.array([n.source for n in items]),
        location=np.array([n.location or "" for n in items]),
        slice_mm=np.array([n.slice_mm for n in items], dtype=np.float32),
        lung_level=np.array([n.lung_level for n in items], dtype=np.float32),
    )
    return len(items)


def load_nodules(path: Path) -> list[InsertableNodule]:
    """Undo `save_nodules`."""
    data = np.load(path)
    density, alpha, mask = data["density"], data["alpha"], data["mask"]
    shapes = data["shape"].astype(int)
    ends = np.cumsum(shapes.prod(axis=1))
    # Caches from before there were any.
    locations = data["location"] if "location" in data else [""] * len(shapes)
    thicknesses = data["slice_mm"] if "slice_mm" in data else np.ones(len(shapes))
    levels = data["lung_level"] if "lung_level" in data else np.full(len(shapes), np.nan)
    return [
        InsertableNodule(
            density[end - shape.prod() : end].reshape(shape),
            alpha[end - shape.prod() : end].reshape(shape),
            mask[end - shape.prod() : end].reshape(shape),
            float(data["diameter_mm"][n]),
            int(data["fold"][n]),
            str(data["source"][n]),
            float(data["malignancy"][n]),
            str(locations[n]) or None,  # type: ignore[arg-type]
            float(thicknesses[n]),
            float(levels[n]),
        )
        for n, (shape, end) in enumerate(zip(shapes, ends, strict=True))
    ]
