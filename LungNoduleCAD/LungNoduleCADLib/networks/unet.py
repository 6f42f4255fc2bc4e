"""The 2.5-D U-Net that proposes nodules: seven axial slices in, the nodule map of the middle one out (document B, part
B4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class UNetConfig:
    """Widths of the network.

    :param in_channels: neighbouring slices given as channels; the middle one is segmented (3 + 1 + 3 in the document).
    :param encoder_channels: channels of each resolution level, finest first; every level halves the slice's size.
    :param decoder_channels: channels of each decoder level, finest first; one fewer than encoder levels.
    :param convolutions: 3x3 convolutions of each encoder level; a single one at the finest level, which holds most
        pixels, makes the small network twice as fast.
    """

    in_channels: int = 7
    encoder_channels: tuple[int, ...] = (32, 64, 128, 256)
    decoder_channels: tuple[int, ...] = (32, 64, 128)
    convolutions: tuple[int, ...] = (2, 2, 2, 2)

    def __post_init__(self) -> None:
        if self.in_channels % 2 != 1 or self.in_channels < 1:
            raise ValueError("in_channels must be odd, so that there is a middle slice")
        if not len(self.encoder_channels) == len(self.decoder_channels) + 1 == len(self.convolutions):
            raise ValueError(
                "a U-Net has one decoder level fewer than encoder levels, and one convolution count a level"
            )


SMALL_UNET = UNetConfig(encoder_channels=(16, 32, 64, 96), decoder_channels=(8, 32, 64), convolutions=(1, 2, 2, 2))
"""The configuration that is shipped: sized for a radiologist's CPU."""


def _convolutions(inputs: int, outputs: int, count: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n in range(count):
        layers += [
            nn.Conv2d(inputs if n == 0 else outputs, outputs, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class UNet25D(nn.Module):
    """U-Net over slices with their neighbours as channels.

    Input (n, in_channels, h, w), values in [0, 1]; output (n, 1, h, w) logits of the middle slice. Any h and w: sizes
    that the pooling does not divide are padded by replication and cropped back.
    """

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UNetConfig()
        widths = config.encoder_channels
        self.encoder = nn.ModuleList(
            _convolutions(config.in_channels if n == 0 else widths[n - 1], width, config.convolutions[n])
            for n, width in enumerate(widths)
        )
        below = (*config.decoder_channels[1:], widths[-1])
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
            for inputs, outputs in zip(below, config.decoder_channels, strict=True)
        )
        self.decoder = nn.ModuleList(
            _convolutions(widths[n] + width, width, config.convolutions[n])
            for n, width in enumerate(config.decoder_channels)
        )
        self.head = nn.Conv2d(config.decoder_channels[0], 1, kernel_size=1)

    def forward(self, slices: Tensor) -> Tensor:
        height, width = slices.shape[-2:]
        step = 2 ** (len(self.encoder) - 1)
        x = (
            functional.pad(slices, (0, -width % step, 0, -height % step), mode="replicate")
            if (width % step or height % step)
            else slices
        )
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for level in reversed(range(len(self.decoder))):
            x = self.decoder[level](torch.cat((skips[level], self.up[level](x)), dim=1))
        return self.head(x)[..., :height, :width]
