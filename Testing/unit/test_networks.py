"""The networks' shapes and sizes against the source documents' arithmetic (A13-A15, B4), and how they infer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from LungNoduleCADLib.networks.fusion import fuse_batch_norm
from LungNoduleCADLib.networks.hybrid import (
    SMALL_HYBRID,
    EfficientBlock3D,
    HybridClassifier,
    HybridConfig,
    ResidualBlock3D,
    TransformerEncoderBlock,
)
from LungNoduleCADLib.networks.unet import SMALL_UNET, UNet25D, UNetConfig

RESIDUAL = HybridConfig(patch_size=48, base_channels=8, view="foveated", readout="centered", blocks="residual")


def convolution(inputs: int, outputs: int, kernel: int, *, bias: bool, groups: int = 1) -> int:
    """Weights of a 3-D convolution."""
    return inputs // groups * outputs * kernel**3 + bias * outputs


def batch_norm(channels: int) -> int:
    """Trained scale and shift."""
    return 2 * channels


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def efficient_block(inputs: int, outputs: int, ratio: int = 1) -> int:
    """A13: expansion when its ratio is not 1, depthwise 3^3, squeeze-excite 0.25 of the input, projection."""
    wide, squeezed = inputs * ratio, max(1, int(inputs * 0.25))
    expansion = convolution(inputs, wide, 1, bias=False) + batch_norm(wide) if ratio != 1 else 0
    depthwise = convolution(wide, wide, 3, bias=False, groups=wide) + batch_norm(wide)
    squeeze_excite = convolution(wide, squeezed, 1, bias=True) + convolution(squeezed, wide, 1, bias=True)
    projection = convolution(wide, outputs, 1, bias=False) + batch_norm(outputs)
    return expansion + depthwise + squeeze_excite + projection


def transformer(width: int, heads: int = 4) -> int:
    """A14: query, key and value of heads x (width / heads), output projection, two norms, feed-forward of 4 x width."""
    key_dim = width // heads
    attention = 3 * dense(width, heads * key_dim) + dense(heads * key_dim, width)
    return attention + 2 * 2 * width + dense(width, 4 * width) + dense(4 * width, width)


def trained(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def shake_batch_norms(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give batch norms statistics and scales as after training; fresh ones are the identity and would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            size = module.running_mean.shape
            module.running_mean.copy_(torch.randn(size, generator=generator) * 0.2)
            module.running_var.copy_(torch.rand(size, generator=generator) + 0.5)
            with torch.no_grad():
                module.weight.copy_(torch.rand(size, generator=generator) + 0.5)
                module.bias.copy_(torch.randn(size, generator=generator) * 0.1)
    return network


@pytest.mark.parametrize(
    ("inputs", "outputs", "ratio"), [(32, 32, 1), (32, 64, 1), (256, 256, 1), (3, 8, 1), (16, 24, 4)]
)
def test_efficient_block_has_the_documents_parameters(inputs: int, outputs: int, ratio: int) -> None:
    assert trained(EfficientBlock3D(inputs, outputs, expand_ratio=ratio)) == efficient_block(inputs, outputs, ratio)


@pytest.mark.parametrize(("outputs", "stride", "residual"), [(8, 1, True), (8, 2, False), (12, 1, False)])
def test_efficient_block_adds_its_input_only_when_nothing_changes_shape(
    outputs: int, stride: int, residual: bool
) -> None:
    block = EfficientBlock3D(8, outputs, stride=stride).eval()
    for parameter in block.project.parameters():  # a branch that gives zero leaves the shortcut alone
        nn.init.zeros_(parameter)
    x = torch.randn(2, 8, 6, 6, 6)
    with torch.inference_mode():
        y = block(x)
    assert y.shape == (2, outputs, *([6 // stride] * 3))
    assert torch.equal(y, x if residual else torch.zeros_like(y))


def test_transformer_block_has_the_documents_parameters_and_keeps_the_token_shape() -> None:
    block = TransformerEncoderBlock(256, 4).eval()
    assert trained(block) == transformer(256)
    assert block.attention.head_dim == 64
    assert [block.norm_attention.eps, block.norm_feed_forward.eps, block.dropout.p] == [1e-6, 1e-6, 0.1]
    with torch.inference_mode():
        assert block(torch.randn(1, 512, 256)).shape == (1, 512, 256)


def test_transformer_block_equals_attention_written_out() -> None:
    torch.manual_seed(0)
    width, heads = 16, 4
    block = TransformerEncoderBlock(width, heads).eval()
    x = torch.randn(2, 10, width)
    with torch.inference_mode():
        q, k, v = (
            (x @ w.T + b).view(2, 10, heads, width // heads).transpose(1, 2)
            for w, b in zip(block.attention.in_proj_weight.chunk(3), block.attention.in_proj_bias.chunk(3), strict=True)
        )
        mixed = torch.softmax(q @ k.transpose(-1, -2) / (width // heads) ** 0.5, dim=-1) @ v
        attended = block.attention.out_proj(mixed.transpose(1, 2).reshape(2, 10, width))
        first = nn.functional.layer_norm(x + attended, (width,), eps=1e-6)
        expand, _, contract = block.feed_forward
        expected = nn.functional.layer_norm(first + contract(torch.relu(expand(first))), (width,), eps=1e-6)
        torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


def test_base_hybrid_has_the_documents_parameters_layer_by_layer() -> None:
    network = HybridClassifier()
    widths = [(32, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)]
    blocks = [module for module in network.stages if isinstance(module, EfficientBlock3D)]
    assert [trained(block) for block in blocks] == [efficient_block(*pair) for pair in widths]
    assert trained(network.stem) == convolution(1, 32, 3, bias=True) + batch_norm(32)
    assert trained(network.transformer) == transformer(256)
    assert trained(network.features) == dense(256, 256) + dense(256, 64)
    assert trained(network.nodule) == dense(64, 1)
    document = (
        convolution(1, 32, 3, bias=True) + batch_norm(32) + sum(efficient_block(*pair) for pair in widths)
        + transformer(256) + dense(256, 256) + dense(256, 64) + dense(64, 1)
    )  # fmt: skip
    assert document == 1_080_497
    # The malignancy output is this product's addition.
    assert trained(network) == document + dense(64, 1)


def test_base_hybrid_makes_512_tokens_of_256_from_a_64_cube() -> None:
    network = HybridClassifier().eval()
    seen: list[torch.Size] = []
    network.transformer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    with torch.inference_mode():
        output = network(torch.rand(1, 1, 64, 64, 64))
    assert seen == [torch.Size((1, 512, 256))]
    assert output.shape == (1, 2)


def test_hybrid_pools_three_times_by_two_and_drops_as_the_document_says() -> None:
    network = HybridClassifier()
    pools = [module.kernel_size for module in network.stages if isinstance(module, nn.MaxPool3d)]
    assert pools == [2, 2, 2]
    assert [m.p for m in network.features.modules() if isinstance(m, nn.Dropout)] == [0.3, 0.2]


def test_foveated_hybrid_sees_the_centre_finely_and_the_whole_coarsely() -> None:
    network = HybridClassifier(HybridConfig(base_channels=8, view="foveated")).eval()
    seen: list[torch.Tensor] = []
    network.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    patch = torch.rand(1, 1, 64, 64, 64)
    with torch.inference_mode():
        assert network(patch).shape == (1, 2)
    assert seen[0].shape == (1, 2, 32, 32, 32)
    assert torch.equal(seen[0][0, 0], patch[0, 0, 16:48, 16:48, 16:48])
    torch.testing.assert_close(seen[0][0, 1, 3, 4, 5], patch[0, 0, 6:8, 8:10, 10:12].mean())


def test_residual_hybrid_has_the_parameters_of_its_stages() -> None:
    """Beside the document's network: dense convolutions, which halve and double thrice."""
    network = HybridClassifier(RESIDUAL)

    def dense_convolution(inputs: int, outputs: int) -> int:
        return convolution(inputs, outputs, 3, bias=False) + batch_norm(outputs)

    stages = [dense_convolution(n // 2, n) + 2 * dense_convolution(n, n) for n in (16, 32, 64)]
    assert trained(network.stages) == sum(stages)
    assert not any(isinstance(module, EfficientBlock3D) for module in network.modules())


def test_residual_block_adds_to_what_comes_in() -> None:
    block = ResidualBlock3D(4).eval()
    x = torch.randn(1, 4, 3, 3, 3)
    with torch.inference_mode():
        nn.init.zeros_(block.body[-1].weight)
        assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        (SMALL_HYBRID, 4),
        (RESIDUAL, 3),
        (HybridConfig(patch_size=32, base_channels=4, readout="centered", blocks="residual"), 4),
        (HybridConfig(patch_size=48, base_channels=4, readout="centered"), 6),
    ],
)
def test_a_centered_readout_takes_the_tokens_around_the_middle(config: HybridConfig, tokens: int) -> None:
    torch.manual_seed(0)
    network = HybridClassifier(config).eval()
    seen: dict[str, torch.Tensor] = {}
    network.transformer.register_forward_hook(lambda *passed: seen.update(tokens=passed[-1]))
    network.features.register_forward_pre_hook(lambda _, inputs: seen.update(read=inputs[0]))
    with torch.inference_mode():
        network(torch.rand(1, 1, *(config.patch_size,) * 3))
    width = 8 * config.base_channels
    assert seen["tokens"].shape == (1, tokens**3, width)
    axis = (torch.arange(tokens) - (tokens - 1) / 2).abs()
    nearest = (axis[:, None, None] < 1) & (axis[:, None] < 1) & (axis < 1)
    assert nearest.sum() == (1 if tokens % 2 else 8)
    torch.testing.assert_close(seen["read"][0, width:], seen["tokens"][0, nearest.flatten()].mean(0))


