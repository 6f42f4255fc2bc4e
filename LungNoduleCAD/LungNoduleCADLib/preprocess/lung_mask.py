"""Lung mask of a chest CT: both lungs with the nodules in and on them; without trachea, main bronchi and gas elsewhere.

The mask only says where candidates may be, so it errs to the generous side at the pleura. Everything is decided on a
coarse grid of about 2 mm (`lung_grid`), where neither the kernel's noise nor the slice thickness matters much:

1. air outside the body, slice by slice from the border inwards: what touches the border and is as thin as air;
2. low density (threshold by Otsu between lung and tissue) inside the body;
3. pure air walled in by soft tissue is airway or bowel and goes; pure air walled in by lung is emphysema and stays;
4. what is left is split into regions; a lung is large and mostly denser than air, gas in a bowel is not;
5. each lung is closed in millimetres (juxtapleural nodules) and its holes are filled (nodules, vessels).

No step looks for "air that touches the first or last slice" or needs a whole lung, so slabs and cut lungs work.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ..errors import InputError
from ..volume import Volume
from .lung_grid import CoarseGrid
from .lung_shape import CROSS, PLANE, closed, eroded_in_plane, filled, holes, only_larger, separated

LUNA16_LUNG_LABELS = (3, 4)
"""The two lungs in LUNA16's lung masks; 5 is the trachea."""

AIR_MARGIN_HU = 75.0
"""Block means less than this above air are air outside the body. Lung is 100 to 400 above."""

THINNEST_SHARE, RIM_ABOVE_THINNEST_HU = 0.002, 100.0
"""So much of any image is air, were it only the trachea's; lung at the image's edge is so much denser (130 at least in
five scans cut so), air outside the body that noise or a poor calibration lifts is not (70)."""

LUNG_ABOVE_AIR_HU = 45.0
"""The inner part of a lung is on average at least this much denser than air (90 to 280 in eight scans, the least under
a noisy kernel whose air is clipped); gas in a bowel is not."""

BODY_HU = -300.0
"""Denser block means are soft tissue, bone or table."""

THRESHOLD_RANGE_HU = (-550.0, -350.0)
"""Otsu's lung/tissue threshold is kept in this range: half-way between lung (-900 to -650) and tissue (0 to 60)."""

GAS_STEPS_HU = (140.0, 105.0, 75.0)
"""Successively stricter limits above the scan's air; a leak from the trachea into the lung at one limit is closed by
the next."""

GAS_PURITY = 0.5
"""A gas region's mean lies below this share of the limit above air; a piece of lung cut out by the limit lies just
below the limit itself. On five scans: trachea 0 to 0.45 at the first limit that frees it, pieces of lung 0.65 to
0.9."""

GAS_TISSUE_SHARE = 0.6
"""Share of soft tissue in the two voxels around an air region that makes it airway or bowel (0.65 to 0.95 on five
scans) and not emphysema or a bulla."""

SMALLEST_GAS_ML, SMALLEST_GAS_CORE_ML = 0.3, 1.0
"""Least volume of a gas region, and of what is left of it when only parts three blocks wide count: lobar and segmental
bronchi stay in the lung, where an outline full of little holes would help nobody."""

LARGEST_AIRWAY_ML, VESSEL_SHARE = 150.0, 0.05
"""A larger one that encloses more than this share of its volume is an emphysematous lung with its vessels. Lungs of
five scans made 40 to 70 HU thinner: 0.09 to 0.16, of 1400 ml and more; airways 0 to 0.08, of up to 50 ml."""

SMALLEST_LUNG_SHARE = 0.03
"""A region with less than this share of the largest lung's volume is no lung."""

SMALLEST_LUNG_MM2 = 600.0
"""Nor is one whose largest axial section is smaller than this; an area, because a slab may be only a few millimetres
thick."""

LUNG_SIDES = 2.5
"""A lung has the body on all four sides in a slice, or three where the field of view cuts it; a foam pad under the back
has one."""

PLEURA_MM = 2.0
"""Margin added all round: about one block."""


def segment_lungs(volume: Volume, progress: Callable[[float], None] | None = None) -> NDArray[np.bool_]:
    """Find the lungs of a chest CT.

    :param volume: HU, any orientation, spacing and extent; padding may be present.
    :param progress: called with the share done, 0 to 1.
    :returns: bool array on the volume's own grid.
    :raises InputError: when nothing in the image looks like a lung.
    """
    report = progress or (lambda share: None)
    grid = CoarseGrid.from_volume(volume)
    report(0.3)
    lungs = _lungs_on_coarse_grid(grid)
    if not lungs.any():
        raise InputError(
            "No lung was found in the image; check that it is a chest CT in Hounsfield units, "
            "or run with `--lung-mask none`."
        )
    report(0.8)
    result = grid.to_fine(lungs)
    report(1.0)
    return result


