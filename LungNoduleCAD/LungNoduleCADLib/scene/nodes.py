"""MRML nodes from the library's records. Each function adds to the scene it is given and returns the new node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..findings import VoxelMask
from ..report.images import SEGMENTATION_NAME, TERMINOLOGY_ENTRY, segment_tags
from ..report.items import ReportItem, bounding_box, fill_labels, label_layers, label_type
from ..report.markups import (
    GLYPH_SCALE,
    is_selected,
    is_visible,
    point_colors,
    point_measurements,
    print_format,
)
from ..volume import Volume
from .geometry import array_from_image, ijk_to_ras_matrix, scalars_from_array, to_ras
from .segments import make_labelmap

LUNG_WINDOW_HU = 1500.0
LUNG_LEVEL_HU = -600.0
FILL_OPACITY = 0.25
"""Of a segment in slice views: the outline is what is read, the nodule must stay visible."""


@dataclass(frozen=True, eq=False)
class LabelLayer:
    """Items whose masks do not overlap, and their label values in the box of these masks.

    :param start_kji: the box's first voxel in the volume. :param labels: unsigned, (k, j, i).
    """

    items: Sequence[ReportItem]
    start_kji: tuple[int, int, int]
    labels: NDArray[np.unsignedinteger]


def make_label_layers(items: Sequence[ReportItem]) -> list[LabelLayer]:
    """What `add_segmentation_node` needs to be made first. Touches no MRML, so that it can be made beside a user
    interface: for 500 candidates on 1000 slices it takes a second or two."""
    layers = []
    for layer in label_layers(items):
        start, shape = bounding_box(layer)
        labels = np.zeros(shape, label_type(layer))
        fill_labels(layer, start, labels)
        layers.append(LabelLayer(layer, start, labels))
    return layers


def add_volume_node(scene: Any, volume: Volume, name: str) -> Any:
    """A `vtkMRMLScalarVolumeNode` over the volume's own memory (not copied), in the lung window.

    Where the metadata has the slices' SOP instance UIDs, the node names them, which DICOM export needs.
    """
    import slicer

    node = make_volume_node(volume, name)
    if instance_uids := volume.metadata.get("sop_instance_uids"):
        node.SetAttribute("DICOM.instanceUIDs", " ".join(str(uid) for uid in instance_uids))

    # Set before the image meets it: a default display node searches all voxels for a window of its own (0.8 s a scan).
    display = slicer.vtkMRMLScalarVolumeDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(LUNG_WINDOW_HU, LUNG_LEVEL_HU)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    scene.AddNode(display)
    scene.AddNode(node)
    node.SetAndObserveDisplayNodeID(display.GetID())
    return node


def make_volume_node(volume: Volume, name: str) -> Any:
    """A `vtkMRMLScalarVolumeNode` of no scene yet, over the volume's own memory (not copied)."""
    import slicer
    from vtkmodules.vtkCommonDataModel import vtkImageData

    image = vtkImageData()
    image.SetDimensions(*volume.shape[::-1])
    image.GetPointData().SetScalars(scalars_from_array(volume.voxels))
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(name)
    node.SetIJKToRASMatrix(ijk_to_ras_matrix(volume.ijk_to_lps))
    node.SetAndObserveImageData(image)
    return node


def add_markups_node(scene: Any, items: Sequence[ReportItem], name: str) -> Any:
    """A `vtkMRMLMarkupsFiducialNode` with a point for each item: label and description, and the score, diameter, mean
    density and malignancy, also by the diameter alone, as static measurements with one value a point.

    MRML draws a point list in two colours, of selected and of other points: here those are found and false.
    """
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    was_modifying = node.StartModify()
    try:
        for item in items:
            point = node.AddControlPoint(list(to_ras(item.center_lps)), item.label)
            node.SetNthControlPointDescription(point, item.description)
            node.SetNthControlPointSelected(point, is_selected(item))
            node.SetNthControlPointVisibility(point, is_visible(item))
        for quantity, (unit, values) in point_measurements(items).items():
            node.AddMeasurement(make_measurement(quantity, unit, values))
    finally:
        node.EndModify(was_modifying)
    display = node.GetDisplayNode()
    selected, other = point_colors(items)
    display.SetSelectedColor(*selected)
    display.SetColor(*other)
    display.SetGlyphType(display.Cross2D)
    display.SetGlyphScale(GLYPH_SCALE)
    return node


