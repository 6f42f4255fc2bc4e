"""Sizes, types, thresholds and missed nodules of a data set, by hand; and the sets that tables give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_inputs import HEAD, random_set, small_set, write_tables

from LungNoduleCADLib.app.submission_set import SubmissionFiles, submission_set
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.evaluation.data_set import density_of_texture, is_malignant, numbered
from LungNoduleCADLib.evaluation.detection import (
    by_size,
    by_type,
    false_marks_by_case,
    missed_nodules,
    operating_table,
    table_thresholds,
)
from LungNoduleCADLib.evaluation.free_response import free_response
from LungNoduleCADLib.evaluation.record import study_as_json
from LungNoduleCADLib.evaluation.study import evaluate_sets
from LungNoduleCADLib.io.points import read_columns, read_points, read_series_list


def files_in(folder: Path, **others: object) -> SubmissionFiles:
    write_tables(folder)
    names = {"submission": "marks", "annotations": "annotations", "scans": "scans", "excluded": "excluded"}
    return replace(SubmissionFiles(**{k: folder / f"{v}.csv" for k, v in names.items()}), **others)


# -- of outcomes ------------------------------------------------------------------------------------------------------
def test_sizes_by_hand() -> None:
    rows = {row.name: row for row in by_size(small_set(), threshold=0.5)}
    assert list(rows) == ["3 to 4 mm", "6 to 8 mm", "8 to 15 mm", "30 mm and more", "unknown size"]
    assert [row.nodules for row in rows.values()] == [1, 1, 1, 1, 1]
    assert [row.found.value for row in rows.values()] == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert rows["30 mm and more"].without_mark == 1 and rows["30 mm and more"].cpm == 0
    # The nodule at 0.7 comes after one false mark in two scans: nothing at 1/8 and 1/4, all from 1/2 on.
    np.testing.assert_allclose(rows["8 to 15 mm"].sensitivity, [0, 0, 1, 1, 1, 1, 1])


def test_types_by_hand() -> None:
    rows = {row.name: (row.nodules, row.without_mark, row.found.value) for row in by_type(small_set(), threshold=0.6)}
    assert rows == {"solid": (2, 0, 0.5), "ground-glass": (2, 1, 0.5), "unknown type": (1, 0, 0.0)}


@pytest.mark.parametrize("seed", range(3))
def test_sizes_together_are_all_nodules(seed: int) -> None:
    data = random_set(seed)
    rows = by_size(data, threshold=0.5)
    result = free_response(data.outcomes)
    shares = np.array([row.nodules for row in rows]) / len(data.nodules)
    assert shares.sum() == pytest.approx(1)
    # At a given curve of false marks sensitivities add up, weighted by how many nodules each size has; the size bands'
    # own curves are interpolated between other corners, hence the tolerance.
    together = shares @ np.array([row.sensitivity for row in rows])
    np.testing.assert_allclose(together, result.sensitivity, atol=0.01)


def test_operating_table_by_hand() -> None:
    rows = operating_table(small_set().outcomes, [0.1, 0.4, 0.5, 0.95], bootstrap=0)
    assert [row.sensitivity.value for row in rows] == pytest.approx([0.8, 0.6, 0.6, 0.0])
    assert [row.fp_per_scan.value for row in rows] == pytest.approx([2.0, 1.5, 0.5, 0.0])
    assert rows[0].sensitivity.low is None


def test_operating_tables_bands_are_those_of_resampling_scan_by_scan() -> None:
    outcomes = random_set(7).outcomes
    (row,) = operating_table(outcomes, [0.6], bootstrap=80, seed=4)
    sensitivity, false = [], []
    for times in outcomes.resamples(80, 4):
        nodules = np.repeat(outcomes.nodule_score, times[outcomes.nodule_unit].astype(int))
        marks = np.repeat(outcomes.false_score, times[outcomes.false_unit].astype(int))
        sensitivity.append((nodules >= 0.6).mean())
        false.append((marks >= 0.6).sum() / outcomes.scans)
    assert (row.sensitivity.low, row.sensitivity.high) == (np.sort(sensitivity)[2], np.sort(sensitivity)[78])
    assert (row.fp_per_scan.low, row.fp_per_scan.high) == pytest.approx((np.sort(false)[2], np.sort(false)[78]))


def test_thresholds_of_a_table_suit_the_scores() -> None:
    data = small_set()
    assert {0.01, 0.5, 0.95, 0.1234} <= set(table_thresholds(data.outcomes, 0.1234))
    logits = replace(
        data.outcomes, nodule_score=data.outcomes.nodule_score * 20, false_score=-data.outcomes.false_score
    )
    thresholds = table_thresholds(logits, 3.0)
    assert thresholds == sorted(thresholds) and 3.0 in thresholds
    assert set(thresholds) - {3.0} <= {18.0, 10.0, 14.0, 6.0, -0.8, -0.4, -0.1}


def test_missed_nodules_without_a_mark_come_first() -> None:
    missed = missed_nodules(small_set(), threshold=0.7)
    assert [(m.index, m.score) for m in missed] == [(4, None), (3, 0.3), (1, 0.5)]
    assert missed[0].nodule.diameter_mm == 40.0
    assert [m.index for m in missed_nodules(small_set(), threshold=-1.0)] == [4]


def test_false_marks_are_counted_by_scan() -> None:
    assert false_marks_by_case(small_set(), threshold=0.4) == [("a", 2), ("b", 1)]


def test_candidates_leave_out_nodules_without_a_mark() -> None:
    positive, score, unit = small_set().candidates()
    assert positive.tolist() == [True] * 4 + [False] * 4
    assert score.tolist() == [0.9, 0.5, 0.7, 0.3, 0.8, 0.4, 0.4, 0.1]
    assert unit.tolist() == [0, 0, 1, 1, 0, 0, 1, 1]


# -- a study ----------------------------------------------------------------------------------------------------------
def test_the_first_sets_clinical_threshold_counts_for_all() -> None:
    study = evaluate_sets([random_set(1), small_set()], bootstrap=0)
    found = np.sort(random_set(1).outcomes.nodule_score)
    found = found[np.isfinite(found)]
    assert study.threshold == found[int(np.floor(0.05 * len(found)))]
    assert "random" in study.threshold_from
    assert {r.candidates.threshold for r in study.sets if r.candidates is not None} == {study.threshold}
    assert evaluate_sets([small_set()], threshold=0.42, bootstrap=0).threshold == 0.42


def test_malignancy_is_compared_with_the_diameter_on_the_same_nodules() -> None:
    (result,) = evaluate_sets([small_set()], bootstrap=0).sets
    assert result.malignancy is not None
    # Rated, measured and found: benign 3.5 mm at 0.2, malignant 6 mm at 0.7 and 9 mm at 0.1.
    assert (result.malignancy.score.positives, result.malignancy.score.negatives) == (2, 1)
    assert result.malignancy.comparison.first.value == 0.5
    assert result.malignancy.comparison.second.value == 1.0
    assert result.malignancy.left_out == 1


def test_one_scan_gives_no_interval_over_scans() -> None:
    data = small_set()
    alone = replace(data.outcomes, nodule_unit=np.zeros(5, dtype=int), false_unit=np.zeros(4, dtype=int))
    one = replace(data, outcomes=replace(alone, listed=(np.zeros(1, dtype=int),)))
    (result,) = evaluate_sets([one], bootstrap=20).sets
    assert result.froc.band is None and result.operating[0].sensitivity.low is None
    assert result.candidates is not None and result.candidates.auc.low is None


def test_a_study_is_seeded() -> None:
    first, again, other = (
        study_as_json(evaluate_sets([random_set(2)], bootstrap=40, seed=seed)) for seed in (1, 1, 2)
    )  # fmt: skip
    assert first == again
    assert first["sets"][0]["candidates"]["auc"]["low"] != other["sets"][0]["candidates"]["auc"]["low"]
    assert first["sets"][0]["froc"]["cpm"] == other["sets"][0]["froc"]["cpm"]


def test_nothing_to_evaluate_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluate_sets([])
    data = small_set()
    blind = replace(data, outcomes=replace(data.outcomes, nodule_score=np.full(5, -np.inf)))
    with pytest.raises(InputError, match="No mark hits a nodule of 'small'"):
        evaluate_sets([blind])
    (result,) = evaluate_sets([blind], threshold=0.5, bootstrap=0).sets
    assert result.candidates is None and result.malignancy is not None


def test_parts_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="belong together"):
        replace(small_set(), nodules=small_set().nodules[:3])


def test_readers_words() -> None:
    assert [density_of_texture(t) for t in (1, 2, 2.5, 3, 3.5, 5)] == [
        "ground-glass", "ground-glass", "part-solid", "part-solid", "solid", "solid"
    ]  # fmt: skip
    assert [is_malignant(r) for r in (1, 2, 2.5, 3, 4, 5, np.nan)] == [False, False, None, None, True, True, None]
    assert numbered(["x", "y", "x"]).tolist() == [0, 1, 0]


# -- of tables --------------------------------------------------------------------------------------------------------
def test_a_submission_becomes_a_data_set(tmp_path: Path) -> None:
    data = submission_set(files_in(tmp_path, name="Three", description="drawn by hand."))
    assert (data.name, data.origin, data.outcomes.scans) == ("Three", "real", 3)
    assert data.description == "drawn by hand; nodules: 5, scans listed: 3, marks in marks.csv: 8."
    assert data.outcomes.nodule_score.tolist() == [0.9, 0.6, -np.inf, 0.95, 0.2]
    assert [n.density for n in data.nodules] == ["solid", "part-solid", None, "solid", "solid"]
    assert [n.malignant for n in data.nodules] == [True, False, True, False, None]
    assert [n.malignancy_score for n in data.nodules] == [0.8, 0.3, None, 0.1, 0.6]
    assert data.nodules[0].place == (1, 0, 0) and data.nodules[2].place == (40, 0, 0)  # its mark, or else itself
    assert [m.case for m in data.false_marks] == ["a", "b", "c"] and data.false_marks[0].place == (90, 0, 0)


def test_luna16s_own_columns_are_understood(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    rows = ("a,0,0,0,10,True,3", "b,0,0,0,-1,False,1", "b,40,0,0,4,,5", "c,0,0,0,8,0,2")
    files.annotations.write_text("\n".join([f"{HEAD}diameter_mm,mal_bool,texture", *rows]))
    data = submission_set(files)
    assert [n.malignant for n in data.nodules] == [True, False, None, False]
    assert [n.density for n in data.nodules] == ["part-solid", "ground-glass", "solid", "ground-glass"]
    assert [n.diameter_mm for n in data.nodules] == [10, None, 4, 8]


@pytest.mark.parametrize(
    ("header", "cell", "message"),
    [
        ("density", "fluffy", "names the density 'fluffy'"),
        ("mal_bool", "maybe", "'maybe' as mal_bool"),
        ("malignancy", "high", "'high' where a number is needed"),
        ("texture", "nan", "'nan' where a number is needed"),
    ],
)
def test_words_that_are_not_known_are_refused(tmp_path: Path, header: str, cell: str, message: str) -> None:
    files = files_in(tmp_path)
    files.annotations.write_text(f"{HEAD}diameter_mm,{header}\na,0,0,0,10,{cell}\n")
    with pytest.raises(InputError, match=message):
        submission_set(files)


def test_scans_without_any_nodule_are_refused(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.scans.write_text("z\n")
    with pytest.raises(InputError, match="None of the scans"):
        submission_set(files)


def test_columns_follow_the_points_rows(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"{HEAD}diameter_mm,density\n\na,0,0,0,1, solid \n,,,,,\nb,0,0,0,2\n")
    assert read_columns(table, ("density", "texture")) == {"density": ["solid", ""]}
    assert len(read_points(table, "diameter_mm")) == 2


def test_lists_of_series_may_be_quoted_and_have_more_columns(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(b'\xef\xbb\xbf"1.2.3","x"\r\n\r\n 1.2.4 ,y\r\n1.2.3\r\n')
    assert read_series_list(tmp_path / "s.csv") == ["1.2.3", "1.2.4", "1.2.3"]


def test_a_file_that_is_no_table_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"{HEAD}diameter_mm\na,0,0,0,{'9' * 200_000}\n")
    for read in (lambda path: read_points(path, "diameter_mm"), read_series_list):
        with pytest.raises(InputError, match="no CSV file"):
            read(tmp_path / "t.csv")


def test_a_scan_listed_twice_is_twice_in_the_set(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.scans.write_text("a\nb\na\nc\n")
    data = submission_set(files)
    assert [n.case for n in data.nodules] == ["a", "b", "b", "a", "c", "c"]
    assert data.outcomes.scans == 4 and data.patient.tolist() == [0, 1, 1, 0, 2, 2]
