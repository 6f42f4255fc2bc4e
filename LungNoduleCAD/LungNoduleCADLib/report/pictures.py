"""The pictures of one report, each drawn once whatever it is shown in."""

from __future__ import annotations

from functools import cached_property

from ..volume import Volume
from .key_images import KeyImage, key_images, prior_image
from .locator import locator_images
from .model import Report, ReportFinding


class Pictures:
    """Draws a report's pictures when they are asked for, and keeps them.

    :param volume: the scan, HU. :param prior: the earlier one that it was compared with.
    """

    def __init__(self, report: Report, volume: Volume, prior: Volume | None = None) -> None:
        self._report, self._volume, self._prior = report, volume, prior
        self._drawn: dict[str, tuple[KeyImage, ...]] = {}

    def of(self, finding: ReportFinding) -> tuple[KeyImage, ...]:
        """The whole slice and three planes."""
        if finding.label not in self._drawn:
            self._drawn[finding.label] = key_images(finding, self._volume)
        return self._drawn[finding.label]

    def with_prior(self, finding: ReportFinding) -> tuple[KeyImage, ...]:
        """The same, with the axial plane of the prior beside today's where the prior shows the place."""
        images = self.of(finding)
        if self._prior is None or finding.growth is None or finding.growth.status == "not covered":
            return images
        whole, axial, *others = images
        return whole, axial, prior_image(finding, finding.growth, self._prior), *others

    @cached_property
    def locators(self) -> tuple[KeyImage, ...]:
        """Coronal and sagittal projection with the findings' numbers."""
        return locator_images(self._report, self._volume)
