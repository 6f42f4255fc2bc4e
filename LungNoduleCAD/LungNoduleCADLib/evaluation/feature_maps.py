"""What the layers of a network see of one patch (A24)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

MOST_CHANNELS = 16


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """A convolution's output for one patch.

    :param layer: its name in the network. :param channels: how many it has; :param maps: float32 (n, j, i), the middle
        slice of the first of them.
    """

    layer: str
    channels: int
    maps: NDArray[np.float32]


def feature_maps(network: nn.Module, patch: NDArray[np.float32], most: int = MOST_CHANNELS) -> list[FeatureMaps]:
    """The maps of every 3-D convolution that keeps a picture, in the order in which they are computed.

    Convolutions of a single voxel (squeeze and excitation) show nothing and are left out.

    :param network: a classifier on the CPU; in evaluation mode, and left as it was.
    :param patch: (k, j, i) in [0, 1], of which the network gets as much of the middle as it takes.
    :param most: channels to keep of each layer.
    """
    found: list[FeatureMaps] = []

    def keep(name: str, output: Tensor) -> None:
        _, channels, depth, height, width = output.shape
        if height > 1 and width > 1:
            maps = output[0, :most, depth // 2].float().cpu().numpy()
            found.append(FeatureMaps(name, channels, maps.copy()))

    with _watched(network, keep), torch.inference_mode():
        network(_middle(torch.from_numpy(patch), network)[None, None])
    return found


def _middle(patch: Tensor, network: nn.Module) -> Tensor:
    """Cut so that the voxel at half of every edge stays there."""
    size = network.config.patch_size  # type: ignore[union-attr]
    middle = tuple(slice(max(n // 2 - size // 2, 0), n // 2 + size // 2) for n in patch.shape)  # type: ignore[operator]
    return patch[middle]


@contextmanager
def _watched(network: nn.Module, keep: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Call `keep(name, output)` for each 3-D convolution that runs."""
    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: keep(name, output))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv3d)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