def add_segmentation_node(
    scene: Any,
    items: Sequence[ReportItem],
    volume: Volume,
    volume_node: Any,
    name: str = SEGMENTATION_NAME,
    layers: Sequence[LabelLayer] | None = None,
) -> Any:
    """A `vtkMRMLSegmentationNode` with one segment for each item that has a mask, hidden where the item is not shown.

    The segments share as few label maps as they can without overlap, each no larger than the box of its masks. The
    reference geometry and the reference volume are the volume node's.

    :param layers: of the same items, where they were made beforehand.
    """
    import slicer

    node = slicer.vtkMRMLSegmentationNode()
    node.SetName(name)
    scene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    segmentation = node.GetSegmentation()
    was_modifying = node.StartModify()
    try:
        segments = [
            (item, make_segment(item, labelmap))
            for layer in (make_label_layers(items) if layers is None else layers)
            for labelmap in [make_labelmap(layer.start_kji, layer.labels, volume)]
            for item in layer.items
        ]
        for item, segment in sorted(segments, key=lambda pair: pair[0].label_value):
            segmentation.AddSegment(segment, item.label)
    finally:
        node.EndModify(was_modifying)
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(FILL_OPACITY)
    for item in items:
        if item.mask is not None and not item.shown:
            display.SetSegmentVisibility(item.label, False)
    return node


def segment_mask(segmentation_node: Any, segment_id: str) -> VoxelMask:
    """A segment's voxels, as a box on the grid of the node's reference volume; empty when it has none there.

    :raises KeyError: when there is no such segment.
    """
    segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        raise KeyError(f"no segment {segment_id!r} in {segmentation_node.GetName()}")
    labelmap = segment.GetRepresentation("Binary labelmap")
    extent = labelmap.GetExtent()
    if extent[0] > extent[1]:
        return VoxelMask((0, 0, 0), np.zeros((1, 1, 1), dtype=bool))
    voxels = array_from_image(labelmap) == segment.GetLabelValue()
    return VoxelMask((int(extent[4]), int(extent[2]), int(extent[0])), voxels)


def release_labelmaps(segmentation_node: Any) -> None:
    """Empty every segment, before the node is removed or goes out of use.

    Otherwise Slicer takes the segments out of their common label map one by one, 30 ms each on a whole scan.
    """
    segmentation = segmentation_node.GetSegmentation()
    for n in range(segmentation.GetNumberOfSegments()):
        segmentation.GetNthSegment(n).RemoveAllRepresentations()


def make_measurement(name: str, unit: str, values: Sequence[float]) -> Any:
    """A `vtkMRMLStaticMeasurement` of a point list, with a value for each point."""
    import slicer
    from vtkmodules.vtkCommonCore import vtkDoubleArray

    numbers = vtkDoubleArray()
    for value in values:
        numbers.InsertNextValue(value)
    measurement = slicer.vtkMRMLStaticMeasurement()
    measurement.SetName(name)
    measurement.SetUnits(unit)
    measurement.SetPrintFormat(print_format(unit))
    measurement.SetControlPointValues(numbers)
    measurement.SetEnabled(True)
    return measurement


def make_segment(item: ReportItem, labelmap: Any) -> Any:
    """A `vtkSegment` of an item, whose voxels have its label value in a label map."""
    import slicer

    segment = slicer.vtkSegment()
    segment.SetName(item.label)
    segment.NameAutoGeneratedOff()
    segment.SetColor(*item.color)
    segment.ColorAutoGeneratedOff()
    segment.SetLabelValue(item.label_value)
    segment.SetTerminology(TERMINOLOGY_ENTRY)
    for key, value in segment_tags(item).items():
        segment.SetTag(key, value)
    segment.AddRepresentation("Binary labelmap", labelmap)
    return segment
