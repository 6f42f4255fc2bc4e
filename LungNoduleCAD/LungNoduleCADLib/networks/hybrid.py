"""The hybrid CNN-Transformer that scores a candidate from what is around it (document A, parts A13-A15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn
from torch.nn import functional

SQUEEZE_RATIO = 0.25
LAYER_NORM_EPS = 1e-6


@dataclass(frozen=True)
class HybridConfig:
    """Widths of the network; the defaults are the document's (A15).

    :param patch_size: edge of the cubic input, voxels of 1 mm.
    :param base_channels: channels after the first convolution; the four stages have 1, 2, 4 and 8 times as many.
    :param view: "full" convolves the whole patch at 1 mm. "foveated" looks at the central half at 1 mm and at the whole
        at 2 mm, side by side as two channels: an eighth of the voxels, the same field of view.
    :param heads: attention heads; the key dimension is the token's width over them.
    :param halving: "stages" halves between the four stages, as the document does. "stem" halves with the first
        convolution and not before the last stage: a tenth of the work, for the same tokens.
    :param readout: "mean" averages all tokens, as the document does: it cannot tell a nodule at the centre from a
        vessel at the edge. "centered" gives tokens a learned position and reads the central one, or eight, beside the
        mean.
    :param blocks: "inverted" are the document's. "residual" are dense (He et al. 2016), one a stage after a convolution
        that halves: dearer, and far better at telling small nodules from vessels.
    """

    patch_size: int = 64
    base_channels: int = 32
    view: Literal["full", "foveated"] = "full"
    heads: int = 4
    halving: Literal["stages", "stem"] = "stages"
    readout: Literal["mean", "centered"] = "mean"
    blocks: Literal["inverted", "residual"] = "inverted"

    def __post_init__(self) -> None:
        if self.patch_size % 16:
            raise ValueError("patch_size must be a multiple of 16: it is halved up to four times around its centre")
        for name, hint in get_type_hints(type(self)).items():
            if get_origin(hint) is Literal and getattr(self, name) not in get_args(hint):
                raise ValueError(f"unknown {name} {getattr(self, name)!r}")
        if self.blocks == "residual" and self.halving == "stem":
            raise ValueError("residual blocks halve by themselves; halving must be 'stages'")

    @property
    def tokens_per_side(self) -> int:
        """Edge of the cube of tokens: three halvings of the network's own view."""
        return self.patch_size // (16 if self.view == "foveated" else 8)


SMALL_HYBRID = HybridConfig(base_channels=16, view="foveated", halving="stem", readout="centered")
"""The configuration that is shipped: sized for a radiologist's CPU."""


