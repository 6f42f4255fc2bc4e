"""A report without what tells whose it is: names, numbers, dates, free text, paths; other UIDs for the real ones.

It follows the basic profile of DICOM PS3.15 annex E: patient and study are emptied, every UID of an instance is
replaced, the same by the same. The new UIDs are random, so that nobody can find the old ones from them.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path

from ..rules import Override, Recommendation, ScreeningExam
from .follow_up import Growth, PriorStudy
from .model import TAKEN_BACK, AuditEvent, PatientData, Report, ReportFinding, StudyData

REMOVED = "[removed]"
KEPT_SETTINGS = re.compile(r"(device|device_used|precision|batch_\w+|grouping\.\w+)")
"""Settings whose values come from a list or are numbers; others may be paths."""

KEPT_CHOICES = ("auto", "none", "given")
SHORT_CATEGORY = re.compile(r"\w{1,4}")
GENERATED_DETAILS = ("detected", "edit contour", "set callipers", "add", "merge", "set type", "set mode")
"""Events whose detail this software has written; in others it may be a reader's free text."""


LEAST_LETTERS, PATH_PARTS = 3, 3
"""Of a word of a name, or of a folder, that may tell whose it is; and how many folders up from the scan."""


class UidMap:
    """Random UIDs in place of others: the same one is always given for the same."""

    def __init__(self) -> None:
        self._new: dict[str, str] = {}

    def __getitem__(self, uid: str) -> str:
        if not uid:
            return ""
        return self._new.setdefault(uid, f"2.25.{uuid.uuid4().int}")


def deidentified(report: Report, uids: UidMap) -> Report:
    """The same findings without identity. Readers become 'Reader 1', 'Reader 2' ...; their words and all times go.

    :param uids: to be used for the images that the report's DICOM objects refer to as well.
    """
    readers, known = _Readers(report), _identities(report)
    series = report.series
    return replace(
        report,
        created=None,
        patient=PatientData(id=pseudonym(uids[report.study.uid or report.series.uid])),
        study=StudyData(uid=uids[report.study.uid]),
        series=replace(
            series,
            uid=uids[series.uid],
            description="",
            number="",
            frame_of_reference_uid=uids[series.frame_of_reference_uid],
            sop_instance_uids=tuple(uids[uid] for uid in series.sop_instance_uids),
            selection="",
            source="",
        ),
        method=replace(
            report.method,
            detected_at=None,
            settings={name: _setting(name, value) for name, value in report.method.settings.items()},
        ),
        review=replace(report.review, readers=tuple(readers[name] for name in report.review.readers)),
        findings=tuple(_finding(finding, uids, readers) for finding in report.findings),
        rejected=tuple(_finding(finding, uids, readers) for finding in report.rejected),
        recommendations=_exam(report, readers),
        prior=None if report.prior is None else _prior(report.prior, uids),
        gone=tuple(_growth(growth, uids) for growth in report.gone),
        context=replace(report.context, exam=_without_words(report.context.exam)),
        audit=tuple(_event(event, readers) for event in report.audit),
        warnings=tuple(REMOVED if known.search(warning) else warning for warning in report.warnings),
        notes=REMOVED if report.notes else "",
        deidentified=True,
    )


def pseudonym(uid: str) -> str:
    """A patient's number in place of the real one, from a UID that was made for this export."""
    return f"ANON-{uid[-8:]}"


class _Readers:
    """Numbers for names."""

    def __init__(self, report: Report) -> None:
        self._detector = report.audit[0].who if report.audit else ""
        self._names: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if not name or name == self._detector:
            return name
        return self._names.setdefault(name, f"Reader {len(self._names) + 1}")


def _finding(finding: ReportFinding, uids: UidMap, readers: _Readers) -> ReportFinding:
    measured = finding.measured
    on = measured.axes_sop_instance_uid
    return replace(
        finding,
        sop_instance_uid=uids[finding.sop_instance_uid],
        measured=replace(measured, axes_sop_instance_uid=None if on is None else uids[on]),
        tracking_uid=uids[finding.tracking_uid],
        reader=readers[finding.reader],
        reviewed_at=None,
        # A reason begins with a word from a list; what a reader added to it goes.
        reason=finding.reason.partition(":")[0],
        comment=REMOVED if finding.comment else "",
        recommendations=tuple(_recommendation(advice, readers) for advice in finding.recommendations),
        growth=None if finding.growth is None else _growth(finding.growth, uids),
    )


