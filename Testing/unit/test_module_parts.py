"""Parts of the Slicer module that need no Slicer: rows of the table, expected performance, an overridden warning."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from result_inputs import make_result, make_volume

from LungNoduleCADLib.app import candidates, worker
from LungNoduleCADLib.app.candidates import CandidateRow, finding_row, missed_row, row_at
from LungNoduleCADLib.app.jobs import DetectionRequest, Job
from LungNoduleCADLib.app.nrrd import write_nrrd
from LungNoduleCADLib.app.operating_table import OperatingTable, card_title, read_operating_table
from LungNoduleCADLib.findings import ReferenceNodule
from LungNoduleCADLib.io.quality import check_quality
from LungNoduleCADLib.report.suggestions import suggest_one
from LungNoduleCADLib.review import Finding, Reject, Review, SetCallipers, SetDensity

POINTS: list[dict[str, Any]] = [
    {"threshold": 0.2, "sensitivity": 0.9, "fp_per_scan": 3.0, "bands": {"small": 0.8, "large": 1.0}},
    {"threshold": 0.6, "sensitivity": 0.7, "fp_per_scan": 1.0, "bands": {"small": 0.4}},
]


def row(number: int, x: float, long_axis_mm: float | None) -> CandidateRow:
    return CandidateRow(f"N{number}", 0.5, {"center_lps": (x, 0.0, 0.0), "long_axis_mm": long_axis_mm}, (1.0, 1.0, 1.0))


def test_a_click_means_the_nearest_candidate_that_reaches_so_far() -> None:
    rows = [row(1, 0.0, 30.0), row(2, 12.0, 4.0), row(3, 40.0, None)]

    def label_at(x: float) -> str | None:
        found = row_at(rows, np.array([x, 0.0, 0.0]))
        return found.label if found is not None else None

    assert [label_at(x) for x in (0.0, 8.9, 9.1, 14.9, 15.1)] == ["N1", "N1", "N2", "N2", None]
    assert [label_at(x) for x in (37.1, 36.9)] == ["N3", None]  # one without a size can still be taken hold of
    assert row_at([], np.zeros(3)) is None


def test_row_of_a_finding_says_what_counts() -> None:
    """A reader's sizes and type before the automatic ones."""
    volume = make_volume("standard")
    candidate = make_result(volume).candidates[1]
    review = Review.of([candidate])
    for change in (
        Reject(("N2",), "vessel"),
        SetDensity("N2", "part-solid"),
        SetCallipers("N2", "nodule", (12.0, 8.0)),
        SetCallipers("N2", "solid-part", (5.0, 4.0)),
    ):
        review = review.with_change(change, "Ada")
    uids = [f"1.2.{k}" for k in range(volume.shape[0])]
    made = finding_row(review.state.finding("N2"), volume, "FP", (0.5, 0.5, 0.5), uids)
    said = {
        name: made.values[name]
        for name in ("long_axis_mm", "short_axis_mm", "mean_diameter_mm", "solid_diameter_mm", "density", "status")
    }
    assert said == {
        "long_axis_mm": 12.0, "short_axis_mm": 8.0, "mean_diameter_mm": 10.0, "solid_diameter_mm": 4.5,
        "density": "part-solid", "status": "rejected",
    }  # fmt: skip
    k = round(float(volume.lps_to_index(candidate.center_lps)[0]))
    assert (made.values["slice_number"], made.values["sop_instance_uid"]) == (k + 1, uids[k])
    assert (made.label, made.score, made.values["match"], made.is_finding) == ("N2", candidate.score, "FP", True)
    assert made.values["mean_hu"] == candidate.measurements.mean_hu


def test_a_category_is_worked_out_once_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = make_volume("standard")
    review = Review.of(make_result(volume).candidates)
    asked: list[str] = []

    def suggest(finding: Finding, *rest: Any) -> Any:
        asked.append(finding.id)
        return suggest_one(finding, *rest)

    monkeypatch.setattr(candidates, "suggest_one", suggest)
    name = next(iter(review.state.findings))
    made = finding_row(review.state.finding(name), volume, None, (0.5, 0.5, 0.5))
    assert asked == []  # most tables do not show it
    assert made.advice is not None and made.advice.final == made.compared("FP", (1.0, 0.0, 0.0)).advice.final
    assert asked == [name]
    later = review.with_change(SetCallipers(name, "nodule", (40.0, 30.0)), "Ada").state.finding(name)
    assert finding_row(later, volume, None, (0.5, 0.5, 0.5)).advice.final == "4B"
    assert asked == [name, name]


def test_row_of_a_missed_nodule_can_be_seen_and_taken_hold_of() -> None:
    volume = make_volume("standard")
    x, y, z = (float(v) for v in volume.index_to_lps((4.0, 30.0, 20.0)))
    made = missed_row(3, ReferenceNodule((x, y, z), None), volume)
    assert (made.label, made.score, made.is_finding) == ("FN3", None, False)
    assert (made.values["slice_number"], made.values["match"], made.reach_mm) == (5, "FN", 3.0)
    assert missed_row(1, ReferenceNodule((x, y, z), 14.0), volume).reach_mm == 7.0


def test_groups_of_the_operating_table_are_interpolated_where_every_point_has_them() -> None:
    table = OperatingTable.from_points(POINTS, 0.5, "ten scans")
    expectation = table.at(0.4)
    assert expectation is not None
    assert expectation.bands == {"small": pytest.approx(0.6)}
    assert OperatingTable.from_json(table.to_json()) == table
    assert OperatingTable.from_json(json.loads(json.dumps(table.to_json()))).validation == "ten scans"


def test_table_of_an_older_scene_can_be_read() -> None:
    points = [{name: point[name] for name in ("threshold", "sensitivity", "fp_per_scan")} for point in POINTS]
    table = OperatingTable.from_json({"points": points, "default_threshold": 0.5})
    assert table.bands == {} and table.validation == ""


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"operating_table": 3, "default_threshold": 1}'])
def test_damaged_card_has_neither_table_nor_title(tmp_path: Path, content: str) -> None:
    (tmp_path / "classification.json").write_text(content)
    assert read_operating_table(tmp_path) is None
    assert card_title(tmp_path) == ""


@pytest.mark.parametrize("overridden", [True, False])
def test_result_says_that_a_warning_was_overridden(tmp_path: Path, overridden: bool) -> None:
    volume = make_volume("standard")
    told: list[list[str]] = []

    def detect(read: Any, control: Any, warnings: list[str]) -> Any:
        told.append(list(warnings))
        return make_result(volume)

    write_nrrd(volume, tmp_path / "input.nrrd")
    request = DetectionRequest(warnings_overridden=overridden)
    job = Job(str(tmp_path / "input.nrrd"), str(tmp_path), request)
    job.write(tmp_path / "job.json")
    worker.run(Job.read(tmp_path / "job.json"), lambda *_: None, lambda _: SimpleNamespace(detect=detect))
    warned = [finding.message for finding in check_quality(volume) if finding.severity == "warning"]
    assert warned
    assert told == [[*warned, worker.OVERRIDDEN] if overridden else warned]


def test_clinical_threshold_is_the_highest_that_keeps_the_sensitivity() -> None:
    point = {"fp_per_scan": 1.0}
    rows = [
        {**point, "threshold": t, "sensitivity": s} for t, s in ((0.9, 0.80), (0.2, 0.99), (0.7, 0.95), (0.5, 0.96))
    ]
    assert OperatingTable.from_points(rows, 0.85).clinical_threshold == 0.7
    assert OperatingTable.from_points(rows[:1], 0.85).clinical_threshold == 0.85
