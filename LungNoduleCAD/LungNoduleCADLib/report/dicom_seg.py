"""The findings' outlines as DICOM Segmentation: one segment a finding, on the grid of the source images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..volume import Volume
from .dicom_codes import (
    ABNORMAL_STRUCTURE,
    ARTIFICIAL_INTELLIGENCE,
    LUNG,
    LUNG_NODULE,
    coded,
)
from .dicom_objects import (
    MANUFACTURER,
    algorithm_parameters,
    common_attributes,
    finish,
)
from .items import label_layers
from .model import NOTICE, Report, ReportFinding
from .words import review_text

if TYPE_CHECKING:
    from pydicom import Dataset

SERIES_NUMBER = 9001
DISPLAY_LAB = (55706, 33410, 52685)
"""Amber, as the outlines in the pictures, in CIELab as DICOM encodes it."""

ALGORITHM_TYPES = {"added": "SEMIAUTOMATIC", "edited": "SEMIAUTOMATIC"}
"""Of outlines that a reader made or changed with the program's help; all others are AUTOMATIC."""


@dataclass(frozen=True, eq=False)
class SegmentationObject:
    """A DICOM Segmentation and which finding is which of its segments.

    :param segments: segment number by the finding's label.
    """

    dataset: Dataset
    segments: dict[str, int]


def build_segmentations(
    report: Report, images: Sequence[Dataset], grid: Volume, *, resampled: bool
) -> list[SegmentationObject]:
    """One object with all findings that have an outline; a further one for those that overlap others; none without.

    A finding's object and segment are the same whichever others are reported with it only within one export.

    :param images: of `source_images`, one per k of the grid.
    :param resampled: the volume's slices were shifted against the images' (tilted gantry): the segments then lie on the
        volume's slices, in the same space.
    """
    from pydicom.uid import generate_uid

    series_uid = generate_uid(prefix=None)
    layers = label_layers(report.findings)
    return [
        _build(layer, number, series_uid, report, images, grid, resampled)
        for number, layer in enumerate(layers, start=1)
    ]


def _build(
    findings: Sequence[ReportFinding],
    number: int,
    series_uid: str,
    report: Report,
    images: Sequence[Dataset],
    grid: Volume,
    resampled: bool,
) -> SegmentationObject:
    from highdicom.seg import Segmentation
    from pydicom.uid import generate_uid

    segments = {finding.label: n for n, finding in enumerate(findings, start=1)}
    first, last = _extent(findings)
    chosen = images[first : last + 1]
    placement = _placement(grid, first, last) if resampled else {"pixel_measures": _pixel_measures(grid)}
    dataset = Segmentation(
        source_images=chosen,
        pixel_array=_labels(findings, segments, grid, first, last),
        segmentation_type="BINARY",
        segment_descriptions=[_description(finding, segments[finding.label], report) for finding in findings],
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=number,
        content_label="LUNG_NODULES",
        content_description=f"Lung nodules. {NOTICE}",
        **placement,
        **common_attributes(report, "Lung nodules"),
    )
    return SegmentationObject(finish(dataset, report), segments)


def _extent(findings: Sequence[ReportFinding]) -> tuple[int, int]:
    """First and last k of all masks."""
    boxes = [(f.mask.start_kji[0], f.mask.voxels.shape[0]) for f in findings if f.mask is not None]
    return min(start for start, _ in boxes), max(start + depth for start, depth in boxes) - 1


def _labels(
    findings: Sequence[ReportFinding], segments: dict[str, int], grid: Volume, first: int, last: int
) -> NDArray[np.unsignedinteger]:
    """Segment numbers on the slices from first to last."""
    kind = np.uint8 if len(findings) < 256 else np.uint16
    labels: NDArray[np.unsignedinteger] = np.zeros((last + 1 - first, *grid.shape[1:]), kind)
    for finding in findings:
        assert finding.mask is not None  # label_layers takes no other
        k, j, i = finding.mask.region
        box = labels[k.start - first : k.stop - first, j, i]
        box[finding.mask.voxels] = segments[finding.label]
    return labels


def _description(finding: ReportFinding, number: int, report: Report) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription

    description = SegmentDescription(
        segment_number=number,
        segment_label=finding.label,
        segmented_property_category=coded(ABNORMAL_STRUCTURE),
        segmented_property_type=coded(LUNG_NODULE),
        algorithm_type=ALGORITHM_TYPES.get(finding.status, "AUTOMATIC"),
        algorithm_identification=AlgorithmIdentificationSequence(
            name=MANUFACTURER,
            family=coded(ARTIFICIAL_INTELLIGENCE),
            version=report.method.software_version or "unknown",
            source=MANUFACTURER,
            parameters={**algorithm_parameters(report), "review": review_text(report)},
        ),
        tracking_uid=finding.tracking_uid,
        tracking_id=finding.label,
        anatomic_regions=[coded(LUNG)],
    )
    description.RecommendedDisplayCIELabValue = list(DISPLAY_LAB)
    return description


def _pixel_measures(grid: Volume) -> Any:
    from highdicom import PixelMeasuresSequence

    k, j, i = (round(float(s), 6) for s in grid.spacing_kji_mm)  # a decimal string holds 16 characters
    return PixelMeasuresSequence(pixel_spacing=(j, i), slice_thickness=k, spacing_between_slices=k)


def _placement(grid: Volume, first: int, last: int) -> dict[str, Any]:
    """Where the grid's own slices lie."""
    from highdicom import PlaneOrientationSequence, PlanePositionSequence

    row, column = grid.direction[:, 0], grid.direction[:, 1]
    corners = [grid.index_to_lps((k, 0, 0)) for k in range(first, last + 1)]
    return {
        "pixel_measures": _pixel_measures(grid),
        "plane_orientation": PlaneOrientationSequence("PATIENT", [float(v) for v in (*row, *column)]),
        "plane_positions": [PlanePositionSequence("PATIENT", [float(v) for v in corner]) for corner in corners],
    }
