"""What happens at the end of a step and of an interval: reports, averages, history, checkpoints."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.plugins.io import TorchCheckpointIO

from LungNoduleCADLib.io import write_bytes, write_text

from ..checkpoints import BEST, LAST, moving_average
from .config import Config
from .data import DrawnData

HISTORY = "history.csv"


class Feedback(Callback):
    """Opens each interval of the data, and tells them what the network says of each batch."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before an interval."""
        draws = _data(trainer).draws
        assert draws is not None
        draws.begin(trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After a step."""
        draws = _data(trainer).draws
        assert draws is not None
        draws.report(batch, outputs["opinion"])


class History(Callback):
    """`history.csv` and standard output: a row an interval. A resumed run goes on where its checkpoint was."""

    def __init__(self, run: Path) -> None:
        self._path = run / HISTORY
        self._rows: list[dict[str, float]] = []
        self._before = 0.0
        self._started = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The clock starts."""
        self._before = self._rows[-1]["seconds"] if self._rows else 0.0
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After an interval and its validation."""
        draws = _data(trainer).draws
        assert draws is not None
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        seconds = round(self._before + time.monotonic() - self._started, 1)
        row = {"step": trainer.global_step, **metrics, **draws.progress(), "seconds": seconds}
        self._rows.append(row)
        if trainer.is_global_zero:
            self._write()
            print(", ".join(f"{name} {value:.5g}" for name, value in row.items()), flush=True)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What a run that was killed wrote after its last checkpoint is forgotten."""
        self._rows = list(state_dict["rows"])

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self._rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self._path, text.getvalue())


class LastStageStopping(EarlyStopping):
    """Stops early, though not before all data have been seen."""

    def __init__(self, config: Config, monitor: str) -> None:
        super().__init__(monitor=monitor, mode="max", patience=config.validation.patience)
        self._optimisation = config.optimisation

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Counts in the last stage only."""
        if self._optimisation.stage(trainer.current_epoch) == len(self._optimisation.stages) - 1:
            super().on_validation_end(trainer, pl_module)


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all, whenever the process dies."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write one."""
        packed = io.BytesIO()
        torch.save(checkpoint, packed)
        write_bytes(path, packed.getvalue())


def callbacks_of(config: Config, run: Path, best: str) -> list[Callback]:
    """In the order they must run in: what writes the last checkpoint sees all others' state."""
    callbacks: list[Callback] = [Feedback()]
    if config.optimisation.average:
        callbacks.append(WeightAveraging(use_buffers=True, avg_fn=moving_average))
    callbacks.append(History(run))
    if config.validation.patience:
        callbacks.append(LastStageStopping(config, best))
    if config.validation.batches:
        callbacks.append(_checkpoint(run, BEST, monitor=best, mode="max"))
    callbacks.append(_checkpoint(run, LAST))
    return callbacks


def _checkpoint(run: Path, name: str, **monitored: Any) -> ModelCheckpoint:
    return ModelCheckpoint(
        run, Path(name).stem, save_on_train_epoch_end=True, enable_version_counter=False, **monitored
    )


def _data(trainer: Trainer) -> DrawnData:
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, DrawnData)
    return data
