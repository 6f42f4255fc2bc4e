"""An earlier scan of the scene that the report compares with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import qt
import slicer
from host import Module
from report_inputs import dicom_result, file_result

from gui.driving import add, detect, is_visible, wait_until
from gui.exporting import click_export, end
from LungNoduleCADLib.app.export_job import ExportRequest, PriorRequest
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.volume import Volume


@pytest.fixture
def two(ready: Module, chest: Volume, tmp_path: Path) -> tuple[Module, Any]:
    """The module with a detection in "CT" and one in "Last year", and the node of the latter; "CT" is chosen."""
    current = ready.widget._parameterNode.inputVolume
    prior = add(ready, chest, "Last year")
    detect(ready, tmp_path / "then", (0.9, 0.8))
    ready.widget.ui.inputVolumeSelector.setCurrentNode(current)
    return ready, prior


def offered(module: Module) -> list[str]:
    box = module.widget.ui.priorComboBox
    return [box.itemText(n) for n in range(box.property("count"))]


def choose_prior(module: Module, name: str) -> None:
    box = module.widget.ui.priorComboBox
    box.setProperty("currentIndex", box.findText(name))


def test_without_another_detection_there_is_none_to_choose(ready: Module) -> None:
    assert offered(ready) == ["None: a first examination"] and not is_visible(ready, "priorDetailsWidget")
    assert click_export(ready).content.prior is None


def test_the_chosen_prior_goes_into_the_report(two: tuple[Module, Any]) -> None:
    module, _ = two
    ui = module.widget.ui
    assert offered(module) == ["None: a first examination", "Last year"]
    choose_prior(module, "Last year")
    assert is_visible(module, "priorDetailsWidget")
    ui.priorDayEdit.setProperty("text", " 2025-03-31 ")
    ui.currentDayEdit.setProperty("text", "2026-04-01")
    ui.samePatientCheckBox.click()
    module.widget.logic.acceptFindings(module.widget.logic.priors(module.widget.panel._nodes)[0][1], ["N1"])
    run = click_export(module)
    assert (run.content.name, run.content.prior.name) == ("CT", "Last year")
    assert '"accept"' in run.content.prior.review and run.content.review == "" and not run.content.prior.bundle
    assert run.request.prior == PriorRequest("2025-03-31", "2026-04-01", True)
    assert not ui.priorWidget.property("enabled")
    assert module.widget.logic._sceneReview.nodes == module.widget.panel._nodes  # the one in use is kept at hand
    end(module, run, Outcome.CANCELLED)
    assert ui.priorComboBox.property("currentText") == "Last year"


def test_a_prior_belongs_to_one_scan(two: tuple[Module, Any]) -> None:
    module, prior = two
    choose_prior(module, "Last year")
    module.widget.ui.priorDayEdit.setProperty("text", "2025-03-31")
    module.widget.ui.inputVolumeSelector.setCurrentNode(prior)
    assert offered(module) == ["None: a first examination", "CT"]
    assert module.widget.ui.priorComboBox.property("currentIndex") == 0
    assert module.widget.ui.priorDayEdit.property("text") == ""


def test_what_is_hidden_is_not_said(two: tuple[Module, Any]) -> None:
    module, _ = two
    choose_prior(module, "Last year")
    module.widget.ui.priorDayEdit.setProperty("text", "no day")
    module.widget.ui.priorComboBox.setProperty("currentIndex", 0)
    run = click_export(module)
    assert run.content.prior is None and run.request.prior == PriorRequest()


def test_a_prior_that_has_left_the_scene_is_offered_no_more(
    two: tuple[Module, Any],
    errors: list[str],
) -> None:
    module, prior = two
    choose_prior(module, "Last year")
    slicer.mrmlScene.RemoveNode(prior)
    prior = None
    module.widget.ui.exportButton.click()
    assert len(errors) == 1 and "not in the scene any more" in errors[0]
    assert not module.widget.logic.isExporting
    wait_until(module, lambda: offered(module) == ["None: a first examination"])


def test_what_is_no_date_is_one_dialog(two: tuple[Module, Any], errors: list[str]) -> None:
    module, _ = two
    choose_prior(module, "Last year")
    module.widget.ui.priorDayEdit.setProperty("text", "31.3.2025")
    module.widget.ui.exportButton.click()
    assert len(errors) == 1 and "'31.3.2025' is no date" in errors[0]
    assert not module.widget.logic.isExporting
    assert ExportRequest("x", prior=PriorRequest("2025-03-31")).is_valid() == (True, "")


# -- from a folder -------------------------------------------------------------------------------------------------


@pytest.fixture
def browsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the reader chooses in the folder dialog, next first; nothing more is a cancelled dialog."""
    answers: list[str] = []
    dialog = SimpleNamespace(getExistingDirectory=lambda *_: answers.pop(0) if answers else "")
    monkeypatch.setattr(qt, "QFileDialog", dialog)
    return answers


def browse(module: Module, browsed: list[str], folder: Path | None = None) -> None:
    if folder is not None:
        browsed.append(str(folder))
    module.widget.ui.priorFolderButton.click()


