"""The images behind cross-validation's marks, made again: cubes and lungs are read, insertions are inserted again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from LungNoduleCADLib.app.scan_patches import upright
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.evaluation.data_set import Place
from LungNoduleCADLib.preprocess.patches import extract_patches

from .boxes import load_cubes
from .cross_validation import INSERTED
from .nodules import load_nodules
from .out_of_fold import OutOfFold
from .sampler import PATCH, load_lung
from .splits import BACKGROUND_SCANS

Image = NDArray[np.uint8]


class FoldPatches:
    """A `PatchSource` of cross-validation's cases; places are indices (k, j, i) of their 1 mm images."""

    def __init__(self, marks: OutOfFold, data: Path, cache: Path) -> None:
        """:raises InputError: when a file that the cases come from is missing."""
        self._data, self._cache = data, cache
        self._cases = {case["case"]: case for case in marks.cases}
        self._cubes: dict[str, Image] = {}
        self._inserted: dict[tuple[str, int], dict[str, Image]] = {}
        self._lungs: dict[str, tuple[Image, NDArray[np.float64]]] = {}
        folds = {int(case["fold"]) for case in marks.cases}
        needed = [self._lung_path(BACKGROUND_SCANS[fold]) for fold in sorted(folds)]
        for path in (data / "lidc-nodules" / "cubes.npz", cache / "crops.npz", *needed):
            if not path.is_file():
                raise InputError(f"{path} does not exist; give the data and the cache that cross-validation used.")

    def __call__(self, case: str, place: Place | None) -> NDArray[np.float32] | None:
        """The patch around a place, or around the case's nodule, which lies at its image's middle; None for a case that
        is not of cross-validation."""
        axes = np.eye(3)
        if case not in self._cases:
            if case not in BACKGROUND_SCANS:
                return None
            image, axes = self._lung(case)
        elif self._cases[case]["kind"] == "cube":
            image = self._cube(case)
        else:
            image = self._insertion(case)
        center = np.array([n // 2 for n in image.shape] if place is None else place)
        patch = extract_patches(torch.from_numpy(image), center, PATCH)[0, 0].float().div_(255).numpy()
        return upright(patch, axes)

    def _cube(self, case: str) -> Image:
        if not self._cubes:
            self._cubes = {cube.name: cube.image for cube in load_cubes(self._data / "lidc-nodules")}
        if case not in self._cubes:
            raise InputError(f"{self._data / 'lidc-nodules'} has no cube {case}; give the data cross-validation used.")
        return self._cubes[case]

    def _lung(self, case: str) -> tuple[Image, NDArray[np.float64]]:
        if case not in self._lungs:
            with np.load(self._lung_path(case)) as lung:
                axes = lung["ijk_to_lps"][:3, :3]
                self._lungs[case] = lung["image"], axes / np.linalg.norm(axes, axis=0)
        return self._lungs[case]

    def _insertion(self, case: str) -> Image:
        wanted = self._cases[case]
        kind, fold = str(wanted["kind"]), int(wanted["fold"])
        if (kind, fold) not in self._inserted:
            lung = load_lung(self._lung_path(BACKGROUND_SCANS[fold]))
            nodules = [n for n in load_nodules(self._cache / "crops.npz") if n.fold == fold]
            made = INSERTED[kind].made(lung, nodules, fold)
            self._inserted[kind, fold] = {f"{name} {diameter:.3f}": image for name, image, _, diameter in made}
        # Name and diameter both: the same name may be another nodule's where the cache or the code has changed.
        name = f"{case} {wanted['diameter_mm']:.3f}"
        if name not in self._inserted[kind, fold]:
            raise InputError(f"The insertion '{case}' comes out otherwise now; run `training.cross_validation` again.")
        return self._inserted[kind, fold][name]

    def _lung_path(self, scan: str) -> Path:
        return self._cache / f"lung-{scan}.npz"
