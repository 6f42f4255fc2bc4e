"""What the ablation takes away or adds, one thing an arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from .engine.config import Config, read_config

CONFIGS = Path(__file__).parent / "configs"
Network = Literal["segmentation", "classification"]
CONFIGURATIONS: dict[Network, str] = {"segmentation": "unet_small.toml", "classification": "hybrid_small.toml"}
"""The networks that ship: the reference."""
REFERENCE = "reference"
LAST_WEIGHTS = "last weights, not their moving average"
PRESENT, PRESENT_LAST = "present", "present-last-weights"
"""Folders of what the networks that ship mark, with their average weights and with the last ones."""


@dataclass(frozen=True)
class Arm:
    """One row of the table.

    :param what: how the row is called.
    :param data: entries of the configuration's `[data]` that differ. :param settings: of its `[network]`, by network.
    :param trained_as: the arm whose run it evaluates; None trains its own.
    :param averaged: whether the weights' moving average is evaluated. :param seed: added to the configuration's.
    """

    name: str
    what: str
    data: Mapping[str, bool] = field(default_factory=dict)
    settings: Mapping[Network, Mapping[str, Any]] = field(default_factory=dict)
    trained_as: str | None = None
    averaged: bool = True
    seed: int = 0

    @property
    def run(self) -> str:
        """The arm whose training run it is."""
        return self.trained_as or self.name


ARMS = (
    Arm(REFERENCE, "reference"),
    Arm("another-seed", "another seed", seed=1),
    Arm("no-average", LAST_WEIGHTS, trained_as=REFERENCE, averaged=False),
    Arm("no-insertion", "simulated nodules inserted, no real ones", {"insertion": False}),
    Arm("no-simulator", "nothing simulated: nodules, phantom lungs", {"simulator": False}),
    Arm("no-hard-negatives", "no hard negatives", {"hard_negatives": False}),
    Arm("wavelet", "wavelet enhancement", {"wavelet": True}),
    Arm(
        "wide",
        "wider network",
        settings={
            "segmentation": {"encoder_channels": [24, 48, 96, 144], "decoder_channels": [12, 48, 96]},
            "classification": {"base_channels": 24},
        },
    ),
)
"""Another seed shows how much of a difference is chance. The documents' own U-Net is four times as slow to train as the
small one, the wider one twice."""


def config_of(arm: Arm, network: Network, steps: int | None, seed: int | None) -> Config:
    """The reference's configuration with the arm's change.

    :raises InputError: when it cannot be trained for so many steps.
    """
    config = read_config(CONFIGS / CONFIGURATIONS[network]).with_steps(steps, seed)
    settings = {**config.settings, **arm.settings.get(network, {})}
    return replace(config, settings=settings, data=replace(config.data, **arm.data), seed=config.seed + arm.seed)
