"""`lungnodulecad evaluate report`: the page, the files beside it, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from evaluation_inputs import HEAD, random_set, small_set, write_tables
from test_cards import card_fields
from test_cli import names_below, refusal

from LungNoduleCADLib import cli
from LungNoduleCADLib.app.evaluation_report import write_evaluation
from LungNoduleCADLib.evaluation import page_files
from LungNoduleCADLib.networks.hybrid import HybridClassifier, HybridConfig
from LungNoduleCADLib.networks.weights import save_model

FIGURES = {"calibration", "confusion", "froc", "malignancy", "missed", "precision-recall", "roc"}
OUTCOMES = {"true_positive", "true_negative", "false_positive", "false_negative"}


def report(folder: Path, *more: object, output: str = "page") -> tuple[list[str], Path]:
    argv = ["evaluate", "report", *write_tables(folder), "--output", str(folder / output), "--bootstrap", "30"]
    return [*argv, *map(str, more)], folder / output


def parsed(page: Path) -> Any:
    """The page's tree; what is no HTML5 fails."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse(page.read_text(encoding="utf-8"))


def text_of(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def test_a_page_with_its_figures_and_data(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    argv, output = report(tmp_path, "--name", "Three scans", "--description", "drawn by hand")
    assert cli.main(argv) == 0
    printed = capfd.readouterr().out
    record = json.loads((output / "evaluation.json").read_text())
    (result,) = record["sets"]
    assert (result["name"], result["origin"], result["nodules"], result["scans"]) == ("Three scans", "real", 5, 3)
    # Four nodules have a mark; three of them are not 95 %, so the lowest score is the threshold.
    assert record["threshold"] == 0.2
    candidates = result["candidates"]
    assert [candidates[k] for k in ("tp", "fp", "fn", "tn")] == [4, 2, 0, 1]
    assert candidates["auc"]["value"] == pytest.approx(9 / 12)
    assert f"CPM {result['froc']['cpm']:.4f}" in printed and str(output / "index.html") in printed
    assert names_below(output) == {
        ".lungnodulecad.json", "index.html", "evaluation.json", "metrics.csv", "missed-nodules.csv", "figures",
        "figures/1-Three-scans", *(f"figures/1-Three-scans/{name}.png" for name in FIGURES),
    }  # fmt: skip
    (row,) = csv.DictReader((output / "metrics.csv").open())
    assert float(row["cpm"]) == result["froc"]["cpm"] and float(row["auc"]) == candidates["auc"]["value"]
    (missed,) = csv.DictReader((output / "missed-nodules.csv").open())
    assert (missed["case"], missed["x"], missed["diameter_mm"], missed["score"]) == ("b", "40.0", "4.0", "")


def test_figures_agree_with_evaluate_froc(tmp_path: Path) -> None:
    argv, output = report(tmp_path, "--seed", 3)
    assert cli.main(argv) == 0
    froc = ["evaluate", "froc", *write_tables(tmp_path), "--bootstrap", "30", "--seed", "3"]
    assert cli.main([*froc, "--json", str(tmp_path / "froc.json")]) == 0
    expected = json.loads((tmp_path / "froc.json").read_text())
    found = json.loads((output / "evaluation.json").read_text())["sets"][0]["froc"]
    for key in ("sensitivity", "cpm", "tp", "fp", "fn", "scans", "curve"):
        assert found[key] == expected[key]
    assert found["cpm_interval"] == expected["band"]["cpm"]


def test_the_page_stands_alone_and_says_what_the_data_say(tmp_path: Path) -> None:
    argv, output = report(tmp_path, "--name", "<b>Bold & co</b>")
    assert cli.main(argv) == 0
    tree = parsed(output / "index.html")
    sources = [image.get("src") for image in tree.iter("img")]
    assert len(sources) == len(FIGURES) and all(source.startswith("data:image/png;base64,") for source in sources)
    assert not list(tree.iter("script")) and not list(tree.iter("b"))
    targets = {element.get("id") for element in tree.iter() if element.get("id")}
    assert {link.get("href") for link in tree.iter("a")} <= {f"#{name}" for name in targets}
    shown = text_of(tree)
    result = json.loads((output / "evaluation.json").read_text())["sets"][0]
    auc = result["candidates"]["auc"]
    assert f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})" in shown
    assert f"CPM{result['froc']['cpm']:.3f}" in shown.replace(" ", "") and "<b>Bold & co</b>" in shown
    assert hashlib.sha256((tmp_path / "marks.csv").read_bytes()).hexdigest() in shown
    assert "Research use only" in shown and all(image.get("alt") for image in tree.iter("img"))


