"""What the Slicer module does to plot the free-response ROC of the scene's cases, without its panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
from slicer.i18n import tr as _

from ...errors import InputError
from ...evaluation.free_response import Outcomes, free_response
from ...review import Comparison
from ...review.pooled import pooled_outcomes
from ...scene.detections import DetectionNodes, all_detections, batch
from ...scene.plots import froc_chart, show_froc, show_operating_point
from ...scene.review import SceneReview
from .listing import ListingLogic


class PlottingLogic(ListingLogic):
    """The methods of the module's logic class that plot. A curve counts what stands in the scene: what readers have
    accepted or added is certain, what they have rejected does not count."""

    _frocCases: tuple[list[DetectionNodes], list[Comparison], Outcomes] | None = None

    def forgetReview(self) -> None:
        """Called when a scene closes: its cases are gone."""
        super().forgetReview()
        self._frocCases = None

    def plotFroc(self, nodes: DetectionNodes, threshold: float) -> Any:
        """Draw the free-response ROC of all cases in the scene that have a reference into a plot view; returns the
        chart node.

        :raises InputError: when this one has none.
        """
        cases = self._casesWithReference(nodes)
        if nodes.record not in [case.record for case, _comparison in cases]:
            raise InputError(_("There is nothing to compare with; load a reference first."))
        comparisons = [comparison for _case, comparison in cases]
        chart = self._drawFroc([case for case, _comparison in cases], comparisons, threshold)
        slicer.modules.plots.logic().ShowChartInLayout(chart)
        return chart

    def updateFroc(self, nodes: DetectionNodes | None, threshold: float) -> None:
        """Let the plot, if there is one, follow the threshold; where the case's findings or its reference are others
        than before, the curve too."""
        if nodes is None or self._frocCases is None or froc_chart(slicer.mrmlScene) is None:
            return
        cases, comparisons, outcomes = self._frocCases
        records = [case.record for case in cases]
        comparison = self.review(nodes).comparison
        if nodes.record not in records or comparison is None:
            return
        number = records.index(nodes.record)
        if comparisons[number] is not comparison:
            self._drawFroc(cases, [*comparisons[:number], comparison, *comparisons[number + 1 :]], threshold)
        else:
            self._markThreshold(outcomes, threshold)

    def _drawFroc(self, cases: list[DetectionNodes], comparisons: list[Comparison], threshold: float) -> Any:
        outcomes = pooled_outcomes(comparisons)
        curve = free_response(outcomes).curve
        self._frocCases = (cases, comparisons, outcomes)
        with batch(slicer.mrmlScene):
            chart = show_froc(slicer.mrmlScene, curve, _("FROC"))
            self._markThreshold(outcomes, threshold)
        return chart

    def _markThreshold(self, outcomes: Outcomes, threshold: float) -> None:
        name = _("Threshold {threshold}").format(threshold=f"{threshold:.2f}")
        fp_per_scan, sensitivity = outcomes.fp_per_scan(threshold), outcomes.sensitivity(threshold)
        title = _("FROC: {nodules} nodules, scans: {scans}; at {threshold}: {found} %, {fp} FP/scan").format(
            nodules=len(outcomes.nodule_score),
            scans=outcomes.scans,
            threshold=f"{threshold:.2f}",
            found=round(100 * sensitivity),
            fp=f"{fp_per_scan:.1f}",
        )
        show_operating_point(slicer.mrmlScene, threshold, fp_per_scan, sensitivity, name, title)

    def _casesWithReference(self, nodes: DetectionNodes) -> list[tuple[DetectionNodes, Comparison]]:
        """All detections in the scene with what they are compared with; this one is read last, and stays at hand."""
        others = [case for case in all_detections(slicer.mrmlScene) if case.record is not nodes.record]
        cases: Sequence[DetectionNodes] = (*others, nodes)
        reviews: list[tuple[DetectionNodes, SceneReview]] = [(case, self.review(case)) for case in cases]
        return [(case, review.comparison) for case, review in reviews if review.comparison is not None]
