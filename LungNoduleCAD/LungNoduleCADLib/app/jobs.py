"""What the Slicer module asks its worker to do, as the JSON file the two share."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..io.atomic import write_json
from .operating_table import CARD_NAME, needs_forest

CARD_NAMES = ("segmentation.json", CARD_NAME)
FOREST_CARD_NAME = "appearance.json"


@dataclass(frozen=True)
class DetectionRequest:
    """The user's choices for one run.

    :param device: as `detection.devices.choose_device` takes it.
    :param weights: folder of weights and cards; None takes the shipped ones.
    :param outputs: folder for the report files (tables, masks, overview); None writes none.
    :param warnings_overridden: whether the user was warned by the input check and goes on; the result says so.
    :param metadata: what the scene knows of the volume; `source` names it in messages.
    """

    device: str = "auto"
    weights: str | None = None
    outputs: str | None = None
    warnings_overridden: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)

    def is_valid(self) -> tuple[bool, str]:
        """Whether a run can begin, and if not, why: one sentence."""
        if self.weights is not None:
            names = (*CARD_NAMES, FOREST_CARD_NAME) if needs_forest(self.weights) else CARD_NAMES
            missing = [name for name in names if not (Path(self.weights) / name).is_file()]
            if missing:
                return False, f"The folder {self.weights} has no {missing[0]}; choose the detector's folder."
        if self.outputs is not None and Path(self.outputs).is_file():
            return False, f"{self.outputs} is a file; choose a folder for the reports."
        return True, ""


@dataclass(frozen=True)
class Job:
    """A request together with the files of the run.

    :param volume: the input as NRRD. :param result: existing folder that takes the worker's result.
    """

    volume: str
    result: str
    request: DetectionRequest

    def write(self, path: Path) -> None:
        """:raises OutputError: when the file cannot be written."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Job:
        """The job as written by `write`."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(content["volume"], content["result"], DetectionRequest(**content["request"]))
