"""`Volume`: voxels and the one matrix that says where they are. Every coordinate conversion lives here.

Conventions, everywhere in the library: arrays are indexed (k, j, i) = (slice, row, column); coordinates are LPS
millimetres (x to the patient's left, y posterior, z towards the head), as in DICOM, ITK and LUNA16. RAS appears only in
`scene/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

ORTHOGONALITY_TOLERANCE = 1e-3
"""Largest |cosine| between two index axes; above it the grid is sheared and no pipeline step is valid."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar image on a regular, rectangular grid.

    :param voxels: array (k, j, i); HU for a CT, labels for a mask.
    :param ijk_to_lps: 4x4 matrix from the continuous index (i, j, k, 1) to LPS millimetres; voxel centres sit on
        integers.
    :param metadata: what the reader knows of the source (series UID, modality, kernel ...); never used for geometry.
    :raises InputError: when the array is not 3-D or the matrix is singular, sheared or not finite.
    """

    voxels: NDArray[Any]
    ijk_to_lps: NDArray[np.float64]
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        matrix = np.array(self.ijk_to_lps, dtype=np.float64)
        if self.voxels.ndim != 3:
            raise InputError(
                f"The image has {self.voxels.ndim} dimensions; a CT volume has 3: pick one volume of the series."
            )
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise InputError("The image's geometry is not a finite 4x4 matrix; export the series again.")
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if (lengths < 1e-6).any():
            raise InputError("The image's voxel spacing is zero; export the series again with its spacing.")
        cosines = (matrix[:3, :3] / lengths).T @ (matrix[:3, :3] / lengths)
        if np.abs(cosines - np.eye(3)).max() > ORTHOGONALITY_TOLERANCE:
            raise InputError(
                "The image's axes are not at right angles (tilted gantry); resample it to a rectangular grid first."
            )
        matrix.setflags(write=False)
        object.__setattr__(self, "ijk_to_lps", matrix)

    # -- building -------------------------------------------------------------------------------------------------
    @classmethod
    def from_geometry(
        cls,
        voxels: NDArray[Any],
        *,
        spacing_kji_mm: Sequence[float] = (1.0, 1.0, 1.0),
        origin_lps: Sequence[float] = (0.0, 0.0, 0.0),
        direction: ArrayLike | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Volume:
        """Build from ITK's parts: spacing in (k, j, i) order, LPS origin of voxel (0, 0, 0), 3x3 direction whose
        columns are the unit vectors of i, j and k."""
        axes = np.eye(3) if direction is None else np.asarray(direction, dtype=np.float64).reshape(3, 3)
        matrix = np.eye(4)
        matrix[:3, :3] = axes * np.asarray(spacing_kji_mm, dtype=np.float64)[::-1]
        matrix[:3, 3] = origin_lps
        return cls(voxels, matrix, dict(metadata or {}))

    def with_voxels(self, voxels: NDArray[Any]) -> Volume:
        """The same grid with other values.

        :raises ValueError: when the shape differs.
        """
        if voxels.shape != self.voxels.shape:
            raise ValueError(f"shape {voxels.shape} is not the grid's shape {self.voxels.shape}")
        return Volume(voxels, self.ijk_to_lps, dict(self.metadata))

    def cropped(self, start_kji: Sequence[int], stop_kji: Sequence[int]) -> Volume:
        """The sub-volume [start, stop), as a view on the same voxels, with its origin moved."""
        start = np.asarray(start_kji, dtype=int)
        region = tuple(slice(int(a), int(b)) for a, b in zip(start, stop_kji, strict=True))
        matrix = self.ijk_to_lps.copy()
        matrix[:3, 3] = self.index_to_lps(start)
        return Volume(self.voxels[region], matrix, dict(self.metadata))

    def along_the_body(self) -> Volume:
        """The same image with its axes in another order where need be, as a view on the same voxels: k is the one
        nearest to z and i the one nearest to x, so that slices are axial."""
        axes = np.abs(self.direction)
        k = int(np.argmax(axes[2]))
        i = max((axis for axis in range(3) if axis != k), key=lambda axis: axes[0, axis])
        order = [i, 3 - i - k, k]
        matrix = self.ijk_to_lps.copy()
        matrix[:3, :3] = self.ijk_to_lps[:3, order]
        return Volume(self.voxels.transpose([2 - axis for axis in reversed(order)]), matrix, dict(self.metadata))

    # -- geometry -------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, j, i)."""
        k, j, i = self.voxels.shape
        return k, j, i

    @property
    def spacing_kji_mm(self) -> NDArray[np.float64]:
        """Voxel spacing in (k, j, i) order, mm."""
        return np.linalg.norm(self.ijk_to_lps[:3, :3], axis=0)[::-1]

    @property
    def origin_lps(self) -> NDArray[np.float64]:
        """LPS position of the centre of voxel (0, 0, 0), mm."""
        return self.ijk_to_lps[:3, 3].copy()

    @property
    def direction(self) -> NDArray[np.float64]:
        """3x3; columns are the LPS unit vectors of the i, j and k axes (ITK's convention)."""
        return self.ijk_to_lps[:3, :3] / np.linalg.norm(self.ijk_to_lps[:3, :3], axis=0)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm3."""
        return float(np.prod(self.spacing_kji_mm))

    def index_to_lps(self, index_kji: ArrayLike) -> NDArray[np.float64]:
        """Continuous (k, j, i) indices, shape (..., 3), to LPS mm, same shape."""
        ijk = np.asarray(index_kji, dtype=np.float64)[..., ::-1]
        return ijk @ self.ijk_to_lps[:3, :3].T + self.ijk_to_lps[:3, 3]

    def lps_to_index(self, point_lps: ArrayLike) -> NDArray[np.float64]:
        """LPS mm, shape (..., 3), to continuous (k, j, i) indices, same shape."""
        inverse = self._lps_to_ijk
        return (np.asarray(point_lps, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3])[..., ::-1]

    @cached_property
    def _lps_to_ijk(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.inv(self.ijk_to_lps), dtype=np.float64)

    def contains(self, point_lps: ArrayLike) -> NDArray[np.bool_]:
        """True where a point, shape (..., 3), lies within the volume, half a voxel beyond the outer centres
        included."""
        index = self.lps_to_index(point_lps)
        return np.asarray(((index >= -0.5) & (index <= np.asarray(self.shape) - 0.5)).all(axis=-1))

    def same_grid(self, other: Volume, tolerance_mm: float = 1e-2) -> bool:
        """Whether both have the same shape and every corner lies within `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape], indexing="ij")).reshape(3, -1).T
        return bool(np.abs(self.index_to_lps(corners) - other.index_to_lps(corners)).max() <= tolerance_mm)
