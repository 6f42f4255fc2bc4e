"""The outline of a simulated nodule: a star-shaped surface whose enclosed volume is known exactly, and its spicules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

NoduleShape = Literal["sphere", "ellipsoid", "lobulated", "spiculated", "irregular"]
NODULE_SHAPES: tuple[NoduleShape, ...] = get_args(NoduleShape)

_QUADRATURE_POINTS = 2000
_BUMPS: dict[NoduleShape, tuple[tuple[int, int], tuple[float, float], tuple[float, float]]] = {
    "sphere": ((0, 0), (0.0, 0.0), (1.0, 1.0)),
    "ellipsoid": ((0, 0), (0.0, 0.0), (1.0, 1.0)),
    "lobulated": ((4, 8), (0.25, 0.6), (5.0, 14.0)),
    "spiculated": ((4, 8), (0.2, 0.5), (4.0, 12.0)),
    "irregular": ((10, 18), (0.25, 0.6), (6.0, 25.0)),
}
"""Of each shape: number of bumps, their heights a_n and their narrowness kappa_n (ranges)."""
_SPICULE_BASE_RADIUS_MM = (0.5, 0.9)
_SPICULE_LENGTH_IN_RADII = (0.5, 1.2)
_SPICULE_LENGTH_MM = (2.0, 9.0)


@dataclass(frozen=True, eq=False)
class NoduleSurface:
    """r(u): distance from the nodule's centre to its surface in every direction u, all vectors in (k, j, i) order.

    An ellipsoid times bumps, r(u) = scale * ellipsoid(u) * exp(sum of a_n exp(kappa_n (u . c_n - 1))): the surface is
    smooth, closed and never crosses itself.

    :param rotation: (3, 3), columns are the ellipsoid's axes.
    :param semi_axes_mm: (3,) before the bumps and the scale.
    :param bump_directions: (n, 3) unit vectors c_n; empty for a plain ellipsoid.
    :param bump_heights: (n,) a_n; positive is a lobe, negative a notch.
    :param bump_widths: (n,) kappa_n; larger is narrower.
    :param scale: makes the enclosed volume that of a sphere of the wanted diameter.
    :param spicule_directions: (m, 3) unit vectors.
    :param spicule_lengths_mm: (m,) beyond the surface.
    :param spicule_radii_mm: (m,) at the surface; half of that at the tip.
    :param spicule_bends: (m, 3) sideways shift at the tip as a fraction of the spicule's length, at right angles to it.
    """

    rotation: NDArray[np.float64]
    semi_axes_mm: NDArray[np.float64]
    bump_directions: NDArray[np.float64]
    bump_heights: NDArray[np.float64]
    bump_widths: NDArray[np.float64]
    scale: float
    spicule_directions: NDArray[np.float64]
    spicule_lengths_mm: NDArray[np.float64]
    spicule_radii_mm: NDArray[np.float64]
    spicule_bends: NDArray[np.float64]

    def radius_mm(self, directions: NDArray[np.floating]) -> NDArray[np.floating]:
        """Distance from the centre to the surface along unit vectors (..., 3), mm."""
        along_axes = directions @ (self.rotation / self.semi_axes_mm).astype(directions.dtype)
        radius = self.scale / np.sqrt(np.einsum("...a,...a->...", along_axes, along_axes))
        if len(self.bump_heights):
            cosines = directions @ self.bump_directions.T.astype(directions.dtype)
            bumps = np.exp((cosines - 1) * self.bump_widths.astype(directions.dtype))
            radius = radius * np.exp(bumps @ self.bump_heights.astype(directions.dtype))
        return radius.astype(directions.dtype, copy=False)

    @property
    def volume_mm3(self) -> float:
        """Volume inside the surface, without spicules, mm3: one third of the integral of r cubed over the sphere."""
        return float(4 * np.pi / 3 * np.mean(self.radius_mm(_even_directions(_QUADRATURE_POINTS)) ** 3))

    @property
    def body_reach_mm(self) -> float:
        """Radius of the ball that holds the surface without spicules, mm."""
        return float(self.radius_mm(_even_directions(_QUADRATURE_POINTS)).max())

    @property
    def reach_mm(self) -> float:
        """Radius of the ball that holds the surface and the spicules, mm."""
        body = self.body_reach_mm
        if not len(self.spicule_lengths_mm):
            return body
        tips = self.radius_mm(self.spicule_directions) + self.spicule_lengths_mm * 1.2 + self.spicule_radii_mm
        return max(body, float(tips.max()))

    def depth_mm(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far inside the surface points lie (negative outside), along the ray to the centre.

        :param offsets_mm: points relative to the centre, (..., 3), mm.
        """
        distance = np.linalg.norm(offsets_mm, axis=-1)
        directions = offsets_mm / np.maximum(distance, np.float32(1e-6))[..., None]
        directions[distance == 0] = (1, 0, 0)  # the centre itself has no direction; any will do
        return self.radius_mm(directions) - distance

    def spicule_depth_mm(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far inside the nearest spicule points lie; negative outside, -inf where the nodule has none."""
        depth = np.full(offsets_mm.shape[:-1], -np.inf, dtype=np.float32)
        starts = self.radius_mm(self.spicule_directions)
        lengths, radii, bends = self.spicule_lengths_mm, self.spicule_radii_mm, self.spicule_bends
        for direction, start, length, radius, bend in zip(
            self.spicule_directions, starts, lengths, radii, bends, strict=True
        ):
            along_everywhere = offsets_mm @ direction.astype(np.float32)
            # Only the cap beyond the spicule's root can hold it; most of the box need not be looked at.
            cap = (along_everywhere > 0.8 * start) & (along_everywhere < start + length + 2)
            along, points = along_everywhere[cap], offsets_mm[cap]
            fraction = np.clip((along - start) / length, 0, 1)
            sideways = points - along[:, None] * direction.astype(np.float32)
            sideways -= (fraction**2 * length)[:, None] * bend.astype(np.float32)
            inside = radius * (1 - 0.5 * fraction) - np.linalg.norm(sideways, axis=1)
            depth[cap] = np.maximum(depth[cap], np.minimum(inside, start + length - along))
        return depth


def draw_surface(
    shape: NoduleShape, diameter_mm: float, rng: np.random.Generator, elongation: float | None = None
) -> NoduleSurface:
    """Draw a surface of a shape class, with the volume of the sphere of `diameter_mm` (quadrature error 0.1 %).

    Lobulation adds a few broad bumps, irregularity many bumps and notches, spiculation thin strands that leave the
    surface radially, after LIDC's characteristics margin, lobulation and spiculation (Armato et al. 2011). The strands
    are not part of the measured volume, as they are not of a reader's diameter.

    :param elongation: longest over shortest axis; None draws it (1 for a sphere, up to 1.6 otherwise).
    """
    if shape not in NODULE_SHAPES:
        raise InputError(f"The nodule shape '{shape}' is unknown; choose one of {', '.join(NODULE_SHAPES)}.")
    radius = diameter_mm / 2
    if elongation is None:
        elongation = 1.0 if shape == "sphere" else float(rng.uniform(1.05, 1.6))
    axes = np.array([1.0, elongation ** rng.uniform(0.2, 0.8), elongation]) if elongation > 1 else np.ones(3)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]

    count, height, width = _BUMPS[shape]
    bumps = int(rng.integers(*count, endpoint=True))
    heights, widths = rng.uniform(*height, bumps), rng.uniform(*width, bumps)
    if shape == "irregular":
        heights *= rng.choice([-0.7, 1.0], bumps)
    spicules = int(rng.integers(14, 36)) if shape == "spiculated" else 0
    lengths = np.clip(radius * rng.uniform(*_SPICULE_LENGTH_IN_RADII, spicules), *_SPICULE_LENGTH_MM)
    directions = _unit(rng.standard_normal((spicules, 3)))
    bends = rng.normal(0, 0.2, (spicules, 3))
    bends -= np.sum(bends * directions, axis=1, keepdims=True) * directions

    unscaled = NoduleSurface(
        rotation=rotation,
        semi_axes_mm=axes * radius,
        bump_directions=_unit(rng.standard_normal((bumps, 3))),
        bump_heights=heights,
        bump_widths=widths,
        scale=1.0,
        spicule_directions=directions,
        spicule_lengths_mm=lengths,
        spicule_radii_mm=rng.uniform(*_SPICULE_BASE_RADIUS_MM, spicules),
        spicule_bends=bends,
    )
    scale = (np.pi / 6 * diameter_mm**3 / unscaled.volume_mm3) ** (1 / 3)
    return NoduleSurface(**{**unscaled.__dict__, "scale": float(scale)})


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _even_directions(count: int) -> NDArray[np.float64]:
    """Directions spread evenly over the sphere (golden-angle spiral), (count, 3)."""
    index = np.arange(count) + 0.5
    polar, azimuth = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    ring = np.sqrt(1 - polar**2)
    return np.stack([polar, ring * np.sin(azimuth), ring * np.cos(azimuth)], axis=-1)
