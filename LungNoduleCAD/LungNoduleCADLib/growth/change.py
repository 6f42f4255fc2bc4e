"""How much a nodule changed between two scans, and what of it its measurements' repeatability leaves certain."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from ..findings import DensityType
from ..rules import NoduleFacts
from ..rules.facts import tenths
from ..rules.lung_rads_table import GROWTH_MM, YEAR_DAYS
from .pair import AlikeMeasured

Trend = Literal["stable", "growing", "shrinking"]

SIGNIFICANT_SHARE = 0.25
"""Change of the volume from which on it counts: British Thoracic Society guideline (Callister et al., Thorax 70:ii1,
2015), and NELSON."""
REPEATED_SHARE = 0.27
"""95 % limits of the difference between two scans' volumes of one unchanged solid nodule in a screening trial
(Marchiano et al., Radiology 251:919, 2009; 233 nodules, 1 mm slices)."""
SMALL_SPREAD, SMALL_SPREAD_ALIKE = 0.5, 0.2
"""Standard deviation of the logarithm of a volume, times diameter over slice thickness (at least 1 mm): what blur and
partial volume add in small nodules and thick slices; the second where both scans were measured alike. Cautious
choices, no fits (docs/growth.md)."""
GROUND_GLASS_FACTOR = 1.5
"""How much worse the volumes of ground-glass nodules repeat: in docs/growth.md about twice as ill as solid ones', whose
published limits are far wider than those found there."""
SAME_DENSITY_HU = 100.0
"""A nodule whose densest place differs by less is of the same type, whatever each scan alone made of it."""
NORMAL_95 = 1.96
LONGEST_DAYS = 1e5


@dataclass(frozen=True)
class Change:
    """From the prior to the current scan.

    :param volume_ratio: volume now over volume then; `ratio_low` and `ratio_high` are its 95 % limits.
    :param before_mm, before_mm3: mean diameter and volume then; as the scan of now would have measured them where both
        were measured alike.
    :param diameter_mm: mean diameter now less then; :param solid_mm: of the solid part, where both were measured.
    :param doubling_days: volume doubling time, negative for halving; None without dates or when there is no change.
    :param fastest_days, slowest_days: its 95 % limits towards growth; None where that limit is no growth at all.
    :param significant: the volume changed by at least 25 %, and by more than its repeatability.
    :param lung_rads_growth: the mean diameter, that of the solid part in a part-solid nodule, grew by more than 1.5 mm
        in 12 months; None without dates.
    :param alike: both scans were measured in one region by one rule; else each by its own outline.
    """

    volume_ratio: float
    ratio_low: float
    ratio_high: float
    diameter_mm: float
    solid_mm: float | None
    doubling_days: float | None
    fastest_days: float | None
    slowest_days: float | None
    significant: bool
    lung_rads_growth: bool | None
    before_mm: float
    before_mm3: float
    alike: bool

    @property
    def trend(self) -> Trend:
        """What it comes to."""
        if (self.significant and self.volume_ratio > 1) or self.lung_rads_growth:
            return "growing"
        return "shrinking" if self.significant else "stable"


def volume_spread(diameter_mm: float, slice_mm: float, small: float = SMALL_SPREAD) -> float:
    """Standard deviation of the logarithm of a measured volume: the published one, or the larger one that the nodule's
    size and the slice's thickness make.

    :param slice_mm: the larger of the slices' distance and thickness. :param small: of `SMALL_SPREAD`.
    """
    published = math.log1p(REPEATED_SHARE) / NORMAL_95 / math.sqrt(2)
    return max(published, small * max(slice_mm, 1.0) / max(diameter_mm, 1.0))


def change_between(
    now: tuple[NoduleFacts, float, float],
    before: tuple[NoduleFacts, float, float],
    interval_days: int | None,
    alike: AlikeMeasured | None = None,
) -> Change:
    """The change of one nodule.

    :param now, before: its facts, its measured volume (mm3, above 0), and the thickness of the slices.
    :param interval_days: between the two; None when it is unknown.
    :param alike: the ratio of its volumes by one measurement of both; None takes the two that were measured apart.
    """
    (facts, volume, slice_mm), (former, volume_then, slice_then_mm) = now, before
    if alike is not None:
        volume_then = volume / alike.volume_ratio
        former = measured_as_now(facts, former, alike)
    growth = math.log(volume / volume_then)
    margin = NORMAL_95 * _spread((volume, slice_mm), (volume_then, slice_then_mm), facts.density, alike)
    ratio = math.exp(growth)
    significant = abs(ratio - 1) >= SIGNIFICANT_SHARE and abs(growth) > margin
    solid = None
    if facts.solid_diameter_mm is not None and former.solid_diameter_mm is not None:
        solid = facts.solid_diameter_mm - former.solid_diameter_mm
    diameter = facts.mean_diameter_mm - former.mean_diameter_mm
    deciding = solid if facts.density == "part-solid" and solid is not None else diameter
    return Change(
        volume_ratio=ratio,
        ratio_low=math.exp(growth - margin),
        ratio_high=math.exp(growth + margin),
        diameter_mm=diameter,
        solid_mm=solid,
        doubling_days=_doubling_days(growth, interval_days),
        fastest_days=_doubling_days(growth + margin, interval_days, only_growth=True),
        slowest_days=_doubling_days(growth - margin, interval_days, only_growth=True),
        significant=significant,
        lung_rads_growth=None if interval_days is None else _grew_by_lung_rads(deciding, interval_days),
        before_mm=former.mean_diameter_mm,
        before_mm3=volume_then,
        alike=alike is not None,
    )


def measured_as_now(facts: NoduleFacts, former: NoduleFacts, alike: AlikeMeasured) -> NoduleFacts:
    """The nodule of the prior as it would have been measured now: its size by the ratio of the volumes, and its type
    today's where it is as dense as it was. A reader's callipers in either stand as they are."""
    if facts.note or former.note:
        return former
    shrunk = alike.volume_ratio ** (-1 / 3)
    diameter = max(tenths(facts.mean_diameter_mm * shrunk) / 10, 0.1)
    like, solid = former, former.solid_diameter_mm
    if former.density != facts.density and abs(alike.density_hu) < SAME_DENSITY_HU:
        like, solid = facts, None if facts.solid_diameter_mm is None else facts.solid_diameter_mm * shrunk
    if solid is not None and like.density != "part-solid":
        solid = diameter if solid > 0 else 0.0
    volume = None if facts.volume_mm3 is None else facts.volume_mm3 / alike.volume_ratio
    solid_volume = like.solid_volume_mm3
    return replace(
        like,
        mean_diameter_mm=diameter,
        solid_diameter_mm=None if solid is None else min(solid, diameter),
        volume_mm3=volume,
        solid_volume_mm3=None if volume is None or solid_volume is None else min(solid_volume, volume),
    )


def _spread(
    now: tuple[float, float], before: tuple[float, float], density: DensityType, alike: AlikeMeasured | None
) -> float:
    """Standard deviation of the logarithm of the ratio of two volumes, each with its slice thickness."""
    small = SMALL_SPREAD if alike is None else SMALL_SPREAD_ALIKE
    spread = math.hypot(*(volume_spread(_sphere_mm(volume), slice_mm, small) for volume, slice_mm in (now, before)))
    return spread * (GROUND_GLASS_FACTOR if density == "ground-glass" else 1.0)


def _doubling_days(growth: float, interval_days: int | None, only_growth: bool = False) -> float | None:
    """Schwartz 1961: ln 2 times the interval over the logarithm of the ratio; None where it has no end."""
    if interval_days is None or interval_days < 1 or (only_growth and growth <= 0):
        return None
    if abs(growth) * LONGEST_DAYS < math.log(2) * interval_days:
        return None
    return math.log(2) * interval_days / growth


def _grew_by_lung_rads(increase_mm: float, interval_days: int) -> bool:
    per_year = increase_mm * min(YEAR_DAYS / max(interval_days, 1), 1.0)
    return tenths(per_year) > tenths(GROWTH_MM)


def _sphere_mm(volume_mm3: float) -> float:
    return (6 * volume_mm3 / math.pi) ** (1 / 3)
