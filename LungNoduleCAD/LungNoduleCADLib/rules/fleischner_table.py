"""Fleischner Society 2017 as data: MacMahon et al., Radiology 284:228 (2017), table 1 and the text beside it. Texts are
ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..findings import DensityType

GUIDELINE = "Fleischner 2017"
SOURCE = "MacMahon et al., Radiology 284:228 (2017)"
TABLE_SOLID, TABLE_SUBSOLID = f"{SOURCE}, table 1A", f"{SOURCE}, table 1B"

SizeClass = Literal["small", "medium", "large", "mass"]

FIRST_MM, LAST_MEDIUM_MM, LAST_NODULE_MM = 6, 8, 30
FIRST_MM3, LAST_MEDIUM_MM3, LAST_NODULE_MM3 = 100, 250, 14137
"""Below the first no routine follow-up, up to and including the second the middle class, above it the large one; more
than 30 mm is a mass. Diameters are rounded to whole millimetres before, volumes to whole mm3."""

SIZE_WORDS: dict[SizeClass, dict[str, str]] = {
    "small": {"diameter": "below 6 mm", "volume": "below 100 mm3"},
    "medium": {"diameter": "6 to 8 mm", "volume": "100 to 250 mm3"},
    "large": {"diameter": "above 8 mm", "volume": "above 250 mm3"},
    "mass": {"diameter": "above 30 mm", "volume": "above 14137 mm3"},
}

LEAST_AGE_YEARS = 35

FAMILIES: dict[DensityType, str] = {"solid": "solid", "part-solid": "subsolid", "ground-glass": "subsolid"}
"""Nodules that count together as single or multiple."""


@dataclass(frozen=True)
class Row:
    """What to do about the nodules of one line.

    :param multiple, high_risk: None when the line is for both.
    :param months: until the next examination at the earliest; None for no routine one. Orders lines by urgency.
    :param lymph_node: only for nodules on the pleura with a smooth margin and a lymph node's shape.
    """

    densities: tuple[DensityType, ...]
    sizes: tuple[SizeClass, ...]
    multiple: bool | None
    high_risk: bool | None
    months: float | None
    management: str
    source: str
    lymph_node: bool = False


SOLID: tuple[DensityType, ...] = ("solid",)
PART_SOLID: tuple[DensityType, ...] = ("part-solid",)
GROUND_GLASS: tuple[DensityType, ...] = ("ground-glass",)
SUBSOLID: tuple[DensityType, ...] = ("part-solid", "ground-glass")
ANY: tuple[DensityType, ...] = ("solid", "part-solid", "ground-glass")

NO_FOLLOW_UP = "No routine follow-up."
LYMPH_NODE = "No follow-up: on the pleura or a fissure, smooth and shaped like a lymph node of the lung."
MASS = "A mass, beyond the guideline for nodules: referral for diagnostic work-up."

ROWS: tuple[Row, ...] = (
    Row(ANY, ("mass",), None, None, 0, MASS, f"{SOURCE}, which is about nodules of up to 30 mm"),
    # The text speaks of small nodules, also above 6 mm, and names no largest size; the middle class is ours.
    Row(SOLID, ("small", "medium"), None, None, None, LYMPH_NODE, f"{SOURCE}, on perifissural nodules", True),
    # One solid nodule.
    Row(SOLID, ("small",), False, False, None, NO_FOLLOW_UP, TABLE_SOLID),
    Row(
        SOLID, ("small",), False, True, 12,
        "CT at 12 months is optional; suspicious morphology or an upper lobe speak for it.", TABLE_SOLID,
    ),
    Row(SOLID, ("medium",), False, False, 6, "CT at 6 to 12 months, then consider CT at 18 to 24 months.", TABLE_SOLID),
    Row(SOLID, ("medium",), False, True, 6, "CT at 6 to 12 months, then CT at 18 to 24 months.", TABLE_SOLID),
    Row(SOLID, ("large",), False, None, 0, "Consider CT at 3 months, PET/CT or tissue sampling.", TABLE_SOLID),
    # Several solid nodules: the most suspicious one guides.
    Row(SOLID, ("small",), True, False, None, NO_FOLLOW_UP, TABLE_SOLID),
    Row(SOLID, ("small",), True, True, 12, "CT at 12 months is optional.", TABLE_SOLID),
    Row(
        SOLID, ("medium", "large"), True, False, 3,
        "CT at 3 to 6 months, then consider CT at 18 to 24 months.", TABLE_SOLID,
    ),
    Row(SOLID, ("medium", "large"), True, True, 3, "CT at 3 to 6 months, then CT at 18 to 24 months.", TABLE_SOLID),
    # One subsolid nodule; its risk makes no difference.
    Row(
        GROUND_GLASS, ("small",), False, None, None,
        "No routine follow-up; when it looks suspicious, consider CT at 2 and 4 years.", TABLE_SUBSOLID,
    ),
    Row(PART_SOLID, ("small",), False, None, None, NO_FOLLOW_UP, TABLE_SUBSOLID),
    Row(
        GROUND_GLASS, ("medium", "large"), False, None, 6,
        "CT at 6 to 12 months to see whether it persists, then CT every 2 years until 5 years.", TABLE_SUBSOLID,
    ),
    Row(
        PART_SOLID, ("medium", "large"), False, None, 3,
        "CT at 3 to 6 months to see whether it persists; if unchanged and its solid part stays below 6 mm, CT every "
        "year for 5 years.", TABLE_SUBSOLID,
    ),
    # Several subsolid nodules.
    Row(
        SUBSOLID, ("small",), True, None, 3,
        "CT at 3 to 6 months; if stable, consider CT at 2 and 4 years.", TABLE_SUBSOLID,
    ),
    Row(
        SUBSOLID, ("medium", "large"), True, None, 3,
        "CT at 3 to 6 months; then by the most suspicious nodule.", TABLE_SUBSOLID,
    ),
)  # fmt: skip

SUSPICIOUS_SOLID_PART = (
    "A part-solid nodule that persists with a solid part of 6 mm or more is highly suspicious; for one above 8 mm "
    "consider PET/CT, biopsy or resection."
)
