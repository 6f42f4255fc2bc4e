"""A comparison of two studies as files: `growth.json` and `growth.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .. import __version__
from ..growth import GrowthFinding, StudyComparison, StudyFinding
from ..growth.change import REPEATED_SHARE, SIGNIFICANT_SHARE
from ..growth.study import STATUS_WORDS
from ..io.atomic import json_text
from ..report.model import NOTICE
from ..report.text import spreadsheet_text
from ..rules.lung_rads_table import GROWTH_MM

SOURCES = (
    f"Significant: {SIGNIFICANT_SHARE:.0%} of the volume (British Thoracic Society, Thorax 70:ii1, 2015), and more "
    "than its repeatability.",
    f"Repeatability: 95 % limits of {REPEATED_SHARE:.0%} between two scans (Marchiano, Radiology 251:919, 2009), "
    "wider in small nodules, thick slices, ground-glass, and where the two scans could not be measured alike.",
    "Alike: both scans measured in one region around the nodule by one rule; before_mm and before_mm3 are the prior's "
    "size by it.",
    f"Lung-RADS v2022: growth is more than {GROWTH_MM} mm of the mean diameter in 12 months.",
    "Doubling time: ln 2 times the interval over the logarithm of the volumes' ratio.",
)
SIDE_COLUMNS = ("label", "mean_diameter_mm", "volume_mm3", "density", "side", "zone", "x_lps_mm", "y_lps_mm",
                "z_lps_mm")  # fmt: skip
CHANGE_COLUMNS = ("volume_ratio", "ratio_low", "ratio_high", "diameter_mm", "solid_mm", "doubling_days",
                  "fastest_days", "slowest_days", "significant", "lung_rads_growth", "before_mm", "before_mm3",
                  "alike")  # fmt: skip
COLUMNS = (
    "status", *(f"{study}_{column}" for study in ("current", "prior") for column in SIDE_COLUMNS), *CHANGE_COLUMNS,
    "distance_mm", "local_correlation", "interval_days", "current_series_uid", "prior_series_uid", "note", "warnings",
    "notice",
)  # fmt: skip


def growth_json(comparison: StudyComparison, current: Mapping[str, Any], prior: Mapping[str, Any]) -> str:
    """All of it.

    :param current, prior: what is to be said of each study: series UID, date, threshold, models.
    """
    content = {
        "notice": NOTICE,
        "software_version": __version__,
        "coordinate_system": "LPS, mm",
        "current": dict(current),
        "prior": dict(prior),
        "interval_days": comparison.interval_days,
        "registration": {
            "current_to_prior": comparison.alignment.matrix.tolist(),
            "lung_overlap": comparison.alignment.overlap,
            "correlation": comparison.alignment.correlation,
        },
        "findings": [_entry(finding) for finding in comparison.findings],
        "rules": list(SOURCES),
        "warnings": list(comparison.warnings),
    }
    return json_text(content)


def growth_csv(comparison: StudyComparison, current: Mapping[str, Any], prior: Mapping[str, Any]) -> str:
    """A row a finding; UTF-8 with a mark at its beginning, as the reports' tables. No cell is run as a formula."""
    text = io.StringIO()
    text.write("\ufeff")
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(COLUMNS)
    context = {
        "interval_days": comparison.interval_days,
        "current_series_uid": current.get("series_uid"),
        "prior_series_uid": prior.get("series_uid"),
        "warnings": " ".join(comparison.warnings),
        "notice": NOTICE,
    }
    for finding in comparison.findings:
        row = {**context, **_row(finding)}
        table.writerow([_cell(row.get(column)) for column in COLUMNS])
    return text.getvalue()


def _entry(finding: GrowthFinding) -> dict[str, Any]:
    return {
        "status": finding.status,
        "meaning": STATUS_WORDS[finding.status],
        "current": _side(finding.current),
        "prior": _side(finding.prior),
        "place_in_other_lps": finding.place_lps,
        "distance_mm": finding.distance_mm,
        "local_correlation": finding.correlation,
        "change": None if finding.change is None else asdict(finding.change),
        "note": finding.note,
    }


def _side(finding: StudyFinding | None) -> dict[str, Any] | None:
    if finding is None:
        return None
    return {
        "label": finding.label,
        "center_lps": finding.center_lps,
        "above_threshold": finding.counts,
        "mean_diameter_mm": finding.facts.mean_diameter_mm,
        "solid_diameter_mm": finding.facts.solid_diameter_mm,
        "volume_mm3": finding.measured.volume_mm3,
        "density": finding.facts.density,
        "side": finding.measured.side,
        "zone": finding.measured.zone,
    }


def _row(finding: GrowthFinding) -> dict[str, Any]:
    row: dict[str, Any] = {
        "status": finding.status,
        "distance_mm": finding.distance_mm,
        "local_correlation": finding.correlation,
        "note": finding.note,
    }
    for study, own in (("current", _side(finding.current)), ("prior", _side(finding.prior))):
        if own is not None:
            own.update(zip(("x_lps_mm", "y_lps_mm", "z_lps_mm"), own["center_lps"], strict=True))
            row.update({f"{study}_{column}": own.get(column) for column in SIDE_COLUMNS})
    if finding.change is not None:
        row.update(asdict(finding.change))
    return row


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, int | float) else spreadsheet_text(str(value))
