"""Input checks: what is warned of, with the bounds tested from both sides."""

from __future__ import annotations

import numpy as np
import pytest
from io_inputs import chest_hu

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io import check_quality
from LungNoduleCADLib.io.quality import soft_tissue_noise_hu
from LungNoduleCADLib.volume import Volume

GOOD_SPACING = (1.0, 1.1, 1.1)
SHAPE = (85, 190, 200)


@pytest.fixture(scope="module")
def chest() -> np.ndarray:
    return chest_hu(SHAPE)


def _codes(voxels: np.ndarray, spacing: tuple[float, float, float] = GOOD_SPACING, **kwargs: object) -> set[str]:
    metadata = kwargs.pop("metadata", None)
    volume = Volume.from_geometry(voxels, spacing_kji_mm=spacing, metadata=metadata, **kwargs)  # type: ignore[arg-type]
    return {f.code for f in check_quality(volume)}


def test_a_good_scan_has_no_findings(chest: np.ndarray) -> None:
    assert _codes(chest) == set()


@pytest.mark.parametrize(
    ("spacing", "code", "found"),
    [
        ((1.5, 1.1, 1.1), "thick_slices", False),
        ((1.6, 1.1, 1.1), "thick_slices", True),
        ((3.0, 1.1, 1.1), "thick_slices", True),
        ((3.0001, 1.1, 1.1), "thick_slices", True),
        ((0.5, 1.1, 1.1), "fine_spacing", False),
        ((0.4, 1.1, 1.1), "fine_spacing", True),
        ((1.0, 1.2, 1.2), "coarse_pixels", False),
        ((1.0, 1.3, 1.3), "coarse_pixels", True),
        ((1.0, 1.1, 1.1), "pixels_not_square", False),
        ((1.0, 1.1, 1.0), "pixels_not_square", True),
        ((0.95, 1.1, 1.1), "partial", False),
        ((0.93, 1.1, 1.1), "partial", True),
        ((1.0, 1.06, 1.06), "small_field_of_view", False),
        ((1.0, 1.04, 1.04), "small_field_of_view", True),
    ],
)
def test_warns_from_the_bound_on(
    chest: np.ndarray, spacing: tuple[float, float, float], code: str, found: bool
) -> None:
    assert (code in _codes(chest, spacing)) is found


@pytest.mark.parametrize(
    ("spacing", "thickness"), [((3.2, 1.1, 1.1), None), ((2.0, 1.1, 1.1), 5.0), ((1.0, 2.1, 2.1), None)]
)
def test_refuses_what_is_too_coarse(
    chest: np.ndarray, spacing: tuple[float, float, float], thickness: float | None
) -> None:
    with pytest.raises(InputError, match=r"too (thick|coarse) to show nodules"):
        _codes(chest, spacing, metadata={"slice_thickness_mm": thickness})


def test_warns_of_tissue_between_slices_that_was_not_imaged(chest: np.ndarray) -> None:
    assert _codes(chest, metadata={"slice_thickness_mm": 1.0}) == set()
    assert _codes(chest, metadata={"slice_thickness_mm": 0.6}) == {"gaps_between_slices"}


@pytest.mark.parametrize(("degrees", "found"), [(0.5, False), (1.5, True), (40.0, True)])
def test_warns_of_tilt(chest: np.ndarray, degrees: float, found: bool) -> None:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    assert ("tilted" in _codes(chest, direction=[[1, 0, 0], [0, c, -s], [0, s, c]])) is found


def test_refuses_slices_that_are_not_axial(chest: np.ndarray) -> None:
    with pytest.raises(InputError, match="axial"):
        _codes(chest, direction=[[1, 0, 0], [0, 0, 1], [0, -1, 0]])


def test_refuses_a_volume_known_to_be_no_ct(chest: np.ndarray) -> None:
    with pytest.raises(InputError, match="is MR, not CT"):
        _codes(chest, metadata={"modality": "MR"})


@pytest.mark.parametrize("noise", [5.0, 25.0, 90.0])
def test_estimates_the_noise_in_soft_tissue(noise: float) -> None:
    truth = np.full((10, 120, 120), 45.0)
    truth[:, 30:60, 30:60] = -850
    noisy = truth + np.random.default_rng(0).normal(0, noise, truth.shape)
    assert soft_tissue_noise_hu(noisy) == pytest.approx(noise, rel=0.1)
    assert ("noisy" in _codes(noisy)) is (noise > 60)


def test_noise_is_unknown_without_soft_tissue() -> None:
    assert soft_tissue_noise_hu(np.full((10, 50, 50), -800, np.int16)) is None


def test_findings_of_reading_come_first(chest: np.ndarray) -> None:
    entry = {"code": "irregular_spacing", "message": "Slice distances vary.", "severity": "warning"}
    volume = Volume.from_geometry(chest, spacing_kji_mm=(1.6, 1.1, 1.1), metadata={"reading_findings": [entry]})
    assert [f.code for f in check_quality(volume)] == ["irregular_spacing", "thick_slices"]


def test_names_the_source_it_refuses() -> None:
    volume = Volume.from_geometry(np.full((9, 20, 20), -1000, np.int16), metadata={"source": "/data/scan.nrrd"})
    with pytest.raises(InputError, match=r"^/data/scan\.nrrd holds nothing but air"):
        check_quality(volume)
