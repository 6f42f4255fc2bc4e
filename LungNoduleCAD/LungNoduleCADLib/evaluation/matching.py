"""Which candidates hit which reference nodules, at any threshold, without computing a distance twice.

The rule, LUNA16's (Setio et al. 2017, section 3.2) where the reference is a point with a diameter:

- A candidate hits a reference nodule when its centre lies strictly within the nodule's radius; an unknown diameter
  counts as 10 mm.
- Where the reference is a mask, a candidate hits it when its centre of mass lies in the mask, or when the two masks'
  intersection is at least a tenth of their union (the limit nnDetection reports at, Baumgartner et al. 2021; a graze is
  no hit).
- Of several candidates that hit one nodule, the best-scored is the true positive; the others are ignored: they count
  neither as true nor as false.
- One candidate may be the best of several nodules; each of these is then found.

The best candidate of a nodule is the same at every threshold that it passes, so every status is fixed once; a threshold
only says which of them count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..findings import Candidate, ReferenceNodule, VoxelMask

UNKNOWN_DIAMETER_MM = 10.0
"""What LUNA16 takes for the diameter of a finding that has none."""

MINIMUM_OVERLAP = 0.1
"""Least intersection over union of two masks that is a hit."""

CandidateStatus = Literal["TP", "FP", "ignored"]


@dataclass(frozen=True, eq=False)
class MatchResult:
    """A match at one threshold; a candidate whose score equals the threshold counts.

    :param statuses: 'TP', 'FP' or 'ignored' (a further candidate on a nodule) by candidate id; none for those below the
        threshold.
    :param found_by: per reference nodule, in their order, the id of the candidate that found it; None when missed.
    """

    threshold: float
    statuses: dict[int, CandidateStatus]
    references: tuple[ReferenceNodule, ...] = field(repr=False)
    found_by: tuple[int | None, ...]

    def status(self, candidate_id: int) -> CandidateStatus | None:
        """'TP', 'FP' or 'ignored'; None for a candidate below the threshold."""
        return self.statuses.get(candidate_id)

    @property
    def missed(self) -> tuple[ReferenceNodule, ...]:
        """Reference nodules that no candidate at or above the threshold hits (FN)."""
        return tuple(r for r, found in zip(self.references, self.found_by, strict=True) if found is None)

    @cached_property
    def true_positives(self) -> int:
        """Candidates that found a nodule; fewer than the nodules found when one candidate covers two."""
        return sum(status == "TP" for status in self.statuses.values())

    @cached_property
    def false_positives(self) -> int:
        """Candidates that hit no nodule."""
        return sum(status == "FP" for status in self.statuses.values())

    @property
    def false_negatives(self) -> int:
        """Reference nodules that were missed."""
        return sum(found is None for found in self.found_by)

    @property
    def sensitivity(self) -> float | None:
        """Share of the reference nodules that were found; None when there are none."""
        return 1 - self.false_negatives / len(self.references) if self.references else None

    @property
    def precision(self) -> float | None:
        """Share of the candidates that found a nodule, ignored ones left out; None when none counts."""
        counted = self.true_positives + self.false_positives
        return self.true_positives / counted if counted else None

    def summary(self) -> dict[str, Any]:
        """Counts and pairs, ready for JSON."""
        return {
            "rule": "center within the reference's radius; with a reference mask: center in it, or intersection over "
            f"union >= {MINIMUM_OVERLAP}; further candidates on a found nodule are ignored",
            "threshold": self.threshold,
            "references": len(self.references),
            "true_positives": self.true_positives,
            "false_positives": self.false_positives,
            "false_negatives": self.false_negatives,
            "sensitivity": self.sensitivity,
            "precision": self.precision,
            "pairs": [
                {
                    "label": reference.label,
                    "center_lps": [float(x) for x in reference.center_lps],
                    "diameter_mm": reference.diameter_mm,
                    "candidate": found,
                }
                for reference, found in zip(self.references, self.found_by, strict=True)
            ],
        }


class Matcher:
    """Candidates against references, prepared so that each threshold costs microseconds."""

    def __init__(self, candidates: Sequence[Candidate], references: Sequence[ReferenceNodule]) -> None:
        self._references = tuple(references)
        # Best first; of equal scores the lower id, so that the outcome does not depend on the order given.
        self._candidates = sorted(candidates, key=lambda c: (-c.score, c.id))
        hits = hit_table(self._candidates, self._references)
        best = [int(np.argmax(column)) if column.any() else None for column in hits.T]
        winners = {n for n in best if n is not None}
        self._ids = [c.id for c in self._candidates]
        self._falling_scores = -np.array([c.score for c in self._candidates], dtype=np.float64)
        self._statuses: list[CandidateStatus] = [
            "TP" if n in winners else "ignored" if row.any() else "FP" for n, row in enumerate(hits)
        ]
        self._best = best

    def at(self, threshold: float) -> MatchResult:
        """The match of the candidates whose score is at or above a threshold."""
        count = int(np.searchsorted(self._falling_scores, -threshold, side="right"))
        return MatchResult(
            threshold=float(threshold),
            statuses=dict(zip(self._ids[:count], self._statuses[:count], strict=True)),
            references=self._references,
            found_by=tuple(self._ids[n] if n is not None and n < count else None for n in self._best),
        )


def match(candidates: Sequence[Candidate], references: Sequence[ReferenceNodule], threshold: float) -> MatchResult:
    """Match once. For a threshold that moves, keep a `Matcher` and ask it `at` each."""
    return Matcher(candidates, references).at(threshold)


def hit_table(candidates: Sequence[Candidate], references: Sequence[ReferenceNodule]) -> NDArray[np.bool_]:
    """Bool (candidates, references): whether the candidate hits the nodule, by the rule of this module.

    Masks on both sides must be on the same grid.
    """
    hits = np.zeros((len(candidates), len(references)), dtype=bool)
    if not hits.size:
        return hits
    centers = np.array([c.center_lps for c in candidates], dtype=np.float64)
    starts = np.array([c.mask.start_kji for c in candidates])
    stops = starts + [c.mask.voxels.shape for c in candidates]
    for column, reference in enumerate(references):
        if reference.mask is None or not reference.mask.voxels.any():
            # LUNA16 codes an unknown diameter as a negative one.
            known = reference.diameter_mm is not None and reference.diameter_mm > 0
            diameter = reference.diameter_mm if known and reference.diameter_mm else UNKNOWN_DIAMETER_MM
            squared = ((centers - np.asarray(reference.center_lps)) ** 2).sum(axis=1)
            hits[:, column] = squared < (diameter / 2) ** 2
        else:
            # Where not even the boxes meet there is no hit, and that is nearly everywhere.
            end = np.add(reference.mask.start_kji, reference.mask.voxels.shape)
            for n in np.flatnonzero(((starts < end) & (stops > reference.mask.start_kji)).all(axis=1)):
                hits[n, column] = _masks_match(candidates[int(n)].mask, reference.mask)
    return hits


def _masks_match(candidate: VoxelMask, reference: VoxelMask) -> bool:
    common = candidate.common(reference)
    union = int(candidate.voxels.sum()) + int(reference.voxels.sum()) - common
    if common and common / union >= MINIMUM_OVERLAP:
        return True
    center = np.argwhere(candidate.voxels).mean(axis=0) + np.subtract(candidate.start_kji, reference.start_kji)
    voxel = np.rint(center).astype(int)
    inside = (voxel >= 0).all() and (voxel < reference.voxels.shape).all()
    return bool(inside and reference.voxels[tuple(voxel)])
