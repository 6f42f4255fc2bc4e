"""The report as PDF, A4, by reportlab: what the HTML says, in the same order."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..rules.lung_rads_table import GUIDELINE as LUNG_RADS
from . import growth_words, words
from .model import NOTICE, Report, ReportFinding
from .pdf_growth import since_the_prior
from .pdf_layout import (
    ACCENT,
    AMBER,
    AMBER_PAPER,
    CELL_LONGEST,
    GREEN_PAPER,
    HEAD,
    LABEL,
    PANEL,
    PAPER,
    WIDTH,
    boxed,
    grid_of_pairs,
    heading,
    padded,
    paragraph,
    picture,
    plain_table,
    write_pages,
)
from .pictures import Pictures
from .quantities import BY_KEY

CARD_HEIGHT = 360
"""Of a finding with its pictures and suggestions, in points."""


def render_pdf(report: Report, pictures: Pictures) -> bytes:
    """The report as a PDF file's content.

    :raises OutputError: when the fonts are missing.
    """
    from reportlab.platypus import Spacer

    story: list[Any] = [_head(report), _patient(report), *_result(report, pictures)]
    if report.warnings:
        story.append(_warnings(report))
    if report.findings:
        story += [*heading("Findings"), _findings(report, pictures)]
    if report.prior is not None:
        story += since_the_prior(report, report.prior)
    if report.findings:
        story += heading("Key images and measurements", CARD_HEIGHT)
        for finding in report.findings:
            story += [_card(finding, report, pictures), Spacer(1, 8)]
    if report.notes:
        story += [*heading("Notes"), paragraph(report.notes)]
    if report.rejected:
        story += [*heading("Rejected by the reader"), _rejected(report)]
    method = words.method_pairs(report) + (growth_words.prior_pairs(report.prior) if report.prior else [])
    story += [*heading("Method and provenance"), plain_table(method, (95, WIDTH - 95))]
    story += [*heading("Audit trail"), _audit(report)]
    story += [Spacer(1, 10), paragraph(words.DISCLAIMER, "soft")]
    stream = io.BytesIO()
    author = f"LungNoduleCAD {report.method.software_version}"
    write_pages(stream, story, author, _identity(report), fixed=report.deidentified)
    return stream.getvalue()


def _identity(report: Report) -> str:
    """At the head of every page but the first: a page alone must say whose it is."""
    patient, study = report.patient, report.study
    parts = ("Lung nodule report", patient.name, patient.id, study.date, study.accession_number)
    return " · ".join(part for part in parts if part)


def _head(report: Report) -> Any:
    from reportlab.platypus import Table

    title = [
        paragraph("Lung nodule report", "title"),
        paragraph(f"LungNoduleCAD {report.method.software_version} · chest CT", "subtitle"),
    ]
    notice = boxed(paragraph(NOTICE, "notice"), AMBER_PAPER, width=210)
    table = Table([[title, notice]], colWidths=(WIDTH - 230, 230))
    table.setStyle([("BACKGROUND", (0, 0), (-1, -1), HEAD), ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                    *padded(9)])  # fmt: skip
    return table


def _patient(report: Report) -> Any:
    return boxed(grid_of_pairs(words.patient_pairs(report), 4, WIDTH - 20), PAPER)


def _result(report: Report, pictures: Pictures) -> list[Any]:
    from reportlab.platypus import Spacer, Table

    reviewed = report.review.state == "reviewed"
    left: list[Any] = [
        paragraph(words.headline(report), "count"),
        paragraph(words.summary(report), "lead"),
        *([paragraph(growth_words.growth_summary(report), "lead")] if report.prior else []),
        Spacer(1, 3),
        boxed(paragraph(words.review_text(report), "reviewed" if reviewed else "unreviewed", longest=CELL_LONGEST),
              GREEN_PAPER if reviewed else AMBER_PAPER, width=170, padding=2),
        Spacer(1, 4),
    ]  # fmt: skip
    if rest := words.left_out(report):
        left.append(paragraph(rest, "soft"))
    images = [[picture(image.jpeg, 112, image.picture.size) for image in pictures.locators],
              [paragraph(image.title, "caption") for image in pictures.locators]]  # fmt: skip
    where = Table(images, colWidths=(118, 118))
    where.setStyle([("BACKGROUND", (0, 0), (-1, -1), PANEL), *padded(3),
                    ("ALIGN", (0, 0), (-1, -1), "CENTER"), ("VALIGN", (0, 0), (-1, 0), "MIDDLE")])  # fmt: skip
    table = Table([[left, where]], colWidths=(WIDTH - 242, 242))
    table.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), *padded(0), ("RIGHTPADDING", (0, 0), (0, 0), 12)])
    parts = [*heading("Result"), table]
    if report.recommendations:
        parts += [Spacer(1, 6), _advices(report.recommendations, WIDTH), paragraph(words.SUGGESTED, "soft")]
    return parts


def _advices(recommendations: Sequence[Any], width: float) -> Any:
    """Side by side, one a guideline."""
    from reportlab.platypus import Table

    each = width / len(recommendations)
    cells = []
    for advice in recommendations:
        texts = [
            (f"{words.guideline_text(advice)} – {words.decider(advice)}", "guideline"),
            (words.advice_title(advice), "category"),
            (words.advice_detail(advice), "text"),
        ]
        if advice.overridden_by is not None:
            texts.append((f"Reader's reason: {advice.overridden_by.reason}", "text"))
        texts.append((f"{advice.reason} ({advice.source})", "soft"))
        cells.append([paragraph(text, style, longest=CELL_LONGEST) for text, style in texts])
    table = Table([cells], colWidths=[each] * len(cells))
    style: list[tuple[Any, ...]] = [
        ("BACKGROUND", (0, 0), (-1, -1), "#eef7f7"), ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 9), ("RIGHTPADDING", (0, 0), (-1, -1), 9),
    ]  # fmt: skip
    style += [("LINEBEFORE", (n, 0), (n, 0), 3, ACCENT) for n in range(len(cells))]
    table.setStyle(style)
    return table


def _warnings(report: Report) -> Any:
    lines = [paragraph(f"• {warning}", longest=CELL_LONGEST) for warning in report.warnings]
    return boxed([paragraph("Warnings", "warning"), *lines], AMBER_PAPER, line=AMBER)


def _findings(report: Report, pictures: Pictures) -> Any:
    columns = _columns(report, pictures)
    rows: list[list[Any]] = [[paragraph(name, "head") for name, _, _ in columns]]
    rows += [[cell(finding) for _, _, cell in columns] for finding in report.findings]
    whole = sum(weight for _, weight, _ in columns)
    return plain_table(rows, [WIDTH * weight / whole for _, weight, _ in columns], header=True)


def _columns(report: Report, pictures: Pictures) -> list[tuple[str, float, Callable[[ReportFinding], Any]]]:
    """Name, share of the width, and cell of each column; those that would be empty are left out."""

    def thumbnail(finding: ReportFinding) -> Any:
        axial = next(image for image in pictures.of(finding) if image.name == "axial")
        return picture(axial.thumbnail, 26, axial.picture.size)

    columns: list[tuple[str, float, Callable[[ReportFinding], Any]]] = [
        ("No.", 26, lambda f: paragraph(f.label, "strong")),
        ("Image", 34, thumbnail),
        ("Type", 64, lambda f: paragraph(f.density)),
    ]
    if any(finding.location for finding in report.findings):
        columns.append(("Location", 58, lambda f: paragraph(f.location or "–")))
    columns += [
        ("Slice", 30, lambda f: paragraph(str(f.slice_number), "strong")),
        ("Mean diameter", 52, lambda f: paragraph(words.size_text(f), "strong")),
        *([] if report.prior else [("Long × short", 76, lambda f: paragraph(words.axes_text(f)))]),
        ("Volume", 55, lambda f: paragraph(BY_KEY["volume_mm3"].text(f))),
        ("Score", 32, lambda f: paragraph(BY_KEY["score"].text(f))),
    ]
    if report.prior is not None:
        columns.append(("Since prior", 62, lambda f: paragraph(growth_words.growth_text(f.growth), "strong")))
    for advice in report.recommendations:
        width = 60 if advice.guideline == LUNG_RADS else 100
        columns.append((advice.guideline, width, partial(_advice_cell, advice.guideline)))
    columns.append(("Review", 56, lambda f: paragraph(words.status_text(f), longest=CELL_LONGEST)))
    return columns


def _advice_cell(guideline: str, finding: ReportFinding) -> Any:
    return paragraph(words.advice_of(finding, guideline), longest=CELL_LONGEST)


def _card(finding: ReportFinding, report: Report, pictures: Pictures) -> Any:
    from reportlab.platypus import KeepTogether, Table

    place = f", {finding.location}" if finding.location else ""
    since = "" if finding.growth is None else f" – {growth_words.growth_text(finding.growth)}"
    title = f"{words.size_text(finding)}, {finding.density}{place}, slice {finding.slice_number}{since}"
    decided = finding.status != "unreviewed"
    head = Table(
        [[boxed(paragraph(finding.label, "label"), LABEL, width=34, padding=1), paragraph(title, "finding"),
          paragraph(words.status_text(finding), "reviewed" if decided else "unreviewed", longest=CELL_LONGEST)]],
        colWidths=(44, WIDTH - 204, 160),
    )  # fmt: skip
    head.setStyle([("BACKGROUND", (0, 0), (-1, -1), PAPER), ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                   ("ALIGN", (2, 0), (2, 0), "RIGHT"), *padded(4)])  # fmt: skip
    images = pictures.with_prior(finding)
    each = WIDTH / len(images)
    panels = Table(
        [[picture(image.jpeg, each - 4, image.picture.size) for image in images],
         [paragraph(image.title, "caption") for image in images]],
        colWidths=[each] * len(images),
    )  # fmt: skip
    panels.setStyle([("BACKGROUND", (0, 0), (-1, -1), PANEL), *padded(2),
                     ("ALIGN", (0, 0), (-1, -1), "CENTER")])  # fmt: skip
    facts = words.card_pairs(finding, report) + growth_words.growth_pairs(finding)
    parts = [head, panels, grid_of_pairs(facts, 5, WIDTH)]
    if finding.recommendations:
        parts.append(_advices(finding.recommendations, WIDTH))
    if finding.reason:
        parts.append(paragraph(f"Reason: {finding.reason}"))
    if finding.comment:
        parts.append(paragraph(f"Comment: {finding.comment}"))
    return KeepTogether(parts)


def _rejected(report: Report) -> Any:
    head = ("No.", "Type", "Slice", "Mean diameter", "Review", "Reason")
    rows: list[Sequence[Any]] = [[paragraph(name, "head") for name in head]]
    rows += [
        (f.label, f.density, str(f.slice_number), words.size_text(f), words.status_text(f), f.reason)
        for f in report.rejected
    ]
    return plain_table(rows, (40, 70, 40, 70, 130, WIDTH - 350), header=True)


def _audit(report: Report) -> Any:
    rows: list[Sequence[Any]] = [[paragraph(name, "head") for name in ("Time", "Who", "Finding", "What", "Detail")]]
    rows += words.audit_rows(report.audit)
    return plain_table(rows, (118, 100, 50, 90, WIDTH - 358), header=True)
