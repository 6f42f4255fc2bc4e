"""Time, processor time and peak memory of a piece of work, and the options every benchmark shares."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from LungNoduleCADLib.detection.devices import choose_device, describe_device

PROJECT = Path(__file__).resolve().parents[2]
TEST_DATA = Path(os.environ.get("LUNGNODULECAD_TEST_DATA", PROJECT.parent / "shared" / "data"))
DEFAULT_SCAN = TEST_DATA / "ct" / "R01-001"

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """What a call took. `first_s` includes everything done only once, as in a product that runs once; `best_s` is the
    fastest of all calls. `cpu_s` is the first call's, summed over threads; `peak_mb` the process's resident maximum."""

    first_s: float
    best_s: float
    cpu_s: float
    peak_mb: float

    def __str__(self) -> str:
        return (
            f"{self.first_s:8.2f} s first, {self.best_s:8.2f} s best, {self.cpu_s:8.2f} CPU s, {self.peak_mb:6.0f} MB"
        )


def measure(work: Callable[[], T], device: torch.device, repeats: int = 1) -> tuple[T, Cost]:
    """Run `work` at least once; its first result, and the cost."""
    _reset_peak()
    result, first, cpu = _timed(work, device)
    peak = _peak_mb()
    others = [_timed(work, device)[1] for _ in range(repeats - 1)]
    return result, Cost(first, min([first, *others]), cpu, peak)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """`--threads`, `--device`, `--repeats`, `--output`."""
    parser.add_argument("--threads", type=int, default=2, help="processor threads (default: 2)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--repeats", type=int, default=1, help="calls of each of our parts (default: 1)")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")


def prepare(arguments: argparse.Namespace) -> torch.device:
    """Set the threads and choose the device."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    return choose_device(arguments.device)


def write_report(figures: dict[str, Any], arguments: argparse.Namespace, device: torch.device) -> None:
    """Write the figures with the machine they were measured on, when a file is asked for."""
    if arguments.output is None:
        return
    machine = {
        "device": describe_device(device),
        "threads": arguments.threads,
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    report = {"machine": machine, **figures}
    text = json.dumps(report, indent=2, default=lambda value: asdict(value) if isinstance(value, Cost) else str(value))
    arguments.output.write_text(text + "\n", encoding="utf-8")
    print(f"wrote {arguments.output}")


def _timed(work: Callable[[], T], device: torch.device) -> tuple[T, float, float]:
    _synchronise(device)
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    _synchronise(device)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def _synchronise(device: torch.device) -> None:
    """A GPU works on after the call returns; the clock has to wait for it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _reset_peak() -> None:
    """Linux forgets the process's peak memory on request; elsewhere it is the peak since the start."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_mb() -> float:
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 / (1024 if sys.platform == "darwin" else 1)
