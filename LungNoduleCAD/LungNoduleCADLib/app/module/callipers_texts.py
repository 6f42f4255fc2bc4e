"""What the Slicer module says of sizes and callipers, in the user's language."""

from __future__ import annotations

import math

import numpy as np
from slicer.i18n import tr as _

from ...review import Finding
from ...review.decisions import Part
from ...review.state import Callipers
from ...rules import mean_diameter_mm
from .texts import CAUTION, GOOD, line_html

LEAST_ANGLE = 70.0
"""Between the axes; below it the lines are hardly a long axis and one at right angles to it."""


def line_name(finding_id: str, part: Part, number: int) -> str:
    """Of a line in the views, which shows its length behind it."""
    names = {
        ("nodule", 0): _("{finding} long axis"),
        ("nodule", 1): _("{finding} short axis"),
        ("solid-part", 0): _("{finding} solid part, long axis"),
        ("solid-part", 1): _("{finding} solid part, short axis"),
    }
    return names[part, number].format(finding=finding_id)


def prompt_text(finding_id: str, part: Part, number: int) -> str:
    """What to do next while measuring."""
    if number:
        return _("Now the short axis: click its two ends, at right angles to the long one.")
    what = finding_id if part == "nodule" else _("the solid part of {finding}").format(finding=finding_id)
    return _("Click the two ends of the long axis of {what} in a slice view. Esc gives up.").format(what=what)


def size_text(finding: Finding, part: Part) -> str:
    """What counts, and the automatic size beside a reader's."""
    axes, automatic = _sizes(finding, part)
    measured = _("{size} automatic").format(size=automatic) if automatic else _("not measured automatically")
    if axes is None:
        return measured
    return _("<b>{size}</b> callipers<br>{automatic}").format(size=_axes_text(*axes), automatic=measured)


def measured_text(finding: Finding, part: Part) -> str:
    """After the callipers were drawn or moved."""
    axes, _automatic = _sizes(finding, part)
    assert axes is not None
    lines = finding.callipers_lps if part == "nodule" else finding.solid_callipers_lps
    text = _("{finding}: {size} by callipers; drag the ends to correct it.").format(
        finding=finding.id, size=_axes_text(*axes)
    )
    said = [line_html(GOOD, "✓", text)]
    if lines is not None and (angle := _angle(lines)) < LEAST_ANGLE:
        question = _("The axes meet at {angle}°; the short one is meant at right angles to the long one.")
        said.append(line_html(CAUTION, "!", question.format(angle=round(angle))))
    return "<br>".join(said)


def _sizes(finding: Finding, part: Part) -> tuple[tuple[float, float] | None, str]:
    """A reader's axes, and the automatic size in words; empty where there is none."""
    measured = finding.contour.measurements
    if part == "nodule":
        known = math.isfinite(measured.long_axis_mm) and math.isfinite(measured.short_axis_mm)
        return finding.callipers_mm, _axes_text(measured.long_axis_mm, measured.short_axis_mm) if known else ""
    solid = measured.solid_diameter_mm
    return finding.solid_callipers_mm, _("{mean} mm").format(mean=f"{solid:.1f}") if solid is not None else ""


def _axes_text(long_axis: float, short_axis: float) -> str:
    """Mean diameter first, as the guidelines ask for it."""
    mean = f"{mean_diameter_mm(long_axis, short_axis):.1f}"
    return _("{mean} mm ({long} × {short})").format(mean=mean, long=f"{long_axis:.1f}", short=f"{short_axis:.1f}")


def _angle(lines: Callipers) -> float:
    """Between two lines, degrees, 90 at most."""
    a, b = (np.subtract(*line) for line in lines)
    cosine = abs(float(a @ b)) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)
    return math.degrees(math.acos(min(cosine, 1.0)))
