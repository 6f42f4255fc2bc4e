"""How many samples a step free memory holds (B14)."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from LungNoduleCADLib.errors import InputError

MEMORY_INFO = Path("/proc/meminfo")
SHARE = 0.6
"""Of free memory; the rest is for weights, their gradients, and whatever else runs."""
OVER_ACTIVATIONS = 2.0
"""What a step needs at most, over what it keeps for the backward pass: gradients of the same size."""


def free_bytes(device: torch.device) -> int:
    """Memory that is free now.

    :raises InputError: where the system does not say.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if MEMORY_INFO.exists():
        for line in MEMORY_INFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError) as error:
        raise InputError("This system does not say how much memory is free; configure `batch`.") from error


def bytes_a_sample(network: nn.Module, shape: tuple[int, ...]) -> int:
    """What a training step needs for one more sample, from what autograd keeps of a forward pass in float32.

    :param shape: of one sample, as the network takes it.
    """
    network = copy.deepcopy(network).cpu().train()  # statistics of the normalisations stay as they were
    weights = {part.untyped_storage().data_ptr() for part in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    samples = 2  # as few as a normalisation takes
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = network(torch.zeros(samples, *shape))
    total = sum(kept.values())
    del result  # until here, so that no two tensors had the same address
    return int(OVER_ACTIVATIONS * total / samples)


def fitting_batch(network: nn.Module, shape: tuple[int, ...], device: torch.device, most: int) -> int:
    """The largest batch, at most `most`, that fits into memory; at least 2, which normalisation needs."""
    return max(min(int(SHARE * free_bytes(device)) // bytes_a_sample(network, shape), most), 2)