def test_base_unet_has_the_parameters_of_its_levels() -> None:
    def double(inputs: int, outputs: int) -> int:
        return 9 * inputs * outputs + 9 * outputs * outputs + 2 * batch_norm(outputs)

    encoder = double(7, 32) + double(32, 64) + double(64, 128) + double(128, 256)
    up = sum(4 * inputs * outputs + outputs for inputs, outputs in ((256, 128), (128, 64), (64, 32)))
    decoder = double(256, 128) + double(128, 64) + double(64, 32)
    assert trained(UNet25D()) == encoder + up + decoder + 32 + 1


@pytest.mark.parametrize("config", [UNetConfig(), SMALL_UNET])
@pytest.mark.parametrize("size", [(64, 48), (61, 50), (33, 8), (9, 15)])
def test_unet_takes_seven_slices_of_any_size_and_gives_one_map(config: UNetConfig, size: tuple[int, int]) -> None:
    network = UNet25D(config).eval()
    assert network.encoder[0][0].in_channels == 7
    with torch.inference_mode():
        assert network(torch.rand(2, 7, *size)).shape == (2, 1, *size)


def test_unet_skips_carry_the_finest_level_to_the_output() -> None:
    network = UNet25D(SMALL_UNET).eval()
    for up in network.up:  # cut the path from below; what still varies came over the skip
        nn.init.zeros_(up.weight)
        nn.init.zeros_(up.bias)
    with torch.inference_mode():
        assert network(torch.rand(1, 7, 32, 32)).std() > 0


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (UNet25D(SMALL_UNET), (2, 7, 45, 50)),
        (HybridClassifier(SMALL_HYBRID), (2, 1, 64, 64, 64)),
        (HybridClassifier(RESIDUAL), (2, 1, 48, 48, 48)),
    ],
    ids=["unet", "hybrid", "residual"],
)
def test_fused_batch_norms_give_equal_outputs(network: nn.Module, shape: tuple[int, ...]) -> None:
    network = shake_batch_norms(network).eval()
    fused = fuse_batch_norm(network)
    norms = [m for m in fused.modules() if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm3d))]
    images = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        plain, merged = network(images), fused(images)
    assert not norms
    assert plain.std() > 0
    torch.testing.assert_close(merged, plain, atol=1e-4, rtol=1e-4)