def test_every_table_names_its_data_and_no_row_mixes_two_kinds(tmp_path: Path) -> None:
    sets = [random_set(1), small_set("Real one"), small_set("Inserted one", "inserted")]
    write_evaluation(sets, tmp_path / "page", inputs=[], bootstrap=20)
    tree = parsed(tmp_path / "page" / "index.html")
    names = [data.name for data in sets]
    named = {table for article in tree.iter("article") for table in article.iter("table")}
    for article in tree.iter("article"):
        assert sum(name in text_of(article.find(".//h3")) for name in names) == 1
    for table in tree.iter("table"):
        rows = [text_of(row) for row in table.iter("tr")]
        assert all(sum(name in row for name in names) <= 1 for row in rows)
        if table not in named:  # one row a data set, with its kind in a column
            assert "Kind of data" in rows[0]
            assert [next(n for n in names if n in row) for row in rows[1:]] == names
            for row, kind in zip(rows[1:], ("simulated", "real", "real nodules inserted"), strict=True):
                assert kind in row
    assert "figures/data-sets.png" in names_below(tmp_path / "page")


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again = (report(tmp_path, output=name) for name in ("first", "again"))
    assert cli.main(first[0]) == cli.main(again[0]) == 0
    assert names_below(first[1]) == names_below(again[1])
    for name in names_below(first[1]):
        if (first[1] / name).is_file():
            assert (first[1] / name).read_bytes() == (again[1] / name).read_bytes()


