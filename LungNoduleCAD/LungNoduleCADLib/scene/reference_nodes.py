"""A reference standard in the scene: read from a user's nodes, kept as one, and shown as what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..findings import ReferenceNodule, VoxelMask
from ..io.references import nodules_from_masks
from ..report.colors import STATUS_COLORS
from ..report.items import ReportItem
from ..report.markups import MISSED_NAME
from ..review import VoxelOverlap
from ..volume import Volume
from .detections import MISSED_ROLE, OVERLAP_ROLE, REFERENCE_ROLE, DetectionNodes
from .geometry import array_from_image, matrix_from_vtk, to_ras
from .nodes import add_markups_node, add_segmentation_node, make_measurement, make_segment
from .segments import LABELMAP, cut_mask, make_labelmap, read_mask, resampled

REFERENCE_NAME = "Reference nodules"
OVERLAP_NAME = "Agreement with the reference"
DIAMETER = "diameter"
OVERLAP_SEGMENTS = ("TP", "FP", "FN")
"""With the label values 1, 2 and 3 of `VoxelOverlap`."""


def read_reference_node(node: Any, volume: Volume, volume_node: Any) -> list[ReferenceNodule]:
    """The nodules that a node of the scene marks, on the scan's grid and in its coordinates.

    - Point list: each placed point within the scan; the diameter from its measurement 'diameter', where it has one.
    - Segmentation: each segment; of a single one each 26-connected part.
    - Label map volume: likewise each label.

    :raises InputError: when it is of another kind, under another transform, or marks nothing within the scan.
    """
    name = node.GetName() or "The reference"
    if node.IsA("vtkMRMLMarkupsFiducialNode"):
        return _from_points(node, volume, volume_node, name)
    if node.GetTransformNodeID() != volume_node.GetTransformNodeID():
        raise InputError(f"{name} is under another transform than the scan; put both under the same one.")
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        if not segmentation.CreateRepresentation(LABELMAP):
            raise InputError(f"{name} has no voxels; draw the nodules in the Segment Editor.")
        segments = [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]
        return nodules_from_masks([read_mask(segment, volume) for segment in segments], volume, name)
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        return nodules_from_masks(_labels(node, volume, name), volume, name)
    raise InputError(f"{name} is no reference; choose a point list, a segmentation or a label map.")


def add_reference_node(scene: Any, references: Sequence[ReferenceNodule], volume: Volume, volume_node: Any) -> Any:
    """Nodules that were read from a file, as a node: a segmentation where they have masks, else a point list with their
    diameters. It is hidden: what counts is shown as found, false or missed."""
    items = [
        ReportItem(r.label or f"R{n}", n, r.center_lps, "", STATUS_COLORS["FN"], True, "FN", r.mask, reference=r)
        for n, r in enumerate(references, start=1)
    ]
    if any(r.mask is not None for r in references):
        node = add_segmentation_node(scene, items, volume, volume_node, REFERENCE_NAME)
    else:
        node = add_markups_node(scene, items, REFERENCE_NAME)
        node.AddMeasurement(make_measurement(DIAMETER, "mm", [r.diameter_mm or 0.0 for r in references]))
    node.GetDisplayNode().SetVisibility(False)
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    return node


def set_reference_node(nodes: DetectionNodes, node: Any) -> None:
    """What the detection is compared with from now on, also after the scene was saved and loaded; None for nothing."""
    nodes.record.SetNodeReferenceID(REFERENCE_ROLE, node.GetID() if node is not None else None)


def reference_node(nodes: DetectionNodes) -> Any:
    """What the detection is compared with; None for nothing."""
    return nodes.record.GetNodeReference(REFERENCE_ROLE)


def reference_stamp(node: Any) -> object:
    """Changes whenever what the node marks may have changed; None for no node."""
    if node is None:
        return None
    parts = [node]
    places: list[tuple[float, ...]] = []
    if node.IsA("vtkMRMLMarkupsFiducialNode"):  # a moved point does not count as a change of its list
        places = [tuple(node.GetNthControlPointPosition(n)) for n in range(node.GetNumberOfControlPoints())]
    elif node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        segments = [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]
        parts += [part for s in segments for part in (s, s.GetRepresentation(LABELMAP)) if part is not None]
    elif node.IsA("vtkMRMLVolumeNode") and node.GetImageData() is not None:
        parts.append(node.GetImageData())
    return node.GetID(), tuple(part.GetMTime() for part in parts), tuple(places)


def show_missed(
    scene: Any, nodes: DetectionNodes, references: Sequence[ReferenceNodule], missed: Sequence[bool]
) -> None:
    """Show those reference nodules that are missed, as points of a list of their own, and hide the others. Without any
    the list is removed.

    :param missed: for each reference nodule.
    """
    node = nodes.record.GetNodeReference(MISSED_ROLE)
    if node is not None and not _is_list_of(node, references):
        scene.RemoveNode(node)
        node = None
    if node is None:
        if not references:
            return
        node = _add_missed(scene, nodes, references)
    was_modifying = node.StartModify()
    try:
        for n, seen in enumerate(missed):
            if bool(node.GetNthControlPointVisibility(n)) != seen:
                node.SetNthControlPointVisibility(n, seen)
    finally:
        node.EndModify(was_modifying)


def show_overlap(scene: Any, nodes: DetectionNodes, overlap: VoxelOverlap | None, volume: Volume) -> None:
    """Overlay common, false and missed voxels, as three segments; None removes them. Not saved: they are computed."""
    node = nodes.record.GetNodeReference(OVERLAP_ROLE)
    if overlap is None:
        if node is not None:
            scene.RemoveNode(node)
        return
    labelmap = make_labelmap(overlap.start_kji, overlap.labels, volume)
    if node is None:
        _add_overlap(scene, nodes, labelmap)
        return
    segmentation = node.GetSegmentation()
    for name in OVERLAP_SEGMENTS:
        segmentation.GetSegment(name).AddRepresentation(LABELMAP, labelmap)
    labelmap.Modified()


def _from_points(node: Any, volume: Volume, volume_node: Any, name: str) -> list[ReferenceNodule]:
    measurement = node.GetMeasurement(DIAMETER)
    diameters = measurement.GetControlPointValues() if measurement is not None else None
    values = [diameters.GetValue(n) for n in range(diameters.GetNumberOfValues())] if diameters is not None else []
    found, count = [], 0
    for n in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointPositionStatus(n) != node.PositionDefined:
            continue
        count += 1
        center = to_ras(volume_node_point(volume_node, node.GetNthControlPointPositionWorld(n)))
        diameter = values[n] if n < len(values) else 0.0
        if volume.contains(center):
            label = node.GetNthControlPointLabel(n) or f"R{count}"
            found.append(ReferenceNodule(center, diameter if diameter > 0 else None, label))
    if not found:
        raise InputError(f"{name} has {count} point(s), none of them within the scan; choose the points of this scan.")
    return found


def volume_node_point(volume_node: Any, world_ras: Sequence[float]) -> tuple[float, float, float]:
    """A place in the world in the volume's own coordinates, RAS mm."""
    point = [0.0, 0.0, 0.0]
    volume_node.TransformPointFromWorld(list(world_ras), point)
    x, y, z = point
    return x, y, z


