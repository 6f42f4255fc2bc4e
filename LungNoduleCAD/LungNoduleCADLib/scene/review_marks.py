"""How the findings of a review are drawn: a point and a segment each, which follow every change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..evaluation.matching import CandidateStatus
from ..findings import VoxelMask
from ..report.colors import ACCEPTED_COLOR, REJECTED_COLOR, STATUS_COLORS, Color, score_color
from ..report.items import ReportItem
from ..report.text import malignancy_text
from ..review import Finding
from ..volume import Volume
from .geometry import to_ras
from .nodes import make_segment
from .segment_voxels import SegmentVoxels
from .segments import make_labelmap

SEGMENT_STATUS = {"accepted": "Completed", "rejected": "Flagged", "edited": "InProgress", "pending": "NotStarted"}
"""By Slicer's names, which the Segment Editor shows too. An edited finding that is still undecided is in progress."""


@dataclass(frozen=True)
class Mark:
    """What is drawn of a finding.

    :param selected: takes the point list's first colour: undecided, or with a reference true positive.
    :param match: against the reference; None without one.
    """

    label: str
    center_lps: tuple[float, float, float]
    mask: VoxelMask
    description: str
    color: Color
    status: str
    selected: bool
    match: CandidateStatus | None = None


def mark_of(finding: Finding, match: CandidateStatus | None = None) -> Mark:
    """How a finding is drawn; one that is merged into another is not."""
    status = "edited" if finding.status == "pending" and finding.edited else finding.status
    undecided = finding.status == "pending"
    return Mark(
        label=finding.id,
        center_lps=finding.contour.center_lps,
        mask=finding.contour.mask,
        description=_describe(finding, match),
        color=_color(finding, match),
        status=status,
        selected=undecided if match is None else match == "TP",
        match=match,
    )


def apply_marks(
    nodes: Any, voxels: SegmentVoxels | None, volume: Volume, former: Mapping[str, Mark], marks: Mapping[str, Mark]
) -> None:
    """Bring points and segments from some marks to others. What is the same in both is not touched, and neither is what
    is no finding.

    :param nodes: the detection's.
    :param voxels: of its segmentation; None when the user has removed that node.
    """
    changed = [mark for name, mark in marks.items() if former.get(name) != mark]
    gone = [mark for name, mark in former.items() if name not in marks]
    if nodes.candidates is not None:
        _apply_points(nodes.candidates, changed, gone)
    if nodes.segmentation is not None and voxels is not None:
        for mark in gone:
            voxels.remove(mark.label, mark.mask)
        for mark in changed:
            _apply_segment(nodes.segmentation, voxels, volume, former.get(mark.label), mark)


def color_points(points: Any, with_reference: bool) -> None:
    """A point list draws in two colours: of undecided and of judged findings, or of found and of false ones."""
    if points is None or (display := points.GetDisplayNode()) is None:
        return
    colors = (STATUS_COLORS["TP"], STATUS_COLORS["FP"]) if with_reference else (score_color(1.0), ACCEPTED_COLOR)
    display.SetSelectedColor(*colors[0])
    display.SetColor(*colors[1])


def point_indices(points: Any) -> dict[str, int]:
    """Index of each point by its label."""
    return {points.GetNthControlPointLabel(n): n for n in range(points.GetNumberOfControlPoints())}


def _apply_points(points: Any, changed: list[Mark], gone: list[Mark]) -> None:
    if not changed and not gone:
        return
    indices = point_indices(points)
    was_modifying = points.StartModify()
    try:
        for mark in changed:
            position = to_ras(mark.center_lps)
            n = indices.get(mark.label)
            if n is None:
                n = points.AddControlPoint(list(position), mark.label)
            elif tuple(points.GetNthControlPointPosition(n)) != position:
                points.SetNthControlPointPosition(n, *position)
            points.SetNthControlPointDescription(n, mark.description)
            points.SetNthControlPointSelected(n, mark.selected)
        # From the last on: each removal moves those behind it.
        for n in sorted((indices[mark.label] for mark in gone if mark.label in indices), reverse=True):
            if _is_detectors(points.GetNthControlPointLabel(n)):
                points.SetNthControlPointVisibility(n, False)  # the list's measurements go by index
            else:
                points.RemoveNthControlPoint(n)
    finally:
        points.EndModify(was_modifying)


def _is_detectors(label: str) -> bool:
    return label.startswith("N")


def _apply_segment(node: Any, voxels: SegmentVoxels, volume: Volume, former: Mark | None, mark: Mark) -> None:
    import slicer

    segmentation = node.GetSegmentation()
    segment = segmentation.GetSegment(mark.label)
    if segment is None:
        if not mark.mask.voxels.any():
            return
        segment = _add_segment(segmentation, volume, mark)
        voxels.mark_own(segment)
    elif former is None or former.mask is not mark.mask:
        voxels.write(mark.label, mark.mask, None if former is None else former.mask)
    if tuple(segment.GetColor()) != mark.color:
        segment.SetColor(*mark.color)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    status = getattr(logic, SEGMENT_STATUS[mark.status])
    if logic.GetSegmentStatus(segment) != status:
        logic.SetSegmentStatus(segment, status)


def _add_segment(segmentation: Any, volume: Volume, mark: Mark) -> Any:
    """With a label map of its own; an added nodule may lie outside the others' common one."""
    count = segmentation.GetNumberOfSegments()
    value = 1 + max((segmentation.GetNthSegment(n).GetLabelValue() for n in range(count)), default=0)
    item = ReportItem(mark.label, value, mark.center_lps, mark.description, mark.color, True, mask=mark.mask)
    labels = mark.mask.voxels.astype("uint16") * value
    segment = make_segment(item, make_labelmap(mark.mask.start_kji, labels, volume))
    segmentation.AddSegment(segment, mark.label)
    return segment


def _color(finding: Finding, match: CandidateStatus | None) -> Color:
    if finding.status == "rejected":
        return REJECTED_COLOR
    if match is not None:
        return STATUS_COLORS[match]
    return score_color(finding.score or 0.0) if finding.status == "pending" else ACCEPTED_COLOR


def _describe(finding: Finding, match: CandidateStatus | None) -> str:
    measured = finding.contour.measurements
    parts = [
        "added" if finding.score is None else f"score {finding.score:.2f}",
        f"{measured.diameter_mm:.1f} mm",
        f"{finding.density_type}, mean {measured.mean_hu:.0f} HU",
    ]
    if finding.malignancy is not None:
        parts.append(f"malignancy {malignancy_text(finding.malignancy, finding.malignancy_by_diameter)}")
    if finding.status != "pending":
        parts.append(f"{finding.status} ({finding.reason})" if finding.reason else finding.status)
    if match is not None:
        parts.append(match)
    return "; ".join(parts)
