"""A detection under review, in memory and in a scene: the input of the tests of reviews."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from result_inputs import make_volume
from scipy import ndimage

from LungNoduleCADLib.app.result_folder import load_result, save_result
from LungNoduleCADLib.errors import OutputError
from LungNoduleCADLib.findings import Candidate, DetectionResult, VoxelMask
from LungNoduleCADLib.measurement import measure
from LungNoduleCADLib.review import Change, Finding, Review
from LungNoduleCADLib.scene import StandaloneScene, add_volume_node, open_standalone_scene, read_scene
from LungNoduleCADLib.scene.detections import DetectionNodes, add_detection, find_detection, prepare_detection
from LungNoduleCADLib.scene.review import SceneReview
from LungNoduleCADLib.scene.volumes import volume_from_node
from LungNoduleCADLib.volume import Volume

READER = "Dr. Gesa Müller"
SCORES = (0.93, 0.61, 0.12)


@dataclass(eq=False)
class Reviewed:
    """A scene with a scan and its detection."""

    host: StandaloneScene
    volume: Volume
    volume_node: Any
    nodes: DetectionNodes

    def review(self) -> SceneReview:
        """As the module opens it: from what the scene holds."""
        return SceneReview(self.host.scene, self.nodes)


def after(review: Review, *changes: Change) -> Review:
    """The review after some changes."""
    for change in changes:
        review = review.with_change(change, READER)
    return review


def make_scene(folder: Path, axes: str = "standard", volume: Volume | None = None) -> Reviewed:
    """A scene as the module leaves it after a run on the scan of `result_inputs`, or another one."""
    host = open_standalone_scene()
    volume_node = add_volume_node(host.scene, volume or make_volume(axes), "CT")
    searched = volume_from_node(volume_node)
    result, record = through_files(detected(searched), searched, folder / "result")
    nodes = add_detection(host.scene, prepare_detection(result, searched, record), volume_node)
    return Reviewed(host, searched, volume_node, nodes)


def detected(volume: Volume) -> DetectionResult:
    """The scan's three balls as candidates, the largest first: two above the threshold, one below."""
    labels, count = ndimage.label(volume.voxels > -200)
    boxes = ndimage.find_objects(labels)
    masks = [VoxelMask(tuple(side.start for side in box), labels[box] == n) for n, box in enumerate(boxes, start=1)]
    masks.sort(key=lambda mask: -int(mask.voxels.sum()))
    assert count == len(SCORES)
    candidates = []
    for n, (score, mask) in enumerate(zip(SCORES, masks, strict=True), start=1):
        x, y, z = (float(v) for v in volume.index_to_lps(np.argwhere(mask.voxels).mean(axis=0) + mask.start_kji))
        candidates.append(Candidate(n, (x, y, z), score, 0.4, mask, measure(volume, mask)))
    return DetectionResult(tuple(candidates), 0.5, {"series_uid": ""}, {}, {}, {}, {})


def through_files(result: DetectionResult, volume: Volume, folder: Path) -> tuple[DetectionResult, str]:
    """A result as it arrives from the worker."""
    folder.mkdir(parents=True)
    save_result(result, volume, folder)
    return load_result(folder)


def save_and_load(scene: Reviewed, folder: Path, monkeypatch: Any) -> Reviewed:
    """The scene after Slicer has saved it as `.mrb` and read it into an empty one."""
    (folder / "saved").mkdir()
    monkeypatch.chdir(folder / "saved")  # Slicer puts a temporary folder there
    if not scene.host.scene.WriteToMRB(str(folder / "saved" / "scene.mrb")):
        raise OutputError("the scene could not be saved")
    (folder / "unpacked").mkdir()
    host = read_scene(folder / "saved" / "scene.mrb", folder / "unpacked")
    volume_node = host.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    nodes = find_detection(host.scene, volume_node)
    assert nodes is not None
    return Reviewed(host, scene.volume, volume_node, nodes)


def whole(mask: VoxelMask, volume: Volume) -> np.ndarray:
    """A mask in the volume's whole array."""
    voxels = np.zeros(volume.shape, dtype=bool)
    voxels[mask.region] = mask.voxels
    return voxels


def said_of(findings: Sequence[Finding], volume: Volume) -> list[tuple[Any, ...]]:
    """Everything a review says of findings, comparable."""
    return [
        (
            *(f.id, f.origin, f.status, f.score, f.malignancy, f.edited, f.reader, f.decided_at, f.reason, f.comment),
            *(f.note, f.callipers_mm, f.solid_callipers_mm, f.density, dict(f.categories), f.merged_into, f.first_read),
            *(f.contour.center_lps, f.contour.measurements, whole(f.contour.mask, volume).tobytes()),
        )
        for f in findings
    ]
