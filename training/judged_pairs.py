"""Patches of real and simulated nodules in pairs that differ in nothing else, for the judges of realism."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleCADLib.simulation import LIDC, PLAIN, Location, Outline, draw_nodule_spec, fitting_place, insert_nodule

from .boxes import NoduleBox, ball
from .dense_part import dense_diameter, middle, nominal
from .nodules import InsertableNodule, insertable, simulated_nodule, to_window
from .outlines import FILE, load_outlines
from .receiving import character_of, receive, to_hu
from .sampler import Lung, cut, insert
from .splits import NO_FOLD
from .twin_places import place_like, room_beside

SIZE = 32
LIKE_SIZE = 20
"""A simulated nodule has the diameter of one of that many real ones that are nearest in size to its twin."""
LEAST_SEEN = 500
"""A pair that shows fewer voxels than that shows nothing to judge."""
FLAT_HU, BALL_HU = -860.0, 40.0
SIMULATORS = ("full", "plain", "spheres", "real")
PASTED_FROM_MM = 10.0
CUT_MARGIN = (1, 6, 6)


@dataclass(frozen=True, eq=False)
class Judged:
    """A patch to be judged.

    :param about: density and location of a simulated nodule, and whether its outline was a reader's; whether its
        surroundings are a cube's or a flat crop's.
    """

    patch: NDArray[np.uint8]
    simulated: bool
    patient: str
    diameter_mm: float
    about: tuple[str, ...] = ()


class Maker:
    """Draws simulated nodules of a size for one simulator, never with an outline of the receiving patient."""

    def __init__(self, simulator: str, cache: Path) -> None:
        self.simulator = simulator
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
        if self.simulator == "spheres":
            return _ball(diameter), ("ball",)
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
        like = np.argsort(np.abs(np.log(own / real_diameter)), kind="stable")[:LIKE_SIZE]
        diameter = float(own[rng.choice(like)])
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
            image, mask = _as_it_is(box.image, nodule, place)
        if mask.sum() < 8:  # nearly all of it in a wall
            continue
        centers = [c + rng.integers(-1, 2, size=3) for c in (center, middle(image, mask))]
        shown = _shown_by_both(image.shape, centers)
        real, simulated = (_patch(image, c, shown) for c in centers)
        if min((real > 0).sum(), (simulated > 0).sum()) < LEAST_SEEN:
            continue
        where = "cube" if len(set(box.image.shape)) == 1 else "crop"
        yield (
            Judged(real, False, box.patient, float(real_diameter)),
            Judged(simulated, True, box.patient, diameter, (*about, where)),
        )


def real_pairs(pairs: list[tuple[Judged, Judged]], seed: int) -> list[tuple[Judged, Judged]]:
    """The real nodules alone: each with one of another patient and of like size, which is called simulated."""
    order = np.argsort([real.diameter_mm for real, _ in pairs], kind="stable")
    reals = [pairs[n][0] for n in order]
    made = [(a, b) for a, b in zip(reals[::2], reals[1::2], strict=False) if a.patient != b.patient]
    swap = np.random.default_rng(seed).random(len(made)) < 0.5
    made = [(b, a) if swapped else (a, b) for (a, b), swapped in zip(made, swap, strict=True)]
    return [(a, replace(b, simulated=True, about=("real",))) for a, b in made]


def pasted(boxes: list[NoduleBox], lungs: list[Lung], maker: Maker, seed: int) -> Iterator[tuple[Judged, Judged]]:
    """Real and simulated nodule of the same size in the same place of another patient's lung."""
    rng = np.random.default_rng(seed)
    for box in boxes:
        diameter = dense_diameter(box)
        real = cut_out(box.image, box.mask)
        if real is None or diameter < PASTED_FROM_MM:
            continue
        nodule, about = maker.draw(nominal(diameter), box.patient, rng)
        made = _as_cut(nodule, box, rng) if maker.full else nodule
        if made is None:
            continue
        lung = lungs[rng.integers(len(lungs))]
        place = lung.places[rng.integers(len(lung.places))].astype(np.int64)
        around = cut(lung.image, place - SIZE, (2 * SIZE,) * 3)
        center = np.full(3, SIZE) + rng.integers(-1, 2, size=3)
        whole = (slice(0, SIZE),) * 3
        middle_of_it = np.full(3, SIZE)
        with_real = insert(around, real, middle_of_it)[0]
        with_made = (insert if maker.full else _as_it_is)(around, made, middle_of_it)[0]
        first, second = (_patch(image, center, whole) for image in (with_real, with_made))
        yield Judged(first, False, box.patient, diameter), Judged(second, True, box.patient, diameter, about)


def _ball(diameter: float) -> InsertableNodule:
    """A uniform ball whose edge no scan has blurred."""
    reach = int(np.ceil(diameter / 2)) + 1
    inside = ball((2 * reach + 1,) * 3, np.full(3, reach), diameter / 2)
    density = np.full(inside.shape, BALL_HU, dtype=np.int16)
    return InsertableNodule(density, inside.astype(np.uint8) * 255, inside, diameter, NO_FOLD, "ball")


def _as_it_is(
    image: NDArray[np.uint8], nodule: InsertableNodule, center: Sequence[int] | NDArray[np.integer]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A rendered nodule in an image without the blur and the noise of its scan; and its mask."""
    hu = to_hu(image)
    alpha = nodule.alpha.astype(np.float32) / np.float32(255)
    inside = insert_nodule(hu, [int(c) for c in center], alpha, nodule.density.astype(np.float32))
    return to_window(hu), inside


def _as_cut(nodule: InsertableNodule, box: NoduleBox, rng: np.random.Generator) -> InsertableNodule | None:
    """A simulated nodule as if cut out of the box's scan: in empty lung of its blur and noise, round its mask."""
    character = character_of(box.image)
    shape = tuple(n + 12 for n in nodule.density.shape)
    empty = FLAT_HU + character.noise(shape, rng)
    levels = np.clip((empty + 1000) / 1400 * 255, 0, 255).astype(np.uint8)
    image, mask = receive(levels, nodule, np.array(shape) // 2, character, rng)
    return cut_out(image, ndimage.binary_dilation(mask)) if mask.any() else None  # readers draw generously


def cut_out(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> InsertableNodule | None:
    """A nodule with a little of what is around it in its slices, as training cuts it."""
    region = ndimage.find_objects(mask.astype(np.uint8))[0]
    region = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(region, CUT_MARGIN, strict=True))
    return insertable(
        to_hu(image[region]), mask[region].astype(np.float32), fold=NO_FOLD, source="", malignancy=float("nan")
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
