"""An earlier scan of the scene that the report compares with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module

from gui.driving import add, detect, is_visible, wait_until
from gui.test_export import click_export, dialogs, end, ready  # noqa: F401
from LungNoduleCADLib.app.export_job import ExportRequest, PriorRequest
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.volume import Volume


@pytest.fixture
def two(ready: Module, chest: Volume, tmp_path: Path) -> tuple[Module, Any]:  # noqa: F811
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


def test_without_another_detection_there_is_none_to_choose(ready: Module) -> None:  # noqa: F811
    assert offered(ready) == ["None: detect in an earlier scan too"] and not is_visible(ready, "priorDetailsWidget")
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
    dialogs: list[str],  # noqa: F811
) -> None:
    module, prior = two
    choose_prior(module, "Last year")
    slicer.mrmlScene.RemoveNode(prior)
    prior = None
    module.widget.ui.exportButton.click()
    assert len(dialogs) == 1 and "not in the scene any more" in dialogs[0]
    assert not module.widget.logic.isExporting
    wait_until(module, lambda: offered(module) == ["None: detect in an earlier scan too"])


def test_what_is_no_date_is_one_dialog(two: tuple[Module, Any], dialogs: list[str]) -> None:  # noqa: F811
    module, _ = two
    choose_prior(module, "Last year")
    module.widget.ui.priorDayEdit.setProperty("text", "31.3.2025")
    module.widget.ui.exportButton.click()
    assert len(dialogs) == 1 and "'31.3.2025' is no date" in dialogs[0]
    assert not module.widget.logic.isExporting
    assert ExportRequest("x", prior=PriorRequest("2025-03-31")).is_valid() == (True, "")
