"""`Report`: everything a report says, whatever it is written as. Every format is rendered from this one object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ..findings import Measurements, Segment, VoxelMask
from ..rules import Recommendation, mean_diameter_mm
from .context import GuidelineContext
from .follow_up import Growth, PriorStudy

NOTICE = "Research use only - not for diagnostic use"

TAKEN_BACK = " (taken back)"
"""Behind the action of an event that was undone."""

Status = Literal["unreviewed", "accepted", "rejected", "added", "edited"]
ReviewProgressState = Literal["not reviewed", "partly reviewed", "reviewed"]


@dataclass(frozen=True)
class PatientData:
    """As the scan's header states it, made readable; empty where unknown or removed."""

    name: str = ""
    id: str = ""
    birth_date: str = ""
    sex: str = ""
    age: str = ""


@dataclass(frozen=True)
class StudyData:
    """The examination; dates ISO 8601."""

    uid: str = ""
    date: str = ""
    time: str = ""
    description: str = ""
    accession_number: str = ""
    institution: str = ""


@dataclass(frozen=True)
class SeriesData:
    """The images that were searched.

    :param uid: SeriesInstanceUID, or the file's name without its ending.
    :param sop_instance_uids: one per slice, in the volume's order; empty where the source is no DICOM.
    :param scanner: manufacturer and model.
    :param source: folder or file.
    """

    uid: str = ""
    description: str = ""
    number: str = ""
    format: str = ""
    modality: str = ""
    body_part: str = ""
    scanner: str = ""
    kernel: str = ""
    tube_voltage_kv: str = ""
    slice_thickness_mm: float | None = None
    spacing_kji_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shape_kji: tuple[int, int, int] = (0, 0, 0)
    frame_of_reference_uid: str = ""
    sop_instance_uids: tuple[str, ...] = ()
    selection: str = ""
    source: str = ""


@dataclass(frozen=True)
class ModelData:
    """A network that took part: its task, name, version and the hash of its weights."""

    task: str
    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Method:
    """How the findings came about.

    :param threshold: the score from which a candidate is reported. :param settings: of the run, flat, as text.
    :param versions: of this software and the libraries that decide a result.
    :param detected_at: when the detector ran; None when it is not known or was removed.
    """

    software_version: str
    models: tuple[ModelData, ...]
    threshold: float
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    detected_at: datetime | None = None


@dataclass(frozen=True)
class AuditEvent:
    """Something that happened to the result, in the order of time.

    :param at: None when the time was removed. :param who: a reader, or the detector.
    :param finding: the finding's label; empty when it is about the whole.
    :param action: in a word: detected, accepted, rejected, edited ...
    :param detail: what changed, and the reader's reason.
    """

    at: datetime | None
    who: str
    finding: str
    action: str
    detail: str = ""


@dataclass(frozen=True)
class ReportFinding:
    """A nodule, or what was taken for one.

    :param label: 'N' and a number, 'A' and a number for one that a reader added; the same in every file.
    :param score: the detector's, 0 to 1; None when a reader added it. :param malignancy: likewise, and what the
        diameter alone says in `malignancy_by_diameter`.
    :param center_lps: LPS mm. :param slice_number: from 1 at the volume's first slice.
    :param sop_instance_uid: of that slice; empty where the source is no DICOM.
    :param measured: what the program measured on the present outline.
    :param callipers_mm: a reader's long and short axis, which count instead of the measured ones; of the solid part in
        `solid_callipers_mm`. The former's lines in `callipers_lps`, where they were drawn.
    :param density: what counts, a reader's or the measured one.
    :param reader: who gave it its status; empty while unreviewed. :param reason: that reader's, for a rejection.
    :param comment: a reader's, lines kept. :param recommendations: one a guideline.
    :param tracking_uid: the same finding has the same in every export of the same series.
    :param growth: since the prior; None without one, or where it was not compared.
    :param mask: its outline on the series' grid; None for one known as a point.
    """

    label: str
    score: float | None
    malignancy: float | None
    center_lps: tuple[float, float, float]
    slice_number: int
    sop_instance_uid: str
    measured: Measurements
    density: str
    status: Status
    tracking_uid: str
    malignancy_by_diameter: float | None = None
    callipers_mm: tuple[float, float] | None = None
    solid_callipers_mm: tuple[float, float] | None = None
    callipers_lps: tuple[Segment, Segment] | None = None
    reader: str = ""
    reviewed_at: datetime | None = None
    reason: str = ""
    comment: str = ""
    recommendations: tuple[Recommendation, ...] = ()
    growth: Growth | None = None
    mask: VoxelMask | None = field(default=None, repr=False, compare=False)

    @property
    def axes_mm(self) -> tuple[float, float]:
        """Long and short axis that count: a reader's callipers before the measured ones."""
        return self.callipers_mm or (self.measured.long_axis_mm, self.measured.short_axis_mm)

    @property
    def mean_diameter_mm(self) -> float:
        """Mean of the two axes that count, to a tenth, as the guidelines take it; NaN where they were not measured."""
        return mean_diameter_mm(*self.axes_mm) if all(map(math.isfinite, self.axes_mm)) else math.nan

    @property
    def solid_diameter_mm(self) -> float | None:
        """Mean diameter of the solid part that counts."""
        if self.solid_callipers_mm is not None:
            return mean_diameter_mm(*self.solid_callipers_mm)
        return self.measured.solid_diameter_mm

    @property
    def location(self) -> str:
        """Side and zone in words; empty where neither is known."""
        parts = [self.measured.side, f"{self.measured.zone} zone" if self.measured.zone else None]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class ReviewProgress:
    """How far the review has got.

    :param reviewed: the detector's findings with a decision, of `total` that want one.
    """

    state: ReviewProgressState = "not reviewed"
    reviewed: int = 0
    total: int = 0
    readers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What every format says.

    :param created: when the report was made; None when dates were removed.
    :param findings: those that count, most suspicious first: at or above the threshold and not rejected, accepted ones
        below it, and added ones.
    :param rejected: findings a reader rejected, kept for the record.
    :param below_threshold: how many more candidates there are, not reported.
    :param recommendations: for the whole examination, one a guideline.
    :param prior: the examination compared with; None at a first one. :param gone: what only that one has.
    :param context: what a reader stated of patient and examination for them.
    :param audit: what happened when, oldest first. :param notes: a reader's, lines kept.
    """

    created: datetime | None
    patient: PatientData
    study: StudyData
    series: SeriesData
    method: Method
    review: ReviewProgress
    findings: tuple[ReportFinding, ...] = ()
    rejected: tuple[ReportFinding, ...] = ()
    below_threshold: int = 0
    recommendations: tuple[Recommendation, ...] = ()
    context: GuidelineContext = field(default_factory=GuidelineContext)
    prior: PriorStudy | None = None
    gone: tuple[Growth, ...] = ()
    audit: tuple[AuditEvent, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: str = ""
    deidentified: bool = False

    @property
    def is_dicom(self) -> bool:
        """Whether the images came from DICOM, so that SEG and SR can refer to them."""
        return self.series.format == "DICOM"

    @property
    def largest(self) -> ReportFinding | None:
        """The finding with the largest mean diameter."""
        measured = (finding for finding in self.findings if math.isfinite(finding.mean_diameter_mm))
        return max(measured, key=lambda finding: finding.mean_diameter_mm, default=None)
