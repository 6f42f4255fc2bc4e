"""On which device to search: the driver is asked for its GPUs beside the user interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from ..background import Background
from ..devices import DeviceChoice
from .logic import POLL_MS
from .texts import device_text

SURE_DEVICES = [DeviceChoice("auto"), DeviceChoice("cpu")]


class DeviceChooser:
    """Fills a box of devices and knows the chosen one.

    :param find: asks the driver for its GPUs, in a thread.
    """

    def __init__(self, box: Any, find: Callable[[], list[DeviceChoice]]) -> None:
        self.find = find
        self._box = box
        self._asked: Background[list[DeviceChoice]] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.onTimer)
        self._fill(SURE_DEVICES)

    @property
    def chosen(self) -> str:
        """As `detection.devices.choose_device` takes it."""
        return self._box.itemData(self._box.currentIndex) or "auto"

    @property
    def isAsking(self) -> bool:
        """Whether the driver has not answered yet."""
        return self._asked is not None

    def ask(self) -> None:
        """Ask for the GPUs and their free memory anew."""
        if self._asked is None:
            self._asked = Background(self.find)
            self._timer.start()

    def close(self) -> None:
        """Wait for no answer any more."""
        self._timer.stop()

    def onTimer(self) -> None:
        """Called until the driver has said which GPUs there are."""
        if self._asked is not None and self._asked.is_done:
            self._timer.stop()
            self._fill(self._asked.answer(SURE_DEVICES))
            self._asked = None

    def _fill(self, devices: list[DeviceChoice]) -> None:
        chosen = self._box.itemData(self._box.currentIndex)
        self._box.clear()
        for device in devices:
            self._box.addItem(device_text(device), device.key)
        self._box.currentIndex = max(0, self._box.findData(chosen))
