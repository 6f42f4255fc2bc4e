"""What the guidelines suggest for a report's findings, with readers' words over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ..errors import InputError
from ..review import Finding
from ..rules import (
    NoduleFacts,
    Override,
    Patient,
    Recommendation,
    facts_of,
    fleischner,
    fleischner_exam,
    lung_rads,
    lung_rads_exam,
)
from ..rules.fleischner_table import FAMILIES
from .context import GuidelineContext
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


def suggest(findings: Sequence[Finding], context: GuidelineContext, guidelines: Sequence[str]) -> Suggestions:
    """Suggestions at a first examination: nothing is known of a prior.

    :param findings: as a review holds them, with a reader's sizes, types and categories.
    :param context: of patient and examination, plain. :param guidelines: of `GUIDELINES`.
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
    known = [f for f in facts if f is not None]
    patient = context.patient
    own: list[list[Recommendation]] = [[] for _ in findings]
    exam = []
    for guideline in guidelines:
        for finding, fact, options in zip(findings, facts, own, strict=True):
            if fact is not None:
                suggestion = lung_rads(fact) if guideline == LUNG_RADS else _fleischner(fact, known, patient)
                options.append(replace(suggestion, overridden_by=_override(finding, suggestion.guideline)))
        last = [options[-1] for options in own if options]
        exam.append(lung_rads_exam(last, context.exam) if guideline == LUNG_RADS else fleischner_exam(known, patient))
    return Suggestions([tuple(options) for options in own], tuple(exam), tuple(warnings))


def _override(finding: Finding, guideline: str) -> Override | None:
    """A reader's word, made harmless."""
    said = finding.categories.get(guideline)
    if said is None:
        return None
    return Override(
        category=plain_text(said.category),
        management=plain_text(said.management),
        reader=plain_text(said.reader),
        reason=plain_text(said.reason),
        at=said.at,
    )


def _facts(finding: Finding) -> NoduleFacts:
    if not all(map(math.isfinite, finding.axes_mm)):
        raise InputError("Its axes were not measured; measure it with callipers.")
    return facts_of(
        finding.contour.measurements,
        callipers_mm=finding.callipers_mm,
        solid_callipers_mm=finding.solid_callipers_mm,
        density=finding.density,
    )


def _fleischner(fact: NoduleFacts, known: Sequence[NoduleFacts], patient: Patient) -> Recommendation:
    family = FAMILIES.get(fact.density)
    return fleischner(fact, patient, multiple=sum(FAMILIES.get(f.density) == family for f in known) > 1)
