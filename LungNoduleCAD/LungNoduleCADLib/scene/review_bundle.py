"""A detection under review as `.mrb`: what of it must be made on the thread that owns MRML, and the rest."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from ..report.images import write_segmentation
from ..report.items import ReportItem, report_items
from ..review import Finding, shown_findings
from ..volume import Volume
from .bundle import name_file, save_scene_file, store, zip_folder
from .detections import PreparedDetection, add_detection
from .host import open_standalone_scene
from .nodes import add_volume_node, make_label_layers, release_labelmaps
from .review import SceneReview, store_review
from .review_marks import mark_of
from .stored import stored_detection

VOLUME, SEGMENTATION = "Data/volume.nrrd", "Data/segmentation.seg.nrrd"
SCENE_NAME = "scene"


def bundle_files(name: str, volume: Volume, record: str, review: str, threshold: float | None) -> dict[str, bytes]:
    """All files of the bundle but the two large ones, by their place in it. On the main thread; takes 0.2 s a scan.

    They are made in a scene of their own, which holds the scan, the detection and its review, and nothing else.

    :param name: of the scan. :param volume: on the grid of the detection's outlines.
    :param record: text of the detection's record. :param review: text of the review; empty when there is none.
    :param threshold: from which score findings are shown; None takes the detection's.
    :raises LungNoduleCADError: when something is damaged, or the temporary folder cannot be written.
    """
    stored = stored_detection(record)
    result = stored.result
    items = report_items(result, volume)
    host = open_standalone_scene()
    volume_node = add_volume_node(host.scene, volume, name)
    prepared = PreparedDetection(volume, items, make_label_layers(items), record, stored)
    nodes = add_detection(host.scene, prepared, volume_node)
    try:
        review_node = store_review(host.scene, nodes.record, review) if review else None
        reviewed = SceneReview(host.scene, nodes, stored)
        reviewed.restore()
        reviewed.show(shown_findings(reviewed.state, result.threshold if threshold is None else threshold))
        with tempfile.TemporaryDirectory(prefix="LungNoduleCAD-") as temporary:
            folder = Path(temporary)
            (folder / "Data").mkdir()
            # By default Slicer turns a left-handed grid's slices round when it reads them: same place, other indices.
            name_file(volume_node, folder / VOLUME).SetForceRightHandedIJKCoordinateSystem(False)
            name_file(nodes.segmentation, folder / SEGMENTATION)
            store(nodes.candidates, folder / "Data" / "candidates.mrk.json")
            store(nodes.record, folder / "Data" / "record.txt")
            if review_node is not None:
                store(review_node, folder / "Data" / "review.txt")
            save_scene_file(host.scene, folder / f"{SCENE_NAME}.mrml")
            return {str(p.relative_to(folder).as_posix()): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    finally:
        release_labelmaps(nodes.segmentation)


def complete_bundle(folder: Path, volume_file: Path, findings: Iterable[Finding], volume: Volume, target: Path) -> None:
    """Add the scan and the outlines to the other files, and make one file of all. Touches no MRML.

    :param folder: holds what `bundle_files` made. :param volume_file: the scan as NRRD, which is moved there.
    :param findings: of the review. :param volume: the scan.
    :raises OutputError: when it cannot be written.
    """
    marks = [mark_of(finding) for finding in findings if finding.status != "merged"]
    items = [
        ReportItem(m.label, n, m.center_lps, m.description, m.color, True, mask=m.mask if m.mask.voxels.any() else None)
        for n, m in enumerate(marks, start=1)
    ]
    write_segmentation(items, volume, folder / SEGMENTATION)
    volume_file.rename(folder / VOLUME)
    zip_folder(folder, target)
