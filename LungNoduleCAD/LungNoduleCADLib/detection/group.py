"""From the heat map to separate proposals: threshold, clean-up, grouping, splitting, suppression of duplicates (B7,
B8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TWENTY_SIX = np.ones((3, 3, 3), dtype=bool)
MINIMUM_SHARE_IN_LUNG = 0.2
"""Of a proposal's voxels; below, it is chest wall or mediastinum."""


@dataclass(frozen=True)
class GroupingSettings:
    """Limits in physical units, so that they mean the same at any voxel size.

    :param threshold: heat at which voxels are gathered; low, because the classifier decides.
    :param minimum_volume_mm3: smaller groups are noise. A 3 mm nodule has 14 mm3, of which a low threshold keeps most.
    :param relative_level: a proposal's own voxels have at least this share of its peak.
    :param split_distance_mm: two peaks closer than this are one nodule.
    :param split_valley: two peaks of a group are two nodules when the heat between them falls below this share of the
        lower one.
    :param maximum: proposals kept, by peak.
    """

    threshold: float = 0.12
    minimum_volume_mm3: float = 5.0
    relative_level: float = 0.4
    split_distance_mm: float = 6.0
    split_valley: float = 0.6
    maximum: int = 100


@dataclass(frozen=True, eq=False)
class Proposal:
    """A group of hot voxels.

    :param center_kji: centre of mass, continuous index in the heat map.
    :param peak: largest heat of the slightly smoothed map inside, 0 to 1.
    :param start_kji, voxels: its own voxels, as a box in the heat map.
    """

    center_kji: tuple[float, float, float]
    peak: float
    start_kji: tuple[int, int, int]
    voxels: NDArray[np.bool_]

    @property
    def volume(self) -> int:
        """Number of voxels."""
        return int(self.voxels.sum())

    @property
    def region(self) -> tuple[slice, ...]:
        """Slices that address its box in the heat map."""
        return tuple(slice(s, s + n) for s, n in zip(self.start_kji, self.voxels.shape, strict=True))


def lies_in_lung(proposal: Proposal, lung: NDArray[np.bool_] | None) -> bool:
    """Whether enough of a proposal lies in the lung mask (k, j, i) of its grid; its centre need not, when it grows from
    the pleura. Without a mask everything does."""
    return lung is None or float(lung[proposal.region][proposal.voxels].mean()) >= MINIMUM_SHARE_IN_LUNG


def group(
    heat: NDArray[np.float32], spacing_mm: float = 1.0, settings: GroupingSettings | None = None
) -> list[Proposal]:
    """Separate proposals of a heat map (k, j, i) with isotropic spacing, hottest first."""
    settings = settings or GroupingSettings()
    labels, _ = ndimage.label(heat >= settings.threshold, structure=TWENTY_SIX)
    minimum = settings.minimum_volume_mm3 / spacing_mm**3
    proposals: list[Proposal] = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if np.prod([s.stop - s.start for s in box]) < minimum:
            continue
        region = labels[box] == label
        if region.sum() < minimum:
            continue
        # Smoothed over one voxel: a single hot voxel is not a nodule, and peaks of one nodule merge.
        smooth = ndimage.gaussian_filter(np.where(region, heat[box], 0), 0.6 / spacing_mm, mode="constant")
        for basin in _split(smooth, region, spacing_mm, settings):
            proposal = _proposal(smooth, basin, box, settings.relative_level)
            if proposal.volume >= minimum:
                proposals.append(proposal)
    proposals.sort(key=lambda p: -p.peak)
    return _without_duplicates(proposals, spacing_mm)[: settings.maximum]


def _split(
    heat: NDArray[np.float32], region: NDArray[np.bool_], spacing_mm: float, settings: GroupingSettings
) -> list[NDArray[np.bool_]]:
    """The region cut half-way between the peaks that a valley separates."""
    reach = max(round(settings.split_distance_mm / spacing_mm) | 1, 3)
    summits = (heat == ndimage.maximum_filter(heat, size=reach)) & region & (heat > settings.threshold)
    markers, count = ndimage.label(summits, structure=TWENTY_SIX)
    if count < 2:
        return [region]
    peaks = ndimage.maximum_position(heat, markers, range(1, count + 1))
    peaks = sorted(peaks, key=lambda p: -heat[p])
    kept: list[tuple[int, ...]] = []
    for peak in peaks:
        if all(_valley(heat, peak, other) < settings.split_valley * heat[peak] for other in kept):
            kept.append(peak)
    if len(kept) < 2:
        return [region]
    # Each voxel to its nearest peak: a saturated heat map is flat, and a watershed on it would follow chance.
    voxels = np.argwhere(region)
    nearest = np.argmin(((voxels[:, None, :] - np.array(kept)) ** 2).sum(axis=-1), axis=1)
    owner = np.full(heat.shape, -1)
    owner[region] = nearest
    return [owner == n for n in range(len(kept))]


def _valley(heat: NDArray[np.float32], a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """Lowest heat on the straight way between two peaks."""
    steps = int(np.ceil(np.linalg.norm(np.subtract(a, b)))) * 2 + 1
    line = np.linspace(a, b, steps).T
    return float(ndimage.map_coordinates(heat, line, order=1).min())


def _proposal(
    heat: NDArray[np.float32], basin: NDArray[np.bool_], box: tuple[slice, ...], relative_level: float
) -> Proposal:
    peak = float(heat[basin].max())
    own = basin & (heat >= relative_level * peak)
    parts, count = ndimage.label(own, structure=TWENTY_SIX)
    if count > 1:
        own = parts == parts[np.unravel_index(np.argmax(np.where(basin, heat, -1)), heat.shape)]
    weights = np.where(own, heat, 0)
    center = ndimage.center_of_mass(weights)
    inner = ndimage.find_objects(own.astype(np.int8))[0]
    start = [int(b.start + s.start) for b, s in zip(box, inner, strict=True)]
    k, j, i = (float(b.start + c) for b, c in zip(box, center, strict=True))
    return Proposal((k, j, i), peak, (start[0], start[1], start[2]), own[inner].copy())


def _without_duplicates(proposals: list[Proposal], spacing_mm: float) -> list[Proposal]:
    """Of two proposals of which one's centre lies within the other's equivalent radius, the hotter stays."""
    kept: list[Proposal] = []
    for proposal in proposals:
        radius = _radius(proposal)
        if all(
            np.linalg.norm(np.subtract(proposal.center_kji, other.center_kji)) * spacing_mm
            >= max(radius, _radius(other)) * spacing_mm
            for other in kept
        ):
            kept.append(proposal)
    return kept


def _radius(proposal: Proposal) -> float:
    return float((3 * proposal.volume / (4 * np.pi)) ** (1 / 3))
