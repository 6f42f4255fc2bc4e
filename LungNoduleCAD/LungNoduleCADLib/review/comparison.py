"""A review against a reference: which findings hit, which nodules are missed, how far the voxels agree. Everything that
depends on the threshold alone costs microseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..evaluation.matching import CandidateStatus, Matcher, MatchResult
from ..findings import Candidate, ReferenceNodule, VoxelMask
from .masks import bounding_box, region_within
from .state import Finding, ReviewState

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = 1, 2, 3
"""Values of an overlap's label map; 0 is elsewhere."""


class Comparison:
    """The findings of a review matched with reference nodules by the rule of `evaluation.matching`.

    Accepted and added findings count at every threshold, undecided ones from their score on; rejected and merged ones
    do not count, nor the detector's before the first read is declared.
    """

    def __init__(self, state: ReviewState, references: Sequence[ReferenceNodule]) -> None:
        self.references = tuple(references)
        counted = [f for f in state.findings.values() if _counts(f, state)]
        self._matcher = Matcher([_as_candidate(n, f) for n, f in enumerate(counted)], self.references)
        self._counted = counted
        self._ids = [f.id for f in counted]
        self._scores = {f.id: _score(f) for f in counted}
        # The statuses are the same at every threshold that a finding passes: see `evaluation.matching`.
        self._statuses = {self._ids[n]: status for n, status in self._matcher.at(0.0).statuses.items()}

    def status(self, finding_id: str) -> CandidateStatus | None:
        """'TP', 'FP' or 'ignored', wherever the finding counts; None for one that never does."""
        return self._statuses.get(finding_id)

    def score(self, finding_id: str) -> float:
        """The threshold up to which a finding counts.

        :raises KeyError: for one that never does.
        """
        return self._scores[finding_id]

    def at(self, threshold: float) -> LiveMatch:
        """The match of what counts at a threshold."""
        result = self._matcher.at(threshold)
        return LiveMatch(
            result,
            {self._ids[n]: status for n, status in result.statuses.items()},
            tuple(None if n is None else self._ids[n] for n in result.found_by),
        )

    def overlap_at(self, threshold: float) -> VoxelOverlap | None:
        """How the voxels of what counts at a threshold agree with those of the reference's masks; None when the
        reference has no mask."""
        masks = [r.mask for r in self.references if r.mask is not None]
        if not masks:
            return None
        return voxel_overlap([f.contour.mask for f in self._counted if _score(f) >= threshold], masks)


@dataclass(frozen=True, eq=False)
class LiveMatch:
    """A match at one threshold, by the names of the findings.

    :param result: counts, sensitivity, precision and missed nodules; its candidates' numbers mean nothing outside.
    :param statuses: of each finding that counts.
    :param found_by: per reference nodule, in their order, the finding that hit it; None when missed.
    """

    result: MatchResult = field(repr=False)
    statuses: dict[str, CandidateStatus]
    found_by: tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class VoxelOverlap:
    """How two sets of voxels agree.

    :param start_kji: first voxel of the box that holds both, on their grid.
    :param labels: of that box, uint8 (k, j, i): `TRUE_POSITIVE` in both, `FALSE_POSITIVE` in the findings alone,
        `FALSE_NEGATIVE` in the reference alone.
    """

    start_kji: tuple[int, int, int]
    labels: NDArray[np.uint8] = field(repr=False)
    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def dice(self) -> float | None:
        """Twice the common voxels over both sets' together; None when both are empty."""
        both = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / both if both else None


def voxel_overlap(findings: Sequence[VoxelMask], references: Sequence[VoxelMask]) -> VoxelOverlap:
    """The overlap of two unions of masks on one grid, at least one mask in all."""
    start, shape = bounding_box([*findings, *references])
    labels = np.zeros(shape, dtype=np.uint8)
    marked = common = alone = 0
    for mask in references:
        box = labels[region_within(mask, start)]
        marked += int((mask.voxels & (box == 0)).sum())
        box[mask.voxels] = FALSE_NEGATIVE
    for mask in findings:
        box = labels[region_within(mask, start)]
        hit, beside = mask.voxels & (box == FALSE_NEGATIVE), mask.voxels & (box == 0)
        common, alone = common + int(hit.sum()), alone + int(beside.sum())
        box[hit], box[beside] = TRUE_POSITIVE, FALSE_POSITIVE
    return VoxelOverlap(start, labels, common, alone, marked - common)


def _counts(finding: Finding, state: ReviewState) -> bool:
    hidden = finding.origin == "detector" and state.hides_detector
    return finding.status in ("pending", "accepted") and not hidden


def _score(finding: Finding) -> float:
    """A reader's word is certain."""
    return finding.score if finding.status == "pending" and finding.score is not None else 1.0


def _as_candidate(number: int, finding: Finding) -> Candidate:
    contour = finding.contour
    return Candidate(number, contour.center_lps, _score(finding), None, contour.mask, contour.measurements)
