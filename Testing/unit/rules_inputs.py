"""Nodules and their priors, for the tests of the guidelines."""

from __future__ import annotations

from typing import Any

from LungNoduleCADLib.rules import NoduleFacts, Prior, lung_rads

NEW = Prior(365)


def solid(mm: float, **more: Any) -> NoduleFacts:
    return NoduleFacts("solid", mm, **more)


def part_solid(mm: float, part_mm: float | None, **more: Any) -> NoduleFacts:
    return NoduleFacts("part-solid", mm, part_mm, **more)


def ground_glass(mm: float, **more: Any) -> NoduleFacts:
    return NoduleFacts("ground-glass", mm, **more)


def before(nodule: NoduleFacts, days: int = 365, category: str | None = None, **more: Any) -> Prior:
    return Prior(days, nodule, category, **more)


def category(nodule: NoduleFacts, prior: Prior | None = None, **more: Any) -> str:
    return lung_rads(nodule, prior, **more).category