def test_fusing_leaves_the_original_alone_and_refuses_training_mode() -> None:
    network = UNet25D(SMALL_UNET).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fuse_batch_norm(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    with pytest.raises(ValueError, match="evaluation mode"):
        fuse_batch_norm(network.train())


@pytest.mark.parametrize(
    ("build", "shape"),
    [(lambda: UNet25D(SMALL_UNET), (1, 7, 40, 40)), (lambda: HybridClassifier(SMALL_HYBRID), (1, 1, 64, 64, 64))],
    ids=["unet", "hybrid"],
)
def test_networks_are_deterministic_for_a_seed_and_an_input(build: type[nn.Module], shape: tuple[int, ...]) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(2))
    outputs = []
    for _ in range(2):
        torch.manual_seed(3)
        network = build().eval()
        with torch.inference_mode():
            outputs += [network(images), network(images)]
    assert all(torch.equal(outputs[0], other) for other in outputs[1:])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"in_channels": 6}, "middle slice"),
        ({"encoder_channels": (8, 16)}, "level"),
        ({"convolutions": (1, 2)}, "level"),
    ],
)
def test_unet_config_refuses_levels_that_do_not_fit(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        UNetConfig(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"patch_size": 50}, "patch_size"),
        ({"view": "sideways"}, "sideways"),
        ({"blocks": "round"}, "unknown blocks 'round'"),
        ({"blocks": "residual", "halving": "stem"}, "halve by themselves"),
    ],
)
def test_hybrid_config_refuses_what_it_cannot_build(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        HybridConfig(**arguments)  # type: ignore[arg-type]
