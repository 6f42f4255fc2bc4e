"""A review in a scene: kept in nodes that are saved with it, and shown by the detection's points and segments.

The detector's output lies unchanged in the detection's record, the audit trail in a text node that the record refers
to. Both, and nothing else, decide what the findings are: points and segments only show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import InputError
from ..findings import ReferenceNodule
from ..report.colors import Color
from ..review import Change, Comparison, Finding, Review, ReviewState, edit_contour, review_from_json, review_to_json
from ..volume import Volume
from .detections import REVIEW_ROLE, VOLUME_ROLE, DetectionNodes, show_points, show_segments
from .review_marks import Mark, apply_marks, color_points, mark_of
from .segment_voxels import SegmentVoxels
from .stored import StoredDetection, stored_detection
from .volumes import turned_to_grid, volume_from_node

REVIEW_NAME = "Nodule review"
REVIEW_ATTRIBUTE = "LungNoduleCAD.review"


class SceneReview:
    """A detection under review.

    :param nodes: the detection's, from `find_detection`.
    :param added: what the detection's record says, from whom has just added it to the scene: then neither the record
        nor, without a review, the segments are read, which takes a tenth of a second for 500 candidates.
    :raises InputError: when the stored review or the detection is damaged, or the scan is not in the scene any more.
    """

    def __init__(self, scene: Any, nodes: DetectionNodes, added: StoredDetection | None = None) -> None:
        self._scene, self.nodes = scene, nodes
        stored = stored_detection(nodes.record.GetText() or "") if added is None else added
        original = stored.result.candidates
        self.volume = turned_to_grid(_volume_of(nodes), stored.ijk_to_lps)
        text = self._stored()
        self.review = review_from_json(text, original) if text else Review.of(original)
        self.comparison: Comparison | None = None
        self.reference_stamp: object = None
        self._references: Sequence[ReferenceNodule] | None = None
        self._text = text
        self._voxels = SegmentVoxels(nodes.segmentation, self.volume) if nodes.segmentation is not None else None
        self._drawn: Mapping[str, Finding] = {}
        self._marks = self._new_marks({})
        is_new = added is not None and not text
        if self._voxels is not None and (is_new or not self._changed_masks()):
            self._voxels.mark_known()

    @property
    def state(self) -> ReviewState:
        """The findings as they are now."""
        return self.review.state

    def color(self, finding_id: str) -> Color:
        """How a finding is drawn."""
        return self._marks[finding_id].color

    def is_current(self) -> bool:
        """Whether the scene still holds what this object has read or written last."""
        nodes = (self.nodes.record, self.nodes.candidates, self.nodes.segmentation)
        has_scan = self.nodes.record.GetNodeReference(VOLUME_ROLE) is not None
        is_whole = has_scan and all(n is None or self._scene.IsNodePresent(n) for n in nodes)
        return is_whole and self._stored() == self._text

    def record(self, change: Change, reader: str) -> None:
        """Add an event to the trail, store it in the scene, and show what has changed.

        :raises InputError: when the change is impossible; nothing is changed then.
        """
        self._append([change], reader)
        self._refresh()

    def has_edits(self) -> bool:
        """Whether a segment is another than the review says: somebody has drawn in it."""
        return bool(self._changed_masks())

    def take_edits(self, reader: str) -> list[str]:
        """Take what was drawn in the Segment Editor into the review, an event for each outline that differs.

        :returns: ids of the findings whose outline was taken.
        :raises InputError: when an outline has been emptied; the others are taken nevertheless.
        """
        state = self.state
        hidden = {f.id for f in state.findings.values() if f.origin == "detector" and state.hides_detector}
        changed = {name: mask for name, mask in self._changed_masks().items() if name not in hidden}
        changes = [edit_contour(self.volume, name, mask) for name, mask in changed.items() if mask.voxels.any()]
        self._append(changes, reader)
        for change in changes:
            # The segment holds it already: it must not be written again.
            self._marks[change.finding] = replace(self._marks[change.finding], mask=change.contour.mask)
        self._refresh()
        for name, mask in changed.items():
            edit_contour(self.volume, name, mask)
        if self._voxels is not None and not hidden:
            self._voxels.mark_known()
        return [change.finding for change in changes]

    def prepare_edit(self, finding_id: str) -> None:
        """Before a finding is edited: its segment gets a label map of its own, on which the editor is quick."""
        if self._voxels is not None and self._marks.get(finding_id) is not None:
            self._voxels.isolate(finding_id)

    def restore(self) -> None:
        """Bring points and segments back to what the review says, whatever has been done to them by hand."""
        held = self._changed_masks()
        former = {name: replace(m, description="", mask=held.get(name, m.mask)) for name, m in self._marks.items()}
        apply_marks(self.nodes, self._voxels, self.volume, former, self._marks)
        color_points(self.nodes.candidates, self.comparison is not None)
        if self._voxels is not None:
            self._voxels.mark_known()

    def compare_with(self, references: Sequence[ReferenceNodule] | None, stamp: object = None) -> None:
        """Colour the findings against a reference from now on, or no more.

        :param stamp: kept as `reference_stamp`, so that a caller knows when to compare anew.
        """
        self._references, self.reference_stamp = references, stamp
        self._refresh()

    def show(self, shown: dict[str, bool]) -> None:
        """Show and hide points and segments, from `shown_findings`. The point of a rejected finding, or of one that the
        reference ignores, stays hidden: the list has no colour for it."""
        hidden = {name for name, m in self._marks.items() if m.status == "rejected" or m.match == "ignored"}
        if self.nodes.candidates is not None:
            show_points(self.nodes.candidates, {name: seen and name not in hidden for name, seen in shown.items()})
        if self.nodes.segmentation is not None:
            show_segments(self.nodes.segmentation, shown)

    def _append(self, changes: Sequence[Change], reader: str) -> None:
        review = self.review
        for change in changes:
            review = review.with_change(change, reader)
        if changes:
            self.review, self._text = review, review_to_json(review)
            store_review(self._scene, self.nodes.record, self._text)

    def _refresh(self) -> None:
        references = self._references
        self.comparison = None if references is None else Comparison(self.state, references)
        marks = self._new_marks(self._marks)
        apply_marks(self.nodes, self._voxels, self.volume, self._marks, marks)
        color_points(self.nodes.candidates, references is not None)
        self._marks = marks

    def _new_marks(self, former: dict[str, Mark]) -> dict[str, Mark]:
        """Those of findings that are as they were are taken over: most are, and drawing up one takes 20 µs."""
        drawn = self._drawn
        self._drawn = self.state.findings
        match = self.comparison.status if self.comparison is not None else lambda name: None
        marks = {}
        for name, finding in self.state.findings.items():
            if finding.status != "merged":
                mark = former.get(name) if drawn.get(name) is finding else None
                marks[name] = mark if mark is not None and mark.match == match(name) else mark_of(finding, match(name))
        return marks

    def _changed_masks(self) -> dict[str, Any]:
        masks = {name: mark.mask for name, mark in self._marks.items()}
        return self._voxels.changed(masks) if self._voxels is not None else {}

    def _stored(self) -> str:
        node = self.nodes.record.GetNodeReference(REVIEW_ROLE)
        return str(node.GetText() or "") if node is not None else ""


def store_review(scene: Any, record: Any, text: str) -> Any:
    """Keep a review's text in the scene, in the node of a detection's record that is for it; returns the node."""
    node = record.GetNodeReference(REVIEW_ROLE)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTextNode", REVIEW_NAME)
        node.SetAttribute(REVIEW_ATTRIBUTE, "1")
        record.SetNodeReferenceID(REVIEW_ROLE, node.GetID())
    node.SetText(text)
    return node


def _volume_of(nodes: DetectionNodes) -> Volume:
    node = nodes.record.GetNodeReference(VOLUME_ROLE)
    if node is None:
        raise InputError("The scan of this detection is not in the scene any more; load it again.")
    return volume_from_node(node)
