"""The pictures of one report, each drawn once whatever it is shown in."""

from __future__ import annotations

from functools import cached_property

from ..volume import Volume
from .key_images import KeyImage, key_images
from .locator import locator_images
from .model import Report, ReportFinding


class Pictures:
    """Draws a report's pictures when they are asked for, and keeps them.

    :param volume: the scan, HU.
    """

    def __init__(self, report: Report, volume: Volume) -> None:
        self._report, self._volume = report, volume
        self._drawn: dict[str, tuple[KeyImage, ...]] = {}

    def of(self, finding: ReportFinding) -> tuple[KeyImage, ...]:
        """The whole slice and three planes."""
        if finding.label not in self._drawn:
            self._drawn[finding.label] = key_images(finding, self._volume)
        return self._drawn[finding.label]

    @cached_property
    def locators(self) -> tuple[KeyImage, ...]:
        """Coronal and sagittal projection with the findings' numbers."""
        return locator_images(self._report, self._volume)