def lung_mask_from_labels(mask_voxels: ArrayLike) -> NDArray[np.bool_]:
    """Lungs of a label image: LUNA16's labels 3 and 4 where present, else every non-zero voxel (a binary mask).

    :raises InputError: when the mask is empty.
    """
    labels = np.asarray(mask_voxels)
    lungs = np.isin(labels, LUNA16_LUNG_LABELS)
    if not lungs.any():
        lungs = labels != 0
    if not lungs.any():
        raise InputError("The lung mask is empty; give a mask with non-zero voxels, or run with `--lung-mask none`.")
    return lungs


def _lungs_on_coarse_grid(grid: CoarseGrid) -> NDArray[np.bool_]:
    whole = np.zeros(grid.hu.shape, dtype=bool)
    body = _body(grid.hu, grid.beyond_field)
    if not body.any():
        return whole
    patient = _bounding_box(body, margin=3)
    hu, beyond, body = grid.hu[patient], grid.beyond_field[patient], body[patient]
    outside, air_hu = _outside_air(hu, beyond, _sides_with_body(body))
    threshold = _threshold(hu, outside | beyond)
    _close_cut_slices(body, hu, outside | beyond)
    sides = _sides_with_body(body)
    # what lies beyond the field may be body: the rim of a lung cut by it has the body on its medial side only
    low = (hu < threshold) & ~outside & ~beyond & ((_sides_with_body(body | beyond) if beyond.any() else sides) >= 2)
    if not low.any():
        return whole
    middle = np.argwhere(body.any(axis=(0, 1))).mean()

    chest = _bounding_box(low, margin=8)
    hu, low, sides = hu[chest], low[chest], sides[chest]
    spacing = grid.spacing_kji_mm
    gas = _walled_gas(hu, low, threshold, air_hu, spacing)
    regions = _lung_regions(hu, low & ~gas, sides, air_hu + LUNG_ABOVE_AIR_HU, spacing)
    lungs = np.zeros(low.shape, dtype=bool)
    for region in regions:
        for lung in separated(region):
            lungs |= closed(lung, middle - chest[2].start, spacing)
    lungs = filled(lungs, spacing)
    lungs = ndimage.binary_dilation(lungs, structure=CROSS if spacing[0] < 2 * PLEURA_MM else PLANE)
    whole[patient][chest] = lungs & ~gas
    return whole


def _bounding_box(mask: NDArray[np.bool_], margin: int) -> tuple[slice, ...]:
    """Smallest box around the set voxels, `margin` voxels wider on every side where the grid allows."""
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    return tuple(slice(max(0, s.start - margin), s.stop + margin) for s in box)


