"""Explanations without a worker in the module's panel: what the tests of the Explain menu share."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from host import Module
from PIL import Image

from gui.driving import wait_until
from gui.module_inputs import FakeWork
from LungNoduleCADLib.app.explanation_folder import FEATURE_MAPS_FILE, FILM_FILE, OVERLAY_FILE, SavedExplanation
from LungNoduleCADLib.app.explanation_job import ExplanationRequest
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.volume import Volume

ENTRIES = ("Heat map: cover places", "Heat map: gradients", "Both maps as a picture…", "Feature maps…",
           "Slice animation…")  # fmt: skip


class FakeExplanation(FakeWork):
    """An explanation."""

    last: FakeExplanation | None = None

    def __init__(self, volume: Volume, request: ExplanationRequest) -> None:
        super().__init__()
        self.volume, self.request = volume, request
        self.explanation: SavedExplanation | None = None
        FakeExplanation.last = self

    def finish(self) -> None:
        """A map that is greatest at the finding, and pictures of the smallest size."""
        center = np.rint(self.volume.lps_to_index(self.request.center_lps)).astype(int)
        start, stop = np.maximum(center - 8, 0), np.minimum(center + 9, self.volume.shape)
        part = self.volume.cropped(start.tolist(), stop.tolist())
        distance = np.linalg.norm(np.moveaxis(np.indices(part.shape), 0, -1) + start - center, axis=-1)
        maps = [part.with_voxels((height * np.exp(-distance / 3)).astype(np.float32)) for height in (2.0, 0.02)]
        pictures = {
            OVERLAY_FILE: png((90, 60)), FEATURE_MAPS_FILE: png((1500, 1800)), FILM_FILE: gif(),
        }  # fmt: skip
        self.explanation = SavedExplanation(*maps, pictures, {"finding": self.request.label})
        self.outcome = Outcome.FINISHED


def png(size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(stream, "PNG")
    return stream.getvalue()


def gif() -> bytes:
    stream, frames = io.BytesIO(), [Image.new("L", (64, 48), 40 * n) for n in range(4)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    return stream.getvalue()


def ui(module: Module) -> Any:
    return module.widget.ui


def text(widget: Any) -> str:
    return str(widget.property("text"))


def entries(module: Module) -> dict[str, Any]:
    return {action.property("text"): action for action in ui(module).explainButton.menu().actions()}


def choose(module: Module, entry: str) -> FakeExplanation | None:
    """Click a menu entry; the run that it has started, if any."""
    FakeExplanation.last = None
    entries(module)[entry].trigger()
    return FakeExplanation.last


def explain(module: Module, entry: str = ENTRIES[0]) -> FakeExplanation:
    """Click a menu entry and let the explanation arrive."""
    run = choose(module, entry)
    assert run is not None
    run.finish()
    wait_until(module, lambda: not module.widget.logic.isExplaining)
    return run
