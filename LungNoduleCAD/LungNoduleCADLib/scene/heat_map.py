"""A map of what the classifier looks at, over its scan in the slice views.

It is a volume of its own in the views' foreground, under the scan's transform. What was in the foreground before comes
back when it is hidden or removed. It is no choice for the search: the volume selectors leave it out.
"""

from __future__ import annotations

from typing import Any

from ..explain.heat import HEAT_OPACITY, visible_from
from ..volume import Volume
from .detections import HEAT_MAP_ROLE, VOLUME_ROLE, DetectionNodes
from .nodes import make_volume_node

HEAT_MAP_NAME = "Heat map"
FINDING_ATTRIBUTE, KIND_ATTRIBUTE, OPACITY_ATTRIBUTE = (
    f"LungNoduleCAD.heatMap{name}" for name in ("Finding", "Kind", "Opacity")
)
FORMER_ATTRIBUTE = "LungNoduleCAD.formerForeground"
COLORS_ID = "vtkMRMLColorTableNodeIron"
"""Red to yellow, as `explain.heat.heat_colors`."""


def show_heat_map(scene: Any, nodes: DetectionNodes, values: Volume, finding: str, kind: str) -> Any:
    """Show a map over the scan, in the place of a former one; returns its node.

    :param values: the map, on voxels of the scan. :param finding: whose it is. :param kind: how it was made.
    """
    former = heat_map(nodes)
    opacity = heat_opacity(former) if former is not None else HEAT_OPACITY
    remove_heat_map(scene, nodes)
    volume_node = nodes.record.GetNodeReference(VOLUME_ROLE)
    node = _add_volume(scene, values, f"{HEAT_MAP_NAME} {finding}")
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    node.SetAttribute(FINDING_ATTRIBUTE, finding)
    node.SetAttribute(KIND_ATTRIBUTE, kind)
    node.SetAttribute(OPACITY_ATTRIBUTE, repr(opacity))
    nodes.record.SetNodeReferenceID(HEAT_MAP_ROLE, node.GetID())
    set_heat_visible(scene, nodes, True)
    return node


def heat_map(nodes: DetectionNodes) -> Any:
    """The map that is in the scene for a detection; None for none."""
    return nodes.record.GetNodeReference(HEAT_MAP_ROLE)


def remove_heat_map(scene: Any, nodes: DetectionNodes) -> None:
    """Remove the map, if there is one."""
    node = heat_map(nodes)
    if node is not None:
        set_heat_visible(scene, nodes, False)
        display = node.GetDisplayNode()
        scene.RemoveNode(node)
        if display is not None:
            scene.RemoveNode(display)


def is_heat_visible(scene: Any, nodes: DetectionNodes) -> bool:
    """Whether any slice view has the map in its foreground."""
    node = heat_map(nodes)
    return node is not None and any(view.GetForegroundVolumeID() == node.GetID() for view in _composites(scene))


def set_heat_visible(scene: Any, nodes: DetectionNodes, visible: bool) -> None:
    """Show or hide the map in all slice views that show its scan."""
    node = heat_map(nodes)
    if node is None:
        return
    scan = nodes.record.GetNodeReference(VOLUME_ROLE)
    for view in _composites(scene):
        is_shown = view.GetForegroundVolumeID() == node.GetID()
        if visible and not is_shown and scan is not None and view.GetBackgroundVolumeID() == scan.GetID():
            view.SetAttribute(FORMER_ATTRIBUTE, f"{view.GetForegroundOpacity()!r} {view.GetForegroundVolumeID() or ''}")
            _set_foreground(view, node.GetID(), heat_opacity(node))
        elif is_shown and not visible:
            opacity, _, volume_id = (view.GetAttribute(FORMER_ATTRIBUTE) or "0.0 ").partition(" ")
            _set_foreground(view, volume_id or None, float(opacity))
            view.RemoveAttribute(FORMER_ATTRIBUTE)


def heat_opacity(node: Any) -> float:
    """How much the map covers the scan, 0 to 1."""
    return float(node.GetAttribute(OPACITY_ATTRIBUTE) or HEAT_OPACITY)


def set_heat_opacity(scene: Any, nodes: DetectionNodes, opacity: float) -> None:
    """Let the map cover the scan more or less, 0 to 1."""
    node = heat_map(nodes)
    if node is None:
        return
    node.SetAttribute(OPACITY_ATTRIBUTE, repr(float(opacity)))
    for view in _composites(scene):
        if view.GetForegroundVolumeID() == node.GetID():
            view.SetForegroundOpacity(opacity)


def _add_volume(scene: Any, values: Volume, name: str) -> Any:
    import slicer

    node = make_volume_node(values, name)
    node.SetHideFromEditors(True)
    greatest = max(float(values.voxels.max()), 0.0)
    display = slicer.vtkMRMLScalarVolumeDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, greatest or 1.0)
    display.AutoThresholdOff()
    display.ApplyThresholdOn()
    # Where nothing speaks for a nodule, nothing is shown.
    display.SetThreshold(visible_from(greatest) if greatest else 1.0, greatest or 1.0)
    display.SetAndObserveColorNodeID(COLORS_ID)
    scene.AddNode(display)
    scene.AddNode(node)
    node.SetAndObserveDisplayNodeID(display.GetID())
    return node


def _set_foreground(view: Any, volume_id: str | None, opacity: float) -> None:
    was_modifying = view.StartModify()
    view.SetForegroundVolumeID(volume_id)
    view.SetForegroundOpacity(opacity)
    view.EndModify(was_modifying)


def _composites(scene: Any) -> list[Any]:
    """What each slice view is made of."""
    found = scene.GetNodesByClass("vtkMRMLSliceCompositeNode")
    return [found.GetItemAsObject(n) for n in range(found.GetNumberOfItems())]
