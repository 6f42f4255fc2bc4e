"""Samples of prepared data sets (LUNA16, LIDC, folders, simulated scans), whose lungs need not all fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from LungNoduleCADLib.errors import InputError

from ..boxes import AERATED_LEVEL
from ..checkpoints import averaged_unet, wavelet_of
from ..datasets.cache import Cache
from ..datasets.entries import Entry
from ..datasets.items import boxes_of, insertables_of, lung_of, negative_centers
from ..datasets.partition import Part, load_split
from ..mining import mine, read_places
from ..nodules import InsertableNodule, decoys
from ..patches import Place
from ..sampler import Lung, Sources
from ..splits import fold_of
from .batches import Batch
from .config import Config
from .data import Draws
from .draws import Pick, SampledDraws, SampledTask, fixed_batches
from .lungs import PROPOSALS, VALIDATION_PROPOSALS, VALIDATION_SEED, first

DECOYS_PER_LUNG = 40
DENSE_VOXELS = 2000
"""Of vessels, in a lung that is worth looking for pieces in; any real one has a hundred times as many."""
TURNOVER = 4
"""An interval exchanges one lung in so many: reading one takes seconds."""


@dataclass(frozen=True, eq=False)
class _Held:
    """A lung in memory, and healthy pieces of it."""

    lung: Lung
    decoys: list[InsertableNodule]


class LungWindow(Sequence[Lung]):
    """Lungs that are read when they are asked for; the last ones stay in memory."""

    def __init__(self, entries: Sequence[Entry], most: int) -> None:
        self._entries, self._most = entries, most
        self._held: dict[int, _Held] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, number: int) -> Lung:  # type: ignore[override]
        return self.held(number).lung

    def held(self, number: int) -> _Held:
        """A lung with its decoys."""
        if number not in self._held:
            entry = self._entries[number]
            lung = lung_of(entry, seed=number)
            healthy = lung.lung & ~lung.ignore
            dense = int((healthy & (lung.image > AERATED_LEVEL)).sum()) >= DENSE_VOXELS
            count = DECOYS_PER_LUNG if dense else 0
            pieces = list(decoys(lung.image, healthy, count, number, fold_of(entry.patient)))
            self._held[number] = _Held(lung, pieces)
            for oldest in list(self._held)[: -self._most]:
                del self._held[oldest]
        return self._held[number]


class DataSetPool:
    """A window of lungs that moves on over all of a stage's, and all of the stage's nodules."""

    def __init__(self, entries: Sequence[Entry], config: Config, rank: int = 0) -> None:
        self._entries, self._config = entries, config
        self._window = LungWindow(entries, config.data.lungs)
        self._order = np.random.default_rng([config.seed, rank]).permutation(len(entries))
        self._nodules: dict[int, Sources] = {}

    def at(self, interval: int) -> Pick:
        """The interval's window."""
        optimisation, most = self._config.optimisation, self._config.data.lungs
        stage = optimisation.stage(interval)
        members = set(first(list(self._entries), optimisation.stages[stage], [one.patient for one in self._entries]))
        order = [int(number) for number in self._order if number in members]
        start = interval * max(most // TURNOVER, 1)
        lungs = sorted({order[(start + n) % len(order)] for n in range(min(most, len(order)))})
        if stage not in self._nodules:
            self._nodules = {stage: nodules_of([self._entries[number] for number in sorted(members)])}
        held = [self._window.held(number) for number in lungs]
        known = self._nodules[stage]
        pieces = [piece for one in held for piece in one.decoys]
        return Pick(Sources([one.lung for one in held], known.cubes, [], known.crops, [], pieces), tuple(lungs))


def nodules_of(entries: Sequence[Entry]) -> Sources:
    """All nodules, in their surroundings and to insert.

    :raises InputError: when there is none.
    """
    cubes = [box for entry in entries for box in boxes_of(entry)]
    crops = [nodule for entry in entries for nodule in insertables_of(entry)]
    if not cubes or not crops:
        raise InputError(
            f"The {len(entries)} scans to draw from hold no nodule; prepare more scans, or begin with a larger stage."
        )
    return Sources([], cubes, [], crops, [], [])


def entries_of(caches: Sequence[Path], part: Part) -> list[Entry]:
    """The scans of a part in all caches.

    :raises InputError: when there is none, or an entry is damaged.
    """
    entries = []
    for cache in caches:
        parts = load_split(cache)
        entries += [entry for entry in Cache(cache).entries() if parts.get(entry.patient) == part]
    if not entries:
        names = ", ".join(str(cache) for cache in caches)
        raise InputError(f"{names} has no scan in its {part} part; prepare more scans.")
    return entries


@dataclass
class DataSetOrigin:
    """Caches of `python -m training.datasets.prepare`, split by patient as stored with them.

    :param segmentation: run of the U-Net whose false proposals the classifier trains on, beside the places that the
        data set itself calls false and random ones far from nodules (A10).
    """

    config: Config
    task: SampledTask
    caches: tuple[Path, ...]
    run: Path
    segmentation: Path | None = None

    def prepare(self) -> None:
        """Find the proposals."""
        if self.segmentation is None:
            return
        for name, entries in ((PROPOSALS, self._training), (VALIDATION_PROPOSALS, self._validation)):
            if not (self.run / name).exists():
                network, wavelet = averaged_unet(self.segmentation), wavelet_of(self.segmentation)
                mine(LungWindow(entries, most=1), network, self.run / name, wavelet)

    def training(self, rank: int) -> Draws:
        """The training part."""
        pool = DataSetPool(self._training, self.config, rank)
        places = self._places(self._training, PROPOSALS)
        return SampledDraws(self.task, pool, self.config.seed, rank, places, self.config.data, self.config.input_size)

    def validation(self, batches: int, batch: int) -> list[Batch]:
        """The validation part."""
        pool = DataSetPool(self._validation, self.config.unstaged())
        places = self._places(self._validation, VALIDATION_PROPOSALS)
        seed, settings = self.config.seed + VALIDATION_SEED, self.config.data.unaugmented
        draws = SampledDraws(self.task, pool, seed, 0, places, settings, self.config.input_size)
        return fixed_batches(draws, batches, batch)

    @cached_property
    def _training(self) -> list[Entry]:
        return entries_of(self.caches, "training")

    @cached_property
    def _validation(self) -> list[Entry]:
        return entries_of(self.caches, "validation")

    def _places(self, entries: Sequence[Entry], name: str) -> list[Place]:
        """False places by number of the scan."""
        if self.task != "classification":
            return []
        rng = np.random.default_rng(self.config.seed)
        places = read_places(self.run / name) if (self.run / name).exists() else []
        for number, entry in enumerate(entries):
            inside = [
                center for center in np.rint(entry.candidates_kji).astype(np.int64)
                if (center >= 0).all() and (center < entry.shape).all()
            ]  # fmt: skip
            places += [Place(number, center) for center in (*inside, *negative_centers(entry, rng))]
        return places
