"""What a forest grows on beyond cross-validation's marks: the same lungs and cubes as other scanners would have shown
them, more insertions, and decoys. Five lungs are few; what a scanner does to a vessel must not count as news."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cross_validation import INSERTED, FoldDetector, Seen, inserted_somewhere
from .nodules import InsertableNodule, load_nodules
from .out_of_fold import OutOfFold
from .sampler import Lung, load_cubes, load_lungs
from .splits import fold_of
from .transforms.scanner import draw_scanner

SEED = 100
"""Plus the fold: other draws than cross-validation's insertions."""
LUNG_COPIES, CUBE_COPIES, INSERTIONS, DECOYS = 5, 2, 100, 60
OTHER_SCANNER_SHARE = 0.6
DECOY_REACH_MM = 4.0
AWAY_MM, FROM_BORDER_MM = 4.0, 13.0
"""How far from a cube's nodule, and from its border, a mark is surely false and has its surroundings."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Proposals as a forest sees them.

    :param inputs: float32 (n, features). :param fold: int (n,).
    :param is_nodule, is_real: bool (n,); a real nodule lies in its own surroundings.
    """

    inputs: NDArray[np.float32]
    is_nodule: NDArray[np.bool_]
    is_real: NDArray[np.bool_]
    fold: NDArray[np.int64]

    @classmethod
    def together(cls, parts: Iterable[Samples]) -> Samples:
        """All in one."""
        parts = list(parts)
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    @classmethod
    def of_marks(cls, marks: list[dict[str, Any]], inputs: NDArray[np.float32]) -> Samples:
        """Cross-validation's marks on nodules, and its false marks in lungs; the others tell nothing or only judge."""
        data = OutOfFold(marks, [], 1)
        hit, used = data.is_hit(), data.teaches()
        real = np.array([mark["kind"] not in INSERTED for mark in marks])
        return cls(inputs[used], hit[used], real[used], np.array([mark["fold"] for mark in marks])[used])

    def save(self, path: Path) -> None:
        """As .npz."""
        np.savez_compressed(path, **vars(self))

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Undo `save`."""
        with np.load(path) as file:
            return cls(**{f.name: file[f.name] for f in fields(cls)})


def samples_of_fold(fold: int, detector: FoldDetector, cache: Path, data: Path) -> Samples:
    """Samples of one fold's left-out patients."""
    rng = np.random.default_rng(SEED + fold)
    lung = load_lungs(cache)[fold]
    parts = [*_lungs(lung, detector, rng), *_cubes(fold, detector, data, rng)]
    for kind, count in (("crops", INSERTIONS), ("decoys", DECOYS)):
        pool = [n for n in load_nodules(cache / f"{kind}.npz") if n.fold == fold]
        parts += _insertions(lung, pool, count, detector, rng)
    inputs, nodule, real = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Samples(inputs, nodule, real, np.full(len(inputs), fold))


Part = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]


def _lungs(lung: Lung, detector: FoldDetector, rng: np.random.Generator) -> Iterator[Part]:
    """False marks of mirrored copies as other scanners would have shown them."""
    for _ in range(LUNG_COPIES):
        image = _other_scanner(lung.image, lung.slice_mm, rng)
        axes = [axis for axis in range(3) if rng.random() < 0.5]
        mirrored = tuple(slice(None, None, -1 if axis in axes else 1) for axis in range(3))
        ignore = lung.ignore[mirrored]
        seen = detector(np.ascontiguousarray(image[mirrored]), np.ascontiguousarray(lung.lung[mirrored]))
        sure = np.array([not ignore[tuple(np.rint(p.center_kji).astype(int))] for p in seen.proposals], dtype=bool)
        yield _part(seen, sure, is_nodule=False, is_real=True)


def _cubes(fold: int, detector: FoldDetector, data: Path, rng: np.random.Generator) -> Iterator[Part]:
    """Nodules in copies of cubes, and what else is marked in cubes and copies, well away from nodule and border."""
    for cube in load_cubes(data / "lidc-nodules"):
        if fold_of(cube.patient) != fold:
            continue
        radius = cube.diameter_mm / 2
        for image in (cube.image, *(_other_scanner(cube.image, 1.0, rng) for _ in range(CUBE_COPIES))):
            seen = detector(image, None)
            places = np.array([p.center_kji for p in seen.proposals]).reshape(-1, 3)
            inside = ((places > FROM_BORDER_MM) & (places < np.array(image.shape) - FROM_BORDER_MM)).all(axis=1)
            away = ~_near(seen, cube.mask, radius + AWAY_MM) & inside
            yield _part(seen, away, is_nodule=False, is_real=True)
            if image is not cube.image:  # its own marks are cross-validation's
                yield _part(seen, _near(seen, cube.mask, radius), is_nodule=True, is_real=True)


def _insertions(
    lung: Lung, pool: list[InsertableNodule], count: int, detector: FoldDetector, rng: np.random.Generator
) -> Iterator[Part]:
    """Nodules of any size, or pieces of healthy lung, inserted at random."""
    for _ in range(count):
        nodule, image, mask = inserted_somewhere(lung, pool, rng)
        if rng.random() < OTHER_SCANNER_SHARE:
            image = _other_scanner(image, lung.slice_mm, rng)
        seen = detector(image, None)
        decoy = nodule.source == "decoy"
        reach = DECOY_REACH_MM if decoy else nodule.diameter_mm / 2
        yield _part(seen, _near(seen, mask, reach), is_nodule=not decoy, is_real=False)


def _other_scanner(image: NDArray[np.uint8], slice_mm: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    levels = draw_scanner(rng, image.shape, slice_mm)(image.astype(np.float32))
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _near(seen: Seen, mask: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """Which proposals lie within a distance of a mask's centre."""
    center = np.argwhere(mask).mean(axis=0)
    return np.array([np.linalg.norm(p.center_kji - center) < reach for p in seen.proposals], dtype=bool)


def _part(seen: Seen, used: NDArray[np.bool_], *, is_nodule: bool, is_real: bool) -> Part:
    count = int(used.sum())
    return seen.inputs[used], np.full(count, is_nodule), np.full(count, is_real)
