"""The ground-glass around the solid part of a part-solid nodule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .local_box import LocalBox, extent_of
from .occupancy import SOLID_HU

Bools = NDArray[np.bool_]

HALO_SHELL_MM, OUTER_SHELL_MM = (1.5, 2.5), (2.0, 3.2)
"""Beyond what blur makes of a solid edge, and near enough to belong to it; the second tells ground-glass from what is
left of the blur."""
HALO_CONTRAST_HU = 120.0
"""Ground-glass is at least so much denser than lung."""
FEWEST_SHELL_VOXELS = 20


def halo_density(
    box: LocalBox,
    found: Bools,
    allowed: Bools,
    lung: float,
    least_share: float,
    most_sd: float,
    most_variation: float,
) -> float | None:
    """Density of the ground-glass around the solid part of an outline; None where there is lung around it."""
    solid = found & (box.hu > SOLID_HU)
    if not solid.any():
        return None
    extent = extent_of(solid, margin=int(np.ceil(OUTER_SHELL_MM[1] / box.spacing.min())))
    # The next slice is no farther than a millimetre, because partial volume carries density into it.
    away = ndimage.distance_transform_edt(~solid[extent], sampling=np.minimum(box.spacing, 1.0))
    inner, outer = (
        box.hu[extent][(away > low) & (away <= high) & allowed[extent]] for low, high in (HALO_SHELL_MM, OUTER_SHELL_MM)
    )
    halo = inner[inner > lung + HALO_CONTRAST_HU]
    if len(inner) < FEWEST_SHELL_VOXELS or not len(halo):
        return None
    # A seed smaller than the solid part leaves little to look at.
    judged = outer if len(outer) >= FEWEST_SHELL_VOXELS else inner
    share = float((judged > lung + HALO_CONTRAST_HU).mean())
    density = float(np.median(halo))
    # Its edges vary with its contrast, more than noise where that is high.
    even = float(halo.std()) <= max(most_sd, most_variation * (density - lung))
    return density if share >= least_share and even else None
