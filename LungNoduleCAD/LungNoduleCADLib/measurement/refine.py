"""The outline of a nodule on the scan's own voxels, from a rough mask of it.

After Kuhnigk et al. (IEEE TMI 25, 2006): a threshold halfway between nodule and lung, the chest wall cut off by the
convex hull of the lung nearby, vessels by an opening whose size follows the nodule's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..findings import VoxelMask
from ..volume import Volume
from .local_box import LocalBox, equivalent_diameter, local_box, sphere_mask

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class RefineSettings:
    """How an outline is found; lengths in mm, or as shares of the seed's equivalent diameter.

    :param level: threshold between lung (0) and nodule (1). Half is right for a blurred edge, readers draw a little
        outside.
    :param growth: how far beyond the seed the outline may go, as a share of its diameter: 0.3 on each side makes 1.6
        times.
    :param margin_mm: lung looked at beyond that, for its density and its hull.
    :param air_hu: below it is lung.
    :param hull_share: share of the lung nearby that a plane of its hull has on its inner side: the rest is noise, and
        gas beyond the wall.
    :param hull_margin_mm: the outline may go this far beyond the hull.
    :param opening: radius of the opening as a share of the radius of the largest ball in the nodule: what is thinner is
        a vessel.
    :param least_share: an outline of less than this share of the seed's volume (0.43 of its diameter) is a vessel or
        noise, and the seed is the better guess.
    """

    level: float = 0.42
    growth: float = 0.3
    margin_mm: float = 5.0
    air_hu: float = -550.0
    hull_share: float = 0.97
    hull_margin_mm: float = 1.0
    opening: float = 0.4
    least_share: float = 0.08


NORMAL_LUNG_HU = -850.0
LEAST_CONTRAST_HU = 100.0
MOST_HULL_POINTS = 1500


def refine_mask(
    volume: Volume,
    seed: VoxelMask | tuple[tuple[float, float, float], float],
    lung_mask: Bools | None = None,
    settings: RefineSettings | None = None,
) -> VoxelMask:
    """Segment a nodule.

    :param volume: CT in HU, any spacing and orientation.
    :param seed: its rough mask (the network's), or its centre in LPS mm and rough diameter in mm.
    :param lung_mask: bool, on the volume's grid. Without one, what is air nearby is taken for lung.
    :returns: one 6-connected part that meets the seed and goes at most 0.3 seed diameters beyond it; the seed itself
        where nothing of its size stands out from the lung in it.
    """
    settings = settings or RefineSettings()
    if not isinstance(seed, VoxelMask):
        seed = sphere_mask(volume, *seed)
    if not seed.voxels.any():
        return seed
    diameter = equivalent_diameter(float(seed.voxels.sum()) * volume.voxel_volume_mm3)
    # At least one voxel in plane, or the smallest seeds could not grow at all.
    growth = max(settings.growth * diameter, float(volume.spacing_kji_mm[1:].max()) * 1.01)
    box = local_box(volume, seed, growth + settings.margin_mm)
    lung = box.hu < settings.air_hu
    if lung_mask is not None:
        lung &= box.cut_from(lung_mask)
    allowed = _within_hull(box.outside_mm <= growth, lung, box.spacing, settings)
    found = _bright(box, allowed, diameter, settings)
    found = _part_with_seed(found, box.seed.astype(np.float64))
    if not found.any():
        return seed
    outline = box.as_mask(_without_vessels(found, box, settings.opening))
    if outline.voxels.sum() < settings.least_share * seed.voxels.sum():
        return seed
    return VoxelMask(outline.start_kji, ndimage.binary_fill_holes(outline.voxels))


def _bright(box: LocalBox, allowed: Bools, diameter_mm: float, settings: RefineSettings) -> Bools:
    """Voxels above a level between the lung's density and the nodule's."""
    around = box.hu[(box.outside_mm > 1.0) & (box.hu < -500)]
    lung = float(np.percentile(around, 40)) if len(around) > 20 else NORMAL_LUNG_HU
    core = _inner_part(box.seed & allowed, box.outside_mm)
    if not core.any():
        return core
    density = float(np.percentile(box.hu[core], 70))
    # A seed that is too large or beside the nodule holds much lung: ask again only what is nodule by the first
    # estimate.
    core = _inner_part(box.seed & allowed & (box.hu > (lung + density) / 2), box.outside_mm)
    if not core.any():
        return core
    # Blur lowers a small nodule's density everywhere but at its very centre.
    rank = np.clip(1.1 - diameter_mm / 10, 0.5, 0.8)
    density = max(float(np.quantile(box.hu[core], rank)), lung + LEAST_CONTRAST_HU)
    return (box.hu > lung + settings.level * (density - lung)) & allowed


def _inner_part(voxels: Bools, outside_mm: NDArray[np.float64]) -> Bools:
    """Those of the voxels that lie deepest in the seed."""
    if not voxels.any():
        return voxels
    return voxels & (outside_mm <= 0.4 * float(outside_mm[voxels].min()))


def _part_with_seed(voxels: Bools, weight: NDArray[np.float64]) -> Bools:
    """The 6-connected part that holds the most of a weight; empty when none holds any."""
    labels, count = ndimage.label(voxels)
    if not count:
        return voxels
    held = np.bincount(labels.ravel(), weights=weight.ravel(), minlength=count + 1)
    held[0] = 0
    best = int(held.argmax())
    return labels == best if held[best] > 0 else np.zeros_like(voxels)


def _without_vessels(voxels: Bools, box: LocalBox, share: float) -> Bools:
    """Opening by a ball, its core restricted to the part in the seed, and its regrowth to what was there before."""
    # Everything happens in the extent of the voxels, with an empty frame for the distances.
    extent = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in ndimage.find_objects(voxels.astype(np.uint8))[0])
    inner, seed = voxels[extent], box.seed[extent]
    depth = ndimage.distance_transform_edt(inner, sampling=box.spacing)
    radius = share * float(depth[seed].max())
    core = _part_with_seed(depth > radius, np.where(seed, depth, 0) ** 2)
    if not core.any():
        return voxels
    # Half a voxel more, because distances are between voxel centres, and the core's edge lies beyond its outermost one.
    near = ndimage.distance_transform_edt(~core, sampling=box.spacing) <= radius + box.spacing[1] / 2
    kept = np.zeros_like(voxels)
    kept[extent] = _part_with_seed(inner & near, seed.astype(np.float64))
    return kept


def _directions(count: int) -> NDArray[np.float32]:
    """Unit vectors spread evenly over the sphere (a golden spiral)."""
    step = np.arange(count) + 0.5
    height = 1 - 2 * step / count
    turn = np.pi * (1 + np.sqrt(5)) * step
    width = np.sqrt(1 - height**2)
    return np.stack([height, width * np.sin(turn), width * np.cos(turn)]).astype(np.float32)


HULL_DIRECTIONS = _directions(48)


def _within_hull(voxels: Bools, lung: Bools, spacing: NDArray[np.float64], settings: RefineSettings) -> Bools:
    """Those of the voxels that lie within the convex hull of the lung nearby, given by its extent in many directions.

    The lung is convex towards the chest wall: the hull spans a juxtapleural nodule, and leaves the wall out.
    """
    air = np.flatnonzero(lung)
    if len(air) < 50:
        return voxels
    # Every n-th voxel gives the same extent to a fraction of a voxel, for a fraction of the time.
    air = air[:: max(len(air) // MOST_HULL_POINTS, 1)]
    points = np.flatnonzero(voxels)
    of_air, of_points = (
        np.stack(np.unravel_index(chosen, lung.shape)).T.astype(np.float32)
        * spacing.astype(np.float32)
        @ HULL_DIRECTIONS
        for chosen in (air, points)
    )
    rank = int(settings.hull_share * (len(air) - 1))
    extent = np.partition(of_air, rank, axis=0)[rank]
    kept = np.zeros_like(voxels)
    kept.ravel()[points] = (of_points <= extent + settings.hull_margin_mm).all(axis=1)
    return kept
