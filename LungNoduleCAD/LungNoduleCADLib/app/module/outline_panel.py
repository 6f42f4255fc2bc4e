"""What a reader does to outlines: add a missed nodule, edit, merge, delete, restore."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ...errors import InputError
from ...review import AddNodule, Finding
from ...scene.detections import VOLUME_ROLE, DetectionNodes
from .editing import canEdit, openSegmentEditor
from .logic import DetectionLogic
from .performing import Changer, Said, perform
from .review_texts import added_text, edits_text, merged_text
from .texts import line_html

SETTLED_MS = 1000
"""An outline is taken when nobody has drawn for so long: a stroke of the brush changes it many times a second."""


class OutlinePanel(VTKObservationMixin):
    """Drives the outline buttons of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name. :param selection: the selected findings.
    :param change: changes the review. :param tell: takes a message for the user.
    """

    def __init__(
        self,
        ui: Any,
        logic: DetectionLogic,
        selection: Callable[[], list[Finding]],
        change: Changer,
        tell: Callable[[str], None],
    ) -> None:
        VTKObservationMixin.__init__(self)
        self.ui, self._logic, self._selection, self._change, self._tell = ui, logic, selection, change, tell
        self._nodes: DetectionNodes | None = None
        self._isEditing = self._isEntered = self._isDrawnIn = False
        self._settled = qt.QTimer()
        self._settled.setSingleShot(True)
        self._settled.setInterval(SETTLED_MS)
        self._settled.timeout.connect(self.onSettled)
        ui.addButton.clicked.connect(self.onAddToggled)
        ui.editButton.clicked.connect(self.onEdit)
        ui.restoreButton.clicked.connect(self.onRestore)
        ui.mergeButton.clicked.connect(self.onMerge)
        ui.deleteButton.clicked.connect(self.onDelete)

    def show(self, nodes: DetectionNodes | None) -> None:
        """Take over a detection, or none."""
        if nodes != self._nodes:
            self._isEditing = self._isDrawnIn = False
            self._settled.stop()
            self._follow(nodes)
        self._nodes = nodes
        self.ui.addButton.checked = False

    def enter(self) -> None:
        """Called when the module is shown: outlines that were edited meanwhile are taken into the review."""
        self._isEntered = True
        if self._isEditing:
            self._isEditing = self._isDrawnIn = False
            self._change(self._takeEdits)
        elif self._isDrawnIn:
            self.onSettled()

    def exit(self) -> None:
        """Called when another module is shown: outlines may be drawn there, and are taken on return."""
        self._isEntered = False
        self._settled.stop()

    def close(self) -> None:
        """Let go of the scene."""
        self._settled.stop()
        self.removeObservers()

    def place(self, positionRas: Sequence[float]) -> bool:
        """A click in a slice view: whether it was to add a nodule."""
        if not self.ui.addButton.checked:
            return False
        self.ui.addButton.checked = False
        self._change(lambda nodes: self._add(nodes, positionRas))
        return True

    # -- what comes by itself ----------------------------------------------------------------------------------------
    def onSegmentModified(self, caller: Any, event: str) -> None:
        """Called whenever voxels of a segment change, here or elsewhere, many times in a stroke of the brush."""
        self._isDrawnIn = True
        if self._isEntered:
            self._settled.start()

    def onSettled(self) -> None:
        """Called when drawing has paused: what others have drawn is taken into the review. What this module has written
        is what the review says."""
        if self.ui.reviewWidget.enabled:
            self._isDrawnIn = False
            if self._hasEdits():
                self._change(self._takeEdits)

    # -- user actions ------------------------------------------------------------------------------------------------
    def onAddToggled(self, checked: bool = False) -> None:
        """The next click in a slice view adds a nodule, or not."""
        self._tell(_("Click on the nodule in a slice view.") if self.ui.addButton.checked else "")

    def onEdit(self, checked: bool = False) -> None:
        """Go to the Segment Editor; the outline is taken into the review on return."""
        perform(_("The Segment Editor could not be opened."), self._edit)

    def onRestore(self, checked: bool = False) -> None:
        """Drop what was drawn or moved by hand."""
        self._change(self._restore)

    def onMerge(self, checked: bool = False) -> None:
        """The selected findings are one nodule."""
        names = [finding.id for finding in self._selection()]
        self._change(lambda nodes: self._merge(nodes, names))

    def onDelete(self, checked: bool = False) -> None:
        """Take an added nodule back."""
        [finding] = self._selection()
        self._change(lambda nodes: self._logic.deleteFinding(nodes, finding.id))

    # -- appearance --------------------------------------------------------------------------------------------------
    def updateGui(self, selected: Sequence[Finding]) -> None:
        """Which buttons can be used for the selected findings."""
        ui = self.ui
        ui.mergeButton.enabled = len(selected) > 1 and all(finding.status != "rejected" for finding in selected)
        ui.deleteButton.enabled = [finding.origin for finding in selected] == ["reader"]
        ui.editButton.enabled = len(selected) == 1 and canEdit(self._nodes, selected[0].id)

    def _follow(self, nodes: DetectionNodes | None) -> None:
        self.removeObservers()
        if nodes is not None and nodes.segmentation is not None:
            segmentation = nodes.segmentation.GetSegmentation()
            self.addObserver(segmentation, segmentation.SourceRepresentationModified, self.onSegmentModified)

    def _hasEdits(self) -> bool:
        try:
            return self._nodes is not None and self._logic.hasEdits(self._nodes)
        except InputError:  # a damaged review, of which the panel tells
            return False

    def _add(self, nodes: DetectionNodes, positionRas: Sequence[float]) -> Said:
        finding = self._logic.addNodule(nodes, positionRas)
        change = self._logic.trail(nodes)[-1].event.change
        isSphere = isinstance(change, AddNodule) and change.proposal == "sphere"
        return Said(added_text(finding, isSphere), finding.id)

    def _edit(self) -> None:
        nodes, [finding] = self._nodes, self._selection()
        assert nodes is not None
        self._logic.startEditing(nodes, finding.id)
        openSegmentEditor(nodes, finding.id, nodes.record.GetNodeReference(VOLUME_ROLE))
        self._isEditing = True

    def _takeEdits(self, nodes: DetectionNodes) -> Said:
        taken = self._logic.takeEdits(nodes)
        return Said(edits_text(taken), taken[0] if taken else None)

    def _restore(self, nodes: DetectionNodes) -> Said:
        self._logic.restoreMarks(nodes)
        return Said(line_html("", "i", _("Points and outlines are as the review says.")))

    def _merge(self, nodes: DetectionNodes, names: Sequence[str]) -> Said:
        merged = self._logic.mergeFindings(nodes, names)
        return Said(merged_text(merged), merged.id)
