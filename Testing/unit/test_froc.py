"""The FROC must give the challenge's numbers: it is compared with a plain-loop reading of the protocol and with
scikit-learn."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.evaluation.free_response import OPERATING_POINTS, FrocCurve, free_response, roc_points
from LungNoduleCADLib.evaluation.froc import froc, match_submission
from LungNoduleCADLib.io.points import PointTable, read_points, read_series_list

Luna16 = tuple[PointTable, PointTable, list[str]]


def table(*rows: tuple[str, float, float, float, float]) -> PointTable:
    numbers = np.array([row[1:] for row in rows], dtype=np.float64).reshape(-1, 4)
    return PointTable(np.array([row[0] for row in rows], dtype=np.str_), numbers[:, :3], numbers[:, 3])


NONE = table()


@pytest.fixture(scope="module")
def luna16(shared_data: Path) -> Luna16:
    folder = shared_data / "luna16"
    annotations = read_points(folder / "annotations.csv", "diameter_mm")
    excluded = read_points(folder / "annotations_excluded.csv.gz", "diameter_mm")
    return annotations, excluded, read_series_list(folder / "seriesuids.csv")


def submission(annotations: PointTable, excluded: PointTable, scans: list[str], count: int, seed: int) -> PointTable:
    """Marks on nodules, several on some, on excluded findings, anywhere, and in a scan that is not listed; with tied
    probabilities."""
    generator = np.random.default_rng(seed)
    kind = generator.choice(4, size=count, p=(0.25, 0.25, 0.48, 0.02))
    series = np.array(scans, dtype=np.str_)[generator.integers(len(scans), size=count)]
    lps = generator.uniform(-180, 180, (count, 3))
    for number, findings in enumerate((annotations, excluded)):
        chosen = np.flatnonzero(kind == number)
        rows = generator.integers(len(findings), size=len(chosen))
        series[chosen] = findings.series[rows]
        lps[chosen] = findings.lps[rows] + generator.normal(0, 1.5, (len(chosen), 3))
    series[kind == 3] = "1.2.3.not.listed"
    # One scan with far more marks than are evaluated, tied around the border.
    series[: min(300, count // 10)] = scans[0]
    probability = np.where(kind == 0, generator.beta(3, 2, count), generator.beta(1, 4, count)).round(3)
    return PointTable(series, lps, probability)


def protocol_by_loops(
    annotations: PointTable, excluded: PointTable, scans: list[str], marks: PointTable
) -> tuple[list[float], int, int, int]:
    """The protocol, point by point, as plainly as it can be written."""
    truth, score, lesions, missed = [], [], 0, 0
    rows_of = [indexed(t) for t in (annotations, excluded, marks)]
    for uid in scans:
        candidates = rows_of[2].get(uid, [])
        if len(candidates) > 100:
            border = sorted((marks.values[n] for n in candidates), reverse=True)[100]
            candidates = [n for n in candidates if marks.values[n] > border]
        pool = set(candidates)
        for findings, rows, included in ((annotations, rows_of[0], True), (excluded, rows_of[1], False)):
            for row in rows.get(uid, []):
                diameter = 10.0 if findings.values[row] < 0 else findings.values[row]
                inside = []
                for n in candidates:
                    squared = sum(
                        (float(a) - float(b)) ** 2 for a, b in zip(findings.lps[row], marks.lps[n], strict=True)
                    )
                    if squared < (diameter / 2) ** 2:
                        inside.append(n)
                pool -= set(inside)
                if included:
                    lesions += 1
                    if inside:
                        truth.append(1.0)
                        score.append(max(marks.values[n] for n in inside))
                    else:
                        missed += 1
        for n in pool:
            truth.append(0.0)
            score.append(marks.values[n])
    detected = sum(truth)
    false_rate, true_rate, _ = roc_curve(truth, score)
    per_scan = (
        np.zeros(len(false_rate)) if detected == len(truth) else false_rate * (len(truth) - detected) / len(scans)
    )
    sensitivity = true_rate * detected / lesions
    seven = [float(np.interp(x, per_scan, sensitivity)) for x in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)]
    return seven, int(detected), len(truth) - int(detected), missed


def indexed(points: PointTable) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for n, uid in enumerate(points.series):
        rows.setdefault(str(uid), []).append(n)
    return rows


@pytest.mark.parametrize(("count", "seed"), [(400, 1), (6000, 2), (20000, 3)])
def test_equals_the_protocol_in_plain_loops_on_the_luna16_tables(luna16: Luna16, count: int, seed: int) -> None:
    annotations, excluded, scans = luna16
    scans = [*scans, scans[0], scans[0], annotations.series[0]]  # repeated scans count as often as listed
    marks = submission(annotations, excluded, scans, count, seed)
    expected, detected, false, missed = protocol_by_loops(annotations, excluded, scans, marks)
    result = froc(annotations, excluded, scans, marks)
    np.testing.assert_allclose(result.sensitivity, expected, rtol=0, atol=1e-6)
    assert result.cpm == pytest.approx(np.mean(expected), abs=1e-6)
    assert (result.tp, result.fp, result.fn, result.scans) == (detected, false, missed, len(scans))
    assert missed > 0
    assert 0 < result.cpm < 1


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_plain_loops_on_small_crowded_sets_with_ties(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scans = ["a", "b", "c", "d", "e", "f", "g", "h", "a"]

    def points(count: int, values: np.ndarray) -> PointTable:
        return PointTable(generator.choice(scans, count).astype(np.str_), generator.uniform(0, 30, (count, 3)), values)

    annotations = points(12, generator.choice([-1.0, 6.0, 14.0], 12))
    excluded = points(10, generator.choice([-1.0, 8.0], 10))
    marks = points(300, generator.integers(0, 12, 300) / 12)
    expected, detected, false, missed = protocol_by_loops(annotations, excluded, scans, marks)
    result = froc(annotations, excluded, scans, marks)
    np.testing.assert_allclose(result.sensitivity, expected, rtol=0, atol=1e-9)
    assert (result.tp, result.fp, result.fn) == (detected, false, missed)


@pytest.mark.parametrize("seed", range(10))
def test_points_equal_sklearns_roc_curve_with_dropped_intermediates(seed: int) -> None:
    generator = np.random.default_rng(seed)
    positive = generator.random(200) < 0.4
    score = np.round(generator.random(200) + 0.4 * positive, 1 + seed % 3)
    weight = generator.integers(1, 4, 200).astype(np.float64)
    false, true, threshold = roc_points(positive, score, weight)
    expected = roc_curve(positive, score, sample_weight=weight)
    np.testing.assert_allclose(false / false[-1], expected[0], atol=1e-12)
    np.testing.assert_allclose(true / true[-1], expected[1], atol=1e-12)
    np.testing.assert_array_equal(threshold, expected[2])


def test_only_marks_strictly_within_the_radius_hit() -> None:
    nodule = table(("s", 0, 0, 0, 8.0))
    assert froc(nodule, NONE, ["s"], table(("s", 4.0, 0, 0, 0.5))).tp == 0
    assert froc(nodule, NONE, ["s"], table(("s", 3.999, 0, 0, 0.5))).tp == 1


def test_negative_diameter_counts_as_ten_millimetres() -> None:
    nodule = table(("s", 0, 0, 0, -1.0))
    assert froc(nodule, NONE, ["s"], table(("s", 4.99, 0, 0, 0.5))).tp == 1
    assert froc(nodule, NONE, ["s"], table(("s", 5.0, 0, 0, 0.5))).tp == 0


def test_extra_marks_on_a_nodule_and_marks_on_excluded_findings_count_neither_way() -> None:
    annotations, excluded = table(("s", 0, 0, 0, 10.0)), table(("s", 50, 0, 0, -1.0))
    marks = table(("s", 0, 0, 0, 0.4), ("s", 1, 0, 0, 0.9), ("s", 51, 0, 0, 0.95), ("s", 99, 0, 0, 0.6))
    result = froc(annotations, excluded, ["s"], marks)
    assert (result.tp, result.fp, result.fn) == (1, 1, 0)
    assert result.curve.threshold[1] == 0.9  # the best of the nodule's marks


def test_one_mark_can_find_two_overlapping_nodules() -> None:
    annotations = table(("s", 0, 0, 0, 10.0), ("s", 3, 0, 0, 10.0))
    result = froc(annotations, NONE, ["s"], table(("s", 1.5, 0, 0, 0.7), ("s", 80, 0, 0, 0.1)))
    assert (result.tp, result.fp, result.fn) == (2, 1, 0)


def test_of_more_than_a_hundred_marks_those_tied_with_the_next_all_drop() -> None:
    annotations = table(("s", 0, 0, 0, 4.0))
    rows = [("s", 100.0 + n, 0.0, 0.0, 0.9 if n < 60 else 0.5) for n in range(120)]
    assert froc(annotations, NONE, ["s"], table(*rows)).fp == 60
    assert froc(annotations, NONE, ["s"], table(*rows[:100])).fp == 100


def test_without_false_positives_the_best_sensitivity_holds_everywhere() -> None:
    annotations = table(("s", 0, 0, 0, 10.0), ("s", 90, 0, 0, 10.0))
    result = froc(annotations, NONE, ["s"], table(("s", 0, 0, 0, 0.7)))
    np.testing.assert_array_equal(result.sensitivity, np.full(7, 0.5))


def test_a_submission_without_marks_finds_nothing() -> None:
    result = froc(table(("s", 0, 0, 0, 10.0)), NONE, ["s"], NONE, bootstrap=5)
    assert (result.cpm, result.tp, result.fp, result.fn) == (0.0, 0, 0, 1)


def test_scans_without_any_nodule_are_refused() -> None:
    with pytest.raises(InputError, match="annotated nodule"):
        froc(table(("other", 0, 0, 0, 10.0)), NONE, ["s"], table(("s", 0, 0, 0, 0.7)))
    with pytest.raises(InputError, match="empty"):
        froc(table(("s", 0, 0, 0, 10.0)), NONE, [], NONE)


def test_band_equals_scan_by_scan_resampling() -> None:
    """Each resample, built by copying the drawn scans' marks and evaluated by scikit-learn, gives the band."""
    generator = np.random.default_rng(5)
    scans = [f"s{n}" for n in range(12)]
    annotations = table(*[(uid, 0, 0, 0, 8.0) for uid in scans])
    lps = np.where(generator.random((90, 1)) < 0.2, 0.0, 200.0) * np.array([1.0, 0.0, 0.0])
    marks = PointTable(generator.choice(scans, 90).astype(np.str_), lps, generator.random(90).round(2))
    band = froc(annotations, NONE, scans, marks, bootstrap=40, seed=3).band
    assert band is not None

    draws = np.random.RandomState(3)
    curves = []
    for _ in range(40):
        truth, score = [], []
        drawn = draws.randint(12, size=12)
        for n in drawn:
            own = marks.series == scans[n]
            on = own & (marks.lps[:, 0] == 0)
            if on.any():
                truth.append(1)
                score.append(marks.values[on].max())
            truth += [0] * int((own & ~on).sum())
            score += list(marks.values[own & ~on])
        false_rate, true_rate, _ = roc_curve(truth, score)
        false = len(truth) - sum(truth)
        curves.append(np.interp(band.fp_per_scan, false_rate * false / 12, true_rate * sum(truth) / 12))
    ordered = np.sort(np.array(curves), axis=0)
    np.testing.assert_allclose(band.lower, ordered[math.floor(0.025 * 40)], atol=1e-6)
    np.testing.assert_allclose(band.upper, ordered[39], atol=1e-6)
    np.testing.assert_allclose(band.mean, np.mean(curves, axis=0), atol=1e-6)


