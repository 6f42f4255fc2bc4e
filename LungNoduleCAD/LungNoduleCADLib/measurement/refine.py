"""The outline of a nodule on the scan's own voxels, as a reader would draw it, from a rough mask of it.

After Kuhnigk et al. (IEEE TMI 25, 2006): a threshold between nodule and lung, the chest wall cut off by the convex hull
of the lung nearby, vessels by an opening whose size follows the nodule's. A seed may be too small or beside the nodule:
an outline that is cut off at its seed's reach becomes the next seed. Readers draw round outlines a little outside the
edge; the settings are fitted to theirs (docs/measurement.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..findings import VoxelMask
from ..volume import Volume
from .local_box import equivalent_diameter, moved, sphere_mask, trimmed
from .outline import Outline, RefineSettings, outline_around
from .parts import part_with_seed

Bools = NDArray[np.bool_]


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
    :returns: one 6-connected part that meets the seed; the seed itself where nothing of its size stands out from the
        lung in it.
    """
    settings = settings or RefineSettings()
    if not isinstance(seed, VoxelMask):
        seed = sphere_mask(volume, *seed)
    if not seed.voxels.any():
        return seed
    found = outline_around(volume, seed, lung_mask, settings)
    if found is None:
        return seed
    found = _grown(volume, found, lung_mask, settings)
    rounded = _rounded(found, volume, settings) if settings.rounding else found.box.as_mask(found.voxels)
    return VoxelMask(rounded.start_kji, ndimage.binary_fill_holes(rounded.voxels))


def _grown(volume: Volume, found: Outline, lung_mask: Bools | None, settings: RefineSettings) -> Outline:
    """An outline followed to where the nodule ends, when it was cut off at its seed's reach.

    What does not end within the steps allowed runs into a vessel or the chest wall: then only as long as it gets
    thicker, as a mass does.
    """
    further: list[Outline] = []
    last = found
    while last.cut_off and len(further) < settings.steps:
        after = outline_around(volume, last.box.as_mask(last.voxels), lung_mask, settings)
        if after is None or after.elongation > settings.longest:
            break
        further.append(after)
        last = after
    if not last.cut_off:
        return last
    for after in further:
        if after.depth_mm <= found.depth_mm + settings.thicker_mm:
            break
        found = after
    return found


def _rounded(found: Outline, volume: Volume, settings: RefineSettings) -> VoxelMask:
    """The outline smoothed, within what it was allowed to take."""
    spacing = found.box.spacing
    diameter = equivalent_diameter(float(found.voxels.sum() * spacing.prod()))
    sigma_mm = min(settings.rounding * diameter, settings.most_rounding_mm) * np.array([0.5, 1.0, 1.0])
    margin = int(np.ceil(2 * sigma_mm[1] / spacing.min()))
    tight = found.box.as_mask(found.voxels)
    start = np.maximum(np.subtract(tight.start_kji, margin), 0)
    stop = np.minimum(np.add(tight.start_kji, tight.voxels.shape) + margin, volume.shape)
    voxels, allowed = (moved(part, found.box.start, start, stop) for part in (found.voxels, found.allowed))
    share = ndimage.gaussian_filter(voxels.astype(np.float32), sigma_mm / spacing, truncate=3)
    rounded = part_with_seed((share > settings.rounding_level) & allowed, voxels)
    k, j, i = (int(n) for n in start)
    return trimmed(VoxelMask((k, j, i), rounded)) if rounded.any() else tight
