"""The part of the panel that explains: a menu for the selected finding, its heat map, and the FROC plot."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ...errors import InputError
from ...scene.detections import DetectionNodes
from ..candidates import CandidateRow
from ..explanation_folder import FEATURE_MAPS_FILE, FILM_FILE, OVERLAY_FILE
from ..progress import Progress
from ..run import Outcome
from .explaining import GRADIENTS, OCCLUSION
from .logic import DetectionLogic
from .performing import perform
from .picture_window import PictureWindow, open_picture
from .texts import BAD, line_html, progress_text

Then = Callable[[DetectionNodes, str], None]
"""What is done with the explanation of a finding, given by its label, once that is there."""


class ExplainPanel:
    """Drives the explaining widgets of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name.
    """

    def __init__(self, ui: Any, logic: DetectionLogic) -> None:
        self.ui, self._logic = ui, logic
        self._nodes: DetectionNodes | None = None
        self._row: CandidateRow | None = None
        self._threshold = 1.0
        self._asked: tuple[str, Then] | None = None
        self._error = ""
        self._windows: list[PictureWindow] = []
        self._folder: Path | None = None
        self._menu = qt.QMenu(ui.explainButton)
        self._menu.setToolTipsVisible(True)
        for text, tip, action in (
            (_("Heat map: cover places"), _("What of the scan the score hangs on, shown over it."), self.onOcclusion),
            (_("Heat map: gradients"), _("Likewise by the network's own gradient, finer."), self.onGradients),
            (_("Both maps as a picture…"), _("Three planes, with the outline and under each map."), self.onOverlay),
            (_("Feature maps…"), _("What each layer of the network makes of the finding."), self.onFeatureMaps),
            (_("Slice animation…"), _("A walk through the slices with the outline."), self.onFilm),
        ):
            entry = self._menu.addAction(text)
            entry.toolTip = tip
            entry.triggered.connect(action)
        ui.explainButton.setMenu(self._menu)
        ui.cancelExplanationButton.clicked.connect(self.onCancel)
        ui.heatMapCheckBox.clicked.connect(self.onHeatMapToggled)
        ui.heatMapSlider.valueChanged.connect(self.onOpacityChanged)
        ui.removeHeatMapButton.clicked.connect(self.onRemoveHeatMap)
        ui.frocButton.clicked.connect(self.onFroc)
        logic.explanationListener = self

    def close(self) -> None:
        """End what is on, and close all windows; the panel is not used again."""
        self._logic.explanationListener = None
        self._logic.cancelExplanation(wait=True)
        self._closeWindows()

    def show(self, nodes: DetectionNodes | None) -> None:
        """Take over a detection, or none; what was asked about another one is not waited for, and its pictures go."""
        former = self._nodes
        self._nodes, self._error = nodes, ""
        if former is not None and (nodes is None or nodes.record is not former.record):
            self._asked = None
            self._logic.cancelExplanation()
            self._logic.removeOrphan(former)
            self._closeWindows()
        self.select(None)

    def select(self, row: CandidateRow | None) -> None:
        """Take over the selected finding, or none."""
        if row is not self._row:
            self._error = ""
        self._row = row if row is not None and row.is_finding else None
        self.updateGui()

    def setThreshold(self, threshold: float, hasReference: bool) -> None:
        """Let the FROC plot's mark follow."""
        self._threshold = threshold
        self.ui.frocButton.enabled = hasReference
        if hasReference:
            self._logic.updateFroc(self._nodes, threshold)

    # -- user actions ----------------------------------------------------------------------------------------------
    def onOcclusion(self, checked: bool = False) -> None:
        """Show what the score hangs on, by covering it."""
        self._withExplanation(lambda nodes, label: self._showHeatMap(nodes, label, OCCLUSION))

    def onGradients(self, checked: bool = False) -> None:
        """Show what the score hangs on, by the gradient."""
        self._withExplanation(lambda nodes, label: self._showHeatMap(nodes, label, GRADIENTS))

    def onOverlay(self, checked: bool = False) -> None:
        """Open the maps as a picture."""
        self._withExplanation(lambda nodes, label: self._open(nodes, label, OVERLAY_FILE, _("Why {label}")))

    def onFeatureMaps(self, checked: bool = False) -> None:
        """Open the feature maps."""
        self._withExplanation(
            lambda nodes, label: self._open(nodes, label, FEATURE_MAPS_FILE, _("Feature maps of {label}"))
        )

    def onFilm(self, checked: bool = False) -> None:
        """Open the walk through the slices."""
        self._withExplanation(lambda nodes, label: self._open(nodes, label, FILM_FILE, _("Slices through {label}")))

    def onCancel(self, checked: bool = False) -> None:
        """Stop working an explanation out."""
        self._asked = None
        self._logic.cancelExplanation()
        self.updateGui()

    def onHeatMapToggled(self, checked: bool = False) -> None:
        """Show or hide the heat map."""
        if self._nodes is not None:
            self._logic.setHeatMapVisible(self._nodes, bool(self.ui.heatMapCheckBox.checked))
        self.updateGui()

    def onOpacityChanged(self, percent: int) -> None:
        """Let the heat map cover the scan more or less."""
        if self._nodes is not None:
            self._logic.setHeatMapOpacity(self._nodes, percent / 100)

    def onRemoveHeatMap(self, checked: bool = False) -> None:
        """Take the heat map out of the scene."""
        if self._nodes is not None:
            self._logic.removeHeatMap(self._nodes)
        self.updateGui()

    def onFroc(self, checked: bool = False) -> None:
        """Plot the FROC of the scene's cases."""
        nodes = self._nodes
        if nodes is not None:
            perform(_("The FROC could not be plotted."), lambda: self._logic.plotFroc(nodes, self._threshold))

    # -- what comes by itself ----------------------------------------------------------------------------------------
    def onExplanationProgress(self, progress: Progress) -> None:
        """Called by the logic while an explanation is worked out."""
        if self._asked is not None:
            self.ui.explainingBar.value = round(self.ui.explainingBar.maximum * progress.fraction)
            self.ui.explainingLabel.text = f"{self._asked[0]}: {progress_text(progress)}"

    def onExplanationEnded(self, outcome: Outcome, error: str, details: str) -> None:
        """Called by the logic when an explanation is there, or will not come."""
        asked, self._asked = self._asked, None
        if outcome is Outcome.FAILED:
            self._error = error
            more = {"detailedText": details} if details else {}
            slicer.util.errorDisplay(error, windowTitle=_("Lung Nodule CAD"), **more)
        elif outcome is Outcome.FINISHED and asked is not None:
            label, then = asked
            perform(_("The explanation could not be shown."), lambda: self._do(label, then))
        self.updateGui()

    # -- appearance --------------------------------------------------------------------------------------------------
    def updateGui(self) -> None:
        """The widgets follow what is selected, asked and shown."""
        ui, row = self.ui, self._row
        isBusy = self._logic.isExplaining
        ui.explainButton.enabled = row is not None and not isBusy
        ui.explainButton.toolTip = (
            _("Why does {label} have its score?").format(label=row.label)
            if row is not None
            else _("Select a candidate first.")
        )
        ui.explainingWidget.visible = isBusy or bool(self._error)
        ui.explainingBar.visible = ui.cancelExplanationButton.visible = isBusy
        if not isBusy:
            ui.explainingLabel.text = line_html(BAD, "✕", self._error) if self._error else ""
        elif self._asked is None:
            ui.explainingLabel.text = _("Cancelling…")
        ui.cancelExplanationButton.enabled = self._asked is not None
        self._updateHeatMap()

    def _updateHeatMap(self) -> None:
        ui, nodes = self.ui, self._nodes
        shown = self._logic.heatMap(nodes)
        ui.heatMapWidget.visible = shown is not None
        if shown is None or nodes is None:
            return
        kinds = {OCCLUSION: _("Heat map of {label} (covering)"), GRADIENTS: _("Heat map of {label} (gradients)")}
        ui.heatMapCheckBox.text = kinds[shown[1]].format(label=shown[0])
        ui.heatMapCheckBox.checked = self._logic.isHeatMapVisible(nodes)
        wasBlocked = ui.heatMapSlider.blockSignals(True)
        ui.heatMapSlider.value = round(100 * self._logic.heatMapOpacity(nodes))
        ui.heatMapSlider.blockSignals(wasBlocked)

    # -- doing -------------------------------------------------------------------------------------------------------
    def _withExplanation(self, then: Then) -> None:
        """Do something with the explanation of the selected finding, now or when it has been worked out."""
        nodes, row = self._nodes, self._row
        if nodes is None or row is None:
            return
        self._error = ""
        if self._logic.explanation(nodes, row.label) is not None:
            perform(_("The explanation could not be shown."), lambda: self._do(row.label, then))
        elif perform(_("The explanation could not be started."), lambda: self._start(nodes, row.label)):
            self._asked = (row.label, then)
            self.onExplanationProgress(Progress("preparing", 0.0, None))
        self.updateGui()

    def _start(self, nodes: DetectionNodes, label: str) -> None:
        device = self.ui.deviceComboBox.itemData(self.ui.deviceComboBox.currentIndex) or "auto"
        self._logic.ensureDependencies()
        self._logic.startExplanation(nodes, label, self.ui.weightsPathLineEdit.currentPath or None, device)

    def _do(self, label: str, then: Then) -> None:
        if self._nodes is not None:
            then(self._nodes, label)

    def _showHeatMap(self, nodes: DetectionNodes, label: str, kind: str) -> None:
        self._logic.showHeatMap(nodes, label, kind)

    def _open(self, nodes: DetectionNodes, label: str, name: str, title: str) -> None:
        explanation = self._logic.explanation(nodes, label)
        if explanation is None:  # the outline was edited meanwhile
            raise InputError(_("{label} is not what it was when it was explained; ask again.").format(label=label))
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="LungNoduleCAD-"))
        place = Path(tempfile.mkdtemp(dir=self._folder))
        window = open_picture(title.format(label=label), f"{label}-{name}", explanation.pictures[name], place)
        if window is not None:
            self._windows.append(window)

    def _closeWindows(self) -> None:
        for window in self._windows:
            window.close()
        self._windows.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
