"""A training run in a folder: started, stopped at any moment, started again."""

from __future__ import annotations

import json
import logging
import os
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from LungNoduleCADLib.detection.devices import has_fast_bfloat16
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io import clear_unfinished, write_json

from ..checkpoints import LAST, SETTINGS, load_checkpoint
from ..sampler import PATCH
from .callbacks import AtomicCheckpoints, callbacks_of
from .config import Config, Data
from .data import DrawnData, Origin
from .memory import fitting_batch
from .modules import TrainingModule, build_module
from .neuron import NeuronModule

FINISHED = "finished.json"
ELASTIC = "TORCHELASTIC_RUN_ID"
"""Set by torchrun in every process that it starts."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    :param interrupted: by Ctrl-C or a polite kill; the last checkpoint is there.
    """

    module: TrainingModule
    interrupted: bool = False


def train(config: Config, origin: Origin, run: Path) -> Outcome:
    """Train, or go on from the run's last checkpoint.

    :raises InputError: when the folder holds a run with other settings.
    """
    module = NeuronModule(config) if config.task == "neuron" else build_module(config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = _settled(config, module, device, run)
    if _finished(config, run):
        print(f"{run} is trained already.", flush=True)
        module.load_state_dict(load_checkpoint(run)["state_dict"])
        return Outcome(module)
    module.config = config
    settings = config.optimisation
    data = DrawnData(origin, settings.batch, settings.interval, config.validation.batches)
    trainer = _trainer(config, run, module.best, device)
    last = run / LAST
    if trainer.is_global_zero:
        clear_unfinished(last)
    try:
        trainer.fit(module, data, ckpt_path=last if last.exists() else None, weights_only=True)
    except SystemExit:  # how Lightning ends after Ctrl-C
        return Outcome(module, interrupted=True)
    if trainer.is_global_zero:
        write_json(run / FINISHED, {"steps": settings.steps, "trained": trainer.global_step})
    return Outcome(module)


def _trainer(config: Config, run: Path, best: str, device: torch.device) -> Trainer:
    """Lightning's trainer, quiet, with as many processes as torchrun started."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for harmless in (".*does not have many workers.*", ".*exists and is not empty.*", ".*`sync_dist`.*"):
        warnings.filterwarnings("ignore", message=harmless)
    settings = config.optimisation
    processes: dict[str, Any] = {"devices": 1}
    if ELASTIC in os.environ:
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // local
        processes = {"devices": local, "num_nodes": nodes, "strategy": "ddp"}
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        **processes,
        precision=_precision(config, device),
        max_epochs=settings.intervals,
        gradient_clip_val=settings.clip or None,
        callbacks=callbacks_of(config, run, best),
        plugins=[AtomicCheckpoints()],
        logger=TensorBoardLogger(run, name="", version="tensorboard"),
        log_every_n_steps=settings.interval,
        num_sanity_val_steps=0,
        limit_val_batches=None if config.validation.batches else 0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _precision(config: Config, device: torch.device) -> Any:
    chosen = config.optimisation.precision
    if chosen != "auto":
        return chosen
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else has_fast_bfloat16()
    return "bf16-mixed" if fast else "32-true"


def _settled(config: Config, module: TrainingModule, device: torch.device, run: Path) -> Config:
    """The configuration with its batch size, as the run began with; stored beside its checkpoints.

    :raises InputError: when the run began with other settings; its number of steps may change.
    """
    path = run / SETTINGS
    if path.exists():
        former = json.loads(path.read_text(encoding="utf-8"))
        now = config.as_json()
        batch = former["optimisation"]["batch"]
        if not config.optimisation.batch:
            now["optimisation"]["batch"] = batch
            config = replace(config, optimisation=replace(config.optimisation, batch=batch))
        # What a run that began before a setting existed had is that setting's default.
        former["data"] = {**asdict(Data()), **former["data"]}
        for settings in (former, now):
            del settings["optimisation"]["steps"]
        if former != now:
            raise InputError(f"{run} holds a run with other settings ({path.name}); choose another folder.")
    elif not config.optimisation.batch:
        batch = 1
        if config.task != "neuron":
            batch = fitting_batch(module.network, _input_shape(config), device, config.optimisation.most_batch)
        config = replace(config, optimisation=replace(config.optimisation, batch=batch))
    if int(os.environ.get("RANK", 0)) == 0:
        run.mkdir(parents=True, exist_ok=True)
        write_json(path, config.as_json())
    return config


def _input_shape(config: Config) -> tuple[int, ...]:
    """Of one sample."""
    size = config.input_size
    return (size, PATCH, PATCH) if config.task == "segmentation" else (1, size, size, size)


def _finished(config: Config, run: Path) -> bool:
    path = run / FINISHED
    return path.exists() and json.loads(path.read_text(encoding="utf-8"))["steps"] >= config.optimisation.steps
