"""The engine's own check (B15): the linear neuron that learns Fahrenheit from Celsius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .config import Config
from .data import State
from .modules import TrainingModule

CELSIUS = (-40.0, -20.0, 0.0, 20.0, 40.0, 60.0, 80.0, 100.0)
FAHRENHEIT = tuple(1.8 * celsius + 32 for celsius in CELSIUS)


@dataclass(frozen=True, eq=False)
class Points:
    """Temperatures (n, 1)."""

    celsius: Tensor
    fahrenheit: Tensor

    def to(self, device: torch.device, **options: Any) -> Points:
        """On a device."""
        return Points(self.celsius.to(device, **options), self.fahrenheit.to(device, **options))

    def ready(self) -> Points:
        """Nothing is left to do."""
        return self


class PointOrigin:
    """The eight points, over and over."""

    def prepare(self) -> None:
        """Nothing to prepare."""

    def training(self, rank: int) -> PointOrigin:
        """Every process has all of them."""
        return self

    def validation(self, batches: int, batch: int) -> list[Points]:
        """The same points."""
        return [self.draw(batch) for _ in range(batches)]

    def begin(self, interval: int) -> None:
        """Every interval is alike."""

    def draw(self, count: int) -> Points:
        """All points, whatever the count."""
        return Points(torch.tensor(CELSIUS).unsqueeze(1), torch.tensor(FAHRENHEIT).unsqueeze(1))

    def report(self, batch: Points, opinion: Tensor) -> None:
        """No point is hard."""

    def state_dict(self) -> State:
        """Nothing is drawn at random."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing to restore."""

    def progress(self) -> dict[str, float]:
        """Nothing to say."""
        return {}


class NeuronModule(TrainingModule):
    """One weight and one bias, by the mean squared error."""

    best = "val_agreement"

    def __init__(self, config: Config) -> None:
        torch.manual_seed(config.seed)
        super().__init__(nn.Linear(1, 1), config)

    def training_step(self, batch: Points, index: int) -> dict[str, Tensor]:
        """The mean squared error in square degrees Fahrenheit."""
        predicted = self.network(batch.celsius)
        loss = nn.functional.mse_loss(predicted, batch.fahrenheit)
        self.log_loss(loss, len(predicted))
        return {"loss": loss, "opinion": predicted.detach()}

    def validation_step(self, batch: Points, index: int) -> None:
        """The same error; less is better agreement."""
        loss = nn.functional.mse_loss(self.network(batch.celsius), batch.fahrenheit)
        self.log_validation(loss, len(batch.celsius))
        self.log(self.best, -loss, batch_size=len(batch.celsius), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """It is in no model card."""
