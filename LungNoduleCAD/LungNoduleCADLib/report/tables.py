"""`candidates.csv` and `findings.json`: the result as numbers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.matching import MatchResult
from ..findings import Candidate, DetectionResult
from ..io.atomic import write_json, write_text
from ..volume import Volume
from .items import slice_number, slice_uid
from .text import spreadsheet_text

RESEARCH_USE = "For research use only; not a medical device. Every finding needs a radiologist's review."

CSV_COLUMNS = (
    "seriesuid", "coordX", "coordY", "coordZ", "probability", "diameter_mm", "malignancy",
    "malignancy_by_diameter", "id", "long_axis_mm", "short_axis_mm", "volume_mm3", "mean_hu", "density",
)  # fmt: skip
"""The first seven are fixed (LUNA16's submission columns first); LPS mm."""


def write_candidates_csv(result: DetectionResult, path: str | Path, match: MatchResult | None = None) -> None:
    """All candidates, best first, whatever their score; with a reference also a `status` (empty below the threshold).

    Text that a spreadsheet would run as a formula gets an apostrophe in front.

    :raises OutputError: when the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(CSV_COLUMNS if match is None else (*CSV_COLUMNS, "status"))
    series_uid = spreadsheet_text(str(result.series.get("series_uid") or ""))
    for candidate in result.candidates:
        row = _csv_row(series_uid, candidate)
        table.writerow(row if match is None else [*row, match.status(candidate.id) or ""])
    write_text(path, text.getvalue())


def write_findings_json(
    result: DetectionResult, volume: Volume, path: str | Path, match: MatchResult | None = None
) -> None:
    """The whole result: threshold, candidates (all), series with the SOP Instance UID of each slice, settings, model,
    versions, timings_s, warnings, the time; with a reference also `reference_match`. Numbers that are not finite become
    null.

    :raises OutputError: when the file cannot be written.
    """
    content: dict[str, Any] = {
        "disclaimer": RESEARCH_USE,
        "coordinate_system": "LPS, mm",
        "detected_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "threshold": result.threshold,
        "candidates": [_candidate_entry(c, result.threshold, volume, match) for c in result.candidates],
        "series": {**result.series, "sop_instance_uids": list(volume.metadata.get("sop_instance_uids", ()))},
        "settings": result.settings,
        "model": result.model,
        "versions": result.versions,
        "timings_s": result.timings_s,
        "warnings": list(result.warnings),
    }
    if match is not None:
        content["reference_match"] = match.summary()
    write_json(path, _finite(content))


def _csv_row(series_uid: str, candidate: Candidate) -> list[str]:
    m = candidate.measurements
    return [
        series_uid,
        *(f"{v:.3f}" for v in candidate.center_lps),
        f"{candidate.score:.6f}",
        f"{m.diameter_mm:.3f}",
        *(
            "" if value is None else f"{value:.6f}"
            for value in (candidate.malignancy, candidate.malignancy_by_diameter)
        ),
        str(candidate.id),
        f"{m.long_axis_mm:.3f}",
        f"{m.short_axis_mm:.3f}",
        f"{m.volume_mm3:.2f}",
        f"{m.mean_hu:.1f}",
        m.density,
    ]


def _candidate_entry(c: Candidate, threshold: float, volume: Volume, match: MatchResult | None) -> dict[str, Any]:
    k, j, i = (float(v) for v in volume.lps_to_index(c.center_lps))
    number = slice_number(c.center_lps, volume)
    entry: dict[str, Any] = {
        "id": c.id,
        "score": c.score,
        "above_threshold": c.score >= threshold,
        "malignancy": c.malignancy,
        "malignancy_by_diameter": c.malignancy_by_diameter,
        "center_lps": [float(v) for v in c.center_lps],
        "index_kji": [round(k, 2), round(j, 2), round(i, 2)],
        "slice_number": number,
        "sop_instance_uid": slice_uid(volume.metadata.get("sop_instance_uids", ()), number),
        "mask_voxels": int(np.count_nonzero(c.mask.voxels)),
        **asdict(c.measurements),
    }
    if match is not None:
        entry["status"] = match.status(c.id)
    return entry


def _finite(value: Any) -> Any:
    """The same content in JSON's own types, with NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        return [_finite(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
