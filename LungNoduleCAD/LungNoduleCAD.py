"""The Slicer module: four thin classes over `LungNoduleCADLib`."""

from __future__ import annotations

import sys
import unittest
from typing import Annotated, Any

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from LungNoduleCADLib.app.module.logic import MODELS, DetectionLogic
from LungNoduleCADLib.app.module.panel import DetectionPanel
from LungNoduleCADLib.app.module.sample_data import registerSampleData
from LungNoduleCADLib.app.module.self_test import SelfTest
from LungNoduleCADLib.app.module.shortcuts import KEYS
from LungNoduleCADLib.app.operating_table import read_operating_table

HOMEPAGE = "https://github.com/LungNoduleCAD/LungNoduleCAD"


class LungNoduleCAD(ScriptedLoadableModule):
    """What the module selector shows."""

    def __init__(self, parent: Any) -> None:
        """Called once, when Slicer starts."""
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Lung Nodule CAD")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["LungNoduleCAD contributors"]
        self.parent.helpText = _(
            "Finds lung nodule candidates in a chest CT. Choose a volume, press <b>Detect nodules</b>, and move the "
            "threshold: candidates appear and vanish at once. Select a row, or click a candidate in a slice view, to "
            "see it in all views, then accept or reject it, or add what was missed. Keys: {next} next, {previous} "
            "previous, {accept} accept, {reject} reject, {add} add, {undo} undo, {redo} redo, {overlay} outlines. "
            "<p>For research use only, not for diagnostic use.</p>"
            "<p>For more information, see the {url_start}documentation{url_end}.</p>"
        ).format(url_start=f'<a href="{HOMEPAGE}">', url_end="</a>", **KEYS)
        self.parent.acknowledgementText = _(
            "Detection by a 2.5D U-Net and a hybrid classifier. The model cards in Resources/Models name the training "
            "data and their licences."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


@parameterNodeWrapper
class LungNoduleCADParameterNode:
    """The user's choices that belong to the scene.

    inputVolume - The CT to search.
    threshold - Candidates with at least this score are shown.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(0, 1)] = 0.5


class LungNoduleCADWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Connects the panel with the scene and the module's life."""

    def __init__(self, parent: Any = None, logic: LungNoduleCADLogic | None = None) -> None:
        """Called when the user opens the module the first time.

        :param logic: another one than the module makes itself.
        """
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = logic
        self._parameterNode: Any = None
        self._nodesTimer = qt.QTimer()
        self._nodesTimer.setSingleShot(True)
        self._nodesTimer.timeout.connect(self.onNodesChanged)
        self._parameterNodeGuiTag: Any = None

    def setup(self) -> None:
        """Called when the user opens the module the first time, and on reload."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/LungNoduleCAD.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = self.logic or LungNoduleCADLogic()
        self.panel = DetectionPanel(self.ui, uiWidget, self.logic, self.setThreshold)

        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved)
        if self.parent.isEntered:  # a reload while the module is open: nobody calls `enter`
            self.enter()

    def cleanup(self) -> None:
        """Called when the application closes and the panel is destroyed, and before a reload."""
        self._nodesTimer.stop()
        self.panel.close()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the user opens this module."""
        self.initializeParameterNode()
        if self.panel.isOutdated():
            self.panel.refresh(self._parameterNode.inputVolume)
        self.panel.enter()

    def exit(self) -> None:
        """Called each time the user opens a different module. A run goes on."""
        self.panel.exit()
        self.setParameterNode(None)

    def onReload(self) -> None:
        """Called by the developer's Reload button: the library is read anew as well."""
        for name in [n for n in sys.modules if n.partition(".")[0] == "LungNoduleCADLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """Called just before the scene is closed: the results of a run would have no place any more."""
        self.logic.cancelDetection()
        self.setParameterNode(None)
        self.panel.refresh(None)
        self.logic.forgetReview()
        self.logic.releaseSegments()

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        """Called just after the scene is closed."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller: Any, event: Any) -> None:
        """Called after a scene was loaded: it may bring a volume, a threshold and a detection."""
        if self.parent.isEntered:
            self.initializeParameterNode()
            self.panel.refresh(self._parameterNode.inputVolume)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller: Any, event: Any, node: Any) -> None:
        """Called for every node that is about to leave the scene."""
        self.logic.releaseSegments(node)

    def onNodeRemoved(self, caller: Any, event: Any) -> None:
        """Called for every node that leaves the scene."""
        self._nodesTimer.start()

    def onNodesChanged(self) -> None:
        """Called once after any number of nodes have left."""
        if self._parameterNode is not None and self.panel.isOutdated():
            self.panel.refresh(self._parameterNode.inputVolume)

    def initializeParameterNode(self) -> None:
        """Make sure that a parameter node exists and is observed, and that it has a volume where there is one."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            first = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if first is not None:
                self._parameterNode.inputVolume = first

    def setParameterNode(self, parameterNode: LungNoduleCADParameterNode | None) -> None:
        """Follow a parameter node, or none."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
        self._parameterNode = parameterNode
        if self._parameterNode is not None:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
            self.onParametersChanged()

    def onParametersChanged(self, caller: Any = None, event: Any = None) -> None:
        """Called when the volume or the threshold changes, by the user or by a script."""
        if self._parameterNode is not None:
            self.panel.show(self._parameterNode.inputVolume, self._parameterNode.threshold)

    def setThreshold(self, threshold: float) -> None:
        """Called by the panel when the user wants another threshold."""
        if self._parameterNode is not None:
            self._parameterNode.threshold = threshold


class LungNoduleCADLogic(ScriptedLoadableModuleLogic, DetectionLogic):
    """Everything the panel does, without the panel; see `DetectionLogic`, whose parts can be exchanged here."""

    def __init__(self, **parts: Any) -> None:
        """Called by the widget's setup, by tests and by scripts."""
        ScriptedLoadableModuleLogic.__init__(self)
        DetectionLogic.__init__(self, **parts)
        slicer.app.connect("aboutToQuit()", self.onAboutToQuit)

    def getParameterNode(self) -> LungNoduleCADParameterNode:
        """The scene's parameter node; a new one begins at the clinical threshold of the shipped weights."""
        node = super().getParameterNode()
        isNew = not node.GetParameter("threshold")
        parameters = LungNoduleCADParameterNode(node)
        table = read_operating_table(MODELS) if isNew else None
        if table is not None:
            parameters.threshold = table.default_threshold
        return parameters

    def onAboutToQuit(self) -> None:
        """Called when the application closes."""
        self.listener = self.exportListener = self.explanationListener = None
        self.cancelDetection(wait=True)
        self.cancelExplanation(wait=True)
        self.cancelExport(wait=True)


class LungNoduleCADTest(ScriptedLoadableModuleTest, SelfTest):
    """The self-test that Slicer runs; see `SelfTest`."""

    logicClass = LungNoduleCADLogic

    def setUp(self) -> None:
        """Called before each test."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Called by Slicer's Reload and Test button, and by its Self Tests module."""
        for name in unittest.TestLoader().getTestCaseNames(type(self)):
            self.setUp()
            try:
                getattr(self, name)()
            except unittest.SkipTest as reason:
                self.delayDisplay(f"{name}: {reason}")
            else:
                self.delayDisplay(f"{name}: passed")
        slicer.mrmlScene.Clear()
