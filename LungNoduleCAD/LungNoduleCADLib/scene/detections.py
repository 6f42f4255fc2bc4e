"""A detection in an open scene: adding it in one batch, showing what is above a threshold, finding it again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..findings import DetectionResult
from ..report.items import report_items
from ..report.markups import CANDIDATES_NAME
from ..volume import Volume
from .nodes import add_markups_node, add_segmentation_node

RECORD_NAME = "Nodule detection record"
RECORD_ATTRIBUTE = "LungNoduleCAD.record"
RECORD_SCHEMA = "1"
VOLUME_ROLE, CANDIDATES_ROLE, SEGMENTATION_ROLE = "volume", "candidates", "segmentation"
"""Node references of the record: with them a detection is found again in a saved scene."""


@dataclass(frozen=True)
class DetectionNodes:
    """The nodes of a detection: point list, segmentation, and the detector's original output as text."""

    candidates: Any
    segmentation: Any
    record: Any


@contextmanager
def batch(scene: Any) -> Iterator[None]:
    """Views and widgets take in what happens inside as one change."""
    scene.StartState(scene.BatchProcessState)
    try:
        yield
    finally:
        scene.EndState(scene.BatchProcessState)


def add_detection(
    scene: Any, result: DetectionResult, volume: Volume, volume_node: Any, findings: str, operating_table: Any = None
) -> DetectionNodes:
    """Add a result to a scene in one batch: under the volume's transform, and beside it in the subject hierarchy.

    :param findings: text of `findings.json`, kept unchanged in the record.
    :param operating_table: what JSON holds of the card's table, kept with it.
    """
    items = report_items(result, volume)
    with batch(scene):
        nodes = DetectionNodes(
            add_markups_node(scene, items, CANDIDATES_NAME),
            add_segmentation_node(scene, items, volume, volume_node),
            _add_record(scene, findings, operating_table),
        )
        _refer(nodes, volume_node)
        for node in (nodes.candidates, nodes.segmentation):
            node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
        nodes.candidates.SetLocked(True)  # a click beside a nodule must not move the detector's mark
    _move_beside(scene, volume_node, nodes)
    return nodes


def find_detection(scene: Any, volume_node: Any) -> DetectionNodes | None:
    """The detection of a volume, in this session or restored from a file; None where there is none.

    Points or segmentation that the user has deleted are None.
    """
    records = scene.GetNodesByClass("vtkMRMLTextNode")
    for n in range(records.GetNumberOfItems()):
        record = records.GetItemAsObject(n)
        if record.GetAttribute(RECORD_ATTRIBUTE) and record.GetNodeReference(VOLUME_ROLE) is volume_node:
            points, segments = (record.GetNodeReference(role) for role in (CANDIDATES_ROLE, SEGMENTATION_ROLE))
            return DetectionNodes(points, segments, record)
    return None


def remove_detection(scene: Any, nodes: DetectionNodes) -> None:
    """Remove a detection's nodes, those that are still there, in one batch."""
    with batch(scene):
        for node in (nodes.candidates, nodes.segmentation, nodes.record):
            if node is not None and scene.IsNodePresent(node):
                scene.RemoveNode(node)


def read_record(record_node: Any) -> dict[str, Any]:
    """What the detector found, as it was written: `findings` and `operating_table` (None where there was none)."""
    content = json.loads(record_node.GetText())
    return {"findings": content["findings"], "operating_table": content.get("operating_table")}


def show_candidates(nodes: DetectionNodes, shown: Mapping[str, bool]) -> None:
    """Show or hide points and segments by their label; each node tells its views once.

    Points and segments that the mapping does not name, or that the user has removed, are left alone.
    """
    if nodes.candidates is not None:
        _show_points(nodes.candidates, shown)
    if nodes.segmentation is not None:
        _show_segments(nodes.segmentation, shown)


def jump_to(scene: Any, candidates: Any, label: str) -> bool:
    """Centre every slice view on a candidate; False when its point is no longer there."""
    import slicer

    for n in range(candidates.GetNumberOfControlPoints()):
        if candidates.GetNthControlPointLabel(n) == label:
            position = [0.0, 0.0, 0.0]
            candidates.GetNthControlPointPositionWorld(n, position)
            slicer.vtkMRMLSliceNode.JumpAllSlices(scene, *position, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
            return True
    return False


def _show_points(node: Any, shown: Mapping[str, bool]) -> None:
    was_modifying = node.StartModify()
    try:
        for n in range(node.GetNumberOfControlPoints()):
            visible = shown.get(node.GetNthControlPointLabel(n))
            if visible is not None and bool(node.GetNthControlPointVisibility(n)) != visible:
                node.SetNthControlPointVisibility(n, visible)
    finally:
        node.EndModify(was_modifying)


def _show_segments(node: Any, shown: Mapping[str, bool]) -> None:
    display, segmentation = node.GetDisplayNode(), node.GetSegmentation()
    if display is None:
        return
    was_modifying = display.StartModify()
    try:
        for label, visible in shown.items():
            if segmentation.GetSegment(label) is not None and bool(display.GetSegmentVisibility(label)) != visible:
                display.SetSegmentVisibility(label, visible)
    finally:
        display.EndModify(was_modifying)


def _add_record(scene: Any, findings: str, operating_table: Any) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", RECORD_NAME)
    node.SetAttribute(RECORD_ATTRIBUTE, RECORD_SCHEMA)
    content = {"findings": json.loads(findings), "operating_table": operating_table}
    node.SetText(json.dumps(content, ensure_ascii=False))
    return node


def _refer(nodes: DetectionNodes, volume_node: Any) -> None:
    targets = {VOLUME_ROLE: volume_node, CANDIDATES_ROLE: nodes.candidates, SEGMENTATION_ROLE: nodes.segmentation}
    for role, node in targets.items():
        nodes.record.SetNodeReferenceID(role, node.GetID())


def _move_beside(scene: Any, volume_node: Any, nodes: DetectionNodes) -> None:
    """Into the input's study, which DICOM export needs."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    volume_item = hierarchy.GetItemByDataNode(volume_node) if hierarchy is not None else 0
    if not volume_item:
        return
    study = hierarchy.GetItemParent(volume_item)
    for node in (nodes.candidates, nodes.segmentation, nodes.record):
        if study and (item := hierarchy.GetItemByDataNode(node)):
            hierarchy.SetItemParent(item, study)
