"""`lungnodulecad evaluate report` on folders: results of `detect`, and tables under LUNA16's names."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk
from evaluation_inputs import HEAD, write_tables
from io_inputs import SYNTHETIC_SERIES, write_series
from result_inputs import BLOBS, make_result, make_volume
from test_cli import names_below, refusal

from LungNoduleCADLib import cli
from LungNoduleCADLib.app.marks import read_marks
from LungNoduleCADLib.app.scan_patches import ScanPatches, ScanPlace, scans_in
from LungNoduleCADLib.app.submission_set import SubmissionFiles, submission_set
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.preprocess.settings import Preprocessing
from LungNoduleCADLib.report.tables import write_candidates_csv, write_findings_json
from LungNoduleCADLib.volume import Volume


def write_result(folder: Path, uid: str, source: Path | None = None, malignancy: float | None = 0.4) -> None:
    """What `detect` leaves of a scan, as far as an evaluation reads it."""
    folder.mkdir(parents=True)
    volume = make_volume("standard")
    result = make_result(volume, malignancy=malignancy)
    series = {"series_uid": uid, "source": None if source is None else str(source), "format": "MetaImage"}
    result = replace(result, series=series)
    write_findings_json(result, volume, folder / "findings.json")
    write_candidates_csv(result, folder / "candidates.csv")


def write_scan(path: Path, volume: Volume) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(volume.voxels)
    image.SetSpacing([float(s) for s in volume.spacing_kji_mm[::-1]])
    image.SetOrigin([float(c) for c in volume.origin_lps])
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two results, one of a scan that is still there; a nodule where each result's first candidate lies."""
    scan = write_scan(tmp_path / "scans" / "1.1.mhd", make_volume("standard"))
    write_result(tmp_path / "results" / "one", "1.1", scan)
    write_result(tmp_path / "results" / "deeper" / "two", "1.2", tmp_path / "moved.mhd", malignancy=None)
    rows = [f"{HEAD}diameter_mm,density,mal_bool"]
    for uid, label in (("1.1", "True"), ("1.2", "False")):
        x, y, z = make_result(make_volume("standard")).candidates[0].center_lps
        rows.append(f"{uid},{x},{y},{z},16,solid,{label}")
    (tmp_path / "annotations.csv").write_text("\n".join([*rows, "9.9,0,0,0,5,,"]) + "\n")
    return tmp_path


def test_results_are_the_marks_that_detect_wrote(study: Path) -> None:
    found = read_marks(study / "results")
    assert found.scans == ("1.2", "1.1") and set(found.places) == {"1.1"}
    tables = [read_marks(study / "results" / name / "candidates.csv") for name in ("deeper/two", "one")]
    assert found.points.series.tolist() == [uid for table in tables for uid in table.points.series]
    for n, (a, b) in enumerate(zip(found.points.lps, [p for t in tables for p in t.points.lps], strict=True)):
        assert a == pytest.approx(b, abs=1e-3), n
    assert found.points.values.tolist() == [score for _ in range(2) for _, _, score in BLOBS]
    assert found.malignancy == ["", "", "", "0.4", "0.4", "0.4"]
    assert tables[0].scans is None and read_marks(study / "results" / "one").scans == ("1.1",)


def test_a_scan_without_candidates_counts_too(study: Path) -> None:
    path = study / "results" / "deeper" / "two" / "findings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "candidates": []}))
    data = submission_set(SubmissionFiles(study / "results", study / "annotations.csv"))
    assert data.outcomes.scans == 2 and len(data.nodules) == 2
    assert data.outcomes.found.tolist() == [False, True] and len(data.false_marks) == 2


def test_a_list_of_scans_decides_which_results_count(study: Path) -> None:
    (study / "list.csv").write_text("1.1\n1.3\n")
    data = submission_set(SubmissionFiles(study / "results", study / "annotations.csv", study / "list.csv"))
    assert data.outcomes.scans == 2 and {n.case for n in data.nodules} == {"1.1"}


