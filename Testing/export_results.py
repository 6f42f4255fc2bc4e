"""A review to export, and what is in a report: the input of the tests of the module's reports."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
from export_inputs import ExportHere
from pydicom import dcmread
from pypdf import PdfReader
from review_inputs import READER, Reviewed

from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.resources import resource_path
from LungNoduleCADLib.review import Accept, Change, Delete, Reject, SetCallipers, SetNote, add_nodule, edit_contour
from LungNoduleCADLib.scene import read_scene
from LungNoduleCADLib.scene.detections import find_detection
from LungNoduleCADLib.scene.review import SceneReview

NOTE = "Grew since 2024; <b>spiculated</b>"


def review_it(scene: Reviewed, note: str = NOTE) -> None:
    """Accepted with callipers and a note; rejected; edited; one added and kept, one added and deleted."""
    review = scene.review()
    third = review.state.finding("N3").contour.mask
    smaller = third.voxels.copy()
    smaller[0] = False
    outside = tuple(float(v) for v in review.volume.index_to_lps((6, 16, 34)))
    changes: tuple[Change, ...] = (
        Accept(("N1",)),
        SetCallipers("N1", "nodule", (9.5, 8.5)),
        SetNote("N1", note),
        Reject(("N2",), "vessel", note),
        edit_contour(review.volume, "N3", type(third)(third.start_kji, smaller)),
        Accept(("N3",)),
    )
    for change in changes:
        review.record(change, READER)
    review.record(add_nodule(review.review, review.volume, outside), READER)
    review.record(add_nodule(review.review, review.volume, outside), READER)
    review.record(Delete("A2"), READER)


def folder_of(run: ExportHere) -> Path:
    assert run.outcome is Outcome.FINISHED, run.error
    return run.folder


def report_in(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    schema = json.loads(resource_path("Report", "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(content, schema)
    return content


def pdf_text(folder: Path) -> str:
    return " ".join(" ".join(page.extract_text().split()) for page in PdfReader(folder / "report.pdf").pages)


def sr_text(folder: Path) -> str:
    """All text of the DICOM SR."""
    elements = dcmread(folder / "report-sr.dcm").iterall()
    return "\n".join(str(element.value) for element in elements if element.keyword == "TextValue")


def csv_rows(folder: Path) -> list[dict[str, str]]:
    text = (folder / "report.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def opened(folder: Path, into: Path) -> tuple[Any, SceneReview]:
    into.mkdir()
    host = read_scene(folder / "scene.mrb", into)
    nodes = find_detection(host.scene, host.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
    assert nodes is not None
    return host, SceneReview(host.scene, nodes)


def advice(folder: Path, guideline: str) -> dict[str, Any]:
    return next(a for a in report_in(folder)["recommendations"] if a["guideline"].startswith(guideline))
