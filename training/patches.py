"""Random 64 mm patches for the classifier: nodules, real or inserted, against what the segmentation network takes for
one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .sampler import CUBE, Sources, cut, insert, oriented

SIZE = 64
JITTER = 2
"""Voxels: a proposal's centre is not quite the nodule's."""
MALIGNANT_FROM, BENIGN_TO = 4, 2
"""Readers' ratings: 4 and 5 are malignant, 1 and 2 benign, 3 says nothing (B10)."""


@dataclass(frozen=True, eq=False)
class Place:
    """A point in one of the background lungs: index of the lung, voxel."""

    lung: int
    center_kji: NDArray[np.int64]


class PatchSampler:
    """Draws (patch uint8 (64, 64, 64), is nodule, is malignant or NaN).

    Shares: real cubes, inserted nodules (mostly real), the segmentation network's proposals in healthy lung, inserted
    decoys, random lung.
    """

    SHARES: ClassVar[dict[str, float]] = {
        "cube": 0.2,
        "cube background": 0.17,
        "insert": 0.3,
        "proposal": 0.22,
        "decoy": 0.07,
        "lung": 0.04,
    }

    def __init__(self, sources: Sources, proposals: list[Place], seed: int) -> None:
        self.sources, self.proposals = sources, proposals
        self.rng = np.random.default_rng(seed)

    def draw(self) -> tuple[NDArray[np.uint8], bool, float]:
        """One sample."""
        kind = str(self.rng.choice(list(self.SHARES), p=list(self.SHARES.values())))
        if kind.startswith("cube"):
            return self._cube(background=kind == "cube background")
        if kind == "proposal" and self.proposals:
            place = self.proposals[self.rng.integers(len(self.proposals))]
            return self._finish(self._cut(place), None), False, float("nan")
        which = int(self.rng.integers(len(self.sources.lungs)))
        lung = self.sources.lungs[which]
        pool = lung.edge_places if self.rng.random() < 0.4 else lung.places
        place = Place(which, pool[self.rng.integers(len(pool))].astype(np.int64))
        image = self._cut(place, jitter=0)
        if kind not in ("insert", "decoy"):
            return self._finish(image, None), False, float("nan")
        decoys = self.sources.decoys
        nodule = self.sources.draw_nodule(self.rng) if kind == "insert" else decoys[self.rng.integers(len(decoys))]
        where = SIZE // 2 + self.rng.integers(-JITTER, JITTER + 1, size=3)
        image, mask = insert(image, oriented(nodule, self.rng, lung.slice_mm), where)
        if kind == "decoy" or mask.sum() < 8:
            return self._finish(image, None), False, float("nan")
        return self._finish(image, mask), True, malignant(nodule.malignancy)

    def _cut(self, place: Place, jitter: int = JITTER) -> NDArray[np.uint8]:
        first = place.center_kji - SIZE // 2 + self.rng.integers(-jitter, jitter + 1, size=3)
        return cut(self.sources.lungs[place.lung].image, first, (SIZE,) * 3)

    def _cube(self, background: bool) -> tuple[NDArray[np.uint8], bool, float]:
        cube = self.sources.cubes[self.rng.integers(len(self.sources.cubes))]
        background = background and len(cube.background) > 0
        middle = np.rint(ndimage.center_of_mass(cube.mask)).astype(int)
        if background:
            middle = cube.background[self.rng.integers(len(cube.background))].astype(int)
        center = middle + self.rng.integers(-JITTER, JITTER + 1, size=3)
        image = np.zeros((SIZE,) * 3, dtype=np.uint8)
        low = SIZE // 2 - center
        region = tuple(slice(max(a, 0), min(a + CUBE, SIZE)) for a in low)
        image[region] = cube.image[tuple(slice(r.start - a, r.stop - a) for r, a in zip(region, low, strict=True))]
        patch = self._finish(image, None, bounded=True)
        return (patch, False, float("nan")) if background else (patch, True, malignant(cube.malignancy))

    def _finish(
        self, image: NDArray[np.uint8], mask: NDArray[np.bool_] | None, bounded: bool = False
    ) -> NDArray[np.uint8]:
        """Mirror, turn, sharpness, noise, contrast (A8) and MedMix (A9), one draw a sample."""
        rng = self.rng
        x = image.astype(np.float32)
        if mask is not None and not bounded and rng.random() < 0.1:
            x = self._medmix(x, mask)
        draw = rng.random()
        if draw < 0.2:
            x = ndimage.uniform_filter1d(x, int(rng.integers(2, 4)), axis=0, mode="nearest")
        elif draw < 0.5:
            x = ndimage.gaussian_filter(x, rng.uniform(0.3, 0.9), truncate=2.0)
        if rng.random() < 0.4:
            x += rng.standard_normal(x.shape, dtype=np.float32) * rng.uniform(1, 12)
        if rng.random() < 0.5:
            x = (np.clip(x, 0, 255) / 255) ** np.float32(rng.uniform(0.8, 1.2)) * 255 + np.float32(rng.uniform(-6, 6))
        image = np.clip(x, 0, 255).astype(np.uint8)
        if not bounded and rng.random() < 0.4:
            # Real nodules also come as small cubes with nothing around: neither class may be told by that.
            image = bounded_view(image, rng)
        for axis in range(3):
            if rng.random() < 0.5:
                image = np.flip(image, axis)
        return np.ascontiguousarray(image.swapaxes(1, 2) if rng.random() < 0.5 else image)

    def _medmix(self, x: NDArray[np.float32], mask: NDArray[np.bool_], alpha: float = 0.5) -> NDArray[np.float32]:
        """Inside the nodule the patch, outside a mixture with another lung's patch (A9, fault 8 put right)."""
        which = int(self.rng.integers(len(self.sources.lungs)))
        places = self.sources.lungs[which].places
        other = self._cut(Place(which, places[self.rng.integers(len(places))].astype(np.int64)))
        keep = ndimage.gaussian_filter(mask.astype(np.float32), 1.0)
        keep = np.maximum(keep, mask)
        return keep * x + (1 - keep) * (alpha * x + (1 - alpha) * other)


def bounded_view(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Air outside a box of the cubes' size that holds the patch's middle; now and then only cut along z, as in a
    slab."""
    out = np.zeros_like(image)
    low = SIZE // 2 - CUBE // 2 + rng.integers(-6, 7, size=3)
    region = [slice(max(a, 0), min(a + CUBE, SIZE)) for a in low]
    if rng.random() < 0.3:
        half = rng.integers(8, 16)
        region = [slice(SIZE // 2 - half, SIZE // 2 + half), slice(None), slice(None)]
    out[tuple(region)] = image[tuple(region)]
    return out


def malignant(rating: float) -> float:
    """1, 0 or NaN from a reader's median rating."""
    return 1.0 if rating >= MALIGNANT_FROM else 0.0 if rating <= BENIGN_TO else float("nan")
