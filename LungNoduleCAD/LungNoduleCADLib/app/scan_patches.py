"""The surroundings of places in scans, as the classifier gets them, from a folder of scans."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..evaluation.data_set import Place
from ..io.image_file import image_stem, image_suffix
from ..io.reader import read_volume
from ..preprocess.patches import extract_patches
from ..preprocess.prepare import prepare_lung
from ..preprocess.settings import Preprocessing
from ..volume import Volume

MARGIN_MM = 4.0
"""Cut around a patch before it is resampled, so that its border is no edge."""


class ScanPatches:
    """A `PatchSource` of the scans in a folder: image files or DICOM folders whose name is the series UID, at any depth
    (LUNA16's subsets)."""

    def __init__(self, folder: Path, settings: Preprocessing) -> None:
        """:raises InputError: when the folder does not exist."""
        if not folder.is_dir():
            raise InputError(f"{folder} does not exist; give the folder that holds the scans.")
        self._folder, self._settings = folder, settings
        found = (path for path in sorted(folder.rglob("*")) if path.is_dir() or image_suffix(path))
        self._paths = {path.name if path.is_dir() else image_stem(path): path for path in found}
        self._last: tuple[str, Volume] | None = None

    def check(self, cases: Iterable[str]) -> None:
        """:raises InputError: when the folder holds none of these scans."""
        wanted = list(dict.fromkeys(cases))
        if wanted and not any(case in self._paths for case in wanted):
            example = f"such as {wanted[0]}.mhd or a DICOM folder {wanted[0]}"
            raise InputError(f"{self._folder} holds none of the {len(wanted)} scans, {example}; give another folder.")

    def __call__(self, case: str, place: Place | None) -> NDArray[np.float32] | None:
        """The patch around an LPS position; None when the folder lacks the scan or the place lies outside it.

        :raises InputError: when the scan is damaged.
        """
        if case not in self._paths or place is None:
            return None
        if self._last is None or self._last[0] != case:
            self._last = case, read_volume(self._paths[case])
        volume = self._last[1]
        return patch_at(volume, place, self._settings) if volume.contains(place) else None


def patch_at(volume: Volume, place: Place, settings: Preprocessing) -> NDArray[np.float32]:
    """The patch around an LPS position, turned so that k points to the head, j to the back and i to the patient's
    left."""
    size = settings.patch_size or 64
    reach = (size / 2 * settings.spacing_mm + MARGIN_MM) / volume.spacing_kji_mm
    center = volume.lps_to_index(place)
    start = np.clip(np.floor(center - reach), 0, np.asarray(volume.shape) - 1).astype(int)
    stop = np.clip(np.ceil(center + reach) + 1, start + 1, volume.shape).astype(int)
    prepared = prepare_lung(volume.cropped(start.tolist(), stop.tolist()), None, settings)
    patch = extract_patches(prepared.image, prepared.grid.lps_to_index(place), size)[0, 0].numpy()
    return upright(patch, prepared.grid.direction)


def upright(patch: NDArray[np.float32], direction: NDArray[np.float64]) -> NDArray[np.float32]:
    """Axes exchanged and mirrored so that they run along the patient's, as nearly as whole axes can."""
    columns = [int(np.argmax(np.abs(direction[row]))) for row in (2, 1, 0)]  # of head, back, left
    if len(set(columns)) < 3:  # at 45 degrees no order is nearest
        return patch
    turned = patch.transpose([2 - column for column in columns])
    steps = [-1 if direction[row, column] < 0 else 1 for row, column in zip((2, 1, 0), columns, strict=True)]
    return np.ascontiguousarray(turned[tuple(slice(None, None, step) for step in steps)])
