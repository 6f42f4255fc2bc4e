"""Our networks against a 3-D RetinaNet of a public detector's size: parameters and time for the same piece of lung.

    python Testing/benchmarks/benchmark_networks.py --output networks.json

The RetinaNet's window is its public configuration's: 192 x 192 x 80 voxels of 0.703 x 0.703 x 1.25 mm, which is 135 x
135 x 100 mm. Our U-Net is given the same piece of lung, 100 slices of 135 x 135 at 1 mm. The classifier's figure is
patches a second, beside the 340 that document A's authors reach on their GPU; on a processor that others use too, the
figure to compare is that of a second of one core. Weights are random, which changes no time; "small, foveated" is what
ships.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import torch
from measuring import add_common_options, measure, prepare, write_report
from retinanet3d import RetinaNet3D, parameter_count
from torch import Tensor, nn

from LungNoduleCADLib.detection.devices import autocast, precision
from LungNoduleCADLib.detection.propose import slice_stacks
from LungNoduleCADLib.networks.fusion import fuse_batch_norm
from LungNoduleCADLib.networks.hybrid import SMALL_HYBRID, HybridClassifier, HybridConfig
from LungNoduleCADLib.networks.unet import SMALL_UNET, UNet25D, UNetConfig

WINDOW = (192, 192, 80)
DOCUMENT_RATE = 340.0
"""Patches a second: 542 of 64 x 64 x 64 voxels in 17 steps of 92 ms (document A)."""
LUNG_AT_1_MM = (100, 135, 135)
"""The window's size in mm, as (k, j, i) of a 1 mm grid."""


def segment(network: nn.Module, image: Tensor, slices: int, batch: int) -> None:
    """All slices of (k, j, i) through a U-Net, in batches."""
    for first in range(0, len(image), batch):
        stack = slice_stacks(image, first, min(first + batch, len(image)), slices)
        with torch.inference_mode(), autocast(image.device):
            network(stack.contiguous(memory_format=torch.channels_last))


def classify(network: nn.Module, patches: Tensor, batch: int) -> None:
    """All patches through a classifier, in batches."""
    for part in patches.split(batch):
        with torch.inference_mode(), autocast(patches.device):
            network(part.contiguous(memory_format=torch.channels_last_3d))


def detect_window(network: nn.Module, window: Tensor) -> None:
    """One window through the RetinaNet."""
    with torch.inference_mode(), autocast(window.device):
        network(window)


def run(device: torch.device, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures; prints them as they come."""
    figures: dict[str, Any] = {"precision": str(precision(device)), "segmentation": {}, "classification": {}}
    image = torch.rand(LUNG_AT_1_MM, device=device)
    for name, config in {"small": SMALL_UNET, "base": UNetConfig()}.items():
        network = fuse_batch_norm(UNet25D(config).eval()).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        slices = config.in_channels
        segment(network, image[:8], slices, 8)  # the first call plans and allocates
        _, cost = measure(partial(segment, network, image, slices, 8), device, arguments.repeats)
        parameters = parameter_count(UNet25D(config))
        figures["segmentation"][name] = {"parameters": parameters, "cost": cost}
        print(f"U-Net {name:17s} {parameters / 1e6:6.2f} M parameters  {cost}", flush=True)
    patches = torch.rand(arguments.patches, 1, 64, 64, 64, device=device)
    classifiers = {
        "small, foveated": SMALL_HYBRID,
        "small, full": HybridConfig(base_channels=SMALL_HYBRID.base_channels),
        "base, full": HybridConfig(),
    }
    for name, classifier in classifiers.items():
        network = fuse_batch_norm(HybridClassifier(classifier).eval()).to(device)
        classify(network, patches[: arguments.batch], arguments.batch)
        _, cost = measure(partial(classify, network, patches, arguments.batch), device, arguments.repeats)
        rate = len(patches) / cost.best_s
        parameters = parameter_count(HybridClassifier(classifier))
        figures["classification"][name] = {
            "parameters": parameters,
            "cost": cost,
            "patches_a_second": rate,
            "patches_a_core_second": len(patches) / cost.cpu_s,
            "times_the_document": rate / DOCUMENT_RATE,
        }
        print(
            f"hybrid {name:16s} {parameters / 1e6:6.2f} M parameters  {cost}  {rate:.1f} patches/s "
            f"({rate / DOCUMENT_RATE:.2f} of the document's), {len(patches) / cost.cpu_s:.1f} a second of one core",
            flush=True,
        )
    if not arguments.without_retinanet:
        retinanet = RetinaNet3D().eval().to(device)
        detect_window(retinanet, torch.rand(1, 1, 32, 32, 16, device=device))
        window = torch.rand(1, 1, *WINDOW, device=device)
        _, cost = measure(partial(detect_window, retinanet, window), device)
        ratio = cost.best_s / figures["segmentation"]["small"]["cost"].best_s
        figures["retinanet"] = {"parameters": parameter_count(retinanet), "cost": cost, "times_the_small_unet": ratio}
        print(f"RetinaNet, one window   {parameter_count(retinanet) / 1e6:6.2f} M parameters  {cost}")
        print(f"the small U-Net needs 1/{ratio:.0f} of its time for the same piece of lung")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_options(parser)
    parser.add_argument("--patches", type=int, default=16, help="patches to classify (default: 16)")
    parser.add_argument("--batch", type=int, default=8, help="patches in a batch (default: 8)")
    parser.add_argument("--without-retinanet", action="store_true", help="leave out the slow comparison")
    arguments = parser.parse_args()
    device = prepare(arguments)
    write_report(run(device, arguments), arguments, device)


if __name__ == "__main__":
    main()
