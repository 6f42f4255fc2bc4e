"""What a report in every format costs, on a real scan: by the command line, and from a scene as in Slicer.

    python Testing/benchmarks/benchmark_report.py [SCAN] [--findings 20] [--repeats 3]

Makes a result folder with that many findings (balls of lung, so that no network is needed), and runs the whole command
line on it in a process of its own, start-up included. Then it puts the same into a scene and exports that, as MRB too:
the user interface's thread is held up for `held_s`, the rest goes on beside it. Prints JSON: wall time, processor time
and peak memory of each run, and the sizes of the files. The aim is 10 s for 20 findings on R01-001, on two cores that
have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING), str(TESTING / "unit")]

FORMATS = "html,pdf,csv,json,sr,seg,png"


def make_result(scan: Path, findings: int, folder: Path) -> Path:
    """A result folder of that scan."""
    from report_inputs import balls_in_the_lungs, written

    from LungNoduleCADLib.io import read_volume

    return written(folder, read_volume(scan), lambda volume: balls_in_the_lungs(volume, findings))


def timed(result: Path, output: Path) -> dict[str, Any]:
    """One run of `lungnodulecad report`."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "LungNoduleCADLib.cli", "report", str(result), "--output", str(output)]
    subprocess.run([*command, "--format", FORMATS], check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": round(wall, 2),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "peak_mb": round(after.ru_maxrss / 1024),
    }


def scene_content(scan: Path, findings: int, folder: Path) -> Any:
    """The same findings in a scene: its nodes, and the files of the scan."""
    from export_inputs import DicomDatabase, detection_scene
    from report_inputs import balls_in_the_lungs

    scene = detection_scene(folder, scan, lambda volume: balls_in_the_lungs(volume, findings))
    return scene, tuple(DicomDatabase(scan).files.values())


def exported(scene: Any, files: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """One export of a scene in every format."""
    from export_inputs import EVERY_FORMAT, content_of

    from LungNoduleCADLib.app.export_job import ExportRequest
    from LungNoduleCADLib.app.export_run import ExportRun

    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    content = replace(content_of(scene, bundle=True), dicom_files=files)
    run = ExportRun(content, ExportRequest(str(folder), EVERY_FORMAT))
    run.start()
    held = time.perf_counter() - started
    while run.outcome is None:
        time.sleep(0.02)
        run.poll()
    if run.error:
        raise RuntimeError(run.error)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": round(time.perf_counter() - started, 2),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "held_s": round(held, 2),
    }


def main() -> None:
    from measuring import DEFAULT_SCAN

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path, nargs="?", default=DEFAULT_SCAN)
    parser.add_argument("--findings", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result, output = make_result(arguments.scan, arguments.findings, Path(folder)), Path(folder) / "report"
        runs = [timed(result, output) for _ in range(arguments.repeats)]
        sizes: dict[str, int] = {}
        for path in output.glob("[!.]*"):
            kind = path.name if path.suffix != ".png" else "key-image-*.png"
            sizes[kind] = sizes.get(kind, 0) + round(path.stat().st_size / 1024)
        found = len(json.loads((output / "report.json").read_text(encoding="utf-8"))["findings"])
        scene, files = scene_content(arguments.scan, arguments.findings, Path(folder))
        scenes = [exported(scene, files, Path(folder) / "scenes") for _ in range(arguments.repeats)]
    figures = {"scan": arguments.scan.name, "findings": found, "command_line": runs, "scene": scenes, "kb": sizes}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
