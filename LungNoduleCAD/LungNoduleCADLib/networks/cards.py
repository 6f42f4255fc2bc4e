"""Model cards: what a weights file is, how its input must be prepared, what it was trained on and how well it does.

A card is a JSON file beside the safetensors file it describes. Inference prepares images exactly as the card says, so a
card with an entry this version does not know is refused, never ignored. Schema 1, every entry required unless noted:

| entry | value |
|---|---|
| schema | 1 |
| name, version, license, research_use | text; the last is the statement that this is no medical device |
| task | "segmentation", "classification" or "appearance" |
| architecture | {"name": one of `registry.ARCHITECTURES`, "config": its settings} |
| preprocessing.spacing_mm | edge of the isotropic voxels |
| preprocessing.resampling | {"order": 1 or 3, "antialias": true or false} |
| preprocessing.window_hu | [low, high], scaled to [0, 1] |
| preprocessing.outside_lung | "keep", or "air": everything outside the lung mask becomes -1000 HU |
| preprocessing.wavelet | null, or {"name", "level", "factor"} as `wavelet_enhance` takes them |
| preprocessing.slices | segmentation only: neighbouring slices given as channels, odd |
| preprocessing.patch_size | classification and appearance: edge of the cubic patch, voxels |
| data | list of {"name", "citation", "licence"} |
| metrics | object, free |
| operating_table | list of {"threshold", "sensitivity", "fp_per_scan", "bands" (optional): {band: sensitivity}} |
| default_threshold | 0 to 1, on the calibrated score |
| calibration | {"method": "none"} or {"method": "platt", "slope", "intercept", and optionally "plane_slope" and,
  for weights with a forest, "forest_slope"} |
| malignancy | optional, classification only: {"method": "logistic", "features": number of their definition, "terms":
  [{"feature", "knot": number or null, "mean", "scale", "weight"}], "intercept", and optionally "by_diameter": {"slope",
  "intercept"}, which says what the diameter alone would}; without it the network's own output is the estimate |
| weights | {"file": name beside the card, "sha256": of that file} |
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pywt
from numpy.typing import ArrayLike, NDArray

from ..errors import ModelError
from ..preprocess.settings import Preprocessing, Resampling, Wavelet
from . import card_fields as read
from .malignancy import MalignancyModel
from .registry import ARCHITECTURES, Task, build_config

SCHEMA = 1
LARGEST_CARD_BYTES = 1_000_000
LARGEST_EXPONENT = 60.0
"""Logits are kept within this bound, where the logistic function still fits a double."""
SMALLEST_PEAK = 1e-4
"""A heat map's peak is kept this far from 0 and 1, whose logits are infinite."""
SMALLEST_SHARE = 4e-3
"""And a forest's share, whose trees are a few hundred."""


def peak_logit(peak: ArrayLike) -> NDArray[np.float64]:
    """Logit of a heat map's peak."""
    return _bounded_logit(peak, SMALLEST_PEAK)


def share_logit(share: ArrayLike) -> NDArray[np.float64]:
    """Logit of a forest's share."""
    return _bounded_logit(share, SMALLEST_SHARE)


def _bounded_logit(probability: ArrayLike, least: float) -> NDArray[np.float64]:
    bounded = np.clip(np.asarray(probability, dtype=np.float64), least, 1 - least)
    return np.asarray(np.log(bounded / (1 - bounded)))


@dataclass(frozen=True)
class DataSource:
    """A data set the weights were trained on; its licence asks for the citation."""

    name: str
    citation: str
    licence: str


@dataclass(frozen=True)
class OperatingPoint:
    """What the detector does at one threshold. `bands`: sensitivity by size band, e.g. {"4-6 mm": 0.9}."""

    threshold: float
    sensitivity: float
    fp_per_scan: float
    bands: Mapping[str, float]


@dataclass(frozen=True)
class Calibration:
    """Turns the networks' opinions into the probability that is shown (Platt 1999):
    sigmoid(slope x classifier's logit + plane_slope x logit of the segmentation network's peak in the plane where it is
    lowest + forest_slope x logit of the forest's share + intercept)."""

    method: Literal["none", "platt"] = "none"
    slope: float = 1.0
    plane_slope: float = 0.0
    intercept: float = 0.0
    forest_slope: float = 0.0

    def probability(self, logit: float, lowest_peak: float = 0.5, share: float = 0.5) -> float:
        """Calibrated probability, 0 to 1.

        :param logit: the classifier's output.
        :param lowest_peak: largest value of the heat map in the candidate, 0 to 1, or of its coronal or sagittal
            counterpart where that is lower; 0.5 says nothing either way.
        :param share: what the forest of the candidate's appearance says, 0 to 1; likewise.
        """
        z = self.slope * logit + self.plane_slope * float(peak_logit(lowest_peak)) + self.intercept
        z += self.forest_slope * float(share_logit(share))
        return 1.0 / (1.0 + math.exp(-max(-LARGEST_EXPONENT, min(LARGEST_EXPONENT, z))))


