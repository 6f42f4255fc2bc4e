"""How a map's values are coloured, the same in pictures and in Slicer's views."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

HEAT_OPACITY = 0.5
"""The nodule stays visible beneath."""
LEAST_VISIBLE = 0.2
"""Share of a map's greatest value below which it is not shown: what hardly matters must not cover the scan."""


def visible_from(greatest: float) -> float:
    """The least value that is shown of a map."""
    return LEAST_VISIBLE * greatest


def heat_colors(shares: ArrayLike) -> NDArray[np.float64]:
    """RGB in 0-1 (..., 3) for shares (...) of a map's greatest value: red to yellow, as Slicer's colour table Iron."""
    green = np.clip(np.asarray(shares, dtype=np.float64), 0.0, 1.0)
    return np.stack((np.ones_like(green), green, np.zeros_like(green)), axis=-1)
