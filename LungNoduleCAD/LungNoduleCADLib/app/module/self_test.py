"""The module's self-test, which Slicer runs. The project's full tests are in Testing/."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer

from ...findings import Candidate, DetectionResult
from ...measurement import measure
from ...resources import resource_path
from ...scene.detections import DetectionNodes, add_detection, prepare_detection
from ...scene.volumes import volume_from_node
from ...simulation import make_phantom
from ..dependencies import is_torch_missing, missing_requirements
from ..jobs import DetectionRequest
from ..result_folder import load_result, save_result
from .sample_data import loadPhantom
from .viewing import WINDOWS_HU

if TYPE_CHECKING:
    from unittest import TestCase as TestMethods
else:  # no test case of its own: unittest would find it in the module's namespace, and run it too
    TestMethods = object


class SelfTest(TestMethods):
    """The tests; each begins with an empty scene.

    What needs the networks is skipped where their packages are not installed, as on Slicer's build machines.
    """

    logicClass: Any
    """Of the module's logic."""

    def test_uselessVolumeIsRefusedWithTheReason(self) -> None:
        """A volume of 8 mm slices."""
        [volumeNode] = loadPhantom(size="small")
        i, j, _ = volumeNode.GetSpacing()
        volumeNode.SetSpacing(i, j, 8.0)
        self.assertIn("8.0 mm", self.logicClass().checkInput(volumeNode).refusal)

    def test_candidatesFollowTheThresholdAndAreShownInTheViews(self) -> None:
        """Results in the scene, without networks."""
        logic, volumeNode, nodes = self._detection()
        rows = logic.candidates(nodes)
        self.assertEqual(nodes.candidates.GetNumberOfControlPoints(), len(rows))
        best = rows[0].label
        logic.showAt(nodes, rows[0].score)
        self.assertEqual(_shown(nodes), [best])
        view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode")
        self.assertTrue(logic.jumpTo(nodes, best, center=True))
        point = nodes.candidates.GetNthControlPointPositionWorld(0)
        place = [view.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
        for shown, expected in zip(place, point, strict=True):
            self.assertAlmostEqual(shown, expected, places=3)
        self.assertEqual(logic.candidateAt(rows, volumeNode, point).label, best)
        logic.setWindow(volumeNode, "mediastinum")
        self.assertEqual(logic.window(volumeNode), WINDOWS_HU["mediastinum"])
        logic.setSlab(10.0)
        self.assertEqual(logic.slab(), 10.0)
        logic.setSlab(0.0)
        logic.setOverlayVisible(nodes, False)
        self.assertFalse(logic.isOverlayVisible(nodes))

    def test_resultsComeBackWithASavedScene(self) -> None:
        """Through the files of a Slicer data bundle."""
        logic, _, nodes = self._detection()
        labels = [row.label for row in logic.candidates(nodes)]
        logic.reader = "Self-test"
        logic.rejectFindings(nodes, labels[:1], "vessel")
        shown = logic.showAt(nodes, 0.4).shown
        logic.getParameterNode().threshold = 0.4
        with tempfile.TemporaryDirectory() as folder:
            # As the application saves a bundle, but for the packing.
            self.assertTrue(slicer.app.applicationLogic().SaveSceneToSlicerDataBundleDirectory(folder, None))
            slicer.mrmlScene.Clear()
            [file] = Path(folder).rglob("*.mrml")
            slicer.mrmlScene.SetURL(str(file))
            self.assertTrue(slicer.mrmlScene.Import())
        volumeNode = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        restored = logic.detection(volumeNode)
        self.assertEqual([row.label for row in logic.candidates(restored)], labels)
        self.assertEqual(logic.candidates(restored)[0].values["status"], "rejected")
        self.assertEqual(_shown(restored), [label for label in labels if shown[label]])
        self.assertLess(len(_shown(restored)), len(labels))
        self.assertAlmostEqual(logic.getParameterNode().threshold, 0.4)

    def test_cancelledRunLeavesTheSceneAsItWas(self) -> None:
        """A worker that has just been started."""
        [volumeNode] = loadPhantom(size="small")
        logic = self.logicClass()
        before = slicer.mrmlScene.GetNumberOfNodes()
        logic.startDetection(volumeNode, DetectionRequest(device="cpu"))
        logic.cancelDetection(wait=True)
        while logic.isRunning:
            slicer.app.processEvents()
            logic.poll()
        self.assertIsNone(logic.detection(volumeNode))
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def test_phantomIsSearchedFromVolumeToTable(self) -> None:
        """The whole way: phantom, child process, networks, results in the scene."""
        if is_torch_missing() or missing_requirements(resource_path("requirements.txt")):
            self.skipTest("The packages that the networks need are not installed.")
        [volumeNode] = loadPhantom(size="small")
        logic = self.logicClass()
        self.assertTrue(logic.checkInput(volumeNode).accepted)
        nodes = logic.detect(volumeNode, DetectionRequest(device="cpu"))
        rows = logic.candidates(nodes)
        self.assertGreater(len(rows), 0)
        self.assertEqual(nodes.candidates.GetNumberOfControlPoints(), len(rows))
        self.assertIsNotNone(logic.operatingTable(nodes))

    def _detection(self) -> tuple[Any, Any, DetectionNodes]:
        """A phantom with its own nodules as what was detected: logic, volume and results."""
        [volumeNode] = loadPhantom(size="small")
        volume = volume_from_node(volumeNode)
        masks = [nodule.mask for nodule in make_phantom(seed=0, size="small").nodules if nodule.mask is not None]
        candidates = []
        for n, mask in enumerate(masks):
            k, j, i = (a + (size - 1) / 2 for a, size in zip(mask.start_kji, mask.voxels.shape, strict=True))
            x, y, z = (float(v) for v in volume.index_to_lps((k, j, i)))
            candidates.append(Candidate(n + 1, (x, y, z), 0.9 / (n + 1), None, mask, measure(volume, mask)))
        result = DetectionResult(tuple(candidates), 0.0, {}, {}, {}, {}, {})
        with tempfile.TemporaryDirectory() as folder:
            save_result(result, volume, Path(folder))
            read, record = load_result(Path(folder))
        return (
            self.logicClass(),
            volumeNode,
            add_detection(slicer.mrmlScene, prepare_detection(read, volume, record), volumeNode),
        )


def _shown(nodes: DetectionNodes) -> list[str]:
    """Ids of the visible segments."""
    display = nodes.segmentation.GetDisplayNode()
    return [name for name in nodes.segmentation.GetSegmentation().GetSegmentIDs() if display.GetSegmentVisibility(name)]
