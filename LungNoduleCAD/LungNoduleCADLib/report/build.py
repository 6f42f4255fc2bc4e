"""From a detection to a `Report`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from ..findings import DetectionResult
from ..review import Finding, Review, TrailEntry, review_counts, shown_findings
from ..volume import Volume
from .context import GuidelineContext
from .follow_up import FollowUp
from .items import slice_number, slice_uid
from .model import (
    TAKEN_BACK,
    AuditEvent,
    Method,
    ModelData,
    PatientData,
    Report,
    ReportFinding,
    ReviewProgress,
    ReviewProgressState,
    SeriesData,
    Status,
    StudyData,
)
from .suggestions import suggest
from .text import date_text, person_name, plain_text

SEX_WORDS = {"M": "male", "F": "female", "O": "other"}
DETECTOR = "LungNoduleCAD"


def build_report(
    result: DetectionResult,
    grid: Volume,
    review: Review | None = None,
    *,
    guidelines: Sequence[str] = (),
    context: GuidelineContext | None = None,
    follow_up: FollowUp | None = None,
    threshold: float | None = None,
    detected_at: datetime | None = None,
    created: datetime | None = None,
    notes: str = "",
) -> Report:
    """The report of a detection and of what readers made of it.

    :param grid: the scan, or any volume on its grid.
    :param review: of this result; None when nobody has reviewed it.
    :param guidelines: which suggestions to give, of `suggestions.GUIDELINES`.
    :param context: what a reader stated of patient and examination; None when nothing.
    :param follow_up: the comparison with a prior; None at a first examination.
    :param threshold: None takes the result's.
    :param created: None takes now.
    """
    limit = result.threshold if threshold is None else threshold
    review = review or Review.of(result.candidates)
    state = review.state
    series = _series(result.series)
    shown = shown_findings(state, limit)
    reported = [f for f in state.findings.values() if shown[f.id]]
    rejected = [f for f in state.findings.values() if f.status == "rejected" and not state.hides_detector]
    stated = (context or GuidelineContext()).made_plain()
    known = stated.with_age(patient_age_years(result.series))
    suggestions = suggest(reported, known, guidelines, follow_up, state.exam_categories)
    compared = () if follow_up is None else follow_up.comparison.warnings
    return Report(
        created=created or datetime.now(timezone.utc),
        patient=_patient(result.series),
        study=_study(result.series),
        series=series,
        method=_method(result, limit, detected_at),
        review=_progress(review, limit),
        findings=tuple(
            replace(
                _finding(finding, grid, series),
                recommendations=own,
                growth=None if follow_up is None else follow_up.of(finding.id),
            )
            for finding, own in zip(reported, suggestions.own, strict=True)
        ),
        rejected=tuple(_finding(f, grid, series) for f in rejected),
        below_threshold=sum(f.status == "pending" and not shown[f.id] for f in state.findings.values()),
        recommendations=suggestions.exam,
        context=stated,
        prior=None if follow_up is None else follow_up.study,
        gone=() if follow_up is None else follow_up.gone,
        audit=(_detected(result, detected_at), *map(_event, review.trail())),
        warnings=tuple(plain_text(warning) for warning in (*result.warnings, *compared, *suggestions.warnings)),
        notes=plain_text(notes, lines=True),
    )


def tracking_uid(series_uid: str, label: str) -> str:
    """The finding's UID: the same in every export of one series. (A UUID's form of a DICOM UID: 2.25 and a number.)"""
    digest = hashlib.sha256(f"LungNoduleCAD finding\0{series_uid}\0{label}".encode("utf-8", "replace")).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def patient_age_years(series: Mapping[str, Any]) -> float | None:
    """The patient's age as the images state it; None where they do not."""
    return _age_years(_text(series, "patient_age"))


def _finding(finding: Finding, grid: Volume, series: SeriesData) -> ReportFinding:
    center, mask = finding.contour.center_lps, finding.contour.mask
    number = slice_number(center, grid)
    reason = ": ".join(part for part in (finding.reason or "", finding.comment) if part)
    return ReportFinding(
        label=finding.id,
        score=finding.score,
        malignancy=finding.malignancy,
        malignancy_by_diameter=finding.malignancy_by_diameter,
        center_lps=center,
        slice_number=number,
        sop_instance_uid=slice_uid(series.sop_instance_uids, number),
        measured=finding.contour.measurements,
        density=finding.density_type,
        status=_status(finding),
        tracking_uid=tracking_uid(series.uid, finding.id),
        callipers_mm=finding.callipers_mm,
        solid_callipers_mm=finding.solid_callipers_mm,
        callipers_lps=finding.callipers_lps,
        reader=plain_text(finding.reader),
        reviewed_at=finding.decided_at,
        reason=plain_text(reason),
        comment=plain_text(finding.note, lines=True),
        mask=mask if mask.voxels.any() else None,
    )


def _status(finding: Finding) -> Status:
    if finding.status == "rejected":
        return "rejected"
    if finding.origin == "reader":
        return "added"
    if finding.status == "accepted":
        return "edited" if finding.edited else "accepted"
    return "unreviewed"


