"""What a report says in words, the same in HTML, PDF and pictures: pairs of names and values, rows, sentences."""

from __future__ import annotations

from collections.abc import Sequence

from ..rules import Recommendation
from ..rules.fleischner_table import GUIDELINE as FLEISCHNER
from ..rules.lung_rads_table import GUIDELINE as LUNG_RADS
from .model import NOTICE, AuditEvent, Report, ReportFinding
from .quantities import BY_KEY
from .text import malignancy_text, time_text

Pairs = list[tuple[str, str]]

STATUS_WORDS = {
    "unreviewed": "Not reviewed",
    "accepted": "Accepted",
    "rejected": "Rejected",
    "added": "Added",
    "edited": "Outline edited, accepted",
}
CARD_QUANTITIES = (
    "mean_diameter_mm", "solid_diameter_mm", "volume_mm3", "mass_mg", "mean_hu", "sd_hu", "sphericity",
    "pleura_distance_mm", "score", "malignancy",
)  # fmt: skip
"""Shown beside a finding's pictures where they were measured; CSV, JSON and SR hold all."""

DISCLAIMER = (
    f"{NOTICE}. The findings come from a computer and need a radiologist's review; what is not marked may still be a "
    "nodule."
)
APPLIES = {LUNG_RADS: "if this is a screening CT", FLEISCHNER: "if the nodules were found by chance"}
SUGGESTED = "Categories are suggestions by rule; a radiologist decides."


def headline(report: Report) -> str:
    """How many findings there are."""
    count = len(report.findings)
    return "No findings" if count == 0 else f"{count} finding{'s' if count > 1 else ''}"


def summary(report: Report) -> str:
    """One sentence: the largest finding, or what no finding means."""
    largest = report.largest
    if not report.findings:
        return (
            f"No candidate scored at or above the threshold {report.method.threshold:g}. This does not exclude a "
            "nodule."
        )
    if largest is None:
        return "None of them could be measured."
    place = f", {largest.location}" if largest.location else ""
    return f"Largest: {largest.label}, {size_text(largest)}, {largest.density}{place}, slice {largest.slice_number}."


def left_out(report: Report) -> str:
    """What else the detector saw; empty for nothing."""
    count = report.below_threshold
    if not count:
        return ""
    what = "1 further candidate" if count == 1 else f"{count} further candidates"
    return f"{what} below the threshold {report.method.threshold:g} not reported."


def review_text(report: Report) -> str:
    """How far the review has got, and whose it is."""
    review = report.review
    readers = f" by {', '.join(review.readers)}" if review.readers else ""
    if review.state == "reviewed":
        return f"Reviewed{readers}"
    if review.state == "partly reviewed":
        return f"{review.reviewed} of {review.total} reviewed{readers}"
    return "Not reviewed by a radiologist"


def status_text(finding: ReportFinding) -> str:
    """Its status, and whose decision that is."""
    return STATUS_WORDS[finding.status] + (f" by {finding.reader}" if finding.reader else "")


def size_text(finding: ReportFinding) -> str:
    """Mean diameter, as in '13.5 mm'."""
    return BY_KEY["mean_diameter_mm"].text(finding)


def axes_text(finding: ReportFinding) -> str:
    """Long and short axis, as in '15.1 × 12.0 mm'."""
    long_axis, short_axis = finding.axes_mm
    by = " (callipers)" if finding.callipers_mm else ""
    return f"{long_axis:.1f} × {short_axis:.1f} mm{by}"


def slice_text(finding: ReportFinding, report: Report) -> str:
    """The slice, and the one it was measured on where that is another."""
    text = f"{finding.slice_number} of {report.series.shape_kji[0]}"
    measured_on = finding.measured.axes_slice
    return text if measured_on in (None, finding.slice_number) else f"{text}, measured on {measured_on}"


def guideline_text(advice: Recommendation) -> str:
    """The guideline's name, and when it applies."""
    return f"{advice.guideline}, {APPLIES[advice.guideline]}" if advice.guideline in APPLIES else advice.guideline


def decider(advice: Recommendation) -> str:
    """Who says so: a rule, or a reader over it."""
    if advice.overridden_by is None:
        return "suggested"
    # Fleischner's class stays as it is: what a reader sets is what to do about it.
    suggested = f" {advice.suggested}" if advice.guideline == LUNG_RADS else f": {advice.management}"
    return f"by {advice.overridden_by.reader}; suggested{suggested}"


def advice_title(advice: Recommendation) -> str:
    """What a reader looks for first: Lung-RADS' category, and elsewhere what to do."""
    return f"Category {advice.final}" if advice.guideline == LUNG_RADS else advice.final_management


def advice_detail(advice: Recommendation) -> str:
    """The other half of `advice_title`: what to do, or the class it follows from."""
    return advice.final_management if advice.guideline == LUNG_RADS else f"Class: {advice.final}."


