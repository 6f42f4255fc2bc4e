"""Where Slicer's Data module lists a detection, and what its views show of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer
import vtk
from result_inputs import make_result, make_volume
from review_inputs import through_files

from LungNoduleCADLib.scene import add_volume_node, open_standalone_scene
from LungNoduleCADLib.scene.detections import DetectionNodes, add_detection, prepare_detection


class Hierarchy:
    """A scene whose new nodes are listed at once, as Slicer's plug-ins do it; the scan is in a study or at the top."""

    def __init__(self, in_study: bool) -> None:
        self.host = open_standalone_scene()
        scene = self.host.scene
        self.node = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        self.top = self.node.GetSceneItemID()
        self.study = self.node.CreateStudyItem(self.top, "Chest, 2026-02-03") if in_study else self.top
        self.volume_node = add_volume_node(scene, make_volume(), "CT")
        self.node.CreateItem(self.study, self.volume_node)
        scene.AddObserver(scene.NodeAddedEvent, self._list)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _list(self, scene: Any, event: str, node: Any) -> None:
        if node.IsA("vtkMRMLStorableNode") or node.IsA("vtkMRMLTextNode"):
            self.node.CreateItem(self.top, node)

    def detect(self, folder: Path) -> DetectionNodes:
        volume = make_volume()
        result, record = through_files(make_result(volume), volume, folder / "result")
        return add_detection(self.host.scene, prepare_detection(result, volume, record), self.volume_node)

    def parents(self, nodes: DetectionNodes) -> set[int]:
        items = [self.node.GetItemByDataNode(n) for n in (nodes.candidates, nodes.segmentation, nodes.record)]
        assert all(items)
        return {self.node.GetItemParent(item) for item in items}


@pytest.mark.parametrize("in_study", [True, False])
def test_results_lie_in_the_study_of_their_scan(in_study: bool, tmp_path: Path) -> None:
    """DICOM export takes a study as a whole."""
    hierarchy = Hierarchy(in_study)
    assert (hierarchy.study != hierarchy.top) is in_study
    assert hierarchy.parents(hierarchy.detect(tmp_path)) == {hierarchy.study}


def test_a_segmentation_refers_to_its_scan(tmp_path: Path) -> None:
    """Segment Editor and DICOM export ask for it."""
    hierarchy = Hierarchy(True)
    segmentation = hierarchy.detect(tmp_path).segmentation
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert segmentation.GetNodeReference(role) is hierarchy.volume_node


def test_points_are_seen_in_slice_and_three_dimensional_views(tmp_path: Path) -> None:
    display = Hierarchy(True).detect(tmp_path).candidates.GetDisplayNode()
    assert display.GetVisibility() and display.GetVisibility2D() and display.GetVisibility3D()
