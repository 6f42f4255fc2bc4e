"""What detection produces, and what it is compared with: immutable records, no behaviour beyond what they hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .volume import Volume

DensityType = Literal["solid", "part-solid", "ground-glass", "calcified", "fat"]
MatchStatus = Literal["TP", "FP", "FN"]


@dataclass(frozen=True, eq=False)
class VoxelMask:
    """A candidate's voxels, as a small box cut from the source volume's grid.

    :param start_kji: index of the box's first voxel in the source volume.
    :param voxels: bool array (k, j, i) of the box.
    """

    start_kji: tuple[int, int, int]
    voxels: NDArray[np.bool_]

    @property
    def region(self) -> tuple[slice, slice, slice]:
        """Slices that address the box in the source volume's array."""
        a, b, c = (slice(s, s + n) for s, n in zip(self.start_kji, self.voxels.shape, strict=True))
        return a, b, c


@dataclass(frozen=True)
class Measurements:
    """First measurements of a candidate on the source volume's voxels. Lengths in mm, volume in mm3, densities in
    HU."""

    diameter_mm: float
    """Diameter of the sphere of the same volume."""
    long_axis_mm: float
    """Longest extent in the axial slice where the candidate is largest."""
    short_axis_mm: float
    """Longest extent at right angles to the long axis in the same slice."""
    volume_mm3: float
    mean_hu: float
    min_hu: float
    max_hu: float
    density: DensityType


@dataclass(frozen=True, eq=False)
class Candidate:
    """One place where the detector sees a nodule, with how sure it is (a calibrated probability) and what it measures.

    :param id: 1 for the highest score, counting up; unique within a result.
    :param center_lps: centre of mass of its mask, LPS mm.
    :param score: calibrated probability that this is a nodule, 0 to 1.
    :param malignancy: estimated probability of malignancy, 0 to 1; None when the weights have no such output.
    """

    id: int
    center_lps: tuple[float, float, float]
    score: float
    malignancy: float | None
    mask: VoxelMask
    measurements: Measurements


@dataclass(frozen=True, eq=False)
class ReferenceNodule:
    """A nodule of the reference standard.

    :param diameter_mm: its diameter; None when only a point is known (10 mm is then assumed when matching, as LUNA16
        does).
    :param mask: its voxels on the source volume's grid, when the reference is a mask.
    """

    center_lps: tuple[float, float, float]
    diameter_mm: float | None = None
    label: str = ""
    mask: VoxelMask | None = None


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """Everything a run found: candidates down to a very low score, best first, and how they came about.

    A threshold is never applied here: whoever shows the result chooses one.
    """

    candidates: tuple[Candidate, ...]
    threshold: float
    """Default threshold of the weights' card (the clinical operating point), or the user's."""
    series: dict[str, Any]
    settings: dict[str, Any]
    model: dict[str, Any]
    versions: dict[str, str]
    timings_s: dict[str, float]
    warnings: tuple[str, ...] = ()
    heatmap: Volume | None = field(default=None, repr=False)
    """Nodule probability from the segmentation network, float32 0-1, on its own 1 mm grid."""
    lung_mask: Volume | None = field(default=None, repr=False)
    """Bool, on the source volume's grid; None when the run used no lung mask."""

    def above(self, threshold: float | None = None) -> tuple[Candidate, ...]:
        """Candidates whose score is at or above a threshold (default: the result's own), best first."""
        limit = self.threshold if threshold is None else threshold
        return tuple(c for c in self.candidates if c.score >= limit)


def label_array(candidates: Iterable[Candidate], shape: tuple[int, int, int]) -> NDArray[np.uint16]:
    """Label map (k, j, i) of the candidates, each with its id; where two overlap, the better-scored one wins."""
    labels = np.zeros(shape, dtype=np.uint16)
    for candidate in sorted(candidates, key=lambda c: c.score):
        labels[candidate.mask.region][candidate.mask.voxels] = candidate.id
    return labels
