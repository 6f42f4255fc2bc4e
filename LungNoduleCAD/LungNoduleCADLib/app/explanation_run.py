"""One explanation beside a user interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..volume import Volume
from .child_process import worker_command
from .explanation_folder import SavedExplanation, read_explanation
from .explanation_job import SHARES, ExplanationJob, ExplanationRequest
from .nrrd import write_nrrd
from .run import WorkerRun

EXPLAIN_WORKER_MODULE = "LungNoduleCADLib.app.explain_worker"


class ExplanationRun(WorkerRun):
    """Asks the classifier about a finding in a volume. When it has finished, `explanation` is there.

    :param command: how to start the worker, without the job's file; for tests.
    """

    def __init__(self, volume: Volume, request: ExplanationRequest, command: Sequence[str] | None = None) -> None:
        super().__init__(
            worker_command(EXPLAIN_WORKER_MODULE) if command is None else command, SHARES, "The explanation"
        )
        self.explanation: SavedExplanation | None = None
        self._volume, self._request = volume, request

    def _write_job(self, folder: Path) -> bool:
        (folder / "result").mkdir()
        source = str(self._volume.metadata.get("source") or "")
        job = ExplanationJob(str(folder / "input.nrrd"), str(folder / "result"), source, self._request)
        job.write(folder / "job.json")
        return write_nrrd(self._volume, folder / "input.nrrd", self._goes_on)

    def _take_result(self, folder: Path) -> None:
        self.explanation = read_explanation(folder / "result")
