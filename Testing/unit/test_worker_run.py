"""The child process beside the user interface: its reports, its end, and that nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from result_inputs import AXES, make_result, make_volume

from LungNoduleCADLib.app.child_process import worker_environment
from LungNoduleCADLib.app.devices import DeviceChoice, list_devices
from LungNoduleCADLib.app.jobs import DetectionRequest, Job
from LungNoduleCADLib.app.nrrd import write_nrrd
from LungNoduleCADLib.app.operating_table import OperatingTable, read_operating_table
from LungNoduleCADLib.app.progress import STAGE_SHARES, ProgressEstimator
from LungNoduleCADLib.app.result_folder import load_result, save_result
from LungNoduleCADLib.app.run import DetectionRun, Outcome
from LungNoduleCADLib.io import read_volume

WAIT_S = 60.0
pytestmark = pytest.mark.usefixtures("temporary")

FAKE_WORKER = """
import json, os, subprocess, sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from LungNoduleCADLib.app.jobs import Job
from LungNoduleCADLib.app.result_folder import save_result
job = Job.read(Path(sys.argv[1]))
print(json.dumps({{"stage": "segmentation", "fraction": 0.5}}), flush=True)
print("not a report", flush=True)
"""
FINISH = """
from result_inputs import make_result, make_volume
volume = make_volume()
save_result(make_result(volume), volume, Path(job.result))
print(json.dumps({"done": True}), flush=True)
"""
USER_ERROR = """
print(json.dumps({"error": "CT shows no lung; give a chest CT."}), flush=True)
sys.exit(2)
"""
CRASH = """
print("last words", file=sys.stderr, flush=True)
os.abort()
"""
HANG = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path(job.request.outputs).write_text(f"{os.getpid()} {child.pid}")
time.sleep(600)
"""


def run_of(tmp_path: Path, end: str, request: DetectionRequest | None = None) -> DetectionRun:
    """A run whose worker reports half of a stage and then ends in the given way."""
    script = tmp_path / "fake_worker.py"
    script.write_text(FAKE_WORKER.format(tests=str(Path(__file__).resolve().parents[1])) + end, encoding="utf-8")
    return DetectionRun(make_volume(), request or DetectionRequest(), [sys.executable, str(script)])


def wait_for_end(run: DetectionRun) -> None:
    end = time.monotonic() + WAIT_S
    while run.outcome is None and time.monotonic() < end:
        run.poll()
        time.sleep(0.02)
    assert run.outcome is not None


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_result_arrives_and_temporary_files_vanish(tmp_path: Path, temporary: Path) -> None:
    run = run_of(tmp_path, FINISH)
    run.start()
    wait_for_end(run)
    assert run.outcome is Outcome.FINISHED, run.error + run.details
    assert run.result is not None
    assert [c.score for c in run.result.candidates] == [0.93, 0.61, 0.12]
    assert run.poll().fraction == pytest.approx(sum(list(STAGE_SHARES.values())[:5]) + STAGE_SHARES["segmentation"] / 2)
    assert list(temporary.iterdir()) == []


def test_user_error_of_the_worker_is_passed_on(tmp_path: Path, temporary: Path) -> None:
    run = run_of(tmp_path, USER_ERROR)
    run.start()
    wait_for_end(run)
    assert (run.outcome, run.error) == (Outcome.FAILED, "CT shows no lung; give a chest CT.")
    assert list(temporary.iterdir()) == []


def test_crash_of_the_worker_brings_its_last_lines(tmp_path: Path, temporary: Path) -> None:
    run = run_of(tmp_path, CRASH)
    run.start()
    wait_for_end(run)
    assert run.outcome is Outcome.FAILED
    assert f"exit code {-signal.SIGABRT}" in run.error
    assert "last words" in run.details
    assert list(temporary.iterdir()) == []


