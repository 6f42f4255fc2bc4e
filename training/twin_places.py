"""Where beside a real nodule a simulated one may be put, so that both have the same surroundings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleCADLib.simulation import Location
from LungNoduleCADLib.simulation.receiving import walls

from .boxes import NoduleBox
from .receiving import to_hu

_GAP_MM, _FARTHEST_MM, _SLICES_OFF, _SAME_DEPTH_MM = 2, 18, 1, 1.5
_VESSEL_LEVEL, _VESSEL_SHARE = 90, 0.04
"""Window level (-505 HU) of vessels, and how much of a nodule's surroundings a vessel takes up."""
_WHOLE_BOX = 40
"""Slices from which on a box is a cube, in which a twin may lie in other slices too."""
_LUNG_HU = -860.0


def place_like(box: NoduleBox, center: NDArray[np.int64], diameter: float) -> tuple[Location, NDArray[np.bool_]]:
    """What the real nodule lies against, and where in its box it is as far to the next wall: places differ from nodule
    to nodule, and it is the nodules that are to be compared."""
    hu = to_hu(box.image)
    hu[ndimage.binary_dilation(box.mask)] = _LUNG_HU
    wall = walls(hu)
    if not wall.any():
        return ("juxtavascular" if _on_vessel(box) else "isolated"), ~wall
    depth = ndimage.distance_transform_edt(~wall)
    own = depth[tuple(center)]
    allowed: NDArray[np.bool_] = np.abs(depth - own) <= _SAME_DEPTH_MM if own < _FARTHEST_MM / 2 else depth > own / 2
    if own < diameter / 2 + 1:
        return "juxtapleural", allowed & ~wall
    return ("juxtavascular" if _on_vessel(box) else "isolated"), allowed & ~wall


def _on_vessel(box: NoduleBox) -> bool:
    """Whether something dense and thin leaves the nodule."""
    near = ndimage.binary_dilation(box.mask, iterations=3) & ~ndimage.binary_dilation(box.mask)
    return bool((box.image[near] > _VESSEL_LEVEL).mean() > _VESSEL_SHARE)


def room_beside(box: NoduleBox, center: NDArray[np.int64], diameter: float) -> NDArray[np.bool_]:
    """Where beside the real nodule the middle of a simulated one may lie."""
    margin = int(np.ceil(diameter / 2)) + _GAP_MM
    allowed: NDArray[np.bool_] = np.zeros(box.mask.shape, dtype=bool)
    allowed[:, margin:-margin, margin:-margin] = True
    if len(allowed) < _WHOLE_BOX:
        allowed[: max(center[0] - _SLICES_OFF, 0)] = allowed[center[0] + _SLICES_OFF + 1 :] = False
    else:
        allowed[:margin] = allowed[-margin:] = False
    allowed &= ndimage.distance_transform_edt(~box.mask) > diameter / 2 + _GAP_MM
    axes = np.ogrid[tuple(slice(0, n) for n in allowed.shape)]
    near: NDArray[np.bool_] = sum((a - c) ** 2 for a, c in zip(axes, center, strict=True)) < _FARTHEST_MM**2
    return allowed & near
