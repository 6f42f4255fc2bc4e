"""The network architectures a model card can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from torch import nn

from .forest import DecisionForest, ForestConfig
from .hybrid import HybridClassifier, HybridConfig
from .unet import UNet25D, UNetConfig

Task = Literal["segmentation", "classification", "appearance"]


class Architecture(NamedTuple):
    """A kind of network: what it is for, its settings, its class, and the size of its input that its card repeats."""

    task: Task
    config_type: type
    network_type: type[nn.Module]
    input_size: Callable[[Any], int]


ARCHITECTURES: dict[str, Architecture] = {
    "unet25d": Architecture("segmentation", UNetConfig, UNet25D, lambda config: config.in_channels),
    "hybrid": Architecture("classification", HybridConfig, HybridClassifier, lambda config: config.patch_size),
    "forest": Architecture("appearance", ForestConfig, DecisionForest, lambda config: config.patch_size),
}
"""By the name in model cards. A new network is one line here; its class takes its config and keeps it as `.config`."""


def build_config(name: str, values: Mapping[str, Any]) -> Any:
    """An architecture's settings from a card's JSON object; settings left out keep their defaults.

    :raises KeyError: for an architecture that is not in `ARCHITECTURES`.
    :raises ValueError: for a setting that does not exist or has an impossible value.
    """
    config_type = ARCHITECTURES[name].config_type
    hints = get_type_hints(config_type)
    unknown = sorted(set(values) - {field.name for field in fields(config_type)})
    if unknown:
        raise ValueError(f"{name} has no setting {unknown[0]!r}")
    return config_type(**{key: _converted(key, value, hints[key]) for key, value in values.items()})


def build_network(name: str, config: Any) -> nn.Module:
    """A network with fresh weights.

    :raises KeyError: for an architecture that is not in `ARCHITECTURES`.
    """
    return ARCHITECTURES[name].network_type(config)


def describe_network(network: nn.Module) -> dict[str, Any]:
    """The `architecture` entry of a model card for a network: `{"name": ..., "config": {...}}`.

    :raises ValueError: when the network's class is not in `ARCHITECTURES`.
    """
    for name, architecture in ARCHITECTURES.items():
        if type(network) is architecture.network_type:
            return {"name": name, "config": asdict(network.config)}  # type: ignore[call-overload]
    raise ValueError(f"{type(network).__name__} is not a known architecture")


def _converted(key: str, value: Any, hint: Any) -> Any:
    """A JSON value as a setting's type: positive whole number, list of them, or one of some words."""
    if hint is int and _is_positive(value):
        return value
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)) and value and all(_is_positive(v) for v in value):
        return tuple(value)
    if get_origin(hint) is Literal and value in get_args(hint):
        return value
    raise ValueError(f"{key} cannot be {value!r}")


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
