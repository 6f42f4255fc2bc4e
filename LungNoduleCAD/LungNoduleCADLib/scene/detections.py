"""A detection in an open scene: adding it in one batch, showing what is above a threshold, finding it again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..findings import DetectionResult
from ..report.items import ReportItem, report_items
from ..report.markups import CANDIDATES_NAME
from ..review.codec import encode_mask
from ..volume import Volume
from .nodes import LabelLayer, add_markups_node, add_segmentation_node, make_label_layers, release_labelmaps
from .stored import GRID, MASKS, StoredDetection, stored_detection

RECORD_NAME = "Nodule detection record"
RECORD_ATTRIBUTE = "LungNoduleCAD.record"
RECORD_SCHEMA = "2"
VOLUME_ROLE, CANDIDATES_ROLE, SEGMENTATION_ROLE = "volume", "candidates", "segmentation"
"""Node references of the record: with them a detection is found again in a saved scene."""
REVIEW_ROLE, REFERENCE_ROLE, MISSED_ROLE, OVERLAP_ROLE = "review", "reference", "missed", "overlap"
"""Likewise what readers made of it, and what it is compared with."""
HEAT_MAP_ROLE = "explanation"
"""Likewise the map that explains a finding."""


@dataclass(frozen=True)
class DetectionNodes:
    """The nodes of a detection: point list, segmentation, and the detector's original output as text."""

    candidates: Any
    segmentation: Any
    record: Any


@dataclass(frozen=True, eq=False)
class PreparedDetection:
    """A result on its way into a scene: all that takes time and touches no MRML is done.

    :param record: the record's text. :param stored: what it says.
    """

    volume: Volume
    items: list[ReportItem]
    layers: list[LabelLayer]
    record: str
    stored: StoredDetection


def prepare_detection(
    result: DetectionResult, volume: Volume, findings: str, operating_table: Any = None
) -> PreparedDetection:
    """What `add_detection` adds; may be called in a thread.

    :param findings: text of `findings.json`, kept unchanged in the record.
    :param operating_table: what JSON holds of the card's table, kept with it.
    """
    items = report_items(result, volume)
    masks = {c.id: encode_mask(c.mask) for c in result.candidates}
    content = {"findings": json.loads(findings), "operating_table": operating_table, MASKS: masks}
    content[GRID] = volume.ijk_to_lps.tolist()
    record = json.dumps(content, ensure_ascii=False)
    return PreparedDetection(volume, items, make_label_layers(items), record, stored_detection(record))


@contextmanager
def batch(scene: Any) -> Iterator[None]:
    """Views and widgets take in what happens inside as one change."""
    scene.StartState(scene.BatchProcessState)
    try:
        yield
    finally:
        scene.EndState(scene.BatchProcessState)


def add_detection(scene: Any, prepared: PreparedDetection, volume_node: Any) -> DetectionNodes:
    """Add a result to a scene in one batch: under the volume's transform, and beside it in the subject hierarchy."""
    items, volume = prepared.items, prepared.volume
    with batch(scene):
        nodes = DetectionNodes(
            add_markups_node(scene, items, CANDIDATES_NAME),
            add_segmentation_node(scene, items, volume, volume_node, layers=prepared.layers),
            _add_record(scene, prepared.record),
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
    for record in _records(scene):
        if record.GetNodeReference(VOLUME_ROLE) is volume_node:
            points, segments = (record.GetNodeReference(role) for role in (CANDIDATES_ROLE, SEGMENTATION_ROLE))
            return DetectionNodes(points, segments, record)
    return None


def all_detections(scene: Any) -> list[DetectionNodes]:
    """The detections of all volumes in a scene."""
    volumes = [record.GetNodeReference(VOLUME_ROLE) for record in _records(scene)]
    found = (find_detection(scene, volume) for volume in volumes if volume is not None)
    return [nodes for nodes in found if nodes is not None]


def remove_detection(scene: Any, nodes: DetectionNodes) -> None:
    """Remove a detection's nodes, those that are still there, in one batch."""
    with batch(scene):
        if nodes.segmentation is not None:
            release_labelmaps(nodes.segmentation)
        attached = [
            nodes.record.GetNodeReference(role) for role in (REVIEW_ROLE, MISSED_ROLE, OVERLAP_ROLE, HEAT_MAP_ROLE)
        ]
        for node in (nodes.candidates, nodes.segmentation, *attached, nodes.record):
            if node is not None and scene.IsNodePresent(node):
                scene.RemoveNode(node)


def release_segments(scene: Any, node: Any = None) -> None:
    """Empty the segments of a detection that is about to leave the scene, which takes Slicer minutes otherwise (see
    `release_labelmaps`). Other nodes are left alone.

    :param node: what is about to leave; None for the whole scene.
    """
    for record in _records(scene):
        segmentation = record.GetNodeReference(SEGMENTATION_ROLE)
        if segmentation is not None and node in (None, segmentation):
            release_labelmaps(segmentation)


def read_record(record_node: Any) -> dict[str, Any]:
    """What the detector found, as it was written: `findings` and `operating_table` (None where there was none)."""
    content = json.loads(record_node.GetText())
    return {"findings": content["findings"], "operating_table": content.get("operating_table")}


def _records(scene: Any) -> Iterator[Any]:
    found = scene.GetNodesByClass("vtkMRMLTextNode")
    nodes = [found.GetItemAsObject(n) for n in range(found.GetNumberOfItems())]
    return (node for node in nodes if node.GetAttribute(RECORD_ATTRIBUTE))


def show_points(node: Any, shown: Mapping[str, bool]) -> None:
    """Show or hide points by their label, all at once; those that the mapping does not name are left alone."""
    was_modifying = node.StartModify()
    try:
        for n in range(node.GetNumberOfControlPoints()):
            visible = shown.get(node.GetNthControlPointLabel(n))
            if visible is not None and bool(node.GetNthControlPointVisibility(n)) != visible:
                node.SetNthControlPointVisibility(n, visible)
    finally:
        node.EndModify(was_modifying)


def show_segments(node: Any, shown: Mapping[str, bool]) -> None:
    """Show or hide segments by their id, all at once; those that are not there are nobody's fault."""
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


def _add_record(scene: Any, text: str) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", RECORD_NAME)
    node.SetAttribute(RECORD_ATTRIBUTE, RECORD_SCHEMA)
    node.SetText(text)
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
