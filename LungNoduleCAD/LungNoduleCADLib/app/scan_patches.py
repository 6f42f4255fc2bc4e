"""The surroundings of places in scans, as the classifier gets them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

MASKS = "seg-lungs"
"""How LUNA16's folder of lung masks begins."""
MARGIN_MM = 4.0
"""Cut around a patch before it is resampled, so that its border is no edge."""


@dataclass(frozen=True)
class ScanPlace:
    """Where a scan is.

    :param path: image file or DICOM folder. :param series_uid: which of the folder's series; None for the one it holds.
    """

    path: Path
    series_uid: str | None = None


def scans_in(folder: Path, wanted: Iterable[str]) -> dict[str, ScanPlace]:
    """Image files and DICOM folders whose name is the series UID, at any depth (LUNA16's subsets; its lung masks, which
    have the same names, are none).

    :param wanted: series that are asked for.
    :raises InputError: when the folder does not exist, or holds none of them.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist; give the folder that holds the scans.")
    found = (path for path in sorted(folder.rglob("*")) if path.is_dir() or image_suffix(path))
    paths = {
        path.name if path.is_dir() else image_stem(path): ScanPlace(path)
        for path in found
        if not any(part.startswith(MASKS) for part in path.relative_to(folder).parts[:-1])
    }
    names = list(dict.fromkeys(wanted))
    if names and not any(name in paths for name in names):
        example = f"such as {names[0]}.mhd or a DICOM folder {names[0]}"
        raise InputError(f"{folder} holds none of the {len(names)} scans, {example}; give another folder.")
    return paths


class ScanPatches:
    """A `PatchSource` of scans whose places are known by series UID."""

    def __init__(self, places: Mapping[str, ScanPlace], settings: Preprocessing) -> None:
        self._places, self._settings = places, settings
        self._last: tuple[str, Volume] | None = None

    def __call__(self, case: str, place: Place | None) -> NDArray[np.float32] | None:
        """The patch around an LPS position; None when the scan's place is unknown or the position lies outside it.

        :raises InputError: when the scan is damaged.
        """
        if case not in self._places or place is None:
            return None
        if self._last is None or self._last[0] != case:
            scan = self._places[case]
            self._last = case, read_volume(scan.path, series_uid=scan.series_uid)
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
