"""What tells benign from suspicious nodules: density, form, margin and surroundings of an outline.

Everything outside the outline is looked at only within the slices that the nodule is in, so that it means the same
where a scan ends right above and below it. Densities are clipped alike whatever the scan holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from ..findings import Measurements, NoduleFeatures, VoxelMask
from ..volume import Volume
from .occupancy import NORMAL_LUNG_HU, SOLID_HU

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Bools = NDArray[np.bool_]

HU_RANGE = (-1000, 400)
REACH_MM = 5.5
"""In-plane margin: a little more than the lung that is looked at."""
SMOOTHING_MM = 0.5
RIM_MM, RIM_SHARE = 2.0, 0.6
"""The core lies deeper than the first, or in a small nodule than this share of its greatest depth."""
EDGE_MM, GRADIENT_MM = 0.8, 2.0
"""Half width of the bands about the outline in which its slope, and the direction of slopes, are taken."""
NEAR_MM, FAR_MM, HALO_MM, STRANDS_MM, LUNG_MM = (0.8, 2.0), (2.0, 4.0), (1.0, 2.0), (1.0, 3.0), (2.0, 5.0)
"""Distances outside the outline."""
CALCIUM_HU, AIR_HU = 200.0, -500.0
STRAND_CONTRAST_HU, DENSE_CONTRAST_HU, LEAST_CONTRAST_HU = 150.0, 250.0, 100.0
LEAST_STRAND_MM2 = 0.8
FEWEST_LUNG_VOXELS = 20
RAYS, RAY_STEP_MM = 48, 0.25
FIRST_LOBES, FIRST_ROUGH = 3, 7
"""Waves around the outline from which on it is lobulated, and rough."""


@dataclass(frozen=True, eq=False)
class _Box:
    """The slices of a nodule with a margin in plane: densities, the same smoothed, the mask, and each voxel's distance
    from the outline within its slice, negative inside."""

    spacing: Floats
    hu: Singles
    smooth: Singles
    mask: Bools
    outside_mm: Floats

    @property
    def largest(self) -> int:
        return int(self.mask.sum(axis=(1, 2)).argmax())

    def shell(self, low: float, high: float) -> Bools:
        return (self.outside_mm > low) & (self.outside_mm <= high)


def nodule_features(volume: Volume, mask: VoxelMask, measurements: Measurements) -> NoduleFeatures:
    """The features of an outline that holds at least one voxel.

    :param volume: CT in HU; :param measurements: as `measure` gives them for the mask.
    """
    box = _box(volume, mask)
    around = box.hu[box.shell(*LUNG_MM)]
    around = around[around < AIR_HU]
    lung = float(np.median(around)) if len(around) > FEWEST_LUNG_VOXELS else NORMAL_LUNG_HU
    core = box.hu[box.outside_mm <= -min(RIM_MM, RIM_SHARE * -float(box.outside_mm.min()))]
    contrast = max(float(np.median(core)) - lung, LEAST_CONTRAST_HU)
    inside = box.hu[box.mask]
    sd = float(inside.std())
    solid = measurements.solid_diameter_mm
    lobulation, roughness = _waves(box)
    slope, radial = _slopes(box)
    near, far, halo = (box.smooth[box.shell(*reach)] for reach in (NEAR_MM, FAR_MM, HALO_MM))
    return NoduleFeatures(
        log_diameter=float(np.log(measurements.diameter_mm)),
        log_long_axis=float(np.log(max(measurements.long_axis_mm, 0.1))),
        log_short_axis=float(np.log(max(measurements.short_axis_mm, 0.1))),
        log_solid_diameter=float(np.log1p(measurements.mean_diameter_mm if solid is None else solid)),
        axis_ratio=measurements.short_axis_mm / max(measurements.long_axis_mm, 0.1),
        sphericity=1.0 if measurements.sphericity is None else measurements.sphericity,
        core_median_hu=float(np.median(core)),
        core_p90_hu=float(np.percentile(core, 90)),
        peak_hu=float(box.smooth[box.mask].max()),
        dense_share=float((box.smooth[box.mask] > CALCIUM_HU).mean()),
        sd_hu=sd,
        skewness=float(((inside - inside.mean()) ** 3).mean() / max(sd, 1.0) ** 3),
        solidity=_solidity(box),
        lobulation=lobulation,
        roughness=roughness,
        edge_slope=slope / contrast,
        radial_gradient=radial,
        halo=(_or(np.median, halo, lung) - lung) / contrast,
        near_hu=_or(np.mean, near, lung),
        near_strands=_or(np.mean, (near > lung + STRAND_CONTRAST_HU) & (near <= SOLID_HU), 0.0),
        far_strands=_or(np.mean, (far > lung + STRAND_CONTRAST_HU) & (far <= SOLID_HU), 0.0),
        far_dense=_or(np.mean, far > SOLID_HU, 0.0),
        strands=_strands(box, lung),
        lung_hu=lung,
    )


def _box(volume: Volume, mask: VoxelMask) -> _Box:
    spacing = volume.spacing_kji_mm
    pad = np.array([0, *np.ceil(REACH_MM / spacing[1:]).astype(int)])
    start = np.maximum(np.asarray(mask.start_kji) - pad, 0)
    stop = np.minimum(np.add(mask.start_kji, mask.voxels.shape) + pad, volume.shape)
    region = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    hu = np.clip(volume.voxels[region], *HU_RANGE).astype(np.float32)
    inside = np.zeros(hu.shape, dtype=bool)
    offset = np.subtract(mask.start_kji, start)
    inside[tuple(slice(a, a + n) for a, n in zip(offset, mask.voxels.shape, strict=True))] = mask.voxels
    # Slices so far apart that each is for itself.
    sampling, half = (1e3, spacing[1], spacing[2]), float(spacing[1]) / 2
    outside = ndimage.distance_transform_edt(~inside, sampling=sampling)
    depth = ndimage.distance_transform_edt(inside, sampling=sampling)
    smooth = ndimage.gaussian_filter(hu, (0, *(SMOOTHING_MM / spacing[1:])), truncate=3)
    return _Box(spacing, hu, smooth, inside, np.where(inside, half - depth, outside - half))


def _or(function: np.ufunc | object, values: NDArray[np.generic], nothing: float) -> float:
    """A statistic of values, or what it is where there are none."""
    return float(function(values)) if len(values) else nothing  # type: ignore[operator]


def _slopes(box: _Box) -> tuple[float, float]:
    """Median slope at the outline, HU per mm, and the radial gradient index."""
    if min(box.hu.shape[1:]) < 2:
        return 0.0, 0.0
    down, across = np.gradient(box.smooth, box.spacing[1], box.spacing[2], axis=(1, 2))
    slope = np.hypot(down, across)
    edge = np.abs(box.outside_mm) <= EDGE_MM
    band = np.abs(box.outside_mm) <= GRADIENT_MM
    if not edge.any():
        return 0.0, 0.0
    middle = np.argwhere(box.mask).mean(axis=0)
    rows = (np.arange(box.hu.shape[1])[:, None] - middle[1]) * box.spacing[1]
    columns = (np.arange(box.hu.shape[2])[None, :] - middle[2]) * box.spacing[2]
    outwards = -(down * rows + across * columns) / np.maximum(np.hypot(rows, columns), 1e-6)
    return float(np.median(slope[edge])), float(outwards[band].sum() / max(float(slope[band].sum()), 1e-6))


def _solidity(box: _Box) -> float:
    index = np.argwhere(box.mask[box.largest])
    corners = np.concatenate([index + step for step in ((0.5, 0.5), (0.5, -0.5), (-0.5, 0.5), (-0.5, -0.5))])
    try:
        return float(len(index) / ConvexHull(corners).volume)  # a polygon's "volume" is its area
    except QhullError:
        return 1.0


def _waves(box: _Box) -> tuple[float, float]:
    """Lobulation and roughness of the outline in the largest slice."""
    section = np.pad(box.mask[box.largest], 3)
    soft = ndimage.gaussian_filter(section.astype(np.float32), SMOOTHING_MM / box.spacing[1])
    middle = np.argwhere(section).mean(axis=0)
    angle = 2 * np.pi * np.arange(RAYS)[:, None] / RAYS
    steps = np.arange(0, float(np.hypot(*(np.array(section.shape) * box.spacing[1:]))), RAY_STEP_MM)
    points = [middle[0] + steps * np.sin(angle) / box.spacing[1], middle[1] + steps * np.cos(angle) / box.spacing[2]]
    within = ndimage.map_coordinates(soft, points, order=1, mode="constant") >= 0.5
    last = within.shape[1] - 1 - within[:, ::-1].argmax(axis=1)
    radius = np.where(within.any(axis=1), steps[last], RAY_STEP_MM)
    radius = np.maximum(radius, RAY_STEP_MM)
    waves = np.abs(np.fft.rfft(radius / radius.mean())) / RAYS
    lobes, rough = waves[FIRST_LOBES:FIRST_ROUGH], waves[FIRST_ROUGH:]
    return float(np.sqrt((lobes**2).sum())), float(np.sqrt((rough**2).sum()))


def _strands(box: _Box, lung_hu: float) -> float:
    k = box.largest
    labels, count = ndimage.label(
        box.shell(*STRANDS_MM)[k] & (box.smooth[k] > lung_hu + DENSE_CONTRAST_HU), structure=np.ones((3, 3))
    )
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:] * box.spacing[1] * box.spacing[2]
    return float((areas > LEAST_STRAND_MM2).sum())