def test_one_command_makes_the_page_of_results_with_pictures(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    argv = ["evaluate", "report", "--submission", "results", "--annotations", "annotations.csv", "--output", "page"]
    argv = [str(study / word) if "." in word or word in ("results", "page") else word for word in argv]
    assert cli.main([*argv, "--bootstrap", "20"]) == 0
    files = names_below(study / "page")
    assert "examples/1-results/summary.png" in files
    assert {name.split("/")[1] for name in files if name.startswith("feature-maps/") and name.endswith(".png")}
    record = json.loads((study / "page" / "evaluation.json").read_text())
    (result,) = record["sets"]
    assert (result["nodules"], result["scans"]) == (2, 2)
    origin = {item["name"]: item["value"] for item in record["provenance"]}
    assert "results, 2 results" in origin and "Classifier of the feature maps" in origin
    # Where no scan is left, the page says so.
    (study / "scans" / "1.1.mhd").unlink()
    assert cli.main([*argv, "--bootstrap", "0"]) == 0
    record = json.loads((study / "page" / "evaluation.json").read_text())
    assert {item["name"]: item["value"] for item in record["provenance"]}["Pictures of examples"].startswith("none")
    assert "examples" not in names_below(study / "page")


def test_a_folder_of_tables_needs_no_further_option(tmp_path: Path) -> None:
    tables = write_tables(tmp_path / "made")
    folder = tmp_path / "submission"
    folder.mkdir()
    names = ("marks", "annotations", "scans", "excluded")
    for name, called in zip(names, ("candidates", "annotations", "seriesuids", "annotations_excluded"), strict=True):
        shutil.copy(tmp_path / "made" / f"{name}.csv", folder / f"{called}.csv")
    for n, argv in enumerate((tables, ["--submission", str(folder)])):
        assert cli.main(["evaluate", "report", *argv, "--output", str(tmp_path / f"{n}"), "--bootstrap", "20"]) == 0
    first, second = (json.loads((tmp_path / f"{n}" / "evaluation.json").read_text())["sets"][0] for n in (0, 1))
    assert first["froc"] == second["froc"] and first["malignancy"] == second["malignancy"]
    # What is named explicitly comes first.
    (folder / "fewer.csv").write_text("a\n")
    argv = ["--submission", str(folder), "--scans", str(folder / "fewer.csv"), "--output", str(tmp_path / "fewer")]
    assert cli.main(["evaluate", "report", *argv, "--bootstrap", "0"]) == 0
    assert json.loads((tmp_path / "fewer" / "evaluation.json").read_text())["sets"][0]["scans"] == 1


@pytest.mark.parametrize("fault", ["empty", "damaged", "another kind", "twice", "no nodules", "no annotations"])
def test_folders_that_cannot_be_evaluated_are_refused(
    fault: str, study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results, path = study / "results", study / "results" / "one" / "findings.json"
    options = ["--annotations", str(study / "annotations.csv")]
    if fault == "empty":
        results, message = study / "scans", "holds neither results"
    elif fault == "damaged":
        path.write_text("{")
        message = f"{path} is damaged"
    elif fault == "another kind":
        path.write_text("[]")
        message = f"{path} is damaged or of another version"
    elif fault == "twice":
        shutil.copytree(path.parent, study / "results" / "copy")
        message = "are results of the same series 1.1"
    elif fault == "no nodules":
        (study / "annotations.csv").write_text(f"{HEAD}diameter_mm\n9.9,0,0,0,5\n")
        message = "None of the scans"
    else:
        options, message = [], "no table of nodules"
    argv = ["evaluate", "report", "--submission", str(results), *options, "--output", str(study / "page")]
    assert message in refusal(argv, capfd, study)


def test_lung_masks_are_not_taken_for_scans(tmp_path: Path) -> None:
    for folder in ("seg-lungs-LUNA16", "subset3"):
        write_scan(tmp_path / folder / "1.1.mhd", make_volume("standard"))
    assert scans_in(tmp_path, ["1.1"])["1.1"].path.parent.name == "subset3"


def test_the_right_series_of_a_dicom_folder_is_shown(tmp_path: Path) -> None:
    volume = make_volume("standard")
    write_series(tmp_path / "dicom" / "a", volume.voxels, spacing_kji=tuple(volume.spacing_kji_mm))
    other = (volume.voxels // 2).astype("int16")
    write_series(tmp_path / "dicom" / "b", other, spacing_kji=tuple(volume.spacing_kji_mm), SeriesInstanceUID="1.2.3.4")
    settings = Preprocessing(patch_size=64)
    for uid in (SYNTHETIC_SERIES, "1.2.3.4"):
        place = ScanPlace(tmp_path / "dicom", uid)
        scan = read_volume(tmp_path / "dicom", series_uid=uid)
        middle = tuple(float(v) for v in scan.index_to_lps([n / 2 for n in scan.shape]))
        patch = ScanPatches({uid: place}, settings)(uid, middle)  # type: ignore[arg-type]
        alone = ScanPatches({uid: ScanPlace(tmp_path / "dicom" / ("a" if uid == SYNTHETIC_SERIES else "b"))}, settings)
        expected = alone(uid, middle)  # type: ignore[arg-type]
        assert patch is not None and expected is not None and (patch == expected).all()


def test_marks_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no result"):
        read_marks(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_marks(tmp_path / "none.csv")
    (tmp_path / "m.csv").write_text(f"{HEAD}probability\na,0,0,0,0.5\n")
    (tmp_path / "a.csv").write_text(f"{HEAD}diameter_mm\na,0,0,0,5\n")
    with pytest.raises(InputError, match="list them with --scans"):
        submission_set(SubmissionFiles(tmp_path / "m.csv", tmp_path / "a.csv"))