def test_band_of_scans_listed_twice_equals_the_challenges_lookup_by_uid() -> None:
    """The challenge's script keeps one entry a UID, which holds a scan's marks as often as the scan is listed, and adds
    the whole entry each time that any of its places is drawn."""
    scans = ["a", "b", "a", "c", "a", "d"]
    annotations = table(("a", 0, 0, 0, 8.0), ("b", 0, 0, 0, 8.0), ("c", 0, 0, 0, 8.0))
    rows = [("a", 0, 0, 0, 0.9), ("a", 50, 0, 0, 0.8), ("b", 1, 0, 0, 0.6), ("b", 50, 0, 0, 0.7), ("d", 9, 9, 9, 0.95)]
    band = froc(annotations, NONE, scans, table(*rows, ("c", 70, 0, 0, 0.5)), bootstrap=30, seed=11).band
    assert band is not None

    entry: dict[str, list[tuple[float, float | None]]] = {}
    own = {"a": [(1, 0.9), (0, 0.8)], "b": [(1, 0.6), (0, 0.7)], "c": [(1, None), (0, 0.5)], "d": [(0, 0.95)]}
    for uid in scans:
        entry[uid] = entry.get(uid, []) + own[uid]
    draws = np.random.RandomState(11)
    curves = []
    while len(curves) < 30:
        drawn = [mark for n in draws.randint(6, size=6) for mark in entry[scans[n]]]
        marked = [(truth, score) for truth, score in drawn if score is not None]
        lesions, detected = sum(truth for truth, _ in drawn), sum(truth for truth, _ in marked)
        if not lesions:
            continue
        if not detected:
            curves.append(np.zeros(len(band.fp_per_scan)))
            continue
        false_rate, true_rate, _ = roc_curve(*zip(*marked, strict=True))
        per_scan = np.zeros_like(false_rate) if detected == len(marked) else false_rate * (len(marked) - detected) / 6
        curves.append(np.interp(band.fp_per_scan, per_scan, true_rate * detected / lesions))
    ordered = np.sort(np.array(curves), axis=0)
    np.testing.assert_allclose(band.lower, ordered[0], atol=1e-6)
    np.testing.assert_allclose(band.upper, ordered[29], atol=1e-6)
    np.testing.assert_allclose(band.mean, ordered.mean(axis=0), atol=1e-6)


