"""What a report says of growth since a prior, in every format; and the guideline's context on the command line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from growth_inputs import PRIOR_DAY
from io_inputs import chest_hu
from pypdf import PdfReader
from report_inputs import DETECTED, DOT, ball_candidate, blob_candidates, dicom_result, result_of
from test_report_dicom import without_errors

from LungNoduleCADLib import cli
from LungNoduleCADLib.findings import Candidate
from LungNoduleCADLib.growth import GrowthFinding, StudyComparison, StudyFinding
from LungNoduleCADLib.growth.change import change_between
from LungNoduleCADLib.growth.pair import AlikeMeasured
from LungNoduleCADLib.growth.registration import Alignment
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.io.dicom_source import read_source_images
from LungNoduleCADLib.report import growth_words
from LungNoduleCADLib.report.build import build_report
from LungNoduleCADLib.report.context import GuidelineContext
from LungNoduleCADLib.report.dicom_objects import KEYWORDS
from LungNoduleCADLib.report.export import Sources, render_report
from LungNoduleCADLib.report.follow_up import FollowUp, prior_study
from LungNoduleCADLib.report.model import Report
from LungNoduleCADLib.report.suggestions import GUIDELINES, suggest
from LungNoduleCADLib.resources import resource_path
from LungNoduleCADLib.rules import NoduleFacts, Patient, Prior, ScreeningExam, facts_of, fleischner, fleischner_exam
from LungNoduleCADLib.volume import Volume

PRIOR_SERIES = {
    "series_uid": "1.2.7", "study_uid": "1.2.8", "study_date": PRIOR_DAY.strftime("%Y%m%d"),
    "series_description": "Chest then", "source": "/data/then", "slice_thickness_mm": 2.5,
}  # fmt: skip
RATIO = 2.0


@pytest.fixture(scope="module")
def volume() -> Volume:
    metadata = {"series_uid": "1.2.3", "format": "NRRD", "source": "/data/chest.nrrd", "study_date": "20260203"}
    return Volume.from_geometry(
        chest_hu(), spacing_kji_mm=(2.5, 0.8, 0.7), origin_lps=(-20, -30, -100), metadata=metadata
    )


def study_finding(candidate: Candidate) -> StudyFinding:
    measured = candidate.measurements
    return StudyFinding(f"N{candidate.id}", candidate.center_lps, measured, facts_of(measured), True, candidate.mask)


def follow_up(volume: Volume, days: int | None = 180, grew: float = RATIO, note: str = "") -> FollowUp:
    """The first of `BLOBS` grew, the second is new; the prior has one more that is gone."""
    first, second = map(study_finding, blob_candidates(volume)[:2])
    then, gone = (study_finding(ball_candidate(volume, n, DOT[0], DOT[1], 0.9)) for n in (4, 5))
    size = first.measured.volume_mm3
    alike = AlikeMeasured(grew, 0.9, 0.1, 0.0)
    change = change_between((first.facts, size, 2.5), (then.facts, size, 2.5), days, alike)
    place = (0.0, 0.0, -90.0)
    found = (
        GrowthFinding(change.trend, first, then, then.center_lps, 0.5, 0.9, change, note, alike),
        GrowthFinding("new", second, None, second.center_lps),
        GrowthFinding("gone", None, gone, place),
    )
    comparison = StudyComparison(found, days, Alignment(np.eye(4), 0.95, 0.9), ("The kernels differ.",))
    uids = tuple(f"1.2.9.{n}" for n in range(volume.shape[0]))
    study = prior_study(PRIOR_SERIES, comparison, threshold=0.5, made_by="LungNoduleCAD 1")
    return FollowUp(study, comparison, volume, uids, {})


def report_of(volume: Volume, compared: FollowUp | None, **changes: Any) -> Report:
    result = result_of(volume, blob_candidates(volume))
    return build_report(result, volume, guidelines=GUIDELINES, detected_at=DETECTED, follow_up=compared, **changes)


def files_of(report: Report, volume: Volume, deidentify: bool = False) -> dict[str, bytes]:
    sources = Sources(volume, lambda: volume, prior=volume)
    return render_report(report, ("html", "pdf", "csv", "json"), sources, deidentify=deidentify)


@pytest.fixture(scope="module")
def report(volume: Volume) -> Report:
    return report_of(volume, follow_up(volume, note="Its type was solid."))


@pytest.fixture(scope="module")
def files(report: Report, volume: Volume) -> dict[str, bytes]:
    return files_of(report, volume)


def test_each_finding_says_what_became_of_it(report: Report) -> None:
    first, second = report.findings
    assert first.growth is not None and second.growth is not None and report.prior is not None
    assert (first.growth.status, second.growth.status) == ("growing", "new")
    assert first.growth.prior is not None and first.growth.prior.label == "N4"
    assert first.growth.prior.sop_instance_uid == f"1.2.9.{DOT[0][0]}" and first.growth.prior.slice_number == 4
    assert [g.prior.label for g in report.gone if g.prior] == ["N5"]
    assert report.prior.interval_days == 180 and report.prior.date == PRIOR_DAY.isoformat()
    assert "The kernels differ." in report.warnings
    said = growth_words.growth_summary(report)
    assert said == f"Compared with {PRIOR_DAY} (180 days before): 1 growing, 1 new, 1 gone."


def test_the_categories_follow_from_the_prior(volume: Volume, report: Report) -> None:
    baseline = report_of(volume, None)
    now, before = ({a.guideline: a for a in r.findings[0].recommendations} for r in (report, baseline))
    assert "growing" in now["Lung-RADS v2022"].reason and "first screening" in before["Lung-RADS v2022"].reason
    assert "new since the prior" in report.findings[1].recommendations[0].reason
    assert "New since the prior" in report.findings[1].recommendations[1].reason
    still = report_of(volume, follow_up(volume, grew=1.02)).findings[0]
    assert still.growth is not None and still.growth.status == "stable"
    assert "not grown since the prior" in still.recommendations[0].reason
    assert baseline.prior is None and baseline.gone == () and growth_words.growth_summary(baseline) == ""


def test_json_holds_it_and_follows_its_schema(files: dict[str, bytes], report: Report, volume: Volume) -> None:
    schema = json.loads(resource_path("Report/report.schema.json").read_text(encoding="utf-8"))
    for content in (files, files_of(report_of(volume, None), volume), files_of(report, volume, deidentify=True)):
        jsonschema.Draft202012Validator(schema).validate(json.loads(content["report.json"]))
    content = json.loads(files["report.json"])
    change = content["findings"][0]["growth"]["change"]
    assert change["volume_ratio"] == RATIO and change["doubling_days"] == pytest.approx(180) and change["alike"]
    assert change["fastest_days"] < 180 < change["slowest_days"]
    assert content["findings"][1]["growth"]["change"] is None and content["gone"][0]["status"] == "gone"
    assert content["prior"]["series_uid"] == "1.2.7" and content["schema"].endswith(":3")


def test_csv_has_a_row_for_what_only_the_prior_has(files: dict[str, bytes]) -> None:
    rows = list(csv.DictReader(io.StringIO(files["report.csv"].decode("utf-8-sig"), newline="")))
    assert [(r["finding"], r["growth"], r["prior_finding"]) for r in rows] == [
        ("N1", "growing", "N4"), ("N2", "new", ""), ("", "gone", "N5"),
    ]  # fmt: skip
    assert float(rows[0]["volume_ratio"]) == RATIO and rows[2]["status"] == "prior only"
    assert {r["prior_series_uid"] for r in rows} == {"1.2.7"} and {r["interval_days"] for r in rows} == {"180"}


def test_a_reader_sees_it_in_html_and_pdf(files: dict[str, bytes]) -> None:
    html = files["report.html"].decode("utf-8")
    pages = PdfReader(io.BytesIO(files["report.pdf"])).pages
    pdf = " ".join(" ".join(page.extract_text().split()) for page in pages)
    for text in (html, pdf):
        assert "growing +100 %" in " ".join(text.split()) and f"Since {PRIOR_DAY} (180 days before)" in text
        assert "not found again" in text and "Its type was solid." in text and "180 days (" in text
    assert html.count('alt="Axial plane of the prior') == 2, "one of each finding"


def test_without_dates_there_is_growth_but_no_doubling_time(volume: Volume) -> None:
    report = report_of(volume, follow_up(volume, days=None))
    growth = report.findings[0].growth
    assert growth is not None and growth.change is not None and growth.status == "growing"
    assert growth.change.doubling_days is None and growth.change.volume_ratio == RATIO
    assert growth_words.doubling_text(growth) == growth_words.NO_TIMES
    assert "first screening" in report.findings[0].recommendations[0].reason, "no interval, no word of the guideline"
    assert "(interval unknown)" in growth_words.growth_summary(report)


def test_deidentified_it_keeps_the_interval_and_nothing_else_of_the_prior(volume: Volume) -> None:
    said = follow_up(volume)
    said = replace(said, comparison=replace(said.comparison, warnings=("See /data/then of the prior.",)))
    files = files_of(report_of(volume, said), volume, deidentify=True)
    content = json.loads(files["report.json"])
    assert content["prior"]["interval_days"] == 180 and content["prior"]["date"] == ""
    for text in (files["report.json"], files["report.html"], files["report.csv"]):
        for secret in ("1.2.7", "1.2.8", "1.2.9.", PRIOR_DAY.isoformat(), "Chest then", "/data/then"):
            assert secret.encode() not in text, secret
    assert content["findings"][0]["growth"]["prior"]["sop_instance_uid"].startswith("2.25.")


def test_sr_says_it_in_codes_and_has_no_errors(tmp_path: Path) -> None:
    record = dicom_result(tmp_path)
    volume = read_volume(tmp_path / "ct")
    report = report_of(volume, follow_up(volume))
    uids = volume.metadata["sop_instance_uids"]
    report = replace(report, series=replace(report.series, format="DICOM", sop_instance_uids=tuple(uids)))
    images = read_source_images(tmp_path / "ct", uids, KEYWORDS)
    content = render_report(report, ("sr",), Sources(volume, lambda: volume, images), deidentify=False)
    paths = {name: record / name for name in content}
    for name, path in paths.items():
        path.write_bytes(content[name])
    without_errors(paths)
    from highdicom.sr import srread

    document = srread(paths["report-sr.dcm"])
    text = str(document)
    assert "15454001" in text and "New since the prior" in text and "Volume doubling time" in text
    text = " ".join(str(item.value) for item in document.iterall() if item.keyword == "TextValue")
    assert "not found again" in text and "1 growing, 1 new, 1 gone" in text


# -- Fleischner ---------------------------------------------------------------------------------------------------


def solid(diameter_mm: float, density: str = "solid", part: float | None = None) -> NoduleFacts:
    return NoduleFacts(density, diameter_mm, part)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "before", "days", "management", "said"),
    [
        (solid(7.0), solid(5.1), 400, "CT at 6 to 12", "1.9 mm larger"),
        (solid(7.0), solid(5.0), 400, "It has grown", "which is growth"),
        (solid(7.0), solid(7.2), 715, "CT at 6 to 12", "0.2 mm smaller"),
        (solid(7.0), solid(7.2), 716, "No routine", "Unchanged for two years"),
        (solid(9.0, "ground-glass"), solid(9.0, "ground-glass"), 1811, "CT at 6", "first detection"),
        (solid(9.0, "ground-glass"), solid(9.0, "ground-glass"), 1812, "No routine", "for five years"),
        (solid(9.0, "part-solid", 5.0), solid(8.5, "part-solid", 3.0), 300, "It has grown", "Its solid part is 2.0 mm"),
        (solid(9.0, "part-solid", 2.0), solid(8.5, "ground-glass", 0.0), 300, "It has grown", "Its solid part"),
        (solid(35.0), solid(20.0), 300, "A mass", "Solid nodule"),
    ],
)
def test_fleischner_takes_growth_and_stability_from_the_prior(
    now: NoduleFacts, before: NoduleFacts, days: int, management: str, said: str
) -> None:
    advice = fleischner(now, prior=Prior(days, before))
    assert advice.management.startswith(management) and said in advice.reason


@pytest.mark.parametrize(("status", "category"), [("gone", "1"), ("resolved", "2"), ("not covered", "1")])
def test_what_is_no_longer_there_counts_for_the_examination(volume: Volume, status: Any, category: str) -> None:
    compared = follow_up(volume)
    missing = replace(compared.comparison.findings[-1], status=status)
    compared = replace(compared, comparison=replace(compared.comparison, findings=(missing,)))
    said = suggest([], GuidelineContext(), GUIDELINES, compared)
    assert said.exam[0].category == category
    assert any("N5 of the prior was not found again" in warning for warning in said.warnings) == (status == "gone")
    scored = suggest([], GuidelineContext(), GUIDELINES, replace(compared, categories={"N5": "2"}))
    assert scored.exam[0].category == "1", "a reader had called it harmless"


def test_fleischner_sees_first_to_what_has_grown() -> None:
    nodules, priors = [solid(9.0), solid(7.0)], [Prior(800, solid(9.0)), Prior(800, solid(4.5))]
    advice = fleischner_exam(nodules, priors=priors)
    assert advice.management.startswith("It has grown") and "7.0 mm" in advice.reason
    assert fleischner_exam(nodules).management.startswith("CT at 3 to 6")


# -- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return dicom_result(tmp_path)


def told(result: Path, *more: object) -> dict[str, Any]:
    assert cli.main(["report", str(result), "--format", "json", *map(str, more)]) == 0
    return json.loads((result / "report" / "report.json").read_text(encoding="utf-8"))


def test_the_guidelines_context_is_taken_from_the_command_line(result: Path) -> None:
    content = told(result, "--age", 52, "--risk", "low", "--known-cancer", "no", "--immunosuppressed", "no",
                   "--significant", "Aneurysm", "--significant", "Effusion")  # fmt: skip
    patient, exam = content["guideline_context"]["patient"], content["guideline_context"]["exam"]
    assert patient == {"age_years": 52, "known_cancer": False, "immunosuppressed": False, "screening": False,
                       "high_risk": False}  # fmt: skip
    assert exam["significant"] == ["Aneurysm", "Effusion"]
    rads, other = content["recommendations"]
    assert GuidelineContext(Patient(52, False, True, True, False), ScreeningExam("left base")).stated == (
        "screening CT, 52 years old, known cancer: no, immunosuppressed: yes, low risk, not evaluable: left base"
    )
    assert rads["suggested"].endswith("S") and "not known" not in other["reason"].lower()
    assert "not applicable" in told(result, "--known-cancer", "yes")["recommendations"][1]["suggested"]
    waiting = told(result, "--awaiting-prior", "--not-evaluable", "left base")["recommendations"][0]
    assert waiting["suggested"] == "0" and "left base" in waiting["reason"]
    assert told(result, "--suspected-infection", "tree in bud")["recommendations"][0]["suggested"] == "0"


@pytest.mark.parametrize(
    ("options", "guidelines"),
    [
        ((), ["Lung-RADS v2022", "Fleischner 2017"]),
        (("--setting", "screening"), ["Lung-RADS v2022"]),
        (("--setting", "incidental"), ["Fleischner 2017"]),
        (("--setting", "screening", "--guideline", "fleischner"), ["Fleischner 2017"]),
        (("--setting", "screening", "--guideline", "none"), []),
    ],
)
def test_the_setting_chooses_the_guideline(result: Path, options: tuple[str, ...], guidelines: list[str]) -> None:
    content = told(result, *options)
    assert [advice["guideline"] for advice in content["recommendations"]] == guidelines
    assert content["guideline_context"]["patient"]["screening"] is ("screening" in options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--age", "old"), "invalid number of years"),
        (("--age", "-1"), "is no age of a patient"),
        (("--age", "126"), "is no age of a patient"),
        (("--age", "nan"), "is no age of a patient"),
        (("--risk", "medium"), "invalid choice: 'medium'"),
        (("--setting", "fun"), "invalid choice: 'fun'"),
        (("--known-cancer", "maybe"), "invalid choice: 'maybe'"),
        (("--guideline", "bts"), "'bts' is unknown; choose from lung-rads, fleischner, or none"),
        (("--prior-date", "2025-01-01"), "give the prior's result with --prior too"),
        (("--same-patient",), "give the prior's result with --prior too"),
        (("--prior", "nowhere"), "holds no result"),
        (("--prior", "nowhere", "--prior-date", "soon"), "invalid date"),
    ],
)
def test_bad_choices_are_refused_in_one_sentence(
    result: Path, options: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", str(result), "--format", "json", *options]) == 2
    printed = capfd.readouterr().err
    assert said in printed and printed.count("\n") == 1 and not (result / "report").exists()


def test_a_result_is_no_prior_of_itself(result: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(result), "--format", "json", "--prior", str(result)]) == 2
    assert "same series" in capfd.readouterr().err
