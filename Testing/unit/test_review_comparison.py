"""A review against a reference: at any threshold, as nodules and as voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_inputs import make_result, make_volume
from review_inputs import after, whole

from LungNoduleCADLib.evaluation.matching import match
from LungNoduleCADLib.findings import Candidate, ReferenceNodule, VoxelMask
from LungNoduleCADLib.review import (
    Accept,
    AddNodule,
    Comparison,
    Contour,
    Reject,
    Review,
    SetMode,
    edit_contour,
    merge_findings,
    voxel_overlap,
)
from LungNoduleCADLib.review.comparison import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE

VOLUME = make_volume()
CANDIDATES = make_result(VOLUME).candidates
ELSEWHERE = tuple(float(x) for x in VOLUME.index_to_lps((4.0, 50.0, 8.0)))


@pytest.fixture
def review() -> Review:
    """N1 (0.93), N2 (0.61), N3 (0.12)."""
    return Review.of(CANDIDATES)


@pytest.fixture
def references() -> list[ReferenceNodule]:
    """The nodules of N1 and N3, and one that the detector has not seen."""
    return [
        ReferenceNodule(CANDIDATES[0].center_lps, 16.0, "a"),
        ReferenceNodule(CANDIDATES[2].center_lps, 8.0, "b"),
        ReferenceNodule(ELSEWHERE, 6.0, "c"),
    ]


@pytest.mark.parametrize("threshold", [0.0, 0.12, 0.13, 0.61, 0.7, 0.95, 1.0])
def test_without_decisions_it_is_the_detectors_match(
    review: Review, references: list[ReferenceNodule], threshold: float
) -> None:
    expected = match(CANDIDATES, references, threshold)
    live = Comparison(review.state, references).at(threshold)
    assert live.statuses == {f"N{n}": status for n, status in expected.statuses.items()}
    assert live.found_by == tuple(None if n is None else f"N{n}" for n in expected.found_by)
    assert (live.result.sensitivity, live.result.precision, live.result.false_positives) == (
        expected.sensitivity, expected.precision, expected.false_positives,
    )  # fmt: skip


def test_decisions_outweigh_the_threshold(review: Review, references: list[ReferenceNodule]) -> None:
    review = after(review, Reject(("N1",), "scar"), Accept(("N3",)))
    live = Comparison(review.state, references).at(0.9)
    assert live.statuses == {"N3": "TP"}
    assert live.found_by == (None, "N3", None)
    assert live.result.sensitivity == pytest.approx(1 / 3) and live.result.precision == 1.0


def test_an_added_nodule_finds_what_the_detector_missed(review: Review, references: list[ReferenceNodule]) -> None:
    contour = Contour(VoxelMask((4, 50, 8), np.ones((1, 1, 1), dtype=bool)), CANDIDATES[0].measurements, ELSEWHERE)
    review = after(review, AddNodule("A1", ELSEWHERE, "sphere", contour))
    live = Comparison(review.state, references).at(0.99)
    assert live.found_by == (None, None, "A1")


def test_merged_findings_count_once_and_edited_ones_as_they_are(
    review: Review, references: list[ReferenceNodule]
) -> None:
    merged = after(review, merge_findings(review.state, VOLUME, ["N1", "N2"]))
    assert set(Comparison(merged.state, references).at(0.0).statuses) == {"N1", "N3"}
    moved = after(review, edit_contour(VOLUME, "N1", CANDIDATES[1].mask))
    assert Comparison(moved.state, references).status("N1") == "FP"


def test_nothing_is_compared_before_the_first_read(review: Review, references: list[ReferenceNodule]) -> None:
    review = after(review, SetMode("second-reader"))
    comparison = Comparison(review.state, references)
    assert comparison.at(0.0).statuses == {} and comparison.status("N1") is None


def test_without_reference_nodules_everything_is_false(review: Review) -> None:
    live = Comparison(review.state, []).at(0.5)
    assert live.statuses == {"N1": "FP", "N2": "FP"}
    assert live.result.sensitivity is None and Comparison(review.state, []).overlap_at(0.5) is None


def test_masks_far_apart_are_not_compared_voxel_by_voxel(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 findings and 50 masks would be 25,000 comparisons."""
    from LungNoduleCADLib.evaluation import matching

    compared = []
    original = matching._masks_match
    monkeypatch.setattr(matching, "_masks_match", lambda a, b: compared.append(1) or original(a, b))
    voxels = np.ones((2, 2, 2), dtype=bool)
    masks = [VoxelMask((0, 0, 10 * n), voxels) for n in range(50)]
    candidates = [Candidate(n, (0.0, 0.0, 0.0), 0.5, None, m, CANDIDATES[0].measurements) for n, m in enumerate(masks)]
    matched = match(candidates, [ReferenceNodule((0.0, 0.0, 0.0), 2.0, "", m) for m in masks], 0.0)
    assert matched.true_positives == 50 and len(compared) == 50


def test_voxels_agree_as_far_as_the_masks_do(review: Review) -> None:
    shifted = VoxelMask(tuple(n + 1 for n in CANDIDATES[0].mask.start_kji), CANDIDATES[0].mask.voxels)  # type: ignore[arg-type]
    references = [ReferenceNodule(CANDIDATES[0].center_lps, 16.0, "a", shifted), ReferenceNodule(ELSEWHERE, 5.0)]
    comparison = Comparison(review.state, references)
    found, marked = whole(CANDIDATES[0].mask, VOLUME), whole(shifted, VOLUME)
    overlap = comparison.overlap_at(0.9)
    assert overlap is not None
    assert overlap.true_positives == (found & marked).sum()
    assert overlap.false_positives == (found & ~marked).sum()
    assert overlap.false_negatives == (marked & ~found).sum()
    assert overlap.dice == pytest.approx(2 * (found & marked).sum() / (found.sum() + marked.sum()))
    below = comparison.overlap_at(0.95)
    assert below is not None and (below.true_positives, below.false_positives, below.dice) == (0, 0, 0.0)
    more = comparison.overlap_at(0.5)
    assert more is not None and more.false_positives > overlap.false_positives


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_overlap_of_any_masks_is_that_of_their_unions(data: st.DataObject) -> None:
    shape = (5, 6, 7)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))

    def some() -> list[VoxelMask]:
        masks = []
        for _ in range(int(random.integers(0, 4))):
            k, j, i = (int(n) for n in random.integers(0, 3, 3))
            masks.append(VoxelMask((k, j, i), random.random((2, 3, 4)) < 0.6))
        return masks

    findings, references = some(), [*some(), VoxelMask((0, 0, 0), np.ones((1, 1, 1), dtype=bool))]
    overlap = voxel_overlap(findings, references)
    grid = np.zeros((2, *shape), dtype=bool)
    for n, masks in enumerate((findings, references)):
        for mask in masks:
            grid[n][mask.region] |= mask.voxels
    found, marked = grid
    expected = np.zeros(shape, dtype=np.uint8)
    expected[found & marked], expected[found & ~marked], expected[marked & ~found] = (
        TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE,
    )  # fmt: skip
    labels = np.zeros(shape, dtype=np.uint8)
    labels[tuple(slice(a, a + n) for a, n in zip(overlap.start_kji, overlap.labels.shape, strict=True))] = (
        overlap.labels
    )
    np.testing.assert_array_equal(labels, expected)
    counts = (overlap.true_positives, overlap.false_positives, overlap.false_negatives)
    assert counts == tuple((expected == value).sum() for value in (1, 2, 3))
