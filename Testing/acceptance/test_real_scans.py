"""The shipped weights on real scans and on the phantom: what the README promises, on the promised data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from LungNoduleCADLib.detection.detector import Detector
from LungNoduleCADLib.findings import Candidate, DetectionResult
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.simulation import NoduleSpec, make_phantom


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load()


def found(result: DetectionResult, center_lps: tuple[float, float, float], radius_mm: float) -> list[Candidate]:
    """Candidates whose centre lies within a nodule."""
    return [c for c in result.candidates if np.linalg.norm(np.subtract(c.center_lps, center_lps)) < radius_mm]


@pytest.mark.parametrize(
    ("scan", "center_lps", "diameter_mm"),
    [
        ("LIDC-IDRI-0314", (-57.44, 131.23, -520.36), 15.49),
        ("LIDC-IDRI-0003-slab", (72.29, 76.90, -190.46), 21.45),
    ],
)
def test_the_known_nodule_is_the_first_candidate_and_measured_right(
    detector: Detector, shared_data: Path, scan: str, center_lps: tuple[float, float, float], diameter_mm: float
) -> None:
    result = detector.detect(read_volume(shared_data / "ct" / scan))
    first = result.candidates[0]
    assert found(result, center_lps, diameter_mm / 2)[0] is first
    assert first.measurements.diameter_mm == pytest.approx(diameter_mm, rel=0.2)
    assert first.score >= result.threshold


def test_the_same_scan_gives_the_same_candidates(detector: Detector, shared_data: Path) -> None:
    volume = read_volume(shared_data / "ct" / "LIDC-IDRI-0003-slab")
    first, second = (detector.detect(volume) for _ in range(2))
    assert [(c.center_lps, c.score) for c in first.candidates] == [(c.center_lps, c.score) for c in second.candidates]


def test_a_cube_without_a_lung_mask_works(detector: Detector, shared_data: Path) -> None:
    from LungNoduleCADLib.volume import Volume

    data = np.load(shared_data / "lidc-nodules" / "cubes.npz")
    hits = 0
    for n in range(0, 80, 8):
        result = detector.detect(Volume.from_geometry(data["hu"][n]), lung_mask=None)
        center = np.argwhere(data["mask"][n]).mean(axis=0)[::-1]
        radius = (3 * data["mask"][n].sum() / (4 * np.pi)) ** (1 / 3)
        near = found(result, (center[0], center[1], center[2]), radius)
        hits += bool(near and near[0].score >= result.threshold)
    assert hits >= 8


def test_solid_nodules_of_the_phantom_are_found(detector: Detector) -> None:
    specs = [NoduleSpec(diameter_mm=d, density="solid", location="isolated") for d in (6.0, 8.0, 12.0)]
    phantom = make_phantom(seed=3, nodules=specs, size="small")
    result = detector.detect(phantom.volume)
    for nodule in phantom.nodules:
        assert nodule.diameter_mm is not None
        hit = found(result, nodule.center_lps, nodule.diameter_mm / 2)
        assert hit and hit[0].score >= result.threshold, nodule
        assert hit[0].measurements.diameter_mm == pytest.approx(nodule.diameter_mm, rel=0.25)
