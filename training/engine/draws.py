"""Training batches out of the samplers, in a state that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from ..patches import PatchSampler, Place
from ..sampler import SliceSampler, Sources
from ..transforms.base import Transform
from ..transforms.volume import draw_a8, draw_b5
from .batches import Batch, PatchBatch, SliceBatch, patch_batch, report_patches, report_slices, slice_batch
from .config import Data
from .data import State

PLAIN = Data()
SampledTask = Literal["segmentation", "classification"]


@dataclass(frozen=True, eq=False)
class Pick:
    """What an interval draws from.

    :param lungs: the numbers, among all lungs, of those in `sources`.
    """

    sources: Sources
    lungs: tuple[int, ...]


class Pool(Protocol):
    """All that there is to draw from."""

    def at(self, interval: int) -> Pick:
        """What an interval draws from; the same whenever it is asked."""


class SampledDraws:
    """Draws of one process.

    :param proposals: false proposals by number of the lung; for the classifier.
    :param settings: augmentation, hard negatives and enhancement.
    :param input_size: the network's, as `Config` has it.
    """

    def __init__(
        self, task: SampledTask, pool: Pool, seed: int, rank: int = 0, proposals: Sequence[Place] = (),
        settings: Data = PLAIN, input_size: int = 64,
    ) -> None:  # fmt: skip
        self._task, self._pool, self._settings, self._size = task, pool, settings, input_size
        self._proposals = proposals = proposals if settings.hard_negatives else ()
        self._rng = np.random.default_rng([seed, 0, rank] if rank else [seed, 0])
        self._hard: list[list[int]] = []
        self._weights = np.ones(len(proposals))
        self._shown: list[int] = []
        self._pick: Pick | None = None
        self._sampler: SliceSampler | PatchSampler | None = None

    def begin(self, interval: int) -> None:
        """Build the interval's sampler; what is known of its lungs stays known."""
        self._keep()
        pick = self._pick = self._pool.at(interval)
        local = {number: n for n, number in enumerate(pick.lungs)}
        if self._task == "segmentation":
            slices = self._sampler = SliceSampler(pick.sources, 0, self._settings.enhancement)
            slices.hard = [(local[lung], np.array(place)) for lung, *place in self._hard if lung in local]
        else:
            self._shown = [n for n, place in enumerate(self._proposals) if place.lung in local]
            places = [replace(self._proposals[n], lung=local[self._proposals[n].lung]) for n in self._shown]
            patches = self._sampler = PatchSampler(pick.sources, places, 0, self._settings.enhancement, self._size)
            patches.weights = self._weights[self._shown]
        self._sampler.rng = self._rng

    def draw(self, count: int) -> Batch:
        """The next batch."""
        if isinstance(self._sampler, PatchSampler):
            return self._augmented(patch_batch(self._sampler, count), count)
        assert self._sampler is not None
        return self._augmented(slice_batch(self._sampler, count), count)

    def report(self, batch: Batch, opinion: Tensor) -> None:
        """What the network said of a batch."""
        if not self._settings.hard_negatives:
            return
        if isinstance(self._sampler, PatchSampler) and isinstance(batch, PatchBatch):
            report_patches(self._sampler, batch, opinion)
        elif isinstance(self._sampler, SliceSampler) and isinstance(batch, SliceBatch):
            report_slices(self._sampler, batch, opinion)

    def state_dict(self) -> State:
        """Random numbers, hard places and weights of proposals."""
        self._keep()
        return {
            "rng": self._rng.bit_generator.state, "hard": self._hard, "weights": torch.from_numpy(self._weights.copy())
        }  # fmt: skip

    def load_state_dict(self, state: State) -> None:
        """Go on from there."""
        self._rng.bit_generator.state = state["rng"]
        self._hard = state["hard"]
        self._weights = state["weights"].numpy().copy()

    def progress(self) -> dict[str, float]:
        """How many places are hard."""
        return {"hard places": len(self._sampler.hard)} if isinstance(self._sampler, SliceSampler) else {}

    def _keep(self) -> None:
        """Take back what the sampler knows."""
        if self._pick is None:
            return
        if isinstance(self._sampler, SliceSampler):
            elsewhere = [place for place in self._hard if place[0] not in self._pick.lungs]
            here = [[self._pick.lungs[n], *map(int, place)] for n, place in self._sampler.hard]
            self._hard = elsewhere + here
        elif isinstance(self._sampler, PatchSampler):
            self._weights[self._shown] = self._sampler.weights

    def _augmented(self, batch: Batch, count: int) -> Batch:
        if not self._settings.augment:
            return batch
        draw = draw_b5 if self._task == "segmentation" else draw_a8
        transforms: list[Transform] = [draw(self._rng) for _ in range(count)]
        return replace(batch, transforms=transforms)


def fixed_batches(draws: SampledDraws, batches: int, batch: int) -> list[Batch]:
    """Batches to validate on, each from what another interval would draw from, so that all lungs are seen."""
    drawn = []
    for number in range(batches):
        draws.begin(number)
        drawn.append(draws.draw(batch))
    return drawn
