"""HTML, PDF, CSV, JSON and PNG: what is in them, that it is valid, and that hostile text comes out harmless."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import html5lib
import jsonschema
import numpy as np
import pytest
from io_inputs import chest_hu
from numpy.typing import NDArray
from PIL import Image
from pypdf import PdfReader
from report_inputs import DETECTED, HOSTILE, ball_candidate, blob_candidates, result_of, reviewed

from LungNoduleCADLib.report.build import build_report
from LungNoduleCADLib.report.csv_report import COLUMNS
from LungNoduleCADLib.report.export import Sources, render_report
from LungNoduleCADLib.report.key_images import OUTLINE_COLOR
from LungNoduleCADLib.report.locator import locator_images
from LungNoduleCADLib.report.model import NOTICE, Report
from LungNoduleCADLib.report.panels import rgb
from LungNoduleCADLib.report.quantities import QUANTITIES
from LungNoduleCADLib.report.suggestions import GUIDELINES
from LungNoduleCADLib.resources import resource_path
from LungNoduleCADLib.review import Review
from LungNoduleCADLib.volume import Volume

FORMATS = ("html", "pdf", "csv", "json", "png")


@dataclass(frozen=True, eq=False)
class Rendered:
    """A report and its files."""

    report: Report
    files: dict[str, bytes]

    @property
    def html(self) -> str:
        return self.files["report.html"].decode("utf-8")

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.files["report.json"])

    @property
    def rows(self) -> list[dict[str, str]]:
        text = self.files["report.csv"].decode("utf-8-sig")
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def pdf_text(self) -> str:
        """All text of the PDF, each run of white space as one space."""
        pages = PdfReader(io.BytesIO(self.files["report.pdf"])).pages
        return " ".join(" ".join(page.extract_text().split()) for page in pages)


def rendered(
    make_candidates: Callable[[Volume], Any] = blob_candidates,
    review: Callable[[Any], Review] | None = None,
    notes: str = "",
    hu: NDArray[np.int16] | None = None,
    **series: str,
) -> Rendered:
    metadata = {"series_uid": "1.2.3", "format": "NRRD", "source": "/data/chest.nrrd", **series}
    volume = Volume.from_geometry(
        chest_hu() if hu is None else hu,
        spacing_kji_mm=(2.5, 0.8, 0.7),
        origin_lps=(-20, -30, -100),
        metadata=metadata,
    )
    candidates = make_candidates(volume)
    report = build_report(
        result_of(volume, candidates),
        volume,
        None if review is None else review(candidates),
        guidelines=GUIDELINES,
        detected_at=DETECTED,
        notes=notes,
    )
    return Rendered(report, render_report(report, FORMATS, Sources(volume, lambda: volume), deidentify=False))


PATIENT = {
    "patient_name": "Łukasiewicz^Zoë",
    "patient_id": "4711",
    "patient_birth_date": "19700102",
    "patient_sex": "F",
    "patient_age": "056Y",
    "study_date": "20260203",
    "accession_number": "A-815",
}


@pytest.fixture(scope="module")
def full() -> Rendered:
    """Two findings that a reader has judged, of a known patient."""
    return rendered(review=reviewed, notes="First line.\nSecond line.", **PATIENT)


@pytest.fixture(scope="module")
def unreviewed() -> Rendered:
    return rendered(**PATIENT)


@pytest.fixture(scope="module")
def empty() -> Rendered:
    return rendered(lambda volume: [])


@pytest.fixture(scope="module")
def hostile() -> Rendered:
    """Everything that comes from elsewhere is out to do harm."""
    note, name = "\n".join(HOSTILE), " ".join(HOSTILE)
    keys = ("patient_name", "patient_id", "patient_birth_date", "patient_sex", "patient_age", "study_date",
            "study_time", "study_description", "accession_number", "institution", "series_uid", "series_description",
            "body_part", "manufacturer", "model", "kernel", "tube_voltage_kv", "selection", "source",
            "format")  # fmt: skip
    return rendered(
        review=lambda candidates: reviewed(candidates, note.replace("\udc80", ""), name.replace("\udc80", "")),
        notes=note,
        **{key: f"{HOSTILE[n % len(HOSTILE)]} {name}" for n, key in enumerate(keys)},
    )


CASES = ("full", "unreviewed", "empty", "hostile")


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Rendered:
    return request.getfixturevalue(request.param)


# -- HTML --------------------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """All elements with their attributes, and the text of the body."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._hidden += tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)

    def with_tag(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_html_is_parsed_without_an_error(case: Rendered) -> None:
    html5lib.HTMLParser(strict=True).parse(case.html)


def test_html_that_is_wrong_would_be_noticed() -> None:
    with pytest.raises(html5lib.html5parser.ParseError):
        html5lib.HTMLParser(strict=True).parse("<!DOCTYPE html><title>x</title><p><div></p>")


def test_html_is_well_formed_for_who_cannot_see_it(case: Rendered) -> None:
    page = Elements(case.html)
    assert page.with_tag("html") == [{"lang": "en"}] and len(page.with_tag("title")) == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for reference in ("aria-labelledby",):
            assert attributes.get(reference, ids[0]) in ids
    assert all(a["href"][1:] in ids for a in page.with_tag("a") if a["href"])
    assert all(image["alt"] for image in page.with_tag("img"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all("scope" in header for header in page.with_tag("th"))


def test_html_refers_to_nothing_outside_and_runs_nothing(case: Rendered) -> None:
    page = Elements(case.html)
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base", "svg", "audio", "video"})
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert attributes.get("src", "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
        assert attributes.get("href", "#").startswith("#")
        assert "style" not in attributes
    style = re.search(r"<style>(.*?)</style>", case.html, re.DOTALL)
    assert style is not None and "url(" not in style[1] and "@import" not in style[1]
    policy = next(m for m in page.with_tag("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_html_shows_each_finding_with_its_images_size_and_slice(full: Rendered, unreviewed: Rendered) -> None:
    page = Elements(unreviewed.html)
    text = " ".join(" ".join(page.text).split())
    for finding in unreviewed.report.findings:
        assert f"{finding.mean_diameter_mm:.1f} mm, solid, {finding.location}, slice {finding.slice_number}" in text
        alts = [image["alt"] or "" for image in page.with_tag("img")]
        for plane in ("Axial", "Coronal", "Sagittal"):
            assert any(alt.startswith(f"{plane} plane through {finding.label} ") for alt in alts)
    assert text.count("Not reviewed") >= 3
    for expected in ("Łukasiewicz, Zoë", "4711", "1970-01-02, 56 years, female", "2026-02-03", "A-815", NOTICE,
                     "a" * 64, "b" * 64, "score 0.5", "1.2.3", "Slices of 2.5 mm", "Category 3",
                     "Malignancy estimate 0.25 (by diameter 0.50)"):  # fmt: skip
        assert expected in text, expected
    text = " ".join(" ".join(Elements(full.html).text).split())
    for expected in ("9.5 × 8.5 mm (callipers)", "Accepted by Dr. Read", "by Dr. Read; suggested 4A", "Category 4B",
                     "2026-03-04 06:06:07+00:00", "Rejected by Dr. Read", "vessel: Stable since 2024."):  # fmt: skip
        assert expected in text, expected
    assert "First line.\nSecond line." in "".join(Elements(full.html).text)


def test_html_of_nothing_says_so(empty: Rendered) -> None:
    text = " ".join(" ".join(Elements(empty.html).text).split())
    assert "No findings" in text and "does not exclude a nodule" in text and NOTICE in text
    assert "Not reviewed by a radiologist" in text
    assert "Key images" not in text and len(Elements(empty.html).with_tag("img")) == 2


def test_hostile_text_is_shown_and_not_run(hostile: Rendered) -> None:
    page = Elements(hostile.html)
    text = "".join(page.text)
    for shown in ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "</style></bdi><h1>x"):
        assert shown in text, shown
    assert "49" not in re.findall(r"\{\{.*?\}\}", text) and "\u202e" not in text
    assert len(page.with_tag("h1")) == 1


# -- PDF ---------------------------------------------------------------------------------------------------------------


def test_pdf_says_what_the_html_says(full: Rendered, unreviewed: Rendered, empty: Rendered) -> None:
    text = unreviewed.pdf_text()
    for finding in unreviewed.report.findings:
        assert f"{finding.mean_diameter_mm:.1f} mm, solid, {finding.location}, slice {finding.slice_number}" in text
    for expected in ("Łukasiewicz, Zoë", "4711", "A-815", NOTICE, "a" * 64, "score 0.5", "Not reviewed", "Category 3",
                     "Slices of 2.5 mm", "2 findings", "0.25 (by diameter 0.50)"):  # fmt: skip
        assert expected in text, expected
    assert "Category 4B" in full.pdf_text() and "Rejected by Dr. Read" in full.pdf_text()
    assert "No findings" in empty.pdf_text() and "does not exclude a nodule" in empty.pdf_text()


def test_every_page_of_a_pdf_says_whose_it_is_and_what_for(full: Rendered) -> None:
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(full.files["report.pdf"])).pages]
    assert len(pages) > 1
    for number, text in enumerate(pages, start=1):
        assert f"{NOTICE} · page {number} of {len(pages)}" in text
        assert "Łukasiewicz, Zoë" in text and "4711" in text


def test_pdf_embeds_its_pictures_and_letters(full: Rendered) -> None:
    reader = PdfReader(io.BytesIO(full.files["report.pdf"]))
    assert reader.metadata is not None and reader.metadata.subject == NOTICE
    images = sum(len(page.images) for page in reader.pages)
    assert images >= 2 + 1 + 4, "projections, thumbnail, key images"
    fonts = {
        font.get_object()["/BaseFont"]: font.get_object().get("/FontDescriptor")
        for page in reader.pages
        for font in page["/Resources"]["/Font"].values()  # type: ignore[index]
    }
    used = [name for name in fonts if "DejaVu" in name]
    assert used and all("/FontFile2" in fonts[name].get_object() for name in used)


def test_letters_of_many_scripts_are_in_the_pdf(hostile: Rendered) -> None:
    text = hostile.pdf_text()
    assert "Ωμέγα Ünïcode" in text
    assert "<script>alert(1)</script>" in text and "{{ 7*7 }}" in text


def test_right_to_left_letters_are_put_in_the_order_in_which_they_are_read() -> None:
    from LungNoduleCADLib.report.pdf_text import markup

    assert markup("שלום") == "םולש"
    assert markup("Dr. שלום 12") == "Dr. םולש 12"
    assert markup("מר (Doe)") == "(Doe) רמ"
    meem_initial, hah_medial, meem_medial, dal_final = "\ufee3", "\ufea4", "\ufee4", "\ufeaa"
    assert markup("محمد") == dal_final + meem_medial + hah_medial + meem_initial
    assert markup("دار") == "\ufead\ufe8d\ufea9", "letters that join to nothing behind them"
    assert "<br/>" in markup("שלום " * 40) and "<br/>" not in markup("word " * 40)


def test_markup_of_the_pdf_is_escaped_and_letters_no_font_has_are_marked() -> None:
    from LungNoduleCADLib.report.pdf_text import MISSING, markup

    assert markup("<b>&amp;</b>\nx") == "&lt;b&gt;&amp;amp;&lt;/b&gt;<br/>x"
    assert markup("\U0001f9ff") == MISSING
    assert re.fullmatch(r'<font name="[^"]+">山</font>', markup("山"))


def test_a_pdf_holds_text_of_any_length() -> None:
    long = "word " * 4000
    report = rendered(
        lambda volume: [ball_candidate(volume, n, (3, 20, 12), 4.0, 0.9) for n in range(1, 4)],
        review=lambda candidates: reviewed(candidates, long, f"Dr. {long}"),
        notes=long,
        patient_name="X" * 3000,
        study_description=long,
    )
    assert len(PdfReader(io.BytesIO(report.files["report.pdf"])).pages) > 5
    assert "shortened; the HTML and JSON reports have it all" in report.pdf_text()


# -- CSV ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(121, 5, 5), (5, 201, 5), (3, 5, 301)])
def test_a_scan_of_a_few_rows_and_columns_has_a_report(shape: tuple[int, int, int]) -> None:
    made = rendered(lambda volume: [ball_candidate(volume, 1, [n // 2 for n in shape], 1.5, 0.9)], hu=_noise(shape))
    locators = locator_images(made.report, Volume.from_geometry(_noise(shape), spacing_kji_mm=(2.5, 0.8, 0.7),
                                                               origin_lps=(-20, -30, -100)))  # fmt: skip
    for image in locators:
        badge = np.argwhere((np.asarray(image.picture) == rgb(OUTLINE_COLOR)).all(axis=-1))
        assert np.abs(badge.mean(axis=0) - np.array(image.picture.size[::-1]) / 2).max() < 12
    assert "N1" in made.pdf_text()
    where = made.html[made.html.index('<div class="where">') :]
    for width, height in re.findall(r'<img [^>]*width="(\d+)" height="(\d+)"', where)[:2]:
        assert max(int(width), int(height)) <= 5 * min(int(width), int(height))


def _noise(shape: tuple[int, int, int]) -> NDArray[np.int16]:
    return np.random.default_rng(0).normal(-700, 200, shape).astype(np.int16)


def test_csv_has_a_row_for_each_finding_that_says_all_by_itself(full: Rendered) -> None:
    rows = full.rows
    assert [(row["finding"], row["status"]) for row in rows] == [("N1", "accepted"), ("N2", "rejected")]
    assert list(rows[0]) == list(COLUMNS)
    for row in rows:
        assert row["notice"] == NOTICE and row["threshold"] == "0.5" and row["series_uid"] == "1.2.3"
        assert row["patient_name"] == "Łukasiewicz, Zoë" and "a" * 64 in row["weights_sha256"]
        assert row["reader"] == "Dr. Read" and row["detected_at"] == "2026-03-04 05:06:07+00:00"
    assert "set callipers nodule: 9.5 x 8.5 mm" in rows[0]["history"]
    assert rows[0]["long_axis_mm"] == "9.5" and rows[0]["mean_diameter_mm"] == "9"
    assert rows[0]["notes"] == "First line.\nSecond line."
    finding = full.report.findings[0]
    for quantity in QUANTITIES:
        assert float(rows[0][quantity.key]) == pytest.approx(quantity.of(finding), rel=1e-9)


def test_csv_of_nothing_has_a_row_that_says_so(empty: Rendered) -> None:
    (row,) = empty.rows
    assert (row["finding"], row["status"], row["review"], row["notice"]) == ("", "no findings", "not reviewed", NOTICE)


def test_no_cell_of_a_csv_is_run(hostile: Rendered) -> None:
    assert len(hostile.rows) == 2
    for row in hostile.rows:
        assert None not in row, "no text breaks a row"
        for column, cell in row.items():
            if not re.fullmatch(r"-?[0-9.e+-]+", cell):  # a number may be negative
                assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝")), (column, cell)
    assert hostile.rows[0]["comment"].count("\n") >= 2, "lines are kept, quoted"


# -- JSON --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema() -> jsonschema.protocols.Validator:
    content = json.loads(resource_path("Report", "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content, format_checker=jsonschema.FormatChecker())


def test_json_is_as_its_schema_says(case: Rendered, schema: Any) -> None:
    assert case.json["schema"] == schema.schema["$id"] and case.json["notice"] == NOTICE
    if case.json["series"]["sop_instance_uids"] == []:
        schema.validate(case.json)


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report.pop("notice"),
        lambda report: report.update(extra=1),
        lambda report: report["findings"][0].update(status="perhaps"),
        lambda report: report["findings"][0]["measurements"].pop("volume_mm3"),
        lambda report: report["findings"][0]["measurements"].update(volume_mm3="12"),
        lambda report: report["findings"][0].update(label="<N1>"),
        lambda report: report["review"].update(reviewed=-1),
        lambda report: report.update(audit_trail=[]),
        lambda report: report["method"].update(threshold=1.5),
    ],
)
def test_the_schema_refuses_what_is_no_report(change: Callable[[Any], Any], full: Rendered, schema: Any) -> None:
    report = full.json
    schema.validate(report)
    change(report)
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(report)


def test_json_tells_measurements_review_and_provenance(full: Rendered) -> None:
    report = full.json
    (finding,) = report["findings"]
    assert finding["measurements"]["long_axis_mm"] == 9.5 and finding["callipers"] is True
    assert finding["automatic"]["long_axis_mm"] == full.report.findings[0].measured.long_axis_mm
    measured = finding["measurements"]
    assert (measured["malignancy"], measured["malignancy_by_diameter"]) == (0.25, 0.5)
    assert finding["reader"] == "Dr. Read" and finding["reviewed_at"] == "2026-03-04T06:06:07+00:00"
    assert finding["recommendations"][0]["overridden_by"]["reader"] == "Dr. Read"
    assert report["method"]["models"][0]["sha256"] == "a" * 64
    assert report["audit_trail"][0]["action"] == "detected"
    assert report["rejected"][0]["reason"].startswith("vessel")
    assert report["patient"]["name"] == "Łukasiewicz, Zoë"


def test_hostile_text_is_only_text_in_json(hostile: Rendered) -> None:
    report = hostile.json
    assert report["notes"].count("\n") >= len(HOSTILE) - 1
    assert "<script>alert(1)</script>" in report["notes"]


# -- PNG ---------------------------------------------------------------------------------------------------------------


def test_png_has_a_sheet_for_each_finding_with_its_provenance(unreviewed: Rendered) -> None:
    names = [name for name in unreviewed.files if name.endswith(".png")]
    assert names == ["key-image-N1.png", "key-image-N2.png"]
    picture = Image.open(io.BytesIO(unreviewed.files["key-image-N1.png"]))
    assert picture.info["Disclaimer"] == NOTICE and "threshold 0.5" in picture.info["Source"]
    assert "aaaaaaaaaaaa" in picture.info["Source"] and "1.2.3" in picture.info["Source"]
    colors = {color for _, color in picture.convert("RGB").getcolors(1 << 24)}
    assert (255, 204, 51) in colors, "the outline"
    assert len(colors) > 100, "the scan"


def test_png_tells_no_name(full: Rendered) -> None:
    picture = Image.open(io.BytesIO(full.files["key-image-N1.png"]))
    assert "Łukasiewicz" not in str(picture.info) and "4711" not in str(picture.info)


def test_png_of_nothing_says_so(empty: Rendered) -> None:
    assert [name for name in empty.files if name.endswith(".png")] == ["no-findings.png"]
    assert Image.open(io.BytesIO(empty.files["no-findings.png"])).info["Title"] == "No findings"


def test_the_outline_is_drawn_where_the_nodule_is(unreviewed: Rendered) -> None:
    from LungNoduleCADLib.report.key_images import PANEL_PX, key_images

    volume = Volume.from_geometry(chest_hu(), spacing_kji_mm=(2.5, 0.8, 0.7), origin_lps=(-20, -30, -100))
    finding = unreviewed.report.findings[0]
    images = {image.name: image for image in key_images(finding, volume)}
    assert list(images) == ["slice", "axial", "coronal", "sagittal"]
    for name in ("axial", "coronal", "sagittal"):
        pixels = images[name].picture.load()
        amber = [(x, y) for x in range(PANEL_PX) for y in range(PANEL_PX) if pixels[x, y] == (255, 204, 51)]
        xs, ys = zip(*amber, strict=True)
        field_mm = 45.0
        wide = (max(xs) - min(xs)) / PANEL_PX * field_mm
        assert abs((max(xs) + min(xs)) / 2 - PANEL_PX / 2) < 20 and abs((max(ys) + min(ys)) / 2 - PANEL_PX / 2) < 20
        assert wide == pytest.approx(8.0, abs=2.5), "twice the radius"


def test_a_finding_that_is_only_a_point_is_marked_by_a_cross(unreviewed: Rendered) -> None:
    from LungNoduleCADLib.report.key_images import key_images

    volume = Volume.from_geometry(chest_hu(), spacing_kji_mm=(2.5, 0.8, 0.7), origin_lps=(-20, -30, -100))
    finding = replace(unreviewed.report.findings[0], mask=None, callipers_mm=(5.0, 4.0))
    axial = key_images(finding, volume)[1].picture
    assert axial.getpixel((180, 180)) == (255, 204, 51)


def test_formats_are_files_of_the_names_that_are_documented(full: Rendered) -> None:
    assert set(full.files) == {"report.html", "report.pdf", "report.csv", "report.json", "key-image-N1.png"}
