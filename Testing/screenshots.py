"""Makes the pictures of docs/tutorial.md: the module in real Qt and Slicer's slice views, on the phantom.

    export QT_QPA_PLATFORM=offscreen PYTHONPATH=Testing:LungNoduleCAD OMP_NUM_THREADS=1
    .venv/bin/python Testing/screenshots.py Resources/Screenshots [small]

The smaller phantom is quicker. Do this last, when the panel is as it will stay.

Everything in them is computed: the phantom, the detection with the shipped weights, the explanation. Slice views are
drawn by Slicer's own slice logic and displayable managers into an offscreen window, which needs OpenGL (Mesa will do).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import slicer
import vtk
from chart_view import draw_chart
from host import Module, enter_module, load_module, start_application
from numpy.typing import NDArray
from PIL import Image
from PySide6 import QtGui
from vtkmodules.util.numpy_support import vtk_to_numpy

MODULE_FILE = Path(__file__).resolve().parents[1] / "LungNoduleCAD" / "LungNoduleCAD.py"
PANEL_PX, TABLE_HEIGHT, VIEW_PX = (480, 2600), 250, (330, 330)
"""In Slicer the panel scrolls; here it must be as high as what is open in it, and the table would take the rest."""
VIEWS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
MANAGERS = ("vtkMRMLSegmentationsDisplayableManager2D", "vtkMRMLMarkupsDisplayableManager")
GAP_PX, MARGIN_PX = 4, 6
PASSES, PAUSE_S = 30, 0.03
"""Turns of the event loop after which timers have fired and wrapped texts have found their height."""
COLORS = 128
"""Pictures of grey scans need no more, and take half the bytes; panels keep theirs, which are signs."""


class Done:
    """A run that was waited for, without Qt's events, before the module is given it."""

    def __init__(self, run: Any) -> None:
        run.start()
        while run.outcome is None:
            run.poll()
            time.sleep(0.2)
        self._run = run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def start(self) -> None:
        """It is over."""


class SliceView:
    """One of Slicer's slice views without its widget."""

    def __init__(self, name: str, orientation: str) -> None:
        scene, application = slicer.mrmlScene, slicer.app.applicationLogic()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(orientation)
        self.node.SetDimensions(*VIEW_PX, 1)
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetMultiSamples(0)
        self._window.SetSize(*VIEW_PX)
        self._window.SetNumberOfLayers(2)
        below, above = vtk.vtkRenderer(), vtk.vtkRenderer()
        above.SetLayer(1)
        above.GetActiveCamera().ParallelProjectionOn()
        for renderer in (below, above):
            self._window.AddRenderer(renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        below.AddViewProp(actor)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application)
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._managers = factory.InstantiateDisplayableManagers(above)
        self._managers.SetMRMLDisplayableNode(self.node)
        self._window.Render()

    def picture(self) -> NDArray[np.uint8]:
        """What it shows, RGB."""
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        self._window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self._window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()


