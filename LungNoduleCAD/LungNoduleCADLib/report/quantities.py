"""Every number a report gives of a finding: its name, unit, how it is printed, and its code in DICOM."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .model import ReportFinding

PRIVATE_SCHEME = "99LNCAD"
"""For concepts without a code in the standard's tables; designators that begin with 99 are private."""


class ConceptCode(NamedTuple):
    """A coded concept: value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


MILLIMETRE = ConceptCode("mm", "UCUM", "millimeter")
SQUARE_MILLIMETRE = ConceptCode("mm2", "UCUM", "square millimeter")
CUBIC_MILLIMETRE = ConceptCode("mm3", "UCUM", "cubic millimeter")
MILLIGRAM = ConceptCode("mg", "UCUM", "milligram")
HOUNSFIELD = ConceptCode("[hnsf'U]", "UCUM", "Hounsfield unit")
NO_UNIT = ConceptCode("1", "UCUM", "no units")

MEAN = ConceptCode("373098007", "SCT", "Mean")
MINIMUM = ConceptCode("255605001", "SCT", "Minimum")
MAXIMUM = ConceptCode("56851009", "SCT", "Maximum")
STANDARD_DEVIATION = ConceptCode("386136009", "SCT", "Standard Deviation")
ATTENUATION = ConceptCode("112031", "DCM", "Attenuation Coefficient")

PRINTED_UNITS = {"mm2": "mm²", "mm3": "mm³", "[hnsf'U]": "HU", "1": ""}


@dataclass(frozen=True)
class Quantity:
    """A number of a finding.

    :param key: in JSON, and the CSV's column. :param name: for a reader.
    :param value: of a finding; None where it was not measured.
    :param concept: its name in DICOM SR; `derivation` says how it was computed.
    """

    key: str
    name: str
    unit: ConceptCode
    decimals: int
    concept: ConceptCode
    value: Callable[[ReportFinding], float | None]
    derivation: ConceptCode | None = None

    @property
    def printed_unit(self) -> str:
        """As a reader knows it; empty for a plain number."""
        return PRINTED_UNITS.get(self.unit.value, self.unit.value)

    def of(self, finding: ReportFinding) -> float | None:
        """Its value; None where it was not measured."""
        value = self.value(finding)
        return None if value is None or not math.isfinite(value) else float(value)

    def text(self, finding: ReportFinding) -> str:
        """Value and unit for a reader, a dash where it was not measured."""
        value = self.of(finding)
        if value is None:
            return "–"
        number = f"{value:.{self.decimals}f}".replace("-", "−")
        return f"{number} {self.printed_unit}".rstrip()


def _measured(field: str) -> Callable[[ReportFinding], float | None]:
    return lambda finding: getattr(finding.measured, field)


def _private(value: str, meaning: str) -> ConceptCode:
    return ConceptCode(value, PRIVATE_SCHEME, meaning)


QUANTITIES = (
    Quantity(
        "long_axis_mm", "Long axis", MILLIMETRE, 1, ConceptCode("103339001", "SCT", "Long axis"), lambda f: f.axes_mm[0]
    ),
    Quantity(
        "short_axis_mm", "Short axis", MILLIMETRE, 1, ConceptCode("103340004", "SCT", "Short axis"),
        lambda f: f.axes_mm[1],
    ),
    Quantity(
        "mean_diameter_mm", "Mean diameter", MILLIMETRE, 1, ConceptCode("81827009", "SCT", "Diameter"),
        lambda f: f.mean_diameter_mm, MEAN,
    ),
    Quantity(
        "solid_diameter_mm", "Solid part, mean diameter", MILLIMETRE, 1,
        _private("SOLID_DIAMETER", "Mean diameter of solid component"), lambda f: f.solid_diameter_mm,
    ),
    Quantity(
        "diameter_mm", "Diameter of equal sphere", MILLIMETRE, 1,
        _private("SPHERE_DIAMETER", "Diameter of sphere of equal volume"), _measured("diameter_mm"),
    ),
    Quantity(
        "volume_mm3", "Volume", CUBIC_MILLIMETRE, 0, ConceptCode("118565006", "SCT", "Volume"), _measured("volume_mm3")
    ),
    Quantity(
        "solid_volume_mm3", "Solid part, volume", CUBIC_MILLIMETRE, 0,
        _private("SOLID_VOLUME", "Volume of solid component"), _measured("solid_volume_mm3"),
    ),
    Quantity("mass_mg", "Mass", MILLIGRAM, 0, ConceptCode("118538004", "SCT", "Mass"), _measured("mass_mg")),
    Quantity("mean_hu", "Mean density", HOUNSFIELD, 0, ATTENUATION, _measured("mean_hu"), MEAN),
    Quantity("min_hu", "Least density", HOUNSFIELD, 0, ATTENUATION, _measured("min_hu"), MINIMUM),
    Quantity("max_hu", "Greatest density", HOUNSFIELD, 0, ATTENUATION, _measured("max_hu"), MAXIMUM),
    Quantity("sd_hu", "Density, SD", HOUNSFIELD, 0, ATTENUATION, _measured("sd_hu"), STANDARD_DEVIATION),
    Quantity(
        "surface_mm2", "Surface", SQUARE_MILLIMETRE, 0, ConceptCode("C0JK", "IBSI", "Surface Area of Mesh"),
        _measured("surface_mm2"),
    ),
    Quantity(
        "sphericity", "Sphericity", NO_UNIT, 2, ConceptCode("QCFX", "IBSI", "Sphericity"), _measured("sphericity")
    ),
    Quantity(
        "pleura_distance_mm", "Distance to pleura", MILLIMETRE, 1,
        _private("PLEURA_DISTANCE", "Distance to pleura"), _measured("pleura_distance_mm"),
    ),
    Quantity(
        "score", "Nodule score", NO_UNIT, 3, ConceptCode("111012", "DCM", "Certainty of Finding"), lambda f: f.score
    ),
    Quantity(
        "malignancy", "Malignancy estimate", NO_UNIT, 2, ConceptCode("111047", "DCM", "Probability of cancer"),
        lambda f: f.malignancy,
    ),
    Quantity(
        "malignancy_by_diameter", "Malignancy by diameter alone", NO_UNIT, 2,
        _private("BY_DIAMETER", "Probability of malignancy from diameter alone"), lambda f: f.malignancy_by_diameter,
    ),
)  # fmt: skip
"""In the order in which they are shown."""

BY_KEY = {quantity.key: quantity for quantity in QUANTITIES}


def measured_quantities(finding: ReportFinding) -> Iterator[tuple[Quantity, float]]:
    """The quantities a finding has, with their values."""
    for quantity in QUANTITIES:
        if (value := quantity.of(finding)) is not None:
            yield quantity, value
