"""A result folder read again: what the detector wrote, as the objects it had."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..findings import Candidate, DetectionResult, Measurements, VoxelMask
from ..volume import Volume
from .images import read_segmentation

FINDINGS_FILE = "findings.json"
SEGMENTATION_FILE = "segmentation.seg.nrrd"


@dataclass(frozen=True, eq=False)
class Findings:
    """What `findings.json` says: the result without outlines.

    :param detected_at: when the detector ran; None where the file does not say.
    """

    result: DetectionResult
    detected_at: datetime | None


@dataclass(frozen=True, eq=False)
class Record:
    """What a run of the detector left.

    :param grid: geometry of the scan that was searched; its voxels are not kept.
    :param detected_at: when it ran; None where the record does not say.
    """

    result: DetectionResult
    grid: Volume
    detected_at: datetime | None


def read_record(folder: Path) -> Record:
    """Read `findings.json` and `segmentation.seg.nrrd` of a result folder.

    :raises InputError: when it is no result folder, or is damaged.
    """
    content = _content(folder)
    grid, masks = read_segmentation(folder / SEGMENTATION_FILE)
    found = _findings(folder, content, masks)
    return Record(found.result, grid, found.detected_at)


def read_findings(folder: Path) -> Findings:
    """Read `findings.json` alone, which is soon done.

    :raises InputError: when it is no result folder, or is damaged.
    """
    return _findings(folder, _content(folder), {})


def _content(folder: Path) -> Any:
    path = folder / FINDINGS_FILE
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} holds no result ({FINDINGS_FILE} is missing); give a folder that `lungnodulecad detect` wrote."
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and its permissions.") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged; run the detection again.") from error


def _findings(folder: Path, content: Any, masks: Mapping[str, VoxelMask]) -> Findings:
    try:
        result = result_from_json(content, masks)
        moment = content.get("detected_at")
        return Findings(result, datetime.fromisoformat(moment) if moment else None)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / FINDINGS_FILE} is damaged or of another version; run the detection again."
        ) from error


def result_from_json(content: Mapping[str, Any], masks: Mapping[str, VoxelMask]) -> DetectionResult:
    """The result that `findings.json` describes; heat map and lung mask are not part of it.

    :param masks: by label ('N1'); a candidate without one gets an empty mask.
    """
    nothing = VoxelMask((0, 0, 0), np.zeros((0, 0, 0), dtype=bool))
    return DetectionResult(
        candidates=tuple(
            candidate_from_json(entry, masks.get(f"N{entry['id']}", nothing)) for entry in content["candidates"]
        ),
        threshold=float(content["threshold"]),
        series=content["series"],
        settings=content["settings"],
        model=content["model"],
        versions=content["versions"],
        timings_s=content["timings_s"],
        warnings=tuple(content["warnings"]),
    )


def measurements_from_json(entry: Mapping[str, Any]) -> Measurements:
    """The measurements in a candidate's entry. JSON has no NaN: a required number that is null is read as NaN."""
    required = {"diameter_mm", "long_axis_mm", "short_axis_mm", "volume_mm3", "mean_hu", "min_hu", "max_hu"}
    values = {f.name: _tuples(entry.get(f.name)) for f in fields(Measurements)}
    values.update({name: float("nan") for name in required if entry[name] is None})
    return Measurements(**values)


def candidate_from_json(entry: Mapping[str, Any], mask: VoxelMask) -> Candidate:
    """A candidate from its entry in `findings.json`, which has no voxels, and its mask."""
    x, y, z = (float(v) for v in entry["center_lps"])
    return Candidate(
        id=int(entry["id"]),
        center_lps=(x, y, z),
        score=float(entry["score"]),
        malignancy=entry["malignancy"],
        mask=mask,
        measurements=measurements_from_json(entry),
        malignancy_by_diameter=entry.get("malignancy_by_diameter"),
    )


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
