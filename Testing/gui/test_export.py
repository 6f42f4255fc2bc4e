"""The report section: what can be chosen and what not, an export and every way out of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from export_inputs import DicomDatabase, ExportHere
from host import Module
from io_inputs import write_series
from pydicom.uid import ExplicitVRLittleEndian
from PySide6 import QtCore, QtGui

from gui.driving import add, choose, detect, is_visible, set_threshold, wait_until
from gui.exporting import BOXES, FakeExport, click_export, end
from gui.module_inputs import FakeRun
from LungNoduleCADLib.app.dependencies import DependencyError
from LungNoduleCADLib.app.export_job import ExportRequest
from LungNoduleCADLib.app.export_run import ExportRun
from LungNoduleCADLib.app.progress import Progress
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.errors import InputError, LungNoduleCADError
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.report.suggestions import FLEISCHNER, LUNG_RADS
from LungNoduleCADLib.rules import Patient, ScreeningExam
from LungNoduleCADLib.scene.segments import make_labelmap
from LungNoduleCADLib.volume import Volume


def box(module: Module, name: str) -> Any:
    return getattr(module.widget.ui, f"{name}CheckBox")


def ticked(module: Module) -> set[str]:
    return {name for name in BOXES if box(module, name).property("checked")}


def greyed(module: Module) -> dict[str, str]:
    return {name: box(module, name).property("toolTip") for name in BOXES if not box(module, name).property("enabled")}


def tick(module: Module, *names: str) -> None:
    """Choose exactly these formats."""
    for name in BOXES:
        if box(module, name).property("checked") != (name in names):
            box(module, name).click()


def export_text(module: Module) -> str:
    return str(module.widget.ui.exportStatusLabel.property("text"))


def button(module: Module) -> str:
    return str(module.widget.ui.exportButton.property("text"))


def put(widget: Any, **properties: Any) -> None:
    """As a user would; each is told to who listens."""
    for name, value in properties.items():
        widget.setProperty(name, value)


def choose_guideline(module: Module, index: int) -> None:
    put(module.widget.ui.guidelineComboBox, currentIndex=index)


# -- what can be chosen ------------------------------------------------------------------------------------------------


def test_there_is_no_report_without_a_detection(module: Module, chest: Volume, tmp_path: Path) -> None:
    assert not is_visible(module, "reportCollapsibleButton")
    add(module, chest)
    assert not is_visible(module, "reportCollapsibleButton")
    detect(module, tmp_path)
    assert is_visible(module, "reportCollapsibleButton")
    slicer.mrmlScene.Clear()
    assert not is_visible(module, "reportCollapsibleButton")


def test_impossible_formats_are_grey_and_say_why(ready: Module) -> None:
    assert ticked(ready) == {"html", "pdf", "json"}
    reasons = greyed(ready)
    assert set(reasons) == {"seg", "sr"}
    assert all("not loaded from DICOM" in reason for reason in reasons.values())
    ready.widget.ui.deidentifyCheckBox.click()
    assert set(greyed(ready)) == {"seg", "sr", "mrb"} and "cannot be de-identified" in greyed(ready)["mrb"]
    ready.widget.ui.deidentifyCheckBox.click()
    assert set(greyed(ready)) == {"seg", "sr"}
    assert "3D Slicer opens" in box(ready, "mrb").property("toolTip"), "its own words are back"


def test_a_format_that_becomes_impossible_comes_back_ticked(ready: Module) -> None:
    tick(ready, "html", "mrb")
    ready.widget.ui.deidentifyCheckBox.click()
    assert ticked(ready) == {"html"}
    assert click_export(ready).request.formats == ("html",)
    end(ready, FakeExport.last, Outcome.CANCELLED)
    ready.widget.ui.deidentifyCheckBox.click()
    assert ticked(ready) == {"html", "mrb"}


def test_the_chosen_formats_are_remembered(ready: Module, tmp_path: Path) -> None:
    from LungNoduleCADLib.app.module.export_panel import ExportPanel

    tick(ready, "csv", "png")
    again = ExportPanel(ready.widget.ui, ready.widget.logic, lambda: 0.5)
    again.show(ready.widget.logic.detection(ready.widget._parameterNode.inputVolume))
    assert ticked(ready) == {"csv", "png"}


def test_without_a_format_there_is_nothing_to_export(ready: Module) -> None:
    tick(ready)
    assert not ready.widget.ui.exportButton.property("enabled")
    assert "Tick a format" in ready.widget.ui.exportButton.property("toolTip")


def dicom_volume(module: Module, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A volume that Slicer has loaded from DICOM files, with a detection."""
    hu = np.random.default_rng(0).integers(-900, 100, (40, 48, 48)).astype(np.int16)
    write_series(folder / "ct", hu, syntax=ExplicitVRLittleEndian)
    monkeypatch.setattr(slicer, "dicomDatabase", DicomDatabase(folder / "ct"), raising=False)
    node = add(module, read_volume(folder / "ct"), "4: Thorax")
    module.widget.logic.startDetection(node)
    FakeRun.last.finish(folder / "found", (0.9,))
    wait_until(module, lambda: not module.widget.logic.isRunning)
    return node


