"""Where a nodule goes: places in the lung that honour its type, and its truth by counting sub-voxels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..findings import VoxelMask
from .anatomy import Anatomy
from .nodule import draw_nodule
from .nodule_model import NoduleModel
from .nodule_spec import NoduleSpec
from .trees import Tubes

_TRIES = 400
_GAP_MM = 4.0
"""Least distance between two nodules' surfaces, so that no two merge into one."""
_VESSEL_RADII_MM = (0.9, 3.0)
"""A juxtavascular nodule touches a vessel that a reader sees as one."""


@dataclass(frozen=True, eq=False)
class PlacedNodule:
    """A drawn nodule at its place.

    :param center: (x, y, z) mm in the phantom's frame.
    """

    model: NoduleModel
    center: NDArray[np.float64]


class Placer:
    """Finds free places in one patient's lungs.

    :param z_range_mm: heights that the image shows; nodules lie wholly within.
    """

    def __init__(self, anatomy: Anatomy, vessels: Tubes, airways: Tubes, z_range_mm: tuple[float, float]) -> None:
        self._anatomy = anatomy
        self._z_range = z_range_mm
        self._vessels = vessels
        obstacles = Tubes.joined([vessels.chosen(vessels.start_radii > 0.8), airways])
        self._obstacle_points = (obstacles.starts + obstacles.ends) / 2
        self._obstacle_radii = np.maximum(obstacles.start_radii, obstacles.end_radii)
        grid = anatomy.grid
        inside = np.argwhere(anatomy.lung > 1.0)
        self._lung_points = (inside * grid.step_mm + grid.origin_zyx)[:, ::-1]
        self._lung_depths = anatomy.lung[tuple(inside.T)]

    def place(self, spec: NoduleSpec, placed: list[PlacedNodule], rng: np.random.Generator) -> PlacedNodule:
        """Draw a nodule and find its place.

        :raises InputError: when the lung in view has no room for it.
        """
        if spec.location == "juxtapleural" and spec.elongation is None and spec.shape == "ellipsoid":
            spec = replace(spec, elongation=float(rng.uniform(1.0, 1.35)))
        model = draw_nodule(spec, rng)
        radius, body_reach = spec.diameter_mm / 2, model.surface.body_reach_mm
        best: tuple[float, NDArray[np.float64]] | None = None
        for _ in range(_TRIES):
            center = self._proposal(spec, radius, body_reach, rng)
            if center is None or not self._is_free(center, body_reach, placed):
                continue
            if spec.location == "juxtapleural":
                return self._cut_by_pleura(model, center)
            if spec.location == "juxtavascular":
                return PlacedNodule(model, center)
            # Small vessels are everywhere: of the free places, take one clear of all but those.
            clearance = self._clearance(center) - model.surface.reach_mm
            if clearance > 1.0:
                return PlacedNodule(model, center)
            if best is None or clearance > best[0]:
                best = (clearance, center)
        if best is not None:
            # A large nodule engulfs small vessels wherever it lies, as real ones do.
            return PlacedNodule(model, best[1])
        raise InputError(
            f"No room for a nodule of {spec.diameter_mm:.1f} mm ({spec.location}) in the phantom's lungs; "
            "ask for fewer or smaller nodules or a larger phantom."
        )

    def fixed(self, spec: NoduleSpec, center: NDArray[np.float64], rng: np.random.Generator) -> PlacedNodule:
        """A nodule at a given place.

        :raises InputError: when that place is outside the lungs.
        """
        if self._depth(center) <= 0:
            place = ", ".join(f"{c:.1f}" for c in spec.center_lps or center)
            raise InputError(f"The nodule centre {place} (LPS mm) is outside the lungs; choose a place inside them.")
        return PlacedNodule(draw_nodule(spec, rng), center)

    def _proposal(
        self, spec: NoduleSpec, radius: float, body_reach: float, rng: np.random.Generator
    ) -> NDArray[np.float64] | None:
        if spec.location == "juxtavascular":
            center = self._beside_vessel(radius, rng)
            return center if self._depth(center) > body_reach + 1.5 else None
        if spec.location == "juxtapleural":
            # The centre lies less than a radius from the pleura: the nodule has a broad base on it.
            wanted = rng.uniform(0.3, 0.65) * radius
            near = np.flatnonzero(np.abs(self._lung_depths - wanted) < self._anatomy.grid.step_mm)
            if not len(near):
                return None
            center = self._jittered(near, rng)
            return center if self._is_costal(center) and 0.2 * radius < self._depth(center) < 0.7 * radius else None
        deep = np.flatnonzero(self._lung_depths > body_reach + 2)
        if not len(deep):
            return None
        center = self._jittered(deep, rng)
        return center if self._depth(center) > body_reach + 2 else None

    def _cut_by_pleura(self, model: NoduleModel, center: NDArray[np.float64]) -> PlacedNodule:
        """Enlarge a nodule until what the pleura leaves of it has the wanted volume."""
        for _ in range(3):
            reach = model.surface.reach_mm
            axis = np.linspace(-reach, reach, 31)
            zyx = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
            inside = zyx[model.depth_mm(zyx.astype(np.float32)) > 0]
            in_lung = self._anatomy.grid.sample(self._anatomy.lung, inside[:, ::-1] + center) > 0
            kept = float(in_lung.mean()) * model.surface.volume_mm3
            growth = (np.pi / 6 * model.spec.diameter_mm**3 / kept) ** (1 / 3)
            model = replace(model, surface=replace(model.surface, scale=model.surface.scale * growth))
        return PlacedNodule(model, center)

    def _jittered(self, choices: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.float64]:
        step = self._anatomy.grid.step_mm
        return self._lung_points[rng.choice(choices)] + rng.uniform(-step / 2, step / 2, 3)

    def _beside_vessel(self, radius: float, rng: np.random.Generator) -> NDArray[np.float64]:
        low, high = _VESSEL_RADII_MM
        # A nodule hangs on a vessel thinner than itself, or it would be a bulge of the vessel.
        radii = self._vessels.start_radii
        choices = np.flatnonzero((radii > low) & (radii < max(min(high, 0.7 * radius), low + 0.2)))
        piece = int(rng.choice(choices))
        start, end = self._vessels.starts[piece], self._vessels.ends[piece]
        along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
        side = np.cross(along, rng.standard_normal(3))
        side /= np.linalg.norm(side)
        return (start + end) / 2 + side * (0.85 * radius + 0.6 * radii[piece])

    def _is_free(self, center: NDArray[np.float64], reach: float, placed: list[PlacedNodule]) -> bool:
        low, high = self._z_range
        if not low + reach + 2 < center[2] < high - reach - 2:
            return False
        return all(
            np.linalg.norm(center - other.center) > reach + other.model.surface.body_reach_mm + _GAP_MM
            for other in placed
        )

    def _is_costal(self, center: NDArray[np.float64]) -> bool:
        """Whether the nearest lung surface looks at the ribs: outwards, not at mediastinum, diaphragm or apex."""
        step = 2.0
        shifts = np.vstack([np.eye(3), -np.eye(3)]) * step
        values = self._anatomy.grid.sample(self._anatomy.lung, center + shifts)
        outwards = -(values[:3] - values[3:])
        outwards /= max(float(np.linalg.norm(outwards)), 1e-6)
        return bool(abs(outwards[2]) < 0.6 and outwards[0] * np.sign(center[0]) > 0.3)

    def _depth(self, point: NDArray[np.float64]) -> float:
        return float(self._anatomy.grid.sample(self._anatomy.lung, point[None])[0])

    def _clearance(self, center: NDArray[np.float64]) -> float:
        """Distance to the wall of the nearest vessel or airway of more than 1.6 mm, mm."""
        return float((np.linalg.norm(self._obstacle_points - center, axis=1) - self._obstacle_radii).min())