def test_several_submissions_share_the_first_ones_threshold(tmp_path: Path) -> None:
    second = tmp_path / "second"
    argv, output = report(tmp_path, "--name", "A", "--origin", "real")
    argv += [*write_tables(second), "--name", "B", "--origin", "simulated"]
    (second / "marks.csv").write_text(f"{HEAD}probability\na,0,0,0,0.15\nb,0,0,0,0.9\na,9,99,0,0.5\n")
    assert cli.main(argv) == 0
    record = json.loads((output / "evaluation.json").read_text())
    assert [(s["name"], s["origin"]) for s in record["sets"]] == [("A", "real"), ("B", "simulated")]
    assert [s["candidates"]["threshold"] for s in record["sets"]] == [0.2, 0.2]
    assert record["sets"][1]["candidates"]["fn"] == 1 and record["sets"][1]["candidates"]["clinical_threshold"] == 0.15
    assert record["sets"][1]["malignancy"] is None


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Small scans named by their UIDs: air with a bright ball at each nodule."""
    folder = tmp_path / "scans"
    (folder / "subset0").mkdir(parents=True)
    k, j, i = np.ogrid[:60, :100, :140]
    for uid in ("a", "b", "c"):
        hu = np.where((k - 30) ** 2 + (j - 50) ** 2 + (i - 40) ** 2 < 16, 30, -850).astype(np.int16)
        image = sitk.GetImageFromArray(hu)
        image.SetOrigin((-40, -50, -30))
        sitk.WriteImage(image, str(folder / "subset0" / f"{uid}.mhd"))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    config = HybridConfig(patch_size=64, base_channels=4, heads=2)
    save_model(HybridClassifier(config), card_fields(patch_size=64), folder)
    return folder


def test_scans_at_hand_give_examples_and_feature_maps(tmp_path: Path, scans: Path, weights: Path) -> None:
    argv, output = report(tmp_path, "--name", "Three", "--images", scans, "--weights", weights, "--threshold", "0.55")
    assert cli.main(argv) == 0
    files = names_below(output)
    examples = {name for name in files if name.startswith("examples/1-Three/")}
    assert {name.split("/")[2] for name in examples if name.count("/") == 3} == OUTCOMES
    assert "examples/1-Three/summary.png" in files and "figures/1-Three/missed-slices.png" in files
    films = [name for name in examples if name.endswith(".gif")]
    # Two at most of three TP, two FN, one FP and two TN, of which one lies outside its scan.
    assert len(films) == 2 + 2 + 1 + 1
    maps = [name for name in files if name.startswith("feature-maps/") and name.endswith(".png")]
    assert {name.split("/")[1] for name in maps} == {"true_positive", "true_negative"}
    assert len(maps) == 2 * (1 + 2 * 7)  # the first convolution, and two of each of seven blocks
    tree = parsed(output / "index.html")
    kinds = {image.get("src").split(";")[0] for image in tree.iter("img")}
    assert kinds == {"data:image/png", "data:image/gif"}
    card = json.loads((weights / "classification.json").read_text())
    assert card["weights"]["sha256"] in text_of(tree)


REFUSED = {
    "nothing": ([], "nothing to evaluate"),
    "no annotations": (["--submission", "marks.csv", "--scans", "scans.csv"], "give one with --annotations"),
    "no scans": (["--submission", "marks.csv", "--annotations", "annotations.csv"], "list them with --scans"),
    "two names": (["TABLES", "--name", "A", "--name", "B"], "--name is given 2 times for 1"),
    "unknown origin": (["TABLES", "--origin", "dreamt"], "invalid choice: 'dreamt'"),
    "missing file": (["TABLES", "--submission", "none.csv"], "--annotations is given 1 times for 2"),
    "missing scans": (["TABLES", "--images", "nowhere"], "nowhere does not exist"),
    "folder without the scans": (["TABLES", "--images", "empty"], "holds none of the 3 scans"),
    "threshold": (["TABLES", "--threshold", "inf"], "not finite"),
    "bootstrap": (["TABLES", "--bootstrap", "-3"], "whole numbers from 0"),
    "seed": (["TABLES", "--seed", "-1"], "whole numbers from 0"),
    "weights": (["TABLES", "--images", "scans", "--weights", "nowhere"], "does not exist"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_cannot_be_is_refused_in_one_sentence(
    case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "scans/a"):
        (tmp_path / folder).mkdir(parents=True)
    words, message = REFUSED[case]
    tables = write_tables(tmp_path)
    argv = [part for word in words for part in (tables if word == "TABLES" else [word])]
    assert message in refusal(["evaluate", "report", *argv, "--output", "page"], capfd, tmp_path)


@pytest.mark.parametrize("table", ["annotations", "excluded", "scans", "submission"])
@pytest.mark.parametrize("fault", ["missing", "empty", "damaged"])
def test_a_table_that_cannot_be_read_is_named(
    table: str, fault: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    argv, _ = report(tmp_path)
    path = Path(argv[argv.index(f"--{table}") + 1])
    contents = {"empty": b"", "damaged": b"\xff\xfe\x00\x01seriesuid\x00"}
    path.unlink() if fault == "missing" else path.write_bytes(contents[fault])
    assert str(path) in refusal(argv, capfd, tmp_path)


def test_a_page_that_fails_leaves_the_former_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_evaluation([small_set()], tmp_path / "page", inputs=[], bootstrap=0)
    before = {name: (tmp_path / "page" / name).read_bytes() for name in ("index.html", "evaluation.json")}

    def fail(*arguments: object) -> bytes:
        raise RuntimeError("ink ran out")

    monkeypatch.setattr(page_files.figures, "missed_figure", fail)
    with pytest.raises(RuntimeError, match="ink"):
        write_evaluation([random_set(1)], tmp_path / "page", inputs=[], bootstrap=0)
    assert {path.name for path in tmp_path.iterdir()} == {"page"}
    assert all((tmp_path / "page" / name).read_bytes() == content for name, content in before.items())


def test_foreign_files_are_never_replaced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    argv, output = report(tmp_path)
    output.mkdir()
    (output / "mine.txt").write_text("mine")
    assert cli.main(argv) == 2
    assert "mine.txt" in capfd.readouterr().err and (output / "mine.txt").read_text() == "mine"


def test_histories_are_drawn(tmp_path: Path) -> None:
    histories = {"unet": ("step", {"step": [1.0, 2.0, 3.0], "loss": [3.0, 2.0, 1.0], "auc": [0.5, 0.7, 0.8]})}
    write_evaluation([small_set()], tmp_path / "page", inputs=[], bootstrap=0, histories=histories)
    assert "figures/history/unet.png" in names_below(tmp_path / "page")
    assert "Training run unet" in text_of(parsed(tmp_path / "page" / "index.html"))
