"""What every transform can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class Transform(Protocol):
    """Does the same to every image it is given."""

    def __call__(self, image: Any) -> Any:
        """The image (k, j, i) transformed; the argument stays as it was."""

    def of_mask(self, mask: Any) -> Any:
        """The mask (k, j, i) that belongs to the transformed image."""


class Intensity:
    """Base of transforms that leave everything in its place."""

    def of_mask(self, mask: Any) -> Any:
        """The mask itself."""
        return mask


@dataclass(frozen=True)
class Sequence:
    """Transforms one after the other."""

    steps: tuple[Transform, ...]

    def __call__(self, image: Any) -> Any:
        """The image after the last one."""
        for step in self.steps:
            image = step(image)
        return image

    def of_mask(self, mask: Any) -> Any:
        """The mask after the last one."""
        for step in self.steps:
            mask = step.of_mask(mask)
        return mask
