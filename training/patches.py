"""Random patches for the classifier: nodules, real or inserted, against what the segmentation network takes for
one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleCADLib.preprocess.settings import Wavelet

from .boxes import NoduleBox
from .receiving import suited
from .sampler import Sources, cut, insert_of, oriented
from .transforms.enhancement import enhanced
from .transforms.medmix import medmix
from .transforms.orientation import draw_orientation
from .transforms.scanner import draw_scanner

JITTER = 2
"""Voxels: a proposal's centre is not quite the nodule's."""
UNCUT = 10
"""Voxels on every side of a patch's centre that no bound takes away."""
SHORTEST_BOX = 9
"""Slices of a box that say enough of what is around."""
MALIGNANT_FROM, BENIGN_TO = 4, 2
"""Readers' ratings: 4 and 5 are malignant, 1 and 2 benign, 3 says nothing (B10)."""
EASY_WEIGHT = 0.15
"""How often a false proposal comes back that the classifier already knows, against one that it takes for a nodule."""

Extent = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Place:
    """A point in one of the background lungs: index of the lung, voxel."""

    lung: int
    center_kji: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sample:
    """A training patch.

    :param patch: uint8 (k, j, i), a cube.
    :param malignancy: 1, 0, or NaN when unknown.
    :param proposal: index of the false proposal that it shows.
    """

    patch: NDArray[np.uint8]
    is_nodule: bool
    malignancy: float = float("nan")
    proposal: int | None = None


