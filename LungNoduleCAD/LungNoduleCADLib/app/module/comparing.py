"""What the Slicer module does with a reference standard, without its panel: load, compare, show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import slicer

from ...errors import InputError
from ...findings import ReferenceNodule
from ...io.references import read_reference
from ...review import LiveMatch, VoxelOverlap
from ...scene.detections import MISSED_ROLE, OVERLAP_ROLE, VOLUME_ROLE, DetectionNodes, read_record
from ...scene.reference_nodes import (
    add_reference_node,
    read_reference_node,
    reference_node,
    reference_stamp,
    set_reference_node,
    show_missed,
    show_overlap,
)
from ...scene.review import SceneReview
from .reviewing import ReviewLogic


class ReferenceLogic(ReviewLogic):
    """The methods of the module's logic class that concern a reference. It belongs to a detection and is saved with the
    scene; the findings as they stand are compared with it, at whatever threshold is asked for."""

    referenceError = ""
    """Why the reference in the scene cannot be used; empty when it can, or there is none."""

    def loadReference(self, nodes: DetectionNodes, path: str | Path) -> list[ReferenceNodule]:
        """Compare with what a file marks from now on: LUNA16 CSV, `.mrk.json` or a mask, see `io.read_reference`.

        :raises InputError: when the file cannot be used; a former reference stays.
        """
        review = self.review(nodes)
        volumeNode = nodes.record.GetNodeReference(VOLUME_ROLE)
        volume = replace(review.volume, metadata={**review.volume.metadata, "series_uid": _series_uid(nodes)})
        references = read_reference(path, volume)
        node = add_reference_node(slicer.mrmlScene, references, volume, volumeNode)
        node.SetName(f"{node.GetName()} ({Path(path).name})")
        return self._compareWith(nodes, node, references)

    def useReference(self, nodes: DetectionNodes, node: Any) -> list[ReferenceNodule]:
        """Compare with a point list, segmentation or label map of the scene from now on.

        :raises InputError: when the node cannot be used; a former reference stays.
        """
        shown = [nodes.record.GetNodeReference(role) for role in (MISSED_ROLE, OVERLAP_ROLE)]
        if node in (nodes.candidates, nodes.segmentation, *shown):
            raise InputError(f"{node.GetName()} is what the detector found; choose what others have marked.")
        return self._compareWith(nodes, node, self._readReference(nodes, node))

    def clearReference(self, nodes: DetectionNodes) -> None:
        """Compare with nothing; the reference's own node stays."""
        self._compareWith(nodes, None, None)
        show_missed(slicer.mrmlScene, nodes, (), ())
        show_overlap(slicer.mrmlScene, nodes, None, self.review(nodes).volume)

    def review(self, nodes: DetectionNodes) -> SceneReview:
        """The review of a detection, compared with the reference that the scene holds, as that is now. One that cannot
        be used any more is left out, and `referenceError` says why.

        :raises InputError: when what is stored there is damaged.
        """
        review = super().review(nodes)
        node = reference_node(nodes)
        stamp = reference_stamp(node)
        if review.reference_stamp != stamp:
            references, self.referenceError = None, ""
            try:
                references = self._readReference(nodes, node) if node is not None else None
            except InputError as error:
                self.referenceError = str(error)
            review.compare_with(references, stamp)
        return review

    def matchAt(self, nodes: DetectionNodes, threshold: float) -> LiveMatch | None:
        """True and false findings, and missed nodules, at a threshold; None without a reference."""
        comparison = self.review(nodes).comparison
        return comparison.at(threshold) if comparison is not None else None

    def overlapAt(self, nodes: DetectionNodes, threshold: float) -> VoxelOverlap | None:
        """How the voxels agree at a threshold; None without a reference that has masks."""
        comparison = self.review(nodes).comparison
        return comparison.overlap_at(threshold) if comparison is not None else None

    def showMatch(self, nodes: DetectionNodes, threshold: float, showOverlap: bool = False) -> LiveMatch | None:
        """Show the missed nodules at a threshold and, when asked, the voxels' agreement. The findings' own colours do
        not depend on it."""
        review = self.review(nodes)
        match = self.matchAt(nodes, threshold)
        if match is not None:
            missed = [found is None for found in match.found_by]
            show_missed(slicer.mrmlScene, nodes, match.result.references, missed)
        overlap = self.overlapAt(nodes, threshold) if showOverlap else None
        show_overlap(slicer.mrmlScene, nodes, overlap, review.volume)
        return match

    def _readReference(self, nodes: DetectionNodes, node: Any) -> list[ReferenceNodule]:
        volumeNode = nodes.record.GetNodeReference(VOLUME_ROLE)
        return read_reference_node(node, super().review(nodes).volume, volumeNode)

    def _compareWith(
        self, nodes: DetectionNodes, node: Any, references: Sequence[ReferenceNodule] | None
    ) -> list[ReferenceNodule]:
        review = super().review(nodes)
        set_reference_node(nodes, node)
        self.referenceError = ""
        review.compare_with(references, reference_stamp(node))
        return list(references or ())


def _series_uid(nodes: DetectionNodes) -> str:
    """Of the scan: as the detector was told, as Slicer's DICOM module knows it, or the node's name, which is the file's
    as in LUNA16."""
    told = str(read_record(nodes.record)["findings"]["series"].get("series_uid") or "")
    volumeNode = nodes.record.GetNodeReference(VOLUME_ROLE)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volumeNode) if hierarchy is not None else 0
    return told or (hierarchy.GetItemUID(item, "DICOM") if item else "") or volumeNode.GetName()
