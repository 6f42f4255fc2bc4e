"""A run beside a user interface: input file, child process, result, and nothing left behind."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from ..errors import LungNoduleCADError, OutputError
from ..findings import DetectionResult
from ..volume import Volume
from .child_process import SECONDS_TO_END, end_process_tree, start_process, worker_command
from .jobs import DetectionRequest, Job
from .nrrd import write_nrrd
from .progress import STAGE_SHARES, Progress, ProgressEstimator
from .result_folder import load_result

WORKER_MODULE = "LungNoduleCADLib.app.worker"
LAST_LINES = 12


class Outcome(Enum):
    """How a run ended."""

    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class WorkerRun(ABC):
    """Runs a worker. Every method returns at once and is for the thread of the user interface; what takes time happens
    in a thread of its own, which touches no MRML.

    After `outcome` is set: what the worker made, or `error` (one sentence) and `details` (the worker's last lines).

    :param command: how to start the worker, without the job's file.
    :param shares: of the progress bar, by the worker's stages. :param worker: what it is called in messages.
    """

    def __init__(
        self, command: Sequence[str], shares: Mapping[str, float] = STAGE_SHARES, worker: str = "The detector"
    ) -> None:
        self.outcome: Outcome | None = None
        self.error = self.details = ""
        self._command, self._worker = list(command), worker
        self._estimator = ProgressEstimator(shares=shares)
        self._reports: queue.SimpleQueue[dict[str, Any] | Outcome] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="LungNoduleCAD run", daemon=True)

    @abstractmethod
    def _write_job(self, folder: Path) -> bool:
        """In the run's thread: write `job.json` and what it names into an empty folder; whether all is there, which it
        is not after `cancel`."""

    @abstractmethod
    def _take_result(self, folder: Path) -> None:
        """In the run's thread: take what the worker has left in the folder, before that is removed."""

    def _goes_on(self) -> bool:
        """Whether nobody has cancelled."""
        return not self._cancelled.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def poll(self) -> Progress:
        """Take in what the worker has reported since the last call; sets `outcome` when the run is over."""
        while True:
            try:
                report = self._reports.get_nowait()
            except queue.Empty:
                return self._estimator.now()
            if isinstance(report, Outcome):
                self.outcome = report
            else:
                self._estimator.report(report["stage"], report["fraction"])

    def cancel(self, wait: bool = False) -> None:
        """End the worker and all its children; the run's files are removed. Does nothing when the run is over.

        :param wait: return when all that has happened (at application exit); otherwise `poll` tells.
        """
        self._cancelled.set()
        with self._starting:
            process = self._process
        if process is not None and process.poll() is None:
            ending = threading.Thread(target=end_process_tree, args=(process,), daemon=True)
            ending.start()
            if wait:
                ending.join()
        if wait and self._thread.is_alive():
            self._thread.join(timeout=2 * SECONDS_TO_END)

    # -- the run's own thread --------------------------------------------------------------------------------------
    def _work(self) -> None:
        outcome = Outcome.FAILED
        try:
            folder = Path(tempfile.mkdtemp(prefix="LungNoduleCAD-"))
            try:
                outcome = self._run_in(folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        except LungNoduleCADError as error:
            self.error = str(error)
        except OSError as error:
            reason = error.strerror or str(error)
            self.error = f"The temporary folder {tempfile.gettempdir()} could not be used ({reason}); free some space."
        except Exception as error:  # whatever it is, the user must see that the run is over
            self.error = f"The run ended unexpectedly ({type(error).__name__}: {error}); please report this."
        if not self._goes_on():
            outcome = Outcome.CANCELLED
        self._reports.put(outcome)

    def _run_in(self, folder: Path) -> Outcome:
        self._reports.put({"stage": "preparing", "fraction": 0.0})
        try:
            if not self._write_job(folder):
                return Outcome.CANCELLED
        except OutputError as failure:  # it names a file that no user knows; what the system said is of the folder
            raise failure.__cause__ or failure from None
        self._reports.put({"stage": "starting", "fraction": 0.0})
        error, code = self._run_worker(folder)
        if code == 0:
            self._take_result(folder)
            return Outcome.FINISHED
        self.details = _last_lines(folder / "worker.log")
        self.error = error or f"{self._worker} ended unexpectedly (exit code {code}); its last lines were:"
        return Outcome.FAILED

    def _run_worker(self, folder: Path) -> tuple[str, int]:
        """The user error that the worker reported, if any, and its exit code."""
        error = ""
        with (folder / "worker.log").open("wb") as log:
            with self._starting:
                if self._cancelled.is_set():
                    return "", 1
                self._process = start_process([*self._command, str(folder / "job.json")], log)
            assert self._process.stdout is not None
            for line in self._process.stdout:
                report = _decoded(line)
                if "stage" in report:
                    self._reports.put(report)
                error = str(report.get("error", error))
            code = self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.stdout.close()
        return error, code


class DetectionRun(WorkerRun):
    """Runs the detector on a volume. When it has finished, `result` and `record` (text of `findings.json`) are there.

    :param command: how to start the worker, without the job's file; for tests.
    """

    def __init__(self, volume: Volume, request: DetectionRequest, command: Sequence[str] | None = None) -> None:
        super().__init__(worker_command(WORKER_MODULE) if command is None else command)
        self.result: DetectionResult | None = None
        self.record = ""
        self._volume, self._request = volume, request

    def _write_job(self, folder: Path) -> bool:
        job = Job(str(folder / "input.nrrd"), str(folder / "result"), self._request)
        (folder / "result").mkdir()
        job.write(folder / "job.json")
        return write_nrrd(self._volume, folder / "input.nrrd", self._goes_on)

    def _take_result(self, folder: Path) -> None:
        self.result, self.record = load_result(folder / "result")


def _decoded(line: str) -> dict[str, Any]:
    try:
        report = json.loads(line)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def _last_lines(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace")
    return "\n".join(text.strip().splitlines()[-LAST_LINES:])
