"""The small box of a scan around one candidate, in which everything about it is computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..findings import VoxelMask
from ..volume import Volume

LOWEST_HU, HIGHEST_HU = -1000.0, 200.0
"""Densities beyond these (clipped air, calcium, metal) say nothing more about where soft tissue ends."""

IN_PLANE_SMOOTHING_MM = 0.4
"""Standard deviation of the smoothing against noise; well below a CT's own blur (about 0.5 to 0.7 mm)."""


@dataclass(frozen=True, eq=False)
class LocalBox:
    """A box of the scan (k, j, i), and the seed in it.

    :param start: index of its first voxel in the scan.
    :param hu: densities, clipped and lightly smoothed.
    :param seed: the rough mask.
    """

    start: NDArray[np.intp]
    spacing: NDArray[np.float64]
    hu: NDArray[np.float32]
    seed: NDArray[np.bool_]

    def part(self, margin: NDArray[np.intp]) -> tuple[LocalBox, tuple[slice, ...]]:
        """The part of it that reaches so many voxels (k, j, i) beyond the seed, and where that lies in it."""
        extent = extent_of(self.seed)
        place = tuple(
            slice(max(side.start - int(n), 0), side.stop + int(n)) for side, n in zip(extent, margin, strict=True)
        )
        start = self.start + [side.start for side in place]
        return LocalBox(start, self.spacing, self.hu[place], self.seed[place]), place

    def cut_from(self, voxels: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The same box of another array on the scan's grid."""
        return voxels[tuple(slice(a, a + n) for a, n in zip(self.start, self.hu.shape, strict=True))]

    def as_mask(self, voxels: NDArray[np.bool_]) -> VoxelMask:
        """A mask of the box as one of the scan, cut to its own extent."""
        return trimmed(VoxelMask(_triple(self.start), voxels))


def local_box(volume: Volume, seed: VoxelMask, margin_mm: float) -> LocalBox:
    """The box that reaches `margin_mm` beyond the seed on every side, as far as the scan does."""
    spacing = volume.spacing_kji_mm
    seed = trimmed(seed)
    pad = np.ceil(margin_mm / spacing).astype(int)
    start = np.maximum(np.asarray(seed.start_kji) - pad, 0)
    stop = np.minimum(np.add(seed.start_kji, seed.voxels.shape) + pad, volume.shape)
    region = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    hu = np.clip(volume.voxels[region], LOWEST_HU, HIGHEST_HU).astype(np.float32)
    hu = ndimage.gaussian_filter(hu, np.minimum(IN_PLANE_SMOOTHING_MM / spacing, 1.0), mode="nearest", truncate=3)
    inside = np.zeros(hu.shape, dtype=bool)
    inside[tuple(slice(a, a + n) for a, n in zip(seed.start_kji - start, seed.voxels.shape, strict=True))] = seed.voxels
    return LocalBox(start, spacing, hu, inside)


def depth_mm(voxels: NDArray[np.bool_], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each voxel's centre in a mask from the nearest voxel centre outside it; 0 outside. The array's own
    edge is no boundary of the mask.

    Computed in the mask's extent only, which for a nodule in its box is a tenth of the work.
    """
    depth = np.zeros(voxels.shape)
    if voxels.any():
        region = extent_of(voxels, margin=1)
        depth[region] = ndimage.distance_transform_edt(voxels[region], sampling=spacing)
    return depth


def extent_of(voxels: NDArray[np.bool_], margin: int = 0) -> tuple[slice, slice, slice]:
    """The smallest box that holds the set voxels, of which there must be one, wider by a margin where the array is."""
    k, j, i = (
        slice(max(side.start - margin, 0), side.stop + margin)
        for side in ndimage.find_objects(voxels.view(np.uint8))[0]
    )
    return k, j, i


def sphere_mask(volume: Volume, center_lps: tuple[float, float, float], diameter_mm: float) -> VoxelMask:
    """The voxels whose centres lie in a sphere, the voxel nearest to its centre always among them.

    :raises ValueError: when the centre lies outside the volume.
    """
    if not volume.contains(center_lps):
        raise ValueError(f"{center_lps} lies outside the volume")
    center = volume.lps_to_index(center_lps)
    spacing = volume.spacing_kji_mm
    reach = diameter_mm / 2 / spacing
    nearest = np.clip(np.rint(center), 0, np.asarray(volume.shape) - 1).astype(int)
    start = np.clip(np.ceil(center - reach).astype(int), 0, nearest)
    stop = np.clip(np.floor(center + reach).astype(int) + 1, nearest + 1, volume.shape)
    axes = np.ogrid[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    squared = sum(((axis - c) * s) ** 2 for axis, c, s in zip(axes, center, spacing, strict=True))
    voxels = np.asarray(squared <= (diameter_mm / 2) ** 2)
    voxels[tuple(nearest - start)] = True
    return trimmed(VoxelMask(_triple(start), voxels))


def trimmed(mask: VoxelMask) -> VoxelMask:
    """The same mask in the smallest box; unchanged when it is empty."""
    if not mask.voxels.any():
        return mask
    box = extent_of(mask.voxels)
    start = np.add(mask.start_kji, [side.start for side in box])
    return VoxelMask(_triple(start), mask.voxels[box].copy())


def equivalent_diameter(volume_mm3: float) -> float:
    """Diameter of the sphere of a volume."""
    return float((6 * volume_mm3 / np.pi) ** (1 / 3))


def moved(
    voxels: NDArray[np.bool_], start: NDArray[np.intp], new_start: NDArray[np.intp], new_stop: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """A box of the scan as another one, empty where the first does not reach."""
    moved = np.zeros(new_stop - new_start, dtype=bool)
    low = np.maximum(start, new_start)
    high = np.maximum(np.minimum(start + voxels.shape, new_stop), low)
    moved[tuple(slice(a, b) for a, b in zip(low - new_start, high - new_start, strict=True))] = voxels[
        tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    ]
    return moved


def _triple(index: NDArray[np.intp]) -> tuple[int, int, int]:
    k, j, i = (int(n) for n in index)
    return k, j, i
