"""What the segmentation network takes for nodules in healthy lung: the classifier's negatives."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from LungNoduleCADLib.detection.group import GroupingSettings, group
from LungNoduleCADLib.detection.propose import heat_map, reach_of
from LungNoduleCADLib.io import write_bytes
from LungNoduleCADLib.preprocess.settings import Wavelet

from .patches import Place
from .sampler import Lung
from .transforms.enhancement import enhanced_slices
from .transforms.scanner import draw_scanner

PROPOSALS_PER_SCAN = 200
MINING = GroupingSettings(threshold=0.06, maximum=PROPOSALS_PER_SCAN)
"""Below the detector's own threshold: the next network's doubts are a little elsewhere."""
MOST_HOT = 0.05
"""Share of the lung that may be marked: a network that has learnt little yet marks half of it, in no end of groups."""
DEGRADED_COPIES = 1


def mine(lungs: Iterable[Lung], network: torch.nn.Module, path: Path, wavelet: Wavelet | None = None) -> None:
    """Keep the network's proposals in healthy lung, as it is and as other scanners would show it, in a file, since
    finding them takes minutes. Rows are the lung's number and the voxel (k, j, i).

    :param wavelet: the enhancement that the network was trained with.
    """
    rng, found = np.random.default_rng(0), set()
    for n, lung in enumerate(lungs):
        for copy in range(1 + DEGRADED_COPIES):
            image = lung.image.astype(np.float32)
            if copy:
                image = np.clip(draw_scanner(rng, image.shape, lung.slice_mm)(image), 0, 255)
            seen = enhanced_slices(torch.from_numpy(image).div_(255), wavelet)
            heat = heat_map(network, seen, reach_of(lung.lung, 1.0))
            hottest = float(np.quantile(heat[lung.lung], 1 - MOST_HOT))
            settings = replace(MINING, threshold=max(MINING.threshold, hottest))
            for proposal in group(heat, settings=settings):
                k, j, i = (round(c) for c in proposal.center_kji)
                if not lung.ignore[k, j, i]:
                    found.add((n, k, j, i))
    packed = io.BytesIO()
    np.save(packed, np.array(sorted(found), dtype=np.int64).reshape(-1, 4))
    write_bytes(path, packed.getvalue())


def read_places(path: Path) -> list[Place]:
    """What `mine` kept."""
    return [Place(int(n), np.array(center)) for n, *center in np.load(path)]
