"""Scenes to export from, and exports without a child process: the input of the tests of the module's reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from io_inputs import write_series
from pydicom import dcmread
from report_inputs import blob_candidates, result_of
from review_inputs import Reviewed, through_files

from LungNoduleCADLib.app.export_job import ExportJob, ExportRequest
from LungNoduleCADLib.app.export_run import ExportRun, SceneContent
from LungNoduleCADLib.app.scene_report import export_scene
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.review import review_to_json
from LungNoduleCADLib.scene import add_volume_node, open_standalone_scene
from LungNoduleCADLib.scene.detections import add_detection, prepare_detection
from LungNoduleCADLib.scene.review_bundle import bundle_files
from LungNoduleCADLib.scene.volumes import volume_from_node
from LungNoduleCADLib.volume import Volume

EVERY_FORMAT = ("html", "pdf", "csv", "json", "png", "seg", "sr", "mrb")
WITHOUT_DICOM = ("html", "pdf", "csv", "json", "png", "mrb")


class ExportHere(ExportRun):
    """An export whose worker runs in this process, so that a test is quick and an error shows where it is."""

    def __init__(self, content: SceneContent, request: ExportRequest) -> None:
        super().__init__(content, request, ["no worker"])
        self.stages: list[str] = []

    def _run_worker(self, folder: Path) -> tuple[str, int]:
        job = ExportJob.read(folder / "job.json")
        export_scene(job, folder, lambda stage, fraction: self.stages.append(stage))
        return "", 0


class DicomDatabase:
    """`slicer.dicomDatabase`, as far as the module asks it.

    :param folder: whose files it knows.
    """

    def __init__(self, folder: Path) -> None:
        found = {path: dcmread(path, stop_before_pixels=True) for path in sorted(folder.rglob("*.dcm"))}
        self.files = {str(header.SOPInstanceUID): str(path) for path, header in found.items()}

    def fileForInstance(self, uid: str) -> str:
        return self.files.get(uid, "")


def dicom_scene(folder: Path, candidates: Any = blob_candidates, **attributes: Any) -> Reviewed:
    """A scene with a volume that was loaded from the DICOM files in `folder / "ct"`, and its detection.

    :param attributes: of the files, as `write_series` takes them.
    """
    write_series(folder / "ct", **attributes)
    return detection_scene(folder, folder / "ct", candidates)


def detection_scene(folder: Path, source: Path, candidates: Any = blob_candidates, name: str = "4: Thorax") -> Reviewed:
    """A scene with a scan as the module leaves it after a run."""
    return scene_of_volume(read_volume(source), folder / "detection", candidates, name)


def scene_of_volume(
    volume: Volume, folder: Path, candidates: Any = blob_candidates, name: str = "4: Thorax"
) -> Reviewed:
    """The same of a volume. :param folder: takes the worker's files."""
    host = open_standalone_scene()
    volume_node = add_volume_node(host.scene, volume, name)
    searched = volume_from_node(volume_node)
    result, record = through_files(result_of(searched, candidates(searched)), searched, folder)
    nodes = add_detection(host.scene, prepare_detection(result, searched, record), volume_node)
    return Reviewed(host, searched, volume_node, nodes)


def content_of(
    scene: Reviewed, *, dicom: Path | None = None, threshold: float | None = None, bundle: bool = False
) -> SceneContent:
    """What the module takes from a scene for an export.

    :param dicom: where the files of its slices lie.
    """
    review = scene.review()
    name, record = str(scene.volume_node.GetName()), str(scene.nodes.record.GetText())
    text = review_to_json(review.review) if review.review.events else ""
    files = bundle_files(name, review.volume, record, text, threshold) if bundle else {}
    slices = tuple(DicomDatabase(dicom).files.values()) if dicom is not None else ()
    return SceneContent(name, review.volume, record, text, slices, files)


def exported(content: SceneContent, folder: Path, *formats: str, **choices: Any) -> ExportHere:
    """The end of an export."""
    run = ExportHere(content, ExportRequest(str(folder), formats, **choices))
    run.start()
    run._thread.join()
    run.poll()
    return run
