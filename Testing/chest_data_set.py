"""A small prepared data set made in memory, and a detector that knows where its nodules are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from LungNoduleCADLib.detection.group import Proposal
from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.volume import Volume
from training.cross_validation import Seen
from training.datasets.cache import Cache
from training.datasets.partition import part_of, store_split
from training.datasets.scans import Nodule, Scan

SHAPE = (84, 96, 96)
ORIGIN = np.array([-40.0, 10.0, 5.0])
PATIENTS = {"training": 8, "validation": 2, "test": 2}


@dataclass(frozen=True)
class Chest:
    """A scan made in memory: noise with vessels, and two balls."""

    name: str
    patient: str
    source: str = "made up"

    def files(self) -> list[Path]:
        return []

    def findings(self) -> Any:
        return []

    def read(self) -> Scan:
        rng = np.random.default_rng(sum(map(ord, self.name)))
        hu = rng.normal(-850, 15, SHAPE).astype(np.float32)
        lung = np.zeros(SHAPE, dtype=bool)
        lung[6:-6, 6:-6, 6:-6] = True
        hu[~lung] = 40
        for j, i in rng.integers(14, 80, size=(12, 2)):
            hu[:, j : j + 2, i : i + 2] = -50
        volume = Volume(hu, np.diag([1.0, 1.0, 1.0, 1.0]) + np.pad(ORIGIN[:, None], ((0, 1), (3, 0))))
        axes = np.indices(SHAPE)
        nodules = []
        for n, center in enumerate(((30, 32, 30), (56, 60, 64))):
            ball = ((axes - np.array(center).reshape(3, 1, 1, 1)) ** 2).sum(0) <= 16
            hu[ball] = 20
            start = tuple(int(c) - 5 for c in center)
            mask = VoxelMask(start, ball[tuple(slice(s, s + 11) for s in start)])
            ratings = tuple({"malignancy": 5, "texture": 2} if n else {"malignancy": 1} for _ in range(3))
            nodules.append(Nodule(tuple(volume.index_to_lps(np.array(center))), 8.0, mask, ratings))
        elsewhere = volume.index_to_lps(np.array([[20.0, 70.0, 20.0]]))
        others = volume.index_to_lps(np.array([[70.0, 75.0, 75.0], [12.0, 12.0, 75.0]]))
        return Scan(volume, lung, tuple(nodules), others, elsewhere, np.array([7.5, -1.0]))


def write_chests(folder: Path) -> Path:
    """A cache of `PATIENTS`; returns the folder."""
    wanted, number, chests = dict(PATIENTS), 0, []
    while any(wanted.values()):
        patient = f"patient {number}"
        number += 1
        if wanted[part_of(patient)]:
            wanted[part_of(patient)] -= 1
            chests.append(Chest(f"scan-{number}", patient))
    made = Cache(folder)
    for chest in chests:
        made.write(chest)
    store_split(folder, {chest.name: chest.patient for chest in chests})
    return folder


class Sighted:
    """Marks every ball exactly, and a vessel."""

    def __call__(self, image: np.ndarray, inside: np.ndarray | None) -> Seen:
        voxels = np.ones((1, 1, 1), dtype=bool)
        centers = [(30.0, 32.0, 30.0), (56.0, 60.0, 64.0), (20.0, 70.0, 20.0), (66.0, 20.0, 70.0)]
        centers = [tuple(c - 1.0 for c in center) for center in centers]
        proposals = [Proposal(center, 0.9 - 0.1 * n, (0, 0, 0), voxels) for n, center in enumerate(centers)]
        sides = np.array([0.9, 0.8, 0.2, 0.1])
        logits = np.array([[3, 1], [2, 0], [-2, 0], [-3, 0]], dtype=np.float32)
        return Seen(torch.from_numpy(image), proposals, sides, logits)
