"""A result on its way from the worker to the scene: `findings.json` and the candidates' voxels, compact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..findings import DetectionResult, VoxelMask
from ..report.record import result_from_json
from ..report.tables import write_findings_json
from ..volume import Volume

FINDINGS_FILE = "findings.json"
MASKS_FILE = "masks.npz"


def save_result(result: DetectionResult, volume: Volume, folder: Path) -> None:
    """Write a result into an existing folder, for `load_result`. Heat map and lung mask are left out: the scene shows
    neither, and they are a hundred times larger than the rest.

    :raises OutputError: when a file cannot be written.
    """
    write_findings_json(result, volume, folder / FINDINGS_FILE)
    masks = [c.mask for c in result.candidates]
    bits = np.concatenate([m.voxels.ravel() for m in masks]) if masks else np.zeros(0, dtype=bool)
    np.savez(
        folder / MASKS_FILE,
        starts_kji=np.array([m.start_kji for m in masks], dtype=np.int32).reshape(-1, 3),
        shapes_kji=np.array([m.voxels.shape for m in masks], dtype=np.int32).reshape(-1, 3),
        bits=np.packbits(bits),
    )


def load_result(folder: Path) -> tuple[DetectionResult, str]:
    """Read what `save_result` wrote.

    :return: the result, and the text of `findings.json` as the detector wrote it.
    """
    text = (folder / FINDINGS_FILE).read_text(encoding="utf-8")
    content = json.loads(text)
    with np.load(folder / MASKS_FILE, allow_pickle=False) as arrays:
        starts, shapes = arrays["starts_kji"], arrays["shapes_kji"]
        sizes = shapes.prod(axis=1, dtype=np.int64)
        bits = np.unpackbits(arrays["bits"], count=int(sizes.sum())).astype(bool)
    masks = [
        VoxelMask((int(start[0]), int(start[1]), int(start[2])), voxels.reshape(tuple(shape)))
        for start, shape, voxels in zip(starts, shapes, np.split(bits, np.cumsum(sizes)[:-1]), strict=False)
    ]
    labels = [f"N{entry['id']}" for entry in content["candidates"]]
    return result_from_json(content, dict(zip(labels, masks, strict=True))), text
