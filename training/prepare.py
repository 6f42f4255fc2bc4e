"""Prepare what training reads: background lungs at 1 mm, insertable nodules, and real cubes, as one compressed file
each.

python -m training.prepare --data ../shared/data --cache cache
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.preprocess.lung_mask import segment_lungs
from LungNoduleCADLib.preprocess.prepare import prepare_lung
from LungNoduleCADLib.simulation import make_phantom
from LungNoduleCADLib.volume import Volume

from .boxes import crop_boxes, save_boxes
from .nodules import InsertableNodule, crop_nodules, decoys, save_nodules, simulated_nodules
from .outlines import FILE as OUTLINES
from .outlines import read_outlines, save_outlines
from .splits import BACKGROUND_SCANS, BACKGROUND_SLABS, PHANTOM_SEEDS, fold_of

DECOYS_PER_SCAN = 200
SIMULATED_NODULES = 1600


def prepare_background(
    volume: Volume, lung: NDArray[np.bool_], scan: str, path: Path
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Write one lung at 1 mm: window as uint8, lung mask, affine and slice spacing, cut to the lungs with a margin."""
    prepared = prepare_lung(volume, lung)
    assert prepared.inside is not None
    windowed = (prepared.image * 255).round().to(torch.uint8).numpy()
    np.savez_compressed(
        path,
        image=windowed,
        lung=prepared.inside,
        ijk_to_lps=prepared.grid.ijk_to_lps,
        slice_mm=volume.spacing_kji_mm[0],
        scan=scan,
    )
    return windowed, prepared.inside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cache: Path = arguments.cache
    cache.mkdir(parents=True, exist_ok=True)
    negatives: list[InsertableNodule] = []
    for n, scan in enumerate((*BACKGROUND_SCANS, *BACKGROUND_SLABS)):
        path = cache / f"lung-{scan}.npz"
        if not path.exists():
            volume = read_volume(arguments.data / "ct" / scan)
            prepare_background(volume, segment_lungs(volume), scan, path)
        saved = np.load(path)
        if scan in BACKGROUND_SCANS:
            negatives += decoys(saved["image"], saved["lung"], DECOYS_PER_SCAN, arguments.seed + n, fold_of(scan))
        print(f"{scan}: {saved['image'].shape}, lungs {saved['lung'].sum() / 1e6:.2f} l", flush=True)
    for seed in PHANTOM_SEEDS:
        path = cache / f"lung-phantom-{seed}.npz"
        if not path.exists():
            phantom = make_phantom(seed=seed, nodules=0)
            prepare_background(phantom.volume, phantom.lung_mask.voxels, f"phantom-{seed}", path)
    print(f"boxes: {save_boxes(cache / 'boxes.npz', crop_boxes(arguments.data))}", flush=True)
    nodules = arguments.data / "lidc-nodules"
    outlines = list(read_outlines(arguments.data))
    save_outlines(cache / OUTLINES, outlines)
    print(f"outlines: {len(outlines)}", flush=True)
    for name, items in (
        ("decoys", negatives),
        ("crops", crop_nodules(nodules, arguments.seed)),
        ("simulated", simulated_nodules(SIMULATED_NODULES, arguments.seed, outlines)),
    ):
        print(f"{name}: {save_nodules(cache / f'{name}.npz', items)}", flush=True)


if __name__ == "__main__":
    main()
