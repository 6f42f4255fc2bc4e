"""How much a nodule changed between two scans, and what of it its measurements' repeatability leaves certain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..rules import NoduleFacts
from ..rules.facts import tenths
from ..rules.lung_rads_table import GROWTH_MM, YEAR_DAYS

Trend = Literal["stable", "growing", "shrinking"]

SIGNIFICANT_SHARE = 0.25
"""Change of the volume from which on it counts: British Thoracic Society guideline (Callister et al., Thorax 70:ii1,
2015), and NELSON."""
REPEATED_SHARE = 0.27
"""95 % limits of the difference between two scans' volumes of one unchanged solid nodule in a screening trial
(Marchiano et al., Radiology 251:919, 2009; 233 nodules, 1 mm slices)."""
SMALL_SPREAD = 0.5
"""Standard deviation of the logarithm of a volume, times diameter over slice thickness (at least 1 mm): what blur and
partial volume add in small nodules and thick slices. A cautious choice, not a fit (docs/growth.md)."""
NORMAL_95 = 1.96
LONGEST_DAYS = 1e5


@dataclass(frozen=True)
class Change:
    """From the prior to the current scan.

    :param volume_ratio: volume now over volume then; `ratio_low` and `ratio_high` are its 95 % limits.
    :param diameter_mm: mean diameter now less then; :param solid_mm: of the solid part, where both were measured.
    :param doubling_days: volume doubling time, negative for halving; None without dates or when there is no change.
    :param fastest_days, slowest_days: its 95 % limits towards growth; None where that limit is no growth at all.
    :param significant: the volume changed by at least 25 %, and by more than its repeatability.
    :param lung_rads_growth: the mean diameter, that of the solid part in a part-solid nodule, grew by more than 1.5 mm
        in 12 months; None without dates.
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

    @property
    def trend(self) -> Trend:
        """What it comes to."""
        if (self.significant and self.volume_ratio > 1) or self.lung_rads_growth:
            return "growing"
        return "shrinking" if self.significant else "stable"


def volume_spread(diameter_mm: float, slice_mm: float) -> float:
    """Standard deviation of the logarithm of a measured volume: the published one, or the larger one that the nodule's
    size and the slice's thickness make.

    :param slice_mm: the larger of the slices' distance and thickness.
    """
    published = math.log1p(REPEATED_SHARE) / NORMAL_95 / math.sqrt(2)
    return max(published, SMALL_SPREAD * max(slice_mm, 1.0) / max(diameter_mm, 1.0))


def change_between(
    now: tuple[NoduleFacts, float, float], before: tuple[NoduleFacts, float, float], interval_days: int | None
) -> Change:
    """The change of one nodule.

    :param now, before: its facts, its measured volume (mm3, above 0), and the thickness of the slices.
    :param interval_days: between the two; None when it is unknown.
    """
    (facts, volume, slice_mm), (former, volume_then, slice_then_mm) = now, before
    spread = math.hypot(
        volume_spread(_sphere_mm(volume), slice_mm), volume_spread(_sphere_mm(volume_then), slice_then_mm)
    )
    growth, margin = math.log(volume / volume_then), NORMAL_95 * spread
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
    )


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