def _outside_air(
    hu: NDArray[np.float32], beyond: NDArray[np.bool_], sides: NDArray[np.uint8]
) -> tuple[NDArray[np.bool_], float]:
    """Air around the patient, and its HU in this scan (clipping at -1024 lifts the mean of noisy air).

    An emphysematous lung that the image's edge cuts is as thin, and has the body around it.
    """
    labels, count = ndimage.label((hu < -700) & ~beyond, structure=PLANE)
    border = np.zeros(hu.shape, dtype=bool)
    border[:, [0, -1], :] = border[:, :, [0, -1]] = True
    if beyond.any():
        border |= ndimage.binary_dilation(beyond, structure=PLANE)
    touching = np.bincount(labels[border], minlength=count + 1) > 0
    touching[0] = False
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    pure = np.bincount(labels[hu < -1000 + AIR_MARGIN_HU], minlength=count + 1)
    thin = touching & (pure > 0.5 * sizes)
    around = np.bincount(labels.ravel(), weights=sides.ravel(), minlength=count + 1)
    outside = (thin & (around < LUNG_SIDES * sizes))[labels]
    air = hu[outside]
    return outside, float(np.median(air[:: max(1, air.size // 100_000)])) if air.size else -1000.0


def _body(hu: NDArray[np.float32], beyond: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The patient's soft tissue without the table: the largest region that is more than a shell."""
    solid = eroded_in_plane((hu > BODY_HU) & ~beyond)
    labels, count = ndimage.label(solid, structure=CROSS)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return labels == sizes.argmax() if count else solid


def _close_cut_slices(body: NDArray[np.bool_], hu: NDArray[np.float32], outside: NDArray[np.bool_]) -> None:
    """Where the field of view lies within the patient (a reconstruction of the heart), the body goes on beyond the edge
    of the image: that edge becomes body, in place."""
    rim = np.zeros(body.shape[1:], dtype=bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    within = ~outside[:, rim].any(axis=1)
    if within.any():
        at_edge = hu[within][:, rim][~body[within][:, rim]]
        thinnest = np.quantile(hu[::2, ::2, ::2], THINNEST_SHARE)
        if at_edge.size and np.median(at_edge) > thinnest + RIM_ABOVE_THINNEST_HU:
            body[within] |= rim


def _sides_with_body(body: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """On how many of its four sides, within the slice, a voxel has the body."""
    sides = np.zeros(body.shape, dtype=np.uint8)
    for axis in (1, 2):
        sides += np.logical_or.accumulate(body, axis=axis)
        sides += np.flip(np.logical_or.accumulate(np.flip(body, axis), axis=axis), axis)
    return sides


def _threshold(hu: NDArray[np.float32], ignored: NDArray[np.bool_]) -> float:
    """Otsu's threshold between lung and soft tissue within the body (Otsu 1979), HU."""
    counts, edges = np.histogram(hu[~ignored], bins=150, range=(-1000.0, 200.0))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    above = counts.sum() - below
    first_moment = np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (first_moment[:-1] / below - (first_moment[-1] - first_moment[:-1]) / above) ** 2
    best = edges[1:-1][np.nanargmax(between)] if np.isfinite(between).any() else -450.0
    return float(np.clip(best, *THRESHOLD_RANGE_HU))


def _walled_gas(
    hu: NDArray[np.float32], low: NDArray[np.bool_], threshold: float, air_hu: float, spacing: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Trachea, main bronchi, oesophageal and bowel gas with their partial-volume rim: pure air in walls of soft
    tissue."""
    tissue = hu > threshold
    found = np.zeros(low.shape, dtype=bool)
    milliliters = float(np.prod(spacing)) / 1000
    for step in GAS_STEPS_HU:
        labels, count = ndimage.label(low & (hu < air_hu + step) & ~found, structure=CROSS)
        if not count:
            break
        inside = labels > 0
        members = labels[inside]
        sizes = np.bincount(members, minlength=count + 1)
        mean = np.bincount(members, weights=hu[inside], minlength=count + 1) / np.maximum(sizes, 1)
        shell = ndimage.maximum_filter(labels, size=5)
        shell[inside] = 0
        ring = shell > 0
        around = np.bincount(shell[ring], minlength=count + 1)
        dense = np.bincount(shell[ring], weights=tissue[ring], minlength=count + 1)
        pure = mean < air_hu + GAS_PURITY * step
        walled = pure & (dense > GAS_TISSUE_SHARE * around) & (sizes * milliliters > SMALLEST_GAS_ML)
        walled[0] = False
        if (walled & (sizes * milliliters > LARGEST_AIRWAY_ML)).any():
            others, is_hole = holes(inside)
            crossed = np.bincount(shell[ring & is_hole[others]], minlength=count + 1) > VESSEL_SHARE * sizes
            walled &= ~crossed | (sizes * milliliters <= LARGEST_AIRWAY_ML)
        found |= walled[labels]
    found = only_larger(ndimage.binary_opening(found, structure=np.ones((1, 3, 3))), SMALLEST_GAS_CORE_ML / milliliters)
    if found.any():
        found = ndimage.binary_dilation(found, structure=ndimage.generate_binary_structure(3, 2)) & low
    return found


def _lung_regions(
    hu: NDArray[np.float32],
    low: NDArray[np.bool_],
    sides: NDArray[np.uint8],
    gas_limit: float,
    spacing: NDArray[np.float64],
) -> list[NDArray[np.bool_]]:
    """The lungs, one mask each where they are separate."""
    labels, count = ndimage.label(low, structure=CROSS)
    core = eroded_in_plane(low)
    cores = np.bincount(labels[core], minlength=count + 1)
    mean_hu = np.bincount(labels[core], weights=hu[core], minlength=count + 1) / np.maximum(cores, 1)
    mean_sides = np.bincount(labels[core], weights=sides[core], minlength=count + 1) / np.maximum(cores, 1)
    lung_like = (cores > 0) & (mean_hu > gas_limit) & (mean_sides > LUNG_SIDES)
    lung_like[0] = False
    if not lung_like.any():
        return []
    large = np.flatnonzero(lung_like & (cores > SMALLEST_LUNG_SHARE * cores[lung_like].max()))
    regions = [labels == index for index in large]
    return [region for region in regions if region.sum(axis=(1, 2)).max() * np.prod(spacing[1:]) > SMALLEST_LUNG_MM2]
