"""An evaluation as one HTML file: no script, no reference to anything outside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from .. import __version__
from ..resources import resource_path
from .data_set import ORIGINS
from .feature_maps import MOST_CHANNELS
from .free_response import OPERATING_POINTS, FrocBand
from .libraries import jinja2
from .page_files import COMPARISON, PageFiles
from .study import LONGEST_CASE_LIST, Study

TEMPLATE = "evaluation.html.jinja"
NOTICE = "Research use only. Not a medical device; not for diagnostic use."
KINDS = {"png": "image/png", "gif": "image/gif"}


def render_page(study: Study, page: PageFiles, provenance: Sequence[tuple[str, str]]) -> str:
    """The page as HTML5, every picture embedded. All text is escaped by the template engine.

    :param provenance: names and values of what the evaluation was made from.
    :raises MissingLibraryError: when Jinja2 is not installed.
    """
    engine = jinja2()
    environment = engine.Environment(
        loader=engine.FileSystemLoader(resource_path("Report")),
        autoescape=True,
        undefined=engine.StrictUndefined,
        trim_blocks=True,
    )
    rated = any(result.malignancy is not None for result in study.sets)
    text: str = environment.get_template(TEMPLATE).render(
        study=study,
        version=__version__,
        notice=NOTICE,
        origins=ORIGINS,
        operating_points=OPERATING_POINTS,
        longest_case_list=LONGEST_CASE_LIST,
        most_channels=MOST_CHANNELS,
        sections=_sections(study, page, rated),
        rated=rated,
        files=page.files,
        paths=page.paths,
        comparison_path=COMPARISON,
        examples=page.examples,
        feature_maps=page.feature_maps,
        histories=page.histories,
        provenance=provenance,
        source=lambda path: _embedded(path, page.files[path]),
        number=_number,
        fraction=lambda value: str(Fraction(value)),
        band_at=_band_at,
    )
    return text


def _sections(study: Study, page: PageFiles, rated: bool) -> list[tuple[str, str]]:
    """Id and title of the sections that there are."""
    all_sections = (
        ("data", "Data", True),
        ("detection", "Detection", True),
        ("thresholds", "Operating table", True),
        ("candidates", "Candidates", True),
        ("malignancy", "Malignancy", rated),
        ("across", "Across data sets", len(study.sets) > 1),
        ("missed", "Missed nodules", True),
        ("examples", "Examples", bool(page.examples)),
        ("maps", "Feature maps", bool(page.feature_maps)),
        ("training", "Training", bool(page.histories)),
        ("provenance", "Where this comes from", True),
    )
    return [(name, title) for name, title, there in all_sections if there]


def _embedded(path: str, content: bytes) -> str:
    kind = KINDS[path.rsplit(".", 1)[-1]]
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _band_at(band: FrocBand, fp_per_scan: float) -> tuple[float, float]:
    """Limits of the band at an operating point."""
    low, high = (float(np.interp(fp_per_scan, band.fp_per_scan, side)) for side in (band.lower, band.upper))
    return low, high
