"""Lung-RADS v2022: from a nodule's facts to its category, and from the nodules to the examination's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import InputError
from .facts import Basis, NoduleFacts, Prior, ScreeningExam, as_judged, tenths
from .lung_rads_table import (
    CATEGORIES,
    GROWTH_MM,
    GUIDELINE,
    MANAGEMENT,
    RESOLVES,
    ROWS,
    SIGNIFICANT,
    STEPS,
    TABLE,
    YEAR_DAYS,
    Bound,
    Row,
    State,
)
from .recommendation import Override, Recommendation
from .sizes import Size, describe, larger_by_mm, size_of, solid_size_of

STATE_WORDS: dict[State, str] = {
    "baseline": "at first screening",
    "new": "new since the prior",
    "stable": "not grown since the prior",
    "growing": "growing",
    "slow": "slowly growing",
}

ON_THE_PLEURA = (
    "On the pleura: with a smooth margin and an oval, lentiform or triangular shape it is 2; a reader must say so."
)


def lung_rads(nodule: NoduleFacts, prior: Prior | None = None, *, basis: Basis = "diameter") -> Recommendation:
    """The suggested category of one nodule.

    :param prior: None at a first screening; with a prior examination what it says of this nodule, also that it was not
        there.
    :param basis: whether mean diameters or volumes are held against the bounds.
    :raises InputError: when the size that the basis asks for is missing, or the prior's category is unknown.
    """
    if prior is not None and prior.category is not None and prior.category not in CATEGORIES:
        raise InputError(f"The prior category '{prior.category}' is unknown; use one of {', '.join(CATEGORIES)}.")
    nodule = as_judged(nodule)
    state, change = _state(nodule, prior, basis)
    if state == "stable" and prior is not None and prior.nodule is not None:
        category, why, source = _stable(nodule, prior.nodule, prior, change, basis)
    else:
        row = _row(nodule, state, basis)
        category, why, source = row.category, f"{_words(nodule, state, row, basis)}{change}", row.source
    if category not in ("1", "2") and _row(replace(nodule, smooth=True), state, basis).smooth_juxtapleural:
        why += f" {ON_THE_PLEURA}"
    if nodule.suspicious:
        features = ", ".join(nodule.suspicious)
        if category in ("3", "4A", "4B"):
            why += f" Raised from {category} by what adds to the suspicion: {features}."
            category, source = "4X", "ACR Lung-RADS v2022, note 14 (category 4X)"
        else:
            why += f" Seen besides: {features}; 4X is for categories 3 and 4 only, so that a reader must weigh it."
    return Recommendation(GUIDELINE, category, MANAGEMENT[category], why, source)


def lung_rads_exam(
    nodules: Sequence[Recommendation],
    exam: ScreeningExam | None = None,
    decision: Override | None = None,
    *,
    resolved: Sequence[str] = (),
) -> Recommendation:
    """The suggested category of the examination: that of its most suspicious nodule, by what counts of each (an
    override before the suggestion); 1 without nodules, 0 when it cannot be judged yet.

    :param decision: a reader's in its place; the modifier of what was stated is added to it too.
    :param resolved: categories, in the prior, of nodules that are no longer there.
    :raises InputError: when a recommendation is of another guideline, or overridden with an unknown category.
    """
    exam = exam or ScreeningExam()
    for nodule in nodules:
        if nodule.guideline != GUIDELINE or _without_modifier(nodule.final) not in CATEGORIES:
            raise InputError(f"'{nodule}' is no category of {GUIDELINE}; give the nodules' {GUIDELINE} categories.")
    worst = max(nodules, key=lambda r: CATEGORIES.index(_without_modifier(r.final)), default=None)
    if worst is None:
        category, why, source, management = "1", "No lung nodule.", TABLE, MANAGEMENT["1"]
    else:
        category, source = _without_modifier(worst.final), worst.source
        why, management = f"Most suspicious of {len(nodules)}: {_why_final(worst)}", worst.final_management
    former = max((c for c in resolved if c in RESOLVES), key=CATEGORIES.index, default=None)
    if category == "1" and former is not None:
        category, source, management = "2", f"{TABLE}, nodules that resolve", MANAGEMENT["2"]
        why += f" A nodule that was {former} in the prior has resolved."
    if pending := _incomplete(exam):
        why = f"{pending} So far: {category}. {why}"
        category, source, management = "0", f"{TABLE}, and notes 9 and 10", MANAGEMENT["0"]
    modifiers: tuple[str, ...] = ()
    if exam.significant:
        modifiers, also = ("S",), " " + SIGNIFICANT.format(findings=", ".join(exam.significant))
        management += also
        if decision is not None:
            said = f"{_without_modifier(decision.category)}S"
            decision = replace(decision, category=said, management=decision.management + also)
    return Recommendation(GUIDELINE, category, management, why, source, modifiers, decision)


def _incomplete(exam: ScreeningExam) -> str:
    parts = []
    if exam.not_evaluable:
        parts.append(f"Not evaluable: {exam.not_evaluable}.")
    if exam.awaiting_prior:
        parts.append("Prior examinations are being located.")
    if exam.suspected_infection:
        parts.append(f"Looks infectious or inflammatory: {exam.suspected_infection}.")
    return " ".join(parts)


def _without_modifier(category: str) -> str:
    return category.removesuffix("S")


def _why_final(nodule: Recommendation) -> str:
    decision = nodule.overridden_by
    if decision is None:
        return nodule.reason
    return f"{decision.reader} chose {decision.category} ({decision.reason}); suggested was {nodule.suggested}."


def _state(nodule: NoduleFacts, prior: Prior | None, basis: Basis) -> tuple[State, str]:
    """What became of the nodule since the prior, and the numbers behind it in words."""
    if prior is None:
        return "baseline", ""
    if prior.nodule is None:
        return "new", f" The prior of {prior.interval_days} days ago does not show it."
    # What counts in a nodule with a solid part is that part; it may have appeared in what was ground-glass.
    with_solid_part = nodule.density in ("solid", "part-solid")
    measure = solid_size_of if with_solid_part else size_of
    increase = larger_by_mm(measure(nodule, basis), measure(prior.nodule, basis))
    what = "Its solid part is" if nodule.density == "part-solid" else "It is"
    change = (
        f"{abs(increase):.1f} mm {'larger than' if increase > 0 else 'smaller than'}" if increase else "as large as"
    )
    words = f" {what} {change} {prior.interval_days} days ago"
    if nodule.density == "part-solid" and prior.nodule.density == "ground-glass":
        return "growing", " Its solid part is new: the prior shows ground-glass only."
    per_year = increase * min(YEAR_DAYS / prior.interval_days, 1.0)
    if tenths(per_year) > tenths(GROWTH_MM):
        return "growing", f"{words}, more than {GROWTH_MM} mm in 12 months."
    if prior.grew_slowly or tenths(increase) > tenths(GROWTH_MM):
        return "slow", f"{words}, over more than one examination or year, in no 12 months more than {GROWTH_MM} mm."
    return "stable", f"{words}."


def _stable(nodule: NoduleFacts, before: NoduleFacts, prior: Prior, change: str, basis: Basis) -> tuple[str, str, str]:
    """Category, reason and source of a nodule that has not grown: stepped down after the follow-up's time, unless it
    crossed a bound of size."""
    row = _row(nodule, "stable", basis)
    words = f"{_words(nodule, 'stable', row, basis)}{change}"
    if "stable" in row.states:
        return row.category, words, row.source
    sized, sized_before = row.category, _row(before, "baseline", basis).category
    former = sized_before if prior.category in (None, "0") else prior.category
    assert former is not None
    if CATEGORIES.index(sized) > CATEGORIES.index(sized_before):
        category = max(sized, former, key=CATEGORIES.index)
        return category, f"{words} It crossed a bound of size and is classified anew.", f"{TABLE}, note 5"
    grown_whole = larger_by_mm(size_of(nodule, basis), size_of(before, basis))
    if tenths(grown_whole) > tenths(GROWTH_MM):
        # The table grades the growth of solid parts alone; such a nodule is not stable, so it does not step down.
        category = max(sized, former, key=CATEGORIES.index)
        return category, f"{words} The whole nodule is {grown_whole:.1f} mm larger, so it keeps its category.", TABLE
    step = STEPS.get(former)
    if step is None:
        return former, f"{words} It was {former} and stays so.", TABLE
    if prior.interval_days < step.after_days:
        return former, f"{words} It was {former}, and the {step.months} months of follow-up are not over.", TABLE
    words += f" It was {former}, and steps down after {step.months} months."
    return step.category, words, f"{TABLE}, stepped management"


def _row(nodule: NoduleFacts, state: State, basis: Basis) -> Row:
    """The first row that fits; a stable nodule that no row names is sized as at first screening."""
    for wanted in (state, "baseline"):
        for row in ROWS:
            if wanted in row.states and _fits(nodule, row, basis):
                return row
    raise AssertionError(f"no row of Lung-RADS for {nodule}")


def _fits(nodule: NoduleFacts, row: Row, basis: Basis) -> bool:
    if row.smooth_juxtapleural and not nodule.looks_like_lymph_node:
        return False
    return (
        nodule.density in row.densities
        and _between(size_of(nodule, basis), row.at_least, row.below)
        and _between(solid_size_of(nodule, basis), row.solid_at_least, row.solid_below)
    )


def _between(size: Size, at_least: Bound | None, below: Bound | None) -> bool:
    def reached(bound: Bound) -> bool:
        return size.value >= (bound.mm if size.basis == "diameter" else bound.mm3)

    return (at_least is None or reached(at_least)) and (below is None or not reached(below))


def _words(nodule: NoduleFacts, state: State, row: Row, basis: Basis) -> str:
    """The facts that led to a row, and the bounds they meet."""
    words = f"{describe(nodule, basis)}, {STATE_WORDS[state]}"
    if row.smooth_juxtapleural:
        words += ", on the pleura with a smooth margin and a benign shape"
    limits = [
        _range_words(row.at_least, row.below, basis),
        _range_words(row.solid_at_least, row.solid_below, basis, "solid part "),
    ]
    met = " and ".join(text for text in limits if text)
    words += f": {met}." if met else "."
    if nodule.density == "calcified" and nodule.benign_calcification is None:
        words += " That the calcification is complete, central, popcorn or concentric is for a reader to confirm."
    return words


def _range_words(at_least: Bound | None, below: Bound | None, basis: Basis, what: str = "") -> str:
    def text(bound: Bound) -> str:
        return f"{bound.mm} mm" if basis == "diameter" else f"{bound.mm3} mm3"

    parts = ([f"at least {text(at_least)}"] if at_least else []) + ([f"below {text(below)}"] if below else [])
    return f"{what}{' and '.join(parts)}" if parts else ""
