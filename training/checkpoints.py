"""What the training loops share: averaged weights, and checkpoints that survive being killed at any moment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from LungNoduleCADLib.networks.fusion import NetworkT, channels_last
from LungNoduleCADLib.networks.hybrid import SMALL_HYBRID, HybridClassifier
from LungNoduleCADLib.networks.unet import SMALL_UNET, UNet25D

MOVING_AVERAGE = 0.997


def moving_average(average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
    """Exponential moving average of the weights whose memory grows with the steps made, so that it starts unbiased."""
    decay = min(MOVING_AVERAGE, (1 + float(count)) / (10 + float(count)))
    return average + (1 - decay) * (value - average) if average.is_floating_point() else value


def save_checkpoint(run: Path, parts: Mapping[str, Any], step: int) -> None:
    """Write `checkpoint.pt` whole or not at all."""
    temporary = run / "checkpoint.tmp"
    torch.save({**{name: part.state_dict() for name, part in parts.items()}, "step": step}, temporary)
    temporary.replace(run / "checkpoint.pt")


def load_checkpoint(run: Path, parts: Mapping[str, Any]) -> int:
    """Restore every part from the run's checkpoint; returns its step, 0 without one."""
    path = run / "checkpoint.pt"
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return int(saved["step"])


def averaged_unet(run: Path) -> UNet25D:
    """The averaged segmentation network of a run, in evaluation mode."""
    return channels_last(_averaged(UNet25D(SMALL_UNET), run))


def averaged_hybrid(run: Path) -> HybridClassifier:
    """The averaged classifier of a run, in evaluation mode."""
    return channels_last(_averaged(HybridClassifier(SMALL_HYBRID), run))


def _averaged(network: NetworkT, run: Path) -> NetworkT:
    saved = torch.load(run / "checkpoint.pt", weights_only=True)["average"]
    weights = {name.removeprefix("module."): value for name, value in saved.items() if name != "n_averaged"}
    network.load_state_dict(weights)
    network.eval()
    return network
