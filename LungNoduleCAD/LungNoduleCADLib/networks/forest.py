"""A forest of decision trees (Breiman 2001; Geurts et al. 2006) as a network, so that it is stored, described and
checked as the others are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class ForestConfig:
    """Size of a forest.

    :param inputs: features of a sample; :param definition: which definition of the features it was grown on;
    :param patch_size: edge of the patch they are taken from, voxels.
    :param trees, nodes: how many, and of each tree at most; :param depth: of the deepest, in decisions.
    """

    inputs: int = 1
    definition: int = 1
    patch_size: int = 33
    trees: int = 1
    nodes: int = 1
    depth: int = 1


class DecisionForest(nn.Module):
    """Mean over the trees of the share of positives in the leaf that a sample comes to.

    Input (n, inputs), output (n,) from 0 to 1. At an inner node a sample goes to `below` when its feature is at most
    the threshold, else to `above`; a leaf leads to itself. Fresh, every tree is one leaf that says 0.
    """

    feature: Tensor
    threshold: Tensor
    below: Tensor
    above: Tensor
    share: Tensor

    def __init__(self, config: ForestConfig) -> None:
        super().__init__()
        self.config = config
        shape = (config.trees, config.nodes)
        for name in ("feature", "below", "above"):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.int32))
        for name in ("threshold", "share"):
            self.register_buffer(name, torch.zeros(shape))

    def forward(self, features: Tensor) -> Tensor:
        trees = torch.arange(self.config.trees, device=features.device)
        node = trees.new_zeros((len(features), self.config.trees))
        for _ in range(self.config.depth):
            value = features.gather(1, self.feature[trees, node].long())
            stays_low = value <= self.threshold[trees, node]
            node = torch.where(stays_low, self.below[trees, node], self.above[trees, node]).long()
        return self.share[trees, node].mean(dim=1)

    def shares(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The same of an array."""
        with torch.inference_mode():
            out: NDArray[np.float64] = self(torch.from_numpy(features)).double().numpy()
        return out
