"""One look for a nodule around a seed: threshold, convex hull of the lung, opening, and the cut of what leaves it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..findings import VoxelMask
from ..volume import Volume
from .body import TOUCHING, Leaving, fitted_body, leaving
from .hull import within_hull
from .local_box import LocalBox, depth_mm, equivalent_diameter, extent_of, local_box
from .occupancy import NORMAL_LUNG_HU, SOLID_HU

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class RefineSettings:
    """How an outline is found; lengths in mm, or as shares of the seed's equivalent diameter.

    :param level: threshold between lung (0) and nodule (1). Half is the edge of what is blurred; readers draw outside.
    :param growth: how far beyond the seed the outline may go at a time, as a share of its diameter: 0.3 on each side
        makes 1.6 times.
    :param steps: how often an outline that is cut off there may go on.
    :param longest: standard deviation along its longest principal axis over that along its shortest, up to which an
        outline may have gone on: a vessel gets longer, a nodule rounder.
    :param thicker_mm: by how much an outline that never comes to an end must get thicker with each step that is kept.
    :param margin_mm: lung looked at beyond that, for its density and its hull.
    :param air_hu: below it is lung.
    :param hull_share, hull_margin_mm: of the hull of the lung, see `hull.within_hull`.
    :param opening: radius of the opening as a share of the radius of the largest ball in the nodule: what is thinner is
        a vessel.
    :param leaving: thicker vessels, cut off where they leave the nodule's body, :param largest_body_mm: when the
        largest ball's radius in it is at most this. Larger nodules are less like ellipsoids, and seldom thinner than
        twice their vessels.
    :param rounding: standard deviation of the smoothing that rounds the outline, as a share of the outline's diameter,
        and :param most_rounding_mm: its limit; half of that across slices.
    :param rounding_level: occupancy after that smoothing from which on a voxel belongs to the nodule.
    :param halo_share: an outline around whose solid part so much is denser than lung is one of a part-solid nodule, and
        :param halo_level: is the threshold between lung and its ground-glass.
    :param least_share: an outline of less than this share of the seed's volume (0.43 of its diameter) is a vessel or
        noise, and the seed is the better guess.
    """

    level: float = 0.33
    growth: float = 0.3
    steps: int = 4
    longest: float = 2.2
    thicker_mm: float = 1.0
    margin_mm: float = 5.0
    air_hu: float = -550.0
    hull_share: float = 0.97
    hull_margin_mm: float = 1.0
    opening: float = 0.5
    leaving: Leaving = field(default_factory=Leaving)
    largest_body_mm: float = 3.0
    rounding: float = 0.2
    most_rounding_mm: float = 1.5
    rounding_level: float = 0.35
    halo_share: float = 0.6
    halo_level: float = 0.45
    least_share: float = 0.08


LEAST_CONTRAST_HU = 100.0
HALO_SHELL_MM = (1.5, 2.5)
"""Beyond what blur makes of a solid edge, and near enough to belong to it."""
HALO_CONTRAST_HU = 120.0
"""Ground-glass is at least so much denser than lung."""
FEWEST_SHELL_VOXELS = 20
SHARE_BEYOND = 0.03
"""An outline with more voxels than this share of its own next to it, dense and out of reach, was cut off."""

MOST_OPEN = 0.3
"""Share of an outline's surroundings in which vessels may go on."""
MIDDLE_SHARE = 0.75
"""Voxels of at least this share of the greatest depth are the middle that a body is fitted around."""


@dataclass(frozen=True, eq=False)
class Outline:
    """What was found around a seed: in its box, among the voxels allowed, and whether it was cut off at their limit."""

    box: LocalBox
    allowed: Bools
    voxels: Bools
    cut_off: bool

    @property
    def depth_mm(self) -> float:
        """Of its deepest voxel."""
        return float(depth_mm(self.voxels, self.box.spacing).max())

    @property
    def elongation(self) -> float:
        """Standard deviation along its longest principal axis over that along its shortest; 1 for a ball."""
        points = np.argwhere(self.voxels) * self.box.spacing
        # Voxels are no points: a single layer of them is as thick as they are.
        covariance = np.cov(points.T, bias=True) + np.diag(self.box.spacing**2 / 12)
        variances = np.linalg.eigvalsh(covariance)
        return float(np.sqrt(variances[-1] / variances[0]))


