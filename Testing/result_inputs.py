"""Small scans with known blobs, as a detector would report them: the input of the tests of outputs and scene."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from LungNoduleCADLib.findings import Candidate, DetectionResult, Measurements, VoxelMask
from LungNoduleCADLib.volume import Volume

AXES = {
    "standard": np.eye(3),
    "flipped": np.diag([-1.0, 1.0, -1.0]),
    "left_handed": np.diag([1.0, 1.0, -1.0]),
    "oblique": Rotation.from_euler("xyz", [12.0, -20.0, 33.0], degrees=True).as_matrix(),
    "permuted": np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
}
"""Directions of the index axes i, j and k (columns), LPS."""

SPACING_KJI_MM = (2.5, 0.7, 0.9)
SHAPE = (24, 60, 50)

BLOBS = (  # centre as a fraction of the shape (k, j, i), radius mm, score
    ((0.50, 0.45, 0.35), 8.0, 0.93),
    ((0.30, 0.70, 0.70), 5.0, 0.61),
    ((0.80, 0.25, 0.75), 4.0, 0.12),
)


def make_volume(axes: str = "oblique", seed: int = 0) -> Volume:
    """Lung-like noise with a solid ball for each of `BLOBS`, int16 HU."""
    random = np.random.default_rng(seed)
    voxels = random.normal(-850.0, 30.0, SHAPE).astype(np.int16)
    metadata = {"series_uid": "1.2.840.1", "sop_instance_uids": [f"1.2.840.1.{k}" for k in range(SHAPE[0])]}
    volume = Volume.from_geometry(
        voxels,
        spacing_kji_mm=SPACING_KJI_MM,
        origin_lps=(-91.3, 17.25, -312.875),
        direction=AXES[axes],
        metadata=metadata,
    )
    for fraction, radius_mm, _ in BLOBS:
        voxels[ball(volume, index_of(fraction), radius_mm)] = 40
    return volume


def index_of(fraction: tuple[float, float, float]) -> np.ndarray:
    """A place given as a fraction of the shape, as an index (k, j, i)."""
    return np.round(np.asarray(fraction) * np.asarray(SHAPE))


def ball(volume: Volume, center_kji: np.ndarray, radius_mm: float) -> np.ndarray:
    """Bool, on the volume's grid: the voxels within a radius."""
    points = volume.index_to_lps(np.moveaxis(np.indices(volume.shape), 0, -1))
    return np.asarray(np.linalg.norm(points - volume.index_to_lps(center_kji), axis=-1) <= radius_mm)


def make_result(
    volume: Volume, threshold: float = 0.5, malignancy: float | None = 0.4, by_diameter: float | None = 0.3
) -> DetectionResult:
    """A result whose candidates are the volume's blobs: two above the threshold and one below."""
    candidates = []
    for number, (fraction, radius_mm, score) in enumerate(BLOBS, start=1):
        voxels = ball(volume, index_of(fraction), radius_mm)
        first = np.argwhere(voxels).min(axis=0)
        last = np.argwhere(voxels).max(axis=0) + 1
        box = voxels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
        values = volume.voxels[voxels]
        x, y, z = volume.index_to_lps(np.argwhere(voxels).mean(axis=0))
        candidates.append(
            Candidate(
                id=number,
                center_lps=(float(x), float(y), float(z)),
                score=score,
                malignancy=malignancy,
                malignancy_by_diameter=by_diameter,
                mask=VoxelMask((int(first[0]), int(first[1]), int(first[2])), box),
                measurements=Measurements(
                    diameter_mm=2 * radius_mm,
                    long_axis_mm=2.1 * radius_mm,
                    short_axis_mm=1.9 * radius_mm,
                    volume_mm3=float(voxels.sum() * volume.voxel_volume_mm3),
                    mean_hu=float(values.mean()),
                    min_hu=float(values.min()),
                    max_hu=float(values.max()),
                    density="solid",
                ),
            )
        )
    heatmap = np.zeros((30, 40, 50), dtype=np.float32)
    heatmap[10:20, 10:20, 10:20] = np.linspace(0.0, 1.0, 1000, dtype=np.float32).reshape(10, 10, 10)
    return DetectionResult(
        candidates=tuple(candidates),
        threshold=threshold,
        series={"series_uid": "1.2.840.1", "series_description": "LUNG 1.0 B45f"},
        settings={"batch": 8},
        model={"name": "test"},
        versions={"lungnodulecad": "0"},
        timings_s={"total": 1.5},
        warnings=("thick slices",),
        heatmap=Volume.from_geometry(heatmap, origin_lps=(-20.0, 5.0, -300.0), direction=AXES["oblique"]),
    )
