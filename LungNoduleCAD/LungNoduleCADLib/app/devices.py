"""The processors a user can choose from, found without loading PyTorch into the application."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

QUERY = ("nvidia-smi", "--query-gpu=index,name,memory.free", "--format=csv,noheader,nounits")
QUERY_SECONDS = 5.0


@dataclass(frozen=True)
class DeviceChoice:
    """A processor.

    :param key: its name for the detector. :param name: a GPU's model, else empty. :param free_mib: a GPU's free memory.
    """

    key: str
    name: str = ""
    free_mib: int | None = None


def list_devices(query: Callable[[], str] | None = None) -> list[DeviceChoice]:
    """Automatic choice, CPU, and each NVIDIA or Apple GPU. Asks the driver's own tool, which can take a second.

    :param query: returns the lines "index, name, free MiB"; for tests.
    """
    choices = [DeviceChoice("auto"), DeviceChoice("cpu")]
    try:
        lines = (query or _query_nvidia)().splitlines()
    except (OSError, subprocess.SubprocessError):
        lines = []
    for line in lines:
        index, _, rest = line.partition(",")
        name, _, free = rest.rpartition(",")
        if index.strip().isdigit():
            choices.append(DeviceChoice(f"cuda:{index.strip()}", name.strip(), _whole(free)))
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        choices.append(DeviceChoice("mps", "Apple GPU"))
    return choices


def _query_nvidia() -> str:
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows would flash a console
    done = subprocess.run(QUERY, capture_output=True, text=True, timeout=QUERY_SECONDS, check=True, creationflags=flags)
    return done.stdout


def _whole(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None
