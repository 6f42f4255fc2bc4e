"""`lungnodulecad compare`: two result folders of one patient become a table of what grew, came and went."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..growth import GrowthFinding, Study, StudyComparison, StudyFinding, compare_studies
from ..growth.study import STATUS_WORDS
from ..report.record import Record, read_record
from ..review import Finding, Review, shown_findings
from ..rules import facts_of
from ..volume import Volume
from .growth_files import growth_csv, growth_json
from .result_review import read_review
from .result_scan import read_scan

CURRENT, PRIOR = "current", "prior"


@dataclass(frozen=True)
class ComparisonTask:
    """What to compare, as the command line takes it.

    :param current, prior: folders that detections wrote. :param output: folder for the comparison.
    :param current_image, prior_image: where the scans are now; None takes the places they were read from.
    :param current_date, prior_date: of the examinations, where the scans do not say it, or to be corrected.
    :param same_patient: the two are of one patient although their numbers differ.
    """

    current: Path
    prior: Path
    output: Path
    current_image: Path | None = None
    prior_image: Path | None = None
    current_date: date | None = None
    prior_date: date | None = None
    same_patient: bool = False


@dataclass(frozen=True, eq=False)
class ComparisonOutcome:
    """What was found, and where it was written."""

    comparison: StudyComparison
    folder: Path
    files: tuple[str, ...]


def compare(task: ComparisonTask, progress: Callable[[str, float], None]) -> ComparisonOutcome:
    """Read both results and their scans, compare them, and write the folder: whole or not at all.

    :param progress: called with a stage's name and its fraction.
    :raises LungNoduleCADError: for everything that is the user's to mend; nothing is left behind.
    """
    from ..io import output_folder
    from ..io.atomic import write_text

    with output_folder(task.output) as folder:
        progress("reading", 0.0)
        records = {CURRENT: read_record(task.current), PRIOR: read_record(task.prior)}
        check_patient(records[CURRENT], records[PRIOR], task.same_patient)
        scan = read_scan(records[CURRENT], task.current, task.current_image, f"with --{CURRENT}-image")
        current, left_out = read_study(records[CURRENT], task.current, scan, task.current_date, CURRENT)
        progress("reading", 0.5)
        scan = read_scan(records[PRIOR], task.prior, task.prior_image, f"with --{PRIOR}-image")
        prior, left_out_then = read_study(records[PRIOR], task.prior, scan, task.prior_date, PRIOR)
        progress("comparing", 0.0)
        comparison = compare_studies(current, prior, lambda share: progress("comparing", share))
        comparison = replace(comparison, warnings=(*comparison.warnings, *left_out, *left_out_then))
        said = [_said(records[CURRENT], current.day), _said(records[PRIOR], prior.day)]
        write_text(folder / "growth.json", growth_json(comparison, *said))
        write_text(folder / "growth.csv", growth_csv(comparison, *said))
    return ComparisonOutcome(comparison, task.output, ("growth.csv", "growth.json"))


def describe_comparison(outcome: ComparisonOutcome) -> str:
    """For a person: a line a finding, and where the files are."""
    comparison = outcome.comparison
    days = "" if comparison.interval_days is None else f", {comparison.interval_days} days apart"
    lines = [f"{len(comparison.findings)} findings compared{days}"]
    lines += [_line(finding) for finding in comparison.findings]
    lines += [f"Warning: {warning}" for warning in comparison.warnings]
    return "\n".join([*lines, f"Written to {outcome.folder}: {', '.join(outcome.files)}"])


def _line(finding: GrowthFinding) -> str:
    names = [f.label if f is not None else "-" for f in (finding.prior, finding.current)]
    words = f"  {names[0]:>4} -> {names[1]:4} {finding.status:11} "
    change = finding.change
    if change is None:
        return f"{words} {finding.note or STATUS_WORDS[finding.status]}"
    words += f" volume {change.volume_ratio - 1:+.0%}, diameter {change.diameter_mm:+.1f} mm"
    if change.doubling_days is not None and change.significant:
        kind = "doubles in" if change.doubling_days > 0 else "halves in"
        words += f", {kind} {abs(change.doubling_days):.0f} days"
    return f"{words}. {finding.note}".rstrip()


def check_patient(current: Record, prior: Record, same_patient: bool) -> None:
    """Refuse what cannot be two studies of one patient.

    :param same_patient: they are, although the numbers differ.
    :raises InputError: when both are of one series, or of two patients.
    """
    series = [record.result.series for record in (current, prior)]
    uids = [s.get("series_uid") for s in series]
    if uids[0] and uids[0] == uids[1]:
        raise InputError("Both results are of the same series; give the result of an earlier scan as the prior.")
    patients = [s.get("patient_id") for s in series]
    if all(patients) and patients[0] != patients[1] and not same_patient:
        raise InputError(
            f"The current scan is of patient {patients[0]} and the prior of {patients[1]}; give --same-patient if the "
            "two are one person."
        )


def read_study(
    record: Record,
    folder: Path,
    scan: Volume,
    day: date | None,
    name: str,
    review: Review | None = None,
    threshold: float | None = None,
) -> tuple[Study, list[str]]:
    """A result and its scan as they are compared; and what was left out of it, in sentences.

    :param day: of the examination; None takes what the result says. :param name: 'current' or 'prior', for messages.
    :param review: None takes the one in the folder. :param threshold: None takes the result's.
    :raises InputError: when the review cannot be read.
    """
    review = review or read_review(folder, None, record) or Review.of(record.result.candidates)
    shown = shown_findings(review.state, record.result.threshold if threshold is None else threshold)
    findings, warnings = [], []
    for finding in review.state.findings.values():
        if finding.status in ("rejected", "merged"):
            continue
        try:
            findings.append(study_finding(finding, counts=shown[finding.id]))
        except InputError as error:
            if shown[finding.id]:
                warnings.append(f"{finding.id} of the {name} study was left out: {error}")
    return Study(scan, tuple(findings), day or _day(record)), warnings


def study_finding(finding: Finding, counts: bool) -> StudyFinding:
    """A reviewed finding as it is compared.

    :raises InputError: when it was not measured.
    """
    measured = finding.contour.measurements
    if not all(map(math.isfinite, (*finding.axes_mm, measured.volume_mm3))):
        raise InputError("it was not measured.")
    facts = facts_of(
        measured,
        callipers_mm=finding.callipers_mm,
        solid_callipers_mm=finding.solid_callipers_mm,
        density=finding.density,
    )
    mask = finding.contour.mask if finding.contour.mask.voxels.any() else None
    return StudyFinding(finding.id, finding.contour.center_lps, measured, facts, counts, mask)


def _day(record: Record) -> date | None:
    try:
        return datetime.strptime(str(record.result.series.get("study_date") or ""), "%Y%m%d").date()
    except ValueError:
        return None


def _said(record: Record, day: date | None) -> dict[str, Any]:
    result = record.result
    return {
        **{key: result.series.get(key) for key in ("series_uid", "study_uid", "series_description")},
        "study_date": None if day is None else day.isoformat(),
        "threshold": result.threshold,
        "model": result.model,
        "lungnodulecad": result.versions.get("lungnodulecad"),
    }