def _progress(review: Review, threshold: float) -> ReviewProgress:
    counts = review_counts(review.state, threshold)
    readers = dict.fromkeys(plain_text(entry.event.reader) for entry in review.trail())
    progress: ReviewProgressState = "not reviewed"
    if review.events:
        progress = "reviewed" if counts.reviewed == counts.total else "partly reviewed"
    return ReviewProgress(progress, counts.reviewed, counts.total, tuple(readers))


def _event(entry: TrailEntry) -> AuditEvent:
    event = entry.event
    undone = not entry.in_effect and event.change.can_be_undone and event.change.action not in ("undo", "redo")
    return AuditEvent(
        at=event.time,
        who=plain_text(event.reader),
        finding=", ".join(event.change.subjects),
        action=event.change.action + (TAKEN_BACK if undone else ""),
        detail=plain_text(event.change.detail, lines=True),
    )


def _detected(result: DetectionResult, detected_at: datetime | None) -> AuditEvent:
    count = len(result.candidates)
    detail = (
        f"{count} candidate{'' if count == 1 else 's'}, {len(result.above())} at or above the threshold "
        f"{result.threshold:g}"
    )
    return AuditEvent(detected_at, DETECTOR, "", "detected", detail)


def _patient(series: Mapping[str, Any]) -> PatientData:
    sex = _text(series, "patient_sex")
    return PatientData(
        name=person_name(_text(series, "patient_name")),
        id=_text(series, "patient_id"),
        birth_date=date_text(_text(series, "patient_birth_date")),
        sex=SEX_WORDS.get(sex, sex),
        age=_age(_text(series, "patient_age")),
    )


def _study(series: Mapping[str, Any]) -> StudyData:
    return StudyData(
        uid=_text(series, "study_uid"),
        date=date_text(_text(series, "study_date")),
        time=_time(_text(series, "study_time")),
        description=_text(series, "study_description"),
        accession_number=_text(series, "accession_number"),
        institution=_text(series, "institution"),
    )


def _series(series: Mapping[str, Any]) -> SeriesData:
    thickness = series.get("slice_thickness_mm")
    scanner = " ".join(part for part in (_text(series, "manufacturer"), _text(series, "model")) if part)
    k, j, i = series.get("spacing_kji_mm") or (0.0, 0.0, 0.0)
    depth, rows, columns = series.get("shape_kji") or (0, 0, 0)
    return SeriesData(
        uid=_text(series, "series_uid"),
        description=_text(series, "series_description"),
        number=_text(series, "series_number"),
        format=_text(series, "format"),
        modality=_text(series, "modality"),
        body_part=_text(series, "body_part"),
        scanner=scanner,
        kernel=_text(series, "kernel"),
        tube_voltage_kv=_text(series, "tube_voltage_kv"),
        slice_thickness_mm=None if thickness is None else float(thickness),
        spacing_kji_mm=(float(k), float(j), float(i)),
        shape_kji=(int(depth), int(rows), int(columns)),
        frame_of_reference_uid=_text(series, "frame_of_reference_uid"),
        sop_instance_uids=tuple(str(uid) for uid in series.get("sop_instance_uids") or ()),
        selection=_text(series, "selection"),
        source=_text(series, "source"),
    )


def _method(result: DetectionResult, threshold: float, detected_at: datetime | None) -> Method:
    models = tuple(
        ModelData(plain_text(task), *(plain_text(entry.get(key)) for key in ("name", "version", "sha256")))
        for task, entry in result.model.items()
        if isinstance(entry, Mapping)
    )
    return Method(
        software_version=plain_text(result.versions.get("lungnodulecad")),
        models=models,
        threshold=threshold,
        settings=dict(_flat(result.settings)),
        versions={plain_text(name): plain_text(version) for name, version in result.versions.items()},
        detected_at=detected_at,
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, str]]:
    """Nested settings as names with dots and text."""
    pairs: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{plain_text(name)}.")
        else:
            pairs.append((f"{prefix}{plain_text(name)}", plain_text("none" if value is None else value)))
    return pairs


def _text(series: Mapping[str, Any], key: str) -> str:
    return plain_text(series.get(key))


def _age_years(text: str) -> float | None:
    """A DICOM age ('060Y', '018M') in years; None when it is no such age."""
    parts = {"Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}
    return int(text[:-1]) / parts[text[-1]] if text[:-1].isdecimal() and text[-1:] in parts else None


def _age(text: str) -> str:
    """A DICOM age in words ('060Y' -> '60 years'); as it is when it is no such age."""
    units = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
    return f"{int(text[:-1])} {units[text[-1]]}" if _age_years(text) is not None else text


def _time(text: str) -> str:
    """A DICOM time to the minute ('134501.12' -> '13:45'); as it is when it is no such time."""
    return f"{text[:2]}:{text[2:4]}" if text[:4].isdecimal() and len(text) >= 4 else text
