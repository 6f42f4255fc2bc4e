"""The way to Slicer's Segment Editor with a finding's outline."""

from __future__ import annotations

from typing import Any

import slicer

from ...scene.detections import DetectionNodes


def canEdit(nodes: DetectionNodes | None, label: str) -> bool:
    """Whether a finding has a segment."""
    segmentation = nodes.segmentation if nodes is not None else None
    return segmentation is not None and segmentation.GetSegmentation().GetSegment(label) is not None


def openSegmentEditor(nodes: DetectionNodes, label: str, volumeNode: Any) -> None:
    """Open the Segment Editor with a finding's segment selected; its neighbours are not painted over.

    :raises RuntimeError: when the application has no main window.
    """
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(nodes.segmentation)
    editor.setSourceVolumeNode(volumeNode)
    editor.setCurrentSegmentID(label)
    parameters = editor.mrmlSegmentEditorNode()
    parameters.SetOverwriteMode(parameters.OverwriteNone)
