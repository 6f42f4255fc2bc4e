"""The samples that the shipped weights train on: a few lungs, cubes and crops, all in memory."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ..checkpoints import averaged_unet, wavelet_of
from ..mining import mine, read_places
from ..patches import Place
from ..sampler import Sources
from ..splits import FOLDS, NO_FOLD
from .batches import Batch
from .config import Config
from .data import Draws
from .draws import Pick, SampledDraws, SampledTask, fixed_batches

PROPOSALS, VALIDATION_PROPOSALS = "proposals.npy", "proposals-validation.npy"
VALIDATION_SEED = 1
ItemT = TypeVar("ItemT")


def position(name: str) -> float:
    """Where, from 0 to 1, a name stands when stages add data; always the same place."""
    return int.from_bytes(hashlib.sha256(f"stage of {name}".encode()).digest()[:8], "big") / 2**64


def first(items: list[ItemT], share: float, names: list[str]) -> list[int]:
    """Numbers of the share of items that comes first, at least one."""
    order = sorted(range(len(items)), key=lambda n: position(names[n]))
    return sorted(order[: math.ceil(share * len(items))])


class MemoryPool:
    """Sources that are all in memory; a stage sees its share of each kind."""

    def __init__(self, sources: Sources, config: Config) -> None:
        self._sources, self._optimisation = sources, config.optimisation

    def at(self, interval: int) -> Pick:
        """The stage's."""
        sources = self._sources
        share = self._optimisation.stages[self._optimisation.stage(interval)]
        if share == 1:
            return Pick(sources, tuple(range(len(sources.lungs))))
        lungs = first(sources.lungs, share, [lung.name for lung in sources.lungs])
        part = replace(
            sources,
            lungs=[sources.lungs[n] for n in lungs],
            cubes=_part(sources.cubes, share, [box.patient for box in sources.cubes]),
            boxes=_part(sources.boxes, share, [box.patient for box in sources.boxes]),
            crops=_part(sources.crops, share, [nodule.source for nodule in sources.crops]),
        )
        return Pick(part, tuple(lungs))


def _part(items: list[ItemT], share: float, names: list[str]) -> list[ItemT]:
    return [items[n] for n in first(items, share, names)]


@dataclass
class LungOrigin:
    """The cache of `python -m training.prepare`.

    :param leave_out: the fold whose patients are held back; None trains on everything.
    :param validate_on: a further fold held back, to validate on.
    :param segmentation: run of the U-Net whose false proposals the classifier trains on.
    """

    config: Config
    task: SampledTask
    cache: Path
    data: Path
    run: Path
    leave_out: int | None = None
    validate_on: int | None = None
    segmentation: Path | None = None

    def prepare(self) -> None:
        """Find the proposals."""
        if self.segmentation is None:
            return
        wanted = {PROPOSALS: self._sources}
        if self.validate_on is not None:
            wanted[VALIDATION_PROPOSALS] = self._validation_sources
        for name, sources in wanted.items():
            if not (self.run / name).exists():
                network, wavelet = averaged_unet(self.segmentation), wavelet_of(self.segmentation)
                mine(sources().lungs, network, self.run / name, wavelet)

    def training(self, rank: int) -> Draws:
        """All but the folds held back."""
        pool = MemoryPool(self._sources(), self.config)
        return SampledDraws(
            self.task,
            pool,
            self.config.seed,
            rank,
            self._places(PROPOSALS),
            self.config.data,
            self.config.input_size,
        )

    def validation(self, batches: int, batch: int) -> list[Batch]:
        """Of the fold to validate on: real ones only."""
        sources = self._validation_sources()
        pool, seed = MemoryPool(sources, self.config.unstaged()), self.config.seed + VALIDATION_SEED
        settings = self.config.data.unaugmented
        draws = SampledDraws(
            self.task, pool, seed, 0, self._places(VALIDATION_PROPOSALS), settings, self.config.input_size
        )
        return fixed_batches(draws, batches, batch)

    def _sources(self) -> Sources:
        held_back = {fold for fold in (self.leave_out, self.validate_on) if fold is not None}
        sources = Sources.load(self.cache, self.data, held_back)
        return sources.restricted(self.config.data.insertion, self.config.data.simulator)

    def _validation_sources(self) -> Sources:
        assert self.validate_on is not None
        sources = Sources.load(self.cache, self.data, {NO_FOLD, *range(FOLDS)} - {self.validate_on})
        return replace(sources, simulated=[])

    def _places(self, name: str) -> list[Place]:
        path = self.run / name
        return read_places(path) if path.exists() else []
