"""The columns of the candidates table: one entry each, for whatever a detection's record holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from string import digits
from typing import Any

from slicer.i18n import tr as _

from ..candidates import CandidateRow
from .texts import (
    BAD,
    CAUTION,
    GOOD,
    category_text,
    density_symbols,
    location_names,
    match_names,
    status_names,
)

Sortable = float | str

MISSING = "–"
SORTED_LAST = -1e9
"""Sort key of what was not measured, below every measurement."""
LABEL_DIGITS = 9
MATCH_COLORS = {"TP": GOOD, "FP": BAD, "FN": CAUTION}


@dataclass(frozen=True)
class Column:
    """A column.

    :param key: names it in the settings. :param title: its heading. :param explanation: of the heading, for whoever
        asks.
    :param value: what a row is sorted by: a number or text; None where it is not known.
    :param text: what a known value looks like. :param colors: of values that have one of their own.
    :param beside: what is never shown without, from the row; put behind the value's text.
    :param is_default: shown unless the user chose otherwise.
    """

    key: str
    title: str
    explanation: str
    value: Callable[[CandidateRow], Sortable | None]
    text: Callable[[Any], str]
    is_default: bool = False
    colors: Mapping[Any, str] = field(default_factory=dict)
    beside: Callable[[CandidateRow], str] | None = None

    def cell(self, row: CandidateRow) -> tuple[str, Sortable]:
        """Text and sort key."""
        value = self.value(row)
        if value is None:
            return MISSING, SORTED_LAST
        return self.text(value) + (f" {self.beside(row)}" if self.beside is not None else ""), value


def candidate_columns() -> list[Column]:
    """Every column there can be, in the user's language.

    Translating is slow: it happens here, once, and not for every cell.
    """
    number, named, of = _number, _named, _field
    return [
        Column("label", _("Nodule"), _("Name of its point and segment."), _label_key, _label, True),
        Column(
            "score", _("Score"), _("How sure the detector is that this is a nodule, 0 to 1."), of("score"),
            number("{value:.2f}"), True,
        ),
        Column("status", _("Status"), _("What was decided about it."), of("status"), named(status_names()), True),
        Column(
            "match", _("Ref."),
            _("Against the reference: TP found, FP false, FN missed; (TP) is a further mark on a found nodule."),
            of("match"), named(match_names()), True, MATCH_COLORS,
        ),
        Column(
            "slice_number", _("Slice"), _("Slice through its centre, counted from 1 at the volume's first slice."),
            of("slice_number"), number("{value:.0f}"), True,
        ),
        Column(
            "mean_diameter_mm", _("Ø mm"),
            _("Diameter: mean of long and short axis in one plane, as guidelines use; a reader's where there is one."),
            of("mean_diameter_mm"), number("{value:.1f}"), True,
        ),
        Column(
            "automatic_diameter_mm", _("Automatic"),
            _("The automatic diameter, where a reader's callipers count instead."),
            of("automatic_diameter_mm"), number("{value:.1f} mm"),
        ),
        Column(
            "density", _("Type"), _("Density type. GGN: ground-glass nodule."), of("density"), named(density_symbols()),
            True,
        ),
        Column(
            "location", _("Lung"), _("Side, and third of the lung's height."), _location, named(location_names()),
            True,
        ),
        Column(
            "long_axis_mm", _("Long axis"), _("Longest extent in an axial slice."), of("long_axis_mm"),
            number("{value:.1f} mm"),
        ),
        Column(
            "short_axis_mm", _("Short axis"), _("Longest extent at right angles to the long axis, in the same slice."),
            of("short_axis_mm"), number("{value:.1f} mm"),
        ),
        Column(
            "solid_diameter_mm", _("Solid part"), _("Mean diameter of the solid part."), of("solid_diameter_mm"),
            number("{value:.1f} mm"),
        ),
        Column(
            "diameter_mm", _("Sphere"), _("Diameter of the sphere of the same volume."), of("diameter_mm"),
            number("{value:.1f} mm"),
        ),
        Column(
            "volume_mm3", _("Volume"), _("Volume of the outline."), of("volume_mm3"), number("{value:.0f} mm³")
        ),
        Column(
            "solid_volume_mm3", _("Solid volume"), _("Volume of the solid part."), of("solid_volume_mm3"),
            number("{value:.0f} mm³"),
        ),
        Column("mass_mg", _("Mass"), _("Volume times density."), of("mass_mg"), number("{value:.0f} mg")),
        Column("mean_hu", _("Mean HU"), _("Mean density of the outline."), of("mean_hu"), number("{value:.0f}")),
        Column("min_hu", _("Min. HU"), _("Least density in the outline."), of("min_hu"), number("{value:.0f}")),
        Column("max_hu", _("Max. HU"), _("Greatest density in the outline."), of("max_hu"), number("{value:.0f}")),
        Column("sd_hu", _("SD HU"), _("Standard deviation of the density."), of("sd_hu"), number("{value:.0f}")),
        Column(
            "sphericity", _("Sphericity"), _("1 for a sphere, less for every other shape."), of("sphericity"),
            number("{value:.2f}"),
        ),
        Column(
            "pleura_distance_mm", _("To pleura"), _("Distance from its surface to that of the lung."),
            of("pleura_distance_mm"), number("{value:.1f} mm"),
        ),
        Column(
            "malignancy", _("Malignancy"),
            _(
                "Estimated probability that readers would call it malignant; not pathology. In brackets what its "
                "diameter alone says: it goes mostly by size."
            ),
            of("malignancy"), number("{value:.2f}"), beside=_by_diameter(),
        ),
        Column(
            "category", _("Lung-RADS"),
            _("Category that Lung-RADS v2022 suggests at a first screening, or a reader's in place of it."),
            _category, category_text,
        ),
        Column(
            "sop_instance_uid", _("SOP Instance UID"), _("DICOM's name of that slice."), of("sop_instance_uid"), str
        ),
    ]  # fmt: skip


def known_columns(columns: Iterable[Column], rows: Iterable[CandidateRow]) -> list[Column]:
    """The columns in which at least one row has a value."""
    rows = list(rows)
    return [column for column in columns if any(column.value(row) is not None for row in rows)]


def _field(name: str) -> Callable[[CandidateRow], Sortable | None]:
    """A field of the record; numbers as float, because a view sorts a column by one type."""

    def value(row: CandidateRow) -> Sortable | None:
        found = row.values.get(name)
        if found is None or found == "" or found != found:  # what cannot be measured may also be NaN
            return None
        return found if isinstance(found, str) else float(found)

    return value


def _number(pattern: str) -> Callable[[float], str]:
    return lambda value: pattern.format(value=value).replace("-", "−")


def _named(names: Mapping[str, str]) -> Callable[[str], str]:
    return lambda value: names.get(value, value)


def _label_key(row: CandidateRow) -> str:
    """By kind, then by number: N2 before N10."""
    kind = row.label.rstrip(digits)
    return f"{kind}{int(row.label[len(kind) :]):0{LABEL_DIGITS}d}"


def _label(key: str) -> str:
    return f"{key[:-LABEL_DIGITS]}{int(key[-LABEL_DIGITS:])}"


def _category(row: CandidateRow) -> str | None:
    """What counts and, behind a space, what was suggested instead, as `category_text` takes it."""
    advice = row.advice
    if advice is None:
        return None
    return advice.final if advice.overridden_by is None else f"{advice.final} {advice.suggested}"


def _by_diameter() -> Callable[[CandidateRow], str]:
    """Tells the malignancy estimate's baseline."""
    known, unknown = _("(by diameter {probability:.2f})"), _("(by diameter not known)")

    def text(row: CandidateRow) -> str:
        value = row.values.get("malignancy_by_diameter")
        return unknown if value is None else known.format(probability=value)

    return text


def _location(row: CandidateRow) -> str | None:
    """Side and zone, as `location_text` takes it."""
    side, zone = row.values.get("side"), row.values.get("zone")
    return f"{side} {zone or ''}".strip() if side else None