@dataclass(frozen=True)
class ModelCard:
    """A checked card; see the module's table.

    :param config: the architecture's settings, a `UNetConfig` or `HybridConfig`.
    :param preprocessing: how an image becomes the network's input, as `prepare_lung` takes it.
    """

    name: str
    version: str
    task: Task
    architecture: str
    config: Any
    preprocessing: Preprocessing
    data: tuple[DataSource, ...]
    metrics: Mapping[str, Any]
    operating_table: tuple[OperatingPoint, ...]
    default_threshold: float
    calibration: Calibration
    license: str
    research_use: str
    weights_file: str
    sha256: str
    malignancy: MalignancyModel | None = None

    @classmethod
    def from_json(cls, value: Any) -> ModelCard:
        """Check and convert a decoded JSON value.

        :raises card_fields.CardError: naming the first entry that is missing, unknown or impossible.
        """
        if isinstance(value, dict) and value.get("schema") != SCHEMA:
            raise read.CardError(f"has schema {value.get('schema')!r}, not {SCHEMA}")
        card = read.entries(
            value, "the card", "schema name version task architecture preprocessing data metrics operating_table "
            "default_threshold calibration license research_use weights", optional="malignancy",
        )  # fmt: skip
        task = read.choice(card["task"], "task", get_args(Task))
        name, config = _architecture(card["architecture"], task)
        preprocessing = _preprocessing(card["preprocessing"], task)
        expected = ARCHITECTURES[name].input_size(config)
        if expected not in (preprocessing.slices, preprocessing.patch_size):
            raise read.CardError(f"prepares an input of another size than the {expected} its network takes")
        if "malignancy" in card and task != "classification":
            raise read.CardError(f"has an entry 'malignancy', which a card for {task} has not")
        weights = read.entries(card["weights"], "weights", "file sha256")
        return cls(
            name=read.text(card["name"], "name"),
            version=read.text(card["version"], "version"),
            task=task,
            architecture=name,
            config=config,
            preprocessing=preprocessing,
            data=tuple(_data_source(item) for item in read.sequence(card["data"], "data")),
            metrics=read.plain_mapping(card["metrics"], "metrics"),
            operating_table=tuple(_point(item) for item in read.sequence(card["operating_table"], "operating_table")),
            default_threshold=read.number(card["default_threshold"], "default_threshold", 0, 1),
            calibration=_calibration(card["calibration"]),
            license=read.text(card["license"], "license"),
            research_use=read.text(card["research_use"], "research_use"),
            weights_file=read.file_name(weights["file"], "weights.file"),
            sha256=read.sha256(weights["sha256"], "weights.sha256"),
            malignancy=MalignancyModel.from_json(card["malignancy"]) if "malignancy" in card else None,
        )

    def to_json(self) -> dict[str, Any]:
        """The card as `from_json` takes it."""
        preprocessing = asdict(self.preprocessing)
        # Only the task's own size has a place in the card.
        preprocessing = {key: entry for key, entry in preprocessing.items() if entry is not None or key == "wavelet"}
        calibration = asdict(self.calibration) if self.calibration.method != "none" else {"method": "none"}
        return {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "task": self.task,
            "architecture": {"name": self.architecture, "config": asdict(self.config)},
            "preprocessing": preprocessing,
            "data": [asdict(source) for source in self.data],
            "metrics": dict(self.metrics),
            "operating_table": [asdict(point) for point in self.operating_table],
            "default_threshold": self.default_threshold,
            "calibration": calibration,
            **({} if self.malignancy is None else {"malignancy": self.malignancy.to_json()}),
            "license": self.license,
            "research_use": self.research_use,
            "weights": {"file": self.weights_file, "sha256": self.sha256},
        }


