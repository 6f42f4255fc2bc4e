"""Can simulated nodules be told from real ones? Two judges try, patient by patient.

    python -m training.realism --data ../shared/data --cache cache --simulator full --json full.json

`twin`: into the surroundings of a real nodule a simulated one of like size is put beside it. One patch is cut round the
real nodule where it lies, one round the simulated: both show both, the same scan, the same lung, and the same parts of
the patch are empty. `pasted`: for larger nodules, beside which there is no room, a real nodule is cut out and pasted
into another lung, and a simulated one, rendered with blur and noise of the real one's scan, is cut out and pasted in
the same place by the same code.

Patches are 32 mm at 1 mm in the lung window. An AUC of 0.5 means that a judge cannot tell. `plain` measures the
simulator's smooth bodies pasted as they are, without the scan's blur and noise.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleCADLib.simulation import LIDC, PLAIN, Location, Outline, draw_nodule_spec, fitting_place

from .boxes import NoduleBox, load_boxes, load_cubes
from .dense_part import dense_diameter, middle, nominal
from .judges import JUDGES, auc_by_patient, out_of_fold
from .nodules import InsertableNodule, insertable, load_nodules, simulated_nodule, to_window
from .outlines import FILE, load_outlines
from .receiving import character_of, receive, to_hu
from .sampler import Lung, cut, insert, load_lungs
from .splits import BACKGROUND_SCANS, fold_of
from .twin_places import place_like, room_beside

SIZE = 32
LIKE_SIZE = 20
"""A simulated nodule has the diameter of one of that many real ones that are nearest in size to its twin."""
FLAT_HU = -860.0
PASTED_FROM_MM = 10.0


@dataclass(frozen=True, eq=False)
class Judged:
    """A patch to be judged.

    :param about: density and location of a simulated nodule, and whether its outline was a reader's.
    """

    patch: NDArray[np.uint8]
    simulated: bool
    patient: str
    diameter_mm: float
    about: tuple[str, ...] = ()


class Maker:
    """Draws simulated nodules of a size for one simulator, never with an outline of the receiving patient."""

    def __init__(self, simulator: str, cache: Path) -> None:
        self.population = LIDC if simulator == "full" else PLAIN
        self.full = simulator == "full"
        self._outlines: list[tuple[str, Outline]] = []
        if self.full:
            self._outlines = [(one.patient, one.outline()) for one in load_outlines(cache / FILE) if one.patient]

    def draw(
        self, diameter: float, patient: str, rng: np.random.Generator, location: Location | None = None
    ) -> tuple[InsertableNodule, tuple[str, ...]]:
        """A nodule, and what it is.

        :param location: None draws it.
        """
        fixed = {} if location is None else {"location": location}
        others = [outline for owner, outline in self._outlines if owner != patient]
        while True:
            spec = draw_nodule_spec(rng, self.population, others, diameter_mm=diameter, **fixed)
            nodule = simulated_nodule(spec, rng)
            if nodule is not None:
                return nodule, (spec.density, spec.location, "drawn" if spec.outline else "formula")


def twins(boxes: list[NoduleBox], maker: Maker, seed: int) -> Iterator[tuple[Judged, Judged]]:
    """Real and simulated nodule of the same scan, in patches that show both."""
    rng = np.random.default_rng(seed)
    own = np.array([dense_diameter(box) for box in boxes])
    for box, real_diameter in zip(boxes, own, strict=True):
        center = middle(box.image, box.mask)
        diameter = float(rng.choice(own[np.argsort(np.abs(np.log(own / real_diameter)), kind="stable")[:LIKE_SIZE]]))
        room = room_beside(box, center, diameter)
        location, allowed = place_like(box, center, diameter)
        if not (allowed & room).any():
            continue
        nodule, about = maker.draw(nominal(diameter), box.patient, rng, location)
        place = fitting_place(to_hu(box.image), allowed & room, location, diameter, rng)
        assert place is not None
        if maker.full:
            image, mask = receive(box.image, nodule, place, character_of(box.image), rng)
        else:
            image, mask = insert(box.image, as_levels(nodule), np.array(place))
        if mask.sum() < 8:  # nearly all of it in a wall
            continue
        centers = [c + rng.integers(-1, 2, size=3) for c in (center, middle(image, mask))]
        shown = _shown_by_both(image.shape, centers)
        real, simulated = (_patch(image, c, shown) for c in centers)
        yield (
            Judged(real, False, box.patient, float(real_diameter)),
            Judged(simulated, True, box.patient, diameter, about),
        )


def pasted(
    boxes: list[NoduleBox], crops: list[InsertableNodule], lungs: list[Lung], maker: Maker, seed: int
) -> Iterator[tuple[Judged, Judged]]:
    """Real and simulated nodule of the same size in the same place of another patient's lung."""
    rng = np.random.default_rng(seed)
    donors = {box.name: box for box in boxes}
    for real in crops:
        box = donors.pop(real.source, None)  # the first of a crop's copies is of its own size
        if box is None or real.diameter_mm < PASTED_FROM_MM:
            continue
        diameter = dense_diameter(box)
        nodule, about = maker.draw(nominal(diameter), box.patient, rng)
        if maker.full:
            made = _as_cut(nodule, box, rng)
            if made is None:
                continue
            nodule = made
        else:
            nodule = as_levels(nodule)
        lung = lungs[rng.integers(len(lungs))]
        place = lung.places[rng.integers(len(lung.places))].astype(np.int64)
        around = cut(lung.image, place - SIZE, (2 * SIZE,) * 3)
        center = np.full(3, SIZE) + rng.integers(-1, 2, size=3)
        whole = (slice(0, SIZE),) * 3
        first, second = (_patch(insert(around, one, np.full(3, SIZE))[0], center, whole) for one in (real, nodule))
        yield (
            Judged(first, False, box.patient, diameter),
            Judged(second, True, box.patient, diameter, about),
        )


