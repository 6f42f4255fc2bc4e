"""The part of the panel that compares the findings with a reference standard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import qt
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ...review import LiveMatch
from ...scene.detections import DetectionNodes
from ...scene.reference_nodes import reference_node
from .logic import DetectionLogic
from .performing import perform
from .review_texts import match_text, overlap_text
from .texts import BAD, line_html

SOON_MS = 100
"""A reference that is being moved or drawn is compared anew after this pause."""


class ReferencePanel(VTKObservationMixin):
    """Drives the reference's widgets of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name.
    :param onChanged: called when the reference is another, or what it marks.
    """

    def __init__(self, ui: Any, logic: DetectionLogic, onChanged: Callable[[], None]) -> None:
        VTKObservationMixin.__init__(self)
        self.ui, self._logic, self._onChanged = ui, logic, onChanged
        self._nodes: DetectionNodes | None = None
        self._followed: Any = None
        ui.referencePathLineEdit.filters = ctk.ctkPathLineEdit.Files
        ui.referencePathLineEdit.currentPath = ""
        ui.referencePathLineEdit.currentPathChanged.connect(self.onPathChanged)
        ui.loadReferenceButton.clicked.connect(self.onLoad)
        ui.referenceSelector.nodeActivated.connect(self.onNodeChosen)
        ui.clearReferenceButton.clicked.connect(self.onClear)
        ui.overlapCheckBox.clicked.connect(self.onOverlapToggled)
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(SOON_MS)
        self._soon.timeout.connect(self.onReferenceSettled)

    def close(self) -> None:
        """Let go of the scene."""
        self._soon.stop()
        self.removeObservers()

    def show(self, nodes: DetectionNodes | None) -> None:
        """Take over a detection, or none."""
        self._nodes = nodes
        if nodes is None:
            self._follow(None)

    def isOutdated(self) -> bool:
        """Whether the reference has left the scene."""
        return self._nodes is not None and reference_node(self._nodes) is not self._followed

    @property
    def showsOverlap(self) -> bool:
        """Whether common, false and missed voxels are drawn."""
        return bool(self.ui.overlapCheckBox.checked)

    # -- user actions ------------------------------------------------------------------------------------------------
    def onPathChanged(self, path: str) -> None:
        """There is something to load, or not."""
        self.ui.loadReferenceButton.enabled = bool(path.strip())

    def onLoad(self, checked: bool = False) -> None:
        """Compare with what a file marks."""
        edit, nodes = self.ui.referencePathLineEdit, self._nodes
        path = edit.currentPath.strip()
        if nodes is not None and self._change(lambda: self._logic.loadReference(nodes, path)):
            edit.addCurrentPathToHistory()

    def onNodeChosen(self, node: Any = None) -> None:
        """Compare with what a node of the scene marks, or with nothing."""
        nodes, chosen = self._nodes, self.ui.referenceSelector.currentNode()
        if nodes is None or chosen is reference_node(nodes):
            return
        if chosen is None:
            self.onClear()
        else:
            self._change(lambda: self._logic.useReference(nodes, chosen))

    def onClear(self, checked: bool = False) -> None:
        """Compare with nothing any more."""
        nodes = self._nodes
        if nodes is not None:
            self._change(lambda: self._logic.clearReference(nodes))

    def onOverlapToggled(self, checked: bool = False) -> None:
        """Draw which voxels agree, or not."""
        self._onChanged()

    def onReferenceModified(self, caller: Any, event: str) -> None:
        """Called while the reference is changed in the scene."""
        self._soon.start()

    def onReferenceSettled(self) -> None:
        """Called once after any number of changes."""
        self._onChanged()

    # -- appearance --------------------------------------------------------------------------------------------------
    def updateGui(self, match: LiveMatch | None, threshold: float) -> None:
        """The widgets follow the comparison."""
        ui, nodes = self.ui, self._nodes
        ui.referenceCollapsibleButton.visible = nodes is not None
        node = reference_node(nodes) if nodes is not None else None
        self._follow(node)
        ui.referenceSelector.setCurrentNode(node)
        ui.loadReferenceButton.enabled = bool(ui.referencePathLineEdit.currentPath.strip())
        ui.clearReferenceButton.enabled = node is not None
        error = self._logic.referenceError if node is not None else ""
        ui.matchLabel.text = line_html(BAD, "✕", error) if error else match_text(match)
        ui.matchLabel.visible = bool(ui.matchLabel.text)
        hasMasks = match is not None and any(r.mask is not None for r in match.result.references)
        ui.overlapCheckBox.visible = hasMasks
        ui.overlapLabel.visible = hasMasks and self.showsOverlap
        if hasMasks and self.showsOverlap and nodes is not None:
            ui.overlapLabel.text = overlap_text(self._logic.overlapAt(nodes, threshold))

    def _change(self, action: Callable[[], Any]) -> bool:
        done = perform(_("The reference could not be used."), action)
        self._onChanged()
        return done

    def _follow(self, node: Any) -> None:
        if node is self._followed:
            return
        self.removeObservers()
        self._followed = node
        if node is None:
            return
        events = [vtk.vtkCommand.ModifiedEvent]
        if node.IsA("vtkMRMLMarkupsNode"):
            events += [node.PointModifiedEvent, node.PointAddedEvent, node.PointRemovedEvent]
        for event in events:
            self.addObserver(node, event, self.onReferenceModified)
        if node.IsA("vtkMRMLSegmentationNode"):
            segmentation = node.GetSegmentation()
            changes = (
                segmentation.SourceRepresentationModified,
                segmentation.SegmentAdded,
                segmentation.SegmentRemoved,
            )
            for event in changes:
                self.addObserver(segmentation, event, self.onReferenceModified)
