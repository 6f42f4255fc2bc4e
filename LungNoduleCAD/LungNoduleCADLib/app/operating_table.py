"""What the detector is expected to do at a threshold, read from a model card without the libraries a network needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CARD_NAME = "classification.json"
COLUMNS = ("threshold", "sensitivity", "fp_per_scan")
CLINICAL_SENSITIVITY = 0.95
"""Of the clinical operating point (A17)."""


@dataclass(frozen=True)
class Expectation:
    """Sensitivity (0 to 1) and false positives per scan, as measured on the card's evaluation data.

    :param bands: sensitivity for each group of nodules that the card names.
    """

    sensitivity: float
    fp_per_scan: float
    bands: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class OperatingTable:
    """A card's operating points, by rising threshold, and its default threshold.

    :param bands: sensitivities for groups of nodules, each with a value at every threshold.
    :param validation: what it was measured on, in the card's words.
    """

    thresholds: tuple[float, ...]
    sensitivities: tuple[float, ...]
    fp_per_scan: tuple[float, ...]
    default_threshold: float
    bands: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    validation: str = ""

    @classmethod
    def from_points(
        cls, points: Iterable[Mapping[str, Any]], default_threshold: float, validation: str = ""
    ) -> OperatingTable:
        """From the card's entries `{"threshold", "sensitivity", "fp_per_scan", "bands"}`, in any order; `bands`, and a
        group that some entry lacks, are left out."""
        rows = sorted(points, key=lambda point: float(point["threshold"]))
        groups = [row.get("bands") or {} for row in rows]
        names = [name for name in (groups[0] if groups else ()) if all(name in group for group in groups)]
        threshold, sensitivity, fp_per_scan = (tuple(float(row[name]) for row in rows) for name in COLUMNS)
        bands = {name: tuple(float(group[name]) for group in groups) for name in names}
        return cls(threshold, sensitivity, fp_per_scan, float(default_threshold), bands, validation)

    def to_json(self) -> dict[str, Any]:
        """As `from_json` takes it."""
        rows = zip(self.thresholds, self.sensitivities, self.fp_per_scan, strict=True)
        points: list[dict[str, Any]] = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        for n, point in enumerate(points):
            point["bands"] = {name: values[n] for name, values in self.bands.items()}
        return {"points": points, "default_threshold": self.default_threshold, "validation": self.validation}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> OperatingTable:
        """The table that `to_json` gave."""
        return cls.from_points(content["points"], content["default_threshold"], content.get("validation", ""))

    @property
    def clinical_threshold(self) -> float:
        """Highest measured threshold that keeps the clinical sensitivity; the default one where none does."""
        pairs = zip(self.thresholds, self.sensitivities, strict=True)
        return max((t for t, found in pairs if found >= CLINICAL_SENSITIVITY), default=self.default_threshold)

    def at(self, threshold: float) -> Expectation | None:
        """Interpolated between the two nearest points; None outside the measured range, where nothing is known."""
        if not self.thresholds or not self.thresholds[0] <= threshold <= self.thresholds[-1]:
            return None
        return Expectation(
            float(np.interp(threshold, self.thresholds, self.sensitivities)),
            float(np.interp(threshold, self.thresholds, self.fp_per_scan)),
            {name: float(np.interp(threshold, self.thresholds, values)) for name, values in self.bands.items()},
        )


def card_title(weights: Path | str) -> str:
    """Name and version on the card of a folder of weights; empty where there is no card."""
    try:
        card = _card(weights)
        return f"{card['name']} {card['version']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def needs_forest(weights: Path | str) -> bool:
    """Whether the scores of a folder of weights hang on a forest too; False where there is no card that says so."""
    try:
        return bool(_card(weights)["calibration"].get("forest_slope"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def read_operating_table(weights: Path | str) -> OperatingTable | None:
    """The operating table of a folder of weights; None where there is no card that says one.

    Faults of the card are not reported here: the detector's own, full check refuses such a card with the reason.
    """
    try:
        card = _card(weights)
        validation = str((card.get("metrics") or {}).get("validation", ""))
        return OperatingTable.from_points(card["operating_table"], card["default_threshold"], validation)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _card(weights: Path | str) -> Any:
    return json.loads((Path(weights) / CARD_NAME).read_text(encoding="utf-8"))
