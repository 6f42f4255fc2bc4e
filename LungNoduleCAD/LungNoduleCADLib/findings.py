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
Side = Literal["left", "right"]
Zone = Literal["upper", "middle", "lower"]
Point = tuple[float, float, float]
Segment = tuple[Point, Point]


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

    def common(self, other: VoxelMask) -> int:
        """How many voxels are in both masks, which are of one volume."""
        start = np.maximum(self.start_kji, other.start_kji)
        stop = np.minimum(np.add(self.start_kji, self.voxels.shape), np.add(other.start_kji, other.voxels.shape))
        if (stop <= start).any():
            return 0
        parts = (
            mask.voxels[tuple(slice(a - o, b - o) for a, b, o in zip(start, stop, mask.start_kji, strict=True))]
            for mask in (self, other)
        )
        return int(np.logical_and(*parts).sum())


@dataclass(frozen=True)
class Measurements:
    """What a candidate measures on the source volume's voxels. Lengths in mm, volumes in mm3, densities in HU; None is
    what could not be measured, such as a place in the lung without a lung mask."""

    diameter_mm: float
    """Diameter of the sphere of the same volume."""
    long_axis_mm: float
    """Longest extent within an axial slice, in the slice where it is largest."""
    short_axis_mm: float
    """Longest extent at right angles to the long axis in the same slice."""
    volume_mm3: float
    """Of the outline between the voxels; the mask's voxels, counted, come near it."""
    mean_hu: float
    min_hu: float
    max_hu: float
    density: DensityType
    sd_hu: float | None = None
    """Standard deviation of the mask's voxels, as mean, least and greatest."""
    mass_mg: float | None = None
    """Volume times density, air having none: 1 mm3 at 0 HU weighs 1 mg (de Hoop et al., Radiology 255:199, 2010)."""
    solid_diameter_mm: float | None = None
    """Mean of long and short axis of the solid part, in the slice where that is largest; the whole nodule's when it is
    solid, 0 when it is ground-glass."""
    solid_volume_mm3: float | None = None
    surface_mm2: float | None = None
    sphericity: float | None = None
    """Surface of the sphere of the same volume over its own, at most 1 (Wadell 1935)."""
    side: Side | None = None
    zone: Zone | None = None
    """Third of its lung's height, when the scan shows the lung from apex to base."""
    pleura_distance_mm: float | None = None
    """From its surface to the lung's, 0 where they touch."""
    juxtapleural: bool | None = None
    juxtavascular: bool | None = None
    axes_slice: int | None = None
    """Number of the slice that shows the axes best, counted from 1 at the volume's first slice."""
    axes_sop_instance_uid: str | None = None
    """SOP Instance UID of that slice, when the volume came from DICOM."""
    long_axis_lps: Segment | None = None
    """The long axis' two ends, LPS mm."""
    short_axis_lps: Segment | None = None

    @property
    def mean_diameter_mm(self) -> float:
        """Mean of long and short axis: the guidelines' diameter."""
        return (self.long_axis_mm + self.short_axis_mm) / 2


@dataclass(frozen=True)
class NoduleFeatures:
    """What tells benign from suspicious nodules, measured by `measurement.features`: densities in HU within
    [-1000, 400], around the outline only within the nodule's own slices. A change of their meaning needs another
    `FEATURES`."""

    log_diameter: float
    """Natural logarithm of the equivalent diameter in mm; likewise the axes."""
    log_long_axis: float
    log_short_axis: float
    log_solid_diameter: float
    """Of the solid part's diameter plus 1 mm; a calcified or fatty nodule is solid."""
    axis_ratio: float
    sphericity: float
    core_median_hu: float
    """Of the voxels that the rim's blur does not reach, or of the deepest."""
    core_p90_hu: float
    peak_hu: float
    dense_share: float
    """Above 200 HU: calcium."""
    sd_hu: float
    skewness: float
    solidity: float
    """Area over that of its convex hull, in the largest slice."""
    lobulation: float
    """Amplitude of the outline's radius at 3 to 6 waves around the largest slice, over its mean."""
    roughness: float
    """The same at 7 waves and more."""
    edge_slope: float
    """Median slope of density at the outline over the contrast with the lung, per mm."""
    radial_gradient: float
    """Share of the slopes near the outline that point outwards, 1 for a ball (Kupinski and Giger, IEEE TMI 17,
    1998)."""
    halo: float
    """Density 1 to 2 mm outside over that of the core, both above the lung's."""
    near_hu: float
    """Mean 0.8 to 2 mm outside the outline."""
    near_strands: float
    """Share of that which is denser than lung, but not solid."""
    far_strands: float
    """The same 2 to 4 mm outside."""
    far_dense: float
    """Share of what lies there that is solid: wall and vessels."""
    strands: float
    """How many separate dense parts lie 1 to 3 mm outside in the largest slice."""
    lung_hu: float


FEATURES = 1
"""Number of the definition of `NoduleFeatures`."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One place where the detector sees a nodule, with how sure it is (a calibrated probability) and what it measures.

    :param id: 1 for the highest score, counting up; unique within a result.
    :param center_lps: centre of mass of its mask, LPS mm.
    :param score: calibrated probability that this is a nodule, 0 to 1.
    :param malignancy: estimated probability of malignancy, 0 to 1; None when the weights have no such output.
    :param malignancy_by_diameter: what its diameter alone says, beside which the estimate is always shown; None when
        the weights' card has no such baseline.
    """

    id: int
    center_lps: tuple[float, float, float]
    score: float
    malignancy: float | None
    mask: VoxelMask
    measurements: Measurements
    malignancy_by_diameter: float | None = None


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
