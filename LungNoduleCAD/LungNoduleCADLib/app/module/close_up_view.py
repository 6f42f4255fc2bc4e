"""The three pictures of the selected candidate in the panel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import qt
from numpy.typing import NDArray

from ..close_up import to_ppm

PIXELS_PER_POINT = 1.5
"""Pictures are computed finer than a plain screen shows them, for screens that are finer."""


class CloseUpView:
    """Fills labels with pictures.

    :param labels: a QLabel for each plane, by the plane's name.
    """

    def __init__(self, labels: Mapping[str, Any]) -> None:
        self._labels = labels
        self.clear()

    @property
    def size_px(self) -> int:
        """Side of the pictures to be shown."""
        return round(PIXELS_PER_POINT * next(iter(self._labels.values())).minimumWidth)

    def show(self, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Show a picture for each plane."""
        for name, label in self._labels.items():
            pixmap = qt.QPixmap()
            pixmap.loadFromData(to_ppm(pictures[name]))
            label.setPixmap(pixmap)

    def clear(self) -> None:
        """Show nothing."""
        for label in self._labels.values():
            label.clear()
