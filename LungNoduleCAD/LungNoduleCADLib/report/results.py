"""All result files but the scene, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..evaluation.matching import MatchResult
from ..findings import DetectionResult, ReferenceNodule
from ..volume import Volume
from .images import write_heatmap, write_segmentation
from .items import report_items, resolve_match
from .markups import write_markups
from .overview import write_overview
from .tables import write_candidates_csv, write_findings_json


def write_results(
    result: DetectionResult,
    volume: Volume,
    folder: str | Path,
    references: Sequence[ReferenceNodule] | None = None,
    match: MatchResult | None = None,
) -> None:
    """Write `candidates.csv`, `findings.json`, `heatmap.nrrd` (when the run kept one), `segmentation.seg.nrrd`,
    `markups.mrk.json` and `overview.png` into an existing folder.

    :param references: matched with the candidates at the result's threshold, where `match` is not given.
    :raises OutputError: when a file cannot be written.
    """
    target = Path(folder)
    match = resolve_match(result, references, match)
    items = report_items(result, volume, match)
    write_candidates_csv(result, target / "candidates.csv", match)
    write_findings_json(result, volume, target / "findings.json", match)
    if result.heatmap is not None:
        write_heatmap(result.heatmap, target / "heatmap.nrrd")
    write_segmentation(items, volume, target / "segmentation.seg.nrrd")
    write_markups(items, target / "markups.mrk.json")
    write_overview(items, result, volume, target / "overview.png")