def as_levels(nodule: InsertableNodule) -> InsertableNodule:
    """A simulated nodule as it was pasted before scans' blur and noise were known: in the window's levels."""
    return replace(nodule, density=to_window(nodule.density.astype(np.float32)), location=None)


def _as_cut(nodule: InsertableNodule, box: NoduleBox, rng: np.random.Generator) -> InsertableNodule | None:
    """A simulated nodule as if cut out of the box's scan: in empty lung of its blur and noise, round its mask."""
    character = character_of(box.image)
    shape = tuple(n + 12 for n in nodule.density.shape)
    empty = FLAT_HU + character.noise(shape, rng)
    levels = np.clip((empty + 1000) / 1400 * 255, 0, 255).astype(np.uint8)
    image, mask = receive(levels, nodule, np.array(shape) // 2, character, rng)
    if not mask.any():
        return None
    region = ndimage.find_objects(mask.astype(np.uint8))[0]
    region = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(region, (1, 6, 6), strict=True))
    return insertable(
        to_hu(image[region]), mask[region].astype(np.float32), fold=0, source="simulated", malignancy=float("nan")
    )


def _shown_by_both(shape: tuple[int, ...], centers: list[NDArray[np.int64]]) -> tuple[slice, ...]:
    """The part of a patch, as far to either side of its middle, that lies in the image whichever centre it is cut
    round: else it would show the real nodule beside the simulated one, and not the reverse."""
    before, after = np.min(centers, axis=0), np.min(np.subtract(shape, centers), axis=0)
    return tuple(
        slice(SIZE // 2 - int(n), SIZE // 2 + int(n)) for n in np.minimum(np.minimum(before, after), SIZE // 2)
    )


def _patch(image: NDArray[np.uint8], center: NDArray[np.int64], shown: tuple[slice, ...]) -> NDArray[np.uint8]:
    patch = np.zeros((SIZE,) * 3, dtype=np.uint8)
    patch[shown] = cut(image, center - SIZE // 2, (SIZE,) * 3)[shown]
    return patch


def judge_all(pairs: list[tuple[Judged, Judged]], seed: int) -> dict[str, Any]:
    """Each judge's AUC, in all and by what is simulated."""
    cases = [case for pair in pairs for case in pair]
    patches = np.stack([case.patch for case in cases])
    simulated = np.array([case.simulated for case in cases])
    patients = np.array([case.patient for case in cases])
    folds = np.array([fold_of(case.patient) for case in cases])
    kinds = sorted({kind for case in cases for kind in case.about})
    result: dict[str, Any] = {"pairs": len(pairs), "patients": len(np.unique(patients))}
    for name, judge in JUDGES.items():
        judged = out_of_fold(judge, patches, simulated, folds, seed)
        result[name] = {"all": auc_by_patient(judged, simulated, patients, seed)}
        for kind in kinds:
            # Against the real nodules of the same scans, which differ in nothing else on average.
            of_kind = np.repeat([kind in second.about for _, second in pairs], 2)
            result[name][f"{kind} ({int(of_kind.sum() // 2)})"] = auc_by_patient(
                judged[of_kind], simulated[of_kind], patients[of_kind], seed
            )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="as training.prepare fills it")
    parser.add_argument("--simulator", choices=("full", "plain"), default="full")
    parser.add_argument("--comparison", choices=("twin", "pasted"), default="twin")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the result")
    parser.add_argument("--patches", type=Path, help="where to keep the patches, to look at them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    maker = Maker(arguments.simulator, arguments.cache)
    boxes = load_boxes(arguments.cache / "boxes.npz")
    if arguments.comparison == "twin":
        boxes = load_cubes(arguments.data / "lidc-nodules") + boxes
        pairs = list(twins(boxes, maker, arguments.seed))
    else:
        lungs = load_lungs(arguments.cache)[: len(BACKGROUND_SCANS)]
        crops = load_nodules(arguments.cache / "crops.npz")
        pairs = list(pasted(boxes, crops, lungs, maker, arguments.seed))
    if arguments.patches:
        np.savez_compressed(
            arguments.patches,
            patches=np.stack([[case.patch for case in pair] for pair in pairs]),
            patient=np.array([pair[0].patient for pair in pairs]),
            about=np.array([" ".join(pair[1].about) for pair in pairs]),
            diameter_mm=np.array([[case.diameter_mm for case in pair] for pair in pairs]),
        )
    result = {"simulator": arguments.simulator, "comparison": arguments.comparison, "seed": arguments.seed}
    result |= judge_all(pairs, arguments.seed)
    print(json.dumps(result, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