def _labels(node: Any, volume: Volume, name: str) -> list[VoxelMask]:
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise InputError(f"{name} holds no labels; load it again or choose another one.")
    matrix = vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    labels = array_from_image(image)
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise InputError(f"{name} is no label map (its values are not whole numbers from 0 on); choose another one.")
    boxes = enumerate(ndimage.find_objects(labels), start=1)
    parts = [cut_mask(labels[box] == value, box, (0, 0, 0)) for value, box in boxes if box is not None]
    return [resampled(part, matrix_from_vtk(matrix), volume) for part in parts]


def _is_list_of(node: Any, references: Sequence[ReferenceNodule]) -> bool:
    places = [node.GetNthControlPointPosition(n) for n in range(node.GetNumberOfControlPoints())]
    expected = [to_ras(r.center_lps) for r in references]
    return len(places) == len(expected) and np.allclose(places, expected, atol=1e-3)


def _add_missed(scene: Any, nodes: DetectionNodes, references: Sequence[ReferenceNodule]) -> Any:
    items = [
        ReportItem(f"FN{n}", n, r.center_lps, r.label, STATUS_COLORS["FN"], True, "FN", reference=r)
        for n, r in enumerate(references, start=1)
    ]
    node = add_markups_node(scene, items, MISSED_NAME)
    node.SetLocked(True)
    if nodes.candidates is not None:
        node.SetAndObserveTransformNodeID(nodes.candidates.GetTransformNodeID())
    nodes.record.SetNodeReferenceID(MISSED_ROLE, node.GetID())
    return node


def _add_overlap(scene: Any, nodes: DetectionNodes, labelmap: Any) -> None:
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", OVERLAP_NAME)
    node.SetSaveWithScene(False)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSaveWithScene(False)
    for value, name in enumerate(OVERLAP_SEGMENTS, start=1):
        item = ReportItem(name, value, (0.0, 0.0, 0.0), "", STATUS_COLORS[name], True, name)
        node.GetSegmentation().AddSegment(make_segment(item, labelmap), name)
    if nodes.segmentation is not None:
        node.SetAndObserveTransformNodeID(nodes.segmentation.GetTransformNodeID())
    nodes.record.SetNodeReferenceID(OVERLAP_ROLE, node.GetID())
