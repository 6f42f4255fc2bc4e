"""The report as one HTML file: no script, no reference to anything outside it."""

from __future__ import annotations

import base64
from typing import Any

from ..resources import resource_path
from . import growth_words, words
from .key_images import KeyImage
from .model import NOTICE, Report
from .pictures import Pictures
from .quantities import BY_KEY

TEMPLATE = "report.html.jinja"
ADVICE = "advice.html.jinja"


def render_html(report: Report, pictures: Pictures) -> str:
    """The report as HTML5. All text is escaped by the template engine."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(resource_path("Report")), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    cards = []
    for finding in report.findings:
        images = pictures.with_prior(finding)
        axial = next(image for image in images if image.name == "axial")
        cards.append(
            {
                "finding": finding,
                "images": [_embedded(image) for image in images],
                "thumbnail": _source(axial.thumbnail),
            }
        )
    advise = environment.get_template(ADVICE).module
    return environment.get_template(TEMPLATE).render(
        report=report,
        cards=cards,
        locators=[_embedded(image) for image in pictures.locators],
        has_places=any(finding.location for finding in report.findings),
        guidelines=[advice.guideline for advice in report.recommendations],
        words=words,
        growth_words=growth_words,
        quantities=BY_KEY,
        notice=NOTICE,
        advise=advise.advise,  # type: ignore[attr-defined]
    )


def _embedded(image: KeyImage) -> dict[str, Any]:
    width, height = image.picture.size
    return {
        "source": _source(image.jpeg),
        "title": image.title,
        "description": image.description,
        "width": width,
        "height": height,
    }


def _source(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
