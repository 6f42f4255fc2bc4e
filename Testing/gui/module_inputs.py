"""Scans, results and a run without a worker, for the tests of the Slicer module."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from LungNoduleCADLib.app.jobs import DetectionRequest
from LungNoduleCADLib.app.progress import Progress
from LungNoduleCADLib.app.result_folder import load_result, save_result
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.findings import Candidate, DetectionResult, Measurements, VoxelMask
from LungNoduleCADLib.volume import Volume

MODULE_FILE = Path(__file__).resolve().parents[2] / "LungNoduleCAD" / "LungNoduleCAD.py"
SCORES = (0.97, 0.81, 0.62, 0.35, 0.08)
DIAMETERS_MM = (6.2, 11.5, 4.8, 9.1, 20.3)
DENSITIES = ("solid", "part-solid", "solid", "ground-glass", "calcified")
POINTS = [
    {"threshold": 0.05, "sensitivity": 0.98, "fp_per_scan": 8.0, "bands": {"4-6 mm": 0.8}},
    {"threshold": 0.5, "sensitivity": 0.90, "fp_per_scan": 1.0, "bands": {"4-6 mm": 0.6}},
    {"threshold": 0.9, "sensitivity": 0.70, "fp_per_scan": 0.2, "bands": {"4-6 mm": 0.4}},
]


def chest_like(slice_mm: float = 1.25, depth: int = 90) -> Volume:
    """Tissue around two boxes of lung, 200 mm wide: suitable for detection at thin slices."""
    random = np.random.default_rng(3)
    voxels = random.normal(40.0, 15.0, (depth, 176, 176)).astype(np.int16)
    for left in (20, 100):
        voxels[5:-5, 25:150, left : left + 55] -= 890
    return Volume.from_geometry(voxels, spacing_kji_mm=(slice_mm, 1.19, 1.19))


def result_for(volume: Volume, scores: tuple[float, ...] = SCORES, warnings: tuple[str, ...] = ()) -> DetectionResult:
    """A candidate for each score, at known places, best first."""
    random = np.random.default_rng(1)
    candidates = []
    for n, score in enumerate(scores):
        k, j, i = (int(v) for v in random.integers(8, np.array(volume.shape) - 16))
        x, y, z = (float(v) for v in volume.index_to_lps((k + 1.5, j + 1.5, i + 1.5)))
        diameter = DIAMETERS_MM[n % len(DIAMETERS_MM)]
        measurements = Measurements(
            diameter, diameter + 1, diameter - 1, 100.0, -40.0, -300.0, 90.0, DENSITIES[n % len(DENSITIES)],
            solid_diameter_mm=4.0 if DENSITIES[n % len(DENSITIES)] == "part-solid" else None,
            side="left" if x > 0 else "right", zone="upper",
        )  # fmt: skip
        mask = VoxelMask((k, j, i), np.ones((4, 4, 4), dtype=bool))
        candidates.append(Candidate(n + 1, (x, y, z), score, 0.3, mask, measurements, 0.2))
    return DetectionResult(tuple(candidates), 0.5, {"series_uid": ""}, {}, {}, {}, {}, warnings)


class FakeWork:
    """Something that a child process does, whose progress and end the test decides."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self.error = self.details = ""
        self.progress = Progress("preparing", 0.0, None)
        self.started = self.cancelled = self.waited = False

    def start(self) -> None:
        self.started = True

    def poll(self) -> Progress:
        return self.progress

    def cancel(self, wait: bool = False) -> None:
        self.cancelled, self.waited = True, wait
        if wait:
            self.outcome = Outcome.CANCELLED

    def fail(self, error: str, details: str = "") -> None:
        """End with an error."""
        self.error, self.details, self.outcome = error, details, Outcome.FAILED


class FakeRun(FakeWork):
    """A detection."""

    last: FakeRun

    def __init__(self, volume: Volume, request: DetectionRequest) -> None:
        super().__init__()
        self.volume, self.request = volume, request
        self.result: DetectionResult | None = None
        self.record = ""
        FakeRun.last = self

    def finish(self, folder: Path, scores: tuple[float, ...] = SCORES, warnings: tuple[str, ...] = ()) -> None:
        """End with a result, which goes through the files that the worker writes."""
        folder.mkdir(exist_ok=True)
        save_result(result_for(self.volume, scores, warnings), self.volume, folder)
        self.result, self.record = load_result(folder)
        self.outcome = Outcome.FINISHED


def write_card(folder: Path, default_threshold: float = 0.5, clinical: float = 0.05) -> Path:
    """What of a folder of weights is read without PyTorch; 95 % are found up to the clinical threshold."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {"sensitivity": 0.96, "fp_per_scan": 6.0, "bands": {"4-6 mm": 0.7}}
    points = POINTS if clinical == POINTS[0]["threshold"] else [*POINTS, {"threshold": clinical, **found}]
    card = {
        "name": "Test network",
        "version": "2.1",
        "default_threshold": default_threshold,
        "operating_table": points,
        "metrics": {"validation": "twelve test scans"},
    }
    for name in ("classification.json", "segmentation.json"):
        (folder / name).write_text(json.dumps(card), encoding="utf-8")
    return folder
