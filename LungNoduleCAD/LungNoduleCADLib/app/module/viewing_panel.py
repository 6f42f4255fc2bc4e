"""The part of the panel that shows the selected candidate closely, and decides how the views show everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qt
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ...errors import InputError
from ...scene.detections import DetectionNodes
from ...scene.local_mask import local_mask
from ...scene.segments import LABELMAP
from ...scene.volumes import volume_from_node
from ..candidates import CandidateRow
from ..close_up import Outline, close_up
from .close_up_view import CloseUpView
from .columns import Column, candidate_columns
from .logic import DetectionLogic
from .shortcuts import KEYS, with_key
from .texts import density_names, match_choices, plane_text, slab_text
from .viewing import SLABS_MM, WINDOWS_HU, field_mm

SOON_MS = 30
"""Pictures follow the window after this pause: dragging it changes it many times a second."""
FACTS = ("density", "location", "mean_diameter_mm", "volume_mm3", "mean_hu", "malignancy", "category", "slice_number")
TITLED = {"mean_hu", "malignancy", "category", "slice_number"}
"""Facts that mean nothing without their column's title."""


class ViewingPanel(VTKObservationMixin):
    """Drives the view controls and the close-up of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name.
    """

    def __init__(self, ui: Any, logic: DetectionLogic) -> None:
        VTKObservationMixin.__init__(self)
        self.ui, self._logic = ui, logic
        self._volumeNode: Any = None
        self._nodes: DetectionNodes | None = None
        self._row: CandidateRow | None = None
        self._pictured: Any = None
        self._captions = {"axial": ui.axialCaption, "coronal": ui.coronalCaption, "sagittal": ui.sagittalCaption}
        self._pictures = CloseUpView(
            {"axial": ui.axialPicture, "coronal": ui.coronalPicture, "sagittal": ui.sagittalPicture}
        )
        self._columns = {column.key: column for column in candidate_columns()}
        self._windowButtons: Mapping[str, Any] = {"lung": ui.lungButton, "mediastinum": ui.mediastinumButton}
        for thickness in (0.0, *SLABS_MM):
            ui.slabComboBox.addItem(slab_text(thickness), thickness)
        ui.overlayCheckBox.toolTip = with_key(_("Show outlines and points in the views"), "overlay")
        ui.lungButton.clicked.connect(self.onLungButton)
        ui.mediastinumButton.clicked.connect(self.onMediastinumButton)
        ui.slabComboBox.currentIndexChanged.connect(self.onSlabChosen)
        ui.overlayCheckBox.clicked.connect(self.onOverlayToggled)
        ui.labelsCheckBox.clicked.connect(self.onLabelsToggled)
        ui.zoomCheckBox.clicked.connect(self.onZoomToggled)
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(SOON_MS)
        self._soon.timeout.connect(self.updateGui)

    def close(self) -> None:
        """Let go of the scene."""
        self._soon.stop()
        self.removeObservers()

    def show(self, volumeNode: Any, nodes: DetectionNodes | None) -> None:
        """Follow a volume, or none, and what was detected in it; of another one nothing is selected."""
        self.removeObservers()
        if (volumeNode, nodes) != (self._volumeNode, self._nodes):
            self._row = None
        self._volumeNode, self._nodes = volumeNode, nodes
        followed = [volumeNode, *([nodes.segmentation, nodes.candidates] if nodes is not None else [])]
        for display in [node.GetDisplayNode() for node in followed if node is not None]:
            if display is not None:
                self.addObserver(display, vtk.vtkCommand.ModifiedEvent, self.onDisplayModified)
        self.updateGui()

    @property
    def isZoomed(self) -> bool:
        """Whether the slice views keep close to the selected candidate."""
        return bool(self.ui.zoomCheckBox.checked)

    def select(self, row: CandidateRow | None) -> None:
        """Show a candidate closely, or none."""
        self._row = row
        if self._nodes is not None:
            self._logic.emphasize(self._nodes, row.label if row is not None else None)
        if row is not None and self.isZoomed:
            self._logic.zoom(field_mm(row))
        self.updateGui()

    # -- user actions --------------------------------------------------------------------------------------------
    def onLungButton(self, checked: bool = False) -> None:
        """Show the volume in the lung window."""
        self._setWindow("lung")

    def onMediastinumButton(self, checked: bool = False) -> None:
        """Show the volume in the mediastinal window."""
        self._setWindow("mediastinum")

    def onSlabChosen(self, choice: Any = None) -> None:
        """Show slices, or projections of a slab."""
        box = self.ui.slabComboBox
        self._logic.setSlab(float(box.itemData(box.currentIndex) or 0.0))

    def onOverlayToggled(self, checked: bool = False) -> None:
        """Show or hide outlines and points."""
        if self._nodes is not None:
            self._logic.setOverlayVisible(self._nodes, not self._logic.isOverlayVisible(self._nodes))
        self.updateGui()

    def onLabelsToggled(self, checked: bool = False) -> None:
        """Show or hide the points' names."""
        if self._nodes is not None:
            self._logic.setLabelsVisible(self._nodes, not self._logic.areLabelsVisible(self._nodes))
        self.updateGui()

    def onZoomToggled(self, checked: bool = False) -> None:
        """Show the surroundings of the selected candidate in all slice views, or the whole volume again."""
        if not self.isZoomed:
            self._logic.zoomOut()
        elif self._row is not None:
            self._logic.zoom(field_mm(self._row))
            self._logic.jumpTo(self._nodes, self._row.label, center=True)

    def onDisplayModified(self, caller: Any, event: str) -> None:
        """Called when window, visibility or colours change, here or elsewhere."""
        self._soon.start()

    def _setWindow(self, name: str) -> None:
        if self._volumeNode is not None:
            self._logic.setWindow(self._volumeNode, name)
        self.updateGui()

    # -- appearance ------------------------------------------------------------------------------------------------
    def updateGui(self) -> None:
        """The widgets follow the scene."""
        ui, nodes, window = self.ui, self._nodes, self._logic.window(self._volumeNode)
        for name, button in self._windowButtons.items():
            button.checked = window == WINDOWS_HU[name]
            button.enabled = self._volumeNode is not None
        ui.overlayCheckBox.checked = nodes is not None and self._logic.isOverlayVisible(nodes)
        ui.labelsCheckBox.checked = nodes is not None and self._logic.areLabelsVisible(nodes)
        wasBlocked = ui.slabComboBox.blockSignals(True)
        ui.slabComboBox.currentIndex = max(0, ui.slabComboBox.findData(self._logic.slab()))
        ui.slabComboBox.blockSignals(wasBlocked)
        ui.closeUpWidget.visible = self._row is not None
        ui.selectedLabel.text = self._facts() if self._row is not None else _nothing_selected()
        self._updatePictures()

    def _facts(self) -> str:
        assert self._row is not None
        columns = [self._columns[key] for key in FACTS]
        facts = {column.key: _fact(column, self._row) for column in columns if column.value(self._row) is not None}
        automatic = self._row.values.get("automatic_diameter_mm")
        if automatic is not None:
            diameter = self._columns["automatic_diameter_mm"].text(automatic)
            beside = _("by callipers, automatic {diameter}").format(diameter=diameter)
            facts["mean_diameter_mm"] = f"{facts['mean_diameter_mm']} · {beside}"
        match = self._row.values.get("match")
        against = [match_choices()[match]] if match is not None else []
        return " · ".join([f"<b>{self._row.label}</b>", *facts.values(), *against])

    def _updatePictures(self) -> None:
        """They are made anew only when something in them has changed: that takes longer than all else."""
        row = self._row
        try:
            volume = volume_from_node(self._volumeNode) if row is not None else None
        except InputError:  # the image was taken out of its node
            volume = None
        subject = self._subject(row) if row is not None and volume is not None else None
        if subject == self._pictured:
            return
        self._pictured = subject
        if row is None or volume is None:
            self._pictures.clear()
            return
        field, window = field_mm(row), self._logic.window(self._volumeNode)
        outline = self._outline(row, field)
        self._pictures.show(close_up(volume, row.values["center_lps"], field, window, self._pictures.size_px, outline))
        for plane, caption in self._captions.items():
            caption.text = plane_text(plane, field)

    def _subject(self, row: CandidateRow) -> Any:
        """All that the pictures depend on."""
        nodes = self._nodes
        segmentation = nodes.segmentation.GetSegmentation() if nodes is not None and nodes.segmentation else None
        segment = segmentation.GetSegment(row.label) if segmentation is not None else None
        labelmap = segment.GetRepresentation(LABELMAP) if segment is not None else None
        return (
            row,
            self._logic.window(self._volumeNode),
            nodes is not None and self._logic.isOverlayVisible(nodes),
            self._volumeNode.GetImageData().GetMTime(),
            labelmap.GetMTime() if labelmap is not None else None,
        )

    def _outline(self, row: CandidateRow, field: float) -> Outline | None:
        """As it is now, which an edit may have changed; none where outlines are hidden."""
        nodes = self._nodes
        if nodes is None or nodes.segmentation is None or not self._logic.isOverlayVisible(nodes):
            return None
        found = local_mask(nodes.segmentation, row.label, row.values["center_lps"], field)
        return Outline(row.color, *found) if found is not None else None


def _nothing_selected() -> str:
    return _("Select a candidate, or press {key}, to see it closely.").format(key=KEYS["next"])


def _fact(column: Column, row: CandidateRow) -> str:
    text, value = column.cell(row)
    if column.key == "density":
        return density_names()[str(value)]
    if column.key == "mean_diameter_mm":
        return _("{diameter} mm").format(diameter=text)
    return f"{column.title} {text}" if column.key in TITLED else text
