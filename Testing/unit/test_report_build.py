"""From a detection and a review to a report, and the words every format shares."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from report_inputs import DETECTED, HOSTILE, THRESHOLD, ball_candidate, blob_candidates, result_of, reviewed
from result_inputs import AXES, make_result, make_volume

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.report import words
from LungNoduleCADLib.report.build import build_report, tracking_uid
from LungNoduleCADLib.report.images import read_segmentation
from LungNoduleCADLib.report.planes import planes_of
from LungNoduleCADLib.report.quantities import BY_KEY, QUANTITIES
from LungNoduleCADLib.report.record import measurements_from_json, read_record
from LungNoduleCADLib.report.results import write_results
from LungNoduleCADLib.report.suggestions import GUIDELINES
from LungNoduleCADLib.report.text import date_text, person_name, plain_text, spreadsheet_text
from LungNoduleCADLib.review import (
    Accept,
    DeclareFirstRead,
    EditContour,
    Merge,
    Review,
    SetDensity,
    SetMode,
    Undo,
)
from LungNoduleCADLib.review.state import Contour
from LungNoduleCADLib.volume import Volume


@pytest.fixture
def volume() -> Volume:
    from io_inputs import chest_hu

    return Volume.from_geometry(chest_hu(), spacing_kji_mm=(2.5, 0.8, 0.7), origin_lps=(-20, -30, -100))


# -- the record --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", AXES)
def test_a_result_folder_is_read_as_it_was_written(axes: str, tmp_path: Path) -> None:
    volume = make_volume(axes)
    result = make_result(volume)
    write_results(result, volume, tmp_path)
    record = read_record(tmp_path)
    assert record.grid.same_grid(volume)
    assert record.detected_at is not None and record.detected_at.tzinfo is not None
    assert record.result.threshold == result.threshold and record.result.warnings == result.warnings
    assert record.result.series["sop_instance_uids"] == volume.metadata["sop_instance_uids"]
    for read, written in zip(record.result.candidates, result.candidates, strict=True):
        assert (read.id, read.score, read.center_lps) == (written.id, written.score, written.center_lps)
        assert read.measurements == written.measurements
        assert read.mask.start_kji == written.mask.start_kji
        assert np.array_equal(read.mask.voxels, written.mask.voxels)


def test_overlapping_outlines_are_read_whole(volume: Volume, tmp_path: Path) -> None:
    candidates = [ball_candidate(volume, n, (5, 20, 20 + n), 5.0, 0.9) for n in (1, 2, 3)]
    write_results(result_of(volume, candidates), volume, tmp_path)
    _, masks = read_segmentation(tmp_path / "segmentation.seg.nrrd")
    assert {name: mask.voxels.sum() for name, mask in masks.items()} == {
        f"N{c.id}": c.mask.voxels.sum() for c in candidates
    }


def test_what_was_not_measured_stays_unknown(volume: Volume, tmp_path: Path) -> None:
    nothing = replace(
        blob_candidates(volume)[0].measurements, long_axis_mm=float("nan"), side=None, long_axis_lps=None, mass_mg=None
    )
    candidate = replace(blob_candidates(volume)[0], measurements=nothing)
    write_results(result_of(volume, [candidate]), volume, tmp_path)
    entry = json.loads((tmp_path / "findings.json").read_text())["candidates"][0]
    assert entry["long_axis_mm"] is None
    read = measurements_from_json(entry)
    assert np.isnan(read.long_axis_mm) and read.side is None and read.mass_mg is None
    report = build_report(result_of(volume, [candidate]), volume, guidelines=GUIDELINES)
    (finding,) = report.findings
    assert BY_KEY["long_axis_mm"].text(finding) == BY_KEY["mean_diameter_mm"].text(finding) == "–"
    assert finding.recommendations == () and any("has no suggested category" in w for w in report.warnings)
    assert "could be measured" in words.summary(report)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "findings.json").unlink(), "holds no result"),
        (lambda folder: (folder / "findings.json").write_text("{"), "is damaged"),
        (lambda folder: (folder / "findings.json").write_text("[]"), "is damaged or of another version"),
        (lambda folder: (folder / "findings.json").write_text('{"candidates": []}'), "is damaged or of another"),
        (lambda folder: (folder / "segmentation.seg.nrrd").unlink(), "segmentation.seg.nrrd is missing"),
        (lambda folder: (folder / "segmentation.seg.nrrd").write_bytes(b"NRRD0004\n"), "is missing or no segmentation"),
    ],
)
def test_a_damaged_result_is_refused_in_one_sentence(damage: object, said: str, volume: Volume, tmp_path: Path) -> None:
    write_results(result_of(volume, blob_candidates(volume)), volume, tmp_path)
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(InputError, match=said) as refused:
        read_record(tmp_path)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


# -- findings and review -----------------------------------------------------------------------------------------------


def test_without_a_review_what_is_at_the_threshold_is_reported_unreviewed(volume: Volume) -> None:
    report = build_report(result_of(volume, blob_candidates(volume)), volume, detected_at=DETECTED)
    assert [(f.label, f.status, f.reader) for f in report.findings] == [
        ("N1", "unreviewed", ""), ("N2", "unreviewed", ""),
    ]  # fmt: skip
    assert (report.review.state, report.review.reviewed, report.review.total) == ("not reviewed", 0, 2)
    assert report.below_threshold == 1 and report.rejected == ()
    assert words.headline(report) == "2 findings"
    assert words.review_text(report) == "Not reviewed by a radiologist"
    assert words.left_out(report) == "1 further candidate below the threshold 0.5 not reported."
    (event,) = report.audit
    assert (event.at, event.action, event.finding) == (DETECTED, "detected", "")
    assert "3 candidates, 2 at or above the threshold 0.5" in event.detail
    every = build_report(result_of(volume, blob_candidates(volume)), volume, threshold=0.0)
    assert [f.label for f in every.findings] == ["N1", "N2", "N3"] and every.method.threshold == 0


def test_what_readers_decided_is_in_the_report_with_who_and_when(volume: Volume) -> None:
    candidates = blob_candidates(volume)
    report = build_report(
        result_of(volume, candidates), volume, reviewed(candidates), guidelines=GUIDELINES, detected_at=DETECTED
    )
    (finding,) = report.findings
    assert (finding.label, finding.status, finding.reader) == ("N1", "accepted", "Dr. Read")
    assert finding.reviewed_at == DETECTED + timedelta(hours=1)
    assert finding.axes_mm == (9.5, 8.5) and finding.mean_diameter_mm == 9.0
    assert finding.measured == candidates[0].measurements, "the automatic values are kept beside"
    assert finding.comment == "Stable since 2024."
    (rejected,) = report.rejected
    assert (rejected.label, rejected.status, rejected.reason) == ("N2", "rejected", "vessel: Stable since 2024.")
    assert report.review == replace(report.review, state="reviewed", reviewed=2, total=2, readers=("Dr. Read",))
    lung_rads, fleischner = finding.recommendations
    assert (lung_rads.suggested, lung_rads.final) == ("4A", "4B")
    assert words.decider(lung_rads) == "by Dr. Read; suggested 4A" and words.decider(fleischner) == "suggested"
    exam = report.recommendations[0]
    assert (exam.suggested, exam.final) == ("4B", "4A") and words.decider(exam) == "by Dr. Read; suggested 4B"
    actions = [event.action for event in report.audit]
    assert actions == ["detected", "accept", "set callipers", "set note", "set category", "reject", "set exam category"]
    assert [event.at for event in report.audit] == sorted(event.at for event in report.audit if event.at)


def test_every_state_of_a_finding_has_its_word(volume: Volume) -> None:
    candidates = blob_candidates(volume)
    review = Review.of(candidates).with_change(Accept(("N2",)), "A", DETECTED)
    assert build_report(result_of(volume, candidates), volume, review).review.state == "partly reviewed"
    other = ball_candidate(volume, 9, (4, 20, 13), 5.0, 0.0)
    contour = Contour(other.mask, other.measurements, other.center_lps)
    edited = review.with_change(EditContour("N2", contour), "B", DETECTED).with_change(
        SetDensity("N2", "part-solid"), "B", DETECTED
    )
    finding = build_report(result_of(volume, candidates), volume, edited).findings[1]
    assert (finding.status, finding.density, finding.measured) == ("edited", "part-solid", other.measurements)
    assert words.status_text(finding) == "Outline edited, accepted by A"
    below = build_report(result_of(volume, candidates), volume, review.with_change(Accept(("N3",)), "A", DETECTED))
    assert [f.label for f in below.findings] == ["N1", "N2", "N3"], "accepted below the threshold counts"
    undone = build_report(result_of(volume, candidates), volume, review.with_change(Undo(), "A", DETECTED))
    assert [event.action for event in undone.audit] == ["detected", "accept (taken back)", "undo"]
    merged = review.with_change(Merge(("N1", "N2"), contour), "A", DETECTED)
    assert [f.label for f in build_report(result_of(volume, candidates), volume, merged).findings] == ["N1"]


def test_before_a_first_read_is_declared_the_detectors_marks_are_not_told(volume: Volume) -> None:
    candidates = blob_candidates(volume)
    review = Review.of(candidates).with_change(SetMode("second-reader"), "A", DETECTED)
    report = build_report(result_of(volume, candidates), volume, review, guidelines=GUIDELINES)
    assert report.findings == report.rejected == ()
    declared = review.with_change(DeclareFirstRead(()), "A", DETECTED)
    assert len(build_report(result_of(volume, candidates), volume, declared).findings) == 2


def test_no_finding_is_said_in_words(volume: Volume) -> None:
    report = build_report(result_of(volume, []), volume, guidelines=GUIDELINES)
    assert report.findings == () and report.largest is None
    assert words.headline(report) == "No findings"
    assert "does not exclude" in words.summary(report)
    assert words.left_out(report) == ""
    assert [r.final for r in report.recommendations] == ["1", "no nodule"]


def test_a_finding_keeps_its_tracking_uid_in_every_export_of_a_series(volume: Volume) -> None:
    first, again = (build_report(result_of(volume, blob_candidates(volume)), volume) for _ in range(2))
    assert [f.tracking_uid for f in first.findings] == [f.tracking_uid for f in again.findings]
    uids = {tracking_uid(series, label) for series in ("1.2.3", "1.2.4") for label in ("N1", "N2")}
    assert len(uids) == 4 and all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


def test_the_slice_of_the_axes_is_named_where_it_is_another(volume: Volume) -> None:
    candidate = ball_candidate(volume, 1, (5, 20, 20), 4.0, 0.9, axes_slice=7)
    report = build_report(result_of(volume, [candidate]), volume)
    assert words.slice_text(report.findings[0], report) == "6 of 12, measured on 7"


def test_every_quantity_has_its_own_key_and_concept() -> None:
    assert len({q.key for q in QUANTITIES}) == len({(q.concept, q.derivation) for q in QUANTITIES}) == len(QUANTITIES)
    for q in QUANTITIES:
        assert len(q.concept.value) <= 16 and len(q.concept.meaning) <= 64, "DICOM's limits"


def test_threshold_and_models_are_told(volume: Volume) -> None:
    report = build_report(result_of(volume, []), volume)
    line = words.provenance_line(report)
    assert f"threshold {THRESHOLD:g}" in line and "a" * 12 in line and "LungNoduleCAD 9.8.7" in line
    pairs = dict(words.method_pairs(report))
    assert "b" * 64 in pairs["Model, classification"] and pairs["Lung mask"] == "auto"


@pytest.mark.parametrize("axes", AXES)
def test_planes_run_along_the_volumes_axes_and_show_the_patient_as_radiologists_do(axes: str) -> None:
    volume = make_volume(axes)
    axial, coronal, sagittal = planes_of(volume)
    for plane in (axial, coronal, sagittal):
        for direction in (plane.right_lps, plane.down_lps):
            assert np.abs(np.asarray(direction) @ volume.direction).max() == pytest.approx(1.0)
    assert axial.right_lps[0] > 0.5 and axial.down_lps[1] > 0.5
    assert coronal.right_lps[0] > 0.5 and coronal.down_lps[2] < -0.5
    assert sagittal.right_lps[1] > 0.5 and sagittal.down_lps[2] < -0.5


# -- text from elsewhere -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_becomes_text_that_every_format_can_hold(text: str) -> None:
    plain = plain_text(text)
    plain.encode("utf-8")
    assert not any(ord(c) < 32 or 0x202A <= ord(c) <= 0x202E for c in plain)
    assert plain_text(plain) == plain
    kept = plain_text(text, lines=True)
    assert kept.count("\n") == (2 if "\n" in text else 0)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "  =1", "＝1"])
def test_a_spreadsheet_takes_no_text_for_a_formula(text: str) -> None:
    assert spreadsheet_text(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("Doe;=1+1", "Doe;'=1+1"), ('Doe; "=1+1"', "Doe;' \"=1+1\""),
        ("a\n=1", "a\n'=1"), ("\n=1", "'\n'=1"), ("=1;@A1", "'=1;'@A1"),
        ("a; b", "a; b"), ("a\nb", "a\nb"),
    ],
)  # fmt: skip
def test_nor_where_a_semicolon_parts_the_cells(text: str, harmless: str) -> None:
    assert spreadsheet_text(text) == harmless


def test_other_text_goes_into_a_spreadsheet_as_it_is() -> None:
    assert spreadsheet_text("Doe, Jane = 1") == "Doe, Jane = 1" and spreadsheet_text("") == ""


@pytest.mark.parametrize(
    ("dicom", "shown"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Doe^Jane^Ann^Dr.^Jr.", "Doe, Dr. Jane Ann Jr."),
        ("Doe", "Doe"),
        ("^Jane", "Jane"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田 太郎 / やまだ たろう)"),
        ("=山田^太郎", "山田 太郎"),
        ("", ""),
        ("^^^^", ""),
        ("a^b^c^d^e^f^g", "a, d b c e"),
    ],
)
def test_names_are_shown_as_people_write_them(dicom: str, shown: str) -> None:
    assert person_name(dicom) == shown


@pytest.mark.parametrize(
    ("dicom", "shown"), [("19900906", "1990-09-06"), ("", ""), ("19901399", "19901399"), ("1990", "1990")]
)
def test_dates_are_shown_as_iso(dicom: str, shown: str) -> None:
    assert date_text(dicom) == shown
