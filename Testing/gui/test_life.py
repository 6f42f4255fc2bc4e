"""The life of the module: saved and closed scenes, reload, a library without what Slicer lacks, scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import slicer
from host import Module, enter_module, leave_module, load_module

from gui.driving import (
    add,
    detect,
    detected,
    is_visible,
    points_shown,
    save_close_and_open,
    segments_shown,
    select_row,
    selected_row,
    set_threshold,
    state,
    table_column,
    wait_until,
)
from gui.module_inputs import MODULE_FILE, SCORES, FakeRun
from LungNoduleCADLib.app.states import State
from LungNoduleCADLib.scene import add_volume_node
from LungNoduleCADLib.volume import Volume


@pytest.mark.parametrize("is_open", [True, False])
def test_threshold_and_results_come_back_with_a_saved_scene(
    module: Module, chest: Volume, tmp_path: Path, is_open: bool
) -> None:
    add(module, chest)
    detect(module, tmp_path / "result")
    set_threshold(module, 0.7)
    module.widget.ui.labelsCheckBox.click()
    if not is_open:
        leave_module(module)
    save_close_and_open(tmp_path, module)
    if not is_open:
        enter_module(module)
        wait_until(module, lambda: state(module) is not State.CHECKING)
    assert state(module) is State.FINISHED
    assert module.widget.ui.thresholdSlider.property("value") == pytest.approx(0.7)
    assert table_column(module) == ["N1", "N2"]
    assert not module.widget.ui.labelsCheckBox.property("checked")
    nodes = detected(module)
    set_threshold(module, 0.5)
    assert points_shown(nodes) == ["N1", "N2", "N3"]
    assert segments_shown(nodes) == ["N1", "N2", "N3"]
    select_row(module, "N3")
    assert is_visible(module, "closeUpWidget")


def test_closed_scene_leaves_no_results_in_the_panel(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    detect(module, tmp_path)
    set_threshold(module, 0.0)
    select_row(module, "N1")
    slicer.mrmlScene.Clear()
    assert state(module) is State.NO_INPUT
    assert not is_visible(module, "candidatesCollapsibleButton")
    assert not is_visible(module, "viewingCollapsibleButton")
    add(module, chest)  # and the next scene begins anew
    assert state(module) is State.READY


def test_selection_is_kept_while_another_module_is_open(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    detect(module, tmp_path)
    set_threshold(module, 0.0)
    select_row(module, "N3")
    leave_module(module)
    enter_module(module)
    assert selected_row(module) == "N3"


def test_what_another_module_removed_is_gone_on_return(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    nodes = detect(module, tmp_path)
    leave_module(module)
    slicer.mrmlScene.RemoveNode(nodes.record)
    enter_module(module)
    assert state(module) is State.READY


def test_entering_twice_is_entering_once(module: Module, chest: Volume, tmp_path: Path) -> None:
    enter_module(module)
    enter_module(module)
    leave_module(module)
    leave_module(module)
    enter_module(module)
    add(module, chest)
    assert state(module) is State.READY


def test_closing_the_scene_while_another_module_is_open(module: Module, chest: Volume, tmp_path: Path) -> None:
    add(module, chest)
    detect(module, tmp_path)
    leave_module(module)
    slicer.mrmlScene.Clear()
    enter_module(module)
    assert state(module) is State.NO_INPUT


def test_reload_reads_module_and_library_anew(tmp_path: Path) -> None:
    """In a process of its own: the tests here hold on to the library that a reload throws away."""
    code = (
        "import sys, types; from pathlib import Path; import slicer\n"
        "from host import enter_module, load_module\n"
        f"module = load_module(Path({str(MODULE_FILE)!r})); enter_module(module)\n"
        "old = sys.modules['LungNoduleCADLib.app.module.panel']\n"
        "def reload():\n"
        "    slicer.modules.LungNoduleCADWidget = None\n"
        "    python = sys.modules['LungNoduleCAD']\n"
        "    module.widget = python.LungNoduleCADWidget(module.holder); module.widget.setup()\n"
        "module.holder.reload = reload\n"
        "former = types.SimpleNamespace(cleanup=module.widget.cleanup, parent=module.holder)\n"
        "slicer.modules.LungNoduleCADWidget = former\n"
        "module.widget.onReload()\n"
        "new = sys.modules['LungNoduleCADLib.app.module.panel']\n"
        "assert new is not old and isinstance(module.widget.panel, new.DetectionPanel)\n"
        "module.widget.ui.detectButton.click()\n"
        "print('reloaded', module.widget.panel.state.name)\n"
    )
    done = run_python(code)
    assert done.stdout.strip().splitlines()[-1:] == ["reloaded NO_INPUT"], done.stderr


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    paths = [str(MODULE_FILE.parents[1] / "Testing"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)


def test_module_loads_without_the_packages_that_slicer_lacks() -> None:
    """A module that fails to import never shows up in Slicer, and its user sees nothing."""
    done = run_python(
        "import sys; from pathlib import Path; from host import load_module;"
        f"load_module(Path({str(MODULE_FILE)!r}));"
        "print([n for n in ('torch', 'pywt', 'pydicom', 'highdicom', 'safetensors', 'matplotlib', 'PIL', 'skimage')"
        " if n in sys.modules])"
    )
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stderr


def test_script_without_panel_can_do_the_same(chest: Volume, tmp_path: Path) -> None:
    class Immediate(FakeRun):
        def start(self) -> None:
            self.finish(tmp_path)

    module = load_module(MODULE_FILE, makeRun=Immediate)
    logic: Any = module.widget.logic
    node = add_volume_node(slicer.mrmlScene, chest, "CT")
    nodes = logic.detect(node)
    rows = logic.candidates(nodes)
    assert [row.score for row in rows] == list(SCORES)
    logic.reader = "Ada"
    logic.rejectFindings(nodes, ["N1"], "vessel")
    assert logic.showAt(nodes, 0.8).shown == {"N1": False, "N2": True, "N3": False, "N4": False, "N5": False}
    assert points_shown(nodes) == ["N2"]
    logic.setWindow(node, "mediastinum")
    assert logic.window(node) == (400.0, 40.0)
    logic.setOverlayVisible(nodes, False)
    assert not logic.isOverlayVisible(nodes)
    module.close()
    slicer.mrmlScene.Clear()


def test_module_fits_into_the_width_that_slicer_allows(module: Module, chest: Volume, tmp_path: Path) -> None:
    """Slicer's generic module test allows 500 pixels."""
    add(module, chest)
    detect(module, tmp_path, warnings=("A long warning that goes on and on, " * 5,))
    set_threshold(module, 0.0)
    select_row(module, "N1")
    module.holder.show()
    module.process_events()
    assert module.holder.minimumSizeHint().width() <= 500


def test_description_is_complete(module: Module) -> None:
    parent = slicer.modules.lungnodulecad.instance.parent
    assert parent.title == "Lung Nodule CAD"
    assert parent.categories and parent.contributors
    for text in (parent.helpText, parent.acknowledgementText):
        assert len(text) > 100
    assert "not for diagnostic use" in parent.helpText
    assert module.python.HOMEPAGE in parent.helpText
    cmake = (MODULE_FILE.parents[1] / "CMakeLists.txt").read_text(encoding="utf-8")
    assert f'EXTENSION_HOMEPAGE "{module.python.HOMEPAGE}"' in cmake


def test_unittest_finds_the_self_test_once(module: Module) -> None:
    """Slicer's build machines run all test cases that they find in the module."""
    import unittest

    suites = unittest.TestLoader().loadTestsFromModule(module.python)
    found = [type(case).__name__ for suite in suites for case in suite if case._testMethodName != "runTest"]
    assert set(found) == {"LungNoduleCADTest"}
    assert len(found) == 5
