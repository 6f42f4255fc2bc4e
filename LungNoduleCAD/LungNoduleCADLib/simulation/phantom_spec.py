"""How a phantom is asked for, and the grids that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .acquisition import KERNELS

Size = Literal["chest", "small"]

FOV_MM = 344.0
Z_RANGES_MM: dict[Size, tuple[float, float]] = {"chest": (-18.0, 262.0), "small": (96.0, 168.0)}
"""Heights shown, in the frame of `anatomy`."""
_FINEST_SLICE_MM = 1.25
"""Thicker slices are averaged from tissue slices no thicker than this."""


@dataclass(frozen=True)
class PhantomSpec:
    """How a phantom is built and scanned. Nodules are named apart, so that the same patient can be had with others.

    :param seed: everything random follows from it; patient, trees, nodules and noise have streams of their own.
    :param size: 'chest' covers both lungs; 'small' is a slab of 72 mm through both hila, for tests.
    :param spacing_kji_mm: of the CT's voxels.
    :param thickness_mm: slice thickness (full width at half maximum of the profile); None makes it the slice spacing.
    :param noise_hu: standard deviation of the noise; 20 to 40 HU is usual for 1 mm slices with a thorax kernel.
    :param dose: relative dose, noise is divided by its square root (quantum noise).
    :param kernel: 'soft', 'standard' or 'sharp': blur and noise spectrum.
    :param parenchyma_hu: mean density of the lung between the vessels; about -870 HU in full inspiration.
    :param fissures: whether the interlobar fissures are drawn.
    :param direction: 3x3 direction cosines, columns are the LPS unit vectors of i, j, k; None is the axial standard.
    :param origin_lps: LPS position of voxel (0, 0, 0), mm; None centres the patient on x = y = 0.
    :raises InputError: when a value cannot be simulated.
    """

    seed: int = 0
    size: Size = "chest"
    spacing_kji_mm: tuple[float, float, float] = (1.0, 0.7, 0.7)
    thickness_mm: float | None = None
    noise_hu: float = 25.0
    dose: float = 1.0
    kernel: str = "standard"
    parenchyma_hu: float = -872.0
    fissures: bool = True
    direction: tuple[tuple[float, ...], ...] | None = None
    origin_lps: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.size not in Z_RANGES_MM:
            raise InputError(f"The phantom size '{self.size}' is unknown; choose one of {', '.join(Z_RANGES_MM)}.")
        if self.kernel not in KERNELS:
            raise InputError(f"The kernel '{self.kernel}' is unknown; choose one of {', '.join(KERNELS)}.")
        if len(self.spacing_kji_mm) != 3 or not all(0.4 <= s <= 10 for s in self.spacing_kji_mm):
            raise InputError(f"The phantom's spacing {self.spacing_kji_mm} mm must be three values from 0.4 to 10.")
        if self.noise_hu < 0 or self.dose <= 0:
            raise InputError(f"Noise {self.noise_hu} HU must be 0 or more and dose {self.dose} above 0.")
        if self.thickness_mm is not None and not 0.3 <= self.thickness_mm <= 10:
            raise InputError(f"The slice thickness {self.thickness_mm} mm must lie between 0.3 and 10.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, j, i) of the CT."""
        low, high = Z_RANGES_MM[self.size]
        depth, rows, columns = self.spacing_kji_mm
        # Multiples of 16 keep the Fourier transforms fast.
        in_plane = [16 * int(np.ceil(FOV_MM / s / 16)) for s in (rows, columns)]
        return max(int((high - low) / depth), 2), in_plane[0], in_plane[1]


class Frame:
    """Conversions between the CT's grid, the finer tissue grid and the phantom's own frame."""

    def __init__(self, spec: PhantomSpec) -> None:
        lowest_z = Z_RANGES_MM[spec.size][0]
        self.spec = spec
        self.shape = spec.shape
        self.spacing = np.asarray(spec.spacing_kji_mm)
        self.slices_per_output = int(np.ceil(self.spacing[0] / _FINEST_SLICE_MM))
        self.tissue_spacing = self.spacing / (self.slices_per_output, 1, 1)
        sides = [-(n - 1) / 2 * s for n, s in zip(self.shape[1:], self.spacing[1:], strict=True)]
        self.first_voxel_xyz = np.array([sides[1], sides[0], lowest_z + self.spacing[0] / 2])
        self.tissue_origin_zyx = (lowest_z + self.tissue_spacing[0] / 2, sides[0], sides[1])
        self.tissue_z = (
            self.tissue_origin_zyx[0] + np.arange(self.shape[0] * self.slices_per_output) * (self.tissue_spacing[0])
        )
        self.y = sides[0] + np.arange(self.shape[1]) * self.spacing[1]
        self.x = sides[1] + np.arange(self.shape[2]) * self.spacing[2]
        direction = np.eye(3) if spec.direction is None else np.asarray(spec.direction, dtype=np.float64)
        origin = direction @ self.first_voxel_xyz if spec.origin_lps is None else np.asarray(spec.origin_lps)
        matrix = np.eye(4)
        matrix[:3, :3] = direction * self.spacing[::-1]
        matrix[:3, 3] = origin
        self.ijk_to_lps: NDArray[np.float64] = matrix

    def to_lps(self, xyz: ArrayLike) -> tuple[float, float, float]:
        """Phantom frame to LPS mm."""
        ijk = (np.asarray(xyz, dtype=np.float64) - self.first_voxel_xyz) / self.spacing[::-1]
        x, y, z = self.ijk_to_lps[:3, :3] @ ijk + self.ijk_to_lps[:3, 3]
        return float(x), float(y), float(z)

    def from_lps(self, lps: ArrayLike) -> NDArray[np.float64]:
        """LPS mm to the phantom frame."""
        ijk = np.linalg.solve(self.ijk_to_lps[:3, :3], np.asarray(lps, dtype=np.float64) - self.ijk_to_lps[:3, 3])
        return ijk * self.spacing[::-1] + self.first_voxel_xyz
