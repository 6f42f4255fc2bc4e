"""What leaves a nodule: feeding vessels, pleural tags and spicules, as thin bent cones from its centre outwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .nodule_spec import NoduleSpec

_VESSEL_RADIUS_MM, _VESSEL_LENGTH_MM = (0.6, 1.3), (5.0, 14.0)
"""Subsegmental vessels and smaller; their length is that beyond the body."""
_TAG_RADIUS_MM, _TAG_LENGTH_MM = (0.25, 0.5), (4.0, 12.0)
_SPICULE_RADIUS_MM, _SPICULE_LENGTH_IN_RADII = (0.35, 0.9), (0.3, 1.1)
VESSEL_HU = 30.0


@dataclass(frozen=True, eq=False)
class Strands:
    """Bent cones that leave a nodule's centre; all vectors in (k, j, i) order.

    :param directions: (n, 3) unit vectors.
    :param roots_mm: (n,) distance from the centre at which they leave the body.
    :param lengths_mm: (n,) beyond their roots.
    :param radii_mm: (n,) at the root; they thin out to `taper` of it at the tip.
    :param bends: (n, 3) sideways shift at the tip over the length, at right angles to the direction.
    """

    directions: NDArray[np.float64]
    roots_mm: NDArray[np.float64]
    lengths_mm: NDArray[np.float64]
    radii_mm: NDArray[np.float64]
    bends: NDArray[np.float64]
    taper: float = 0.3

    def __len__(self) -> int:
        return len(self.radii_mm)

    @property
    def reach_mm(self) -> float:
        """Radius of the ball that holds them all, mm; 0 where there is none."""
        reach = (self.roots_mm + self.lengths_mm) * np.sqrt(1 + np.sum(self.bends**2, axis=1)) + self.radii_mm
        return float(reach.max()) if len(self) else 0.0

    def occupancy(self, offsets_mm: NDArray[np.float32], width_mm: float) -> NDArray[np.float32]:
        """Share of a voxel of that width that is strand, at points (..., 3) relative to the centre; a strand thinner
        than that keeps its cross-section's contrast, and every one fades towards its tip."""
        share = np.zeros(offsets_mm.shape[:-1], dtype=np.float32)
        for direction, root, length, thick, bend in zip(
            self.directions, self.roots_mm, self.lengths_mm, self.radii_mm, self.bends, strict=True
        ):
            along_everywhere = offsets_mm @ direction.astype(np.float32)
            near = (along_everywhere > 0.3 * root) & (along_everywhere < root + length)
            along, points = along_everywhere[near], offsets_mm[near]
            way = np.clip((along - root) / length, 0, 1)
            sideways = points - along[:, None] * direction.astype(np.float32)
            sideways -= (way**2 * length)[:, None] * bend.astype(np.float32)
            radius = thick * (1 - (1 - self.taper) * way)
            drawn = np.maximum(radius, width_mm / 2)
            inside = np.clip((drawn - np.linalg.norm(sideways, axis=1)) / width_mm + 0.5, 0, 1)
            fading = np.clip((1 - way) / 0.35, 0, 1)
            share[near] = np.maximum(share[near], inside * (radius / drawn) ** 2 * fading)
        return share


def draw_strands(spec: NoduleSpec, rng: np.random.Generator) -> tuple[Strands, Strands]:
    """Feeding vessels; and tags and spicules together."""
    radius = spec.diameter_mm / 2
    vessels = _draw(spec.vessels, radius, _VESSEL_LENGTH_MM, _VESSEL_RADIUS_MM, rng, opposite=True)
    tags = _draw(spec.tags, radius, _TAG_LENGTH_MM, _TAG_RADIUS_MM, rng)
    lengths = (_SPICULE_LENGTH_IN_RADII[0] * radius, _SPICULE_LENGTH_IN_RADII[1] * radius)
    spicules = _draw(spec.spicules, radius, lengths, _SPICULE_RADIUS_MM, rng)
    fine = Strands(
        np.concatenate([tags.directions, spicules.directions]),
        np.concatenate([tags.roots_mm, spicules.roots_mm]),
        np.concatenate([tags.lengths_mm, spicules.lengths_mm]),
        np.concatenate([tags.radii_mm, spicules.radii_mm]),
        np.concatenate([tags.bends, spicules.bends]),
    )
    return vessels, fine


def _draw(
    count: int,
    root_mm: float,
    lengths_mm: tuple[float, float],
    radii_mm: tuple[float, float],
    rng: np.random.Generator,
    *,
    opposite: bool = False,
) -> Strands:
    """:param opposite: whether the second strand goes on where the first came from, as a vessel runs past a nodule."""
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    if opposite and count > 1:
        directions[1] = -directions[0] + rng.normal(0, 0.35, 3)
        directions[1] /= np.linalg.norm(directions[1])
    bends = rng.normal(0, 0.25, (count, 3))
    bends -= np.sum(bends * directions, axis=1, keepdims=True) * directions
    # A vessel is thinner than the nodule that hangs on it.
    radii = np.minimum(rng.uniform(*radii_mm, count), 0.35 * root_mm)
    return Strands(directions, np.full(count, root_mm), rng.uniform(*lengths_mm, count), radii, bends)
