"""What the review and the reference say in the Slicer module, in the user's language."""

from __future__ import annotations

from collections.abc import Sequence

from slicer.i18n import tr as _

from ...review import Finding, LiveMatch, ReviewCounts, ReviewEvent, VoxelOverlap
from .texts import BAD, CAUTION, GOOD, density_names, line_html

MOST_NAMES = 3
"""Of findings in a button; of more, the number."""


def mode_names() -> dict[str, str]:
    """How a scan is read."""
    return {"concurrent": _("With the detector's marks"), "second-reader": _("First without them (second reader)")}


def reason_names() -> dict[str, str]:
    """Why a mark is no nodule; the letter behind & chooses it."""
    return {
        "vessel": _("&Vessel"),
        "airway": _("&Airway"),
        "scar": _("&Scar"),
        "pleura": _("&Pleura"),
        "fissure": _("&Fissure"),
        "lymph-node": _("&Lymph node"),
        "atelectasis": _("A&telectasis"),
        "consolidation": _("&Consolidation"),
        "chest-wall": _("Chest &wall, diaphragm, mediastinum"),
        "artefact": _("Art&efact"),
        "duplicate": _("&Duplicate of another mark"),
        "other": _("&Other (say what in the comment)"),
    }


def action_names() -> dict[str, str]:
    """What readers do."""
    return {
        "accept": _("accept"),
        "reject": _("reject"),
        "reopen": _("reopen"),
        "edit contour": _("edit outline"),
        "set callipers": _("callipers"),
        "add": _("add"),
        "merge": _("merge"),
        "delete": _("delete"),
        "set note": _("note"),
        "set type": _("type"),
        "set category": _("category"),
        "set exam category": _("examination's category"),
        "set mode": _("reading mode"),
        "declare first read": _("first read done"),
        "undo": _("undo"),
        "redo": _("redo"),
    }


def event_text(event: ReviewEvent) -> str:
    """A change in a few words, as in 'accept N3'."""
    action = action_names()[event.change.action]
    subjects = event.change.subjects
    if len(subjects) > MOST_NAMES:
        return _("{action}, {count} findings").format(action=action, count=len(subjects))
    return " ".join([action, *subjects])


def undo_text(event: ReviewEvent | None) -> str:
    """The undo button."""
    return _("Undo") if event is None else _("Undo: {what}").format(what=event_text(event))


def redo_text(event: ReviewEvent | None) -> str:
    """The redo button."""
    return _("Redo") if event is None else _("Redo: {what}").format(what=event_text(event))


def review_text(counts: ReviewCounts, is_hidden: bool) -> str:
    """How far the reader has got. While the detector's marks are hidden, their number is too."""
    added = _("{count} added").format(count=counts.added)
    if is_hidden:
        return added
    parts = [_("{reviewed} of {total} reviewed").format(reviewed=counts.reviewed, total=counts.total)]
    if counts.accepted:
        parts.append(_("{count} accepted").format(count=counts.accepted))
    if counts.rejected:
        parts.append(_("{count} rejected").format(count=counts.rejected))
    return " · ".join([*parts, added] if counts.added else parts)


def added_text(finding: Finding, is_sphere: bool) -> str:
    """After a nodule was added."""
    diameter = f"{finding.contour.measurements.diameter_mm:.1f}"
    if is_sphere:
        text = _("{name} is only a sphere of {diameter} mm: nothing nodule-like stands out there. Edit its outline.")
        return line_html(CAUTION, "!", text.format(name=finding.id, diameter=diameter))
    text = _("{name} was added and outlined, {diameter} mm.")
    return line_html(GOOD, "✓", text.format(name=finding.id, diameter=diameter))


def edits_text(names: Sequence[str]) -> str:
    """After outlines were edited."""
    if not names:
        return _("No outline was changed.")
    text = _("Edited outlines were taken into the review: {names}.").format(names=", ".join(names))
    return line_html(GOOD, "✓", text)


def merged_text(finding: Finding) -> str:
    """After findings were merged."""
    return line_html(GOOD, "✓", _("They are {name} now.").format(name=finding.id))


def first_read_question(count: int) -> str:
    """Before the detector's marks are shown."""
    return _(
        "Is your reading without the detector finished? You have marked {count} nodule(s). The detector's marks are "
        "shown now, and this cannot be undone."
    ).format(count=count)


def replace_question(count: int) -> str:
    """Before a run that would replace a review."""
    return _(
        "This volume has a review with {count} entries in its audit trail. A new result replaces it. Save the scene "
        "first if you want to keep it. Search again?"
    ).format(count=count)


def type_choices(automatic: str) -> dict[str, str]:
    """The automatic density type, and the others."""
    names = density_names()
    return {"": _("Automatic: {type}").format(type=names.get(automatic, automatic)), **names}


def match_text(match: LiveMatch | None) -> str:
    """How well what counts at a threshold agrees with the reference."""
    if match is None:
        return ""
    result = match.result
    nodules = len(result.references)
    found = nodules - result.false_negatives
    lines = [
        line_html(GOOD, "●", _("{found} of {nodules} nodules found").format(found=found, nodules=nodules)),
        line_html(BAD, "●", _("{count} false positives").format(count=result.false_positives)),
        line_html(CAUTION, "●", _("{count} missed").format(count=result.false_negatives)),
    ]
    figures = [
        _("Sensitivity {percent}").format(percent=_percent(result.sensitivity)),
        _("precision {percent}").format(percent=_percent(result.precision)),
    ]
    return " &nbsp; ".join(lines) + "<br>" + ", ".join(figures)


def overlap_text(overlap: VoxelOverlap | None) -> str:
    """How well the voxels agree."""
    if overlap is None:
        return ""
    dice = "–" if overlap.dice is None else f"{overlap.dice:.2f}"
    return _("Dice {dice}: {common} voxels common, {false} false, {missed} missed").format(
        dice=dice, common=overlap.true_positives, false=overlap.false_positives, missed=overlap.false_negatives
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else _("{percent} %").format(percent=round(100 * share))
