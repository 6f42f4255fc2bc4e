"""What training takes from a prepared scan: lungs, nodules in their surroundings, nodules to insert, negatives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleCADLib.preprocess.window import LUNG_WINDOW_HU

from ..boxes import OTHER_FINDING_MM, NoduleBox, background_places, ball
from ..nodules import SOLID_MASK_LEVEL, InsertableNodule, insertable
from ..sampler import Lung
from ..splits import fold_of
from .entries import Entry, StoredNodule

BOX = 51
"""Edge of a nodule's box in mm."""
CORE_MM = 4
"""Places at least this far from the lung's border are inner ones."""
MOST_PLACES, MOST_EDGE_PLACES = 200_000, 100_000
INSERT_MARGIN = 4
NEGATIVE_DISTANCE_MM = 50.0
NEGATIVES_PER_NODULE, MOST_NEGATIVES = 5, 20


def doubtful(entry: Entry) -> NDArray[np.bool_]:
    """Voxels (k, j, i) at or near a nodule or an excluded finding: no healthy lung."""
    mask = np.zeros(entry.shape, dtype=bool)
    for nodule in entry.nodules:
        _mark_ball(mask, nodule.center_kji, nodule.diameter_mm / 2 + OTHER_FINDING_MM)
    for center in entry.excluded_kji:
        _mark_ball(mask, center, OTHER_FINDING_MM)
    return mask


def lung_of(entry: Entry, seed: int = 0) -> Lung:
    """The scan as background that nodules are inserted into. Named by its patient, by whom folds are made."""
    lung, ignore = entry.lung(), doubtful(entry)
    free = lung & ~ignore
    core = ndimage.binary_erosion(free, iterations=CORE_MM)
    rng = np.random.default_rng(seed)
    inner, edge = np.argwhere(core), np.argwhere(free & ~core)
    return Lung(
        entry.patient,
        entry.image(),
        lung,
        ignore,
        inner[rng.permutation(len(inner))[:MOST_PLACES]].astype(np.int16),
        edge[rng.permutation(len(edge))[:MOST_EDGE_PLACES]].astype(np.int16),
        entry.slice_mm,
        entry.ijk_to_lps,
    )


def boxes_of(entry: Entry) -> list[NoduleBox]:
    """Each nodule with up to 51 mm of its own surroundings, as far as the prepared scan goes."""
    boxes = []
    for n, nodule in enumerate(entry.nodules):
        low = np.maximum(np.rint(nodule.center_kji).astype(int) - BOX // 2, 0)
        high = np.minimum(np.rint(nodule.center_kji).astype(int) + BOX // 2 + 1, entry.shape)
        if (high <= low).any():
            continue
        shape = tuple(int(size) for size in high - low)
        mask, other = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        for m, each in enumerate(entry.nodules):
            _add(other if m != n else mask, each, low)
        for center in entry.excluded_kji:
            _mark_ball(other, center - low, OTHER_FINDING_MM)
        if not mask.any():
            continue
        image = entry.cut(low, shape)
        places = background_places(image, mask | other)
        boxes.append(
            NoduleBox(_name(entry, n), entry.patient, image, mask, nodule.malignancy, nodule.diameter_mm, places)
        )
    return boxes


def insertables_of(entry: Entry) -> list[InsertableNodule]:
    """Each nodule at its own size, ready to be blended into another lung."""
    made = []
    low_hu, high_hu = LUNG_WINDOW_HU
    for n, nodule in enumerate(entry.nodules):
        image = entry.cut(
            nodule.start_kji - INSERT_MARGIN, [size + 2 * INSERT_MARGIN for size in nodule.occupancy.shape]
        )
        item = insertable(
            image / 255.0 * (high_hu - low_hu) + low_hu,
            np.pad(nodule.occupancy / 255.0, INSERT_MARGIN),
            fold=fold_of(entry.patient),
            source=_name(entry, n),
            malignancy=nodule.malignancy,
        )
        if item is not None:
            made.append(item)
    return made


def negative_centers(entry: Entry, rng: np.random.Generator) -> NDArray[np.int64]:
    """Random centres (n, 3) in the lung at least 50 mm from every nodule and clear of every excluded finding: five a
    nodule, twenty a scan at most (A10)."""
    count = min(NEGATIVES_PER_NODULE * len(entry.nodules), MOST_NEGATIVES)
    free = entry.lung()
    for center in entry.excluded_kji:
        _mark_ball(free, center, OTHER_FINDING_MM, value=False)
    places = np.argwhere(free)
    for nodule in entry.nodules:
        places = places[np.linalg.norm(places - nodule.center_kji, axis=1) >= NEGATIVE_DISTANCE_MM]
    return places[rng.choice(len(places), min(count, len(places)), replace=False)]


def _name(entry: Entry, n: int) -> str:
    return f"{entry.name} {n + 1}"


def _add(mask: NDArray[np.bool_], nodule: StoredNodule, first: NDArray[np.int64]) -> None:
    """Mark a nodule's voxels in a box whose first voxel is `first`."""
    low = nodule.start_kji - first
    target = tuple(slice(max(a, 0), max(a + n, 0)) for a, n in zip(low, nodule.occupancy.shape, strict=True))
    part = mask[target]
    skipped = np.maximum(-low, 0)
    solid = nodule.occupancy >= SOLID_MASK_LEVEL * 255
    part |= solid[tuple(slice(s, s + n) for s, n in zip(skipped, part.shape, strict=True))]


def _mark_ball(mask: NDArray[np.bool_], center: NDArray[np.float64], radius: float, value: bool = True) -> None:
    low = np.maximum(np.floor(center - radius).astype(int), 0)
    high = np.minimum(np.ceil(center + radius).astype(int) + 1, mask.shape)
    if (high > low).all():
        region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        mask[region][ball(mask[region].shape, center - low, radius)] = value
