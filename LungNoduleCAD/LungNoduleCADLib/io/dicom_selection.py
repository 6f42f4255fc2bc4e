"""Which series of a folder is the thorax CT: the choice, and one sentence that says why."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .dicom_headers import CT_IMAGE, ENHANCED_CT_IMAGES, SliceHeader

CHEST = re.compile(r"THORAX|THORAC|CHEST|LUNG|PULM|TORAX|POUMON|\bTAP\b|\bCAP\b", re.IGNORECASE)
ELSEWHERE = re.compile(
    r"HEAD|BRAIN|SKULL|NECK|SPINE|ABDOM|PELVI|LIVER|KIDNEY|COLON|LEG|KNEE|FOOT|ANKLE|HAND|WRIST|SINUS|DENTAL|"
    r"CORONARY|CALCIUM",
    re.IGNORECASE,
)
REFORMATTED = frozenset({"MPR", "MIP", "MINIP", "PROJECTION IMAGE", "REFORMATTED", "AVERAGE", "VRT", "CSA MPR"})
MOST_TILT_COSINE = np.cos(np.radians(30.0))
"""A gantry tilts by 30 degrees at most; a slice tilted more is no axial one."""
USABLE_SPACING_MM = 3.1
"""The coarsest spacing that `check_quality` lets pass."""
LUNG_HEIGHT_MM = 250.0
"""Covering more than the height of two adult lungs is no further advantage."""
COVERAGE_STEP_MM = 50.0
"""Series whose coverage differs by less are equal in this, so that a thinner one wins over a slightly longer one."""


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one SeriesInstanceUID, scout views left out where there are others."""

    uid: str
    """Empty where anonymising has taken it."""
    headers: tuple[SliceHeader, ...]

    @property
    def objection(self) -> str | None:
        """Why no chest CT volume can be made of it; None when one can."""
        first = self.headers[0]
        modalities = sorted({h.modality or "of no modality" for h in self.headers})
        if modalities != ["CT"]:
            return f"it is {' and '.join(modalities)}, not CT"
        if all(h.is_localizer for h in self.headers):
            return "it is a localiser (scout view)"
        if any(h.sop_class_uid in ENHANCED_CT_IMAGES or h.frames > 1 for h in self.headers):
            return "it is multi-frame DICOM; convert it to classic CT images or NRRD"
        if first.sop_class_uid != CT_IMAGE:
            return "it holds screen captures or other objects, not CT images"
        for header in self.headers:
            if header.position is None or header.orientation is None or header.pixel_spacing_ji_mm is None:
                return f"{header.path.name} lacks its position, orientation or pixel spacing"
            if not min(header.pixel_spacing_ji_mm) > 0:
                return f"{header.path.name} states a pixel spacing of zero"
        if len(self.headers) < 2:
            return "it is a single slice"
        if abs(first.normal[2]) < MOST_TILT_COSINE:
            return "its slices are not axial"
        return None

    @property
    def positions_mm(self) -> NDArray[np.float64]:
        """Slice positions along the first slice's normal, ascending."""
        placed = np.array([h.position for h in self.headers if h.position is not None])
        return np.sort(placed @ self.headers[0].normal)

    @property
    def spacing_mm(self) -> float:
        """Median distance of neighbouring slices; duplicates do not count."""
        steps = np.diff(self.positions_mm)
        steps = steps[steps > 0.01]
        return float(np.median(steps)) if steps.size else 0.0

    @property
    def label(self) -> str:
        """For the start of a sentence: which series, with its `text`."""
        return f"Series {self.uid or 'without UID'} ({self.text})"

    @property
    def text(self) -> str:
        """For a person: description, number of slices, spacing and extent."""
        name = self.headers[0].description or self.headers[0].body_part or "no description"
        if self.objection is not None:
            return f"'{name}', {len(self.headers)} images"
        extent = np.ptp(self.positions_mm)
        return f"'{name}', {len(self.headers)} slices of {self.spacing_mm:.3g} mm over {extent:.0f} mm"

    @property
    def rank(self) -> tuple[float, ...]:
        """Larger is better, first entries first; in the order of `REASONS`."""
        first = self.headers[0]
        derived = first.image_type[0] == "DERIVED" or not REFORMATTED.isdisjoint(first.image_type)
        names = f"{first.description} {first.body_part}"
        elsewhere = bool(ELSEWHERE.search(names)) and not CHEST.search(names)
        coverage = min(float(np.ptp(self.positions_mm)), LUNG_HEIGHT_MM) // COVERAGE_STEP_MM
        thickness = first.thickness_mm or self.spacing_mm
        return (
            float(not elsewhere), float(self.spacing_mm <= USABLE_SPACING_MM), float(not derived), coverage,
            -round(self.spacing_mm, 1), -round(thickness, 1), float(len(self.headers)),
        )  # fmt: skip


REASONS = (
    "it shows the chest", "its slices are close enough for nodules", "it is original, not reformatted",
    "it covers more of the chest", "its slices are closer", "its slices are thinner", "it has more slices",
)  # fmt: skip


def group_series(headers: Iterable[SliceHeader]) -> list[Series]:
    """Group by SeriesInstanceUID, in the order of their UIDs; scout views that share a scan's UID are dropped."""
    groups: dict[tuple[str, ...], list[SliceHeader]] = defaultdict(list)
    for header in headers:
        groups[header.group].append(header)
    series = []
    for group, members in sorted(groups.items()):
        scan = [header for header in members if not header.is_localizer]
        series.append(Series(group[0], tuple(scan or members)))
    return series


def choose_series(headers: Sequence[SliceHeader], source: Path, series_uid: str | None = None) -> tuple[Series, str]:
    """The series to read and one sentence that says which and why.

    :param series_uid: take this one; what makes it unusable still refuses it.
    :raises InputError: when there is no such series, or none is a CT of several axial slices.
    """
    series = group_series(headers)
    if series_uid is not None:
        chosen = next((s for s in series if s.uid == series_uid), None)
        if chosen is None:
            known = ", ".join(f"{s.uid} ({s.text})" for s in series if s.uid) or "none"
            raise InputError(f"{source} holds no series {series_uid}; choose one of: {known}.")
        if chosen.objection:
            raise InputError(f"Series {series_uid} in {source} cannot be used: {chosen.objection}; choose a chest CT.")
        return chosen, f"{chosen.label} was asked for."

    usable = sorted((s for s in series if s.objection is None), key=lambda s: s.rank, reverse=True)
    if not usable:
        objections = "; ".join(f"{s.text}: {s.objection}" for s in series)
        raise InputError(f"{source} holds no usable chest CT ({objections}); give a series of axial CT slices.")
    chosen = usable[0]
    if len(series) == 1:
        return chosen, f"{chosen.label} is the only one."
    others = "; ".join(f"{s.text}" + (f": {s.objection}" if s.objection else "") for s in series if s is not chosen)
    return chosen, f"{chosen.label} was chosen because {_reason(usable)}; left out: {others}."


def _reason(usable: Sequence[Series]) -> str:
    if len(usable) == 1:
        return "no other is an axial CT volume"
    for best, second, reason in zip(usable[0].rank, usable[1].rank, REASONS, strict=True):
        if best != second:
            return f"{reason} than the next best" if " more " in reason or reason.endswith("er") else reason
    return "it comes first by its UID among equals"
