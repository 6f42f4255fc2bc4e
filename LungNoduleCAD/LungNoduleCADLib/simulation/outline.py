"""A nodule's outline as someone drew it: a sampled distance field instead of a formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates, zoom

from ..errors import InputError

FIELD_STEP_MM = 0.5
_SMOOTHING_MM = 0.5
"""Takes the voxels' steps off a surface; a sphere of 6 mm loses 2 % of its diameter, which the scale gives back."""
_MARGIN_MM = 2.0


@dataclass(frozen=True, eq=False)
class Outline:
    """A drawn outline; the surface is where the nodule fills half a voxel.

    :param occupancy: (k, j, i), 0 to 1, at a cubic spacing.
    :param spacing_mm: of the occupancy.
    :raises InputError: when no voxel is half filled.
    """

    occupancy: NDArray[np.floating]
    spacing_mm: float = 1.0

    def __post_init__(self) -> None:
        if not (np.asarray(self.occupancy) >= 0.5).any():
            raise InputError("The outline encloses nothing; give one of at least a voxel.")

    @property
    def diameter_mm(self) -> float:
        """Of the sphere of the same volume, by the occupancy."""
        return float(np.cbrt(6 / np.pi * np.sum(self.occupancy)) * self.spacing_mm)

    @cached_property
    def depth_mm(self) -> NDArray[np.float32]:
        """How far inside points lie, negative outside: a cube at `FIELD_STEP_MM` round the centre of mass."""
        fine = zoom(
            np.pad(np.asarray(self.occupancy, dtype=np.float32), int(np.ceil(_MARGIN_MM / self.spacing_mm))),
            self.spacing_mm / FIELD_STEP_MM, order=1, grid_mode=True, mode="grid-constant",
        )  # fmt: skip
        fine = gaussian_filter(fine, _SMOOTHING_MM / FIELD_STEP_MM)
        inside = fine >= min(0.5, 0.5 * float(fine.max()))
        places = np.argwhere(inside)
        center = places.mean(axis=0)
        reach = np.linalg.norm(places - center, axis=1).max() + _MARGIN_MM / FIELD_STEP_MM
        half = int(np.ceil(reach))
        cube = np.stack(np.meshgrid(*[c + np.arange(-half, half + 1) for c in center], indexing="ij"))
        inside = map_coordinates(inside.astype(np.float32), cube, order=1) >= 0.5
        # The boundary lies between voxels: half a step nearer than the next voxel's centre, on both sides.
        depth = distance_transform_edt(inside) - distance_transform_edt(~inside)
        smooth: NDArray[np.float32] = gaussian_filter((depth - 0.5 * np.sign(depth)) * FIELD_STEP_MM, 0.7)
        return smooth.astype(np.float32)

    @cached_property
    def volume_mm3(self) -> float:
        """Enclosed by the zero level."""
        return float(max((self.depth_mm > 0).sum(), 1)) * FIELD_STEP_MM**3

    @cached_property
    def reach_mm(self) -> float:
        """Radius of the ball round the centre that holds the outline, mm."""
        half = self.depth_mm.shape[0] // 2
        farthest = np.linalg.norm(np.argwhere(self.depth_mm > 0) - half, axis=1).max(initial=0.0)
        return float(farthest + 1) * FIELD_STEP_MM


@dataclass(frozen=True, eq=False)
class OutlineSurface:
    """An outline turned and scaled: what a `NoduleSurface` is for shapes with a formula. It has no spicules of its own,
    since readers draw round them.

    :param rotation: (3, 3), from the nodule's frame to the outline's, (k, j, i) order; may mirror.
    :param scale: the nodule's size over the outline's.
    """

    outline: Outline
    rotation: NDArray[np.float64]
    scale: float
    spicule_lengths_mm: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def volume_mm3(self) -> float:
        """Volume inside the surface, mm3."""
        return self.outline.volume_mm3 * self.scale**3

    @property
    def body_reach_mm(self) -> float:
        """Radius of the ball that holds the surface, mm."""
        return self.outline.reach_mm * self.scale

    @property
    def reach_mm(self) -> float:
        """The same: there are no spicules."""
        return self.body_reach_mm

    def depth_mm(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far inside the surface points (..., 3) relative to the centre lie, mm; negative outside."""
        places = offsets_mm @ (self.rotation / self.scale / FIELD_STEP_MM).astype(np.float32)
        size = self.outline.depth_mm.shape[0]
        index = np.moveaxis(places, -1, 0) + np.float32(size // 2)
        beyond = np.linalg.norm(index - np.clip(index, 0, size - 1), axis=0) * FIELD_STEP_MM
        depth = map_coordinates(self.outline.depth_mm, index, order=1, mode="nearest") - beyond
        return (depth * self.scale).astype(np.float32)

    def spicule_depth_mm(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """-inf everywhere."""
        return np.full(offsets_mm.shape[:-1], -np.inf, dtype=np.float32)


def turned(outline: Outline, diameter_mm: float, rng: np.random.Generator) -> OutlineSurface:
    """An outline at a size, turned at random about the body's axis (scans are blurred most along it) and mirrored."""
    angle = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[rng.choice([-1.0, 1.0]), 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    rotation[:, 1] *= rng.choice([-1.0, 1.0])
    return OutlineSurface(outline, rotation, float((np.pi / 6 * diameter_mm**3 / outline.volume_mm3) ** (1 / 3)))


def pick(outlines: Sequence[Outline], diameter_mm: float, rng: np.random.Generator) -> Outline:
    """One of the outlines whose own diameter is nearest to a wanted one: small nodules and large differ in form."""
    own = np.array([outline.diameter_mm for outline in outlines])
    nearest = np.argsort(np.abs(np.log(own / diameter_mm)), kind="stable")[: max(len(outlines) // 10, 20)]
    return outlines[int(rng.choice(nearest))]