def outline_around(
    volume: Volume, seed: VoxelMask, lung_mask: Bools | None, settings: RefineSettings
) -> Outline | None:
    """The outline around a seed that holds at least one voxel; None where nothing of its size stands out."""
    diameter = equivalent_diameter(float(seed.voxels.sum()) * volume.voxel_volume_mm3)
    # At least one voxel in plane, or the smallest seeds could not grow at all.
    pixel = float(volume.spacing_kji_mm[1:].max())
    growth = max(settings.growth * diameter, pixel * 1.01)
    box = local_box(volume, seed, growth + settings.margin_mm)
    lung = box.hu < settings.air_hu
    if lung_mask is not None:
        lung &= box.cut_from(lung_mask)
    outside, step = _reach(box, growth)
    # One voxel beyond the reach, to see whether the nodule goes on there.
    wide = within_hull(outside <= growth + step, lung, box.spacing, settings.hull_share, settings.hull_margin_mm)
    allowed = wide & (outside <= growth)
    lung_hu = _lung_density(box)
    edge_hu = _edge_density(box, allowed, lung_hu, diameter, settings)
    found = part_with_seed((box.hu > edge_hu) & allowed, box.seed.astype(np.float64))
    if not found.any():
        return None
    halo_hu = _halo_density(box, found, allowed, lung_hu, settings.halo_share)
    if halo_hu is not None:
        edge_hu = lung_hu + settings.halo_level * (halo_hu - lung_hu)
        found = part_with_seed(((box.hu > edge_hu) & allowed) | found, found.astype(np.float64))
    beyond = wide & ~allowed & (box.hu > edge_hu)
    found, left = _without_vessels(found, box, beyond, settings)
    if found.sum() < settings.least_share * seed.voxels.sum():
        return None
    cut_off = (ndimage.binary_dilation(found) & beyond).sum() > SHARE_BEYOND * found.sum()
    return Outline(box, allowed & ~left, found, bool(cut_off))


def _reach(box: LocalBox, growth_mm: float) -> tuple[NDArray[np.float64], float]:
    """Distance from the seed, for which the next slice is never farther than `growth_mm` however thick slices are; and
    the largest step between voxels."""
    if box.spacing.max() <= growth_mm:
        return box.outside_mm, float(box.spacing.max())
    steps = np.minimum(box.spacing, growth_mm)
    return np.asarray(ndimage.distance_transform_edt(~box.seed, sampling=steps)), float(steps.max())


def _lung_density(box: LocalBox) -> float:
    around = box.hu[(box.outside_mm > 1.0) & (box.hu < -500)]
    return float(np.percentile(around, 40)) if len(around) > 20 else NORMAL_LUNG_HU


def _halo_density(box: LocalBox, found: Bools, allowed: Bools, lung: float, least_share: float) -> float | None:
    """Density of the ground-glass around the solid part of an outline; None where there is lung around it."""
    solid = found & (box.hu > SOLID_HU)
    if not solid.any():
        return None
    extent = extent_of(solid, margin=int(np.ceil(HALO_SHELL_MM[1] / box.spacing.min())))
    # The next slice is no farther than a millimetre, because partial volume carries density into it.
    away = ndimage.distance_transform_edt(~solid[extent], sampling=np.minimum(box.spacing, 1.0))
    shell = (away > HALO_SHELL_MM[0]) & (away <= HALO_SHELL_MM[1]) & allowed[extent]
    densities = box.hu[extent][shell]
    dense = densities > lung + HALO_CONTRAST_HU
    if len(densities) < FEWEST_SHELL_VOXELS or dense.mean() < least_share:
        return None
    return float(np.median(densities[dense]))


