"""How the slice views show a volume and its candidates: window, slab, overlay, zoom. Without a panel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import slicer
import vtk

from ...scene.callipers import middle_of
from ...scene.detections import MISSED_ROLE, DetectionNodes
from ...scene.geometry import to_ras
from ...scene.nodes import LUNG_LEVEL_HU, LUNG_WINDOW_HU
from ...scene.slices import jump_to, point_position, slice_nodes
from ..candidates import MISSED, CandidateRow, row_at
from .reviewing import ReviewLogic

WINDOWS_HU = {"lung": (LUNG_WINDOW_HU, LUNG_LEVEL_HU), "mediastinum": (400.0, 40.0)}
"""Window and level of each preset."""
SLABS_MM = (5.0, 8.0, 10.0)
LEAST_FIELD_MM = 60.0
FIELD_PER_DIAMETER = 2.5
"""A close view shows 60 mm, or 2.5 diameters of a larger nodule: enough to tell a vessel from a nodule."""
CLEAR, TINTED = 0.0, 1.0
"""Fill of the selected segment, which shows what is inside its outline, and of the others."""


def field_mm(row: CandidateRow) -> float:
    """Width of a close view of a candidate."""
    return max(LEAST_FIELD_MM, FIELD_PER_DIAMETER * (row.values.get("long_axis_mm") or 0.0))


class ViewingLogic(ReviewLogic):
    """The methods of the module's logic class that change the views."""

    # -- the image -----------------------------------------------------------------------------------------------
    def window(self, volumeNode: Any) -> tuple[float, float]:
        """Window and level in which a volume is shown, HU; the lung window when it has no display of its own."""
        display = volumeNode.GetDisplayNode() if volumeNode is not None else None
        return (display.GetWindow(), display.GetLevel()) if display is not None else WINDOWS_HU["lung"]

    def setWindow(self, volumeNode: Any, name: str) -> None:
        """Show a volume in one of `WINDOWS_HU`."""
        if volumeNode.GetDisplayNode() is None:
            volumeNode.CreateDefaultDisplayNodes()
        display = volumeNode.GetDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevel(*WINDOWS_HU[name])

    def slab(self) -> float:
        """Thickness of the maximum intensity projection that the slice views show, mm; 0 for none."""
        views = slice_nodes(slicer.mrmlScene)
        return float(views[0].GetSlabReconstructionThickness()) if views and _isProjected(views[0]) else 0.0

    def setSlab(self, thickness_mm: float) -> None:
        """Show maximum intensity projections of a slab in all slice views; 0 shows slices again."""
        for view in slice_nodes(slicer.mrmlScene):
            wasModifying = view.StartModify()
            if thickness_mm > 0:
                view.SetSlabReconstructionType(vtk.VTK_IMAGE_SLAB_MAX)
                view.SetSlabReconstructionThickness(thickness_mm)
            view.SetSlabReconstructionEnabled(thickness_mm > 0)
            view.EndModify(wasModifying)

    # -- the candidates ------------------------------------------------------------------------------------------
    def isOverlayVisible(self, nodes: DetectionNodes) -> bool:
        """Whether outlines and points are to be seen."""
        displays = _displays(nodes.segmentation, nodes.candidates)
        return any(display.GetVisibility() for display in displays)

    def setOverlayVisible(self, nodes: DetectionNodes, visible: bool) -> None:
        """Show or hide all outlines and points; which of them the threshold lets through is kept."""
        for display in _displays(nodes.segmentation, nodes.candidates):
            display.SetVisibility(visible)

    def areLabelsVisible(self, nodes: DetectionNodes) -> bool:
        """Whether the points' names are to be seen."""
        return any(display.GetPointLabelsVisibility() for display in _displays(nodes.candidates))

    def setLabelsVisible(self, nodes: DetectionNodes, visible: bool) -> None:
        """Show or hide the points' names."""
        for display in _displays(nodes.candidates):
            display.SetPointLabelsVisibility(visible)

    def emphasize(self, nodes: DetectionNodes, label: str | None) -> None:
        """Draw one candidate as a mere outline, and all others tinted."""
        for display in _displays(nodes.segmentation):
            wasModifying = display.StartModify()
            for name in nodes.segmentation.GetSegmentation().GetSegmentIDs():
                fill = CLEAR if name == label else TINTED
                if display.GetSegmentOpacity2DFill(name) != fill:
                    display.SetSegmentOpacity2DFill(name, fill)
            display.EndModify(wasModifying)

    def candidateAt(
        self, rows: Iterable[CandidateRow], volumeNode: Any, positionRas: Sequence[float]
    ) -> CandidateRow | None:
        """The candidate at a place in the views, if there is one.

        :param rows: those that can be seen. :param volumeNode: the volume they were found in.
        """
        toVolume = vtk.vtkGeneralTransform()
        transform = volumeNode.GetParentTransformNode()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, transform, toVolume)
        return row_at(rows, np.array(to_ras(toVolume.TransformPoint(positionRas))))

    def jumpTo(self, nodes: DetectionNodes | None, label: str, center: bool = False, exceptView: Any = None) -> bool:
        """Show the slice of a candidate, or of a missed nodule, in all slice views; False when it is not there. Where a
        reader has drawn callipers, their slice is shown: it may be another one than that through the middle.

        :param center: also move the views' middle there; otherwise only where it would be out of sight.
        :param exceptView: a slice node that stays as it is.
        """
        place = self._placeOf(nodes, label) if nodes is not None else None
        if place is not None:
            jump_to(slicer.mrmlScene, place, center, exceptView)
        return place is not None

    def _placeOf(self, nodes: DetectionNodes, label: str) -> tuple[float, float, float] | None:
        """Where a candidate, or a missed nodule, is looked at, RAS mm in the world."""
        points = nodes.record.GetNodeReference(MISSED_ROLE) if label.startswith(MISSED) else nodes.candidates
        place = point_position(points, label) if points is not None else None
        finding = self.review(nodes).state.findings.get(label) if place is not None else None
        drawn = (finding.callipers_lps or finding.solid_callipers_lps) if finding is not None else None
        return place if drawn is None else middle_of(points, drawn[0])

    # -- zoom ----------------------------------------------------------------------------------------------------
    def zoom(self, width_mm: float) -> None:
        """Let the shorter side of every slice view show so many mm, around the same centre."""
        for view in slice_nodes(slicer.mrmlScene):
            columns, rows = view.GetDimensions()[:2]
            scale = width_mm / max(min(columns, rows), 1)
            view.SetFieldOfView(columns * scale, rows * scale, view.GetFieldOfView()[2])

    def zoomOut(self) -> None:
        """Show the whole volume in every slice view, at the slices that they show now."""
        offsets = [(view, view.GetSliceOffset()) for view in slice_nodes(slicer.mrmlScene)]
        slicer.app.applicationLogic().FitSliceToBackground(False, False)
        for view, offset in offsets:
            view.SetSliceOffset(offset)


def _isProjected(view: Any) -> bool:
    return view.GetSlabReconstructionEnabled() and view.GetSlabReconstructionType() == vtk.VTK_IMAGE_SLAB_MAX


def _displays(*nodes: Any) -> list[Any]:
    displays = [node.GetDisplayNode() for node in nodes if node is not None]
    return [display for display in displays if display is not None]
