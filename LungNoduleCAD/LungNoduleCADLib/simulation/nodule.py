"""Simulated nodules: what is wanted (`NoduleSpec`) and how it is rendered, for the phantom and for real backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..errors import InputError
from ..findings import DensityType
from .nodule_shape import NODULE_SHAPES, NoduleShape, NoduleSurface, draw_surface

Location = Literal["isolated", "juxtapleural", "juxtavascular"]
LOCATIONS: tuple[Location, ...] = get_args(Location)
DENSITIES: tuple[DensityType, ...] = get_args(DensityType)

DIAMETER_RANGE_MM = (3.0, 30.0)
"""LIDC contours nodules from 3 mm (Armato et al. 2011); above 30 mm they are masses (Fleischner glossary)."""

_MEDIAN_DIAMETER_MM = 6.4
_LOG_SD_BELOW, _LOG_SD_ABOVE = 0.27, 0.66

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


@dataclass(frozen=True)
class NoduleSpec:
    """A wanted nodule. What is left None is drawn from the distributions of this module by the caller's generator.

    :param diameter_mm: diameter of the sphere of the same volume, without spicules, mm.
    :param hu: mean density of the body, HU (of the ground-glass part of a part-solid nodule).
    :param core_fraction: diameter of the solid core of a part-solid nodule over the whole's.
    :param edge_mm: width over which the edge goes from outside to inside, mm.
    :param elongation: longest over shortest axis.
    :param center_lps: a fixed place in the phantom; None lets the phantom choose one that honours `location`.
    :raises InputError: when a value is outside what can be simulated.
    """

    diameter_mm: float
    density: DensityType = "solid"
    location: Location = "isolated"
    shape: NoduleShape = "ellipsoid"
    hu: float | None = None
    core_fraction: float | None = None
    edge_mm: float | None = None
    elongation: float | None = None
    center_lps: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if not 1.0 <= self.diameter_mm <= 60.0:
            raise InputError(f"The nodule diameter {self.diameter_mm} mm cannot be simulated; choose 1 to 60 mm.")
        choices = {"density": DENSITIES, "location": LOCATIONS, "shape": NODULE_SHAPES}
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"The nodule {name} '{value}' is unknown; choose one of {', '.join(allowed)}.")
        if self.core_fraction is not None and not 0 < self.core_fraction < 1:
            raise InputError(f"The solid core's share {self.core_fraction} of the diameter must lie between 0 and 1.")
        if self.edge_mm is not None and self.edge_mm <= 0:
            raise InputError(f"The nodule's edge width {self.edge_mm} mm must be above 0.")
        if self.elongation is not None and not 1 <= self.elongation <= 3:
            raise InputError(f"The nodule's elongation {self.elongation} must lie between 1 and 3.")


@dataclass(frozen=True, eq=False)
class NoduleModel:
    """A nodule with nothing left to chance but its fine texture: the deterministic twin of a `NoduleSpec`."""

    spec: NoduleSpec
    surface: NoduleSurface
    core: NoduleSurface | None
    core_offset_mm: NDArray[np.float64]
    core_hu: float

    def depth_mm(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far inside the body points (..., 3) relative to the centre lie, mm; spicules do not count."""
        return self.surface.depth_mm(offsets_mm)

    def occupancy(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share of the nodule's tissue, 0 to 1, at points (..., 3) relative to the centre, spicules included."""
        assert self.spec.edge_mm is not None
        alpha = _ramp(self.surface.depth_mm(offsets_mm), self.spec.edge_mm)
        if len(self.surface.spicule_lengths_mm):
            np.maximum(alpha, _ramp(self.surface.spicule_depth_mm(offsets_mm), 1.0), out=alpha)
        return alpha

    def density_hu(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Density without texture, HU, at points (..., 3) relative to the centre."""
        assert self.spec.hu is not None
        hu = np.full(offsets_mm.shape[:-1], self.spec.hu, dtype=np.float32)
        if self.core is not None:
            share = _ramp(self.core.depth_mm(offsets_mm - self.core_offset_mm.astype(np.float32)), 1.2)
            hu += share * np.float32(self.core_hu - self.spec.hu)
        return hu


def draw_nodule_spec(rng: np.random.Generator, **fixed: Any) -> NoduleSpec:
    """Draw a nodule as screening finds them; `fixed` fields of `NoduleSpec` are kept.

    Diameters: two half-lognormals meeting at the median, fitted to LUNA16's 1186 nodules (median 6.4 mm, 5th to 95th
    percentile 4.1 to 19 mm), cut to 3-30 mm. Densities: mostly solid, about one in seven subsolid (19 % of the positive
    screening results of Henschke et al. 2002). The shares of locations and shapes are a choice, not measured: each is
    frequent enough to be tested; larger nodules are less often smooth.
    """
    side = rng.random() < 0.5
    diameter = _MEDIAN_DIAMETER_MM * np.exp(abs(rng.standard_normal()) * (-_LOG_SD_BELOW if side else _LOG_SD_ABOVE))
    diameter = float(fixed.get("diameter_mm") or np.clip(diameter, *DIAMETER_RANGE_MM))
    rough = min(diameter / 30.0, 0.6)
    smooth = 1 - rough
    shares = [0.3 * smooth, 0.45 * smooth, 0.25 * smooth + 0.3 * rough, 0.4 * rough, 0.3 * rough]
    drawn = NoduleSpec(
        diameter_mm=diameter,
        density=str(rng.choice(DENSITIES, p=[0.77, 0.08, 0.07, 0.07, 0.01])),  # type: ignore[arg-type]
        location=str(rng.choice(LOCATIONS, p=[0.4, 0.3, 0.3])),  # type: ignore[arg-type]
        shape=str(rng.choice(NODULE_SHAPES, p=shares)),  # type: ignore[arg-type]
    )
    return replace(drawn, **fixed)


def draw_nodule(spec: NoduleSpec, rng: np.random.Generator) -> NoduleModel:
    """Fill every None of a spec and draw the surface; the same spec and generator state give the same nodule."""
    edge = spec.edge_mm
    if edge is None:
        # A small nodule with a wide edge would have no plateau at all, and no density that could be called its own.
        edge = min(float(rng.uniform(*_EDGE_RANGES_MM[spec.density])), 0.4 * spec.diameter_mm)
    hu = float(rng.uniform(*HU_RANGES[spec.density])) if spec.hu is None else spec.hu
    surface = draw_surface(spec.shape, spec.diameter_mm, rng, spec.elongation)
    core, offset, fraction = None, np.zeros(3), spec.core_fraction
    if spec.density == "part-solid":
        if fraction is None:
            fraction = float(rng.uniform(*_CORE_FRACTION_RANGE))
        core = draw_surface("irregular" if spec.shape == "irregular" else "lobulated", fraction * spec.diameter_mm, rng)
        direction = rng.standard_normal(3)
        offset = direction / np.linalg.norm(direction) * rng.uniform(0, 0.35) * (1 - fraction) * spec.diameter_mm
    core_hu = float(rng.uniform(*_CORE_HU_RANGE))
    filled = replace(spec, edge_mm=edge, hu=hu, core_fraction=fraction)
    return NoduleModel(filled, surface, core, offset, core_hu)


def render_nodule(
    spec: NoduleSpec | NoduleModel,
    rng: np.random.Generator,
    spacing_mm: float | Sequence[float] = 1.0,
    offset_kji_mm: Sequence[float] = (0.0, 0.0, 0.0),
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Render a nodule at the centre of an odd-sized box just large enough for it and its spicules.

    `alpha * hu + (1 - alpha) * background` puts it into a background, before that is blurred or given noise.

    :param spacing_mm: grid spacing, one number or (k, j, i), mm.
    :param offset_kji_mm: where the nodule's centre lies from the middle voxel's centre, mm.
    :return: alpha (k, j, i) float32, share of the voxel that is nodule, 0 to 1; hu (k, j, i) float32, its density with
        texture. `alpha >= 0.5` is the nodule's mask but for spicules.
    """
    model = spec if isinstance(spec, NoduleModel) else draw_nodule(spec, rng)
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
    offsets = box_offsets_mm(model, spacing, offset_kji_mm)
    assert model.spec.edge_mm is not None
    texture = rng.standard_normal(offsets.shape[:-1], dtype=np.float32)
    texture = gaussian_filter(texture, _TEXTURE_CORRELATION_MM / spacing)
    texture *= _TEXTURE_SD_HU[model.spec.density] / max(float(texture.std()), 1e-6)
    return model.occupancy(offsets), model.density_hu(offsets) + texture


def box_offsets_mm(
    model: NoduleModel, spacing_kji_mm: NDArray[np.float64], offset_kji_mm: Sequence[float] = (0.0, 0.0, 0.0)
) -> NDArray[np.float32]:
    """Voxel centres of the nodule's box relative to the nodule's centre, (k, j, i, 3), mm."""
    assert model.spec.edge_mm is not None
    reach = model.surface.reach_mm + model.spec.edge_mm + np.abs(np.asarray(offset_kji_mm, dtype=np.float64))
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
