"""An export without a worker in the module's panel: what the tests of reports share."""

from __future__ import annotations

from pathlib import Path

from host import Module

from gui.driving import wait_until
from gui.module_inputs import FakeWork
from LungNoduleCADLib.app.export_job import ExportRequest
from LungNoduleCADLib.app.export_run import SceneContent
from LungNoduleCADLib.app.run import Outcome

BOXES = ("html", "pdf", "csv", "json", "png", "seg", "sr", "mrb")


class FakeExport(FakeWork):
    """An export."""

    last: FakeExport

    def __init__(self, content: SceneContent, request: ExportRequest) -> None:
        super().__init__()
        self.content, self.request = content, request
        self.folder, self.files = Path(request.folder) / "the report & all", ("report.html",)
        self.summary = "1 finding. Reviewed by Ada."
        FakeExport.last = self


def click_export(module: Module) -> FakeExport:
    module.widget.ui.exportButton.click()
    return FakeExport.last


def end(module: Module, run: FakeExport, outcome: Outcome, error: str = "", details: str = "") -> None:
    run.error, run.details, run.outcome = error, details, outcome
    wait_until(module, lambda: not module.widget.logic.isExporting)
