"""Every output of a run, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..evaluation.matching import MatchResult
from ..findings import DetectionResult, ReferenceNodule
from ..report.items import resolve_match
from ..report.results import write_results
from ..volume import Volume


def write_outputs(
    result: DetectionResult,
    volume: Volume,
    folder: str | Path,
    references: Sequence[ReferenceNodule] | None = None,
    match: MatchResult | None = None,
    scene: bool = True,
) -> None:
    """Write the files of `report.results.write_results` and, where asked for, `scene.mrb`, into an existing folder.

    Wrap it in `io.atomic.output_folder`, so that the folder appears whole or not at all.

    :param references: matched with the candidates at the result's threshold, where `match` is not given.
    :raises OutputError: when a file cannot be written.
    """
    match = resolve_match(result, references, match)
    write_results(result, volume, folder, match=match)
    if scene:
        from ..scene.bundle import write_scene

        write_scene(result, volume, Path(folder) / "scene.mrb", match=match)