class EfficientBlock3D(nn.Module):
    """EfficientNet's inverted bottleneck in 3-D (A13; Tan and Le 2019): 1^3 expansion, 3^3 depthwise convolution,
    squeeze-and-excitation, 1^3 projection, and a residual when nothing changes shape. (n, c, d, h, w) to (n, outputs,
    ...)."""

    def __init__(self, inputs: int, outputs: int, *, expand_ratio: int = 1, stride: int = 1) -> None:
        super().__init__()
        expanded = inputs * expand_ratio
        squeezed = max(1, int(inputs * SQUEEZE_RATIO))
        self.expand = (
            nn.Sequential(nn.Conv3d(inputs, expanded, 1, bias=False), nn.BatchNorm3d(expanded), nn.SiLU(inplace=True))
            if expand_ratio != 1
            else nn.Identity()
        )
        self.depthwise = nn.Sequential(
            nn.Conv3d(expanded, expanded, 3, stride=stride, padding=1, groups=expanded, bias=False),
            nn.BatchNorm3d(expanded),
            nn.SiLU(inplace=True),
        )
        self.squeeze = nn.Conv3d(expanded, squeezed, 1)
        self.excite = nn.Conv3d(squeezed, expanded, 1)
        self.project = nn.Sequential(nn.Conv3d(expanded, outputs, 1, bias=False), nn.BatchNorm3d(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(self.expand(x))
        gate = torch.sigmoid(self.excite(functional.silu(self.squeeze(y.mean(dim=(2, 3, 4), keepdim=True)))))
        y = self.project(y * gate)
        return x + y if self.residual else y


class ResidualBlock3D(nn.Module):
    """Two dense 3^3 convolutions whose result is added to what came in (He et al. 2016). (n, c, d, h, w) in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *convolution(channels, channels), nn.ReLU(inplace=True), *convolution(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.body(x))


def convolution(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """A 3^3 convolution with batch normalisation."""
    return nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm3d(outputs)


def inverted_stages(base: int, *, last_halves: bool) -> nn.Sequential:
    """The document's four stages (A15), to 8 * base channels; (n, base, s, s, s) to an edge of s / 8, or s / 4 when the
    last does not halve."""
    return nn.Sequential(
        EfficientBlock3D(base, base),
        nn.MaxPool3d(2),
        EfficientBlock3D(base, 2 * base),
        EfficientBlock3D(2 * base, 2 * base),
        nn.MaxPool3d(2),
        EfficientBlock3D(2 * base, 4 * base),
        EfficientBlock3D(4 * base, 4 * base),
        nn.MaxPool3d(2) if last_halves else nn.Identity(),
        EfficientBlock3D(4 * base, 8 * base),
        EfficientBlock3D(8 * base, 8 * base),
    )


def residual_stages(base: int) -> nn.Sequential:
    """Three stages that halve and double the channels: (n, base, s, s, s) to (n, 8 * base, s / 8, ...)."""
    stages: list[nn.Module] = []
    for width in (2 * base, 4 * base, 8 * base):
        stages += [*convolution(width // 2, width, stride=2), nn.ReLU(inplace=True), ResidualBlock3D(width)]
    return nn.Sequential(*stages)


class TransformerEncoderBlock(nn.Module):
    """Post-norm Transformer encoder (A14; Vaswani et al. 2017). Tokens (n, t, width) in and out."""

    def __init__(self, width: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm_attention = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(inplace=True), nn.Linear(4 * width, width)
        )
        self.norm_feed_forward = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        attended, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        tokens = self.norm_attention(tokens + self.dropout(attended))
        return self.norm_feed_forward(tokens + self.dropout(self.feed_forward(tokens)))


class HybridClassifier(nn.Module):
    """Nodule and malignancy logits of a patch.

    Input (n, 1, s, s, s), s the configured patch size, values in [0, 1], the candidate at the centre; output (n, 2):
    logit of "is a nodule" and logit of "is malignant, given that it is a nodule".
    """

    def __init__(self, config: HybridConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or HybridConfig()
        base = config.base_channels
        self.stem = nn.Sequential(
            nn.Conv3d(
                2 if config.view == "foveated" else 1, base, 3, stride=2 if config.halving == "stem" else 1, padding=1
            ),
            nn.BatchNorm3d(base),
            nn.ReLU(inplace=True),
        )
        self.stages = (
            residual_stages(base)
            if config.blocks == "residual"
            else inverted_stages(base, last_halves=config.halving == "stages")
        )
        width = 8 * base
        if config.readout == "centered":
            self.position = nn.Parameter(torch.empty(1, config.tokens_per_side**3, width))
            # Not `randn`: without memory, as `load_model` builds it, that makes torch import its compiler (1.4 s).
            nn.init.trunc_normal_(self.position, std=0.02)
        self.transformer = TransformerEncoderBlock(width, config.heads)
        self.features = nn.Sequential(
            nn.Linear(2 * width if config.readout == "centered" else width, 256),
            nn.ReLU(inplace=True),
            nn.Dropout(0.3),
            nn.Linear(256, 64),
            nn.ReLU(inplace=True),
            nn.Dropout(0.2),
        )
        self.nodule = nn.Linear(64, 1)
        self.malignancy = nn.Linear(64, 1)

    def forward(self, patches: Tensor) -> Tensor:
        if self.config.view == "foveated":
            quarter = self.config.patch_size // 4
            fovea = patches[..., quarter:-quarter, quarter:-quarter, quarter:-quarter]
            patches = torch.cat((fovea, functional.avg_pool3d(patches, 2)), dim=1)
        maps = self.stages(self.stem(patches))
        tokens = maps.flatten(2).transpose(1, 2)
        if self.config.readout == "mean":
            features = self.features(self.transformer(tokens).mean(dim=1))
        else:
            tokens = self.transformer(tokens + self.position)
            side = self.config.tokens_per_side
            middle = slice((side - 1) // 2, side // 2 + 1)
            center = tokens.unflatten(1, (side, side, side))[:, middle, middle, middle].flatten(1, 3)
            features = self.features(torch.cat((tokens.mean(dim=1), center.mean(dim=1)), dim=1))
        return torch.cat((self.nodule(features), self.malignancy(features)), dim=1)
