"""One nodule in two scans, measured alike: both in one frame, in one region, by one rule.

Two outlines that were drawn apart differ where a nodule touches something, and their volumes with them. Here the prior
is turned and shifted onto the current scan around the nodule, both outlines are joined to one region, and what each
scan holds in it above its own lung is summed. What lies in the region in both, vessel or wall, is in both sums; blur,
of a kernel or a thick slice, moves density and leaves the sum as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..findings import VoxelMask
from ..io.quality import slice_thickness_mm
from ..volume import Volume
from .nearby import Turn, nearby_turn
from .sampling import cube, sampled

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Bools = NDArray[np.bool_]

STEP_MM = 0.7
AROUND_MM = 7.0
"""Of lung around the outlines that is looked at."""
RIM_MM, RIM_PER_SLICE = 1.5, 0.75
"""How far blur carries a nodule's density beyond its outline; across slices, in their thickness where that is more."""
RING_MM = (2.5, 6.0)
"""Distance from the outlines at which the lung's density is taken."""
AIR_BELOW_HU, NORMAL_LUNG_HU, LOWEST_HU, HIGHEST_HU = -500.0, -850.0, -1000.0, 200.0
FEWEST_RING = 60
OTHER_MM = 0.8
"""Around another structure that belongs to it: its blur."""
LEAST_CONTRAST_HU = 100.0
PLATEAU_PERCENT = 90.0
LEAST_MM3, LEAST_CORRELATION = 1.0, 0.5
"""Below these there is nothing to compare, or the two scans do not show the same there."""


@dataclass(frozen=True)
class AlikeMeasured:
    """:param volume_ratio: now over then. :param correlation: of the surroundings, once turned onto each other.
    :param disagreement: voxels in one outline alone over those in both; :param density_hu: by how much the nodule's
        densest part got denser.
    """

    volume_ratio: float
    correlation: float
    disagreement: float
    density_hu: float


def measured_alike(
    current: Volume, now: VoxelMask, prior: Volume, then: VoxelMask, rough: Turn
) -> AlikeMeasured | None:
    """How a nodule's volume changed.

    :param rough: where places near the nodule lie in the prior.
    :return: None where a scan shows no lung around it, or nothing denser than that lung.
    """
    low, high = _extent(current, now)
    there = rough.backwards(np.stack(_extent(prior, then)))
    low, high = np.minimum(low, there.min(axis=0)), np.maximum(high, there.max(axis=0))
    points = cube(low - AROUND_MM, high + AROUND_MM, STEP_MM)
    turn = nearby_turn(current, prior, rough, (low + high) / 2, float((high - low).max()) / 2)
    places = turn.forwards(points)
    if turn.correlation < LEAST_CORRELATION:
        return None
    slices = (slice_thickness_mm(current), slice_thickness_mm(prior))
    hu = [_like(sampled(v, p, 1), thick, max(slices)) for v, p, thick in
          ((current, points, slices[0]), (prior, places, slices[1]))]  # fmt: skip
    outlines = [_mask_at(current, now, points), _mask_at(prior, then, places)]
    return _compared(hu, outlines, max(slices), turn.correlation)


def _compared(hu: list[Singles], outlines: list[Bools], slice_mm: float, correlation: float) -> AlikeMeasured | None:
    union, both = outlines[0] | outlines[1], outlines[0] & outlines[1]
    if not both.any():
        return None
    unit = np.array([STEP_MM * min(1.0, RIM_MM / (RIM_PER_SLICE * slice_mm)), STEP_MM, STEP_MM])
    away = ndimage.distance_transform_edt(~union, sampling=unit)
    ring = (away > RING_MM[0]) & (away <= RING_MM[1]) & (hu[0] < AIR_BELOW_HU) & (hu[1] < AIR_BELOW_HU)
    if ring.sum() < FEWEST_RING:
        return None
    lung = [float(np.median(h[ring])) for h in hu]
    smooth = [ndimage.gaussian_filter(h, 0.7 / STEP_MM) for h in hu]
    peak = [float(np.percentile(s[both], PLATEAU_PERCENT)) for s in smooth]
    dense = max(peak)
    contrast = [dense - base for base in lung]
    if min(contrast) < LEAST_CONTRAST_HU:
        return None
    bright = [s > base + c / 2 for s, base, c in zip(smooth, lung, contrast, strict=True)]
    other = (bright[0] | bright[1]) & ~union
    near_other = ndimage.distance_transform_edt(~other, sampling=STEP_MM) <= OTHER_MM if other.any() else other
    # What one outline took and the other left, and is dense in both scans, was there before: a vessel, or a wall.
    doubtful = (outlines[0] ^ outlines[1]) & bright[0] & bright[1]
    region = (away <= RIM_MM) & ~(near_other & ~union) & ~doubtful
    filled = [(h - np.float32(base)) / np.float32(c) for h, base, c in zip(hu, lung, contrast, strict=True)]
    gained = float((filled[0] - filled[1])[region].sum(dtype=np.float64))
    # What was gained or lost is held against the nodule in the scan in which it is smaller, in its own outline there:
    # in the other's, vessels and wall that it has since reached would count as nodule.
    smaller = int(gained > 0)
    own = region & (ndimage.distance_transform_edt(~outlines[smaller], sampling=unit) <= RIM_MM)
    size = float(filled[smaller][own].sum(dtype=np.float64))
    if size * STEP_MM**3 < LEAST_MM3:
        return None
    ratio = (1 + abs(gained) / size) ** (1 if gained > 0 else -1)
    disagreement = float((outlines[0] ^ outlines[1]).sum() / both.sum())
    denser = float(smooth[0][both].max() - smooth[1][both].max())
    return AlikeMeasured(ratio, correlation, disagreement, denser)


def _like(hu: Singles, slice_mm: float, thickest_mm: float) -> Singles:
    """Densities as slices of another thickness would have them; clipped, for metal and air say nothing of size."""
    hu = np.clip(hu, LOWEST_HU, HIGHEST_HU)
    variance = (thickest_mm**2 - slice_mm**2) / 12
    return hu if variance <= 0.01 else ndimage.gaussian_filter1d(hu, np.sqrt(variance) / STEP_MM, axis=0)


def _extent(volume: Volume, mask: VoxelMask) -> tuple[Floats, Floats]:
    """Least and greatest LPS coordinates of a mask's box."""
    start = np.asarray(mask.start_kji)
    corners = np.array(np.meshgrid(*zip(start, start + mask.voxels.shape, strict=True))).reshape(3, -1).T
    points = volume.index_to_lps(corners - 0.5)
    return points.min(axis=0), points.max(axis=0)


def _mask_at(volume: Volume, mask: VoxelMask, points_lps: Floats) -> Bools:
    """Whether points lie in a mask."""
    index = np.moveaxis(volume.lps_to_index(points_lps) - mask.start_kji, -1, 0)
    share = ndimage.map_coordinates(mask.voxels.astype(np.float32), index, order=1, mode="grid-constant", cval=0.0)
    return np.asarray(share >= 0.5)
