"""The report of a scene's detection, compared with that of an earlier scan in the same scene."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from export_inputs import ExportHere, content_of, exported, scene_of_volume
from growth_inputs import PRIOR_DAY, FollowUp, Motion, Nodule, follow_up, free_places, written_result
from review_inputs import READER

from LungNoduleCADLib.app.export_job import PriorRequest
from LungNoduleCADLib.app.export_run import SceneContent
from LungNoduleCADLib.app.nrrd import write_nrrd
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.findings import Candidate
from LungNoduleCADLib.growth import Study
from LungNoduleCADLib.resources import resource_path
from LungNoduleCADLib.review import SetCategory
from LungNoduleCADLib.volume import Volume

SEED, CHEST_MM = 5, (2.5, 1.6, 1.6)
FATES = ((8.0, 11.0), (None, 7.0))
DAYS = PriorRequest(PRIOR_DAY.isoformat(), (PRIOR_DAY + timedelta(days=180)).isoformat())


def candidates_of(study: Study) -> Any:
    def made(volume: Volume) -> Sequence[Candidate]:
        return [
            Candidate(n, f.center_lps, 0.9, None, f.mask, f.measured)
            for n, f in enumerate(study.findings, start=1)
            if f.mask is not None
        ]

    return made


@pytest.fixture(scope="module")
def made() -> FollowUp:
    """Two scans of a chest in which one nodule has grown and one is new."""
    places = free_places(SEED, CHEST_MM, len(FATES))
    nodules = [Nodule(place, *sizes) for place, sizes in zip(places, FATES, strict=True)]
    return follow_up(SEED, nodules, Motion((4.0, -3.0, 5.0)), base_spacing=CHEST_MM)


@pytest.fixture(scope="module")
def content(made: FollowUp, tmp_path_factory: pytest.TempPathFactory) -> SceneContent:
    """Both in a scene; the reader called the first nodule 3 then."""
    home = tmp_path_factory.mktemp("scans")
    now = scene_of_volume(made.current.volume, home / "now", candidates_of(made.current), "CT")
    then = scene_of_volume(made.prior.volume, home / "then", candidates_of(made.prior), "CT")
    then.review().record(SetCategory("N1", "Lung-RADS v2022", "3", "CT in 6 months.", "smooth"), READER)
    return replace(content_of(now), prior=content_of(then))


def report_of(run: ExportHere) -> dict[str, Any]:
    assert run.outcome is Outcome.FINISHED, run.error
    report = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, json.loads(resource_path("Report", "report.schema.json").read_text(encoding="utf-8")))
    return report


def test_the_report_says_what_grew_and_what_is_new(content: SceneContent, tmp_path: Path) -> None:
    run = exported(content, tmp_path, "json", "html", prior=DAYS)
    report = report_of(run)
    assert report["prior"]["interval_days"] == 180
    growth = {finding["label"]: finding["growth"]["status"] for finding in report["findings"]}
    assert growth == {"N1": "growing", "N2": "new"}
    assert "comparing" in run.stages
    assert "180 days before" in (run.folder / "report.html").read_text(encoding="utf-8")


def test_without_days_the_sizes_are_compared_and_no_doubling_is_said(content: SceneContent, tmp_path: Path) -> None:
    report = report_of(exported(content, tmp_path, "json"))
    assert report["prior"]["interval_days"] is None
    change = report["findings"][0]["growth"]["change"]
    assert change["volume_ratio"] > 1.25 and change["doubling_days"] is None


def test_a_report_without_a_prior_has_none(content: SceneContent, tmp_path: Path) -> None:
    run = exported(replace(content, prior=None), tmp_path, "json")
    assert report_of(run)["prior"] is None and "comparing" not in run.stages


def test_a_prior_of_other_lungs_is_refused_and_leaves_nothing(content: SceneContent, tmp_path: Path) -> None:
    assert content.prior is not None
    grid = content.prior.volume
    empty = replace(content.prior, volume=grid.with_voxels((grid.voxels * 0 + 40).astype(grid.voxels.dtype)))
    run = exported(replace(content, prior=empty), tmp_path / "out", "json")
    assert run.outcome is Outcome.FAILED and run.error
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


# -- from a folder -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(made: FollowUp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prior as the command line left it."""
    return written_result(tmp_path_factory.mktemp("results") / "then", made.prior)


def alone(content: SceneContent) -> SceneContent:
    return replace(content, prior=None)


def test_a_prior_from_a_folder_says_the_same_as_one_in_the_scene(
    content: SceneContent, folder: Path, tmp_path: Path
) -> None:
    now = (PRIOR_DAY + timedelta(days=180)).isoformat()
    run = exported(alone(content), tmp_path / "a", "json", "html", prior=PriorRequest("", now, folder=str(folder)))
    assert "comparing" in run.stages
    there, here = report_of(run), report_of(exported(content, tmp_path / "b", "json", prior=DAYS))
    assert there["prior"]["interval_days"] == 180  # the result knows its own day
    for finding, other in zip(there["findings"], here["findings"], strict=True):
        assert finding["growth"]["status"] == other["growth"]["status"]
        if finding["growth"]["change"] is not None:
            ratios = [f["growth"]["change"]["volume_ratio"] for f in (finding, other)]
            assert ratios[0] == pytest.approx(ratios[1], rel=0.02)
    assert "180 days before" in (run.folder / "report.html").read_text(encoding="utf-8")


def refused(run: ExportHere, out: Path) -> str:
    assert run.outcome is Outcome.FAILED
    assert not out.exists() or not any(out.iterdir())
    return run.error


def test_a_folder_that_has_gone_is_one_sentence(content: SceneContent, tmp_path: Path) -> None:
    run = exported(alone(content), tmp_path / "out", "json", prior=PriorRequest(folder=str(tmp_path / "gone")))
    assert "holds no result" in refused(run, tmp_path / "out")


def test_another_scan_than_the_results_is_one_sentence(content: SceneContent, folder: Path, tmp_path: Path) -> None:
    write_nrrd(content.volume.cropped((0, 0, 0), (20, *content.volume.shape[1:])), tmp_path / "other.nrrd")
    asked = PriorRequest(folder=str(folder), scan=str(tmp_path / "other.nrrd"))
    run = exported(alone(content), tmp_path / "out", "json", prior=asked)
    assert "is not the scan that the result in" in refused(run, tmp_path / "out")
    assert "give that under 'Its scan'" in run.error


def test_a_scan_that_has_gone_is_one_sentence(content: SceneContent, made: FollowUp, tmp_path: Path) -> None:
    result = written_result(tmp_path / "then", made.prior)
    (tmp_path / "then.nrrd").unlink()
    run = exported(alone(content), tmp_path / "out", "json", prior=PriorRequest(folder=str(result)))
    assert "is no longer there; say where it is now under 'Its scan'" in refused(run, tmp_path / "out")
