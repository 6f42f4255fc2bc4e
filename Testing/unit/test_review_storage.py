"""A stored review reads back exactly as it was, or is refused in one sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from result_inputs import make_result, make_volume
from review_inputs import READER, after, said_of

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.review import (
    Accept,
    DeclareFirstRead,
    Delete,
    Reject,
    Reopen,
    Review,
    SetCallipers,
    SetCategory,
    SetDensity,
    SetExamCategory,
    SetMode,
    SetNote,
    Undo,
    add_nodule,
    edit_contour,
    merge_findings,
    review_from_json,
    review_to_json,
)
from LungNoduleCADLib.review.codec import decode_mask, encode_mask
from LungNoduleCADLib.review.storage import _digest, compact_json

VOLUME = make_volume()
CANDIDATES = make_result(VOLUME).candidates
PLACE = tuple(float(x) for x in VOLUME.index_to_lps((12.0, 27.0, 18.0)))
TRICKY = 'Gefäß – "kein" Knoten & <x>\n2. Zeile \x00 🫁 \ud800'


@pytest.fixture(scope="module")
def review() -> Review:
    """One event of every kind."""
    review = after(Review.of(CANDIDATES), SetMode("second-reader"))
    review = after(review, add_nodule(review, VOLUME, PLACE), DeclareFirstRead(("A1",)))
    review = after(
        review,
        add_nodule(review, VOLUME, PLACE),
        Accept(("N1", "N3")),
        Reject(("N2",), "other", TRICKY),
        Reopen(("N3",)),
        edit_contour(VOLUME, "N2", CANDIDATES[0].mask),
        SetCallipers("N1", "nodule", (12.3456789, 0.1 + 0.2)),
        SetCallipers(
            "N1", "nodule", (5.0, 4.0), (((0.0, 0.1, 2.0), (5.0, 0.1, 2.0)), ((1.0, 0.1, 2.0), (1.0, 4.1, 2.0)))
        ),
        SetCallipers("N1", "nodule", None),
        SetNote("A1", TRICKY),
        SetDensity("N1", "ground-glass"),
        SetDensity("N1", None),
        SetCategory("N1", "Lung-RADS v2022", "4A", "CT in 3 months", "prior"),
        SetExamCategory("Lung-RADS v2022", "4B", "PET/CT", TRICKY),
    )
    review = after(review, merge_findings(review.state, VOLUME, ["A1", "A2", "N1"]))
    return after(review, Undo(), Delete("A2"), Undo())


def test_every_kind_of_event_reads_back_exactly(review: Review) -> None:
    assert len({type(e.change) for e in review.events}) == 15  # all but redo, of which there is nothing to do
    read = review_from_json(review_to_json(review), CANDIDATES)
    assert [e.json for e in read.events] == [e.json for e in review.events]
    assert [(e.time, e.reader, e.software) for e in read.events] == [
        (e.time, READER, e.software) for e in review.events
    ]
    held = [said_of(list(r.state.findings.values()), VOLUME) for r in (review, read)]
    assert held[0] == held[1]
    assert read.next_redo is not None and read.next_redo.json == review.next_redo.json  # type: ignore[union-attr]


def test_a_review_from_before_callipers_had_lines_is_read(review: Review) -> None:
    content = json.loads(review_to_json(review))
    for event in content["events"]:
        event.pop("ends_lps", None)
    content["sha256"] = _digest(content["original"], map(compact_json, content["events"]))
    read = review_from_json(json.dumps(content), CANDIDATES)
    assert read.events[8].change.axes_mm == (12.3456789, 0.1 + 0.2)
    del content["events"][8]["axes_mm"]  # what has no default must be there
    content["sha256"] = _digest(content["original"], map(compact_json, content["events"]))
    with pytest.raises(InputError, match="has not the fields"):
        review_from_json(json.dumps(content), CANDIDATES)


def test_the_text_is_plain_json_in_ascii(review: Review) -> None:
    text = review_to_json(review)
    assert text.isascii()
    content = json.loads(text)
    assert (content["schema"], content["version"], len(content["events"])) == (
        "LungNoduleCAD review",
        1,
        len(review.events),
    )
    assert content["events"][5]["comment"] == TRICKY


def test_a_review_without_events_is_stored_too() -> None:
    assert review_from_json(review_to_json(Review.of(CANDIDATES)), CANDIDATES).events == ()
    assert review_from_json(review_to_json(Review.of(())), ()).state.findings == {}


@settings(max_examples=100, deadline=None)
@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=6)), st.tuples(*[st.integers(0, 9)] * 3))
def test_any_mask_reads_back_exactly(voxels: np.ndarray, start: tuple[int, int, int]) -> None:
    read = decode_mask(json.loads(json.dumps(encode_mask(VoxelMask(start, voxels)))))
    assert read.start_kji == start
    np.testing.assert_array_equal(read.voxels, voxels)


def test_masks_are_compact() -> None:
    mask = CANDIDATES[0].mask  # a ball of 16 mm
    assert len(json.dumps(encode_mask(mask))) < 0.5 * mask.voxels.size


@pytest.mark.parametrize("cut", [0, 1, 200, 0.5, -1])
def test_a_truncated_text_is_refused(review: Review, cut: float) -> None:
    text = review_to_json(review)
    with pytest.raises(InputError, match=r"^The stored review is damaged .*; load an earlier copy of the scene\.$"):
        review_from_json(text[: int(cut * len(text)) if 0 < cut < 1 else int(cut)], CANDIDATES)


def test_no_single_changed_character_goes_unnoticed(review: Review) -> None:
    """Wherever it is; only white space between the parts and digits beyond a number's precision mean nothing."""
    text = review_to_json(review)
    for place in np.random.default_rng(0).integers(0, len(text), 400):
        changed = text[:place] + ("7" if text[place] != "7" else "8") + text[place + 1 :]
        if not means_the_same(text, changed):
            with pytest.raises(InputError):
                review_from_json(changed, CANDIDATES)


