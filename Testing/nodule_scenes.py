"""Nodules of known shape in lung, blurred, averaged over slices and made noisy as CT is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.volume import Volume

LUNG_HU, TISSUE_HU = -860.0, 30.0
CENTER = (4.0, -7.0, 12.0)
THIN = (1.0, 0.7, 0.7)
THICK = (2.5, 0.7, 0.7)
OBLIQUE = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])


class Scene:
    """Shapes in lung on a grid, painted at four times its resolution, blurred, averaged and made noisy."""

    def __init__(
        self, spacing: tuple[float, float, float] = THIN, side_mm: float = 36.0, direction: np.ndarray | None = None
    ) -> None:
        self.spacing = np.array(spacing)
        shape = np.ceil(side_mm / self.spacing).astype(int)
        axes = np.eye(3) if direction is None else direction
        # An odd fraction of a voxel off the grid, so that nothing is symmetric by luck.
        corner = np.array(CENTER) - axes @ ((shape - 1) / 2 * self.spacing + (0.21, 0.13, 0.32))[::-1]
        self.grid = Volume.from_geometry(
            np.zeros(shape, dtype=np.int16), spacing_kji_mm=spacing, origin_lps=corner, direction=axes
        )
        fine = [(np.arange(n * 4) + 0.5) / 4 - 0.5 for n in shape]
        center = self.grid.lps_to_index(CENTER)
        self.k, self.j, self.i = (
            (axis - c) * s
            for axis, c, s in zip(np.meshgrid(*fine, indexing="ij", sparse=True), center, self.spacing, strict=True)
        )
        self.hu = np.full(shape * 4, LUNG_HU, dtype=np.float32)

    def ball(self, diameter: float, hu: float = TISSUE_HU) -> Scene:
        """A sphere around `CENTER`."""
        self.hu[self.k**2 + self.j**2 + self.i**2 <= (diameter / 2) ** 2] = hu
        return self

    def vessel(self, diameter: float) -> Scene:
        """A tube along the rows, through `CENTER`."""
        self.hu[np.broadcast_to(self.k**2 + self.j**2 <= (diameter / 2) ** 2, self.hu.shape)] = TISSUE_HU
        return self

    def wall(self, distance: float) -> Scene:
        """Chest wall beyond a gently curved pleura, `distance` mm from `CENTER`."""
        curved = self.j + (self.k**2 + self.i**2) / 200
        self.hu[np.broadcast_to(curved >= distance, self.hu.shape)] = TISSUE_HU
        return self

    def volume(self, noise: float = 25.0, seed: int = 0) -> Volume:
        """Blurred by 0.55 mm in plane and the slice's thickness across."""
        sigma = 4 * np.array([0.3, 0.55, 0.55]) / self.spacing
        k, j, i = self.grid.shape
        hu = ndimage.gaussian_filter(self.hu, sigma).reshape(k, 4, j, 4, i, 4).mean(axis=(1, 3, 5))
        hu = hu + np.random.default_rng(seed).normal(0, noise, hu.shape)
        return self.grid.with_voxels(hu.astype(np.int16))


@dataclass(frozen=True)
class KnownNodule:
    """An ellipsoid in a scan, with what it measures: mm, mm3; the axes are of the slice plane through its middle."""

    volume: Volume
    center_lps: tuple[float, float, float]
    diameter_mm: float
    volume_mm3: float
    long_axis_mm: float
    short_axis_mm: float

    @property
    def mean_diameter_mm(self) -> float:
        return (self.long_axis_mm + self.short_axis_mm) / 2


def ellipsoid_scan(
    diameter_mm: float,
    ratios: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    tilt_degrees: float = 0.0,
    spacing: tuple[float, float, float] = THIN,
    hu: float = TISSUE_HU,
    noise: float = 25.0,
    blur_mm: float = 0.55,
    seed: int = 0,
) -> KnownNodule:
    """An ellipsoid of the volume of a sphere, at a random place within a voxel, turned at random within the slices and
    tilted out of them.

    :param ratios: of its axes (k, j, i) before it is turned.
    :param blur_mm: standard deviation of the blur within slices; across them each averages over its thickness.
    """
    random = np.random.default_rng(seed)
    steps = np.array(spacing)
    semi = diameter_mm / 2 * np.array(ratios) / np.prod(ratios) ** (1 / 3)
    around, turn = random.uniform(0, 2 * np.pi, 2)
    tilt = Rotation.from_rotvec(np.deg2rad(tilt_degrees) * np.array([0, np.cos(around), np.sin(around)]))
    axes = (tilt * Rotation.from_rotvec([turn, 0, 0])).as_matrix()
    form = axes @ np.diag(1 / semi**2) @ axes.T
    shape = np.ceil(2 * (semi.max() + 9) / steps).astype(int)
    center = (shape - 1) / 2 * steps + random.uniform(-0.5, 0.5, 3) * steps
    finer = np.array([max(4, int(np.ceil(steps[0] / 0.25))), 4, 4])
    low = np.maximum(np.floor((center - semi.max()) / steps).astype(int) - 1, 0)
    high = np.minimum(np.ceil((center + semi.max()) / steps).astype(int) + 2, shape)
    k, j, i = np.meshgrid(
        *(
            ((np.arange((high[n] - low[n]) * finer[n]) + 0.5) / finer[n] - 0.5 + low[n]) * steps[n] - center[n]
            for n in range(3)
        ),
        indexing="ij",
        sparse=True,
    )
    cross = form[0, 1] * k * j + form[0, 2] * k * i + form[1, 2] * j * i
    inside = form[0, 0] * k * k + form[1, 1] * j * j + form[2, 2] * i * i + 2 * cross <= 1
    blocks = inside.astype(np.float32).reshape(*np.stack([high - low, finer], axis=1).ravel())
    share = np.zeros(shape, dtype=np.float32)
    share[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = blocks.mean(axis=(1, 3, 5))
    share = ndimage.gaussian_filter(share, np.array([0, blur_mm, blur_mm]) / steps, truncate=5)
    voxels = LUNG_HU + share * (hu - LUNG_HU) + random.normal(0, noise, shape)
    volume = Volume.from_geometry(np.rint(voxels).astype(np.int16), spacing_kji_mm=spacing)
    section = np.linalg.eigvalsh(form[1:, 1:])
    x, y, z = (float(c) for c in volume.index_to_lps(center / steps))
    return KnownNodule(
        volume,
        (x, y, z),
        diameter_mm,
        float(np.pi / 6 * diameter_mm**3),
        float(2 / np.sqrt(section[0])),
        float(2 / np.sqrt(section[1])),
    )


def on_grid(mask: VoxelMask, volume: Volume) -> np.ndarray:
    """A mask as a bool array of the volume's shape."""
    voxels = np.zeros(volume.shape, dtype=bool)
    voxels[mask.region] = mask.voxels
    return voxels


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two bool arrays, 0 to 1."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))
