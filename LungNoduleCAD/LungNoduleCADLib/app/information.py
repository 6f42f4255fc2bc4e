"""What `lungnodulecad info` tells: versions, device, and the weights with where they come from."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..report.tables import RESEARCH_USE
from ..resources import resource_path

if TYPE_CHECKING:
    from ..networks.registry import Task

LIBRARIES = ("torch", "numpy", "scipy", "SimpleITK", "pydicom", "PyWavelets", "slicer-core", "highdicom")


def collect_information(weights: Path | None = None, device: str = "auto") -> dict[str, Any]:
    """Versions, device and cards, ready for JSON. The weights' files are checked against their cards' hashes.

    :raises ModelError: when weights or cards are missing, corrupt or unknown.
    :raises DeviceError: when the device does not exist.
    """
    from ..detection.devices import choose_device, describe_device, precision

    chosen = choose_device(device)
    folder = weights or resource_path("Models")
    return {
        "lungnodulecad": __version__,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "device": describe_device(chosen),
        "precision": str(precision(chosen)).removeprefix("torch."),
        "weights": str(folder),
        "models": [_model(folder, task) for task in _tasks(folder)],
        "disclaimer": RESEARCH_USE,
    }


def describe_information(information: dict[str, Any]) -> str:
    """The same as text."""
    return "\n".join(_lines(information))


def _lines(information: dict[str, Any]) -> Iterator[str]:
    yield f"LungNoduleCAD {information['lungnodulecad']}, Python {information['python']}"
    yield ", ".join(f"{name} {found or 'missing'}" for name, found in information["libraries"].items())
    yield f"Device: {information['device']} ({information['precision']})"
    yield f"Weights: {information['weights']}"
    for model in information["models"]:
        yield ""
        yield f"{model['task']}: {model['name']} {model['version']}"
        yield f"  {model['architecture']}, {model['parameters']:,} parameters"
        yield f"  SHA-256 {model['sha256']}"
        yield f"  licence {model['license']}, default threshold {model['default_threshold']:g}"
        for source in model["data"]:
            yield f"  trained on {source['name']} ({source['licence']}): {source['citation']}"
        for point in model["operating_table"]:
            yield (
                f"  threshold {point['threshold']:.3g}: sensitivity {point['sensitivity']:.3f} "
                f"at {point['fp_per_scan']:.3g} false positives a scan"
            )
    yield ""
    yield information["disclaimer"]


def _tasks(weights: Path) -> list[Task]:
    """What a folder of weights is for: a forest only where the classifier's calibration asks for it."""
    from ..networks.cards import load_card

    if load_card(weights / "classification.json").calibration.forest_slope:
        return ["segmentation", "classification", "appearance"]
    return ["segmentation", "classification"]


def _model(weights: Path, task: Task) -> dict[str, Any]:
    from ..networks.weights import load_model

    network, card = load_model(weights, task)
    entry = card.to_json()
    kept = ("task", "name", "version", "license", "default_threshold", "operating_table", "data", "metrics")
    return {
        **{key: entry[key] for key in kept},
        "architecture": entry["architecture"]["name"],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "sha256": card.sha256,
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