def test_a_volume_from_dicom_gives_every_format(ready: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dicom_volume(ready, tmp_path, monkeypatch)
    assert greyed(ready) == {}
    tick(ready, "seg", "sr")
    run = click_export(ready)
    assert run.request.formats == ("seg", "sr")
    assert len(run.content.dicom_files) == 40 and all(Path(path).is_file() for path in run.content.dicom_files)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda node, folder: next((folder / "ct").glob("*.dcm")) and [p.unlink() for p in (folder / "ct").iterdir()],
         "not in Slicer's DICOM database any more"),
        (lambda node, folder: setattr(slicer, "dicomDatabase", None), "not in Slicer's DICOM database any more"),
        (lambda node, folder: node.SetAttribute("DICOM.instanceUIDs",
                                                node.GetAttribute("DICOM.instanceUIDs").rpartition(" ")[0]),
         "does not have the slices of its DICOM series"),
    ],
)  # fmt: skip
def test_dicom_files_that_have_gone_or_do_not_fit_are_noticed(
    change: Any, reason: str, ready: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = dicom_volume(ready, tmp_path, monkeypatch)
    change(node, tmp_path)
    ready.widget.panel.export.updateGui()
    assert set(greyed(ready)) == {"seg", "sr"} and all(reason in said for said in greyed(ready).values())
    with pytest.raises(InputError, match=reason):
        ready.widget.logic.startExport(
            ready.widget.logic.detection(node), ExportRequest(str(tmp_path), formats=("html", "sr"))
        )


# -- what is asked -----------------------------------------------------------------------------------------------------


def test_each_guideline_asks_for_what_it_needs(ready: Module) -> None:
    def asked() -> tuple[bool, bool]:
        return is_visible(ready, "patientWidget"), is_visible(ready, "examWidget")

    seen = []
    for index in range(4):
        choose_guideline(ready, index)
        seen.append((*asked(), click_export(ready).request.guidelines))
        end(ready, FakeExport.last, Outcome.CANCELLED)
    assert seen == [
        (True, True, (LUNG_RADS, FLEISCHNER)), (False, True, (LUNG_RADS,)), (True, False, (FLEISCHNER,)),
        (False, False, ()),
    ]  # fmt: skip


def test_everything_chosen_reaches_the_export(ready: Module, tmp_path: Path) -> None:
    ui = ready.widget.ui
    unstated = click_export(ready)
    assert unstated.request.context.patient == Patient() and unstated.request.context.exam == ScreeningExam()
    end(ready, unstated, Outcome.CANCELLED)
    put(ui.ageSpinBox, value=61)
    for chosen, index in ((ui.riskComboBox, 1), (ui.cancerComboBox, 2), (ui.immunityComboBox, 1)):
        put(chosen, currentIndex=index)
    ui.awaitingPriorCheckBox.click()
    for edit, text in ((ui.notEvaluableEdit, " apex "), (ui.infectionEdit, "buds"), (ui.significantEdit, "aneurysm")):
        put(edit, text=text)
    put(ui.notesEdit, plainText="Two\nlines")
    ui.deidentifyCheckBox.click()
    set_threshold(ready, 0.7)
    run = click_export(ready)
    assert run.started
    assert run.request.context.patient == Patient(61.0, known_cancer=True, immunosuppressed=False, high_risk=False)
    assert run.request.context.exam == ScreeningExam("apex", True, "buds", ("aneurysm",))
    assert run.request.notes == "Two\nlines" and run.request.deidentify
    assert run.request.threshold == pytest.approx(0.7) and run.request.folder == str(tmp_path / "reports")
    assert run.request.formats == ("html", "pdf", "json")


def test_what_is_hidden_is_not_stated(ready: Module) -> None:
    put(ready.widget.ui.infectionEdit, text="buds")
    put(ready.widget.ui.cancerComboBox, currentIndex=2)
    choose_guideline(ready, 2)
    assert click_export(ready).request.context.exam == ScreeningExam()
    end(ready, FakeExport.last, Outcome.CANCELLED)
    choose_guideline(ready, 1)
    assert click_export(ready).request.context.patient == Patient()


def test_what_was_stated_of_one_patient_is_not_kept_for_another(ready: Module, chest: Volume, tmp_path: Path) -> None:
    ui = ready.widget.ui
    put(ui.notesEdit, plainText="Known aneurysm")
    put(ui.significantEdit, text="aneurysm")
    put(ui.ageSpinBox, value=40)
    put(ui.cancerComboBox, currentIndex=2)
    ui.awaitingPriorCheckBox.click()
    first = ready.widget._parameterNode.inputVolume
    set_threshold(ready, 0.6)
    assert ui.notesEdit.property("plainText"), "the same patient"
    add(ready, chest, "another")
    detect(ready, tmp_path / "second")
    run = click_export(ready)
    assert (run.request.notes, run.request.context.patient, run.request.context.exam) == (
        "", Patient(), ScreeningExam(),
    )  # fmt: skip
    end(ready, run, Outcome.CANCELLED)
    choose(ready, first)
    assert ui.notesEdit.property("plainText") == ""


# -- an export and its end ---------------------------------------------------------------------------------------------


def test_export_becomes_cancel_and_shows_its_progress(ready: Module) -> None:
    run = click_export(ready)
    assert button(ready) == "Cancel" and is_visible(ready, "exportProgressBar")
    assert not ready.widget.ui.reportPathLineEdit.property("enabled") and set(greyed(ready)) == set(BOXES)
    run.progress = Progress("rendering", 0.5, None)
    wait_until(ready, lambda: ready.widget.ui.exportProgressBar.property("value") == 500)
    assert export_text(ready) == "Drawing the report · 50 %"


def test_the_window_is_free_while_the_report_is_made(ready: Module) -> None:
    click_export(ready)
    ticks: list[float] = []
    timer = QtCore.QTimer()
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start(5)
    wait_until(ready, lambda: len(ticks) > 20)
    timer.stop()
    set_threshold(ready, 0.9)
    assert ready.widget.logic.isExporting


def test_a_finished_export_names_its_folder_with_a_link(ready: Module, errors: list[str]) -> None:
    run = click_export(ready)
    end(ready, run, Outcome.FINISHED)
    text = export_text(ready)
    assert "1 finding. Reviewed by Ada." in text and "the report &amp; all</a>" in text
    document = QtGui.QTextDocument()
    document.setHtml(text)
    [link] = {
        fragment.charFormat().anchorHref()
        for fragment in (it.fragment() for it in iterate(document.lastBlock()))
        if fragment.charFormat().isAnchor()
    }
    assert QtCore.QUrl(link).toLocalFile() == str(run.folder)
    assert ready.widget.ui.exportStatusLabel.property("openExternalLinks")
    assert button(ready) == "Export report" and not is_visible(ready, "exportProgressBar") and errors == []


def iterate(block: Any) -> Iterator[Any]:
    """The fragments of a text block."""
    it = block.begin()
    while not it.atEnd():
        yield it
        it += 1


def test_a_failed_export_is_one_dialog_and_stays_readable(ready: Module, errors: list[str]) -> None:
    run = click_export(ready)
    end(ready, run, Outcome.FAILED, "The disk is full; free some space.", "Traceback\nlast line")
    assert errors == ["The disk is full; free some space."]
    assert "The disk is full" in export_text(ready) and "last line" in export_text(ready)
    assert button(ready) == "Export report" and ready.widget.ui.exportButton.property("enabled")
    run = click_export(ready)
    end(ready, run, Outcome.FINISHED)
    assert "disk" not in export_text(ready)


def test_a_cancelled_export_says_so(ready: Module, errors: list[str]) -> None:
    run = click_export(ready)
    ready.widget.ui.exportButton.click()
    assert run.cancelled and button(ready) == "Cancelling…"
    assert not ready.widget.ui.exportButton.property("enabled")
    end(ready, run, Outcome.CANCELLED)
    assert export_text(ready) == "Cancelled; nothing was written." and errors == []


@pytest.mark.parametrize("missing", ["folder", "packages", "file"])
def test_what_cannot_begin_is_one_dialog(missing: str, ready: Module, tmp_path: Path, errors: list[str]) -> None:
    def declined(requirements: Path) -> None:
        raise DependencyError("highdicom was not installed; the report needs it.")

    said = {"folder": "no folder for the report", "packages": "highdicom was not installed", "file": "is a file"}
    if missing == "packages":
        ready.widget.logic.installPackages = declined
    else:
        (tmp_path / "file").write_text("x")
        path = "" if missing == "folder" else str(tmp_path / "file")
        ready.widget.ui.reportPathLineEdit.setProperty("currentPath", path)
    ready.widget.ui.exportButton.click()
    assert len(errors) == 1 and said[missing] in errors[0] and said[missing] in export_text(ready)
    assert not ready.widget.logic.isExporting and slicer.app.cursors == 0
    assert button(ready) == "Export report"


def test_packages_are_asked_for_only_where_a_format_needs_them(ready: Module) -> None:
    asked: list[str] = []
    ready.widget.logic.installPackages = lambda requirements: asked.append(requirements.name)
    tick(ready, "csv", "json")
    end(ready, click_export(ready), Outcome.CANCELLED)
    assert asked == []
    tick(ready, "html")
    end(ready, click_export(ready), Outcome.CANCELLED)
    assert asked == ["report-requirements.txt"]


def test_a_second_export_waits_for_the_first(ready: Module, tmp_path: Path) -> None:
    click_export(ready)
    nodes = ready.widget.logic.detection(ready.widget._parameterNode.inputVolume)
    with pytest.raises(LungNoduleCADError, match="already"):
        ready.widget.logic.startExport(nodes, ExportRequest(str(tmp_path)))


def test_closing_the_scene_does_not_lose_the_report(ready: Module) -> None:
    run = click_export(ready)
    slicer.mrmlScene.Clear()
    assert not run.cancelled and is_visible(ready, "reportCollapsibleButton") and button(ready) == "Cancel"
    end(ready, run, Outcome.FINISHED)
    assert not is_visible(ready, "reportCollapsibleButton")


def test_quitting_and_cleanup_end_the_export(ready: Module) -> None:
    run = click_export(ready)
    slicer.app.aboutToQuit.emit()
    assert run.cancelled and run.waited
    ready.widget.logic.exportListener = ready.widget.panel.export
    run = click_export(ready)
    ready.widget.cleanup()
    assert run.cancelled and run.waited
    ready.widget.setup()


# -- by the logic alone ------------------------------------------------------------------------------------------------


def test_the_logic_makes_a_report_of_a_review_without_the_widget(ready: Module, tmp_path: Path) -> None:
    logic = ready.widget.logic
    logic.makeExportRun = ExportHere
    nodes = logic.detection(ready.widget._parameterNode.inputVolume)
    logic.acceptFindings(nodes, ["N1"])
    logic.rejectFindings(nodes, ["N2"], "vessel", "a branch")
    logic.setNote(nodes, "N1", "solid, growing")
    done = logic.exportReport(nodes, ExportRequest(str(tmp_path / "reports"), ("json", "csv"), threshold=0.5))
    report = json.loads((done.folder / "report.json").read_text(encoding="utf-8"))
    assert {f["label"]: (f["status"], f["comment"]) for f in report["findings"]} == {
        "N1": ("accepted", "solid, growing"), "N3": ("unreviewed", ""),
    }  # fmt: skip
    assert report["rejected"][0]["reason"] == "vessel: a branch" and report["review"]["readers"] == ["Ada"]
    assert done.files == ("report.csv", "report.json") and "2 findings" in done.summary
    assert report["series"]["description"] == "CT"


def test_the_logic_says_why_there_is_no_report(ready: Module, tmp_path: Path) -> None:
    logic = ready.widget.logic
    nodes = logic.detection(ready.widget._parameterNode.inputVolume)
    (tmp_path / "file").write_text("x")

    class Failing(ExportHere):
        def _run_worker(self, folder: Path) -> tuple[str, int]:
            (folder / "worker.log").write_text("")
            return "The disk is full; free some space.", 2

    logic.makeExportRun = Failing
    with pytest.raises(LungNoduleCADError, match="The disk is full"):
        logic.exportReport(nodes, ExportRequest(str(tmp_path), ("json",)))
    assert not logic.isExporting
    with pytest.raises(InputError, match="is a file"):
        logic.exportReport(nodes, ExportRequest(str(tmp_path / "file"), ("json",)))


def test_edits_that_were_not_taken_yet_are_in_the_report(ready: Module) -> None:
    logic = ready.widget.logic
    nodes = logic.detection(ready.widget._parameterNode.inputVolume)
    review = logic.review(nodes)
    start = review.state.finding("N1").contour.mask.start_kji
    segments = slicer.vtkSlicerSegmentationsModuleLogic
    dot = make_labelmap(tuple(n - 2 for n in start), np.ones((2, 2, 2), dtype=np.uint8), review.volume)
    logic.startEditing(nodes, "N1")
    segments.SetBinaryLabelmapToSegment(dot, nodes.segmentation, "N1", segments.MODE_MERGE_MASK)
    run = click_export(ready)
    assert "edit contour" in run.content.review


def test_a_child_process_makes_the_report_while_the_window_lives(
    ready: Module, tmp_path: Path, errors: list[str]
) -> None:
    ready.widget.logic.makeExportRun = ExportRun
    tick(ready, "html", "csv", "json", "mrb")
    ready.widget.ui.exportButton.click()
    wait_until(ready, lambda: not ready.widget.logic.isExporting)
    assert errors == []
    [folder] = (tmp_path / "reports").iterdir()
    assert {path.name for path in folder.iterdir() if path.name[0] != "."} == {
        "report.html", "report.csv", "report.json", "scene.mrb",
    }  # fmt: skip
    assert folder.name in export_text(ready)
