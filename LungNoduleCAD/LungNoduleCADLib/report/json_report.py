"""The report as JSON, as `Resources/Report/report.schema.json` describes it."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ..rules import Recommendation
from .follow_up import Growth, PriorFinding
from .model import NOTICE, Report, ReportFinding
from .quantities import QUANTITIES

SCHEMA_FILE = "report.schema.json"
SCHEMA_ID = "urn:lungnodulecad:report:3"


def report_as_json(report: Report) -> dict[str, Any]:
    """Everything the report says, in JSON's own types. Lengths in mm, volumes in mm3, densities in HU, LPS mm."""
    return {
        "schema": SCHEMA_ID,
        "notice": NOTICE,
        "created": _time(report.created),
        "deidentified": report.deidentified,
        "coordinate_system": "LPS, mm",
        "patient": asdict(report.patient),
        "study": asdict(report.study),
        "series": {**asdict(report.series), "spacing_kji_mm": list(report.series.spacing_kji_mm),
                   "shape_kji": list(report.series.shape_kji),
                   "sop_instance_uids": list(report.series.sop_instance_uids)},
        "method": {
            "software": "LungNoduleCAD",
            "software_version": report.method.software_version,
            "models": [asdict(model) for model in report.method.models],
            "threshold": report.method.threshold,
            "settings": dict(report.method.settings),
            "versions": dict(report.method.versions),
            "detected_at": _time(report.method.detected_at),
        },
        "review": {**asdict(report.review), "readers": list(report.review.readers)},
        "findings": [_finding(finding) for finding in report.findings],
        "rejected": [_finding(finding) for finding in report.rejected],
        "prior": None if report.prior is None else asdict(report.prior),
        "gone": [_growth(growth) for growth in report.gone],
        "candidates_below_threshold": report.below_threshold,
        "recommendations": [_recommendation(advice) for advice in report.recommendations],
        "guideline_context": {
            "patient": asdict(report.context.patient),
            "exam": {**asdict(report.context.exam), "significant": list(report.context.exam.significant)},
        },
        "audit_trail": [{**asdict(event), "at": _time(event.at)} for event in report.audit],
        "warnings": list(report.warnings),
        "notes": report.notes,
    }  # fmt: skip


def _finding(finding: ReportFinding) -> dict[str, Any]:
    measured = finding.measured
    return {
        **_entries(finding, "label", "tracking_uid", "status", "reader"),
        "reviewed_at": _time(finding.reviewed_at),
        **_entries(finding, "reason", "comment"),
        "center_lps": list(finding.center_lps),
        **_entries(finding, "slice_number", "sop_instance_uid", "density"),
        **_entries(measured, "side", "zone", "juxtapleural", "juxtavascular"),
        "measurements": {quantity.key: quantity.of(finding) for quantity in QUANTITIES},
        "callipers": finding.callipers_mm is not None,
        "automatic": {
            "long_axis_mm": _finite(measured.long_axis_mm),
            "short_axis_mm": _finite(measured.short_axis_mm),
            "solid_diameter_mm": _finite(measured.solid_diameter_mm),
            "density": measured.density,
        },
        "axes": {
            "slice_number": measured.axes_slice,
            "sop_instance_uid": measured.axes_sop_instance_uid,
            "long_axis_lps": _points(measured.long_axis_lps),
            "short_axis_lps": _points(measured.short_axis_lps),
        },
        "recommendations": [_recommendation(advice) for advice in finding.recommendations],
        "growth": None if finding.growth is None else _growth(finding.growth),
    }


def _growth(growth: Growth) -> dict[str, Any]:
    return {
        **_entries(growth, "status", "meaning", "note"),
        "place_in_other_lps": list(growth.place_lps),
        "prior": None if growth.prior is None else _prior(growth.prior),
        "change": None if growth.change is None else asdict(growth.change),
    }


def _prior(prior: PriorFinding) -> dict[str, Any]:
    return {
        "label": prior.label,
        "center_lps": list(prior.center_lps),
        **_entries(prior, "slice_number", "sop_instance_uid", "density", "location"),
        **_entries(prior, "mean_diameter_mm", "solid_diameter_mm", "volume_mm3"),
    }


def _recommendation(advice: Recommendation) -> dict[str, Any]:
    decision = advice.overridden_by
    return {
        "guideline": advice.guideline,
        "suggested": advice.suggested,
        "suggested_management": advice.management,
        "reason": advice.reason,
        "source": advice.source,
        "final": advice.final,
        "final_management": advice.final_management,
        "overridden_by": None if decision is None else {"reader": decision.reader, "reason": decision.reason},
    }


def _entries(item: Any, *names: str) -> dict[str, Any]:
    """What an object says under these names."""
    return {name: getattr(item, name) for name in names}


def _points(segment: tuple[Any, ...] | None) -> list[list[float]] | None:
    return None if segment is None else [list(point) for point in segment]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
