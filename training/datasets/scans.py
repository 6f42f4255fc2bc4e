"""A scan with all that is known of it, and a data set's entry for one that has not been read yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.io import check_quality
from LungNoduleCADLib.volume import Volume

Point = tuple[float, float, float]


class UnsuitableScan(InputError):
    """A faultless scan that detection would refuse too, for its thick slices, say: a data set goes without it."""


def check_suitable(volume: Volume) -> None:
    """Refuse what detection refuses.

    :raises UnsuitableScan: with the reason.
    """
    try:
        check_quality(volume)
    except InputError as error:
        raise UnsuitableScan(str(error)) from error


@dataclass(frozen=True, eq=False)
class Nodule:
    """An annotated nodule.

    :param mask: its voxels on the scan's grid.
    :param ratings: what each reader said of it, by LIDC's scales; empty where nobody rated it.
    """

    center_lps: Point
    diameter_mm: float
    mask: VoxelMask
    ratings: tuple[Mapping[str, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan that has been read.

    :param lung: bool (k, j, i), on the volume's grid.
    :param excluded_lps: (n, 3) findings that are neither nodules to find nor surely healthy; `excluded_mm` (n,) their
        diameters, negative where unknown, as all are by default.
    :param candidates_lps: (n, 3) places that a detector proposed and that are no nodule.
    """

    volume: Volume
    lung: NDArray[np.bool_]
    nodules: tuple[Nodule, ...]
    excluded_lps: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    candidates_lps: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    excluded_mm: NDArray[np.float64] | None = None


class Case(Protocol):
    """One scan of a data set, before it is read."""

    @property
    def name(self) -> str:
        """Unique in its data set: the series UID where there is one."""

    @property
    def patient(self) -> str:
        """Whose scan it is; splits are made by patient."""

    @property
    def source(self) -> str:
        """Where it lies in the data set."""

    def files(self) -> list[Path]:
        """The files that `read` reads, in a fixed order."""

    def findings(self) -> Any:
        """What tables and readers say of it, as JSON knows it."""

    def read(self) -> Scan:
        """Read it.

        :raises UnsuitableScan: when detection would refuse it too.
        :raises InputError: when its files are missing or damaged, or do not fit its findings.
        """


def point(lps: NDArray[np.float64]) -> Point:
    """An array of three as a tuple."""
    x, y, z = (float(value) for value in lps)
    return x, y, z
