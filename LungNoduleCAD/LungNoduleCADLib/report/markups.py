"""`markups.mrk.json`: the candidates' centres in Slicer's markups format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..io.atomic import write_json
from .colors import STATUS_COLORS, score_color
from .items import ReportItem

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
CANDIDATES_NAME = "Nodule candidates"
MISSED_NAME = "Missed nodules"
GLYPH_SCALE = 2.0
"""Of a point, which is a cross: a sphere would hide the nodule."""


def write_markups(items: Sequence[ReportItem], path: str | Path) -> None:
    """One point list with every candidate (score, diameter, mean density and malignancy, also by the diameter alone,
    as measurements; those below the threshold hidden), and a second with the missed reference nodules where there are
    any. LPS mm.

    Slicer draws a point list in two colours, of selected and of other points: here those are found and false.

    :raises OutputError: when the file cannot be written.
    """
    candidates = [item for item in items if item.candidate is not None]
    missed = [item for item in items if item.candidate is None]
    markups = [_point_list(CANDIDATES_NAME, candidates, measurements=point_measurements(candidates))]
    if missed:
        markups.append(_point_list(MISSED_NAME, missed, measurements={}))
    write_json(path, {"@schema": SCHEMA, "markups": markups})


def point_measurements(items: Sequence[ReportItem]) -> dict[str, tuple[str, list[float]]]:
    """Per measurement its unit and one value for each item: what Slicer keeps as a point list's static measurements."""
    found = [item.candidate for item in items if item.candidate is not None]
    if not found:
        return {}
    values = {
        "score": ("", [c.score for c in found]),
        "diameter": ("mm", [c.measurements.diameter_mm for c in found]),
        "mean density": ("HU", [c.measurements.mean_hu for c in found]),
    }
    estimates = {
        "malignancy": [c.malignancy for c in found],
        "malignancy by diameter": [c.malignancy_by_diameter for c in found],
    }
    for name, numbers in estimates.items():
        if None not in numbers:
            values[name] = ("", [float(n or 0.0) for n in numbers])
    return {name: (unit, [float(x) for x in numbers]) for name, (unit, numbers) in values.items()}


def print_format(unit: str) -> str:
    """How Slicer prints a measurement's value and unit."""
    return "%.1f %s" if unit else "%.3f"


def is_selected(item: ReportItem) -> bool:
    """Whether the point takes its list's first colour: found or missed against a reference, any point without one."""
    return item.status in (None, "TP", "FN")


def is_visible(item: ReportItem) -> bool:
    """Whether the point is drawn. An ignored one is not: it has neither of the two colours' meanings."""
    return item.shown and item.status != "ignored"


def point_colors(items: Sequence[ReportItem]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Colours of a point list's selected and of its other points."""
    if any(item.status == "FN" for item in items):
        return STATUS_COLORS["FN"], STATUS_COLORS["FN"]
    if any(item.status is not None for item in items):
        return STATUS_COLORS["TP"], STATUS_COLORS["FP"]
    return score_color(1.0), score_color(0.0)


def _point_list(
    name: str, items: Sequence[ReportItem], measurements: dict[str, tuple[str, list[float]]]
) -> dict[str, Any]:
    selected, other = point_colors(items)
    return {
        "type": "Fiducial",
        "name": name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "N%d",
        "lastUsedControlPointNumber": len(items),
        "controlPoints": [
            {
                "id": str(number),
                "label": item.label,
                "description": item.description,
                "associatedNodeID": "",
                "position": [float(v) for v in item.center_lps],
                "selected": is_selected(item),
                "locked": False,
                "visibility": is_visible(item),
                "positionStatus": "defined",
            }
            for number, item in enumerate(items, start=1)
        ],
        "measurements": [
            {
                "name": quantity,
                "enabled": True,
                "units": unit,
                "printFormat": print_format(unit),
                "controlPointValues": values,
            }
            for quantity, (unit, values) in measurements.items()
        ],
        "display": {
            "visibility": True,
            "opacity": 1.0,
            "color": list(other),
            "selectedColor": list(selected),
            "propertiesLabelVisibility": False,
            "pointLabelsVisibility": True,
            "textScale": 3.0,
            "glyphType": "Cross2D",
            "glyphScale": GLYPH_SCALE,
            "useGlyphScale": True,
        },
    }
