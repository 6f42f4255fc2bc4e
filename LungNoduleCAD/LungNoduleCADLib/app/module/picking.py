"""From the views to the table: a click on a candidate, in a slice view or on its point, selects it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from ...scene.detections import DetectionNodes

MOST_MOVED_PX = 3
"""Between pressing and releasing the button; beyond it the mouse was dragged."""
BEFORE_THE_VIEW = 1.0
"""Priority: a view that uses up the event must not keep it from us. We leave it to the view."""


class ScenePicker(VTKObservationMixin):
    """Watches the slice views and a detection's points, while it is active.

    :param onPosition: called with the RAS position of a click and the slice node it was made in.
    :param onLabel: called with the label of a point that was clicked.
    """

    def __init__(
        self, onPosition: Callable[[tuple[float, float, float], Any], None], onLabel: Callable[[str], None]
    ) -> None:
        VTKObservationMixin.__init__(self)
        self._onPosition, self._onLabel = onPosition, onLabel
        self._pressedAt: dict[Any, tuple[int, int]] = {}
        self._sliceNodes: dict[Any, Any] = {}
        self._points: Any = None
        self._layoutManager: Any = None

    def activate(self) -> None:
        """Begin to watch the slice views, also those that come with another layout."""
        self._layoutManager = slicer.app.layoutManager()  # None without a main window
        if self._layoutManager is not None:
            self._layoutManager.layoutChanged.connect(self.onLayoutChanged)
        self.onLayoutChanged()

    def deactivate(self) -> None:
        """Watch the slice views no more."""
        if self._layoutManager is not None:
            self._layoutManager.layoutChanged.disconnect(self.onLayoutChanged)
            self._layoutManager = None
        self._forgetViews()

    def follow(self, nodes: DetectionNodes | None) -> None:
        """Watch a detection's points, or none."""
        self.removeObservers(self.onJumpToPoint)
        self._points = nodes.candidates if nodes is not None else None
        display = self._points.GetDisplayNode() if self._points is not None else None
        if display is not None:
            self.addObserver(display, display.JumpToPointEvent, self.onJumpToPoint)

    def onLayoutChanged(self, layout: int = 0) -> None:
        """Called when other views are shown."""
        self._forgetViews()
        for name in self._layoutManager.sliceViewNames() if self._layoutManager is not None else ():
            widget = self._layoutManager.sliceWidget(name)
            interactor = widget.sliceView().interactor()
            self._sliceNodes[interactor] = widget.mrmlSliceNode()
            for event, method in (("LeftButtonPressEvent", self.onPress), ("LeftButtonReleaseEvent", self.onRelease)):
                self.addObserver(interactor, event, method, priority=BEFORE_THE_VIEW)

    def onPress(self, interactor: Any, event: str) -> None:
        """Called when the left button goes down in a slice view."""
        self._pressedAt[interactor] = interactor.GetEventPosition()

    def onRelease(self, interactor: Any, event: str) -> None:
        """Called when the left button comes up again: a click, unless the mouse was dragged or a point is placed."""
        pressed, (x, y) = self._pressedAt.pop(interactor, None), interactor.GetEventPosition()
        if pressed is None or max(abs(x - pressed[0]), abs(y - pressed[1])) > MOST_MOVED_PX:
            return
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        if interaction is not None and interaction.GetCurrentInteractionMode() == interaction.Place:
            return
        sliceNode = self._sliceNodes[interactor]
        r, a, s, _ = sliceNode.GetXYToRAS().MultiplyPoint((x, y, 0.0, 1.0))
        self._onPosition((r, a, s), sliceNode)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onJumpToPoint(self, display: Any, event: str, data: Any) -> None:
        """Called by Slicer when a point was clicked, where its list is not locked."""
        if data is not None and data.GetComponentType() == display.ComponentControlPoint:
            self._onLabel(self._points.GetNthControlPointLabel(data.GetComponentIndex()))

    def _forgetViews(self) -> None:
        self.removeObservers(self.onPress)
        self.removeObservers(self.onRelease)
        self._sliceNodes, self._pressedAt = {}, {}
