"""What the report section says, in the user's language."""

from __future__ import annotations

from html import escape
from pathlib import Path

from slicer.i18n import tr as _

from ...report.suggestions import FLEISCHNER, LUNG_RADS
from ..progress import Progress
from .exporting import ExportedReport
from .texts import GOOD, line_html


def export_progress_text(progress: Progress) -> str:
    """Stage and per cent."""
    names = {
        "preparing": _("Collecting what the report needs"),
        "starting": _("Starting"),
        "reading": _("Reading the scan's headers"),
        "comparing": _("Comparing with the prior"),
        "rendering": _("Drawing the report"),
        "writing": _("Writing the files"),
    }
    percent = _("{percent} %").format(percent=int(100 * progress.fraction))
    return f"{names.get(progress.stage, progress.stage)} · {percent}"


def exported_html(report: ExportedReport, url: str) -> str:
    """What was exported, and a link that opens its folder."""
    link = f'<a href="{escape(url)}">{escape(Path(report.folder).name)}</a>'
    place = _("Written to {folder}").format(folder=link)
    return f"{line_html(GOOD, '✓', report.summary)}<br>{place}"


def guideline_choices() -> list[tuple[str, tuple[str, ...]]]:
    """Which guidelines' suggestions a report gives."""
    return [
        (_("Lung-RADS v2022 and Fleischner 2017"), (LUNG_RADS, FLEISCHNER)),
        (_("Lung-RADS v2022 (screening)"), (LUNG_RADS,)),
        (_("Fleischner 2017 (found by chance)"), (FLEISCHNER,)),
        (_("None"), ()),
    ]


def risk_choices() -> list[tuple[str, bool | None]]:
    """Of the patient, for lung cancer."""
    return [(_("Risk not stated"), None), (_("Low risk"), False), (_("High risk"), True)]


def cancer_choices() -> list[tuple[str, bool | None]]:
    """Whether the patient has or had one."""
    return [(_("Cancer not stated"), None), (_("No known cancer"), False), (_("Known cancer"), True)]


def immunity_choices() -> list[tuple[str, bool | None]]:
    """Of the patient."""
    return [(_("Immunity not stated"), None), (_("Immunocompetent"), False), (_("Immunosuppressed"), True)]
