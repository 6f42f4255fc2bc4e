"""Fleischner 2017: what to do about nodules found by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .facts import Basis, NoduleFacts, Patient, Prior, as_judged, rounded
from .fleischner_follow_up import follow_up
from .fleischner_table import (
    FAMILIES,
    FIRST_MM,
    FIRST_MM3,
    GUIDELINE,
    LAST_MEDIUM_MM,
    LAST_MEDIUM_MM3,
    LAST_NODULE_MM,
    LAST_NODULE_MM3,
    LEAST_AGE_YEARS,
    NO_FOLLOW_UP,
    ROWS,
    SIZE_WORDS,
    SOURCE,
    SUSPICIOUS_SOLID_PART,
    Row,
    SizeClass,
)
from .recommendation import Recommendation
from .sizes import describe, size_of, solid_size_of

NOT_APPLICABLE = "not applicable"
BENIGN = "benign"
NO_NODULE = "no nodule"


def fleischner(
    nodule: NoduleFacts,
    patient: Patient | None = None,
    *,
    multiple: bool = False,
    prior: Prior | None = None,
    basis: Basis = "diameter",
) -> Recommendation:
    """The suggestion for one nodule found by chance.

    :param multiple: there are other nodules of its family, solid or subsolid.
    :param prior: what an earlier examination says of it; None at its first detection.
    :param basis: whether mean diameters or volumes are held against the bounds.
    :raises InputError: when the size that the basis asks for is missing.
    """
    return _classify(nodule, patient or Patient(), multiple, prior, basis)[0]


def fleischner_exam(
    nodules: Sequence[NoduleFacts],
    patient: Patient | None = None,
    *,
    priors: Sequence[Prior | None] = (),
    basis: Basis = "diameter",
) -> Recommendation:
    """The suggestion for all nodules of one CT: that for the one to be seen to first.

    :param priors: what an earlier examination says of each; empty where there was none.
    :raises InputError: when the size that the basis asks for is missing.
    """
    patient = patient or Patient()
    if reason := _why_not(patient):
        return _not_applicable(reason)
    if not nodules:
        return Recommendation(GUIDELINE, NO_NODULE, NO_FOLLOW_UP, "No lung nodule.", SOURCE)
    counts = {family: sum(_family(n) == family for n in nodules) for family in FAMILIES.values()}
    options = [
        _classify(nodule, patient, counts.get(_family(nodule) or "", 0) > 1, prior, basis)
        for nodule, prior in zip(nodules, priors or [None] * len(nodules), strict=True)
    ]
    first = min(range(len(options)), key=lambda n: (options[n][1], -size_of(nodules[n], basis).value))
    suggestion = options[first][0]
    others = f"Most urgent of {len(nodules)}: " if len(nodules) > 1 else ""
    return replace(suggestion, reason=others + suggestion.reason)


def _classify(
    nodule: NoduleFacts, patient: Patient, multiple: bool, prior: Prior | None, basis: Basis
) -> tuple[Recommendation, float]:
    """The recommendation, and the months until something is to be done."""
    never = float("inf")
    if reason := _why_not(patient):
        return _not_applicable(reason), never
    nodule = as_judged(nodule)
    if nodule.density in ("calcified", "fat"):
        reason = f"{describe(nodule, basis)}: fat or a benign calcification needs no follow-up."
        if nodule.density == "calcified" and nodule.benign_calcification is None:
            reason += " That the calcification is a benign one is for a reader to confirm."
        return Recommendation(GUIDELINE, BENIGN, NO_FOLLOW_UP, reason, SOURCE), never
    size, class_ = _size_class(nodule, basis)
    row = _row(nodule, class_, multiple, patient)
    lymph_node = _row(replace(nodule, smooth=True), class_, multiple, patient)
    number = "several" if multiple else "single"
    family = FAMILIES[nodule.density]
    category = f"{number} {nodule.density}, {SIZE_WORDS[class_][basis]}"
    # Only where the table tells high from low risk is the risk part of the category.
    if row.high_risk is not None:
        category += ", high risk" if row.high_risk else ", low risk"
    elif row.lymph_node:
        category += ", like a lymph node"
    reason = f"{describe(nodule, basis)}, taken as {size}: {SIZE_WORDS[class_][basis]}, {number} {family} nodule"
    reason += "s." if multiple else "."
    reason += _assumptions(patient, row)
    if lymph_node.lymph_node and not row.lymph_node:
        reason += " On the pleura: smooth and shaped like a lymph node, it needs no follow-up; a reader must say so."
    if nodule.suspicious:
        reason += f" Seen besides: {', '.join(nodule.suspicious)}; this speaks for the earlier follow-up."
    if nodule.density == "part-solid" and rounded(solid_size_of(nodule, "diameter").value) >= FIRST_MM:
        reason += f" {SUSPICIOUS_SOLID_PART}"
    management, months = row.management, row.months
    if prior is not None and class_ != "mass":
        management, months, words = follow_up(nodule, prior, management, months)
        reason += words
    return Recommendation(GUIDELINE, category, management, reason, row.source), never if months is None else months


def _why_not(patient: Patient) -> str:
    """Why the guideline does not apply; empty when nothing known speaks against it."""
    reasons = []
    if patient.age_years is not None and patient.age_years < LEAST_AGE_YEARS:
        reasons.append(f"the patient is younger than {LEAST_AGE_YEARS}")
    if patient.known_cancer:
        reasons.append("a cancer is known")
    if patient.immunosuppressed:
        reasons.append("the patient is immunosuppressed")
    if patient.screening:
        reasons.append("this is lung cancer screening, for which Lung-RADS is made")
    return " and ".join(reasons)


def _not_applicable(reason: str) -> Recommendation:
    return Recommendation(
        GUIDELINE,
        NOT_APPLICABLE,
        "By the individual case; this guideline gives no follow-up.",
        f"The guideline does not apply: {reason}.",
        f"{SOURCE}, scope",
    )


def _assumptions(patient: Patient, row: Row) -> str:
    """What was taken for granted, so that a reader can contradict."""
    unknown = [
        name
        for name, value in (
            ("age", patient.age_years),
            ("known cancer", patient.known_cancer),
            ("immunosuppression", patient.immunosuppressed),
        )
        if value is None
    ]
    words = f" Not known, and taken not to exclude the patient: {', '.join(unknown)}." if unknown else ""
    if row.high_risk is not None and patient.high_risk is None:
        words += " The risk is not known and taken as high."
    return words


def _family(nodule: NoduleFacts) -> str | None:
    return FAMILIES.get(as_judged(nodule).density)


def _size_class(nodule: NoduleFacts, basis: Basis) -> tuple[str, SizeClass]:
    """The size rounded as the guideline wants it, and its class."""
    value = rounded(size_of(nodule, basis).value)
    first, medium, nodule_limit = (
        (FIRST_MM, LAST_MEDIUM_MM, LAST_NODULE_MM)
        if basis == "diameter"
        else (FIRST_MM3, LAST_MEDIUM_MM3, LAST_NODULE_MM3)
    )
    class_: SizeClass = (
        "small" if value < first else "medium" if value <= medium else "large" if value <= nodule_limit else "mass"
    )
    return f"{value} mm{'' if basis == 'diameter' else '3'}", class_


def _row(nodule: NoduleFacts, class_: SizeClass, multiple: bool, patient: Patient) -> Row:
    high_risk = patient.high_risk is not False
    for row in ROWS:
        if (
            nodule.density in row.densities
            and class_ in row.sizes
            and row.multiple in (None, multiple)
            and row.high_risk in (None, high_risk)
            and (not row.lymph_node or nodule.looks_like_lymph_node)
        ):
            return row
    raise AssertionError(f"no row of Fleischner for {nodule}")
