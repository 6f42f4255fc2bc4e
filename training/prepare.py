"""Prepare what training reads: background lungs at 1 mm, insertable nodules, and real cubes, as one compressed file
each.

python -m training.prepare --data ../shared/data --cache cache
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.preprocess.lung_mask import segment_lungs
from LungNoduleCADLib.preprocess.resample import resample_isotropic
from LungNoduleCADLib.preprocess.window import LUNG_WINDOW_HU
from LungNoduleCADLib.volume import Volume

from .nodules import InsertableNodule, crop_nodules, decoys, save_nodules, simulated_nodules, to_window
from .splits import BACKGROUND_SCANS, fold_of

MARGIN_MM = 16.0
DECOYS_PER_SCAN = 200
SIMULATED_NODULES = 800


def prepare_background(folder: Path, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One lung scan at 1 mm: window as uint8, lung mask, affine and slice spacing, cropped to the lungs with a
    margin."""
    volume = read_volume(folder)
    lung = segment_lungs(volume)
    indices = np.argwhere(lung.any(axis=(1, 2))), np.argwhere(lung.any(axis=(0, 2))), np.argwhere(lung.any(axis=(0, 1)))
    margin = np.ceil(MARGIN_MM / volume.spacing_kji_mm).astype(int)
    start = np.maximum(np.array([i.min() for i in indices]) - margin, 0)
    stop = np.minimum(np.array([i.max() for i in indices]) + 1 + margin, volume.shape)
    image, grid = resample_isotropic(volume, start_kji=start, stop_kji=stop, clip=LUNG_WINDOW_HU)
    mask, _ = resample_isotropic(
        Volume(lung.astype(np.uint8), volume.ijk_to_lps), start_kji=start, stop_kji=stop, order=1, antialias=False
    )
    windowed, inside = to_window(image.numpy()), mask.numpy() >= 0.5
    np.savez_compressed(
        path,
        image=windowed,
        lung=inside,
        ijk_to_lps=grid.ijk_to_lps,
        slice_mm=volume.spacing_kji_mm[0],
        scan=folder.name,
    )
    return windowed, inside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cache: Path = arguments.cache
    cache.mkdir(parents=True, exist_ok=True)
    negatives: list[InsertableNodule] = []
    for n, scan in enumerate(BACKGROUND_SCANS):
        path = cache / f"lung-{scan}.npz"
        if not path.exists():
            prepare_background(arguments.data / "ct" / scan, path)
        saved = np.load(path)
        negatives += decoys(saved["image"], saved["lung"], DECOYS_PER_SCAN, arguments.seed + n, fold_of(scan))
        print(f"{scan}: {saved['image'].shape}, lungs {saved['lung'].sum() / 1e6:.2f} l", flush=True)
    nodules = arguments.data / "lidc-nodules"
    for name, items in (
        ("decoys", negatives),
        ("crops", crop_nodules(nodules, arguments.seed)),
        ("simulated", simulated_nodules(SIMULATED_NODULES, arguments.seed)),
    ):
        print(f"{name}: {save_nodules(cache / f'{name}.npz', items)}", flush=True)


if __name__ == "__main__":
    main()