def _edge_density(box: LocalBox, allowed: Bools, lung: float, diameter_mm: float, settings: RefineSettings) -> float:
    """HU between lung and nodule from which on a voxel is nodule; infinite where the seed holds nothing to go by."""
    core = _inner_part(box.seed & allowed, box.outside_mm)
    if not core.any():
        return np.inf
    density = float(np.percentile(box.hu[core], 70))
    # A seed that is too large or beside the nodule holds much lung: ask again only what is nodule by the first
    # estimate.
    core = _inner_part(box.seed & allowed & (box.hu > (lung + density) / 2), box.outside_mm)
    if not core.any():
        return np.inf
    # Blur lowers a small nodule's density everywhere but at its very centre.
    rank = np.clip(1.1 - diameter_mm / 10, 0.5, 0.8)
    density = max(float(np.quantile(box.hu[core], rank)), lung + LEAST_CONTRAST_HU)
    return lung + settings.level * (density - lung)


def _inner_part(voxels: Bools, outside_mm: NDArray[np.float64]) -> Bools:
    """Those of the voxels that lie deepest in the seed."""
    if not voxels.any():
        return voxels
    return voxels & (outside_mm <= 0.4 * float(outside_mm[voxels].min()))


def part_with_seed(voxels: Bools, weight: NDArray[np.float64]) -> Bools:
    """The 6-connected part that holds the most of a weight; empty when none holds any."""
    labels, count = ndimage.label(voxels)
    if not count:
        return voxels
    held = np.bincount(labels.ravel(), weights=weight.ravel(), minlength=count + 1)
    held[0] = 0
    best = int(held.argmax())
    return labels == best if held[best] > 0 else np.zeros_like(voxels)


def _without_vessels(voxels: Bools, box: LocalBox, beyond: Bools, settings: RefineSettings) -> tuple[Bools, Bools]:
    """Opening by a ball, its core restricted to the part in the seed, and its regrowth to what was there before; then
    what leaves the body is cut off.

    :param beyond: where what is dense goes on out of reach.
    :returns: what is kept, and what was cut off from the body.
    """
    # Everything happens in the extent of the voxels, with an empty frame for the distances.
    extent = extent_of(voxels, margin=1)
    inner, seed = voxels[extent], box.seed[extent]
    depth = ndimage.distance_transform_edt(inner, sampling=box.spacing)
    deepest = float(depth[seed].max())
    radius = settings.opening * deepest
    core = part_with_seed(depth > radius, np.where(seed, depth, 0) ** 2)
    kept, left = np.zeros_like(voxels), np.zeros_like(voxels)
    if not core.any():
        return voxels, left
    # Half a voxel more, because distances are between voxel centres, and the core's edge lies beyond its outermost one.
    near = ndimage.distance_transform_edt(~core, sampling=box.spacing) <= radius + box.spacing[1] / 2
    opened = part_with_seed(inner & near, seed.astype(np.float64))
    ends = ndimage.binary_dilation(beyond[extent], structure=TOUCHING)
    shell = ndimage.binary_dilation(opened) & ~opened
    # What goes on in many directions is a nodule of which too little has been looked at; what goes on in none has
    # nothing that leaves it.
    runs_on = (shell & beyond[extent]).sum() <= MOST_OPEN * shell.sum() and (inner & ends).any()
    if runs_on and deepest <= settings.largest_body_mm:
        middle = core & seed & (depth > MIDDLE_SHARE * depth[core & seed].max())
        body = fitted_body(opened, middle, box.spacing)
        left[extent] = leaving(inner, depth, ends, body, box.spacing, settings.leaving, deepest)
    kept[extent] = part_with_seed(opened & ~left[extent], seed.astype(np.float64))
    return kept, left
