"""The report as one CSV table: a row for each finding, which says by itself whose it is and how it came about."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from .follow_up import Growth, PriorStudy
from .model import NOTICE, AuditEvent, Report, ReportFinding
from .quantities import QUANTITIES
from .text import spreadsheet_text, time_text

PLACE_COLUMNS = ("finding", "status", "density", "side", "zone", "juxtapleural", "juxtavascular", "slice_number",
                 "sop_instance_uid", "x_lps_mm", "y_lps_mm", "z_lps_mm")  # fmt: skip
GROWTH_COLUMNS = (
    "growth", "prior_finding", "prior_mean_diameter_mm", "prior_volume_mm3", "prior_alike_diameter_mm",
    "prior_alike_volume_mm3", "diameter_change_mm", "solid_change_mm", "volume_ratio", "volume_ratio_low",
    "volume_ratio_high", "doubling_days", "doubling_days_fastest", "doubling_days_slowest", "lung_rads_growth",
    "growth_note", "prior_date", "interval_days", "prior_series_uid",
)  # fmt: skip
CONTEXT_COLUMNS = (
    "recommendations", "reader", "reviewed_at", "reason", "comment", "history", "review", "patient_name", "patient_id",
    "patient_birth_date", "patient_sex", "patient_age", "study_date", "accession_number", "study_uid", "series_uid",
    "software_version", "models", "weights_sha256", "threshold", "detected_at", "report_created", "warnings", "notes",
    "notice",
)  # fmt: skip
COLUMNS = (*PLACE_COLUMNS, *(quantity.key for quantity in QUANTITIES), *GROWTH_COLUMNS,
           *CONTEXT_COLUMNS)  # fmt: skip
NO_FINDINGS = "no findings"
ONLY_PRIOR = "prior only"
"""What a row says that is of no finding of this examination."""


def render_csv(report: Report) -> str:
    """All findings, then what only the prior has, rejected ones last; one row with the status 'no findings' when there
    is none. UTF-8 with a mark at its beginning, without which Excel takes it for another encoding. No cell is run as a
    formula."""
    text = io.StringIO()
    text.write("\ufeff")
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(COLUMNS)
    context = _context(report)
    rows = [{**context, **_row(finding, report)} for finding in report.findings]
    rows += [{**context, **_growth(gone), "finding": "", "status": ONLY_PRIOR} for gone in report.gone]
    rows += [{**context, **_row(finding, report)} for finding in report.rejected]
    for row in rows or [{**context, "status": NO_FINDINGS, "history": _history(report.audit, "")}]:
        table.writerow([_cell(row.get(column)) for column in COLUMNS])
    return text.getvalue()


def _row(finding: ReportFinding, report: Report) -> dict[str, Any]:
    x, y, z = (round(v, 3) for v in finding.center_lps)
    return {
        "finding": finding.label,
        "status": finding.status,
        "density": finding.density,
        "side": finding.measured.side,
        "zone": finding.measured.zone,
        "juxtapleural": finding.measured.juxtapleural,
        "juxtavascular": finding.measured.juxtavascular,
        "slice_number": finding.slice_number,
        "sop_instance_uid": finding.sop_instance_uid,
        "x_lps_mm": x,
        "y_lps_mm": y,
        "z_lps_mm": z,
        **{quantity.key: quantity.of(finding) for quantity in QUANTITIES},
        **({} if finding.growth is None else _growth(finding.growth)),
        "recommendations": "; ".join(str(advice) for advice in finding.recommendations),
        "reader": finding.reader,
        "reviewed_at": time_text(finding.reviewed_at),
        "reason": finding.reason,
        "comment": finding.comment,
        "history": _history(report.audit, finding.label),
    }


def _growth(growth: Growth) -> dict[str, Any]:
    change, prior = growth.change, growth.prior
    row: dict[str, Any] = {"growth": growth.status, "growth_note": growth.note}
    if prior is not None:
        row |= {"prior_finding": prior.label, "prior_mean_diameter_mm": prior.mean_diameter_mm,
                "prior_volume_mm3": prior.volume_mm3}  # fmt: skip
    if change is not None:
        row |= {
            "prior_alike_diameter_mm": change.before_mm,
            "prior_alike_volume_mm3": change.before_mm3,
            "diameter_change_mm": change.diameter_mm,
            "solid_change_mm": change.solid_mm,
            "volume_ratio": change.volume_ratio,
            "volume_ratio_low": change.ratio_low,
            "volume_ratio_high": change.ratio_high,
            "doubling_days": change.doubling_days,
            "doubling_days_fastest": change.fastest_days,
            "doubling_days_slowest": change.slowest_days,
            "lung_rads_growth": change.lung_rads_growth,
        }
    return row


def _context(report: Report) -> dict[str, Any]:
    method, prior = report.method, report.prior or PriorStudy()
    return {
        "prior_date": prior.date,
        "interval_days": prior.interval_days,
        "prior_series_uid": prior.series_uid,
        "review": report.review.state,
        "patient_name": report.patient.name,
        "patient_id": report.patient.id,
        "patient_birth_date": report.patient.birth_date,
        "patient_sex": report.patient.sex,
        "patient_age": report.patient.age,
        "study_date": report.study.date,
        "accession_number": report.study.accession_number,
        "study_uid": report.study.uid,
        "series_uid": report.series.uid,
        "software_version": f"LungNoduleCAD {method.software_version}",
        "models": "; ".join(f"{model.task}: {model.name} {model.version}" for model in method.models),
        "weights_sha256": "; ".join(f"{model.task}: {model.sha256}" for model in method.models),
        "threshold": method.threshold,
        "detected_at": time_text(method.detected_at),
        "report_created": time_text(report.created),
        "warnings": "; ".join(report.warnings),
        "notes": report.notes,
        "notice": NOTICE,
    }


def _history(events: tuple[AuditEvent, ...], label: str) -> str:
    """What happened to a finding, or to the whole, oldest first."""
    own = [e for e in events if not e.finding or label in e.finding.split(", ")]
    return "; ".join(" ".join(part for part in (time_text(e.at), e.who, e.action, e.detail) if part) for e in own)


def _cell(value: Any) -> str:
    """A number with its full precision; text that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:.10g}" if math.isfinite(value) else ""
    return spreadsheet_text(str(value))
