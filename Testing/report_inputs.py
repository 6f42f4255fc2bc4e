"""Results of detections, as folders on the disk, and what readers made of them: the input of the tests of reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from io_inputs import as_image, chest_hu, write_series

from LungNoduleCADLib.findings import Candidate, DetectionResult, Measurements, VoxelMask
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.report.results import write_results
from LungNoduleCADLib.review import Accept, Reject, Review, SetCallipers, SetCategory, SetExamCategory, SetNote
from LungNoduleCADLib.volume import Volume

DETECTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
DOT = ((3, 20, 12), 4.0, 0.95)
BLOBS = (DOT, ((6, 16, 34), 3.0, 0.80), ((8, 24, 35), 2.6, 0.40))
"""Centre (k, j, i) in the chest of `io_inputs`, radius mm and score; the last one is below the threshold."""

THRESHOLD = 0.5
MODEL = {
    task: {"name": f"Test net, {task}", "version": "1.2.3", "sha256": letter * 64, "default_threshold": THRESHOLD}
    for task, letter in (("segmentation", "a"), ("classification", "b"))
}

HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}{% raw %}", "O'Brien, \"Bob\"; DROP TABLE",
    '=HYPERLINK("http://evil")', "+1+1", "-2+3", "@SUM(A1)", "two\nlines\r\nthree", "a\tb\x00c\x1b[31m",
    "Ωμέγα Ünïcode 名前 שלום مرحبا", "\u202eevil\u202c", "</style></bdi><h1>x", "&lt;b&gt; & co", "C:\\dir\\file",
    "half \udc80 surrogate", "🙂" * 3,
)  # fmt: skip


def ball_candidate(
    volume: Volume, number: int, center_kji: Sequence[int], radius_mm: float, score: float, **measured: Any
) -> Candidate:
    """A candidate whose mask is a ball, with the measurements of the voxels in it."""
    radius = radius_mm / volume.spacing_kji_mm
    start = np.maximum(np.floor(np.subtract(center_kji, radius)), 0).astype(int)
    stop = np.minimum(np.ceil(np.add(center_kji, radius)) + 1, volume.shape).astype(int)
    box = np.moveaxis(np.indices(stop - start), 0, -1) + start
    inside = (((box - center_kji) * volume.spacing_kji_mm) ** 2).sum(axis=-1) <= radius_mm**2
    values = volume.voxels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))][inside]
    center = np.asarray(center_kji, dtype=float)
    along = np.array([0.0, 0.0, radius_mm / volume.spacing_kji_mm[2]])
    across = np.array([0.0, 0.9 * radius_mm / volume.spacing_kji_mm[1], 0.0])
    sops = volume.metadata.get("sop_instance_uids") or ()
    volume_mm3 = float(inside.sum() * volume.voxel_volume_mm3)
    settings = {
        "diameter_mm": (6 * volume_mm3 / np.pi) ** (1 / 3),
        "long_axis_mm": 2 * radius_mm,
        "short_axis_mm": 1.8 * radius_mm,
        "volume_mm3": volume_mm3,
        "mean_hu": float(values.mean()),
        "min_hu": float(values.min()),
        "max_hu": float(values.max()),
        "density": "solid",
        "sd_hu": float(values.std()),
        "mass_mg": volume_mm3 * (1 + float(values.mean()) / 1000),
        "solid_diameter_mm": 1.9 * radius_mm,
        "solid_volume_mm3": volume_mm3,
        "surface_mm2": 4 * np.pi * radius_mm**2,
        "sphericity": 0.93,
        "side": "right" if number % 2 else "left",
        "zone": ("upper", "middle", "lower")[number % 3],
        "pleura_distance_mm": 3.5,
        "juxtapleural": number % 2 == 0,
        "juxtavascular": False,
        "axes_slice": int(center_kji[0]) + 1,
        "axes_sop_instance_uid": sops[center_kji[0]] if sops else None,
        "long_axis_lps": _points(volume, center - along, center + along),
        "short_axis_lps": _points(volume, center - across, center + across),
    }
    return Candidate(
        id=number,
        center_lps=_point(volume, center),
        score=score,
        malignancy=0.25,
        malignancy_by_diameter=0.5,
        mask=VoxelMask((int(start[0]), int(start[1]), int(start[2])), inside),
        measurements=Measurements(**{**settings, **measured}),
    )


def result_of(volume: Volume, candidates: Sequence[Candidate], **changes: Any) -> DetectionResult:
    """A detection in a volume, as a detector would report it."""
    series = {key: value for key, value in volume.metadata.items() if key != "sop_instance_uids"}
    spacing = [float(s) for s in volume.spacing_kji_mm]
    result = DetectionResult(
        candidates=tuple(candidates),
        threshold=THRESHOLD,
        series={**series, "shape_kji": list(volume.shape), "spacing_kji_mm": spacing},
        settings={"device_used": "CPU", "grouping": {"threshold": 0.12}, "lung_mask": "auto", "reference": None},
        model=MODEL,
        versions={"lungnodulecad": "9.8.7", "python": "3.11", "numpy": "2.0"},
        timings_s={"reading": 1.0},
        warnings=("Slices of 2.5 mm: nodules below 5 mm may be missed or measured wrongly.",),
    )  # fmt: skip
    return replace(result, **changes)


def blob_candidates(volume: Volume) -> list[Candidate]:
    """Those of `BLOBS`."""
    return [ball_candidate(volume, n, center, radius, s) for n, (center, radius, s) in enumerate(BLOBS, start=1)]


def balls_in_the_lungs(volume: Volume, count: int = 6) -> list[Candidate]:
    """Balls of lung, spread over the scan; nothing that depends on the networks."""
    lung = np.argwhere((volume.voxels[:, ::8, ::8] > -950) & (volume.voxels[:, ::8, ::8] < -700)) * (1, 8, 8)
    inner = lung[(np.abs(lung - np.array(volume.shape) / 2) < np.array(volume.shape) / 3).all(axis=1)]
    centers = inner[np.linspace(0, len(inner) - 1, count).astype(int)]
    return [ball_candidate(volume, n, center.tolist(), 4.0 + n / 2, 0.9) for n, center in enumerate(centers, start=1)]


def dicom_result(folder: Path, candidates: Any = blob_candidates, **attributes: Any) -> Path:
    """A folder `result` as a detection in a DICOM series would leave it; the series lies beside it in `ct`.

    :param candidates: made of the volume.
    :param attributes: of the series' images, as `write_series` takes them.
    """
    write_series(folder / "ct", **attributes)
    return written(folder, read_volume(folder / "ct"), candidates)


def file_result(folder: Path, candidates: Any = blob_candidates) -> Path:
    """The same of a NRRD file."""
    sitk.WriteImage(as_image(chest_hu()), str(folder / "chest.nrrd"))
    return written(folder, read_volume(folder / "chest.nrrd"), candidates)


def written(folder: Path, volume: Volume, candidates: Any) -> Path:
    """The folder of a result in a volume."""
    target = folder / "result"
    target.mkdir()
    write_results(result_of(volume, candidates(volume)), volume, target)
    return target


def reviewed(candidates: Sequence[Candidate], note: str = "Stable since 2024.", reader: str = "Dr. Read") -> Review:
    """The first accepted with callipers, a category and a note, the second rejected."""
    review, time = Review.of(candidates), DETECTED + timedelta(hours=1)
    changes = (
        Accept(("N1",)),
        SetCallipers("N1", "nodule", (9.5, 8.5)),
        SetNote("N1", note),
        SetCategory("N1", "Lung-RADS v2022", "4B", f"PET/CT. {note}", f"It looks bad. {note}"),
        Reject(("N2",), "vessel", note),
        SetExamCategory("Lung-RADS v2022", "4A", f"CT in 3 months. {note}", f"It looks better. {note}"),
    )
    for n, change in enumerate(changes):
        review = review.with_change(change, reader, time + timedelta(minutes=n))
    return review


def _points(volume: Volume, *ends_kji: np.ndarray) -> Any:
    return tuple(_point(volume, end) for end in ends_kji)


def _point(volume: Volume, index_kji: np.ndarray) -> tuple[float, float, float]:
    x, y, z = volume.index_to_lps(index_kji)
    return float(x), float(y), float(z)
