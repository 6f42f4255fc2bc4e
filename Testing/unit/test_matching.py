"""Candidates against reference nodules: LUNA16's rule for points, overlap for masks, any threshold at once."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from LungNoduleCADLib.evaluation.matching import Matcher, MatchResult, match
from LungNoduleCADLib.findings import Candidate, Measurements, ReferenceNodule, VoxelMask

SIZE = Measurements(6.0, 6.0, 6.0, 113.0, 0.0, -50.0, 50.0, "solid")
Point = tuple[float, float, float]


def box(start: tuple[int, int, int], shape: tuple[int, int, int]) -> VoxelMask:
    return VoxelMask(start, np.ones(shape, dtype=bool))


def candidate(number: int, center: Point, score: float, mask: VoxelMask | None = None) -> Candidate:
    return Candidate(number, center, score, None, mask or box((0, 0, 0), (2, 2, 2)), SIZE)


def test_center_strictly_within_the_radius_is_a_hit() -> None:
    nodule = ReferenceNodule((0.0, 0.0, 0.0), 8.0)
    assert match([candidate(1, (0, 3.999, 0), 0.9)], [nodule], 0.5).status(1) == "TP"
    edge = match([candidate(1, (0, 4.0, 0), 0.9)], [nodule], 0.5)
    assert edge.status(1) == "FP"
    assert edge.missed == (nodule,)


@pytest.mark.parametrize("diameter", [None, -1.0])
def test_unknown_diameter_counts_as_ten_millimetres(diameter: float | None) -> None:
    nodule = ReferenceNodule((0.0, 0.0, 0.0), diameter)
    assert match([candidate(1, (4.99, 0, 0), 0.9)], [nodule], 0.5).status(1) == "TP"
    assert match([candidate(1, (5.0, 0, 0), 0.9)], [nodule], 0.5).status(1) == "FP"


def test_of_several_candidates_on_a_nodule_the_best_counts_and_the_others_are_ignored() -> None:
    nodule = ReferenceNodule((0.0, 0.0, 0.0), 12.0)
    found = [candidate(1, (3, 0, 0), 0.6), candidate(2, (0, 0, 0), 0.8), candidate(3, (90, 0, 0), 0.7)]
    result = match(found, [nodule], 0.5)
    assert result.statuses == {1: "ignored", 2: "TP", 3: "FP"}
    assert result.found_by == (2,)
    assert (result.true_positives, result.false_positives, result.false_negatives) == (1, 1, 0)
    assert result.precision == 0.5
    assert result.sensitivity == 1.0


def test_between_equal_scores_the_lower_id_wins_whatever_the_order() -> None:
    nodule = ReferenceNodule((0.0, 0.0, 0.0), 12.0)
    pair = [candidate(1, (1, 0, 0), 0.6), candidate(2, (0, 0, 0), 0.6)]
    assert match(pair, [nodule], 0.5).found_by == match(pair[::-1], [nodule], 0.5).found_by == (1,)


def test_threshold_includes_its_own_score_and_hides_what_is_below() -> None:
    nodule = ReferenceNodule((0.0, 0.0, 0.0), 10.0)
    matcher = Matcher([candidate(1, (0, 0, 0), 0.4), candidate(2, (50, 0, 0), 0.3)], [nodule])
    assert matcher.at(0.3).statuses == {1: "TP", 2: "FP"}
    assert matcher.at(0.4).statuses == {1: "TP"}
    above = matcher.at(0.41)
    assert above.status(1) is None
    assert (above.missed, above.sensitivity, above.precision) == ((nodule,), 0.0, None)


def test_one_candidate_may_find_two_overlapping_nodules() -> None:
    nodules = [ReferenceNodule((0.0, 0.0, 0.0), 10.0), ReferenceNodule((4.0, 0.0, 0.0), 10.0)]
    result = match([candidate(1, (2, 0, 0), 0.9)], nodules, 0.5)
    assert (result.true_positives, result.false_negatives, result.sensitivity) == (1, 0, 1.0)
    assert result.found_by == (1, 1)


def test_a_candidate_that_is_best_of_one_nodule_stays_true_where_another_beats_it() -> None:
    nodules = [ReferenceNodule((0.0, 0.0, 0.0), 10.0), ReferenceNodule((6.0, 0.0, 0.0), 10.0)]
    result = match([candidate(1, (0, 0, 0), 0.9), candidate(2, (3, 0, 0), 0.8)], nodules, 0.5)
    assert result.statuses == {1: "TP", 2: "TP"}
    assert result.found_by == (1, 2)


def test_masks_match_by_center_or_by_a_tenth_of_overlap() -> None:
    reference = ReferenceNodule((0.0, 0.0, 0.0), 6.0, mask=box((10, 10, 10), (6, 6, 6)))
    far = (500.0, 0.0, 0.0)  # with a reference mask the distance in millimetres has no say

    def status(mask: VoxelMask) -> str | None:
        return match([candidate(1, far, 0.9, mask)], [reference], 0.5).status(1)

    assert status(box((12, 12, 12), (1, 1, 1))) == "TP"  # small, but its centre lies inside
    assert status(box((10, 10, 14), (6, 6, 6))) == "TP"  # a fifth of the union
    assert status(box((10, 10, 15), (6, 6, 6))) == "FP"  # a graze: one eleventh
    assert status(box((10, 10, 16), (6, 6, 6))) == "FP"
    assert status(box((30, 0, 0), (2, 2, 2))) == "FP"
    ring = np.ones((6, 20, 20), dtype=bool)
    ring[:, 8:12, 8:12] = False
    assert (
        status(VoxelMask((10, 3, 3), ring)) == "TP"
    )  # its centre of mass lies in the nodule though no voxel of it does


def test_without_references_or_candidates_nothing_breaks() -> None:
    alone = match([candidate(1, (0, 0, 0), 0.9)], [], 0.5)
    assert (alone.statuses, alone.sensitivity, alone.precision) == ({1: "FP"}, None, 0.0)
    empty = match([], [ReferenceNodule((0.0, 0.0, 0.0), 5.0)], 0.5)
    assert (empty.statuses, empty.sensitivity, empty.precision) == ({}, 0.0, None)


def by_loops(candidates: list[Candidate], references: list[ReferenceNodule], threshold: float) -> dict[int, str]:
    """The rule as plainly as it can be written."""
    shown = [c for c in candidates if c.score >= threshold]
    hits = {
        c.id: {
            n
            for n, r in enumerate(references)
            if np.linalg.norm(np.subtract(c.center_lps, r.center_lps)) < (r.diameter_mm or 10.0) / 2
        }
        for c in shown
    }
    best = {}
    for n in range(len(references)):
        on = [c for c in shown if n in hits[c.id]]
        if on:
            best[n] = max(on, key=lambda c: (c.score, -c.id)).id
    return {c.id: "TP" if c.id in best.values() else "ignored" if hits[c.id] else "FP" for c in shown}


@pytest.fixture(scope="module")
def crowd() -> tuple[list[Candidate], list[ReferenceNodule]]:
    generator = np.random.default_rng(0)

    def point() -> Point:
        x, y, z = generator.uniform(0, 40, 3)
        return float(x), float(y), float(z)

    candidates = [candidate(n, point(), float(np.round(generator.random(), 2))) for n in range(1, 501)]
    diameters = [None, 5.0, 9.0, 20.0]
    return candidates, [ReferenceNodule(point(), diameters[n % 4]) for n in range(12)]


def test_every_threshold_equals_a_fresh_match_in_plain_loops(
    crowd: tuple[list[Candidate], list[ReferenceNodule]],
) -> None:
    matcher = Matcher(*crowd)
    for threshold in (0.0, 0.13, 0.5, 0.77, 0.99, 1.1):
        assert matcher.at(threshold).statuses == by_loops(*crowd, threshold)


def test_moving_the_threshold_over_500_candidates_takes_less_than_a_millisecond(
    crowd: tuple[list[Candidate], list[ReferenceNodule]],
) -> None:
    matcher = Matcher(*crowd)

    def read(result: MatchResult) -> float:
        return (result.sensitivity or 0) + (result.precision or 0) + len(result.missed) + result.false_positives

    start = time.process_time()
    total = sum(read(matcher.at(n / 200)) for n in range(200))
    assert (time.process_time() - start) / 200 < 1e-3
    assert total > 0


def test_summary_is_plain_json(crowd: tuple[list[Candidate], list[ReferenceNodule]]) -> None:
    result = match(*crowd, 0.5)
    summary = json.loads(json.dumps(result.summary()))
    assert summary["true_positives"] == result.true_positives
    assert len(summary["pairs"]) == len(crowd[1])
    assert {pair["candidate"] for pair in summary["pairs"]} - {None} == {
        n for n, s in result.statuses.items() if s == "TP"
    }
