"""Child processes that live and die with the application that started them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import LungNoduleCADError

LIBRARY_PARENT = Path(__file__).resolve().parents[2]
SECONDS_TO_END = 3.0
"""What a worker that is told to end may take to remove its partial files, before it is killed."""


def worker_command(module: str) -> list[str]:
    """How to start a worker: Slicer's own Python, or the interpreter this runs in when it is one.

    :raises LungNoduleCADError: when neither is there.
    """
    executable = shutil.which("PythonSlicer")
    if executable is None and Path(sys.executable or "").name.lower().startswith("python"):
        executable = sys.executable
    if executable is None:
        raise LungNoduleCADError("PythonSlicer was not found beside Slicer; install Slicer again.")
    return [executable, "-m", module]


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