def truth_mask(
    nodule: PlacedNodule,
    anatomy: Anatomy,
    first_voxel_xyz: NDArray[np.float64],
    spacing_kji_mm: NDArray[np.float64],
    shape: tuple[int, int, int],
    supersampling: int = 4,
) -> tuple[VoxelMask, float, NDArray[np.float64]]:
    """Count the sub-voxels inside the nodule's surface and the lung.

    :param first_voxel_xyz: phantom-frame position of voxel (0, 0, 0)'s centre, mm.
    :param supersampling: sub-voxels along each axis of a voxel.
    :return: voxels at least half filled; the volume, mm3; the centre of mass (x, y, z), phantom frame, mm.
    """
    reach = nodule.model.surface.reach_mm + 3 * nodule.model.spec.roughness_mm
    middle = (nodule.center[::-1] - first_voxel_xyz[::-1]) / spacing_kji_mm
    low = np.maximum(np.floor(middle - reach / spacing_kji_mm).astype(int), 0)
    high = np.minimum(np.ceil(middle + reach / spacing_kji_mm).astype(int) + 1, shape)
    axes = []
    for axis in range(3):
        count = (high[axis] - low[axis]) * supersampling
        index = low[axis] - 0.5 + (np.arange(count) + 0.5) / supersampling
        axes.append(index * spacing_kji_mm[axis] + first_voxel_xyz[2 - axis])
    zyx = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    inside = nodule.model.depth_mm((zyx - nodule.center[::-1]).astype(np.float32)) > 0
    points = zyx[inside][:, ::-1]
    in_lung = anatomy.grid.sample(anatomy.lung, points) > 0
    inside[inside] = in_lung
    points = points[in_lung]
    sizes = [(h - a) for a, h in zip(low, high, strict=True)]
    blocks = inside.reshape(sizes[0], supersampling, sizes[1], supersampling, sizes[2], supersampling)
    share = blocks.mean(axis=(1, 3, 5))
    volume = float(share.sum() * np.prod(spacing_kji_mm))
    start = (int(low[0]), int(low[1]), int(low[2]))
    return VoxelMask(start, share >= 0.5), volume, points.mean(axis=0) if len(points) else nodule.center
