"""How long the Slicer module keeps the user waiting: calls on the main thread, with many candidates on a long scan.

    PYTHONPATH=LungNoduleCAD:Testing python Testing/benchmarks/benchmark_module.py --candidates 500 --slices 1000

Real MRML (slicer-core) and real Qt (PySide6, offscreen); drawing the views is not included. A call's figure is the
processor time of the main thread, of the slowest of all its repetitions: what other programs do on the machine does not
count. Exits with 1 when a threshold takes more than 50 ms, or any other call more than 100 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from gui.driving import end_run, position_of, show_views, wait_until
from gui.module_inputs import MODULE_FILE, FakeRun
from host import Module, enter_module, load_module

from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.scene import add_volume_node
from LungNoduleCADLib.volume import Volume

THRESHOLD_MS, OTHER_MS = 50.0, 100.0
REPEATS = 5


class Stopwatch:
    """Milliseconds of the main thread, by what was done."""

    def __init__(self) -> None:
        self.slowest_ms: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        """Do it, and note how long it took if it never took longer."""
        started = time.thread_time()
        result = work()
        elapsed = 1000 * (time.thread_time() - started)
        self.slowest_ms[name] = round(max(elapsed, self.slowest_ms.get(name, 0.0)), 1)
        return result


def long_scan(slices: int) -> Volume:
    """Tissue around air, 512 x 512 pixels."""
    voxels = np.full((slices, 512, 512), -850, np.int16)
    voxels[:, :100], voxels[:, 400:] = 40, 40
    return Volume.from_geometry(voxels, spacing_kji_mm=(0.5, 0.7, 0.7))


def wait(module: Module, watch: Stopwatch, name: str, condition: Callable[[], bool]) -> None:
    """Let Qt work until something is so; each turn of its loop is a call."""
    while not condition():
        watch(name, module.process_events)
        time.sleep(0.002)


def run(candidates: int, slices: int) -> dict[str, float]:
    """Drive the module through a session; slowest milliseconds of each kind of call."""
    watch, volume = Stopwatch(), long_scan(slices)
    module = load_module(MODULE_FILE, makeRun=FakeRun, installer=lambda path: None)
    enter_module(module)
    panel, ui = module.widget.panel, module.widget.ui
    views = show_views()
    node = add_volume_node(slicer.mrmlScene, volume, "CT")
    watch("choose the volume", lambda: ui.inputVolumeSelector.setCurrentNode(node))
    wait(module, watch, "while it is checked", lambda: panel.state is not State.CHECKING)
    watch("start", ui.detectButton.click)
    with tempfile.TemporaryDirectory() as folder:
        FakeRun.last.finish(Path(folder), tuple(1 - n / candidates for n in range(candidates)))
    wait(module, watch, "results come into scene and table", lambda: not module.widget.logic.isRunning)
    nodes = module.widget.logic.detection(node)
    position = position_of(nodes, "N7")

    def set_threshold(value: float) -> None:
        ui.thresholdSlider.setProperty("value", value)
        module.process_events()

    for _ in range(REPEATS):
        for value in (1.0, 0.0, 0.5, 0.0):
            watch("threshold", lambda value=value: set_threshold(value))
        for value in (1.0, 0.0):
            watch("threshold, scene alone", lambda value=value: module.widget.logic.showAt(nodes, value))
        watch("select a row", lambda: ui.candidatesTable.selectRow(candidates // 2))
        watch("next", ui.nextButton.click)
        watch("click in a view", lambda: panel.candidates.onPositionPicked(position, views["Red"]))
        for button in (ui.mediastinumButton, ui.lungButton, ui.overlayCheckBox, ui.overlayCheckBox, ui.zoomCheckBox):
            watch("view controls", button.click)
        watch("filter", lambda: ui.filterLineEdit.setProperty("text", "part"))
        watch("filter", lambda: ui.filterLineEdit.setProperty("text", ""))
        for action in ui.columnsButton.menu().actions()[4:6]:
            watch("columns", action.trigger)
        for button in (ui.acceptButton, ui.undoButton, ui.redoButton, ui.reopenButton):
            watch("review", button.click)
        watch("leave and enter", lambda: (module.widget.exit(), module.widget.enter()))
        watch("refresh", lambda: panel.refresh(node))
        wait_until(module, lambda: panel.state is not State.CHECKING)
    drive_reference(module, watch, nodes, candidates)
    slicer.util.confirmOkCancelDisplay = lambda *text, **named: True  # the review may be replaced
    ui.detectButton.click()
    with tempfile.TemporaryDirectory() as folder:
        FakeRun.last.finish(Path(folder), tuple(1 - n / candidates for n in range(candidates)))
    wait(module, watch, "results replace former ones", lambda: not module.widget.logic.isRunning)
    end_run(module)
    nodes = None
    watch("close the scene", slicer.mrmlScene.Clear)
    module.close()
    return watch.slowest_ms


def drive_reference(module: Module, watch: Stopwatch, nodes: Any, candidates: int) -> None:
    """Compare with points on every tenth candidate and beside it, and move the threshold."""
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Reference")
    for n in range(1, candidates + 1, 10):
        x, y, z = position_of(nodes, f"N{n}")
        points.AddControlPoint((x, y, z + 12.0 * (n % 20 == 1)))
    ui = module.widget.ui
    ui.referenceSelector.setCurrentNode(points)
    watch("reference", lambda: ui.referenceSelector.nodeActivated.emit(points))
    for value in REPEATS * (1.0, 0.0, 0.5):
        watch("threshold with a reference", lambda value=value: ui.thresholdSlider.setProperty("value", value))
        watch("while it settles", module.process_events)
    ui.candidatesTable.selectRow(0)
    for _ in range(REPEATS):
        for button in (ui.acceptButton, ui.undoButton):
            assert button.property("enabled")
            watch("review with a reference", button.click)
    watch("clear the reference", ui.clearReferenceButton.click)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--slices", type=int, default=1000)
    arguments = parser.parse_args()
    figures = run(arguments.candidates, arguments.slices)
    slow = {
        name: ms for name, ms in figures.items() if ms > (THRESHOLD_MS if name.startswith("threshold") else OTHER_MS)
    }
    report = {"candidates": arguments.candidates, "slices": arguments.slices, "slowest_ms": figures, "too_slow": slow}
    print(json.dumps(report, indent=2))
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