def means_the_same(text: str, changed: str) -> bool:
    """Whether both are the same JSON."""
    try:
        return bool(json.loads(text) == json.loads(changed))
    except ValueError:
        return False


def resigned(text: str, change: Callable[[dict[str, Any]], None]) -> str:
    """The text with other content and a digest that agrees: what a faulty program could write."""
    content = json.loads(text)
    change(content)
    content["sha256"] = _digest(content["original"], map(compact_json, content["events"]))
    return json.dumps(content)


def event_with(number: int, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["events"][number].update(values)


@pytest.mark.parametrize(
    "change",
    [
        event_with(0, action="forget"),
        event_with(0, mode="alone"),
        event_with(0, extra=1),
        event_with(0, time="2026-01-01T00:00:00"),
        event_with(0, time="2026-01-01T00:00:00+02:00"),
        event_with(0, time="yesterday"),
        event_with(0, reader=None),
        event_with(1, point_lps=[0, 0]),
        event_with(1, point_lps=[0, 0, "x"]),
        event_with(1, proposal="guessed"),
        event_with(1, finding="B1"),
        event_with(1, contour=None),
        event_with(4, findings="N1"),
        event_with(4, findings=["N9"]),
        event_with(5, reason="because"),
        event_with(5, comment=7),
        event_with(8, axes_mm=[1.0]),
        event_with(8, axes_mm=[1.0, 2.0]),
        lambda content: content["events"].pop(1),
        lambda content: content["events"].append({"action": "redo"}),
        lambda content: content["events"].append(7),
        lambda content: content["events"][0].pop("reader"),
        lambda content: content.pop("version"),
        lambda content: content["events"][1]["contour"]["mask"]["runs"].append(1),
        lambda content: content["events"][1]["contour"]["mask"].update(shape=[1 << 20] * 3),
        lambda content: content["events"][1]["contour"]["mask"].update(start=[-1, 0, 0]),
        lambda content: content["events"][1]["contour"]["measurements"].pop("mean_hu"),
        lambda content: content["events"][1]["contour"]["measurements"].update(mean_hu="40"),
        lambda content: content["events"][1]["contour"]["measurements"].update(density="wood"),
        lambda content: content["events"][1]["contour"]["measurements"].update(color=1),
    ],
)
def test_events_that_no_version_has_written_are_refused(
    review: Review, change: Callable[[dict[str, Any]], None]
) -> None:
    with pytest.raises(InputError, match="stored review"):
        review_from_json(resigned(review_to_json(review), change), CANDIDATES)


def test_a_review_that_is_resigned_without_a_change_is_accepted(review: Review) -> None:
    """So that the test above refuses for the change's sake alone."""
    assert len(review_from_json(resigned(review_to_json(review), lambda content: None), CANDIDATES).events) > 10


def test_a_review_of_another_detection_is_refused(review: Review) -> None:
    text = review_to_json(review)
    with pytest.raises(InputError, match="another detection"):
        review_from_json(text, CANDIDATES[:2])
    with pytest.raises(InputError, match="another detection"):
        review_from_json(text, make_result(VOLUME, malignancy=0.41).candidates)
    with pytest.raises(InputError, match="another detection"):
        review_from_json(text, make_result(VOLUME, by_diameter=0.31).candidates)


def test_a_review_of_a_result_from_before_the_baseline_is_still_its_own() -> None:
    """Versions up to 1.3.0 signed reviews by this digest."""
    former = make_result(VOLUME, by_diameter=None).candidates
    digest = hashlib.sha256()
    for c in former:
        box = ([int(n) for n in c.mask.start_kji], c.mask.voxels.shape)
        measured = [getattr(c.measurements, f.name) for f in fields(c.measurements)]
        digest.update(json.dumps((c.id, c.center_lps, c.score, c.malignancy, box, measured)).encode())
        digest.update(np.packbits(c.mask.voxels).tobytes())
    assert Review.of(former).original.digest == digest.hexdigest()


def test_a_newer_version_asks_for_an_update(review: Review) -> None:
    text = review_to_json(review).replace('"version":1', '"version":2')
    with pytest.raises(InputError, match="has version 2, this software reads 1; update it"):
        review_from_json(text, CANDIDATES)


@pytest.mark.parametrize("text", ["null", "[]", "{}", '{"schema": "LungNoduleCAD report"}', "[" * 5000])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="damaged"):
        review_from_json(text, CANDIDATES)
