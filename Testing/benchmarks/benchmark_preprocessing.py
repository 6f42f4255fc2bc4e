"""Preprocessing of a scan: the source document's recipe (A2, A3, A5) against ours, and how far the two agree.

    python Testing/benchmarks/benchmark_preprocessing.py --scan SCAN --output preprocessing.json

The document's recipe multiplies by the mask, windows, zooms the whole scan with a cubic spline on the CPU and enhances
it slice by slice. Both sides get the same scan and the same lung mask, whose time is reported apart.

Agreement is measured on one grid: the document's zoom stretches the outer voxels onto the outer voxels and then scales
by the volume's extremes, both of which are mended here on purpose. So the reference is the same library functions,
scipy's spline and PyWavelets, in double precision, at our grid's points and on the fixed scale.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pywt
import torch
from measuring import DEFAULT_SCAN, Cost, add_common_options, measure, prepare, write_report
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.preprocess.lung_mask import segment_lungs
from LungNoduleCADLib.preprocess.prepare import prepare_lung
from LungNoduleCADLib.preprocess.settings import Preprocessing, Resampling, Wavelet
from LungNoduleCADLib.preprocess.window import LUNG_WINDOW_HU
from LungNoduleCADLib.volume import Volume

TOLERANCE = 1e-4
"""Largest accepted difference from the reference, on the scale [0, 1]."""


def windowed(hu: NDArray[Any]) -> NDArray[np.float64]:
    """The lung window in double precision."""
    low, high = LUNG_WINDOW_HU
    return (np.clip(hu, low, high) - low) / (high - low)


def enhance_slice_by_slice(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """A5 with PyWavelets, before any rescaling."""
    enhanced = np.zeros_like(image)
    for n, plane in enumerate(image):
        approximation, *details = pywt.wavedec2(plane, "db4", level=2)
        shrunk = [tuple(pywt.threshold(band, band.std(), mode="soft") for band in bands) for bands in details]
        enhanced[n] = pywt.waverec2([approximation, *shrunk], "db4")[: plane.shape[0], : plane.shape[1]]
    return enhanced


def document_recipe(volume: Volume, lung: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The recipe as the document has it, faults included, save its mixed-up axis order, which would change the work."""
    shape = np.round(np.array(volume.shape) * volume.spacing_kji_mm)
    zoomed = ndimage.zoom(windowed(volume.voxels * lung), shape / volume.shape, mode="nearest")
    enhanced = enhance_slice_by_slice(zoomed)
    return (enhanced - enhanced.min()) / (enhanced.max() - enhanced.min() + 1e-8)


def reference(volume: Volume, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """scipy's cubic spline and PyWavelets at the points of our 1 mm grid, on the fixed scale."""
    steps = 1.0 / volume.spacing_kji_mm
    image = ndimage.affine_transform(windowed(volume.voxels), steps, output_shape=shape, order=3, mode="nearest")
    return np.clip(enhance_slice_by_slice(np.clip(image, 0, 1)), 0, 1)


def run(scan: Path, device: torch.device, repeats: int) -> dict[str, Any]:
    """All figures; prints them as they come."""
    cpu = torch.device("cpu")
    volume, reading = measure(partial(read_volume, scan), cpu)
    print(f"read               {reading}   {volume.shape}, {np.round(volume.spacing_kji_mm, 3)} mm")
    lung, masking = measure(partial(segment_lungs, volume), cpu)
    print(f"lung mask          {masking}")
    wavelet = Wavelet()
    variants = {
        "ours, whole scan, the document's settings": (
            None,
            Preprocessing(resampling=Resampling(order=3, antialias=False), wavelet=wavelet),
        ),
        "ours, lung box, with wavelet": (lung, Preprocessing(wavelet=wavelet)),
        "ours, lung box, without wavelet": (lung, Preprocessing()),
    }
    costs: dict[str, Cost] = {}
    difference = np.zeros(0)
    for name, (mask, settings) in variants.items():
        prepared, costs[name] = measure(partial(prepare_lung, volume, mask, settings, device), device, repeats)
        print(f"{name:45s} {costs[name]}   {tuple(prepared.image.shape)}", flush=True)
        if mask is None:
            difference = np.abs(prepared.image.cpu().numpy() - reference(volume, tuple(prepared.image.shape)))
        del prepared
    document, costs["document"] = measure(partial(document_recipe, volume, lung), cpu)
    print(f"{'document':45s} {costs['document']}   {document.shape}", flush=True)
    ratios = {name: costs["document"].first_s / cost.first_s for name, cost in costs.items() if name != "document"}
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.1f} times as fast as the document's recipe")
    agreement = {"max": float(difference.max()), "mean": float(difference.mean()), "tolerance": TOLERANCE}
    verdict = "within" if agreement["max"] <= TOLERANCE else "NOT within"
    print(f"difference from scipy and PyWavelets: max {agreement['max']:.2e}, mean {agreement['mean']:.2e}, "
          f"{verdict} {TOLERANCE}")  # fmt: skip
    return {
        "scan": {"name": scan.name, "shape_kji": volume.shape, "spacing_kji_mm": volume.spacing_kji_mm.tolist()},
        "reading": reading,
        "lung_mask": masking,
        "preprocessing": costs,
        "times_as_fast_as_document": ratios,
        "difference": agreement,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", type=Path, default=DEFAULT_SCAN, help="a CT: DICOM folder or image file")
    add_common_options(parser)
    arguments = parser.parse_args()
    device = prepare(arguments)
    write_report(run(arguments.scan, device, arguments.repeats), arguments, device)


if __name__ == "__main__":
    main()
