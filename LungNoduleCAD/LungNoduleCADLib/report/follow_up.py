"""What a report says of an earlier examination: the examination, and what became of each finding since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..findings import VoxelMask
from ..growth import Change, GrowthFinding, StudyComparison, StudyFinding
from ..growth.study import STATUS_WORDS, GrowthStatus
from ..volume import Volume
from .items import slice_number, slice_uid
from .text import date_text, plain_text


@dataclass(frozen=True)
class PriorStudy:
    """The earlier examination, as its detection knows it; empty where unknown or removed.

    :param date: ISO 8601. :param interval_days: from it to the current one; None where a date is unknown.
    :param sop_instance_uids: one per slice; empty where it is no DICOM.
    :param made_by: software and weights. :param lung_overlap: Dice of the lungs once in line.
    :param correlation: of the densities there.
    """

    date: str = ""
    interval_days: int | None = None
    study_uid: str = ""
    series_uid: str = ""
    series_description: str = ""
    source: str = ""
    slice_thickness_mm: float | None = None
    threshold: float | None = None
    made_by: str = ""
    lung_overlap: float | None = None
    correlation: float | None = None


@dataclass(frozen=True)
class PriorFinding:
    """A nodule as the prior shows it.

    :param mean_diameter_mm, volume_mm3, solid_diameter_mm: as they were measured in the prior alone.
    :param mask: its outline on the prior's grid; None for one known as a point.
    """

    label: str
    center_lps: tuple[float, float, float]
    slice_number: int
    sop_instance_uid: str
    density: str
    mean_diameter_mm: float
    volume_mm3: float
    solid_diameter_mm: float | None
    location: str = ""
    mask: VoxelMask | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Growth:
    """What became of a nodule since the prior.

    :param status: and :param meaning: in words. :param prior: the nodule then; None where the prior has none.
    :param change: None where it is in one study only. :param note: what a reader must know.
    :param place_lps: where the study that it is missing in, or the prior of both, would show it.
    """

    status: GrowthStatus
    prior: PriorFinding | None
    change: Change | None
    note: str = ""
    place_lps: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def meaning(self) -> str:
        """The status in words."""
        return STATUS_WORDS[self.status]


@dataclass(frozen=True, eq=False)
class FollowUp:
    """A comparison with a prior, ready for a report.

    :param study: of the prior. :param comparison: of the two. :param grid: the prior's, with its slices' UIDs.
    :param categories: the prior's findings' Lung-RADS categories, where a reader has given one, by label.
    """

    study: PriorStudy
    comparison: StudyComparison
    grid: Volume
    sop_instance_uids: tuple[str, ...]
    categories: Mapping[str, str]

    def of(self, label: str) -> Growth | None:
        """Of a finding of the current study; None where it was not compared."""
        found = self.comparison.of(label)
        return None if found is None else self._growth(found)

    @property
    def gone(self) -> tuple[Growth, ...]:
        """What the prior has and the current study has not."""
        return tuple(self._growth(f) for f in self.comparison.findings if f.current is None)

    def _growth(self, found: GrowthFinding) -> Growth:
        prior = None if found.prior is None else self._finding(found.prior)
        return Growth(found.status, prior, found.change, plain_text(found.note), found.place_lps)

    def _finding(self, finding: StudyFinding) -> PriorFinding:
        number = slice_number(finding.center_lps, self.grid)
        side, zone = finding.measured.side, finding.measured.zone
        return PriorFinding(
            label=finding.label,
            center_lps=finding.center_lps,
            slice_number=number,
            sop_instance_uid=slice_uid(self.sop_instance_uids, number),
            density=finding.facts.density,
            mean_diameter_mm=finding.facts.mean_diameter_mm,
            volume_mm3=finding.measured.volume_mm3,
            solid_diameter_mm=finding.facts.solid_diameter_mm,
            location=", ".join(part for part in (side, f"{zone} zone" if zone else None) if part),
            mask=finding.mask,
        )


def prior_study(series: Mapping[str, Any], comparison: StudyComparison, **known: Any) -> PriorStudy:
    """The examination from what its detection recorded of the series.

    :param known: what the series does not say.
    """
    thickness = series.get("slice_thickness_mm")
    study = PriorStudy(
        date=date_text(plain_text(series.get("study_date"))),
        interval_days=comparison.interval_days,
        study_uid=plain_text(series.get("study_uid")),
        series_uid=plain_text(series.get("series_uid")),
        series_description=plain_text(series.get("series_description")),
        source=plain_text(series.get("source")),
        slice_thickness_mm=None if thickness is None else float(thickness),
        lung_overlap=comparison.alignment.overlap,
        correlation=comparison.alignment.correlation,
    )
    return replace(study, **known)
