"""The averaged weights of a training run, out of its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.networks.fusion import NetworkT, channels_last
from LungNoduleCADLib.networks.hybrid import SMALL_HYBRID, HybridClassifier, HybridConfig
from LungNoduleCADLib.networks.registry import build_config
from LungNoduleCADLib.networks.unet import SMALL_UNET, UNet25D, UNetConfig
from LungNoduleCADLib.preprocess.settings import Wavelet

MOVING_AVERAGE = 0.997
BEST, LAST, FORMER = "best.ckpt", "last.ckpt", "checkpoint.pt"
"""The checkpoint of the best validation, that of the last interval, and what runs before the engine wrote."""
SETTINGS = "config.json"
"""Beside the checkpoints: the settings as they were used."""
NETWORK = "network."
TRAINED = "current_model_state"
"""Where Lightning keeps the weights that train while `state_dict` holds their average."""


def moving_average(average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
    """Exponential moving average of the weights whose memory grows with the steps made, so that it starts unbiased."""
    decay = min(MOVING_AVERAGE, (1 + float(count)) / (10 + float(count)))
    return average + (1 - decay) * (value - average) if average.is_floating_point() else value


def averaged_unet(run: Path, averaged: bool = True) -> UNet25D:
    """The averaged segmentation network of a run, in evaluation mode.

    :param averaged: otherwise the weights that trained, as they were after the last step.
    :raises InputError: when the run has no checkpoint of one.
    """
    saved = load_checkpoint(run)
    config: UNetConfig = _config(saved, "unet25d", SMALL_UNET, run)
    return channels_last(_with_weights(UNet25D(config), saved, averaged))


def averaged_hybrid(run: Path, averaged: bool = True) -> HybridClassifier:
    """The averaged classifier of a run, in evaluation mode.

    :param averaged: otherwise the weights that trained, as they were after the last step.
    :raises InputError: when the run has no checkpoint of one.
    """
    saved = load_checkpoint(run)
    config: HybridConfig = _config(saved, "hybrid", SMALL_HYBRID, run)
    return channels_last(_with_weights(HybridClassifier(config), saved, averaged))


def load_checkpoint(run: Path) -> dict[str, Any]:
    """The checkpoint whose weights count: the best one where there was validation, else the last.

    :raises InputError: when there is none.
    """
    for name in (BEST, LAST, FORMER):
        if (run / name).exists():
            saved: dict[str, Any] = torch.load(run / name, weights_only=True, map_location="cpu")
            return saved
    raise InputError(f"{run} holds no checkpoint ({LAST}); train first, or give the folder of another run.")


def _config(saved: dict[str, Any], name: str, former: Any, run: Path) -> Any:
    """The network's settings; runs before the engine had one network each."""
    network = saved.get("network", {"name": name, "config": None})
    if network["name"] != name:
        raise InputError(f"{run} trained the network {network['name']}, not {name}; give the folder of another run.")
    return former if network["config"] is None else build_config(name, network["config"])


def wavelet_of(run: Path) -> Wavelet | None:
    """The enhancement that a run's network was trained with."""
    path = run / SETTINGS
    settings = json.loads(path.read_text(encoding="utf-8"))["data"] if path.exists() else {}
    return Wavelet() if settings.get("wavelet") else None


def _with_weights(network: NetworkT, saved: dict[str, Any], averaged: bool) -> NetworkT:
    if "average" in saved:  # a run before the engine
        weights = {name.removeprefix("module."): value for name, value in saved["average"].items()}
        del weights["n_averaged"]
        weights = weights if averaged else saved["model"]
    else:
        # Without averaging the trained weights are the module's own state.
        state = saved["state_dict"] if averaged else saved.get(TRAINED, saved["state_dict"])
        weights = {name.removeprefix(NETWORK): value for name, value in state.items() if name.startswith(NETWORK)}
    network.load_state_dict(weights)
    network.eval()
    return network
