"""The slice views of a scene, and how they are led to a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .geometry import matrix_from_vtk

EDGE = 0.05
"""Share of a view's width and height that is too near to its edge to be looked at."""


def slice_nodes(scene: Any) -> list[Any]:
    """The nodes of all slice views."""
    found = scene.GetNodesByClass("vtkMRMLSliceNode")
    return [found.GetItemAsObject(n) for n in range(found.GetNumberOfItems())]


def point_position(points: Any, label: str) -> tuple[float, float, float] | None:
    """Where a point of a list is in the world, RAS mm; None when it is no longer there."""
    position = [0.0, 0.0, 0.0]
    for n in range(points.GetNumberOfControlPoints()):
        if points.GetNthControlPointLabel(n) == label:
            points.GetNthControlPointPositionWorld(n, position)
            return position[0], position[1], position[2]
    return None


def jump_to(scene: Any, position_ras: Sequence[float], center: bool = False, except_view: Any = None) -> None:
    """Show the slice of a place in every slice view.

    :param position_ras: in the world, mm.
    :param center: also move the view's middle there; otherwise only where the place would be out of sight.
    :param except_view: a slice node that stays as it is.
    """
    for view in slice_nodes(scene):
        if view is not except_view and (center or not _is_in_sight(view, position_ras)):
            view.JumpSliceByCentering(*position_ras)
        elif view is not except_view:
            view.JumpSliceByOffsetting(*position_ras)


def _is_in_sight(view: Any, position_ras: Sequence[float]) -> bool:
    """Whether a place is within a slice view, and not at its very edge, once the view shows its slice."""
    width, height, _ = view.GetDimensions()
    matrix = matrix_from_vtk(view.GetXYToRAS())
    x, y, _, _ = np.linalg.solve(matrix, [*position_ras, 1.0])
    margin_x, margin_y = EDGE * width, EDGE * height
    return bool(margin_x <= x <= width - margin_x and margin_y <= y <= height - margin_y)
