"""Networks to and from disk: a safetensors file and its card. No pickle is ever written or read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ..errors import ModelError
from ..io.atomic import write_bytes, write_json
from .card_fields import CardError
from .cards import SCHEMA, ModelCard, load_card
from .registry import ARCHITECTURES, Task, build_network, describe_network


def load_model(folder: Path | str, task: Task, device: torch.device | str = "cpu") -> tuple[nn.Module, ModelCard]:
    """The network `<folder>/<task>.json` describes, in evaluation mode, in float32, and its card.

    :param folder: where cards and weights lie side by side.
    :raises ModelError: when a file is missing or corrupt, the weights are not the card's, or the card is refused.
    """
    card_path = Path(folder) / f"{task}.json"
    card = load_card(card_path)
    if card.task != task:
        raise ModelError(f"The model card {card_path} is for {card.task}, not {task}; install the weights again.")
    path = card_path.with_name(card.weights_file)
    tensors = _read_tensors(path, card.sha256)
    # Built without memory first, so that a card with absurd widths is refused by its shapes and not by the machine.
    with torch.device("meta"):
        network = build_network(card.architecture, card.config)
    _check_fit(tensors, network.state_dict(), path)
    network.load_state_dict(tensors, assign=True)
    return network.eval().to(device), card


def save_model(
    network: nn.Module, card_fields: Mapping[str, Any], folder: Path | str, *, half: bool = True
) -> ModelCard:
    """Write `<task>.safetensors` and `<task>.json` into a folder; fills in the card's architecture, schema and hash.

    :param card_fields: every other entry of a card, as `cards` documents them.
    :param half: store the large tensors as float16, which halves the file; norms and biases stay float32.
    :raises ModelError: when the fields make no valid card; nothing is written then.
    """
    description = describe_network(network)
    task = ARCHITECTURES[description["name"]].task
    content = safetensors.torch.save(_stored(network.state_dict(), half), metadata={"format": "pt"})
    weights = {"file": f"{task}.safetensors", "sha256": hashlib.sha256(content).hexdigest()}
    fields = {**card_fields, "schema": SCHEMA, "task": task, "architecture": description, "weights": weights}
    path = Path(folder) / f"{task}.json"
    try:
        card = ModelCard.from_json(fields)
    except CardError as fault:
        raise ModelError(f"The model card {path} {fault}; complete it before saving.") from fault
    path.parent.mkdir(parents=True, exist_ok=True)
    # Weights first: if the card cannot follow, the old card's hash refuses the new weights instead of misusing them.
    write_bytes(path.with_name(card.weights_file), content)
    write_json(path, card.to_json())
    return card


def _stored(state: Mapping[str, Tensor], half: bool) -> dict[str, Tensor]:
    """Tensors as they are written: contiguous, on the CPU, kernels in half precision where asked."""
    stored = {}
    for name, tensor in state.items():
        tensor = tensor.detach().cpu()
        if half and tensor.is_floating_point() and tensor.ndim > 1:
            tensor = tensor.to(torch.float16)
        stored[name] = tensor.contiguous().clone()
    return stored


def _read_tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """All tensors of a safetensors file whose hash is the card's, floating ones as float32."""
    if not path.is_file():
        raise ModelError(f"The weights {path} do not exist; install the weights again.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"The weights {path} cannot be read ({error.strerror}); check their permissions.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"The weights {path} are not the file their card describes; install the weights again.")
    try:
        tensors = safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"The weights {path} are not a readable safetensors file; install the weights again."
        ) from error
    # A copy in any case: safetensors' tensors borrow the file's bytes.
    tensors = {
        name: tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)
        for name, tensor in tensors.items()
    }
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise ModelError(f"The weights {path} contain values that are not finite; install the weights again.")
    return tensors


def _check_fit(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors whose names, shapes or kinds are not the network's."""
    for name in sorted(set(tensors) ^ set(expected)):
        fault = "lack the tensor" if name in expected else "have a tensor the network does not:"
        raise ModelError(f"The weights {path} {fault} {name!r}; install the weights again.")
    for name, tensor in tensors.items():
        want = expected[name]
        if tensor.shape != want.shape or tensor.is_floating_point() != want.is_floating_point():
            raise ModelError(
                f"The weights {path} have {name!r} as {list(tensor.shape)} where the card's network has "
                f"{list(want.shape)}; install the weights again."
            )