class PatchSampler:
    """Draws `Sample`s.

    Shares: real nodules in their boxes and other places of these boxes, inserted nodules (mostly real), the
    segmentation network's proposals in healthy lung (those that the classifier still takes for nodules more often),
    inserted decoys, random lung.

    A box ends where its image does, and the nodule is at its middle: so that neither class can be told by where the
    patch goes empty, every sample of a box is cut to the extents of a nodule's and of another place's box at once, and
    so is many a patch of a whole lung.

    :param size: edge of the patches, voxels.
    """

    SHARES: ClassVar[dict[str, float]] = {
        "box": 0.24,
        "box background": 0.2,
        "insert": 0.24,
        "proposal": 0.24,
        "decoy": 0.05,
        "lung": 0.03,
    }
    BOUNDED_SHARE = 0.3

    def __init__(
        self, sources: Sources, proposals: list[Place], seed: int, wavelet: Wavelet | None = None, size: int = 64
    ) -> None:
        self.sources, self.proposals, self.wavelet, self.size = sources, proposals, wavelet, size
        self.rng = np.random.default_rng(seed)
        self.weights = np.ones(len(proposals))
        self._cubes = [c for c in sources.cubes if len(c.background)]
        self._boxes = [b for b in sources.boxes if len(b.background) and len(b.image) >= SHORTEST_BOX]

    def report(self, proposal: int, probability: float) -> None:
        """Say how much of a nodule the classifier saw in a false proposal: how often it comes back depends on it."""
        self.weights[proposal] = EASY_WEIGHT + probability

    def draw(self) -> Sample:
        """One sample."""
        kind = str(self.rng.choice(list(self.SHARES), p=list(self.SHARES.values())))
        if kind.startswith("box") and (self._cubes or self._boxes):
            return self._from_box(background=kind == "box background")
        if kind == "proposal" and self.proposals:
            index = int(self.rng.choice(len(self.proposals), p=self.weights / self.weights.sum()))
            place = self.proposals[index]
            return Sample(
                self._of_lung(self._cut(place), self.sources.lungs[place.lung].slice_mm), False, proposal=index
            )
        which = int(self.rng.integers(len(self.sources.lungs)))
        lung = self.sources.lungs[which]
        pool = lung.edge_places if self.rng.random() < 0.4 else lung.places
        place = Place(which, pool[self.rng.integers(len(pool))].astype(np.int64))
        decoys = self.sources.decoys
        if kind not in ("insert", "decoy") or (kind == "decoy" and not decoys):
            return Sample(self._of_lung(self._cut(place, jitter=0), lung.slice_mm), False)
        nodule = self.sources.draw_nodule(self.rng) if kind == "insert" else decoys[self.rng.integers(len(decoys))]
        nodule = oriented(nodule, self.rng, lung.slice_mm)
        image = self._cut(Place(which, suited(lung.image, nodule, place.center_kji, self.rng)), jitter=0)
        where = self.size // 2 + self.rng.integers(-JITTER, JITTER + 1, size=3)
        image, mask = insert_of(lung, image, nodule, where, self.rng)
        if kind == "decoy" or mask.sum() < 8:
            return Sample(self._of_lung(image, lung.slice_mm), False)
        if self.rng.random() < 0.1:
            image = self._medmix(image, mask)
        return Sample(self._of_lung(image, lung.slice_mm), True, malignant(nodule.malignancy))

    def _cut(self, place: Place, jitter: int = JITTER) -> NDArray[np.uint8]:
        first = place.center_kji - self.size // 2 + self.rng.integers(-jitter, jitter + 1, size=3)
        return cut(self.sources.lungs[place.lung].image, first, (self.size,) * 3)

    def _from_box(self, background: bool) -> Sample:
        """A nodule's box around the nodule, or around something dense beside it."""
        pool = self._cubes if self._cubes and (self.rng.random() < 0.5 or not self._boxes) else self._boxes
        box, other = (pool[n] for n in self.rng.integers(len(pool), size=2))
        center = self._center(box, background)
        image = np.zeros((self.size,) * 3, dtype=np.uint8)
        region = extent(self.size, box.image.shape, center)
        low = self.size // 2 - center
        image[region] = box.image[tuple(slice(r.start - a, r.stop - a) for r, a in zip(region, low, strict=True))]
        patch = self._finish(image, 1.0, extent(self.size, other.image.shape, self._center(other, not background)))
        return Sample(patch, not background, float("nan") if background else malignant(box.malignancy))

    def _center(self, box: NoduleBox, background: bool) -> NDArray[np.int64]:
        if background:
            middle = box.background[self.rng.integers(len(box.background))].astype(np.int64)
        else:
            middle = np.rint(ndimage.center_of_mass(box.mask)).astype(np.int64)
        return middle + self.rng.integers(-JITTER, JITTER + 1, size=3)

    def _of_lung(self, image: NDArray[np.uint8], slice_mm: float) -> NDArray[np.uint8]:
        bounds: Extent = (slice(0, self.size),) * 3
        pool = self._cubes or self._boxes
        if pool and self.rng.random() < self.BOUNDED_SHARE:
            nodule, place = (pool[n] for n in self.rng.integers(len(pool), size=2))
            bounds = intersection(
                extent(self.size, nodule.image.shape, self._center(nodule, background=False)),
                extent(self.size, place.image.shape, self._center(place, background=True)),
            )
        return self._finish(image, slice_mm, bounds)

    def _finish(self, image: NDArray[np.uint8], slice_mm: float, bounds: Extent) -> NDArray[np.uint8]:
        """Another scanner, nothing outside the bounds, mirror, turn (A8), one draw a sample."""
        scanner = draw_scanner(self.rng, image.shape, slice_mm)
        x = np.clip(enhanced(scanner(image.astype(np.float32)), self.wavelet), 0, 255).astype(np.uint8)
        image = np.zeros_like(x)
        half = self.size // 2
        uncut = min(UNCUT, half)
        seen = tuple(slice(min(b.start, half - uncut), max(b.stop, half + uncut)) for b in bounds)
        image[seen] = x[seen]
        return np.ascontiguousarray(draw_orientation(self.rng)(image))

    def _medmix(self, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Inside the nodule the patch, outside a mixture with another lung's patch (A9, fault 8 put right)."""
        which = int(self.rng.integers(len(self.sources.lungs)))
        places = self.sources.lungs[which].places
        other = self._cut(Place(which, places[self.rng.integers(len(places))].astype(np.int64)))
        return medmix(mask, other)(image)


def extent(size: int, shape: tuple[int, ...], center: NDArray[np.int64]) -> Extent:
    """The part of a patch of an edge `size` around `center` that a box of that shape fills."""
    half = size // 2
    i, j, k = (
        slice(max(half - int(c), 0), max(min(half - int(c) + n, size), 0)) for c, n in zip(center, shape, strict=True)
    )
    return i, j, k


def intersection(a: Extent, b: Extent) -> Extent:
    """What two boxes of a patch share."""
    i, j, k = (slice(max(p.start, q.start), min(p.stop, q.stop)) for p, q in zip(a, b, strict=True))
    return i, j, k


def malignant(rating: float) -> float:
    """1, 0 or NaN from a reader's median rating."""
    return 1.0 if rating >= MALIGNANT_FROM else 0.0 if rating <= BENIGN_TO else float("nan")
