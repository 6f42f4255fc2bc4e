"""A nodule with nothing left to chance: where it is, how dense, at any point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .interior import CAVITY_HU, SOFT_TISSUE_HU, SmoothNoise, calcium_share, cavity_share
from .nodule_shape import NoduleSurface
from .nodule_spec import NoduleSpec
from .outline import OutlineSurface
from .strands import VESSEL_HU, Strands

BROAD_OF_DIAMETER, FINE_MM, UNEVENNESS_MM, _HAZE_MM = 0.12, 0.8, 2.2, 1.8
"""Over what distances a surface is rough (broadly, by its diameter, and finely) and a body uneven, and how far its
haze reaches."""
_BROAD_SHARE, _FINE_SHARE = 0.8, 0.6
_HAZE_REACHES = 2.5
_LEAST_HU = -820.0
"""Uneven tissue is nowhere as empty as the lung: it would be taken for a cavity, and darken the vessels in it."""


@dataclass(frozen=True, eq=False)
class NoduleModel:
    """A nodule with nothing left to chance but its fine texture: the deterministic twin of a `NoduleSpec`.

    :param fine: tags and spicules.
    :param roughness: of the surface, broad and fine; :param unevenness: of the density. None where the spec wants none.
    """

    spec: NoduleSpec
    surface: NoduleSurface | OutlineSurface
    core: NoduleSurface | None
    core_offset_mm: NDArray[np.float64]
    core_hu: float
    vessels: Strands
    fine: Strands
    roughness: tuple[SmoothNoise, SmoothNoise] | None
    unevenness: SmoothNoise | None

    @property
    def reach_mm(self) -> float:
        """Radius of the ball that holds the nodule and all that leaves it, mm."""
        return max(self._body_reach_mm, self.vessels.reach_mm, self.fine.reach_mm)

    @cached_property
    def _body_reach_mm(self) -> float:
        haze = _HAZE_REACHES * _HAZE_MM if self.spec.haze else 0.0
        return self.surface.reach_mm + 3 * self.spec.roughness_mm + haze

    def depth_mm(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far inside the body points (..., 3) relative to the centre lie, mm; spicules do not count."""
        depth = self.surface.depth_mm(offsets_mm)
        if self.roughness is not None:
            broad, fine = (noise(offsets_mm) for noise in self.roughness)
            depth += np.float32(self.spec.roughness_mm) * (_BROAD_SHARE * broad + _FINE_SHARE * fine)
        return depth

    def occupancy(self, offsets_mm: NDArray[np.float32], width_mm: float = 1.0) -> NDArray[np.float32]:
        """Share of the nodule's tissue, 0 to 1, at points (..., 3) relative to the centre, with all that leaves it.

        :param width_mm: of a voxel; strands are drawn no thinner.
        """
        assert self.spec.edge_mm is not None
        if self.reach_mm > self._body_reach_mm:
            # Strands reach much farther than the body, which need not be looked for there.
            alpha = np.zeros(offsets_mm.shape[:-1], dtype=np.float32)
            near = np.linalg.norm(offsets_mm, axis=-1) < self._body_reach_mm + self.spec.edge_mm
            alpha[near] = self._body_share(offsets_mm[near])
        else:
            alpha = self._body_share(offsets_mm)
        for strands in (self.vessels, self.fine):
            if len(strands):
                np.maximum(alpha, strands.occupancy(offsets_mm, width_mm), out=alpha)
        return alpha

    def _body_share(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same without strands."""
        assert self.spec.edge_mm is not None
        depth = self.depth_mm(offsets_mm)
        alpha = _ramp(depth, self.spec.edge_mm)
        if len(self.surface.spicule_lengths_mm):
            np.maximum(alpha, _ramp(self.surface.spicule_depth_mm(offsets_mm), 1.0), out=alpha)
        if self.spec.haze:
            haze = self.spec.haze * np.exp(np.minimum(depth, 0) / np.float32(_HAZE_MM))
            if self.roughness is not None:
                # Where a nodule grows outwards it has more of it.
                haze *= np.clip(0.8 + 0.8 * self.roughness[0](offsets_mm), 0, 1 / self.spec.haze)
            np.maximum(alpha, haze, out=alpha)
        return alpha

    def density_hu(self, offsets_mm: NDArray[np.float32], width_mm: float = 1.0) -> NDArray[np.float32]:
        """Density without fine texture, HU, at points (..., 3) relative to the centre."""
        spec = self.spec
        assert spec.hu is not None
        hu = np.full(offsets_mm.shape[:-1], spec.hu, dtype=np.float32)
        if self.unevenness is not None and spec.density == "calcified":
            calcium = calcium_share(spec, self.depth_mm(offsets_mm), offsets_mm, self.unevenness)
            hu = SOFT_TISSUE_HU + calcium * np.float32(spec.hu - SOFT_TISSUE_HU)
        if self.core is not None:
            share = _ramp(self.core.depth_mm(offsets_mm - self.core_offset_mm.astype(np.float32)), 1.2)
            hu += share * np.float32(self.core_hu - spec.hu)
        if self.unevenness is not None:
            hu += np.float32(spec.heterogeneity_hu) * self.unevenness(offsets_mm)
            np.maximum(hu, _LEAST_HU, out=hu)
            if spec.cavity_fraction:
                hu += cavity_share(spec, offsets_mm, self.unevenness, self.core_offset_mm) * (CAVITY_HU - hu)
        if len(self.vessels):
            hu += self.vessels.occupancy(offsets_mm, width_mm) * np.maximum(VESSEL_HU - hu, 0)
        return hu


def _ramp(depth_mm: NDArray[np.float32], width_mm: float) -> NDArray[np.float32]:
    """0 outside, 1 inside, a smooth step of the given width centred on the surface."""
    t = np.clip(depth_mm / np.float32(width_mm) + np.float32(0.5), 0, 1)
    return t * t * (3 - 2 * t)
