"""What the guidelines ask about a nodule, its prior, the patient and the examination."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import InputError
from ..findings import DensityType, Measurements

Basis = Literal["diameter", "volume"]
"""Which size decides. Both guidelines give every bound as a diameter and as a volume."""


@dataclass(frozen=True)
class NoduleFacts:
    """One nodule as the guidelines see it; lengths in mm, volumes in mm3.

    :param mean_diameter_mm: mean of long and short axis in one plane.
    :param solid_diameter_mm: the same of a part-solid nodule's solid part; None when it was not measured, and the whole
        nodule's then stands in for it.
    :param juxtapleural: touches the pleura, costal, mediastinal, diaphragmatic or interlobar.
    :param smooth: a reader saw a smooth margin and an oval, lentiform or triangular shape.
    :param suspicious: features beyond size that a reader saw: spiculation, lymphadenopathy, metastases ...
    :param benign_calcification: a reader saw a complete, central, popcorn or concentric calcification (True) or another
        one (False); None when nobody looked.
    :param note: how the size was obtained when not by this program, such as a reader's callipers; quoted in the reason.
    :raises InputError: when a size is not above zero, or the solid part is larger than the nodule.
    """

    density: DensityType
    mean_diameter_mm: float
    solid_diameter_mm: float | None = None
    volume_mm3: float | None = None
    solid_volume_mm3: float | None = None
    juxtapleural: bool = False
    smooth: bool = False
    suspicious: tuple[str, ...] = ()
    benign_calcification: bool | None = None
    note: str = ""

    def __post_init__(self) -> None:
        sizes = (self.mean_diameter_mm, self.solid_diameter_mm, self.volume_mm3, self.solid_volume_mm3)
        if any(size is not None and not (math.isfinite(size) and size >= 0) for size in sizes) or (
            self.mean_diameter_mm <= 0 or self.volume_mm3 == 0
        ):
            raise InputError(f"The nodule's sizes {sizes} cannot be classified; measure it again.")
        if (self.solid_diameter_mm or 0) > self.mean_diameter_mm or (
            self.volume_mm3 is not None and (self.solid_volume_mm3 or 0) > self.volume_mm3
        ):
            raise InputError("The nodule's solid part is larger than the nodule; measure both again.")

    @property
    def looks_like_lymph_node(self) -> bool:
        """On the pleura, with a smooth margin and a benign shape, and nothing against it."""
        return self.juxtapleural and self.smooth and not self.suspicious


@dataclass(frozen=True)
class Prior:
    """What an earlier examination says of a nodule.

    :param interval_days: from the earlier examination to this one.
    :param nodule: the same nodule then; None when it was not there: it is new.
    :param category: its Lung-RADS category then; None takes the one its size then would have had at first screening.
    :param grew_slowly: it grew over several examinations, never enough to count as growth in 12 months.
    :raises InputError: when the interval is not at least a day.
    """

    interval_days: int
    nodule: NoduleFacts | None = None
    category: str | None = None
    grew_slowly: bool = False

    def __post_init__(self) -> None:
        if self.interval_days < 1:
            raise InputError(
                f"The prior lies {self.interval_days} days back; compare with an examination of an earlier day."
            )


@dataclass(frozen=True)
class ScreeningExam:
    """What a reader says of a screening examination as a whole.

    :param not_evaluable: what part of the lungs cannot be judged; empty when all can.
    :param awaiting_prior: earlier examinations exist and are being located.
    :param suspected_infection: what looks like an infection or inflammation; empty for nothing.
    :param significant: findings other than lung cancer that matter: the modifier S.
    """

    not_evaluable: str = ""
    awaiting_prior: bool = False
    suspected_infection: str = ""
    significant: tuple[str, ...] = ()


@dataclass(frozen=True)
class Patient:
    """Who the nodule was found in, as far as it decides whether and how Fleischner's guideline applies; None is
    unknown."""

    age_years: float | None = None
    known_cancer: bool | None = None
    immunosuppressed: bool | None = None
    screening: bool = False
    high_risk: bool | None = None


def facts_of(
    measured: Measurements,
    *,
    callipers_mm: tuple[float, float] | None = None,
    solid_callipers_mm: tuple[float, float] | None = None,
    density: DensityType | None = None,
    smooth: bool = False,
    suspicious: tuple[str, ...] = (),
    benign_calcification: bool | None = None,
) -> NoduleFacts:
    """The facts of a measured candidate, with what a reader corrected in place of what was measured.

    :param callipers_mm: a reader's long and short axis; `solid_callipers_mm` of the solid part. A reader's diameter
        leaves no volume to go by.
    """
    diameter = mean_diameter_mm(*(callipers_mm or (measured.long_axis_mm, measured.short_axis_mm)))
    solid = measured.solid_diameter_mm if solid_callipers_mm is None else mean_diameter_mm(*solid_callipers_mm)
    note = ""
    if callipers_mm is not None:
        automatic = mean_diameter_mm(measured.long_axis_mm, measured.short_axis_mm)
        note = f"by a reader's callipers, {automatic:.1f} mm measured automatically"
    return NoduleFacts(
        density=density or measured.density,
        mean_diameter_mm=diameter,
        # Two measurements of nearly the same thing may cross by a fraction of a voxel.
        solid_diameter_mm=None if solid is None else min(solid, diameter),
        volume_mm3=measured.volume_mm3 if callipers_mm is None else None,
        solid_volume_mm3=measured.solid_volume_mm3 if callipers_mm is None and solid_callipers_mm is None else None,
        juxtapleural=bool(measured.juxtapleural),
        smooth=smooth,
        suspicious=suspicious,
        benign_calcification=benign_calcification,
        note=note,
    )


def as_judged(nodule: NoduleFacts) -> NoduleFacts:
    """The nodule; as a solid one when it is calcified and a reader found the calcification not to be a benign one."""
    judged = nodule.density == "calcified" and nodule.benign_calcification is False
    return replace(nodule, density="solid") if judged else nodule


def mean_diameter_mm(long_axis_mm: float, short_axis_mm: float) -> float:
    """Mean of two axes, each to a tenth of a millimetre, to a tenth (Lung-RADS v2022, note on measurement)."""
    return tenths((tenths(long_axis_mm) + tenths(short_axis_mm)) / 20) / 10


def tenths(value_mm: float) -> int:
    """A length in whole tenths of a millimetre, halves upwards: comparing these is free of binary fractions."""
    return rounded(value_mm * 10)


def rounded(value: float) -> int:
    """The nearest whole number, halves upwards as people round, and what is a half but for rounding errors too."""
    return math.floor(value + 0.5 + 1e-9)
