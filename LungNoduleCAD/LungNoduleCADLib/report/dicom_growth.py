"""Growth since a prior as coded concepts of DICOM SR: of the standard's terms where it has them, else of our own."""

from __future__ import annotations

from collections.abc import Iterator

from . import growth_words
from .dicom_codes import private
from .model import ReportFinding
from .quantities import MILLIMETRE, ConceptCode

SIZE_SINCE_PRIOR = ConceptCode("442714003", "SCT", "Difference in size")
GROWTH_STATUSES = {
    "growing": ConceptCode("15454001", "SCT", "Increase in size"),
    "shrinking": ConceptCode("19776001", "SCT", "Decrease in size"),
    "stable": private("STABLE", "No significant change since the prior"),
    "new": private("NEW", "New since the prior"),
    "not covered": private("NOT_COVERED", "The prior does not show its place"),
}
DIAMETER_CHANGE = private("DIAMETER_CHANGE", "Change of mean diameter since the prior")
VOLUME_CHANGE = private("VOLUME_CHANGE", "Change of volume since the prior")
DOUBLING_TIME = private("DOUBLING_TIME", "Volume doubling time")
PERCENT, DAY = ConceptCode("%", "UCUM", "Percent"), ConceptCode("d", "UCUM", "day")


def size_since_prior(finding: ReportFinding) -> ConceptCode | None:
    """What became of a finding; None where it was not compared."""
    return None if finding.growth is None else GROWTH_STATUSES.get(finding.growth.status)


def changes_since_prior(finding: ReportFinding) -> Iterator[tuple[ConceptCode, float, ConceptCode]]:
    """Name, value and unit of what changed since the prior."""
    growth = finding.growth
    if growth is None or growth.change is None:
        return
    change = growth.change
    yield DIAMETER_CHANGE, change.diameter_mm, MILLIMETRE
    yield VOLUME_CHANGE, 100 * (change.volume_ratio - 1), PERCENT
    if change.doubling_days is not None and growth_words.doubling_text(growth):
        yield DOUBLING_TIME, change.doubling_days, DAY
