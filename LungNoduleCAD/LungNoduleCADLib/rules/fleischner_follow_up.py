"""What a prior adds to Fleischner's suggestion, which the guideline gives for the first detection: growth, stability.

Sources: MacMahon et al., Radiology 284:228 (2017), on what follows growth and when follow-up ends; Bankier et al.,
Radiology 285:584 (2017), the same society's on measuring, for growth of at least 2 mm.
"""

from __future__ import annotations

from .facts import NoduleFacts, Prior, as_judged, tenths
from .fleischner_table import NO_FOLLOW_UP

GROWTH_MM = 2.0
STABLE_DAYS = {"solid": 730, "part-solid": 1826, "ground-glass": 1826}
"""From the first detection: two years for solid nodules, five for subsolid ones."""
STABLE_YEARS = {"solid": "two", "part-solid": "five", "ground-glass": "five"}
TWO_WEEKS = 14
"""Appointments are not to the day."""
GREW = "It has grown: PET/CT, tissue sampling or removal, by the individual case."


def follow_up(
    nodule: NoduleFacts, prior: Prior, management: str, months: float | None
) -> tuple[str, float | None, str]:
    """Management, months until it is due, and what the prior says in words.

    :param management, months: what the guideline says of the nodule at its first detection.
    """
    nodule = as_judged(nodule)
    since = f"the prior of {prior.interval_days} days ago"
    if prior.nodule is None:
        return management, months, f" New since {since}: intervals count from now."
    before = as_judged(prior.nodule)
    increase = tenths(nodule.mean_diameter_mm) - tenths(before.mean_diameter_mm)
    solid = 0
    if nodule.density == "part-solid" and nodule.solid_diameter_mm is not None:
        solid = tenths(nodule.solid_diameter_mm) - tenths(before.solid_diameter_mm or 0.0)
    change = f"{abs(increase) / 10:.1f} mm {'smaller' if increase < 0 else 'larger'} than"
    words = f" It is {change if increase else 'as large as'} in {since}"
    if max(increase, solid) >= tenths(GROWTH_MM):
        if increase < solid:
            words = f" Its solid part is {solid / 10:.1f} mm larger than in {since}"
        return GREW, 0, f"{words}, which is growth (at least {GROWTH_MM:g} mm). Without it: {management}"
    words += f", within the {GROWTH_MM:g} mm that measuring leaves open."
    if prior.interval_days >= STABLE_DAYS[nodule.density] - TWO_WEEKS:
        years = STABLE_YEARS[nodule.density]
        return NO_FOLLOW_UP, None, f"{words} Unchanged for {years} years, which ends the follow-up."
    return (
        management,
        months,
        f"{words} Intervals count from its first detection, then or before.",
    )
