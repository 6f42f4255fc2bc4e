"""Batches for training and validation, whatever they are drawn from."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset

from .batches import Batch

State = dict[str, Any]


class Draws(Protocol):
    """Where training batches come from; what is drawn may depend on what the network said of earlier ones."""

    def begin(self, interval: int) -> None:
        """An interval begins, whose batches come from its stage's share of the data."""

    def draw(self, count: int) -> Batch:
        """The next batch."""

    def report(self, batch: Batch, opinion: Tensor) -> None:
        """What the network said of each sample of a batch."""

    def state_dict(self) -> State:
        """Everything that decides what is drawn next, in plain Python."""

    def load_state_dict(self, state: State) -> None:
        """Go on from there."""

    def progress(self) -> dict[str, float]:
        """What a history should say of it."""


class Origin(Protocol):
    """A source of samples, before it is opened in a process."""

    def prepare(self) -> None:
        """What one process does for all."""

    def training(self, rank: int) -> Draws:
        """Draws of one process; rank 0's are those of a process alone."""

    def validation(self, batches: int, batch: int) -> list[Batch]:
        """The fixed batches to validate on."""


class _Interval(Dataset[Batch]):
    """The steps between two validations. It has a length, so that Lightning fetches no batch ahead of the step before
    it, whose report it may depend on."""

    def __init__(self, draws: Draws, batch: int, steps: int) -> None:
        self._draws, self._batch, self._steps = draws, batch, steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> Batch:
        return self._draws.draw(self._batch)


class DrawnData(LightningDataModule):
    """An origin's batches. Its state in a checkpoint is that of every process's draws."""

    def __init__(self, origin: Origin, batch: int, steps: int, validation_batches: int = 0) -> None:
        super().__init__()
        self._origin, self._batch, self._steps = origin, batch, steps
        self._validation_batches = validation_batches
        self.draws: Draws | None = None
        self._validation: list[Batch] = []

    def prepare_data(self) -> None:
        """In one process, while the others wait."""
        self._origin.prepare()

    def setup(self, stage: str) -> None:
        """In every process."""
        rank = self.trainer.global_rank if self.trainer else 0
        self.draws = self._origin.training(rank)
        if self._validation_batches:
            world = self.trainer.world_size if self.trainer else 1
            self._validation = self._origin.validation(self._validation_batches, self._batch)[rank::world]

    def train_dataloader(self) -> DataLoader[Batch]:
        """The next interval's batches."""
        assert self.draws is not None
        # Its own generator: the loader draws a number each time it starts, and the network's dropout is seeded.
        generator = torch.Generator()
        return DataLoader(_Interval(self.draws, self._batch, self._steps), batch_size=None, generator=generator)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Always the same batches."""
        return DataLoader(self._validation, batch_size=None, generator=torch.Generator())  # type: ignore[arg-type]

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Floats, and the transforms, on the device."""
        return batch.ready()

    def state_dict(self) -> State:
        """Of all processes."""
        assert self.draws is not None
        states: list[Any] = [self.draws.state_dict()]
        if distributed.is_available() and distributed.is_initialized():
            states = [None] * distributed.get_world_size()
            distributed.all_gather_object(states, self.draws.state_dict())
        return {"ranks": states}

    def load_state_dict(self, state_dict: State) -> None:
        """This process's; with more processes than there were, the new ones start afresh."""
        assert self.draws is not None
        rank = self.trainer.global_rank if self.trainer else 0
        if rank < len(state_dict["ranks"]):
            self.draws.load_state_dict(state_dict["ranks"][rank])
