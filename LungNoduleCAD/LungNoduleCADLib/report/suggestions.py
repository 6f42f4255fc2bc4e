"""What the guidelines suggest for a report's findings, with readers' words over it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..errors import InputError
from ..growth import lung_rads_prior
from ..review import Finding
from ..rules import (
    NoduleFacts,
    Override,
    Patient,
    Prior,
    Recommendation,
    facts_of,
    fleischner,
    fleischner_exam,
    lung_rads,
    lung_rads_exam,
)
from ..rules.fleischner_table import FAMILIES
from ..rules.lung_rads_table import GUIDELINE as LUNG_RADS_NAME
from .context import GuidelineContext
from .follow_up import FollowUp
from .text import plain_text

LUNG_RADS, FLEISCHNER = "lung-rads", "fleischner"
GUIDELINES = (LUNG_RADS, FLEISCHNER)


class Suggestions(NamedTuple):
    """What the guidelines say.

    :param own: for each finding, one recommendation a guideline; none for one that cannot be classified.
    :param exam: for the examination, one a guideline.
    :param warnings: which findings could not be classified, and why.
    """

    own: list[tuple[Recommendation, ...]]
    exam: tuple[Recommendation, ...]
    warnings: tuple[str, ...]


def suggest(
    findings: Sequence[Finding],
    context: GuidelineContext,
    guidelines: Sequence[str],
    follow_up: FollowUp | None = None,
    decided: Mapping[str, Override] | None = None,
) -> Suggestions:
    """Suggestions for the findings and the examination.

    :param findings: as a review holds them, with a reader's sizes, types and categories.
    :param context: of patient and examination, plain. :param guidelines: of `GUIDELINES`.
    :param follow_up: the comparison with a prior; None at a first examination.
    :param decided: a reader's categories of the examination, by guideline.
    """
    if not guidelines:
        return Suggestions([() for _ in findings], (), ())
    facts: list[NoduleFacts | None] = []
    warnings: list[str] = []
    for finding in findings:
        try:
            facts.append(_facts(finding))
        except InputError as error:
            facts.append(None)
            warnings.append(f"{finding.id} has no suggested category: {error}")
    priors = [None if follow_up is None else _prior(finding, follow_up) for finding in findings]
    known = [(fact, prior) for fact, prior in zip(facts, priors, strict=True) if fact is not None]
    warnings += _not_settled(follow_up)
    patient = context.patient
    own: list[list[Recommendation]] = [[] for _ in findings]
    exam = []
    for guideline in guidelines:
        for finding, fact, prior, options in zip(findings, facts, priors, own, strict=True):
            if fact is not None:
                suggestion = (
                    lung_rads(fact, prior)
                    if guideline == LUNG_RADS
                    else fleischner(fact, patient, multiple=_has_others(fact, known), prior=prior)
                )
                options.append(replace(suggestion, overridden_by=_override(finding.categories, suggestion.guideline)))
        last = [options[-1] for options in own if options]
        if guideline == LUNG_RADS:
            said = _override(decided or {}, LUNG_RADS_NAME)
            exam.append(lung_rads_exam(last, context.exam, said, resolved=_resolved(follow_up)))
        else:
            whole = fleischner_exam([fact for fact, _ in known], patient, priors=[prior for _, prior in known])
            said = _override(decided or {}, whole.guideline)
            exam.append(replace(_fleischner_exam(findings, own, whole), overridden_by=said))
    return Suggestions([tuple(options) for options in own], tuple(exam), tuple(warnings))


def suggest_one(finding: Finding, others: Sequence[Finding], patient: Patient, guideline: str) -> Recommendation | None:
    """The same for one finding, at once; None where it cannot be classified.

    :param others: all that count beside it; only Fleischner asks for them, and for the patient.
    """
    try:
        fact = _facts(finding)
    except InputError:
        return None
    if guideline == LUNG_RADS:
        suggestion = lung_rads(fact)
    else:
        is_multiple = any(_counts_with(fact, other) for other in others if other is not finding)
        suggestion = fleischner(fact, patient, multiple=is_multiple)
    return replace(suggestion, overridden_by=_override(finding.categories, suggestion.guideline))


def _counts_with(fact: NoduleFacts, other: Finding) -> bool:
    """Whether both are of one family, so that there are several."""
    if FAMILIES.get(other.density_type) != FAMILIES.get(fact.density):
        return False
    try:
        return _facts(other) is not None
    except InputError:
        return False


def _override(categories: Mapping[str, Override], guideline: str) -> Override | None:
    """A reader's word, made harmless.

    :param categories: of a finding, or of the examination.
    """
    said = categories.get(guideline)
    if said is None:
        return None
    return Override(
        category=plain_text(said.category),
        management=plain_text(said.management),
        reader=plain_text(said.reader),
        reason=plain_text(said.reason),
        at=said.at,
    )


def _fleischner_exam(
    findings: Sequence[Finding], own: Sequence[Sequence[Recommendation]], suggestion: Recommendation
) -> Recommendation:
    """The guideline's word on the examination, which also says where a reader has set another follow-up."""
    said = [
        f" {decision.reader} has set for {finding.id}: {decision.management} ({decision.reason})"
        for finding, options in zip(findings, own, strict=True)
        if options and (decision := options[-1].overridden_by) is not None
    ]
    return replace(suggestion, reason=suggestion.reason + "".join(said))


def _facts(finding: Finding) -> NoduleFacts:
    if not all(map(math.isfinite, finding.axes_mm)):
        raise InputError("Its axes were not measured; measure it with callipers.")
    return facts_of(
        finding.contour.measurements,
        callipers_mm=finding.callipers_mm,
        solid_callipers_mm=finding.solid_callipers_mm,
        density=finding.density,
    )


def _prior(finding: Finding, follow_up: FollowUp) -> Prior | None:
    """What the prior says of a finding, with its category then where a reader gave it one."""
    found = follow_up.comparison.of(finding.id)
    then = None if found is None or found.prior is None else follow_up.categories.get(found.prior.label)
    return lung_rads_prior(follow_up.comparison, finding.id, then)


def _resolved(follow_up: FollowUp | None) -> list[str]:
    """Lung-RADS categories, in the prior, of the nodules that have resolved since: a reader's, or those by size."""
    if follow_up is None:
        return []
    then = [f.prior for f in follow_up.comparison.findings if f.status == "resolved" and f.prior is not None]
    return [follow_up.categories.get(f.label) or lung_rads(f.facts).category for f in then]


def _not_settled(follow_up: FollowUp | None) -> list[str]:
    """What the prior has, nobody has found again, and no guideline was asked about."""
    if follow_up is None:
        return []
    missing = [f.prior.label for f in follow_up.comparison.findings if f.status == "gone" and f.prior is not None]
    if not missing:
        return []
    verb = "was" if len(missing) == 1 else "were"
    return [
        f"{', '.join(missing)} of the prior {verb} not found again, yet the lung is dense there: no suggested category "
        "counts it; look at both scans."
    ]


def _has_others(fact: NoduleFacts, known: Sequence[tuple[NoduleFacts, Prior | None]]) -> bool:
    family = FAMILIES.get(fact.density)
    return sum(FAMILIES.get(other.density) == family for other, _ in known) > 1
