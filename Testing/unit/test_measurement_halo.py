"""What around a solid part is a part-solid nodule's ground-glass: dense enough, on enough sides, and even."""

from __future__ import annotations

import numpy as np
import pytest

from LungNoduleCADLib.measurement import RefineSettings
from LungNoduleCADLib.measurement.halo import halo_density
from LungNoduleCADLib.measurement.local_box import LocalBox

LUNG_HU, SOLID = -850.0, 4.0
RADIUS = np.linalg.norm(np.indices((31, 31, 31)) - 15.0, axis=0)


def found(halo_hu: float, sd: float, sides: float = 1.0) -> float | None:
    """What is said of a solid ball with a halo of that density and unevenness on a share of its sides."""
    hu = np.full(RADIUS.shape, LUNG_HU, dtype=np.float32)
    there = (RADIUS < SOLID + 6) & (np.indices(RADIUS.shape)[1] <= 31 * sides)
    hu[there] = halo_hu + sd * np.random.default_rng(0).standard_normal(int(there.sum()))
    hu[RADIUS < SOLID] = 40
    box = LocalBox(np.zeros(3, dtype=np.intp), np.ones(3), hu, RADIUS < SOLID)
    settings = RefineSettings()
    return halo_density(
        box,
        RADIUS < SOLID,
        np.ones(hu.shape, dtype=bool),
        LUNG_HU,
        settings.halo_share,
        settings.halo_sd,
        settings.halo_variation,
    )


def test_an_even_halo_is_ground_glass_of_its_density_and_lung_is_none() -> None:
    assert found(-600, 30) == pytest.approx(-600, abs=15)
    assert found(LUNG_HU, 30) is None


@pytest.mark.parametrize(("halo_hu", "sd", "is_even"), [(-620, 55, True), (-620, 85, False), (-470, 85, True)])
def test_a_halo_may_vary_with_its_contrast(halo_hu: float, sd: float, is_even: bool) -> None:
    assert (found(halo_hu, sd) is not None) == is_even


def test_what_lies_on_few_sides_is_a_vessel() -> None:
    assert found(-600, 30, sides=0.6) is not None
    assert found(-600, 30, sides=0.3) is None