def advice_of(finding: ReportFinding, guideline: str) -> str:
    """A guideline's word on a finding, for a table; a dash without one."""
    advice = next((a for a in finding.recommendations if a.guideline == guideline), None)
    if advice is None:
        return "–"
    return advice.final if guideline == LUNG_RADS else advice.final_management


def patient_pairs(report: Report) -> Pairs:
    """Who was examined, when, and in which series; what is unknown or was removed is left out."""
    patient, study = report.patient, report.study
    born = ", ".join(part for part in (patient.birth_date, patient.age, patient.sex) if part)
    return _filled(
        [
            ("Patient", patient.name or ("de-identified" if report.deidentified else "")),
            ("Patient ID", patient.id),
            ("Born, age, sex" if patient.birth_date else "Age, sex", born),
            ("Examination", " ".join(part for part in (study.date, study.time) if part)),
            ("Accession number", study.accession_number),
            ("Study", study.description),
            ("Institution", study.institution),
            ("Series", report.series.description),
        ]
    )


def card_pairs(finding: ReportFinding, report: Report) -> Pairs:
    """What stands beside a finding's pictures."""
    measured = [(BY_KEY[key].name, _quantity_text(key, finding)) for key in CARD_QUANTITIES if _is_shown(key, finding)]
    attached = [
        name
        for name, known in (("pleura", finding.measured.juxtapleural), ("vessel", finding.measured.juxtavascular))
        if known
    ]
    position = ", ".join(f"{v:.1f}" for v in finding.center_lps).replace("-", "−")
    return _filled(
        [
            ("Long × short axis", axes_text(finding)),
            *measured,
            ("Density, least to greatest", _range_text(finding)),
            ("Attached to", ", ".join(attached)),
            ("Slice", slice_text(finding, report)),
            ("Position (L, P, S)", f"{position} mm"),
        ]
    )


def method_pairs(report: Report) -> Pairs:
    """How the findings came about, and in what."""
    method, series = report.method, report.series
    models = [
        (f"Model, {model.task}", f"{model.name}, version {model.version}, weights SHA-256 {model.sha256}")
        for model in method.models
    ]
    depth, rows, columns = series.shape_kji
    spacing = " × ".join(f"{s:.3g}" for s in series.spacing_kji_mm)
    technique = [series.scanner, f"kernel {series.kernel}" if series.kernel else ""]
    technique += [f"{series.tube_voltage_kv} kV" if series.tube_voltage_kv else ""]
    libraries = ", ".join(f"{name} {v}" for name, v in method.versions.items() if name != "lungnodulecad")
    return _filled(
        [
            ("Software", f"LungNoduleCAD {method.software_version}"),
            *models,
            ("Threshold", f"score {method.threshold:g}"),
            ("Detected", time_text(method.detected_at)),
            ("Report made", time_text(report.created)),
            ("Images", f"{depth} slices of {rows} × {columns}, {spacing} mm (slice, row, column)"),
            ("Acquisition", ", ".join(part for part in technique if part)),
            ("Series UID", series.uid),
            ("Study UID", report.study.uid),
            ("Stated for the guidelines", report.context.stated),
            ("Source", series.source),
            ("Choice of series", series.selection),
            ("Lung mask", method.settings.get("lung_mask", "")),
            ("Device", method.settings.get("device_used", "")),
            ("Libraries", libraries),
        ]
    )


def audit_rows(events: Sequence[AuditEvent]) -> list[tuple[str, str, str, str, str]]:
    """Time, who, finding, action and detail of each event."""
    return [(time_text(e.at) or "–", e.who, e.finding or "all", e.action, e.detail) for e in events]


def provenance_line(report: Report) -> str:
    """Software, weights, threshold, review and series in one line, for the foot of a picture."""
    method = report.method
    weights = ", ".join(f"{model.task} {model.version} ({model.sha256[:12]})" for model in method.models)
    parts = [
        f"LungNoduleCAD {method.software_version}",
        f"weights {weights}" if weights else "",
        f"threshold {method.threshold:g}",
        review_text(report),
        f"series {report.series.uid}" if report.series.uid else "",
    ]
    return " · ".join(part for part in parts if part)


def _quantity_text(key: str, finding: ReportFinding) -> str:
    """A number as it is printed; the malignancy estimate never without the diameter's."""
    if key == "malignancy" and finding.malignancy is not None:
        return malignancy_text(finding.malignancy, finding.malignancy_by_diameter)
    return BY_KEY[key].text(finding)


def _range_text(finding: ReportFinding) -> str:
    least, greatest = (BY_KEY[key] for key in ("min_hu", "max_hu"))
    if least.of(finding) is None or greatest.of(finding) is None:
        return ""
    return f"{least.text(finding).removesuffix(' HU')} to {greatest.text(finding)}"


def _is_shown(key: str, finding: ReportFinding) -> bool:
    """Whether it was measured; of the solid part only where that is not all or nothing."""
    if key.startswith("solid_") and finding.density != "part-solid":
        return False
    return BY_KEY[key].of(finding) is not None


def _filled(pairs: Pairs) -> Pairs:
    return [(name, value) for name, value in pairs if value]
