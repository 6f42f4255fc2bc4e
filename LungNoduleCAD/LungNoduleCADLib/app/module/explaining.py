"""What the Slicer module does to explain a finding, without its panel: ask the classifier, show its maps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from ...errors import InputError, LungNoduleCADError
from ...resources import resource_path
from ...review import Finding
from ...review.codec import encode_mask
from ...scene.detections import VOLUME_ROLE, DetectionNodes, batch
from ...scene.heat_map import (
    FINDING_ATTRIBUTE,
    KIND_ATTRIBUTE,
    heat_map,
    heat_opacity,
    is_heat_visible,
    remove_heat_map,
    set_heat_opacity,
    set_heat_visible,
    show_heat_map,
)
from ...scene.review_marks import mark_of
from ...volume import Volume
from ..dependencies import ensure_explanation_packages
from ..explanation_folder import SavedExplanation
from ..explanation_job import ExplanationRequest
from ..explanation_run import ExplanationRun
from ..progress import Progress
from ..run import Outcome
from .listing import ListingLogic

EXPLANATION_POLL_MS = 100
OCCLUSION, GRADIENTS = "occlusion", "gradients"
"""The kinds of heat maps."""


class ExplanationRunner(Protocol):
    """An explanation that is worked out beside the user interface; `ExplanationRun` is the real one."""

    outcome: Outcome | None
    explanation: SavedExplanation | None
    error: str
    details: str

    def start(self) -> None: ...
    def poll(self) -> Progress: ...
    def cancel(self, wait: bool = False) -> None: ...


class ExplanationListener(Protocol):
    """Who wants to know about an explanation. Called on the main thread."""

    def onExplanationProgress(self, progress: Progress) -> None:
        """From time to time while it is worked out."""

    def onExplanationEnded(self, outcome: Outcome, error: str, details: str) -> None:
        """Once: `explanation` has it now, or here is why there is none."""


class ExplanationLogic(ListingLogic):
    """The methods of the module's logic class that explain. An explanation is of one finding as it is; nothing in the
    scene changes before it is there and shown."""

    explanationListener: ExplanationListener | None = None
    makeExplanationRun: Callable[[Volume, ExplanationRequest], ExplanationRunner] = ExplanationRun
    installExplanationPackages: Callable[[Path], None] = staticmethod(ensure_explanation_packages)

    _explanationRun: ExplanationRunner | None = None
    _explanationTimer: Any = None
    _asked: tuple[DetectionNodes, Finding] | None = None
    _explained: tuple[DetectionNodes, Finding, SavedExplanation] | None = None
    _explanationEnd: tuple[Outcome, str] = (Outcome.CANCELLED, "")

    # -- asking ----------------------------------------------------------------------------------------------------
    @property
    def isExplaining(self) -> bool:
        """Whether an explanation is being worked out; also while it is being cancelled."""
        return self._explanationRun is not None

    def explanation(self, nodes: DetectionNodes | None, label: str) -> SavedExplanation | None:
        """The last explanation, if it is of this finding, and that has not been changed since."""
        if self._explained is None or nodes is None or self._explained[0].record is not nodes.record:
            return None
        finding = self.review(nodes).state.findings.get(label)
        return self._explained[2] if finding is not None and _same(finding, self._explained[1]) else None

    def startExplanation(
        self, nodes: DetectionNodes, label: str, weights: str | None = None, device: str = "auto"
    ) -> None:
        """Start to ask the classifier about a finding in a child process, and return.

        :param weights: folder of the weights that the detection used; None takes the shipped ones.
        :raises LungNoduleCADError: when there is no such finding, a package is missing and was not installed, or an
            explanation is being worked out already.
        """
        if self.isExplaining:
            raise LungNoduleCADError(_("An explanation is being worked out already; wait for it or cancel it."))
        review = self.review(nodes)
        finding = review.state.findings.get(label)
        if finding is None:
            raise InputError(_("There is no finding {label} any more; choose another one.").format(label=label))
        self.installExplanationPackages(resource_path("explain-requirements.txt"))
        run = self.makeExplanationRun(review.volume, self._request(nodes, finding, weights, device))
        run.start()
        self._explanationRun, self._asked = run, (nodes, finding)
        if self._explanationTimer is None:
            self._explanationTimer = qt.QTimer()
            self._explanationTimer.setInterval(EXPLANATION_POLL_MS)
            self._explanationTimer.timeout.connect(self.pollExplanation)
        self._explanationTimer.start()

    def cancelExplanation(self, wait: bool = False) -> None:
        """End the work on an explanation, if there is any, with all its processes and files.

        :param wait: return when it has happened.
        """
        if self._explanationRun is not None:
            self._asked = None
            self._explanationRun.cancel(wait)
            if wait:
                self.pollExplanation()

    def explain(
        self, nodes: DetectionNodes, label: str, weights: str | None = None, device: str = "auto"
    ) -> SavedExplanation:
        """Ask about a finding and wait, while the application stays responsive.

        :raises LungNoduleCADError: when there is no explanation.
        """
        self.startExplanation(nodes, label, weights, device)
        while self.isExplaining:
            slicer.app.processEvents()
            self.pollExplanation()
            qt.QThread.msleep(20)
        outcome, error = self._explanationEnd
        if outcome is Outcome.FAILED:
            raise LungNoduleCADError(error)
        explanation = self.explanation(nodes, label) if outcome is Outcome.FINISHED else None
        if explanation is None:
            raise LungNoduleCADError(_("The explanation was cancelled; the scene is as it was."))
        return explanation

    def pollExplanation(self) -> None:
        """Called by a timer while an explanation is worked out: passes on its progress, or its end."""
        run = self._explanationRun
        if run is None:
            return
        progress = run.poll()
        if run.outcome is None:
            if self.explanationListener is not None:
                self.explanationListener.onExplanationProgress(progress)
            return
        self._explanationTimer.stop()
        asked, self._explanationRun, self._asked = self._asked, None, None
        outcome = run.outcome
        if outcome is Outcome.FINISHED:
            # What was asked about may have left the scene meanwhile.
            if asked is None or not slicer.mrmlScene.IsNodePresent(asked[0].record):
                outcome = Outcome.CANCELLED
            else:
                assert run.explanation is not None
                self._explained = (*asked, run.explanation)
        self._explanationEnd = (outcome, run.error)
        if run.details:
            logging.error("%s\n%s", run.error, run.details)
        if self.explanationListener is not None:
            self.explanationListener.onExplanationEnded(outcome, run.error, run.details)

    def forgetReview(self) -> None:
        """Called when a scene closes: its explanations have no place any more."""
        super().forgetReview()
        self.cancelExplanation()
        self._explained = None

    def _request(self, nodes: DetectionNodes, finding: Finding, weights: str | None, device: str) -> ExplanationRequest:
        contour, found = finding.contour, self._record(nodes)["findings"]
        mask = encode_mask(contour.mask) if contour.mask.voxels.any() else None
        color = mark_of(finding, None).color
        return ExplanationRequest(
            finding.id, contour.center_lps, color, mask, found["model"], found["settings"], device, weights
        )

    # -- heat maps -------------------------------------------------------------------------------------------------
    def showHeatMap(self, nodes: DetectionNodes, label: str, kind: str = OCCLUSION) -> Any:
        """Show where the classifier looks, over the scan in the slice views; returns the map's volume node.

        :param kind: `OCCLUSION` or `GRADIENTS`.
        :raises InputError: when the finding has not been explained.
        """
        explanation = self.explanation(nodes, label)
        if explanation is None:
            raise InputError(_("{label} has not been explained yet; do that first.").format(label=label))
        values = explanation.occlusion if kind == OCCLUSION else explanation.gradients
        with batch(slicer.mrmlScene):
            return show_heat_map(slicer.mrmlScene, nodes, values, label, kind)

    def heatMap(self, nodes: DetectionNodes | None) -> tuple[str, str] | None:
        """Whose map is in the scene, and of which kind; None without one."""
        node = heat_map(nodes) if nodes is not None else None
        return (node.GetAttribute(FINDING_ATTRIBUTE), node.GetAttribute(KIND_ATTRIBUTE)) if node is not None else None

    def removeHeatMap(self, nodes: DetectionNodes) -> None:
        """Take the map out of the scene."""
        remove_heat_map(slicer.mrmlScene, nodes)

    def removeOrphan(self, nodes: DetectionNodes) -> None:
        """Take the map out of the scene if its scan has left it: nothing else would, and it is hidden."""
        isThere = slicer.mrmlScene.IsNodePresent(nodes.record)
        if isThere and nodes.record.GetNodeReference(VOLUME_ROLE) is None:
            self.removeHeatMap(nodes)

    def isHeatMapVisible(self, nodes: DetectionNodes) -> bool:
        """Whether the map is to be seen."""
        return is_heat_visible(slicer.mrmlScene, nodes)

    def setHeatMapVisible(self, nodes: DetectionNodes, visible: bool) -> None:
        """Show or hide the map."""
        set_heat_visible(slicer.mrmlScene, nodes, visible)

    def heatMapOpacity(self, nodes: DetectionNodes) -> float:
        """How much the map covers the scan, 0 to 1; 0 without one."""
        node = heat_map(nodes)
        return heat_opacity(node) if node is not None else 0.0

    def setHeatMapOpacity(self, nodes: DetectionNodes, opacity: float) -> None:
        """Let the map cover the scan more or less."""
        set_heat_opacity(slicer.mrmlScene, nodes, opacity)


def _same(finding: Finding, former: Finding) -> bool:
    """Whether a finding is at the same place with the same outline; what was decided about it does not matter."""
    one, other = finding.contour, former.contour
    return (finding.id, one.center_lps, one.mask.start_kji) == (former.id, other.center_lps, other.mask.start_kji) and (
        np.array_equal(one.mask.voxels, other.mask.voxels)
    )