def _prior(prior: PriorStudy, uids: UidMap) -> PriorStudy:
    """The interval stays, for without it a change means nothing; a day that nobody knows is not told by it."""
    return replace(
        prior,
        date="",
        study_uid=uids[prior.study_uid],
        series_uid=uids[prior.series_uid],
        series_description="",
        source="",
    )


def _growth(growth: Growth, uids: UidMap) -> Growth:
    if growth.prior is None:
        return growth
    return replace(growth, prior=replace(growth.prior, sop_instance_uid=uids[growth.prior.sop_instance_uid]))


def _recommendation(advice: Recommendation, readers: _Readers) -> Recommendation:
    decision = advice.overridden_by
    if decision is None:
        return advice
    category = decision.category if SHORT_CATEGORY.fullmatch(decision.category) else REMOVED
    never = datetime.min.replace(tzinfo=timezone.utc)
    return replace(advice, overridden_by=Override(category, REMOVED, readers[decision.reader], REMOVED, never))


def _exam(report: Report, readers: _Readers) -> tuple[Recommendation, ...]:
    """The examination's; where a finding's category is a reader's, that reader's words stand in it, and so does what a
    reader stated of the examination."""
    said = {a.guideline for f in report.findings for a in f.recommendations if a.overridden_by is not None}
    advices = (_recommendation(advice, readers) for advice in report.recommendations)
    return tuple(
        replace(advice, management=REMOVED, reason=REMOVED)
        if advice.guideline in said
        else replace(advice, management=_cleared(advice.management, report), reason=_cleared(advice.reason, report))
        for advice in advices
    )


def _cleared(text: str, report: Report) -> str:
    """A sentence without the words that a reader stated of the examination."""
    words = sorted(report.context.words, key=len, reverse=True)
    return re.sub("|".join(rf"(?<!\w){re.escape(w)}(?!\w)" for w in words), REMOVED, text) if words else text


def _without_words(exam: ScreeningExam) -> ScreeningExam:
    return replace(
        exam,
        not_evaluable=REMOVED if exam.not_evaluable else "",
        suspected_infection=REMOVED if exam.suspected_infection else "",
        significant=(REMOVED,) * len(exam.significant),
    )


def _event(event: AuditEvent, readers: _Readers) -> AuditEvent:
    action = event.action.removesuffix(TAKEN_BACK)
    detail = event.detail
    if action == "reject":
        detail = detail.partition(":")[0]
    elif detail and action not in GENERATED_DETAILS:
        detail = REMOVED
    return replace(event, at=None, who=readers[event.who], detail=detail)


def _setting(name: str, value: str) -> str:
    return value if KEPT_SETTINGS.fullmatch(name) or value in KEPT_CHOICES else REMOVED


def _identities(report: Report) -> re.Pattern[str]:
    """Whatever of the patient, the study or the files could stand in a sentence, also a part of a name or number."""
    study, series = report.study, report.series
    texts = [*asdict(report.patient).values(), *asdict(study).values(), *series.sop_instance_uids]
    texts += [series.uid, series.description, series.frame_of_reference_uid, series.source]
    texts += [part for part in Path(series.source).parts[-PATH_PARTS:] if len(part) >= LEAST_LETTERS]
    for told in (report.patient.name, report.patient.id, study.accession_number):
        texts += [word for word in re.findall(r"[^\W_]+", told) if len(word) >= LEAST_LETTERS]
    if (prior := report.prior) is not None:
        texts += [prior.date, prior.study_uid, prior.series_uid, prior.series_description, prior.source]
    # A file's name joins its words by underscores, which are no end of a word to \w.
    alone = (rf"(?<![^\W_]){re.escape(text)}(?![^\W_])" for text in texts if text)
    return re.compile("|".join(alone) or r"(?!)", re.I)