def test_a_probability_that_is_not_finite_is_refused() -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(InputError, match="not finite"):
            froc(table(("s", 0, 0, 0, 10.0)), NONE, ["s"], table(("s", 0, 0, 0, value)))


def test_rows_of_the_tables_are_named() -> None:
    annotations = table(("x", 0, 0, 0, 9.0), ("s", 0, 0, 0, 10.0), ("s", 40, 0, 0, 10.0))
    marks = table(("s", 99, 0, 0, 0.9), ("s", 1, 0, 0, 0.3), ("s", 2, 0, 0, 0.6), ("t", 0, 0, 0, 0.5))
    match = match_submission(annotations, NONE, ["t", "s", "s"], marks)
    assert match.nodule_row.tolist() == [1, 2, 1, 2]
    assert match.nodule_mark.tolist() == [2, -1, 2, -1]
    assert match.false_mark.tolist() == [3, 0, 0]
    assert match.outcomes.nodule_score.tolist() == [0.6, -np.inf, 0.6, -np.inf]
    assert match.outcomes.nodule_unit.tolist() == [1, 1, 1, 1] and match.outcomes.false_unit.tolist() == [0, 1, 1]


def test_nodules_left_out_are_as_if_excluded(luna16: Luna16) -> None:
    """The outcomes of some nodules are those of a submission whose other nodules stand in the excluded table."""
    annotations, excluded, scans = luna16
    marks = submission(annotations, excluded, scans, 6000, 9)
    large = annotations.values >= 10
    rest = [
        np.concatenate((getattr(excluded, n), getattr(annotations, n)[~large])) for n in ("series", "lps", "values")
    ]
    few = PointTable(annotations.series[large], annotations.lps[large], annotations.values[large])
    expected = froc(few, PointTable(*rest), scans, marks)
    match = match_submission(annotations, excluded, scans, marks)
    result = free_response(match.outcomes.of_nodules(large[match.nodule_row]))
    np.testing.assert_allclose(result.sensitivity, expected.sensitivity, atol=1e-12)
    # A mark on both a large and a small nodule finds the large one either way, and is no false positive either way.
    assert (result.tp, result.fp, result.fn) == (expected.tp, expected.fp, expected.fn)


