"""A 3-D RetinaNet of a public lung nodule detector's size, as a measure for our networks. Only timed, never trained.

Lin et al. 2017 (RetinaNet) and He et al. 2016 (ResNet-50, its first two stages), in 3-D, with the public detector's
widths: 256 feature channels, two pyramid levels and a pooled third, 3 anchors a voxel, 1 class, four 3^3 convolutions
with group norm in each head; 20.9 million parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 256
ANCHORS = 3
BOX_NUMBERS = 6
NORM_GROUPS = 8


class Bottleneck(nn.Module):
    """ResNet-50's residual block: 1^3 down, 3^3, 1^3 up to four times the width."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.body = nn.Sequential(
            nn.Conv3d(inputs, width, 1, bias=False), nn.BatchNorm3d(width), nn.ReLU(inplace=True),
            nn.Conv3d(width, width, 3, stride, 1, bias=False), nn.BatchNorm3d(width), nn.ReLU(inplace=True),
            nn.Conv3d(width, outputs, 1, bias=False), nn.BatchNorm3d(outputs),
        )  # fmt: skip
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


def stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    """A ResNet stage; the first block changes resolution and width."""
    following = [Bottleneck(4 * width, width, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Bottleneck(inputs, width, stride), *following)


def head(outputs: int) -> nn.Sequential:
    """Four convolutions and a prediction, shared by the pyramid's levels."""
    layers: list[nn.Module] = []
    for _ in range(4):
        layers += [
            nn.Conv3d(FEATURES, FEATURES, 3, padding=1),
            nn.GroupNorm(NORM_GROUPS, FEATURES),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.Conv3d(FEATURES, outputs, 3, padding=1))


class RetinaNet3D(nn.Module):
    """Input (n, 1, x, y, z) with the thick axis last; output: class logits and box offsets of each pyramid level."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(1, 64, 7, stride=(2, 2, 1), padding=3, bias=False), nn.BatchNorm3d(64), nn.ReLU(inplace=True),
            nn.MaxPool3d(3, stride=2, padding=1),
        )  # fmt: skip
        self.fine, self.coarse = stage(64, 64, 3, 1), stage(256, 128, 4, 2)
        self.lateral = nn.ModuleList([nn.Conv3d(256, FEATURES, 1), nn.Conv3d(512, FEATURES, 1)])
        self.smooth = nn.ModuleList([nn.Conv3d(FEATURES, FEATURES, 3, padding=1) for _ in range(2)])
        self.classes, self.boxes = head(ANCHORS), head(ANCHORS * BOX_NUMBERS)

    def forward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        fine = self.fine(self.stem(x))
        top = self.lateral[1](self.coarse(fine))
        below = self.lateral[0](fine) + functional.interpolate(top, size=fine.shape[2:], mode="nearest")
        levels = [self.smooth[0](below), self.smooth[1](top)]
        levels.append(functional.max_pool3d(levels[-1], 1, stride=2))
        return [(self.classes(level), self.boxes(level)) for level in levels]


def parameter_count(network: nn.Module) -> int:
    """Trained parameters."""
    return sum(p.numel() for p in network.parameters())


if __name__ == "__main__":
    with torch.device("meta"):
        print(f"{parameter_count(RetinaNet3D()):,}")
