"""The page of cross-validation's marks: which data sets they make, and that every picture is the right one."""

# ruff: noqa: F811 -- a fixture of another file is imported, and asked for by its name
from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_training import prepared  # noqa: F401

from LungNoduleCADLib.errors import InputError
from training import cross_validation, fold_images
from training.boxes import load_cubes
from training.evaluate import main, read_histories
from training.fold_data_sets import data_sets
from training.fold_images import FoldPatches
from training.known_nodules import known_nodules, source_of
from training.nodules import load_nodules
from training.out_of_fold import OutOfFold, mark_files, read_out_of_fold
from training.publish import calibrate
from training.sampler import load_lung
from training.splits import BACKGROUND_SCANS, fold_of

FOLDS = (0, 1)


@pytest.fixture(autouse=True)
def few_insertions(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {kind: replace(inserted, per_fold=4) for kind, inserted in cross_validation.INSERTED.items()}
    monkeypatch.setattr(cross_validation, "INSERTED", few)
    monkeypatch.setattr(fold_images, "INSERTED", few)


@pytest.fixture
def marks(tmp_path: Path, prepared: tuple[Path, Path]) -> Path:
    """A folder with two folds' marks and cases: the first cube of each fold is missed, the second one has two marks."""
    cache, data = prepared
    with (data / "lidc-nodules" / "crops.csv").open("w", newline="") as file:
        rows = [["nodule", "patient", "texture", "malignancy"]]
        rows += [[f"{n}", f"patient-{n}", 1 if n % 2 else 5, 1 if n % 2 else 4] for n in range(20)]
        csv.writer(file).writerows(rows)
    folder = tmp_path / "marks"
    folder.mkdir()
    for fold in FOLDS:
        (folder / f"cross-validation-{fold}.json").write_text(json.dumps(fold_content(fold, cache, data)))
    return folder


def fold_content(fold: int, cache: Path, data: Path) -> dict[str, Any]:
    generator = np.random.default_rng(fold)
    marks, cases = [], []

    def mark(kind: str, case: str, logit: float, hit: bool, center: list[float], doubtful: bool = False) -> None:
        opinion = {"peak": 0.5, "side_peak": 0.5, "logit": logit, "malignancy_logit": logit / 2}
        place = {"hit": hit, "doubtful": doubtful, "center_kji": center}
        marks.append({"kind": kind, "case": case, "fold": fold, **opinion, **place})

    cubes = [cube for cube in load_cubes(data / "lidc-nodules") if fold_of(cube.patient) == fold]
    for n, cube in enumerate(cubes):
        case = {"kind": "cube", "case": cube.name, "fold": fold, "diameter_mm": cube.diameter_mm}
        cases.append({**case, "malignancy": cube.malignancy, "share_in_mask": 0.5})
        for logit in ([], [2.0, 3.0])[n] if n < 2 else [1.0 + n / 10]:
            mark("cube", cube.name, logit, True, [25.0, 25.0, 24.0 + logit])
    lung = load_lung(cache / f"lung-{BACKGROUND_SCANS[fold]}.npz")
    nodules = [nodule for nodule in load_nodules(cache / "crops.npz") if nodule.fold == fold]
    for kind, inserted in cross_validation.INSERTED.items():
        for name, _, _, diameter in inserted.made(lung, nodules, fold):
            case = {"kind": kind, "case": name, "fold": fold, "diameter_mm": diameter}
            cases.append({**case, "malignancy": float("nan"), "share_in_mask": 0.5})
            mark(kind, name, 0.5, True, [40.0, 40.0, 40.0])
            mark(kind, name, 2.5, False, [10.0, 10.0, 10.0])  # beside the nodule: another one may be there
    for n, logit in enumerate(generator.normal(-1, 1, 12)):
        mark("lung", BACKGROUND_SCANS[fold], float(logit), False, [30.0, 40.0, 20.0 + n], doubtful=n == 0)
    return {"marks": marks, "cases": cases}


def loaded(folder: Path) -> OutOfFold:
    return read_out_of_fold(mark_files(folder))


def run(marks: Path, prepared: tuple[Path, Path], output: Path, *more: str) -> int:
    cache, data = prepared
    fixed = ["--marks", marks, "--data", data, "--cache", cache, "--output", output, "--bootstrap", "20"]
    return main([*map(str, fixed), *more])


def test_marks_become_a_data_set_of_each_kind(marks: Path, prepared: tuple[Path, Path]) -> None:
    out_of_fold = loaded(marks)
    cubes, inserted, any_size = data_sets(out_of_fold, known_nodules(prepared[1]))
    assert [data.origin for data in (cubes, inserted, any_size)] == ["real", "inserted", "inserted"]
    count = sum(fold_of(f"patient-{n}") in FOLDS for n in range(25))
    assert (len(cubes.nodules), len(inserted.nodules), len(any_size.nodules)) == (count, 8, 8)
    assert {n.case for n in inserted.nodules}.isdisjoint(n.case for n in any_size.nodules)
    assert np.isneginf(cubes.outcomes.nodule_score).sum() == 2  # the first of each fold
    # False marks are those in the lungs outside doubtful regions, the same for both sets; two lungs, drawn apart.
    for data in (cubes, inserted, any_size):
        assert len(data.false_marks) == 22 and data.outcomes.scans == 2
        assert [len(part) for part in data.outcomes.listed] == [len(set(data.patient.tolist())), 2]
        assert set(data.outcomes.listed[0]).isdisjoint(data.outcomes.listed[1])
    _, scores = calibrate(out_of_fold)
    np.testing.assert_array_equal(cubes.outcomes.false_score, scores[out_of_fold.is_false()])
    # Of two marks on a cube the better one speaks for it.
    second = [n for n in cubes.nodules if n.place == (25.0, 25.0, 27.0)]
    assert len(second) == 2 and all(n.malignancy_score == pytest.approx(1 / (1 + np.exp(-1.5))) for n in second)
    assert "2 left-out lungs" in cubes.description and f"{count} patients" in cubes.description


def test_kinds_that_only_judge_teach_nothing(marks: Path) -> None:
    out_of_fold = loaded(marks)
    kinds = [mark["kind"] for mark, teaches in zip(out_of_fold.marks, out_of_fold.teaches(), strict=True) if teaches]
    assert set(kinds) == {"cube", "insertion", "lung"} and "any-size" in {mark["kind"] for mark in out_of_fold.marks}
    calibration, _ = calibrate(out_of_fold)
    for mark in out_of_fold.marks:
        mark["logit"] *= -3 if mark["kind"] == "any-size" else 1
    assert calibrate(out_of_fold)[0] == calibration


def test_what_the_tables_know_of_a_nodule_is_used(marks: Path, prepared: tuple[Path, Path]) -> None:
    known = known_nodules(prepared[1])
    assert known["crop 3"].patient == "patient-3" and known["n4"].malignancy == 1
    assert source_of("R01-001 crop LIDC-IDRI-0003_R_2 17", "insertion") == "crop LIDC-IDRI-0003_R_2"
    assert source_of("9_nod2", "cube") == "9_nod2"
    out_of_fold = loaded(marks)
    for case in out_of_fold.cases:
        if case["kind"] == "insertion":
            case["case"] = case["case"].replace("ball", "crop")
    for mark in out_of_fold.marks:
        mark["case"] = mark["case"].replace("ball", "crop")
    _, inserted, _ = data_sets(out_of_fold, known)
    for nodule in inserted.nodules:
        number = int(nodule.case.split(" ")[2])
        assert nodule.density == ("ground-glass" if number % 2 else "solid")
        assert nodule.malignant is (number % 2 == 0)


def test_every_place_is_shown_in_its_own_image(marks: Path, prepared: tuple[Path, Path]) -> None:
    cache, data = prepared
    out_of_fold = loaded(marks)
    source = FoldPatches(out_of_fold, data, cache)
    cube = load_cubes(data / "lidc-nodules")[0]  # they are all alike
    name = next(c["case"] for c in out_of_fold.cases if c["kind"] == "cube")
    shown = source(name, None)
    assert shown.shape == (64, 64, 64)
    np.testing.assert_allclose(shown[7:58, 7:58, 7:58], cube.image / 255, atol=1e-6)
    lung = load_lung(cache / f"lung-{BACKGROUND_SCANS[1]}.npz")
    shown = source(BACKGROUND_SCANS[1], (30.0, 40.0, 45.0))
    np.testing.assert_allclose(shown[2:62, :, :], lung.image[:60, 8:72, 13:77] / 255, atol=1e-6)
    nodules = [nodule for nodule in load_nodules(cache / "crops.npz") if nodule.fold == 1]
    for inserted in cross_validation.INSERTED.values():
        name, image, _, _ = list(inserted.made(lung, nodules, 1))[2]
        np.testing.assert_allclose(source(name, None), image[8:72, 8:72, 8:72] / 255, atol=1e-6)


def test_the_page_of_marks(marks: Path, prepared: tuple[Path, Path], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, line in (("unet-fold0", "100,1.5,7,3.2\n200,1.2,9,6.1\n"), ("hybrid-fold0", "50,0.4,3.3\n100,0.3,6.0\n")):
        (runs / name).mkdir(parents=True)
        (runs / name / "history.csv").write_text(line)
    output = tmp_path / "page"
    assert run(marks, prepared, output, "--runs", str(runs)) == 0
    record = json.loads((output / "evaluation.json").read_text())
    assert [s["name"] for s in record["sets"]] == ["LIDC cubes", "Inserted 4-6 mm", "Inserted, any size"]
    assert {p["name"] for p in record["provenance"]} >= {"cross-validation-0.json", "cross-validation-1.json"}
    files = {path.relative_to(output).as_posix() for path in output.rglob("*")}
    assert "figures/history/unet-fold0.png" in files and "figures/data-sets.png" in files
    assert {"examples/1-LIDC-cubes/summary.png", "examples/2-Inserted-4-6-mm/summary.png"} <= files
    assert any(name.startswith("feature-maps/true_positive/") for name in files)


def test_marks_and_submissions_share_a_page(marks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = "seriesuid,coordX,coordY,coordZ,"
    (tmp_path / "a.csv").write_text(f"{head}diameter_mm\na,0,0,0,9\n")
    (tmp_path / "s.csv").write_text("a\n")
    (tmp_path / "m.csv").write_text(f"{head}probability\na,0,0,0,0.9\na,50,0,0,0.1\n")
    tables = ["--submission", "m.csv", "--annotations", "a.csv", "--scans", "s.csv"]
    tables = [str(tmp_path / word) if word.endswith(".csv") else word for word in tables]
    argv = ["--marks", str(marks), *tables, "--name", "Elsewhere", "--output", str(tmp_path / "page")]
    assert main([*argv, "--bootstrap", "0"]) == 0
    record = json.loads((tmp_path / "page" / "evaluation.json").read_text())
    assert [s["name"] for s in record["sets"]] == ["LIDC cubes", "Inserted 4-6 mm", "Inserted, any size", "Elsewhere"]
    assert "Elsewhere (real)" in capsys.readouterr().out


def test_histories_with_and_without_a_header(tmp_path: Path) -> None:
    for name, lines in (("new", "epoch,loss,auc\n1,2,0.5\n2,1,0.8\n"), ("old", "50,0.4,3.3\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "history.csv").write_text(lines)
    assert read_histories(tmp_path) == {
        "new": ("epoch", {"epoch": [1, 2], "loss": [2, 1], "auc": [0.5, 0.8]}),
        "old": ("step", {"step": [50], "loss": [0.4]}),
    }
    (tmp_path / "old" / "history.csv").write_text("50,oops,3\n")
    with pytest.raises(InputError, match="is no training history"):
        read_histories(tmp_path)
    with pytest.raises(InputError, match=r"holds no <run>/history\.csv"):
        read_histories(tmp_path / "new")


def _without(entry: str, content: dict[str, Any]) -> dict[str, Any]:
    for mark in content["marks"]:
        mark.pop(entry)
    return content


@pytest.mark.parametrize("fault", ["no marks", "no JSON", "old marks", "old cases", "unknown kind", "no hit"])
def test_marks_that_cannot_be_used_are_refused(
    fault: str, marks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = marks / "cross-validation-1.json"
    content = json.loads(path.read_text())
    message = str(path)
    if fault == "no marks":
        marks, message = tmp_path, f"{tmp_path} holds no cross-validation"
    elif fault == "no JSON":
        path.write_text("{")
    elif fault == "old marks":
        path.write_text(json.dumps(_without("side_peak", content)))
    elif fault == "old cases":
        content["cases"][0].pop("diameter_mm")
        path.write_text(json.dumps(content))
    elif fault == "unknown kind":
        content["cases"][0]["kind"] = "dream"
        path.write_text(json.dumps(content))
        message = "unknown kind 'dream'"
    else:
        for fold in FOLDS:
            path = marks / f"cross-validation-{fold}.json"
            content = json.loads(path.read_text())
            for mark in content["marks"]:
                mark["hit"] = False
            path.write_text(json.dumps(content))
        message = "hit no nodule"
    assert main(["--marks", str(marks), "--output", str(tmp_path / "page")]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1 and printed.out == ""
    assert not (tmp_path / "page").exists()


def test_pictures_need_what_cross_validation_used(
    marks: Path,
    prepared: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    cache, data = prepared
    assert main(["--marks", str(marks), "--cache", str(cache), "--output", str(tmp_path / "page")]) == 2
    out_of_fold = loaded(marks)
    changed = next(case for case in out_of_fold.cases if case["kind"] == "insertion")
    changed["diameter_mm"] += 0.1
    with pytest.raises(InputError, match="comes out otherwise now"):
        FoldPatches(out_of_fold, data, cache)(changed["case"], None)
    (cache / f"lung-{BACKGROUND_SCANS[0]}.npz").unlink()
    with pytest.raises(InputError, match=f"lung-{BACKGROUND_SCANS[0]}"):
        FoldPatches(out_of_fold, data, cache)
    (data / "lidc-nodules" / "crops.csv").unlink()
    with pytest.raises(InputError, match=r"crops\.csv does not exist"):
        known_nodules(data)
