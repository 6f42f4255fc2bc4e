"""Simulated nodules: how a `NoduleSpec` is rendered, for the phantom and for real backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..findings import DensityType
from .interior import CAVITY_HU, SOFT_TISSUE_HU, SmoothNoise, calcium_share, cavity_share
from .nodule_shape import NoduleSurface, draw_surface
from .nodule_spec import NoduleSpec
from .outline import OutlineSurface, turned
from .strands import VESSEL_HU, Strands, draw_strands

HU_RANGES: dict[DensityType, tuple[float, float]] = {
    "solid": (-50.0, 150.0),
    "part-solid": (-700.0, -450.0),
    "ground-glass": (-750.0, -450.0),
    "calcified": (200.0, 800.0),
    "fat": (-110.0, -50.0),
}
"""Mean density of the body, HU. Solid: unenhanced to contrast-enhanced soft tissue. Ground-glass, and the halo of a
part-solid nodule: the range that series of subsolid nodules report (de Hoop et al. 2010). Calcified: above 200 HU
(Swensen et al. 2000). Fat: hamartoma (Siegelman et al. 1986)."""

_CORE_HU_RANGE = (-100.0, 80.0)
_CORE_FRACTION_RANGE = (0.3, 0.7)
_EDGE_RANGES_MM: dict[DensityType, tuple[float, float]] = {
    "solid": (1.0, 2.0),
    "part-solid": (1.5, 3.0),
    "ground-glass": (1.5, 3.5),
    "calcified": (0.8, 1.5),
    "fat": (1.0, 1.5),
}
_TEXTURE_SD_HU: dict[DensityType, float] = {
    "solid": 15.0, "part-solid": 35.0, "ground-glass": 30.0, "calcified": 60.0, "fat": 20.0,
}  # fmt: skip
_TEXTURE_CORRELATION_MM = 1.2


_ROUGHNESS_MM, _UNEVENNESS_MM, _HAZE_MM = 1.0, 2.2, 1.8
"""Over what distances a surface is rough and a body uneven, and how far its haze reaches."""


@dataclass(frozen=True, eq=False)
class NoduleModel:
    """A nodule with nothing left to chance but its fine texture: the deterministic twin of a `NoduleSpec`.

    :param fine: tags and spicules.
    :param roughness: of the surface; :param unevenness: of the density. None where the spec wants none.
    """

    spec: NoduleSpec
    surface: NoduleSurface | OutlineSurface
    core: NoduleSurface | None
    core_offset_mm: NDArray[np.float64]
    core_hu: float
    vessels: Strands
    fine: Strands
    roughness: SmoothNoise | None
    unevenness: SmoothNoise | None

    @property
    def reach_mm(self) -> float:
        """Radius of the ball that holds the nodule and all that leaves it, mm."""
        haze = 2 * _HAZE_MM if self.spec.haze else 0.0
        body = self.surface.reach_mm + 3 * self.spec.roughness_mm + haze
        return max(body, self.vessels.reach_mm, self.fine.reach_mm)

    def depth_mm(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far inside the body points (..., 3) relative to the centre lie, mm; spicules do not count."""
        depth = self.surface.depth_mm(offsets_mm)
        if self.roughness is not None:
            depth += np.float32(self.spec.roughness_mm) * self.roughness(offsets_mm)
        return depth

    def occupancy(self, offsets_mm: NDArray[np.float32], width_mm: float = 1.0) -> NDArray[np.float32]:
        """Share of the nodule's tissue, 0 to 1, at points (..., 3) relative to the centre, with all that leaves it.

        :param width_mm: of a voxel; strands are drawn no thinner.
        """
        assert self.spec.edge_mm is not None
        depth = self.depth_mm(offsets_mm)
        alpha = _ramp(depth, self.spec.edge_mm)
        if len(self.surface.spicule_lengths_mm):
            np.maximum(alpha, _ramp(self.surface.spicule_depth_mm(offsets_mm), 1.0), out=alpha)
        if self.spec.haze:
            np.maximum(alpha, self.spec.haze * np.exp(np.minimum(depth, 0) / np.float32(_HAZE_MM)), out=alpha)
        for strands in (self.vessels, self.fine):
            if len(strands):
                np.maximum(alpha, strands.occupancy(offsets_mm, width_mm), out=alpha)
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
            if spec.cavity_fraction:
                hu += cavity_share(spec, offsets_mm, self.unevenness, self.core_offset_mm) * (CAVITY_HU - hu)
        if len(self.vessels):
            hu += self.vessels.occupancy(offsets_mm, width_mm) * np.maximum(VESSEL_HU - hu, 0)
        return hu


