"""Lung-RADS v2022 as data: every bound and category, and where it is written.

Sources: ACR, Lung-RADS v2022 assessment categories and its numbered notes (November 2022); Christensen et al., Chest
165:738 (2024), which explains them. Texts are ours. Nodules of the airways and atypical cysts are not measured by this
program and stay a reader's override.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..findings import DensityType

GUIDELINE = "Lung-RADS v2022"
TABLE = "ACR Lung-RADS v2022, assessment categories"
CATEGORIES = ("0", "1", "2", "3", "4A", "4B", "4X")
"""From the least to the most suspicious; 0 is no statement."""

State = Literal["baseline", "new", "stable", "growing", "slow"]
"""First screening; new since the prior; not grown; grown; grown, but in no 12 months enough to count."""


@dataclass(frozen=True)
class Bound:
    """A size, as a mean diameter and as a volume."""

    mm: int
    mm3: int


D4, D6, D8, D10 = Bound(4, 34), Bound(6, 113), Bound(8, 268), Bound(10, 524)
D15, D30 = Bound(15, 1767), Bound(30, 14137)


@dataclass(frozen=True)
class Row:
    """One line: which nodules get a category. Of several that fit, the first one counts.

    :param at_least, below: of the whole nodule; `solid_at_least`, `solid_below` of its solid part. A nodule of exactly
        the bound is at least it, never below it.
    :param smooth_juxtapleural: only for solid nodules on the pleura with a smooth margin and a benign shape.
    """

    category: str
    densities: tuple[DensityType, ...]
    states: tuple[State, ...]
    at_least: Bound | None = None
    below: Bound | None = None
    solid_at_least: Bound | None = None
    solid_below: Bound | None = None
    smooth_juxtapleural: bool = False
    source: str = TABLE


ALL_STATES: tuple[State, ...] = ("baseline", "new", "stable", "growing", "slow")
SOLID: tuple[DensityType, ...] = ("solid",)
PART_SOLID: tuple[DensityType, ...] = ("part-solid",)
GROUND_GLASS: tuple[DensityType, ...] = ("ground-glass",)
BENIGN: tuple[DensityType, ...] = ("calcified", "fat")

ROWS: tuple[Row, ...] = (
    Row("1", BENIGN, ALL_STATES),
    # The table says below 10 mm; summaries of it say up to 10 mm. The stricter one is kept.
    Row(
        "2",
        SOLID,
        ("baseline", "new", "stable"),
        below=D10,
        smooth_juxtapleural=True,
        source=f"{TABLE}, juxtapleural nodule",
    ),
    # Solid nodules.
    Row("4B", SOLID, ("slow",), source="ACR Lung-RADS v2022, note 8 (slow growing solid nodule)"),
    Row("4B", SOLID, ("growing", "new"), at_least=D8),
    Row("4A", SOLID, ("growing",), below=D8),
    Row("4A", SOLID, ("new",), at_least=D6, below=D8),
    Row("3", SOLID, ("new",), at_least=D4, below=D6),
    Row("2", SOLID, ("new",), below=D4),
    Row("4B", SOLID, ("baseline",), at_least=D15),
    Row("4A", SOLID, ("baseline",), at_least=D8, below=D15),
    Row("3", SOLID, ("baseline",), at_least=D6, below=D8),
    Row("2", SOLID, ("baseline",), below=D6),
    # Part-solid nodules. Growing is said of the solid part.
    Row("4B", PART_SOLID, ("slow",), source="ACR Lung-RADS v2022, note 8 (slow growing part-solid nodule)"),
    Row("4B", PART_SOLID, ("growing", "new"), solid_at_least=D4),
    Row("4A", PART_SOLID, ("growing",), solid_below=D4),
    Row("4A", PART_SOLID, ("new",), at_least=D6, solid_below=D4),
    Row("3", PART_SOLID, ("new",), below=D6, solid_below=D4),
    Row("4B", PART_SOLID, ("baseline",), solid_at_least=D8),
    Row("4A", PART_SOLID, ("baseline",), at_least=D6, solid_at_least=D6, solid_below=D8),
    Row("3", PART_SOLID, ("baseline",), at_least=D6, solid_below=D6),
    Row("2", PART_SOLID, ("baseline",), below=D6),
    # Ground-glass nodules.
    Row("2", GROUND_GLASS, ALL_STATES, below=D30),
    Row("2", GROUND_GLASS, ("slow", "stable"), at_least=D30, source=f"{TABLE}, and note 7 (slow growing)"),
    Row("3", GROUND_GLASS, ("baseline", "new", "growing"), at_least=D30),
)

GROWTH_MM = 1.5
"""Growth is a mean diameter larger by more than this within 12 months (note 6). The note's 2 mm3 is the volume of a
sphere of that diameter, not a volume difference that could be measured, and is not used."""
YEAR_DAYS = 366
"""An interval of up to 12 months, in days."""


@dataclass(frozen=True)
class Step:
    """Stepped management: what a stable or smaller nodule goes to after how long.

    :param after_days: the follow-up's months less two weeks, because appointments are not to the day.
    """

    category: str
    months: int
    after_days: int


STEPS: dict[str, Step] = {"3": Step("2", 6, 168), "4A": Step("3", 3, 77)}
"""From the ACR's table; a nodule of 4B or 4X stays there until a work-up proves it benign."""

RESOLVES = ("3", "4A", "4B", "4X")
"""Categories of nodules after which an examination without them is 2, not 1. The table names 3 and 4A, and 4B proven
benign; a nodule that has vanished is taken as that."""

MANAGEMENT: dict[str, str] = {
    "0": "More screening CT images, the prior examinations, or a low-dose CT in 1 to 3 months, as the reason asks.",
    "1": "Low-dose screening CT in 12 months.",
    "2": "Low-dose screening CT in 12 months.",
    "3": "Low-dose CT in 6 months.",
    "4A": "Low-dose CT in 3 months; PET/CT may be considered when a solid nodule or solid part is 8 mm or more.",
    "4B": "Referral for clinical evaluation: diagnostic chest CT with or without contrast, PET/CT when a solid nodule "
    "or solid part is 8 mm or more, or tissue sampling, by the probability of cancer and the patient's condition.",
}
MANAGEMENT["4X"] = MANAGEMENT["4B"]

SIGNIFICANT = "Also, as the significant other finding asks: {findings}."
