"""What the Slicer module does in a review, without its panel: decide, edit, add, merge, undo, count, show."""

from __future__ import annotations

import getpass
from collections.abc import Sequence

import slicer

from ...findings import DensityType
from ...review import (
    Accept,
    Change,
    DeclareFirstRead,
    Delete,
    Finding,
    ReadingMode,
    Redo,
    Reject,
    RejectReason,
    Reopen,
    ReviewCounts,
    ReviewEvent,
    SetCallipers,
    SetCategory,
    SetDensity,
    SetExamCategory,
    SetMode,
    SetNote,
    TrailEntry,
    Undo,
    add_nodule,
    merge_findings,
    review_counts,
    shown_findings,
)
from ...review.decisions import Part, length_mm
from ...review.state import Callipers
from ...scene.detections import VOLUME_ROLE, DetectionNodes
from ...scene.geometry import to_ras
from ...scene.reference_nodes import volume_node_point
from ...scene.review import SceneReview


class ReviewLogic:
    """The methods of the module's logic class that concern a review. Every change is stored in the scene and shown at
    once; what is impossible raises `InputError` and changes nothing.

    Findings are named by their ids, which are also the names of their points and segments.
    """

    reader = ""
    """Who reviews; empty takes the name from Slicer's settings, or the login name."""

    readingMode: ReadingMode = "concurrent"
    """What a review begins with when a detection's results arrive."""

    _sceneReview: SceneReview | None = None

    def review(self, nodes: DetectionNodes) -> SceneReview:
        """The review of a detection, from the scene.

        :raises InputError: when what is stored there is damaged.
        """
        known = self._sceneReview
        if known is None or known.nodes.record is not nodes.record or not known.is_current():
            self._sceneReview = known = SceneReview(slicer.mrmlScene, nodes)
        return known

    def forgetReview(self) -> None:
        """Called when a scene closes: let go of its nodes and voxels. A review is read again when it is needed."""
        self._sceneReview = None

    def startReview(self, nodes: DetectionNodes) -> None:
        """Called when results arrive: in second-reader mode their marks are hidden before anybody has seen them."""
        if self.readingMode != "concurrent":
            self.setReadingMode(nodes, self.readingMode)
            self.review(nodes).show(dict.fromkeys(self.review(nodes).state.findings, False))

    # -- looking ---------------------------------------------------------------------------------------------------
    def findings(self, nodes: DetectionNodes) -> list[Finding]:
        """What the table lists: all findings but those merged into others and those that must not be seen yet."""
        state = self.review(nodes).state
        return [
            finding
            for finding in state.findings.values()
            if finding.status != "merged" and not (finding.origin == "detector" and state.hides_detector)
        ]

    def showFindings(self, nodes: DetectionNodes, threshold: float, showRejected: bool = False) -> dict[str, bool]:
        """Show in the views what counts at a threshold, and hide the rest; returns which is which, for the table."""
        review = self.review(nodes)
        shown = shown_findings(review.state, threshold, showRejected)
        review.show(shown)
        return shown

    def reviewCounts(self, nodes: DetectionNodes, threshold: float) -> ReviewCounts:
        """How far the reader has got."""
        return review_counts(self.review(nodes).state, threshold)

    def trail(self, nodes: DetectionNodes) -> list[TrailEntry]:
        """Everything that readers did, oldest first."""
        return list(self.review(nodes).review.trail())

    def hasDecisions(self, nodes: DetectionNodes) -> bool:
        """Whether readers have done more than choose how to read."""
        return any(not isinstance(entry.event.change, SetMode) for entry in self.trail(nodes))

    def nextUndo(self, nodes: DetectionNodes) -> ReviewEvent | None:
        """What `undo` would take back; None when there is nothing."""
        return self.review(nodes).review.next_undo

    def nextRedo(self, nodes: DetectionNodes) -> ReviewEvent | None:
        """What `redo` would bring back; None when there is nothing."""
        return self.review(nodes).review.next_redo

    # -- deciding --------------------------------------------------------------------------------------------------
    def acceptFindings(self, nodes: DetectionNodes, ids: Sequence[str]) -> None:
        """These are nodules."""
        self._recordChange(nodes, Accept(tuple(ids)))

    def rejectFindings(
        self, nodes: DetectionNodes, ids: Sequence[str], reason: RejectReason, comment: str = ""
    ) -> None:
        """These are none; the reason 'other' needs a comment."""
        self._recordChange(nodes, Reject(tuple(ids), reason, comment))

    def reopenFindings(self, nodes: DetectionNodes, ids: Sequence[str]) -> None:
        """These are undecided again."""
        self._recordChange(nodes, Reopen(tuple(ids)))

    def setNote(self, nodes: DetectionNodes, findingId: str, note: str) -> None:
        """Free text; empty removes it."""
        self._recordChange(nodes, SetNote(findingId, note))

    def setDensity(self, nodes: DetectionNodes, findingId: str, density: DensityType | None) -> None:
        """Another density type than the automatic one; None goes back to it."""
        self._recordChange(nodes, SetDensity(findingId, density))

    def setCallipers(
        self, nodes: DetectionNodes, findingId: str, axesMm: tuple[float, float] | None, part: Part = "nodule"
    ) -> None:
        """Another long and short axis than the automatic ones; None goes back to them."""
        self._recordChange(nodes, SetCallipers(findingId, part, axesMm))

    def setCalliperLines(self, nodes: DetectionNodes, findingId: str, lines: Callipers, part: Part = "nodule") -> None:
        """Another long and short axis than the automatic ones, as the lengths of two lines in the scan's own
        coordinates, LPS mm; the longer one is the long axis."""
        longer, shorter = sorted(lines, key=length_mm, reverse=True)
        axes = (length_mm(longer), length_mm(shorter))
        self._recordChange(nodes, SetCallipers(findingId, part, axes, (longer, shorter)))

    def setCategory(
        self,
        nodes: DetectionNodes,
        findingId: str,
        guideline: str,
        category: str,
        management: str = "",
        justification: str = "",
    ) -> None:
        """Another category than a guideline suggests; an empty one goes back to the suggestion."""
        self._recordChange(nodes, SetCategory(findingId, guideline, category, management, justification))

    def setExamCategory(
        self, nodes: DetectionNodes, guideline: str, category: str, management: str = "", justification: str = ""
    ) -> None:
        """Likewise for the whole examination."""
        self._recordChange(nodes, SetExamCategory(guideline, category, management, justification))

    def undo(self, nodes: DetectionNodes) -> None:
        """Take back the last change that is in effect."""
        self._recordChange(nodes, Undo())

    def redo(self, nodes: DetectionNodes) -> None:
        """Bring back what was taken back last."""
        self._recordChange(nodes, Redo())

    # -- outlines --------------------------------------------------------------------------------------------------
    def addNodule(self, nodes: DetectionNodes, worldRas: Sequence[float]) -> Finding:
        """A nodule that the detector has missed, at a place in the views, RAS mm; its outline is proposed. Where the
        proposal is a mere sphere, the trail's last event says so (`change.proposal`)."""
        review = self.review(nodes)
        point = volume_node_point(nodes.record.GetNodeReference(VOLUME_ROLE), worldRas)
        change = add_nodule(review.review, review.volume, to_ras(point))
        self._recordChange(nodes, change)
        return review.state.finding(change.finding)

    def deleteFinding(self, nodes: DetectionNodes, findingId: str) -> None:
        """Take back an added nodule; the detector's can only be rejected."""
        self._recordChange(nodes, Delete(findingId))

    def mergeFindings(self, nodes: DetectionNodes, ids: Sequence[str]) -> Finding:
        """Several marks of one nodule become one, which is returned: the detector's best-scored of them."""
        review = self.review(nodes)
        change = merge_findings(review.state, review.volume, ids)
        self._recordChange(nodes, change)
        return review.state.finding(change.findings[0])

    def startEditing(self, nodes: DetectionNodes, findingId: str) -> None:
        """Before the Segment Editor is given a finding's segment."""
        self.review(nodes).prepare_edit(findingId)

    def hasEdits(self, nodes: DetectionNodes) -> bool:
        """Whether somebody has drawn in a segment since: there is something for `takeEdits`."""
        return self.review(nodes).has_edits()

    def takeEdits(self, nodes: DetectionNodes) -> list[str]:
        """After editing: take all outlines that differ into the review; returns whose they are."""
        return self.review(nodes).take_edits(self.readerName())

    def restoreMarks(self, nodes: DetectionNodes) -> None:
        """Bring points and segments back to what the review says: drops edits that were not taken."""
        self.review(nodes).restore()

    # -- reading ---------------------------------------------------------------------------------------------------
    def setReadingMode(self, nodes: DetectionNodes, mode: ReadingMode) -> None:
        """Read with the detector's marks, or first without them; possible until the first decision."""
        if self.review(nodes).state.mode != mode:
            self._recordChange(nodes, SetMode(mode))

    def declareFirstRead(self, nodes: DetectionNodes) -> None:
        """The reader has found what they could alone: the detector's marks may be shown now."""
        own = self.review(nodes).state.findings.values()
        self._recordChange(
            nodes, DeclareFirstRead(tuple(f.id for f in own if f.origin == "reader" and f.status == "accepted"))
        )

    def readerName(self) -> str:
        """Who reviews, as the audit trail will say; empty when nobody is known."""
        return self.reader or _slicer_user() or _login_name()

    def _recordChange(self, nodes: DetectionNodes, change: Change) -> None:
        self.review(nodes).record(change, self.readerName())


def _slicer_user() -> str:
    user = slicer.app.applicationLogic().GetUserInformation()
    return str(user.GetName() or user.GetLogin() or "") if user is not None else ""


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no account of that number, as in some containers
        return ""
