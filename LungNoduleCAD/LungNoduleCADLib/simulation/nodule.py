"""Simulated nodules: how a `NoduleSpec` is rendered, for the phantom and for real backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..findings import DensityType
from .interior import SmoothNoise
from .nodule_model import BROAD_OF_DIAMETER, FINE_MM, UNEVENNESS_MM, NoduleModel
from .nodule_shape import NoduleSurface, draw_surface
from .nodule_spec import NoduleSpec
from .outline import OutlineSurface, turned
from .strands import draw_strands

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
    rough = None
    if spec.roughness_mm:
        broad = SmoothNoise.drawn(rng, reach, max(BROAD_OF_DIAMETER * spec.diameter_mm, FINE_MM))
        rough = broad, SmoothNoise.drawn(rng, reach, FINE_MM)
    inside = spec.heterogeneity_hu or spec.cavity_fraction or spec.calcification != "diffuse"
    uneven = SmoothNoise.drawn(rng, reach, UNEVENNESS_MM) if inside else None
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
    # An uneven body has its own texture; two would be more than real ones have.
    deviation = _TEXTURE_SD_HU[model.spec.density] if model.unevenness is None else 0.0
    texture *= deviation / max(float(texture.std()), 1e-6)
    width = float(spacing.max()) / supersampling
    total, weighted = np.zeros_like(texture), np.zeros_like(texture)
    steps = (np.arange(supersampling) + 0.5) / supersampling - 0.5
    for shift in np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3) * spacing:
        points = offsets + shift.astype(np.float32)
        alpha = model.occupancy(points, width)
        total += alpha
        if supersampling > 1:
            filled = alpha > 0
            weighted[filled] += alpha[filled] * model.density_hu(points[filled], width)
    if supersampling == 1:
        return total, model.density_hu(offsets, width) + texture
    # Where there is no nodule its density counts for nothing, but must not be undefined.
    assert model.spec.hu is not None
    hu = np.where(total > 0, weighted / np.maximum(total, np.float32(1e-12)), np.float32(model.spec.hu))
    return total / np.float32(supersampling**3), hu + texture


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
