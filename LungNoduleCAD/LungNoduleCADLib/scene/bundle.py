"""`scene.mrb`: volume, candidates and segments in one file that Slicer opens."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..evaluation.matching import MatchResult
from ..findings import DetectionResult, ReferenceNodule
from ..io.stderr import silenced_stderr
from ..report.images import write_segmentation
from ..report.items import ReportItem, report_items, resolve_match
from ..report.markups import CANDIDATES_NAME, MISSED_NAME
from ..volume import Volume
from .host import StandaloneScene, open_standalone_scene
from .nodes import add_markups_node, add_segmentation_node, add_volume_node, release_labelmaps

COPY_BLOCK_BYTES = 1 << 20
"""zipfile's own copying goes in blocks of 8 kB, and takes four times as long."""


def add_result(
    scene: Any, result: DetectionResult, volume: Volume, items: Sequence[ReportItem], volume_node: Any = None
) -> dict[str, Any]:
    """Add a result to a scene: every candidate (those below the threshold hidden) and the missed reference nodules.

    :param items: of the result, from `report_items`.
    :param volume_node: the volume's node where the scene has it already; otherwise one is added.
    :return: the nodes by role: volume, candidates, segmentation and, where a reference nodule was missed, missed.
    """
    if volume_node is None:
        name = str(result.series.get("series_description") or result.series.get("series_uid") or "CT")
        volume_node = add_volume_node(scene, volume, name)
    nodes = {
        "volume": volume_node,
        "candidates": add_markups_node(scene, [i for i in items if i.candidate is not None], CANDIDATES_NAME),
    }
    if missed := [i for i in items if i.candidate is None]:
        nodes["missed"] = add_markups_node(scene, missed, MISSED_NAME)
    nodes["segmentation"] = add_segmentation_node(scene, items, volume, volume_node)
    return nodes


def write_scene(
    result: DetectionResult,
    volume: Volume,
    path: str | Path,
    references: Sequence[ReferenceNodule] | None = None,
    match: MatchResult | None = None,
    compress: bool = False,
) -> None:
    """Write the result as a Slicer data bundle (`.mrb`).

    `vtkMRMLScene.WriteToMRB` is not used: it puts its temporary folder into the working directory and returns True when
    nothing could be written. Slicer's segmentation writer takes 0.15 s a segment on a whole scan, ours 0.15 s in all.

    :param references: matched with the candidates at the result's threshold, where `match` is not given.
    :param compress: gzip the volume: a third smaller, and 2.5 s more for a scan of 300 slices.
    :raises OutputError: when it cannot be written; an incomplete file is removed.
    """
    target = Path(path)
    items = report_items(result, volume, resolve_match(result, references, match))
    host = open_standalone_scene()
    nodes = add_result(host.scene, result, volume, items)
    try:
        with tempfile.TemporaryDirectory(prefix=".scene-", dir=target.parent) as temporary:
            folder = Path(temporary) / target.stem
            data = folder / "Data"
            data.mkdir(parents=True)
            # By default Slicer turns a left-handed grid's slices round when it reads them: same place, other indices.
            name_file(nodes["volume"], data / "volume.nrrd").SetForceRightHandedIJKCoordinateSystem(False)
            store(nodes["volume"], data / "volume.nrrd", compress)
            store(nodes["candidates"], data / "candidates.mrk.json")
            if "missed" in nodes:
                store(nodes["missed"], data / "missed.mrk.json")
            write_segmentation(items, volume, data / "segmentation.seg.nrrd")
            name_file(nodes["segmentation"], data / "segmentation.seg.nrrd")
            save_scene_file(host.scene, folder / f"{target.stem}.mrml")
            _check_stored(data / "volume.nrrd", 0 if compress else volume.voxels.nbytes)
            zip_folder(folder, target)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError) and not target.parent.is_dir():
            raise OutputError(f"{target} could not be written: its folder does not exist; create it first.") from error
        raise
    finally:
        release_labelmaps(nodes["segmentation"])


def read_scene(path: str | Path, folder: str | Path) -> StandaloneScene:
    """Unpack a `.mrb` into an existing empty folder and read it into a new standalone scene.

    :raises OutputError: when Slicer cannot read it.
    """
    host = open_standalone_scene()
    scene_file = host.application_logic.UnpackSlicerDataBundle(str(path), str(folder))
    host.scene.SetURL(scene_file or "")
    if not scene_file or not host.scene.Import():
        raise OutputError(f"{path} is not a scene that Slicer can read; write it again.")
    return host


def store(node: Any, file: Path, compress: bool = False) -> None:
    """Write a node's data, and let its scene know where.

    :raises OutputError: when it cannot be written.
    """
    storage = name_file(node, file)
    storage.SetUseCompression(compress)
    with silenced_stderr():
        written = storage.WriteData(node)
    if not written:
        raise _unwritable(file)


def name_file(node: Any, file: Path) -> Any:
    """Let a node's scene know where its data are; returns the storage node."""
    node.AddDefaultStorageNode()
    storage = node.GetStorageNode()
    storage.SetFileName(str(file))
    return storage


def save_scene_file(scene: Any, file: Path) -> None:
    """Write the `.mrml` file of a scene whose data lie beside it.

    :raises OutputError: when it cannot be written.
    """
    scene.SetRootDirectory(str(file.parent))  # file names in the scene become relative to it
    scene.SetURL(str(file))
    with silenced_stderr():
        written = scene.Commit(str(file))
    if not written:
        raise _unwritable(file)


def _check_stored(file: Path, least_bytes: int) -> None:
    """VTK's writers can report success on a full disk."""
    if not file.is_file() or file.stat().st_size <= least_bytes:
        raise _unwritable(file)


def _unwritable(file: Path) -> OutputError:
    """Slicer's writers do not say why; a full disk is the usual reason."""
    free = shutil.disk_usage(file.parent).free / 1e6
    return OutputError(
        f"The scene's {file.name} could not be written ({free:.0f} MB are free on that disk); free some space, or "
        "choose another folder."
    )


def zip_folder(folder: Path, target: Path) -> None:
    """A bundle of a folder, without compression: the data files have their own."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo.from_file(file, file.relative_to(folder.parent).as_posix())
            with file.open("rb") as source, archive.open(entry, "w") as destination:
                shutil.copyfileobj(source, destination, COPY_BLOCK_BYTES)
