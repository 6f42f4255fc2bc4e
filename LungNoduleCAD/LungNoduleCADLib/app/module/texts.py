"""What the Slicer module says, in the user's language."""

from __future__ import annotations

from html import escape

from slicer.i18n import tr as _

from ..devices import DeviceChoice
from ..operating_table import Expectation
from ..progress import Progress
from ..verdict import InputVerdict

GOOD, CAUTION, BAD = "#2e7d32", "#b26a00", "#c62828"
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
        "writing": _("Writing results"),
    }
    return names.get(stage, stage)


def progress_text(progress: Progress) -> str:
    """Stage, per cent and time left."""
    parts = [stage_text(progress.stage), _("{percent} %").format(percent=int(100 * progress.fraction))]
    if progress.seconds_left is not None:
        parts.append(_time_left_text(progress.seconds_left))
    return " · ".join(parts)


def verdict_html(verdict: InputVerdict) -> str:
    """The input check, coloured by how bad it is."""
    if not verdict.accepted:
        return _line(BAD, "✕", verdict.refusal)
    lines = [_line(CAUTION, "!", message) for message in verdict.warnings]
    lines += [_line("palette(text)", "i", f.message) for f in verdict.findings if f.severity != "warning"]
    return "<br>".join(lines) if lines else _line(GOOD, "✓", _("Suitable for detection."))


def error_html(message: str, details: str) -> str:
    """A failed run, with the last of its details."""
    lines = [_line(BAD, "✕", message)]
    lines += [f"<small><tt>{escape(line)}</tt></small>" for line in details.splitlines()[-LINES_OF_DETAILS:]]
    return "<br>".join(lines)


def expectation_text(expectation: Expectation | None, has_table: bool) -> str:
    """What to expect at the threshold, by the model card."""
    if expectation is None:
        return _("Not measured at this threshold.") if has_table else _("The weights come without an operating table.")
    return _("{sensitivity} % of nodules, {fp} false positives a scan").format(
        sensitivity=round(100 * expectation.sensitivity), fp=f"{expectation.fp_per_scan:.1f}"
    )


def counts_text(shown: int, total: int) -> str:
    """How many candidates the threshold lets through."""
    if total == 0:
        return _("No candidates were found.")
    return _("{shown} of {total} candidates shown").format(shown=shown, total=total)


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


def _time_left_text(seconds: float) -> str:
    if seconds < 55:
        return _("about {seconds} s left").format(seconds=max(5, 5 * round(seconds / 5)))
    return _("about {minutes} min left").format(minutes=max(1, round(seconds / 60)))


def _line(color: str, sign: str, text: str) -> str:
    style = "" if color.startswith("palette") else f' style="color:{color}"'
    return f"<span{style}><b>{sign}</b> {escape(text)}</span>"