def test_band_is_seeded_and_holds_the_curve(luna16: Luna16) -> None:
    annotations, excluded, scans = luna16
    marks = submission(annotations, excluded, scans, 8000, 4)
    first, again = (froc(annotations, excluded, scans, marks, bootstrap=60, seed=7) for _ in range(2))
    other = froc(annotations, excluded, scans, marks, bootstrap=60, seed=8)
    assert first.band is not None and again.band is not None and other.band is not None
    np.testing.assert_array_equal(first.band.lower, again.band.lower)
    assert (first.band.lower != other.band.lower).any()
    curve = first.curve.at(first.band.fp_per_scan)
    assert ((first.band.lower <= curve + 0.01) & (curve <= first.band.upper + 0.01)).all()
    assert first.band.cpm[0] < first.cpm < first.band.cpm[1]


def test_a_curve_is_read_at_the_upper_end_of_a_vertical_step() -> None:
    curve = FrocCurve(np.array([0.0, 1.0, 1.0, 2.0]), np.array([0.0, 0.2, 0.6, 0.8]), np.zeros(4))
    np.testing.assert_allclose(curve.at([0.5, 1.0, 1.5, 9.0]), [0.1, 0.6, 0.7, 0.8])


def test_a_whole_luna16_submission_takes_seconds(luna16: Luna16) -> None:
    annotations, excluded, scans = luna16
    marks = submission(annotations, excluded, scans, 55_000, 6)
    start = time.process_time()
    result = froc(annotations, excluded, scans, marks)
    assert time.process_time() - start < 5
    assert len(OPERATING_POINTS) == len(result.sensitivity) == 7
    start = time.process_time()
    froc(annotations, excluded, scans, marks, bootstrap=1000)
    assert time.process_time() - start < 20
