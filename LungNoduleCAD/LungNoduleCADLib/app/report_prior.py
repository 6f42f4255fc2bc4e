"""The comparison with a prior that a report takes in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from ..growth import compare_studies
from ..report.follow_up import FollowUp, prior_study
from ..report.record import Record, read_record
from ..report.text import plain_text
from ..review import Review
from ..rules.lung_rads_table import CATEGORIES, GUIDELINE
from ..volume import Volume
from .compare import CURRENT, PRIOR, check_patient, read_study
from .result_review import read_review
from .result_scan import read_scan


@dataclass(frozen=True)
class PriorTask:
    """An earlier examination to compare with.

    :param result: folder that a detection wrote. :param image: where its scan is now; None takes the place it was read
        from.
    :param day: of that examination, :param current_day: of the current one, where the scans do not say it, or to be
        corrected.
    :param same_patient: the two are of one patient although their numbers differ.
    """

    result: Path
    image: Path | None = None
    day: date | None = None
    current_day: date | None = None
    same_patient: bool = False


def read_prior(task: PriorTask, current: Record) -> tuple[Record, Volume]:
    """The prior's result and scan.

    :raises InputError: when one cannot be read, or both are of one series or of two patients.
    """
    record = read_record(task.result)
    check_patient(current, record, task.same_patient)
    return record, read_scan(record, task.result, task.image, f"with --{PRIOR}-image")


def compared_with_prior(
    task: PriorTask,
    current: Record,
    folder: Path,
    scan: Volume,
    review: Review | None,
    threshold: float | None,
    prior: tuple[Record, Volume],
) -> FollowUp:
    """What became of the findings since.

    :param folder: of the current result, and :param scan: its. :param review: None when there is none.
    :param prior: of `read_prior`.
    :raises InputError: when the two cannot be compared.
    """
    record, prior_scan = prior
    then_review = read_review(task.result, None, record) or Review.of(record.result.candidates)
    now, left_out = read_study(current, folder, scan, task.current_day, CURRENT, review, threshold)
    then, left_out_then = read_study(record, task.result, prior_scan, task.day, PRIOR, then_review)
    comparison = compare_studies(now, then)
    comparison = replace(comparison, warnings=(*comparison.warnings, *left_out, *left_out_then))
    result = record.result
    made_by = [f"LungNoduleCAD {result.versions.get('lungnodulecad', '')}".rstrip()]
    made_by += [
        f"{kind} {entry.get('version')} ({str(entry.get('sha256'))[:12]})"
        for kind, entry in result.model.items()
        if isinstance(entry, dict)
    ]
    study = prior_study(
        result.series,
        comparison,
        threshold=result.threshold,
        made_by=plain_text(", ".join(made_by)),
        **({"date": then.day.isoformat()} if then.day is not None else {}),
    )
    uids = tuple(str(uid) for uid in result.series.get("sop_instance_uids") or ())
    return FollowUp(study, comparison, prior_scan, uids, _categories(then_review))


def _categories(review: Review) -> dict[str, str]:
    """The Lung-RADS categories that a reader gave the prior's findings."""
    said = {f.id: f.categories.get(GUIDELINE) for f in review.state.findings.values()}
    given = {label: decision.category.removesuffix("S") for label, decision in said.items() if decision is not None}
    return {label: category for label, category in given.items() if category in CATEGORIES}
