"""What the Slicer module asks its worker to explain, as the JSON file the two share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..io.atomic import write_json

SHARES = {
    "preparing": 0.03,
    "starting": 0.17,
    "reading": 0.03,
    "lung mask": 0.05,
    "preprocessing": 0.05,
    "occlusion": 0.50,
    "gradients": 0.06,
    "feature maps": 0.01,
    "writing": 0.10,
}
"""Each stage's share of the progress bar. Only the bar's evenness hangs on it."""


@dataclass(frozen=True)
class ExplanationRequest:
    """The finding that is asked about.

    :param label: its name. :param center_lps: where it is, in the volume's own coordinates.
    :param color: of its outline, RGB in 0-1. :param mask: its voxels as `review.codec.encode_mask` gives them.
    :param model: what the detection's record says of its networks. :param settings: and of its settings.
    :param device: as `detection.devices.choose_device` takes it.
    :param weights: folder of weights and cards; None takes the shipped ones.
    """

    label: str
    center_lps: tuple[float, float, float]
    color: tuple[float, float, float]
    mask: dict[str, Any] | None = None
    model: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    weights: str | None = None


@dataclass(frozen=True)
class ExplanationJob:
    """A request together with the files of the run.

    :param volume: the scan as NRRD. :param result: existing folder that takes the explanation's files.
    :param source: what the scan is called.
    """

    volume: str
    result: str
    source: str
    request: ExplanationRequest

    def write(self, path: Path) -> None:
        """:raises OutputError: when the file cannot be written."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> ExplanationJob:
        """The job as written by `write`."""
        content = json.loads(path.read_text(encoding="utf-8"))
        request = content.pop("request")
        for name in ("center_lps", "color"):
            request[name] = tuple(request[name])
        return cls(**content, request=ExplanationRequest(**request))


def check_weights(model: Mapping[str, Any], sha256: str, advice: str) -> None:
    """Refuse to explain a score by a network that has not given it.

    :param model: what a result says of its networks. :param sha256: of the classifier at hand.
    :param advice: what to do about it.
    :raises ModelError: when they are not the same.
    """
    used = model.get("classification") or {}
    if used.get("sha256") != sha256:
        name = f"{used.get('name', 'unknown')} {used.get('version', '')}".strip()
        raise ModelError(f"The detection was made with other weights ({name}); {advice}.")
