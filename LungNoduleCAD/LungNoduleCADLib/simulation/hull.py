"""The pleural hull: the rounded inner surface of the thoracic cage, on which lungs, ribs and muscles are laid out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .fields import Field, Points, superellipse, table

HULL_POWER = 2.35
"""Exponent of the superelliptic cross-section; 2 would be an ellipse, a thorax is squarer."""

HULL_Z = (-60, 0, 60, 120, 170, 205, 235, 252, 264, 300)
_HALF_WIDTH = (116, 120, 122, 118, 108, 96, 80, 66, 52, 46)
_HALF_DEPTH = (82, 86, 90, 85, 74, 61, 47, 38, 30, 28)
_CENTRE_Y = (0, 0, 0, 3, 9, 15, 21, 24, 27, 30)


def hull_axes(z: NDArray[np.floating]) -> tuple[Field, Field, Field]:
    """Half width, half depth and centre y of the pleural hull's cross-section at heights z, mm."""
    return table(z, HULL_Z, _HALF_WIDTH), table(z, HULL_Z, _HALF_DEPTH), table(z, HULL_Z, _CENTRE_Y)


def pleural_hull(p: Points) -> Field:
    """The thoracic cage's inner surface, both sides in one; continues below the lungs as the abdominal wall."""
    half_width, half_depth, centre_y = hull_axes(p.z)
    return superellipse(p, half_width, half_depth, p.y - centre_y, HULL_POWER)