def test_cancel_ends_the_worker_its_children_and_its_files(tmp_path: Path, temporary: Path) -> None:
    pids = tmp_path / "pids"
    run = run_of(tmp_path, HANG, DetectionRequest(outputs=str(pids)))
    run.start()
    end = time.monotonic() + WAIT_S
    while not (pids.exists() and pids.read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    worker, child = (int(pid) for pid in pids.read_text().split())
    assert is_alive(worker)
    assert is_alive(child)
    started = time.monotonic()
    run.cancel()
    assert time.monotonic() - started < 0.1  # the user interface does not wait
    wait_for_end(run)
    assert run.outcome is Outcome.CANCELLED
    end = time.monotonic() + 10
    while (is_alive(worker) or is_alive(child)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_alive(worker)
    assert not is_alive(child)
    assert list(temporary.iterdir()) == []


def test_cancel_before_the_worker_starts_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    run = run_of(tmp_path, FINISH)
    run.cancel()
    run.start()
    wait_for_end(run)
    assert run.outcome is Outcome.CANCELLED
    assert list(temporary.iterdir()) == []


def test_full_or_missing_temporary_folder_is_said(tmp_path: Path, temporary: Path) -> None:
    temporary.rmdir()
    run = run_of(tmp_path, FINISH)
    run.start()
    wait_for_end(run)
    assert run.outcome is Outcome.FAILED
    assert "temporary folder" in run.error


def test_worker_ends_when_the_application_is_gone(tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    Job("missing.nrrd", str(tmp_path), DetectionRequest()).write(job)
    code = (
        "import threading, time; from LungNoduleCADLib.app import worker;"
        "threading.Thread(target=worker._end_with_parent, daemon=True).start();"
        "print('up', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=worker_environment()
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"up"
    process.stdin.close()
    assert process.wait(WAIT_S) == 1
    process.stdout.close()


@pytest.mark.parametrize("axes", list(AXES))
def test_written_volume_reads_back_identical(tmp_path: Path, axes: str) -> None:
    volume = make_volume(axes)
    assert write_nrrd(volume, tmp_path / "v.nrrd")
    read = read_volume(tmp_path / "v.nrrd")
    corner = np.array([[0, 0, 0], [3, 5, 7]])
    points = volume.index_to_lps(corner)
    index = np.rint(read.lps_to_index(points)).astype(int)
    np.testing.assert_allclose(read.index_to_lps(index), points, atol=1e-4)
    np.testing.assert_array_equal(read.voxels[tuple(index.T)], volume.voxels[tuple(corner.T)])


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.float32, np.int32])
def test_voxel_types_survive_writing(tmp_path: Path, kind: type) -> None:
    volume = make_volume("standard")
    volume = volume.with_voxels(np.clip(volume.voxels, 0, 100).astype(kind))
    write_nrrd(volume, tmp_path / "v.nrrd")
    np.testing.assert_array_equal(read_volume(tmp_path / "v.nrrd").voxels, volume.voxels)


def test_writing_stops_when_it_is_told(tmp_path: Path) -> None:
    assert not write_nrrd(make_volume(), tmp_path / "v.nrrd", lambda: False)


def test_result_survives_its_way_to_the_scene(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    save_result(result, volume, tmp_path)
    read, text = load_result(tmp_path)
    assert '"candidates"' in text
    assert (read.threshold, read.warnings) == (result.threshold, result.warnings)
    # The slices' own ids come from the volume: a report that is made later refers to them.
    assert read.series == {**result.series, "sop_instance_uids": list(volume.metadata["sop_instance_uids"])}
    for a, b in zip(read.candidates, result.candidates, strict=True):
        assert (a.id, a.center_lps, a.score, a.malignancy) == (b.id, b.center_lps, b.score, b.malignancy)
        assert a.malignancy_by_diameter == b.malignancy_by_diameter == 0.3
        assert a.measurements == b.measurements
        assert a.mask.start_kji == b.mask.start_kji
        np.testing.assert_array_equal(a.mask.voxels, b.mask.voxels)


def test_progress_never_goes_back_and_foretells_the_end() -> None:
    now = [0.0]
    estimator = ProgressEstimator(lambda: now[0])
    estimator.report("segmentation", 0.0)
    before = estimator.now()
    assert before.seconds_left is None  # too early
    now[0] = 10.0
    estimator.report("segmentation", 1.0)
    at = estimator.now()
    assert at.seconds_left == pytest.approx(10 * (1 - at.fraction) / at.fraction)
    estimator.report("reading", 0.0)
    assert estimator.now().fraction == at.fraction


def test_stages_are_those_of_the_detector() -> None:
    from LungNoduleCADLib.detection.control import STAGES

    assert [name for name in STAGE_SHARES if name in STAGES] == list(STAGES)
    assert sum(STAGE_SHARES.values()) == pytest.approx(1.0)


def test_expectation_is_interpolated_within_the_measured_range_only() -> None:
    points = [
        {"threshold": 0.8, "sensitivity": 0.6, "fp_per_scan": 0.5},
        {"threshold": 0.4, "sensitivity": 0.9, "fp_per_scan": 2.5, "bands": {}},
    ]
    table = OperatingTable.from_points(points, 0.5)
    middle = table.at(0.6)
    assert middle is not None
    assert (middle.sensitivity, middle.fp_per_scan) == (pytest.approx(0.75), pytest.approx(1.5))
    assert table.at(0.39) is None
    assert table.at(0.81) is None
    assert OperatingTable.from_json(table.to_json()) == table
    assert OperatingTable.from_points([], 0.5).at(0.5) is None


def test_folder_without_a_readable_card_has_no_operating_table(tmp_path: Path) -> None:
    assert read_operating_table(tmp_path) is None
    (tmp_path / "classification.json").write_text("{}")
    assert read_operating_table(tmp_path) is None


def test_devices_are_listed_with_free_memory() -> None:
    devices = list_devices(lambda: "0, NVIDIA RTX A2000, 3712\n1, Tesla T4, [N/A]\nnonsense")
    assert devices[:4] == [
        DeviceChoice("auto"),
        DeviceChoice("cpu"),
        DeviceChoice("cuda:0", "NVIDIA RTX A2000", 3712),
        DeviceChoice("cuda:1", "Tesla T4", None),
    ]


def test_machine_without_the_drivers_tool_has_no_gpu() -> None:
    def missing() -> str:
        raise FileNotFoundError("nvidia-smi")

    assert [d.key for d in list_devices(missing)][:2] == ["auto", "cpu"]
    assert not any(d.key.startswith("cuda") for d in list_devices(missing))
