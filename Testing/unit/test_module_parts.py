"""Parts of the Slicer module that need no Slicer: rows of the table, expected performance, an overridden warning."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from result_inputs import make_result, make_volume

from LungNoduleCADLib.app import worker
from LungNoduleCADLib.app.candidates import candidate_rows, row_at
from LungNoduleCADLib.app.jobs import DetectionRequest, Job
from LungNoduleCADLib.app.nrrd import write_nrrd
from LungNoduleCADLib.app.operating_table import OperatingTable, card_title, read_operating_table
from LungNoduleCADLib.io.quality import check_quality

POINTS: list[dict[str, Any]] = [
    {"threshold": 0.2, "sensitivity": 0.9, "fp_per_scan": 3.0, "bands": {"small": 0.8, "large": 1.0}},
    {"threshold": 0.6, "sensitivity": 0.7, "fp_per_scan": 1.0, "bands": {"small": 0.4}},
]


def entry(number: int, x: float, long_axis_mm: float | None) -> dict[str, Any]:
    return {
        "id": number,
        "score": 0.5,
        "center_lps": [x, 0.0, 0.0],
        "long_axis_mm": long_axis_mm,
        "short_axis_mm": long_axis_mm,
    }


def test_a_click_means_the_nearest_candidate_that_reaches_so_far() -> None:
    rows = candidate_rows({"candidates": [entry(1, 0.0, 30.0), entry(2, 12.0, 4.0), entry(3, 40.0, None)]})

    def label_at(x: float) -> str | None:
        row = row_at(rows, np.array([x, 0.0, 0.0]))
        return row.label if row is not None else None

    assert [label_at(x) for x in (0.0, 8.9, 9.1, 14.9, 15.1)] == ["N1", "N1", "N2", "N2", None]
    assert [label_at(x) for x in (37.1, 36.9)] == ["N3", None]  # one without a size can still be taken hold of
    assert row_at([], np.zeros(3)) is None


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
