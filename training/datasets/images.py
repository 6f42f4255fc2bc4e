"""A CT in an image file or DICOM folder whose nodules stand in a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io import read_mask, read_volume
from LungNoduleCADLib.preprocess.lung_mask import lung_mask_from_labels, segment_lungs

from .growing import grow_mask
from .scans import Nodule, Scan, check_suitable
from .tables import Annotation


def _nowhere() -> NDArray[np.float64]:
    return np.empty((0, 3))


@dataclass(frozen=True, eq=False)
class ImageCase:
    """A scan of such a data set, before it is read.

    :param image: .mhd or another image file, or a folder of DICOM slices.
    :param lung_mask: a label image, or None: the lungs are segmented (A4).
    :param excluded_lps: (n, 3) findings that count neither way; `excluded_mm` their diameters, as of `Scan`.
    :param candidates_lps: (n, 3) places that a detector proposed and that are no nodule.
    """

    name: str
    patient: str
    source: str
    image: Path
    lung_mask: Path | None = None
    annotations: tuple[Annotation, ...] = ()
    excluded_lps: NDArray[np.float64] = field(default_factory=_nowhere)
    candidates_lps: NDArray[np.float64] = field(default_factory=_nowhere)
    excluded_mm: NDArray[np.float64] | None = None

    def files(self) -> list[Path]:
        """Headers and data of image and mask."""
        return [*image_files(self.image), *(image_files(self.lung_mask) if self.lung_mask else [])]

    def findings(self) -> Any:
        """The tables' rows of this scan."""
        nodules = [[*one.center_lps, one.diameter_mm, *one.malignancy] for one in self.annotations]
        diameters = [] if self.excluded_mm is None else self.excluded_mm.tolist()
        return [nodules, self.excluded_lps.tolist(), self.candidates_lps.tolist(), diameters]

    def read(self) -> Scan:
        """Read image and mask, and grow the nodules' masks.

        :raises InputError: when they cannot be read, or a nodule lies outside.
        """
        volume = read_volume(self.image)
        check_suitable(volume)
        if self.lung_mask is None:
            lung = segment_lungs(volume)
        else:
            lung = lung_mask_from_labels(read_mask(self.lung_mask, volume).voxels)
        nodules = tuple(
            Nodule(
                one.center_lps,
                one.diameter_mm,
                grow_mask(volume, one.center_lps, one.diameter_mm),
                tuple({"malignancy": rating} for rating in one.malignancy),
            )
            for one in self.annotations
        )
        return Scan(volume, lung, nodules, self.excluded_lps, self.candidates_lps, self.excluded_mm)


def image_files(image: Path) -> list[Path]:
    """An image's files: a MetaImage's data lie beside its header; of a DICOM folder, all.

    :raises InputError: when the folder cannot be read.
    """
    if image.is_dir():
        try:
            return sorted(path for path in image.iterdir() if path.is_file() and not path.name.startswith("."))
        except OSError as error:
            raise InputError(f"{image} cannot be read ({error.strerror}); check its permissions.") from error
    data = [image.with_suffix(suffix) for suffix in (".raw", ".zraw")] if image.suffix.lower() == ".mhd" else []
    return [image, *(path for path in data if path.exists())]
