"""What the Slicer module lists and shows at a threshold, without its panel: findings, and what is missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer

from ...report.build import patient_age_years
from ...report.context import GuidelineContext
from ...report.suggestions import suggest, suggest_one
from ...review import Finding, LiveMatch, shown_findings
from ...rules import Patient, Recommendation
from ...scene.detections import DetectionNodes, read_record
from ...scene.review import SceneReview
from ...scene.stored import StoredDetection
from ..candidates import MISSED, CandidateRow, finding_row, missed_row
from .comparing import ReferenceLogic


@dataclass(frozen=True, eq=False)
class Listing:
    """What is to be seen at a threshold.

    :param shown: of every row, by its label. :param match: against the reference; None without one.
    """

    shown: dict[str, bool]
    match: LiveMatch | None


class ListingLogic(ReferenceLogic):
    """The methods of the module's logic class that list a detection."""

    _readRecord: tuple[Any, dict[str, Any]] | None = None
    _rows: tuple[Any, dict[str, tuple[Finding, CandidateRow]]] | None = None

    def candidates(self, nodes: DetectionNodes | None) -> list[CandidateRow]:
        """What the table lists: the detector's findings, best first, then what readers added, then all nodules of the
        reference. Rows of findings that are as they were are the same objects as before.

        :raises InputError: when the review in the scene is damaged.
        """
        if nodes is None:
            return []
        review, findings = self.review(nodes), self.findings(nodes)
        former = self._rows[1] if self._rows is not None and self._rows[0] is nodes.record else {}
        uids = self._record(nodes)["findings"]["series"].get("sop_instance_uids") or ()
        kept: dict[str, tuple[Finding, CandidateRow]] = {}
        for finding in findings:
            match = review.comparison.status(finding.id) if review.comparison is not None else None
            known = former.get(finding.id)
            if known is None or known[0] is not finding:
                row = finding_row(finding, review.volume, match, review.color(finding.id), uids)
            else:
                row = known[1]
                if row.values["match"] != match:
                    row = row.compared(match, review.color(finding.id))
            kept[finding.id] = (finding, row)
        self._rows = (nodes.record, kept)
        references = review.comparison.references if review.comparison is not None else ()
        missed = [missed_row(n, nodule, review.volume) for n, nodule in enumerate(references, start=1)]
        return [row for _, row in kept.values()] + missed

    def showAt(
        self, nodes: DetectionNodes, threshold: float, showRejected: bool = False, showOverlap: bool = False
    ) -> Listing:
        """Show in the views what counts at a threshold and what is missed at it, and hide the rest.

        :raises InputError: when the review in the scene is damaged.
        """
        shown = self.showFindings(nodes, threshold, showRejected)
        match = self.showMatch(nodes, threshold, showOverlap)
        if match is not None:
            shown.update({f"{MISSED}{n}": found is None for n, found in enumerate(match.found_by, start=1)})
        return Listing(shown, match)

    def suggestion(
        self, nodes: DetectionNodes, findingId: str, threshold: float, guideline: str, patient: Patient | None = None
    ) -> Recommendation | None:
        """What a guideline suggests for a finding, with a reader's word over it, as the report says it; None where it
        cannot be classified.

        :param threshold: of the findings that count beside it. :param guideline: one of
            `report.suggestions.GUIDELINES`. :param patient: as stated for the report.
        """
        known = self._withAge(nodes, GuidelineContext(patient or Patient()))
        finding = self.review(nodes).state.finding(findingId)
        return suggest_one(finding, self._reported(nodes, threshold), known.patient, guideline)

    def examSuggestion(
        self, nodes: DetectionNodes, threshold: float, guideline: str, context: GuidelineContext | None = None
    ) -> Recommendation:
        """What a guideline suggests for the whole examination, with a reader's word over it, as the report of a first
        examination says it.

        :param context: what is stated of patient and examination; None when nothing.
        """
        known = self._withAge(nodes, (context or GuidelineContext()).made_plain())
        decided = self.review(nodes).state.exam_categories
        return suggest(self._reported(nodes, threshold), known, (guideline,), decided=decided).exam[0]

    def rememberDetection(self, nodes: DetectionNodes, stored: StoredDetection) -> None:
        """Called when results have just been added to the scene: they need not be read from it again."""
        self._sceneReview = SceneReview(slicer.mrmlScene, nodes, stored)
        self._readRecord = (_key(nodes), {"findings": stored.findings, "operating_table": stored.operating_table})

    def forgetReview(self) -> None:
        """Called when a scene closes: let go of its nodes and voxels. A review is read again when it is needed."""
        super().forgetReview()
        self._rows = self._readRecord = None

    def _reported(self, nodes: DetectionNodes, threshold: float) -> list[Finding]:
        """The findings that count at a threshold."""
        state = self.review(nodes).state
        shown = shown_findings(state, threshold)
        return [finding for name, finding in state.findings.items() if shown[name]]

    def _withAge(self, nodes: DetectionNodes, context: GuidelineContext) -> GuidelineContext:
        """With the age that the images state, where none is given."""
        return context.with_age(patient_age_years(self._record(nodes)["findings"]["series"]))

    def _record(self, nodes: DetectionNodes) -> dict[str, Any]:
        """A detection's record, which is read once: it is long."""
        key = _key(nodes)
        if self._readRecord is None or self._readRecord[0] != key:
            self._readRecord = (key, read_record(nodes.record))
        return self._readRecord[1]


def _key(nodes: DetectionNodes) -> Any:
    """Is another one when the record is another one, or its text."""
    return nodes.record, nodes.record.GetText()
