"""Optimizers, and how their rate changes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from .config import Optimisation

MONITORED_LOSS = "val_loss"


def optimizer_of(settings: Optimisation, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The configured optimizer."""
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=settings.rate, weight_decay=settings.weight_decay)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=settings.rate, weight_decay=settings.weight_decay)


def schedule_of(settings: Optimisation, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The configured schedule, as Lightning takes it."""
    if settings.schedule == "plateau":
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=settings.factor, patience=settings.plateau, min_lr=settings.least_rate
        )
        # By step and not by epoch: at an epoch's end Lightning would change the rate after the checkpoint is written.
        return {
            "scheduler": plateau, "interval": "step", "frequency": settings.interval, "monitor": MONITORED_LOSS,
        }  # fmt: skip
    warm_up = max(int(settings.steps * settings.warm_up), 1)

    def share(step: int) -> float:
        if settings.schedule == "constant":
            return 1.0
        cosine = 0.5 * (1 + math.cos(math.pi * min(step / settings.steps, 1)))
        return min((step + 1) / warm_up, 1) * (settings.floor + (1 - settings.floor) * cosine)

    return {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, share), "interval": "step"}
