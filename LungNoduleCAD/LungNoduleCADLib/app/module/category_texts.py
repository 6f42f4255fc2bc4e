"""What the Slicer module says of a guideline's suggestion, in the user's language. The guidelines' own words are those
of the report."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from html import escape

from slicer.i18n import tr as _

from ...findings import DensityType
from ...report.suggestions import FLEISCHNER, LUNG_RADS
from ...rules import Recommendation
from ...rules.fleischner_table import MASS, NO_FOLLOW_UP, ROWS, SOLID
from ...rules.lung_rads_table import CATEGORIES, GUIDELINE, MANAGEMENT
from .texts import CAUTION, line_html

AS_SUGGESTED = ""
"""The choice of what the guideline suggests."""
OF_EXAMINATION = "0"
"""Lung-RADS' category of what cannot be judged yet: of the examination, not of a nodule."""


def guideline_names() -> dict[str, str]:
    """Whose suggestion is shown."""
    return {LUNG_RADS: _("Lung-RADS v2022 (screening)"), FLEISCHNER: _("Fleischner 2017 (found by chance)")}


def category_choices(advice: Recommendation, density: DensityType) -> dict[str, tuple[str, str]]:
    """What a reader can choose, with its explanation: the suggestion, then what the guideline knows. The keys are
    categories of Lung-RADS, or what Fleischner's guideline knows to do about such a nodule."""
    densities = {density} if any(density in row.densities for row in ROWS) else set(SOLID)
    return _choices(advice, [name for name in CATEGORIES if name != OF_EXAMINATION], densities)


def exam_choices(advice: Recommendation) -> dict[str, tuple[str, str]]:
    """Likewise for the whole examination."""
    return _choices(advice, CATEGORIES, {density for row in ROWS for density in row.densities})


def decided_choice(advice: Recommendation) -> str:
    """The choice that a reader has made before; `AS_SUGGESTED` when none."""
    decision = advice.overridden_by
    if decision is None:
        return AS_SUGGESTED
    # The modifier follows from what is stated of the examination, and is no choice.
    return decision.category.removesuffix("S") if advice.guideline == GUIDELINE else decision.management


def advice_html(advice: Recommendation, wished: tuple[str, str] | None) -> str:
    """What counts, what was suggested, and why.

    :param wished: category and management that a reader has chosen and not yet justified.
    """
    lines = []
    if wished is not None:
        lines.append(line_html(CAUTION, "!", _("Say why, then press Set.")))
        lines.append(_said(_("Yours"), advice, *wished))
    decision = advice.overridden_by
    if decision is not None:
        lines.append(_said(decision.reader, advice, decision.category, decision.management))
        lines.append(escape(_("Because: {reason}").format(reason=decision.reason)))
    lines.append(_said(_("Suggested"), advice, advice.suggested, advice.management))
    lines.append(escape(advice.reason))
    return "<br>".join(lines)


def unstated_text(is_rejected: bool) -> str:
    """Where there is no suggestion."""
    if is_rejected:
        return _("A rejected finding has no category.")
    return _("Its axes were not measured: measure it, and a category is suggested.")


def hidden_exam_text() -> str:
    """While the detector's marks must not be seen."""
    return _("The examination is judged by all marks: declare the first read first.")


def _choices(
    advice: Recommendation, categories: Iterable[str], densities: Collection[DensityType]
) -> dict[str, tuple[str, str]]:
    suggested = advice.suggested if advice.guideline == GUIDELINE else advice.management
    choices = {AS_SUGGESTED: (_("As suggested: {category}").format(category=suggested), advice.management)}
    if advice.guideline == GUIDELINE:
        return {**choices, **{name: (name, MANAGEMENT[name]) for name in categories}}
    managements = [row.management for row in ROWS if not set(row.densities).isdisjoint(densities)]
    return {**choices, **{text: (text, text) for text in (NO_FOLLOW_UP, *managements, MASS)}}


def _said(who: str, advice: Recommendation, category: str, management: str) -> str:
    """Who says what: Lung-RADS' category with what follows from it, of Fleischner what to do alone."""
    if advice.guideline == GUIDELINE:
        return f"<b>{escape(who)}: {escape(category)}.</b> {escape(management)}"
    return f"<b>{escape(who)}:</b> {escape(management)}"
