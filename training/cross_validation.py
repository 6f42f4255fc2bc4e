"""Out-of-fold detection on real nodules and real lungs: what each fold's networks do with patients they never saw.

    python -m training.cross_validation --data ../shared/data --cache cache --runs runs --json
    runs/cross-validation.json

Four kinds of input: the left-out patients' cubes (real nodules in their own surroundings), their crops inserted into
the left-out lung, once those of 4-6 mm and once those of any size, and the left-out lung itself, whose marks outside
doubtful regions are false positives.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import compress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from LungNoduleCADLib.detection.appearance import appearance, forest_inputs
from LungNoduleCADLib.detection.group import Proposal, group, lies_in_lung
from LungNoduleCADLib.detection.propose import heat_map, reach_of
from LungNoduleCADLib.detection.score import classify
from LungNoduleCADLib.detection.side_views import side_peaks
from LungNoduleCADLib.networks.fusion import channels_last, fuse_batch_norm
from LungNoduleCADLib.preprocess.settings import LUNG_WINDOW_HU

from .checkpoints import averaged_hybrid, averaged_unet, wavelet_of
from .nodules import InsertableNodule, load_nodules
from .sampler import Lung, cut, insert, load_cubes, load_lungs, oriented
from .splits import FOLDS, fold_of
from .transforms.enhancement import enhanced_slices

INSERTION_BOX = 80
LEAST_SHARE_LEFT = 0.75
"""Of an inserted nodule: when less shows, most fell into the chest wall or a vessel, and no reader would see it."""
EDGE_SHARE = 0.3
BATCH = 8


@dataclass(frozen=True)
class Insertions:
    """Which unseen real nodules are inserted into a left-out lung.

    :param sizes_mm: least and greatest diameter. :param per_fold: how many.
    :param seed: to which the fold is added. :param prefix: of their numbers, so that no two cases share a name.
    """

    sizes_mm: tuple[float, float]
    per_fold: int
    seed: int = 0
    prefix: str = ""

    def made(
        self, lung: Lung, nodules: list[InsertableNodule], fold: int
    ) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.bool_], float]]:
        """Boxes of a lung with one of the nodules in each: name, image, mask, diameter."""
        rng = np.random.default_rng(self.seed + fold)
        low, high = self.sizes_mm
        # At their own size: only these kept their readers' rating.
        fitting = [n for n in nodules if low <= n.diameter_mm <= high and not np.isnan(n.malignancy)]
        for number in range(1, self.per_fold + 1):
            nodule, image, mask = inserted_somewhere(lung, fitting, rng)
            yield f"{lung.name} {nodule.source} {self.prefix}{number}", image, mask, nodule.diameter_mm


def inserted_somewhere(
    lung: Lung, pool: list[InsertableNodule], rng: np.random.Generator
) -> tuple[InsertableNodule, NDArray[np.uint8], NDArray[np.bool_]]:
    """One of the nodules, turned at random, in the middle of a box of a lung at a random place: the nodule, the box,
    and the mask of what shows of it, which is most."""
    while True:
        nodule = pool[rng.integers(len(pool))]
        places = lung.edge_places if rng.random() < EDGE_SHARE else lung.places
        place = places[rng.integers(len(places))].astype(int)
        box = cut(lung.image, place - INSERTION_BOX // 2, (INSERTION_BOX,) * 3)
        image, mask = insert(box, oriented(nodule, rng, lung.slice_mm), np.array([INSERTION_BOX // 2] * 3))
        if mask.sum() >= LEAST_SHARE_LEFT * nodule.mask.sum():
            return nodule, image, mask


INSERTED = {
    "insertion": Insertions(sizes_mm=(4.0, 6.0), per_fold=40),
    "any-size": Insertions(sizes_mm=(3.0, 40.0), per_fold=80, seed=1000, prefix="any-"),
}
"""By the kind of their cases."""


@dataclass(frozen=True)
class Mark:
    """A candidate of one input: what the networks say of it, and whether it is on the nodule, healthy or doubtful."""

    kind: str
    case: str
    fold: int
    peak: float
    side_peak: float
    logit: float
    malignancy_logit: float
    hit: bool
    doubtful: bool
    center_kji: tuple[float, float, float]
    appearance: tuple[float, ...] = ()
    """`detection.appearance.FEATURES`, where a forest is to grow on them."""


@dataclass(frozen=True)
class Case:
    """One input that holds a nodule."""

    kind: str
    case: str
    fold: int
    diameter_mm: float
    malignancy: float
    share_in_mask: float
    """Dice of the best mark's voxels with the truth; 0 when missed."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a fold's networks make of an image.

    :param image: as it was before the networks' own preparation, levels 0 to 1.
    :param side_peaks: (n,); logits: (n, 2), nodule and malignancy.
    """

    image: torch.Tensor
    proposals: list[Proposal]
    side_peaks: NDArray[np.float64]
    logits: NDArray[np.float32]

    def __iter__(self) -> Iterator[tuple[Proposal, float, NDArray[np.float32]]]:
        """Each proposal with its peak from the side and its logits."""
        return zip(self.proposals, self.side_peaks.tolist(), self.logits, strict=True)

    @cached_property
    def appearance(self) -> NDArray[np.float32]:
        """Features (n, `len(FEATURES)`)."""
        return appearance(self.image, [p.center_kji for p in self.proposals], LUNG_WINDOW_HU)

    @property
    def inputs(self) -> NDArray[np.float32]:
        """What a forest takes."""
        peaks = np.array([p.peak for p in self.proposals], dtype=np.float64)
        return forest_inputs(peaks, self.side_peaks, self.logits[:, 0].astype(np.float64), self.appearance)


class FoldDetector:
    """The two networks of a run on prepared 1 mm images, each given them as it was trained.

    :param averaged: whether the weights are the moving average, or those of the last step.
    """

    def __init__(self, segmentation: Path, classification: Path, averaged: bool = True) -> None:
        self._segmentation = channels_last(fuse_batch_norm(averaged_unet(segmentation, averaged)))
        classifier = averaged_hybrid(classification, averaged)
        self._patch_size = classifier.config.patch_size
        self._classifier = channels_last(fuse_batch_norm(classifier))
        self._wavelets = wavelet_of(segmentation), wavelet_of(classification)

    def __call__(self, image: NDArray[np.uint8], inside: NDArray[np.bool_] | None) -> Seen:
        """Proposals within the lung, if it is given, and what the networks say of them."""
        prepared = torch.from_numpy(image).float().div_(255)
        reach = None if inside is None else reach_of(inside, 1.0)
        first, second = (enhanced_slices(prepared, wavelet) for wavelet in self._wavelets)
        heat = heat_map(self._segmentation, first, reach, batch=BATCH)
        proposals = [p for p in group(heat) if lies_in_lung(p, inside)]
        centers = [p.center_kji for p in proposals]
        sides = side_peaks(self._segmentation, first, centers, batch=BATCH)
        logits = classify(self._classifier, second, centers, patch_size=self._patch_size, batch=BATCH)
        return Seen(prepared, proposals, sides, logits)


def evaluate_fold(fold: int, detector: FoldDetector, cache: Path, data: Path) -> tuple[list[Mark], list[Case]]:
    """All marks and cases of one fold's left-out patients."""
    marks: list[Mark] = []
    cases: list[Case] = []

    def note(kind: str, case: str, seen: Seen, hit: Sequence[bool], doubtful: Sequence[bool]) -> None:
        for n, (proposal, side, (nodule, malignancy)) in enumerate(seen):
            looks = tuple(float(f"{value:.6g}") for value in seen.appearance[n])
            marks.append(
                Mark(kind, case, fold, proposal.peak, side, float(nodule), float(malignancy), bool(hit[n]),
                     bool(doubtful[n]), proposal.center_kji, looks)
            )  # fmt: skip

    def add(
        kind: str,
        case: str,
        image: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        diameter: float,
        malignancy: float,
    ) -> None:
        best = 0.0
        center = np.argwhere(mask).mean(axis=0)
        seen = detector(image, None)
        hit = [bool(((p.center_kji - center) ** 2).sum() < (diameter / 2) ** 2) for p in seen.proposals]
        for proposal in compress(seen.proposals, hit):
            own = np.zeros(mask.shape, dtype=bool)
            own[proposal.region] = proposal.voxels
            best = max(best, 2 * float((own & mask).sum()) / float(own.sum() + mask.sum()))
        note(kind, case, seen, hit, [False] * len(hit))
        cases.append(Case(kind, case, fold, diameter, malignancy, best))

    for cube in load_cubes(data / "lidc-nodules"):
        if fold_of(cube.patient) == fold:
            add("cube", cube.name, cube.image, cube.mask, cube.diameter_mm, cube.malignancy)
    lung = load_lungs(cache)[fold]
    nodules = [n for n in load_nodules(cache / "crops.npz") if n.fold == fold]
    for kind, inserted in INSERTED.items():
        for name, image, mask, diameter in inserted.made(lung, nodules, fold):
            add(kind, name, image, mask, diameter, float("nan"))
    seen = detector(lung.image, lung.lung)
    doubtful = [bool(lung.ignore[tuple(np.rint(p.center_kji).astype(int))]) for p in seen.proposals]
    note("lung", lung.name, seen, [False] * len(doubtful), doubtful)
    return marks, cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--folds", type=int, nargs="*", default=list(range(FOLDS)))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for fold in arguments.folds:
        detector = FoldDetector(arguments.runs / f"unet-fold{fold}", arguments.runs / f"hybrid-fold{fold}")
        marks, cases = evaluate_fold(fold, detector, arguments.cache, arguments.data)
        path = arguments.json.with_name(f"{arguments.json.stem}-{fold}.json")
        path.write_text(json.dumps({"marks": [asdict(m) for m in marks], "cases": [asdict(c) for c in cases]}))
        hit = {m.case for m in marks if m.hit}
        for kind in ("cube", *INSERTED):
            own = [c for c in cases if c.kind == kind]
            print(fold, kind, f"{sum(c.case in hit for c in own)}/{len(own)} proposed", flush=True)


if __name__ == "__main__":
    main()
