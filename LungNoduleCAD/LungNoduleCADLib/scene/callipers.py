"""A reader's callipers as lines in the scene: drawn by hand, read into a review, and shown again from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..findings import Segment
from .geometry import to_ras

LINE_COLOR = (0.35, 0.85, 1.0)
GLYPH_SCALE, TEXT_SCALE = 1.5, 2.5
"""Smaller than Slicer's own: a nodule must be seen between them."""


def add_line(scene: Any, volume_node: Any, name: str) -> Any:
    """A line without ends yet, in the scan's own coordinates. It is not saved with the scene: the review is."""
    line = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", name)
    line.SetSaveWithScene(False)
    line.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    line.CreateDefaultDisplayNodes()
    display = line.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetSelectedColor(*LINE_COLOR)
    display.SetColor(*LINE_COLOR)
    display.SetGlyphScale(GLYPH_SCALE)
    display.SetTextScale(TEXT_SCALE)
    return line


def hide_length(line: Any) -> None:
    """The length is written over the middle of a line, which is the nodule: only while it is being drawn."""
    line.GetDisplayNode().SetPropertiesLabelVisibility(False)


def ends_of(line: Any) -> Segment | None:
    """LPS mm; None while an end is missing."""
    if line.GetNumberOfDefinedControlPoints() < 2:
        return None
    a, b = (to_ras(line.GetNthControlPointPosition(n)) for n in range(2))
    return a, b


def middle_of(node: Any, line: Segment) -> tuple[float, float, float]:
    """Where the middle of a line is in the world, RAS mm.

    :param node: of the detection, in whose own coordinates the line is. :param line: LPS mm.
    """
    middle = [0.0, 0.0, 0.0]
    node.TransformPointToWorld(list(to_ras(np.mean(line, axis=0))), middle)
    return middle[0], middle[1], middle[2]


def show_lines(
    scene: Any, volume_node: Any, held: Mapping[str, Any], wanted: Mapping[str, tuple[str, Segment]]
) -> dict[str, Any]:
    """Let the scene hold these lines in place of others; returns them by their keys.

    :param held: those that were returned the last time. :param wanted: name and ends, LPS mm.
    """
    present = {key: line for key, line in held.items() if scene.IsNodePresent(line)}
    for key, line in present.items():
        if key not in wanted:
            scene.RemoveNode(line)
    shown = {}
    for key, (name, ends) in wanted.items():
        line = shown[key] = present.get(key) or add_line(scene, volume_node, name)
        line.SetName(name)
        hide_length(line)
        if ends_of(line) != ends:
            line.RemoveAllControlPoints()
            for end in ends:
                line.AddControlPoint(list(to_ras(end)))
    return shown
