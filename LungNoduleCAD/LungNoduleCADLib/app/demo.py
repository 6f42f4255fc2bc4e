"""`lungnodulecad demo`: a simulated chest with known nodules goes through the whole detection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from .detect import DetectionOutcome, DetectionTask, detect


def run_demo(
    folder: Path,
    progress: Callable[[str, float], None],
    seed: int = 0,
    size: Literal["chest", "small"] = "chest",
    **choices: Any,
) -> tuple[DetectionOutcome, DetectionTask]:
    """Simulate a chest CT into `folder/phantom`, and detect into `folder/result`, compared with the truth.

    :param choices: further fields of `DetectionTask`.
    :returns: the outcome, and what was run.
    :raises LungNoduleCADError: as `detect` does.
    """
    from ..simulation import make_phantom, write_phantom

    progress("simulation", 0.0)
    image = write_phantom(make_phantom(seed, size=size), folder / "phantom")
    progress("simulation", 1.0)
    task = DetectionTask(image, folder / "result", reference=image.with_name("annotations.csv"), **choices)
    return detect(task, progress), task
