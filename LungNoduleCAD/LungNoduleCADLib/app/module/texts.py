"""What the Slicer module says, in the user's language."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from slicer.i18n import tr as _

from ..devices import DeviceChoice
from ..operating_table import Expectation, OperatingTable
from ..progress import Progress
from ..verdict import InputVerdict

GOOD, CAUTION, BAD = "#3c9a40", "#cf7a12", "#dc4c46"
"""Told apart from black and from white."""
LINES_OF_DETAILS = 4


def stage_text(stage: str) -> str:
    """A stage's name."""
    names = {
        "preparing": _("Preparing the volume"),
        "starting": _("Starting the detector"),
        "reading": _("Checking the volume"),
        "lung mask": _("Finding the lungs"),
        "preprocessing": _("Preparing the lungs"),
        "segmentation": _("Searching slice by slice"),
        "grouping": _("Collecting candidates"),
        "classification": _("Scoring candidates"),
        "measurement": _("Measuring candidates"),
        "occlusion": _("Covering place after place"),
        "gradients": _("Following the gradient"),
        "feature maps": _("Collecting feature maps"),
        "writing": _("Writing results"),
    }
    return names.get(stage, stage)


def progress_text(progress: Progress) -> str:
    """Stage, per cent and time left."""
    parts = [stage_text(progress.stage), _("{percent} %").format(percent=int(100 * progress.fraction))]
    if progress.seconds_left is not None:
        parts.append(_time_left_text(progress.seconds_left))
    return " · ".join(parts)


def line_html(color: str, sign: str, text: str) -> str:
    """A line with a sign before it, coloured where a colour is given."""
    style = f' style="color:{color}"' if color else ""
    return f"<span{style}><b>{sign}</b> {escape(text)}</span>"


def verdict_html(verdict: InputVerdict | None) -> str:
    """The input check, coloured by how bad it is; None while it is on."""
    if verdict is None:
        return _("Checking the volume…")
    if not verdict.accepted:
        return line_html(BAD, "✕", verdict.refusal)
    lines = [line_html(CAUTION, "!", message) for message in verdict.warnings]
    lines += [line_html("", "i", f.message) for f in verdict.findings if f.severity != "warning"]
    return "<br>".join(lines) if lines else line_html(GOOD, "✓", _("Suitable for detection."))


def warnings_html(warnings: Iterable[str]) -> str:
    """What the reader of a result must know."""
    return "<br>".join(line_html(CAUTION, "!", message) for message in warnings)


def error_html(message: str, details: str) -> str:
    """A failed run, with the last of its details."""
    lines = [line_html(BAD, "✕", message)]
    lines += [f"<small><tt>{escape(line)}</tt></small>" for line in details.splitlines()[-LINES_OF_DETAILS:]]
    return "<br>".join(lines)


def expectation_text(expectation: Expectation | None, has_table: bool) -> str:
    """What to expect at the threshold, by the model card."""
    if expectation is None:
        return _("Not measured at this threshold.") if has_table else _("The weights come without an operating table.")
    bands = "; ".join(f"{group}: {100 * value:.0f} %" for group, value in expectation.bands.items())
    found = _("{sensitivity} % of nodules").format(sensitivity=round(100 * expectation.sensitivity))
    false = _("{fp} false positives a scan").format(fp=f"{expectation.fp_per_scan:.1f}")
    if not expectation.fp_per_scan:  # "0.0" would promise more than a handful of scans can
        false = _("no false positive in the scans it was measured on")
    return f"{found} ({bands}), {false}" if bands else f"{found}, {false}"


def expectation_tip(table: OperatingTable | None) -> str:
    """Where these figures come from."""
    if table is None or not table.validation:
        return _("Measured on the evaluation data of the weights' card.")
    return _("Measured by the weights' card: {validation}.").format(validation=table.validation)


def preset_text(table: OperatingTable | None) -> str:
    """The clinical preset with its threshold."""
    if table is None:
        return _("Clinical")
    return _("Clinical {threshold}").format(threshold=f"{table.clinical_threshold:.2f}")


def counts_text(shown: int, total: int, missed: int, listed: int, is_hidden: bool) -> str:
    """How many candidates the threshold lets through and how many nodules are missed, and how many of both the filter
    lists. While the detector's marks are hidden, their number is too."""
    if is_hidden:
        return _("The detector's marks are hidden.")
    if total == 0:
        return _("No candidates were found.")
    text = _("{shown} of {total} candidates shown").format(shown=shown, total=total)
    if missed:
        text += " · " + _("{missed} missed").format(missed=missed)
    if listed < shown + missed:
        text += " · " + _("{listed} in the table").format(listed=listed)
    return text


def device_text(device: DeviceChoice) -> str:
    """A device as the list shows it."""
    if device.key == "auto":
        return _("Automatic (GPU when there is one)")
    if device.key == "cpu":
        return _("CPU")
    if device.free_mib is None:
        return device.name
    return _("{name} ({key}), {free} GB free").format(
        name=device.name, key=device.key, free=f"{device.free_mib / 1024:.1f}"
    )


def density_names() -> dict[str, str]:
    """Density types."""
    return {
        "solid": _("solid"),
        "part-solid": _("part-solid"),
        "ground-glass": _("ground-glass"),
        "calcified": _("calcified"),
        "fat": _("fat"),
    }


def density_symbols() -> dict[str, str]:
    """The same, short enough for a narrow column."""
    return {**density_names(), "ground-glass": _("GGN")}


def category_text(value: str) -> str:
    """A guideline's category, and whose it is: suggested, or a reader's with the suggested one behind it."""
    final, _space, suggested = value.partition(" ")
    if suggested:
        return _("{category} (suggested {suggested})").format(category=final, suggested=suggested)
    return _("{category} suggested").format(category=final)


def status_names() -> dict[str, str]:
    """What was decided about a candidate."""
    return {
        "pending": _("to review"),
        "accepted": _("accepted"),
        "rejected": _("rejected"),
        "added": _("added"),
    }


def match_names() -> dict[str, str]:
    """What a reference says of a candidate, short enough for a narrow column."""
    return {"TP": _("TP"), "FP": _("FP"), "FN": _("FN"), "ignored": _("(TP)")}


def match_choices() -> dict[str, str]:
    """The same in full."""
    return {
        "TP": _("true positive"),
        "FP": _("false positive"),
        "FN": _("missed"),
        "ignored": _("not counted"),
    }


def location_names() -> dict[str, str]:
    """Side, and zone where it is known, as in 'R upper'."""
    return {
        "left": _("left"),
        "left upper": _("L upper"),
        "left middle": _("L middle"),
        "left lower": _("L lower"),
        "right": _("right"),
        "right upper": _("R upper"),
        "right middle": _("R middle"),
        "right lower": _("R lower"),
    }


def plane_text(plane: str, field_mm: float) -> str:
    """Below a picture of a plane."""
    names = {"axial": _("Axial"), "coronal": _("Coronal"), "sagittal": _("Sagittal")}
    return _("{plane}, {width} mm").format(plane=names[plane], width=round(field_mm))


def slab_text(thickness_mm: float) -> str:
    """A choice of slab."""
    return _("MIP {thickness} mm").format(thickness=f"{thickness_mm:g}") if thickness_mm else _("Slices")


def _time_left_text(seconds: float) -> str:
    if seconds < 55:
        return _("about {seconds} s left").format(seconds=max(5, 5 * round(seconds / 5)))
    return _("about {minutes} min left").format(minutes=max(1, round(seconds / 60)))
