"""One detection run beside a user interface: input file, child process, result, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from ..errors import LungNoduleCADError
from ..findings import DetectionResult
from ..volume import Volume
from .jobs import DetectionRequest, Job
from .nrrd import write_nrrd
from .progress import Progress, ProgressEstimator
from .result_folder import load_result

WORKER_MODULE = "LungNoduleCADLib.app.worker"
LIBRARY_PARENT = Path(__file__).resolve().parents[2]
SECONDS_TO_END = 3.0
"""What a worker that is told to end may take to remove its partial files, before it is killed."""
LAST_LINES = 12


class Outcome(Enum):
    """How a run ended."""

    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DetectionRun:
    """Runs the worker on a volume. Every method returns at once and is for the thread of the user interface; what takes
    time happens in a thread of its own, which touches no MRML.

    After `outcome` is set: `result` and `record` (the text of `findings.json`), or `error` (one sentence) and `details`
    (the worker's last lines).

    :param command: how to start the worker, without the job's file; for tests.
    """

    def __init__(self, volume: Volume, request: DetectionRequest, command: Sequence[str] | None = None) -> None:
        self.outcome: Outcome | None = None
        self.result: DetectionResult | None = None
        self.record = self.error = self.details = ""
        self._volume, self._request = volume, request
        self._command = list(command) if command is not None else worker_command()
        self._estimator = ProgressEstimator()
        self._reports: queue.SimpleQueue[dict[str, Any] | Outcome] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="LungNoduleCAD run", daemon=True)

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
        if self._cancelled.is_set():
            outcome = Outcome.CANCELLED
        self._reports.put(outcome)

    def _run_in(self, folder: Path) -> Outcome:
        self._reports.put({"stage": "preparing", "fraction": 0.0})
        job = Job(str(folder / "input.nrrd"), str(folder / "result"), self._request)
        (folder / "result").mkdir()
        job.write(folder / "job.json")
        if not write_nrrd(self._volume, folder / "input.nrrd", lambda: not self._cancelled.is_set()):
            return Outcome.CANCELLED
        self._reports.put({"stage": "starting", "fraction": 0.0})
        error, code = self._run_worker(folder)
        if code == 0:
            self.result, self.record = load_result(folder / "result")
            return Outcome.FINISHED
        self.details = _last_lines(folder / "worker.log")
        self.error = error or f"The detector ended unexpectedly (exit code {code}); its last lines were:"
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


def worker_command() -> list[str]:
    """How to start the worker: Slicer's own Python, or the interpreter this runs in when it is one.

    :raises LungNoduleCADError: when neither is there.
    """
    executable = shutil.which("PythonSlicer")
    if executable is None and Path(sys.executable or "").name.lower().startswith("python"):
        executable = sys.executable
    if executable is None:
        raise LungNoduleCADError("PythonSlicer was not found beside Slicer; install Slicer again.")
    return [executable, "-m", WORKER_MODULE]


def worker_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment in which the worker finds this library, and counts GPUs as the driver's tool does."""
    paths = [str(LIBRARY_PARENT), environment.get("PYTHONPATH", "")]
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUTF8": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }


def start_process(command: Sequence[str], log: Any) -> subprocess.Popen[str]:
    """Start a worker as the head of a process group of its own, standard error to `log`."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=worker_environment(),
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def end_process_tree(process: subprocess.Popen[str]) -> None:
    """Ask a process and its children to end, and kill what is left after `SECONDS_TO_END`."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS_TO_END)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # also the children of a worker that is gone


def _decoded(line: str) -> dict[str, Any]:
    try:
        report = json.loads(line)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def _last_lines(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace")
    return "\n".join(text.strip().splitlines()[-LAST_LINES:])
