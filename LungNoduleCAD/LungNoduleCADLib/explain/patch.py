"""The surroundings of one candidate exactly as the classifier gets them, and where they lie in the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ..preprocess.patches import extract_patches
from ..preprocess.prepare import PreparedLung
from ..volume import Volume


@dataclass(frozen=True, eq=False)
class CandidatePatch:
    """The classifier's input for one place.

    :param values: float32 (s, s, s), prepared, in [0, 1]; the place lies in voxel s // 2 of each axis.
    :param grid: where its voxels are (a placeholder volume of the same shape).
    """

    values: NDArray[np.float32]
    grid: Volume

    def on_scan(self, map_of_patch: NDArray[np.float32], scan: Volume) -> Volume:
        """Values of the patch's voxels on the scan's own voxels, linear between them: a volume that holds just the
        scan's part within the patch, so that it lies over the CT wherever that is shown.

        :param map_of_patch: (s, s, s). :param scan: that the patch was cut from.
        """
        start, stop = self._box(scan)
        part = scan.cropped(start.tolist(), stop.tolist())
        # Both grids have the same axes, so that the scan's indices are the patch's but for spacing and start.
        axes = [np.arange(n, dtype=np.float64) for n in part.shape]
        first = self.grid.lps_to_index(part.index_to_lps((0, 0, 0)))
        steps = part.spacing_kji_mm / self.grid.spacing_kji_mm
        places = [a + axis * step for a, axis, step in zip(first, axes, steps, strict=True)]
        index = np.meshgrid(*places, indexing="ij")
        values = map_coordinates(map_of_patch, np.stack(index), output=np.float32, order=1, mode="nearest")
        return Volume(values, part.ijk_to_lps, dict(scan.metadata))

    def _box(self, scan: Volume) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last-plus-one voxel of the scan whose centres lie within the patch."""
        size = np.asarray(self.grid.shape)
        low, high = (scan.lps_to_index(self.grid.index_to_lps(corner)) for corner in (np.full(3, -0.5), size - 0.5))
        start = np.clip(np.ceil(low - 1e-6), 0, np.asarray(scan.shape) - 1).astype(np.int64)
        stop = np.clip(np.floor(high + 1e-6) + 1, start + 1, scan.shape).astype(np.int64)
        return start, stop


def candidate_patch(prepared: PreparedLung, center_lps: Sequence[float], size: int) -> CandidatePatch:
    """Cut the patch around a place as `detection.score.classify` does.

    :param size: edge in voxels, the card's `patch_size`.
    """
    center = prepared.grid.lps_to_index(center_lps)
    values = extract_patches(prepared.image, center, size)[0, 0].float().cpu().numpy()
    matrix = prepared.grid.ijk_to_lps.copy()
    matrix[:3, 3] = prepared.grid.index_to_lps(np.rint(center) - size // 2)
    return CandidatePatch(values, Volume(np.broadcast_to(np.float32(0), values.shape), matrix))


def as_batch(values: NDArray[np.float32], device: torch.device | str) -> torch.Tensor:
    """A patch as the network's input (1, 1, s, s, s)."""
    return torch.from_numpy(np.ascontiguousarray(values))[None, None].to(device)