def draw_nodule(spec: NoduleSpec, rng: np.random.Generator) -> NoduleModel:
    """Fill every None of a spec and draw the surface; the same spec and generator state give the same nodule."""
    edge = spec.edge_mm
    if edge is None:
        # A small nodule with a wide edge would have no plateau at all, and no density that could be called its own.
        edge = min(float(rng.uniform(*_EDGE_RANGES_MM[spec.density])), 0.4 * spec.diameter_mm)
    hu = float(rng.uniform(*HU_RANGES[spec.density])) if spec.hu is None else spec.hu
    surface: NoduleSurface | OutlineSurface
    if spec.outline is None:
        surface = draw_surface(spec.shape, spec.diameter_mm, rng, spec.elongation)
    else:
        surface = turned(spec.outline, spec.diameter_mm, rng)
    core, offset, fraction = None, np.zeros(3), spec.core_fraction
    if spec.density == "part-solid":
        if fraction is None:
            fraction = float(rng.uniform(*_CORE_FRACTION_RANGE))
        core = draw_surface("irregular" if spec.shape == "irregular" else "lobulated", fraction * spec.diameter_mm, rng)
        direction = rng.standard_normal(3)
        offset = direction / np.linalg.norm(direction) * rng.uniform(0, 0.35) * (1 - fraction) * spec.diameter_mm
    core_hu = float(rng.uniform(*_CORE_HU_RANGE))
    filled = replace(spec, edge_mm=edge, hu=hu, core_fraction=fraction)
    vessels, fine = draw_strands(spec, rng)
    reach = surface.reach_mm + 2
    rough = SmoothNoise.drawn(rng, reach, _ROUGHNESS_MM) if spec.roughness_mm else None
    inside = spec.heterogeneity_hu or spec.cavity_fraction or spec.calcification != "diffuse"
    uneven = SmoothNoise.drawn(rng, reach, _UNEVENNESS_MM) if inside else None
    return NoduleModel(filled, surface, core, offset, core_hu, vessels, fine, rough, uneven)


def render_nodule(
    spec: NoduleSpec | NoduleModel,
    rng: np.random.Generator,
    spacing_mm: float | Sequence[float] = 1.0,
    offset_kji_mm: Sequence[float] = (0.0, 0.0, 0.0),
    supersampling: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Render a nodule at the centre of an odd-sized box just large enough for it and all that leaves it.

    `alpha * hu + (1 - alpha) * background` puts it into a background, before that is blurred or given noise.

    :param spacing_mm: grid spacing, one number or (k, j, i), mm.
    :param offset_kji_mm: where the nodule's centre lies from the middle voxel's centre, mm.
    :param supersampling: points along each axis of a voxel that its values are the means of.
    :return: alpha (k, j, i) float32, share of the voxel that is nodule, 0 to 1; hu (k, j, i) float32, its density with
        texture. `alpha >= 0.5` is the nodule's mask but for spicules.
    """
    model = spec if isinstance(spec, NoduleModel) else draw_nodule(spec, rng)
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
    offsets = box_offsets_mm(model, spacing, offset_kji_mm)
    texture = rng.standard_normal(offsets.shape[:-1], dtype=np.float32)
    texture = gaussian_filter(texture, _TEXTURE_CORRELATION_MM / spacing)
    texture *= _TEXTURE_SD_HU[model.spec.density] / max(float(texture.std()), 1e-6)
    width = float(spacing.max()) / supersampling
    total, weighted = np.zeros_like(texture), np.zeros_like(texture)
    steps = (np.arange(supersampling) + 0.5) / supersampling - 0.5
    for shift in np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3) * spacing:
        points = offsets + shift.astype(np.float32)
        alpha = model.occupancy(points, width)
        total += alpha
        # Where there is no nodule its density counts for nothing, but must not be undefined.
        weighted += np.maximum(alpha, np.float32(1e-6)) * model.density_hu(points, width)
    count = np.float32(supersampling**3)
    hu = (
        weighted / np.maximum(total, count * np.float32(1e-6))
        if supersampling > 1
        else model.density_hu(offsets, width)
    )
    return total / count, hu + texture


def box_offsets_mm(
    model: NoduleModel, spacing_kji_mm: NDArray[np.float64], offset_kji_mm: Sequence[float] = (0.0, 0.0, 0.0)
) -> NDArray[np.float32]:
    """Voxel centres of the nodule's box relative to the nodule's centre, (k, j, i, 3), mm."""
    assert model.spec.edge_mm is not None
    reach = model.reach_mm + model.spec.edge_mm + np.abs(np.asarray(offset_kji_mm, dtype=np.float64))
    half = np.ceil(reach / spacing_kji_mm).astype(int)
    axes = [np.arange(-n, n + 1) * s - o for n, s, o in zip(half, spacing_kji_mm, offset_kji_mm, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)


def insert_nodule(
    volume_hu: NDArray[np.floating],
    center_index_kji: Sequence[int],
    alpha: NDArray[np.float32],
    hu: NDArray[np.float32],
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Put a rendered nodule into a floating-point CT array, in place; what reaches beyond the array is cut off.

    A nodule denser than its surroundings never lowers them: a vessel or wall under a ground-glass nodule shows through.

    :param volume_hu: (k, j, i), changed in place.
    :param center_index_kji: voxel that the box's middle voxel falls on.
    :param allowed: where tissue may be replaced (the lung), same shape as `volume_hu`; None allows all.
    :return: bool (k, j, i) array of `volume_hu`'s shape: where the nodule fills at least half a voxel.
    """
    inside = np.zeros(volume_hu.shape, dtype=bool)
    target, source = [], []
    for center, size, length in zip(center_index_kji, alpha.shape, volume_hu.shape, strict=True):
        start = int(center) - size // 2
        low, high = max(start, 0), min(start + size, length)
        if high <= low:
            return inside
        target.append(slice(low, high))
        source.append(slice(low - start, high - start))
    box, cut = tuple(target), tuple(source)
    share = alpha[cut] if allowed is None else alpha[cut] * allowed[box]
    background = volume_hu[box]
    volume_hu[box] = background + share * np.maximum(hu[cut] - background, 0)
    inside[box] = share >= 0.5
    return inside


def _ramp(depth_mm: NDArray[np.float32], width_mm: float) -> NDArray[np.float32]:
    """0 outside, 1 inside, a smooth step of the given width centred on the surface."""
    t = np.clip(depth_mm / np.float32(width_mm) + np.float32(0.5), 0, 1)
    return t * t * (3 - 2 * t)