def load_card(path: Path | str) -> ModelCard:
    """Read and check a card.

    :raises ModelError: when the file is missing, not JSON, or asks for something this version does not know.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"The model card {path} does not exist; give the folder that holds the weights.")
    try:
        if path.stat().st_size > LARGEST_CARD_BYTES:
            raise ModelError(f"The model card {path} is far too large to be one; install the weights again.")
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise ModelError(f"The model card {path} cannot be read ({error.strerror}); check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"The model card {path} is not JSON; install the weights again.") from error
    try:
        return ModelCard.from_json(value)
    except read.CardError as fault:
        raise ModelError(f"The model card {path} {fault}; use weights made for this version.") from fault


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _architecture(value: Any, task: Task) -> tuple[str, Any]:
    entry = read.entries(value, "architecture", "name config")
    name = read.text(entry["name"], "architecture.name")
    if name not in ARCHITECTURES:
        raise read.CardError(f"names the unknown architecture {name!r}")
    if ARCHITECTURES[name].task != task:
        raise read.CardError(f"uses {name!r} for {task}, which it is not made for")
    try:
        return name, build_config(name, read.mapping(entry["config"], "architecture.config"))
    except ValueError as error:
        raise read.CardError(f"has an architecture that cannot be built ({error})") from error


def _preprocessing(value: Any, task: Task) -> Preprocessing:
    size_key = "slices" if task == "segmentation" else "patch_size"
    entry = read.entries(value, "preprocessing", f"spacing_mm resampling window_hu outside_lung wavelet {size_key}")
    resampling = read.entries(entry["resampling"], "preprocessing.resampling", "order antialias")
    window = [read.number(v, "preprocessing.window_hu") for v in read.sequence(entry["window_hu"], "window_hu")]
    if len(window) != 2 or window[0] >= window[1]:
        raise read.CardError("has a preprocessing.window_hu that is not [low, high]")
    size = read.whole(entry[size_key], f"preprocessing.{size_key}", 1, 1024)
    return Preprocessing(
        spacing_mm=read.number(entry["spacing_mm"], "preprocessing.spacing_mm", 0.1, 10),
        resampling=Resampling(
            order=read.choice(resampling["order"], "preprocessing.resampling.order", (1, 3)),
            antialias=read.choice(resampling["antialias"], "preprocessing.resampling.antialias", (True, False)),
        ),
        window_hu=(window[0], window[1]),
        outside_lung=read.choice(entry["outside_lung"], "preprocessing.outside_lung", ("keep", "air")),
        wavelet=None if entry["wavelet"] is None else _wavelet(entry["wavelet"]),
        slices=size if task == "segmentation" else None,
        patch_size=None if task == "segmentation" else size,
    )


def _wavelet(value: Any) -> Wavelet:
    entry = read.entries(value, "preprocessing.wavelet", "name level factor")
    return Wavelet(
        name=read.choice(entry["name"], "preprocessing.wavelet.name", tuple(pywt.wavelist(kind="discrete"))),
        level=read.whole(entry["level"], "preprocessing.wavelet.level", 1, 6),
        factor=read.number(entry["factor"], "preprocessing.wavelet.factor", 0, 100),
    )


def _data_source(value: Any) -> DataSource:
    entry = read.entries(value, "data", "name citation licence")
    return DataSource(*(read.text(entry[key], f"data.{key}") for key in ("name", "citation", "licence")))


def _point(value: Any) -> OperatingPoint:
    entry = read.entries(value, "operating_table", "threshold sensitivity fp_per_scan", optional="bands")
    bands = read.mapping(entry.get("bands", {}), "operating_table.bands")
    return OperatingPoint(
        threshold=read.number(entry["threshold"], "operating_table.threshold", 0, 1),
        sensitivity=read.number(entry["sensitivity"], "operating_table.sensitivity", 0, 1),
        fp_per_scan=read.number(entry["fp_per_scan"], "operating_table.fp_per_scan", 0),
        bands={key: read.number(band, "operating_table.bands", 0, 1) for key, band in bands.items()},
    )


def _calibration(value: Any) -> Calibration:
    method = read.choice(read.mapping(value, "calibration").get("method"), "calibration.method", ("none", "platt"))
    if method == "none":
        read.entries(value, "calibration", "method")
        return Calibration()
    entry = read.entries(value, "calibration", "method slope intercept", optional="plane_slope forest_slope")
    return Calibration(
        "platt",
        slope=read.number(entry["slope"], "calibration.slope"),
        plane_slope=read.number(entry.get("plane_slope", 0.0), "calibration.plane_slope"),
        intercept=read.number(entry["intercept"], "calibration.intercept"),
        forest_slope=read.number(entry.get("forest_slope", 0.0), "calibration.forest_slope"),
    )