def test_a_result_of_the_command_line_becomes_the_prior(
    ready: Module,
    browsed: list[str],
    tmp_path: Path,
) -> None:
    then = tmp_path / "then"
    then.mkdir()
    folder = dicom_result(then, SeriesDescription="Chest then", StudyDate="20250331")
    browse(ready, browsed, folder)
    ui = ready.widget.ui
    assert offered(ready) == ["None: a first examination", "result: Chest then, 2025-03-31"]
    assert ui.priorComboBox.property("currentIndex") == 1
    assert is_visible(ready, "priorDetailsWidget") and is_visible(ready, "priorScanWidget")
    assert ui.priorScanPathLineEdit.property("currentPath") == str(then / "ct")
    ui.currentDayEdit.setProperty("text", "2026-04-01")
    run = click_export(ready)
    expected = PriorRequest("", "2026-04-01", False, str(folder), str(then / "ct"))
    assert run.content.prior is None and run.request.prior == expected
    end(ready, run, Outcome.CANCELLED)
    assert ui.priorComboBox.property("currentIndex") == 1  # it stays while the section is made anew


def test_a_folder_stands_beside_the_scans_of_the_scene(
    two: tuple[Module, Any], browsed: list[str], tmp_path: Path
) -> None:
    module, prior = two
    (tmp_path / "far").mkdir()
    browse(module, browsed, file_result(tmp_path / "far"))
    assert offered(module) == ["None: a first examination", "Last year", "result"]
    choose_prior(module, "Last year")
    assert not is_visible(module, "priorScanWidget")
    run = click_export(module)
    assert run.content.prior.name == "Last year" and run.request.prior == PriorRequest()
    end(module, run, Outcome.CANCELLED)
    module.widget.ui.inputVolumeSelector.setCurrentNode(prior)  # another scan, perhaps of another patient
    assert offered(module) == ["None: a first examination", "CT"]


def test_a_cancelled_folder_dialog_changes_nothing(
    two: tuple[Module, Any],
    browsed: list[str],
    errors: list[str],
) -> None:
    module, _ = two
    choose_prior(module, "Last year")
    browse(module, browsed)
    assert module.widget.ui.priorComboBox.property("currentText") == "Last year" and not errors


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "findings.json").unlink(), "holds no result (findings.json is missing)"),
        (lambda folder: (folder / "findings.json").write_text("{"), "is damaged; run the detection again"),
        (lambda folder: (folder / "findings.json").write_text("{}"), "is damaged or of another version"),
        (lambda folder: (folder / "segmentation.seg.nrrd").unlink(), "has lost its outlines"),
    ],
)
def test_a_folder_that_is_no_result_is_one_dialog(
    spoil: Any,
    words: str,
    two: tuple[Module, Any],
    browsed: list[str],
    errors: list[str],
    tmp_path: Path,
) -> None:
    module, _ = two
    (tmp_path / "far").mkdir()
    folder = file_result(tmp_path / "far")
    spoil(folder)
    choose_prior(module, "Last year")
    browse(module, browsed, folder)
    assert len(errors) == 1 and words in errors[0] and str(folder) in errors[0]
    assert module.widget.ui.priorComboBox.property("currentText") == "Last year"
    assert "result" not in offered(module)


def test_a_scan_that_was_moved_is_asked_for_in_one_dialog(
    ready: Module,
    browsed: list[str],
    errors: list[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "far").mkdir()
    folder = file_result(tmp_path / "far")
    (tmp_path / "far" / "chest.nrrd").rename(tmp_path / "moved.nrrd")
    browse(ready, browsed, folder)
    ready.widget.ui.exportButton.click()
    assert len(errors) == 1 and "chest.nrrd is not there; say where it is under 'Its scan'" in errors[0]
    ready.widget.ui.priorScanPathLineEdit.setProperty("currentPath", str(tmp_path / "moved.nrrd"))
    assert click_export(ready).request.prior.scan == str(tmp_path / "moved.nrrd") and len(errors) == 1


def test_nothing_of_the_section_is_cut(ready: Module, browsed: list[str], tmp_path: Path) -> None:
    """A text of several lines takes its room, and nothing else's."""
    (tmp_path / "far").mkdir()
    browse(ready, browsed, file_result(tmp_path / "far"))
    ui = ready.widget.ui
    ui.examSuggestionLabel.setProperty("text", "Low-dose CT in 3 months, PET/CT when it is 8 mm or more. " * 5)
    ui.reportCollapsibleButton.setProperty("collapsed", False)
    ready.holder.resize(480, 2600)
    ready.holder.show()
    for _ in range(30):
        ready.process_events()
    label = ui.examSuggestionLabel
    needed = label.heightForWidth(label.property("width"))
    assert label.property("height") >= needed > label.property("minimumSizeHint").height()
    for name in ("priorComboBox", "priorFolderButton", "priorDayEdit", "currentDayEdit", "samePatientCheckBox",
                 "priorScanPathLineEdit", "notEvaluableEdit", "infectionEdit", "significantEdit",
                 "examCategoryComboBox", "reportPathLineEdit"):  # fmt: skip
        widget = getattr(ui, name)
        assert widget.property("height") >= widget.property("minimumSizeHint").height(), name


def test_the_logic_refuses_two_priors(two: tuple[Module, Any], tmp_path: Path) -> None:
    module, _ = two
    logic, nodes = module.widget.logic, module.widget.panel._nodes
    request = ExportRequest(str(tmp_path), prior=PriorRequest(folder=str(tmp_path)))
    with pytest.raises(InputError, match="two priors"):
        logic.startExport(nodes, request, logic.priors(nodes)[0][1])
