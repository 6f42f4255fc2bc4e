"""A review is what the detector said and what readers did: decisions, undo, merging, the first read, counts."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_inputs import make_result, make_volume
from review_inputs import READER, after, said_of

from LungNoduleCADLib import __version__
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import DetectionResult, VoxelMask
from LungNoduleCADLib.review import (
    Accept,
    AddNodule,
    Change,
    Contour,
    DeclareFirstRead,
    Delete,
    EditContour,
    Merge,
    Redo,
    Reject,
    RejectReason,
    Reopen,
    Review,
    ReviewCounts,
    ReviewState,
    SetCallipers,
    SetCategory,
    SetDensity,
    SetExamCategory,
    SetMode,
    SetNote,
    Undo,
    edit_contour,
    merge_findings,
    replay,
    review_counts,
    shown_findings,
)
from LungNoduleCADLib.volume import Volume


@pytest.fixture(scope="module")
def volume() -> Volume:
    return make_volume()


@pytest.fixture(scope="module")
def result(volume: Volume) -> DetectionResult:
    return make_result(volume)


@pytest.fixture
def review(result: DetectionResult) -> Review:
    """N1 (0.93), N2 (0.61), N3 (0.12); the threshold is 0.5."""
    return Review.of(result.candidates)


def added(review: Review, result: DetectionResult) -> AddNodule:
    """A nodule as large as the first candidate, without the scan."""
    first = result.candidates[0]
    contour = Contour(first.mask, first.measurements, first.center_lps)
    return AddNodule(review.next_added_id(), first.center_lps, "segmented", contour)


def statuses(review: Review) -> dict[str, str]:
    return {name: f.status for name, f in review.state.findings.items()}


# -- decisions -----------------------------------------------------------------------------------------------------
def test_a_review_begins_with_the_detectors_findings_undecided(review: Review, result: DetectionResult) -> None:
    assert statuses(review) == {"N1": "pending", "N2": "pending", "N3": "pending"}
    for candidate, finding in zip(result.candidates, review.state.findings.values(), strict=True):
        assert finding.contour.mask is candidate.mask
        assert finding.origin == "detector"
        said = (finding.score, finding.malignancy, finding.malignancy_by_diameter)
        assert said == (candidate.score, candidate.malignancy, candidate.malignancy_by_diameter)


def test_a_decision_says_who_when_and_why(review: Review) -> None:
    time = datetime(2026, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    review = review.with_change(Reject(("N2", "N3"), "vessel", "runs through"), "  Ada ", time)
    for name in ("N2", "N3"):
        finding = review.state.finding(name)
        assert (finding.status, finding.reason, finding.comment) == ("rejected", "vessel", "runs through")
        assert (finding.reader, finding.decided_at) == ("Ada", time)
    (event,) = review.events
    assert event.time.utcoffset() == timedelta(0) and event.time == time
    assert event.software == __version__


def test_a_later_decision_replaces_an_earlier_one(review: Review) -> None:
    review = after(review, Reject(("N1",), "scar", "old"), Accept(("N1",)))
    finding = review.state.finding("N1")
    assert (finding.status, finding.reason, finding.comment) == ("accepted", None, "")
    reopened = after(review, Reopen(("N1",))).state.finding("N1")
    assert (reopened.status, reopened.reader, reopened.decided_at) == ("pending", "", None)


def test_another_reason_needs_words(review: Review) -> None:
    with pytest.raises(InputError, match="in words"):
        after(review, Reject(("N1",), "other", "  "))
    assert after(review, Reject(("N1",), "other", "hamartoma")).state.finding("N1").comment == "hamartoma"


@pytest.mark.parametrize("reason", [r for r in get_args(RejectReason) if r != "other"])
def test_every_other_reason_stands_alone(review: Review, reason: Any) -> None:
    assert after(review, Reject(("N1",), reason)).state.finding("N1").reason == reason


def test_what_is_impossible_changes_nothing(review: Review) -> None:
    with pytest.raises(InputError, match="no finding N9"):
        after(review, Accept(("N1", "N9")))
    assert statuses(review)["N1"] == "pending" and review.events == ()


@pytest.mark.parametrize("reader", ["", "   "])
def test_the_trail_needs_a_name(review: Review, reader: str) -> None:
    with pytest.raises(InputError, match="reader's name"):
        review.with_change(Accept(("N1",)), reader)


# -- values ----------------------------------------------------------------------------------------------------------
def test_callipers_count_and_the_automatic_values_stay_beside(review: Review, result: DetectionResult) -> None:
    automatic = result.candidates[0].measurements
    changed = after(review, SetCallipers("N1", "nodule", (14.2, 9.1)), SetCallipers("N1", "solid-part", (5.0, 5.0)))
    finding = changed.state.finding("N1")
    assert finding.axes_mm == (14.2, 9.1) and finding.solid_callipers_mm == (5.0, 5.0)
    assert finding.contour.measurements is automatic
    back = after(changed, SetCallipers("N1", "nodule", None)).state.finding("N1")
    assert back.axes_mm == (automatic.long_axis_mm, automatic.short_axis_mm)
    assert back.solid_callipers_mm == (5.0, 5.0)


@pytest.mark.parametrize(
    "axes", [(5.0, 6.0), (0.0, 0.0), (5.0, -1.0), (float("nan"), 3.0), (float("inf"), 3.0), (301, 2)]
)
def test_axes_that_are_no_axes_are_refused(review: Review, axes: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="longer first"):
        after(review, SetCallipers("N1", "nodule", axes))


def test_the_lines_of_callipers_are_as_long_as_the_axes(review: Review) -> None:
    lines = (((0.0, 0.0, 0.0), (8.0, 0.0, 0.0)), ((0.0, 0.0, 0.0), (0.0, 5.0, 0.0)))
    finding = after(review, SetCallipers("N1", "nodule", (8.0, 5.0), lines)).state.finding("N1")
    assert finding.callipers_lps == lines and finding.solid_callipers_lps is None
    assert after(review, SetCallipers("N1", "solid-part", (8.0, 5.0), lines)).state.finding("N1").callipers_lps is None
    for axes in ((9.0, 5.0), (8.0, 4.9), None):
        with pytest.raises(InputError, match="draw them again"):
            after(review, SetCallipers("N1", "nodule", axes, lines))


def test_type_note_and_category_are_the_readers_until_taken_back(review: Review) -> None:
    changed = after(
        review,
        SetDensity("N2", "part-solid"),
        SetNote("N2", "compare with 2019"),
        SetCategory("N2", "Lung-RADS v2022", "4B", "PET/CT", "spiculated"),
    )
    finding = changed.state.finding("N2")
    assert (finding.density_type, finding.note) == ("part-solid", "compare with 2019")
    category = finding.categories["Lung-RADS v2022"]
    assert (category.category, category.management, category.reason) == ("4B", "PET/CT", "spiculated")
    assert (category.reader, category.at) == (READER, changed.events[-1].time)
    back = after(
        changed, SetDensity("N2", None), SetNote("N2", ""), SetCategory("N2", "Lung-RADS v2022", "")
    ).state.finding("N2")
    assert (back.density_type, back.note, dict(back.categories)) == ("solid", "", {})


@pytest.mark.parametrize(
    "change",
    [SetCategory("N1", "G", "3", "", "why"), SetCategory("N1", "G", "3", "CT", " "), SetCategory("N1", "", "3")],
)
def test_a_category_of_ones_own_must_be_justified(review: Review, change: SetCategory) -> None:
    with pytest.raises(InputError, match="keep the suggestion"):
        after(review, change)


def test_the_examination_has_a_category_of_its_own(review: Review) -> None:
    changed = after(review, SetExamCategory("Lung-RADS v2022", "4A", "CT in 3 months", "two are new"))
    said = changed.state.exam_categories["Lung-RADS v2022"]
    assert (said.category, said.management, said.reason) == ("4A", "CT in 3 months", "two are new")
    assert (said.reader, said.at) == (READER, changed.events[-1].time)
    assert all(not finding.categories for finding in changed.state.findings.values())
    assert not after(changed, SetExamCategory("Lung-RADS v2022", "")).state.exam_categories
    assert not after(changed, Undo()).state.exam_categories
    assert after(changed, Undo(), Redo()).state.exam_categories == {"Lung-RADS v2022": said}
    with pytest.raises(InputError, match="keep the suggestion"):
        after(review, SetExamCategory("Lung-RADS v2022", "4A", "CT in 3 months", " "))


def test_the_examination_is_judged_by_all_marks(review: Review) -> None:
    change = SetExamCategory("Lung-RADS v2022", "1", "CT in 12 months", "scars")
    hidden = after(review, SetMode("second-reader"))
    with pytest.raises(InputError, match="declare the first read"):
        after(hidden, change)
    assert after(hidden, DeclareFirstRead(), change).state.exam_categories
    with pytest.raises(InputError, match="has begun"):  # and who has judged it has seen them
        after(review, change, SetMode("second-reader"))


# -- outlines --------------------------------------------------------------------------------------------------------
def test_an_edited_outline_is_measured_and_the_original_is_untouched(
    review: Review, volume: Volume, result: DetectionResult
) -> None:
    before = result.candidates[0].mask.voxels.copy()
    half = result.candidates[0].mask.voxels.copy()
    half[: len(half) // 2] = False
    change = edit_contour(volume, "N1", VoxelMask(result.candidates[0].mask.start_kji, half))
    finding = after(review, change).state.finding("N1")
    assert finding.edited and finding.status == "pending"
    measured = finding.contour.measurements
    assert measured.volume_mm3 < 0.7 * result.candidates[0].measurements.volume_mm3
    assert measured.mean_hu == pytest.approx(40)
    np.testing.assert_array_equal(result.candidates[0].mask.voxels, before)
    expected = volume.index_to_lps(np.argwhere(half).mean(axis=0) + result.candidates[0].mask.start_kji)
    np.testing.assert_allclose(finding.contour.center_lps, expected)


def test_an_outline_that_is_empty_or_beyond_the_scan_is_refused(volume: Volume) -> None:
    with pytest.raises(InputError, match="N1 is empty"):
        edit_contour(volume, "N1", VoxelMask((0, 0, 0), np.zeros((2, 2, 2), dtype=bool)))
    for start in ((-1, 0, 0), (23, 0, 0)):
        with pytest.raises(InputError, match="beyond the scan"):
            edit_contour(volume, "N1", VoxelMask(start, np.ones((2, 2, 2), dtype=bool)))


def test_added_nodules_are_named_in_turn_and_no_name_is_given_twice(review: Review, result: DetectionResult) -> None:
    review = after(review, added(review, result))
    review = after(review, added(review, result))
    assert list(review.state.findings)[3:] == ["A1", "A2"]
    assert review.state.finding("A1").status == "accepted" and review.state.finding("A1").score is None
    review = after(review, Delete("A2"), Undo(), Undo())  # neither the deletion nor the addition is in effect
    assert "A2" not in review.state.findings
    assert review.next_added_id() == "A3"
    with pytest.raises(InputError, match="already"):
        after(review, AddNodule("A1", (0.0, 0.0, 0.0), "sphere", review.state.finding("A1").contour))


def test_only_added_nodules_can_be_deleted(review: Review, result: DetectionResult) -> None:
    review = after(review, added(review, result))
    assert "A1" not in after(review, Delete("A1")).state.findings
    with pytest.raises(InputError, match="reject it instead"):
        after(review, Delete("N1"))


def test_merged_findings_become_the_detectors_best(review: Review, volume: Volume, result: DetectionResult) -> None:
    review = after(review, added(review, result), Accept(("N3",)))
    change = merge_findings(review.state, volume, ["A1", "N3", "N2"])
    assert change.findings == ("N2", "N3", "A1")
    merged = after(review, change)
    assert statuses(merged) == {"N1": "pending", "N2": "accepted", "N3": "merged", "A1": "merged"}
    finding = merged.state.finding("N2")
    assert {f.merged_into for f in merged.state.findings.values()} == {None, "N2"}
    together = np.zeros(volume.shape, dtype=bool)
    for n in (0, 1, 2):
        together[result.candidates[n].mask.region] |= result.candidates[n].mask.voxels
    held = np.zeros(volume.shape, dtype=bool)
    held[finding.contour.mask.region] = finding.contour.mask.voxels
    np.testing.assert_array_equal(held, together)
    with pytest.raises(InputError, match="part of N2"):
        after(merged, Accept(("N3",)))


def test_merging_undecided_findings_decides_nothing(review: Review, volume: Volume) -> None:
    assert statuses(after(review, merge_findings(review.state, volume, ["N1", "N2"])))["N1"] == "pending"


def test_findings_that_cannot_be_merged(review: Review, volume: Volume) -> None:
    with pytest.raises(InputError, match="two or more"):
        merge_findings(review.state, volume, ["N1", "N1"])
    contour = review.state.finding("N1").contour
    for names in (("N1",), ("N1", "N1")):
        with pytest.raises(InputError, match="two or more"):
            after(review, Merge(names, contour))
    rejected = after(review, Reject(("N2",), "vessel"))
    with pytest.raises(InputError, match="N2 is rejected"):
        after(rejected, merge_findings(rejected.state, volume, ["N1", "N2"]))


def test_deleting_an_added_nodule_takes_what_was_merged_into_it(
    review: Review, volume: Volume, result: DetectionResult
) -> None:
    for _ in range(3):
        review = after(review, added(review, result))
    review = after(review, merge_findings(review.state, volume, ["A2", "A3"]))
    review = after(review, merge_findings(review.state, volume, ["A1", "A2"]))
    assert list(after(review, Delete("A1")).state.findings) == ["N1", "N2", "N3"]


# -- undo ------------------------------------------------------------------------------------------------------------
def test_undo_and_redo_walk_the_decisions_and_the_trail_keeps_all(review: Review) -> None:
    review = after(review, Accept(("N1",)), Accept(("N2",)), Undo(), Undo(), Redo())
    assert statuses(review) == {"N1": "accepted", "N2": "pending", "N3": "pending"}
    assert [(e.event.change.action, e.in_effect) for e in review.trail()] == [
        ("accept", True), ("accept", False), ("undo", False), ("undo", False), ("redo", False),
    ]  # fmt: skip
    assert review.next_undo is review.events[0] and review.next_redo is review.events[1]


def test_a_new_decision_ends_what_can_be_redone(review: Review) -> None:
    review = after(review, Accept(("N1",)), Undo(), Accept(("N2",)))
    assert review.next_redo is None
    with pytest.raises(InputError, match="nothing to redo"):
        after(review, Redo())


def test_there_is_nothing_to_undo_at_the_beginning(review: Review) -> None:
    assert review.next_undo is None
    with pytest.raises(InputError, match="nothing to undo"):
        after(review, Undo())


# -- the first read --------------------------------------------------------------------------------------------------
def test_second_reader_mode_hides_the_marks_until_the_first_read_is_declared(
    review: Review, result: DetectionResult
) -> None:
    review = after(review, SetMode("second-reader"))
    assert not any(shown_findings(review.state, 0.0).values())
    with pytest.raises(InputError, match="hidden until"):
        after(review, Accept(("N1",)))
    review = after(review, added(review, result))
    assert shown_findings(review.state, 0.5) == {"N1": False, "N2": False, "N3": False, "A1": True}
    with pytest.raises(InputError, match="all of the reader's findings"):
        after(review, DeclareFirstRead(()))
    review = after(review, DeclareFirstRead(("A1",)))
    assert shown_findings(review.state, 0.5) == {"N1": True, "N2": True, "N3": False, "A1": True}
    later = after(review, added(review, result))
    assert [later.state.finding(name).first_read for name in ("N1", "A1", "A2")] == [False, True, False]
    assert review.events[-1].change.subjects == ("A1",)


def test_what_was_seen_cannot_be_unseen(review: Review, result: DetectionResult) -> None:
    begun = after(review, SetMode("second-reader"), added(review, result), DeclareFirstRead(("A1",)))
    assert begun.next_undo is None
    with pytest.raises(InputError, match="nothing to undo"):
        after(begun, Undo())
    for seen in (after(review, Accept(("N1",))), begun):
        with pytest.raises(InputError, match="chosen before"):
            after(seen, SetMode("second-reader"))


def test_the_mode_may_change_before_anything_is_decided(review: Review) -> None:
    review = after(review, SetMode("second-reader"), SetMode("concurrent"), SetMode("second-reader"))
    assert review.state.hides_detector
    with pytest.raises(InputError, match="in view"):
        after(review, SetMode("concurrent"), DeclareFirstRead(()))


# -- what is shown ---------------------------------------------------------------------------------------------------
def test_decisions_outweigh_the_threshold(review: Review, result: DetectionResult) -> None:
    review = after(review, Accept(("N3",)), Reject(("N1",), "airway"), added(review, result))
    assert shown_findings(review.state, 0.99) == {"N1": False, "N2": False, "N3": True, "A1": True}
    assert shown_findings(review.state, 0.61) == {"N1": False, "N2": True, "N3": True, "A1": True}
    assert shown_findings(review.state, 0.99, show_rejected=True)["N1"]


def test_counts_follow_threshold_and_decisions(review: Review, volume: Volume, result: DetectionResult) -> None:
    assert review_counts(review.state, 0.5) == ReviewCounts(reviewed=0, total=2, accepted=0, rejected=0, added=0)
    review = after(review, Accept(("N3",)), added(review, result))
    assert review_counts(review.state, 0.5) == ReviewCounts(1, 3, 1, 0, 1)
    assert review_counts(review.state, 0.93) == ReviewCounts(1, 2, 1, 0, 1)
    review = after(review, Reject(("N1",), "fissure"), merge_findings(review.state, volume, ["N2", "N3"]))
    assert review_counts(review.state, 0.5) == ReviewCounts(2, 2, 1, 1, 1)


# -- as a whole ------------------------------------------------------------------------------------------------------
IDS = st.sampled_from(["N1", "N2", "N3", "A1", "A2", "N7"])
SOME_IDS = st.lists(IDS, min_size=1, max_size=3).map(tuple)
SCAN = make_volume()
RESULT = make_result(SCAN)
CONTOUR = Contour(VoxelMask((1, 2, 3), np.ones((2, 2, 2), dtype=bool)), RESULT.candidates[0].measurements, (1, 2, 3))
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(Accept, SOME_IDS),
    st.builds(Reject, SOME_IDS, st.sampled_from(get_args(RejectReason)), st.text(max_size=5)),
    st.builds(Reopen, SOME_IDS),
    st.builds(EditContour, IDS, st.just(CONTOUR)),
    st.builds(Delete, IDS),
    st.builds(Merge, SOME_IDS, st.just(CONTOUR)),
    st.builds(AddNodule, st.sampled_from(["A1", "A2"]), st.just((0.0, 0.0, 0.0)), st.just("sphere"), st.just(CONTOUR)),
    st.builds(SetNote, IDS, st.text(max_size=5)),
    st.builds(SetMode, st.sampled_from(["concurrent", "second-reader"])),
    st.builds(DeclareFirstRead, st.lists(IDS, max_size=2).map(tuple)),
    st.just(Undo()),
    st.just(Redo()),
)


def said(state: ReviewState) -> list[tuple[Any, ...]]:
    return said_of(list(state.findings.values()), SCAN)


@settings(max_examples=150, deadline=None)
@given(st.lists(CHANGES, max_size=25))
def test_any_history_replays_to_the_same_findings_and_undoes_to_the_beginning(changes: list[Change]) -> None:
    start = review = Review.of(RESULT.candidates)
    for change in changes:
        with contextlib.suppress(InputError):
            review = after(review, change)
    held = said(review.state)
    assert said(replay(review.original.candidates, review.events)) == held
    undone = 0
    while review.next_undo is not None:
        review, undone = after(review, Undo()), undone + 1
    if not any(e.in_effect for e in review.trail()):  # a mode or a first read is not undone
        assert said(review.state) == said(start.state)
    for _ in range(undone):
        review = after(review, Redo())
    assert said(review.state) == held
