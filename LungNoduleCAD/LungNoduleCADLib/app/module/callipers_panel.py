"""Callipers: a reader's long and short axis of the selected finding, drawn as two lines in the slice views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import qt
import slicer
from slicer.util import VTKObservationMixin

from ...review import Finding
from ...review.decisions import Part
from ...review.state import Callipers
from ...scene.callipers import ends_of, show_lines
from ...scene.detections import VOLUME_ROLE, DetectionNodes
from .calliper_drawing import CalliperDrawing
from .callipers_texts import line_name, measured_text, prompt_text, size_text
from .logic import DetectionLogic
from .performing import Changer, Said

MOVED_MM = 1e-3
"""An end that lies farther from where the review has it was dragged."""
PARTS: tuple[Part, ...] = ("nodule", "solid-part")


class CallipersPanel(VTKObservationMixin):
    """Drives the size widgets of `LungNoduleCAD.ui`, and the lines of the selected finding's callipers in the scene.

    :param ui: the widgets, by name. :param change: changes the review. :param tell: takes a message for the user.
    """

    def __init__(self, ui: Any, logic: DetectionLogic, change: Changer, tell: Callable[[str], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._logic, self._change, self._tell = logic, change, tell
        self._nodes: DetectionNodes | None = None
        self._finding: Finding | None = None
        self._part: Part | None = None
        self._lines: dict[str, Any] = {}
        self._isEntered = False
        self._drawing = CalliperDrawing(self.onNextLine, self.onDrawn)
        self._labels = dict(zip(PARTS, (ui.sizeLabel, ui.solidSizeLabel), strict=True))
        self._measureButtons = dict(zip(PARTS, (ui.measureButton, ui.measureSolidButton), strict=True))
        self._automaticButtons = dict(zip(PARTS, (ui.automaticButton, ui.automaticSolidButton), strict=True))
        self._solidWidgets = (ui.solidSizeTitleLabel, ui.solidSizeWidget)
        ui.measureButton.clicked.connect(self.onMeasure)
        ui.measureSolidButton.clicked.connect(self.onMeasureSolid)
        ui.automaticButton.clicked.connect(self.onAutomatic)
        ui.automaticSolidButton.clicked.connect(self.onAutomaticSolid)
        # Slicer is in the midst of dragging when it tells of it.
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self.onDragged)

    def enter(self) -> None:
        """Called when the module is shown: the selected finding's lines are too."""
        self._isEntered = True
        self._showLines()

    def exit(self) -> None:
        """Called when another module is shown: the lines only show the review, and go."""
        self._isEntered = False
        self.stop()
        self._showLines()

    def close(self) -> None:
        """Let go of the scene."""
        self._soon.stop()
        self.stop()
        self.removeObservers()

    def stop(self) -> None:
        """Stop measuring, if that is on; nothing is kept of it."""
        self._part = None
        self._drawing.stop()
        for button in self._measureButtons.values():
            button.checked = False

    # -- user actions ------------------------------------------------------------------------------------------------
    def onMeasure(self, checked: bool = False) -> None:
        """The next clicks in the views draw long and short axis; pressed again, they do not."""
        self._measure("nodule")

    def onMeasureSolid(self, checked: bool = False) -> None:
        """Likewise of the solid part."""
        self._measure("solid-part")

    def onAutomatic(self, checked: bool = False) -> None:
        """Go back to what was measured automatically."""
        self._goBack("nodule")

    def onAutomaticSolid(self, checked: bool = False) -> None:
        """Likewise for the solid part."""
        self._goBack("solid-part")

    # -- what comes by itself ----------------------------------------------------------------------------------------
    def onNextLine(self, number: int) -> None:
        """Called before each line is drawn."""
        if self._finding is not None and self._part is not None:
            self._tell(prompt_text(self._finding.id, self._part, number))

    def onDrawn(self, lines: Callipers | None) -> None:
        """Called when both lines are there, or the user has given up."""
        part = self._part
        self.stop()
        if lines is not None and part is not None:
            self._record({part: lines})
        else:
            self._showLines()
            self._tell("")

    def onLineChanged(self, caller: Any, event: str) -> None:
        """Called when an end was dragged and let go."""
        self._soon.start()

    def onDragged(self) -> None:
        """Called once after such events: lines that lie elsewhere than in the review are taken into it."""
        moved = {}
        for part in PARTS:
            drawn, known = self._drawn(part), callipers_of(self._finding, part)
            if drawn is not None and known is not None and np.abs(np.subtract(drawn, known)).max() > MOVED_MM:
                moved[part] = drawn
        if moved:
            self._record(moved)

    # -- appearance --------------------------------------------------------------------------------------------------
    def updateGui(self, nodes: DetectionNodes | None, finding: Finding | None) -> None:
        """The widgets and lines follow the selected finding, or there is none."""
        former = self._finding
        if finding is None or former is None or finding.id != former.id or nodes != self._nodes:
            self.stop()
        self._nodes, self._finding = nodes, finding
        for widget in self._solidWidgets:
            widget.visible = finding is not None and finding.density_type == "part-solid"
        for part, label in self._labels.items():
            label.text = size_text(finding, part) if finding is not None else ""
            self._automaticButtons[part].visible = finding is not None and _axes(finding, part) is not None
        self._showLines()

    def _showLines(self) -> None:
        """The lines of the selected finding, but for the part that is being measured anew."""
        nodes, finding = self._nodes, self._finding
        wanted = {}
        if nodes is not None and finding is not None and self._isEntered:
            for part in PARTS:
                for n, ends in enumerate(callipers_of(finding, part) or () if part != self._part else ()):
                    wanted[_keys(part)[n]] = (line_name(finding.id, part, n), ends)
        if not wanted and not self._lines:
            return
        volumeNode = nodes.record.GetNodeReference(VOLUME_ROLE) if nodes is not None else None
        self.removeObservers()
        self._lines = show_lines(slicer.mrmlScene, volumeNode, self._lines, wanted)
        for line in self._lines.values():
            self.addObserver(line, line.PointEndInteractionEvent, self.onLineChanged)

    # -- doing -------------------------------------------------------------------------------------------------------
    def _measure(self, part: Part) -> None:
        isOn, nodes, finding = bool(self._measureButtons[part].checked), self._nodes, self._finding
        self.stop()
        if isOn and nodes is not None and finding is not None:
            self._part = part
            self._measureButtons[part].checked = True
            self._showLines()
            self._logic.jumpTo(nodes, finding.id)
            names = [line_name(finding.id, part, n) for n in range(2)]
            self._drawing.start(nodes.record.GetNodeReference(VOLUME_ROLE), names)
        else:
            self._showLines()
            self._tell("")

    def _goBack(self, part: Part) -> None:
        finding = self._finding
        self.stop()
        if finding is not None:
            self._change(lambda nodes: self._logic.setCallipers(nodes, finding.id, None, part))

    def _drawn(self, part: Part) -> Callipers | None:
        """The lines as they lie in the scene."""
        ends = [ends_of(line) if line is not None else None for line in map(self._lines.get, _keys(part))]
        first, second = ends
        return (first, second) if first is not None and second is not None else None

    def _record(self, lines: dict[Part, Callipers]) -> None:
        finding = self._finding
        if finding is not None:
            self._change(lambda nodes: self._take(nodes, finding.id, lines))
            self._showLines()  # where they were refused, they lie as before

    def _take(self, nodes: DetectionNodes, name: str, lines: dict[Part, Callipers]) -> Said:
        message = ""
        for part, drawn in lines.items():
            self._logic.setCalliperLines(nodes, name, drawn, part)
            message = measured_text(self._logic.review(nodes).state.finding(name), part)
        return Said(message)


def callipers_of(finding: Finding | None, part: Part) -> Callipers | None:
    """The lines that a reader has drawn."""
    if finding is None:
        return None
    return finding.callipers_lps if part == "nodule" else finding.solid_callipers_lps


def _axes(finding: Finding, part: Part) -> tuple[float, float] | None:
    return finding.callipers_mm if part == "nodule" else finding.solid_callipers_mm


def _keys(part: Part) -> tuple[str, str]:
    return f"{part} 0", f"{part} 1"
