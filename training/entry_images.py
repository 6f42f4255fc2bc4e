"""Pictures out of prepared data sets: the patches that the classifier was trained on and judged by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from LungNoduleCADLib.app.scan_patches import upright
from LungNoduleCADLib.evaluation.data_set import Place
from LungNoduleCADLib.preprocess.patches import extract_patches
from LungNoduleCADLib.volume import Volume

from .datasets.cache import Cache
from .datasets.entries import Entry
from .sampler import PATCH


class EntryPatches:
    """A `PatchSource` of the scans in caches; places are LPS positions."""

    def __init__(self, caches: Sequence[Path]) -> None:
        self._paths = {name: made.path(name) for made in map(Cache, caches) for name in made.names()}

    def __call__(self, case: str, place: Place | None) -> NDArray[np.float32] | None:
        """The patch around a position; None when the scan is in no cache or the position lies outside it.

        :raises InputError: naming the entry, when it is damaged.
        """
        if case not in self._paths or place is None:
            return None
        entry = Entry.load(self._paths[case])
        grid = Volume(np.broadcast_to(np.uint8(0), entry.shape), entry.ijk_to_lps)
        if not grid.contains(place):
            return None
        center = grid.lps_to_index(place)
        low, high = (
            np.clip(np.rint(center).astype(int) + reach, 0, entry.shape) for reach in (-PATCH // 2, PATCH // 2)
        )
        box = torch.from_numpy(entry.cut(low, high - low))
        patch = extract_patches(box, center - low, PATCH)[0, 0].float().div_(255).numpy()
        return upright(patch, grid.direction)
