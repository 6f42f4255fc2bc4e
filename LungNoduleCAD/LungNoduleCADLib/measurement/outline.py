"""One look for a nodule around a seed: threshold, convex hull of the lung, opening, and the cut of what leaves it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..findings import VoxelMask
from ..volume import Volume
from .body import TOUCHING, Leaving, fitted_body, leaving
from .halo import halo_density
from .hull import within_hull
from .local_box import LocalBox, depth_mm, equivalent_diameter, extent_of, local_box
from .occupancy import NORMAL_LUNG_HU
from .parts import near_core, part_with_seed
from .quantiles import quantile

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


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
    :param halo_share: an outline around whose solid part at least so much is denser than lung, and :param halo_sd: its
        density as even as this standard deviation, HU, or :param halo_variation: as this share of its contrast with
        the lung, is one of a part-solid nodule, and :param halo_level: is the threshold between lung and its
        ground-glass. What is denser than lung around other nodules, vessels and partial volume, is not as even.
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
    hull_share: float = 0.985
    hull_margin_mm: float = 1.0
    opening: float = 0.5
    leaving: Leaving = field(default_factory=Leaving)
    largest_body_mm: float = 3.0
    rounding: float = 0.2
    most_rounding_mm: float = 1.5
    rounding_level: float = 0.35
    halo_share: float = 0.35
    halo_sd: float = 65.0
    halo_variation: float = 0.25
    halo_level: float = 0.45
    least_share: float = 0.08


LEAST_CONTRAST_HU = 100.0
NEXT_TO_SEED_MM = 1.0
"""Lung nearer to the seed may be the nodule's edge."""
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
        points -= points.mean(axis=0)
        covariance = points.T @ points / len(points) + np.diag(self.box.spacing**2 / 12)
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
    around = local_box(volume, seed, growth + settings.margin_mm)
    lung = around.hu < settings.air_hu
    if lung_mask is not None:
        lung &= around.cut_from(lung_mask)
    # The next slice is never farther than the reach, however thick slices are; one voxel beyond the reach shows whether
    # the nodule goes on there.
    steps = np.minimum(around.spacing, growth)
    farthest = max(growth + float(steps.max()), NEXT_TO_SEED_MM)
    box, place = around.part(np.ceil(farthest / steps).astype(int))
    outside = _outside(box.seed, box.spacing)
    reach = outside if (steps == box.spacing).all() else ndimage.distance_transform_edt(~box.seed, sampling=steps)
    wide = within_hull(
        reach <= growth + steps.max(), lung, place, box.spacing, settings.hull_share, settings.hull_margin_mm
    )
    allowed = wide & (reach <= growth)
    lung_hu = _lung_density(around, outside, place)
    edge_hu = _edge_density(box, outside, allowed, lung_hu, diameter, settings)
    found = part_with_seed((box.hu > edge_hu) & allowed, box.seed)
    if not found.any():
        return None
    halo_hu = halo_density(box, found, allowed, lung_hu, settings.halo_share, settings.halo_sd, settings.halo_variation)
    if halo_hu is not None:
        edge_hu = lung_hu + settings.halo_level * (halo_hu - lung_hu)
        found = part_with_seed(((box.hu > edge_hu) & allowed) | found, found)
    beyond = wide & ~allowed & (box.hu > edge_hu)
    found, left = _without_vessels(found, box, beyond, settings)
    if found.sum() < settings.least_share * seed.voxels.sum():
        return None
    extent = extent_of(found, margin=1)
    cut_off = (ndimage.binary_dilation(found[extent]) & beyond[extent]).sum() > SHARE_BEYOND * found.sum()
    return Outline(box, allowed & ~left, found, bool(cut_off))


def _outside(seed: Bools, spacing: Floats) -> Floats:
    """Signed distance of each voxel's centre from the seed's surface, negative inside."""
    return np.asarray(ndimage.distance_transform_edt(~seed, sampling=spacing) - depth_mm(seed, spacing))


def _lung_density(around: LocalBox, outside_mm: Floats, place: tuple[slice, ...]) -> float:
    """Of what is lung and not next to the seed.

    :param outside_mm: as far as `NEXT_TO_SEED_MM` goes, at its place in the box.
    """
    lung = around.hu < -500
    lung[place] &= outside_mm > NEXT_TO_SEED_MM
    densities = around.hu[lung]
    return quantile(densities, 0.4) if len(densities) > 20 else NORMAL_LUNG_HU


def _edge_density(
    box: LocalBox, outside_mm: Floats, allowed: Bools, lung: float, diameter_mm: float, settings: RefineSettings
) -> float:
    """HU between lung and nodule from which on a voxel is nodule; infinite where the seed holds nothing to go by."""
    core = _inner_part(box.seed & allowed, outside_mm)
    if not core.any():
        return np.inf
    density = quantile(box.hu[core], 0.7)
    # A seed that is too large or beside the nodule holds much lung: ask again only what is nodule by the first
    # estimate.
    core = _inner_part(box.seed & allowed & (box.hu > (lung + density) / 2), outside_mm)
    if not core.any():
        return np.inf
    # Blur lowers a small nodule's density everywhere but at its very centre.
    rank = float(np.clip(1.1 - diameter_mm / 10, 0.5, 0.8))
    density = max(quantile(box.hu[core], rank), lung + LEAST_CONTRAST_HU)
    return lung + settings.level * (density - lung)


def _inner_part(voxels: Bools, outside_mm: Floats) -> Bools:
    """Those of the voxels that lie deepest in the seed."""
    if not voxels.any():
        return voxels
    return voxels & (outside_mm <= 0.4 * float(outside_mm[voxels].min()))


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
    core = part_with_seed(depth > radius, seed, depth[seed] ** 2)
    kept, left = np.zeros_like(voxels), np.zeros_like(voxels)
    if not core.any():
        return voxels, left
    opened = part_with_seed(near_core(inner, core, radius, box.spacing), seed)
    if deepest <= settings.largest_body_mm and _closed(opened, beyond[extent]):
        ends = inner & ndimage.binary_dilation(beyond[extent], structure=TOUCHING)
        # What goes on nowhere has nothing that leaves it.
        if ends.any():
            middle = core & seed & (depth > MIDDLE_SHARE * depth[core & seed].max())
            body = fitted_body(opened, middle, box.spacing)
            left[extent] = leaving(inner, depth, ends, body, box.spacing, settings.leaving, deepest)
    kept[extent] = part_with_seed(opened & ~left[extent], seed)
    return kept, left


def _closed(voxels: Bools, beyond: Bools) -> bool:
    """Whether most of an outline's surroundings is free: what goes on in many directions is a nodule of which too
    little has been looked at."""
    shell = ndimage.binary_dilation(voxels) & ~voxels
    return bool((shell & beyond).sum() <= MOST_OPEN * shell.sum())
