"""A MRML scene outside the Slicer application.

Inside Slicer the scene is `slicer.mrmlScene`; every function of this package takes the scene as an argument and neither
knows nor asks where it comes from. `slicer` is imported when it is first needed: that takes a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class StandaloneScene:
    """A scene with the logics that register the node classes used here. Keep it while its nodes are in use."""

    scene: Any
    application_logic: Any
    logics: tuple[Any, ...] = field(repr=False)


def open_standalone_scene() -> StandaloneScene:
    """A new, empty scene that knows volumes, markups, segmentations, subject hierarchy and Slicer's colour tables.

    Has no effect on `slicer.mrmlScene`.
    """
    import slicer

    scene = slicer.vtkMRMLScene()
    application_logic = slicer.vtkSlicerApplicationLogic()
    application_logic.SetMRMLScene(scene)
    logics = (
        slicer.vtkSlicerSegmentationsModuleLogic(),
        slicer.vtkSlicerMarkupsLogic(),
        slicer.vtkSlicerSubjectHierarchyModuleLogic(),
    )
    for logic in logics:
        logic.SetMRMLApplicationLogic(application_logic)
        logic.SetMRMLScene(scene)
    color_logic = application_logic.GetColorLogic()
    color_logic.SetMRMLScene(scene)
    color_logic.AddDefaultColorNodes()
    return StandaloneScene(scene, application_logic, logics)
