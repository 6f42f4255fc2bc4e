"""What the detector is expected to do at a threshold, read from a model card without the libraries a network needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CARD_NAME = "classification.json"


@dataclass(frozen=True)
class Expectation:
    """Sensitivity (0 to 1) and false positives per scan, as measured on the card's evaluation data."""

    sensitivity: float
    fp_per_scan: float


@dataclass(frozen=True)
class OperatingTable:
    """A card's operating points, by rising threshold, and its default threshold (the clinical preset)."""

    thresholds: tuple[float, ...]
    sensitivities: tuple[float, ...]
    fp_per_scan: tuple[float, ...]
    default_threshold: float

    @classmethod
    def from_points(cls, points: Iterable[Mapping[str, Any]], default_threshold: float) -> OperatingTable:
        """From the card's entries `{"threshold", "sensitivity", "fp_per_scan"}`, in any order."""
        rows = sorted((float(p["threshold"]), float(p["sensitivity"]), float(p["fp_per_scan"])) for p in points)
        columns = tuple(zip(*rows, strict=True)) or ((), (), ())
        return cls(columns[0], columns[1], columns[2], float(default_threshold))

    def to_json(self) -> dict[str, Any]:
        """As `from_json` takes it."""
        names = ("threshold", "sensitivity", "fp_per_scan")
        rows = zip(self.thresholds, self.sensitivities, self.fp_per_scan, strict=True)
        points = [dict(zip(names, row, strict=True)) for row in rows]
        return {"points": points, "default_threshold": self.default_threshold}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> OperatingTable:
        """The table that `to_json` gave."""
        return cls.from_points(content["points"], content["default_threshold"])

    def at(self, threshold: float) -> Expectation | None:
        """Interpolated between the two nearest points; None outside the measured range, where nothing is known."""
        if not self.thresholds or not self.thresholds[0] <= threshold <= self.thresholds[-1]:
            return None
        return Expectation(
            float(np.interp(threshold, self.thresholds, self.sensitivities)),
            float(np.interp(threshold, self.thresholds, self.fp_per_scan)),
        )


def read_operating_table(weights: Path | str) -> OperatingTable | None:
    """The operating table of a folder of weights; None where there is no card that says one.

    Faults of the card are not reported here: the detector's own, full check refuses such a card with the reason.
    """
    try:
        card = json.loads((Path(weights) / CARD_NAME).read_text(encoding="utf-8"))
        return OperatingTable.from_points(card["operating_table"], card["default_threshold"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