class Photographer:
    """Takes pictures of the module and the views.

    :param folder: takes them.
    """

    def __init__(self, module: Module, views: Sequence[SliceView], folder: Path) -> None:
        self._module, self._views, self._folder = module, views, folder

    def views(self, name: str) -> None:
        """The slice views side by side."""
        self._row([view.picture() for view in self._views], name)

    def places(self, name: str, labels: Sequence[str]) -> None:
        """The axial view at one candidate after the other."""
        pictures = []
        for label in labels:
            self._module.widget.panel.candidates.onLabelPicked(label)
            self._module.widget.logic.jumpTo(self._module.widget.panel._nodes, label, center=True)
            self._module.process_events()
            pictures.append(self._views[0].picture())
        self._row(pictures, name)

    def chart(self, name: str, chart: Any) -> None:
        """A plot."""
        self._save(Image.fromarray(draw_chart(chart)), name)

    def panel(self, name: str, *sections: str) -> None:
        """Sections of the panel, one below the other, from their names in the `.ui` file."""
        for _ in range(PASSES):
            self._module.process_events()
            time.sleep(PAUSE_S)
        pictures = [self._grab(getattr(self._module.widget.ui, section)) for section in sections]
        page = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), (239, 239, 239))
        top = 0
        for picture in pictures:
            page.paste(picture, (0, top))
            top += picture.height
        self._save(page, name, colors=None)

    def _row(self, pictures: Sequence[NDArray[np.uint8]], name: str) -> None:
        gap = np.zeros((VIEW_PX[1], GAP_PX, 3), np.uint8)
        row = [part for picture in pictures for part in (picture, gap)][:-1]
        self._save(Image.fromarray(np.concatenate(row, axis=1)), name)

    def _grab(self, widget: Any) -> Image.Image:
        image = widget.grab().toImage().convertToFormat(QtGui.QImage.Format.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        pixels = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)
        used = np.flatnonzero((pixels != pixels[-1, -1]).any(axis=(1, 2)))[-1] + 1  # a section takes what room there is
        return Image.fromarray(pixels[: used + MARGIN_PX].copy())

    def _save(self, picture: Image.Image, name: str, colors: int | None = COLORS) -> None:
        path = self._folder / f"{name}.png"
        if colors is not None:  # rare colours too: those of the marks
            picture = picture.quantize(colors, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        picture.save(path, optimize=True)
        print(f"{path}: {picture.width} x {picture.height}, {path.stat().st_size // 1000} kB")


def main(folder: Path, size: Literal["chest", "small"]) -> None:
    """Walk through the tutorial and take its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    start_application(MODULE_FILE.parent)  # before what imports qt
    from LungNoduleCADLib.app.explanation_run import ExplanationRun
    from LungNoduleCADLib.app.jobs import DetectionRequest
    from LungNoduleCADLib.app.module.explaining import OCCLUSION
    from LungNoduleCADLib.app.run import DetectionRun
    from LungNoduleCADLib.app.states import State
    from LungNoduleCADLib.rules.lung_rads_table import GUIDELINE, MANAGEMENT
    from LungNoduleCADLib.scene import add_volume_node
    from LungNoduleCADLib.simulation import make_phantom

    application = slicer.app.applicationLogic()
    application.SetModuleLogic("Markups", slicer.modules.markups.logic())
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene)
    # Before any other node: what is added later is drawn, what was there before is not.
    views = [SliceView(name, orientation) for name, orientation in VIEWS.items()]
    module = load_module(MODULE_FILE, makeRun=lambda *asked: Done(DetectionRun(*asked)))
    enter_module(module)
    take = Photographer(module, views, folder)
    logic, panel, ui = module.widget.logic, module.widget.panel, module.widget.ui

    logic.makeExplanationRun = lambda *asked: Done(ExplanationRun(*asked))
    phantom = make_phantom(seed=0, size=size)
    volume = add_volume_node(slicer.mrmlScene, phantom.volume, "ChestPhantom")
    for view in views:
        view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        view.logic.FitSliceToBackground()
    module.holder.resize(*PANEL_PX)
    ui.candidatesTable.setMaximumHeight(TABLE_HEIGHT)
    module.holder.show()
    ui.inputVolumeSelector.setCurrentNode(volume)
    while panel.state is State.CHECKING:
        module.process_events()
        time.sleep(0.1)
    take.panel("input", "inputCollapsibleButton", "settingsCollapsibleButton", "detectButton")
    take.views("scan")

    nodes = logic.detect(volume, DetectionRequest(device="cpu"))
    panel.refresh(volume)
    shown = [row for row in panel.candidates.table.rows.values() if panel.candidates._listing.shown[row.label]]
    largest = max(shown, key=lambda row: row.values["mean_diameter_mm"]).label
    panel.candidates.onLabelPicked(largest)
    logic.jumpTo(nodes, largest)
    take.panel("candidates", "candidatesCollapsibleButton")
    take.views("candidates-views")
    ui.zoomCheckBox.click()
    take.panel("view", "viewingCollapsibleButton")
    take.views("zoom-views")
    label = panel.candidates.table.selected.label
    ui.acceptButton.click()
    ui.readerLineEdit.setProperty("text", "A. Reader")
    take.panel("review", "reviewCollapsibleButton")
    lines = callipers_around(logic.review(nodes).state.finding(label))
    logic.setCalliperLines(nodes, label, lines)
    logic.setCategory(nodes, label, GUIDELINE, "4X", MANAGEMENT["4X"], "Spiculated margin")
    panel.candidates.onReviewChanged(label)
    take.panel("finding", "findingWidget")
    x, y, z = np.mean(lines, axis=(0, 1))
    views[0].node.JumpSliceByCentering(-x, -y, z)  # the slice that they were drawn in
    take.views("callipers-views")
    lines = slicer.mrmlScene.GetNodesByClass("vtkMRMLMarkupsLineNode")
    for n in range(lines.GetNumberOfItems()):  # views without their widget keep drawing what has been removed
        lines.GetItemAsObject(n).GetDisplayNode().SetVisibility(False)
    for _ in range(2):
        logic.undo(nodes)
    panel.candidates.onReviewChanged(label)
    logic.jumpTo(nodes, label, center=True)

    logic.explain(nodes, label, device="cpu")
    logic.showHeatMap(nodes, label, OCCLUSION)
    panel.candidates.explain.updateGui()
    take.panel("explain", "viewingCollapsibleButton")
    take.views("explain-views")
    logic.setHeatMapVisible(nodes, False)

    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Truth")
    for nodule in phantom.nodules:
        x, y, z = nodule.center_lps
        points.AddControlPoint([-x, -y, z], nodule.label)
    logic.useReference(nodes, points)
    points.GetDisplayNode().SetVisibility(False)
    panel.candidates.onReviewChanged()
    ui.referenceCollapsibleButton.setProperty("collapsed", False)
    take.panel("reference", "referenceCollapsibleButton", "candidatesCollapsibleButton")
    threshold, rows = logic.getParameterNode().threshold, panel.candidates.table.rows
    below = max(row.score for row in rows.values() if row.score is not None and row.score < threshold)
    logic.getParameterNode().threshold = int(100 * below) / 100  # something false is seen too, as in this phantom
    shown = panel.candidates._listing.shown
    matches = {row.values.get("match"): name for name, row in reversed(rows.items()) if shown[name]}
    take.places("reference-views", [matches[status] for status in ("TP", "FP", "FN")])
    logic.getParameterNode().threshold = threshold
    ui.zoomCheckBox.click()
    prior = Path(tempfile.mkdtemp()) / "a year ago"
    write_prior(nodes, logic.review(nodes).volume, prior)
    sys.modules["qt"].QFileDialog = SimpleNamespace(getExistingDirectory=lambda *_: str(prior))
    ui.priorFolderButton.click()
    shutil.rmtree(prior.parent)
    ui.currentDayEdit.setProperty("text", "2026-04-02")
    ui.reportPathLineEdit.setProperty("currentPath", "/data/reports")
    ui.reportCollapsibleButton.setProperty("collapsed", False)
    take.panel("report", "reportCollapsibleButton")
    slicer.modules.plots = SimpleNamespace(logic=lambda: SimpleNamespace(ShowChartInLayout=lambda chart: None))
    take.chart("froc", logic.plotFroc(nodes, logic.getParameterNode().threshold))
    module.close()


def write_prior(nodes: Any, volume: Any, folder: Path) -> None:
    """A result as the command line leaves it, of the same scan a year before: the picture shows what can be chosen."""
    from LungNoduleCADLib.report.results import write_results
    from LungNoduleCADLib.scene.stored import stored_detection

    result = stored_detection(nodes.record.GetText()).result
    series = {**result.series, "series_description": "ChestPhantom", "study_date": "20250331",
              "source": "/data/2025/ChestPhantom.nrrd"}  # fmt: skip
    folder.mkdir(parents=True)
    write_results(replace(result, series=series), volume, folder)


def callipers_around(finding: Any) -> Any:
    """As a reader might draw them: the measured axes, each end a little farther out."""
    axes = (finding.contour.measurements.long_axis_lps, finding.contour.measurements.short_axis_lps)
    ends = [np.array(axis) + 0.06 * (np.array(axis) - np.array(axis)[::-1]) for axis in axes]
    return tuple(tuple(tuple(float(x) for x in end) for end in pair) for pair in ends)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "small" if "small" in sys.argv[2:] else "chest")
