"""Networks that were trained on a prepared data set, as weights with cards for `lungnodulecad detect --weights`.

    python -m training.data_set_weights --cache cache/luna16 --segmentation runs/unet --classification runs/hybrid \\
        --name LUNA16 --citation "Setio et al. 2017, doi:10.1016/j.media.2017.06.015" --licence "CC BY 4.0" \\
        --output weights

Calibration, operating table and default threshold come from the data set's validation part, in which no network was
trained; they flatter a little, because the calibration saw it. The test part stays unseen for `training.submission`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from LungNoduleCADLib.errors import InputError, LungNoduleCADError
from LungNoduleCADLib.io.atomic import output_folder
from LungNoduleCADLib.networks.cards import Calibration
from LungNoduleCADLib.networks.weights import save_model

from .checkpoints import averaged_hybrid, averaged_unet
from .cross_validation import FoldDetector, Mark
from .datasets.entries import Entry
from .engine.data_sets import entries_of
from .publish import RESEARCH_USE, THRESHOLDS, preprocessing_of
from .submission import USER_ERROR, calibration_of, marks_of

CLINICAL_SENSITIVITY = 0.95
"""A17: the default threshold is the highest row of the table that keeps it."""


@dataclass(frozen=True)
class Origin:
    """What a card says of the data: the name it goes by, whom to cite, and the licence, which the weights take over."""

    name: str
    citation: str
    licence: str


@dataclass(frozen=True, eq=False)
class Validated:
    """What the networks did in the validation part.

    :param best: per nodule the score of its best mark, -1 where it has none. :param false: scores of false marks.
    """

    best: NDArray[np.float64]
    false: NDArray[np.float64]
    scans: int

    def table(self) -> list[dict[str, Any]]:
        """A card's operating table."""
        return [
            {
                "threshold": threshold,
                "sensitivity": round(float((self.best >= threshold).mean()), 4),
                "fp_per_scan": round(float((self.false >= threshold).sum() / self.scans), 3),
            }
            for threshold in THRESHOLDS
        ]

    def default_threshold(self) -> float:
        """Highest threshold of the table with the clinical sensitivity; where none has it, with the best there is."""
        wanted = min(CLINICAL_SENSITIVITY, float((self.best >= THRESHOLDS[0]).mean()))
        return max(threshold for threshold in THRESHOLDS if (self.best >= threshold).mean() >= wanted)


def validated(entries: Sequence[Entry], marks: Sequence[Sequence[Mark]], calibration: Calibration) -> Validated:
    """Scores of the validation part.

    :param marks: of each entry. :raises InputError: when it has no nodule.
    """
    best, false = [], []
    for entry, own in zip(entries, marks, strict=True):
        scores = [calibration.probability(mark.logit, min(mark.peak, mark.side_peak)) for mark in own]
        false += [score for mark, score in zip(own, scores, strict=True) if not mark.hit and not mark.doubtful]
        for nodule in entry.nodules:
            reach = nodule.diameter_mm / 2
            on_it = (np.linalg.norm(np.subtract(mark.center_kji, nodule.center_kji)) < reach for mark in own)
            best.append(max((score for score, hit in zip(scores, on_it, strict=True) if hit), default=-1.0))
    if not best:
        raise InputError("The validation part has no nodule to judge the networks by; prepare more scans.")
    return Validated(np.array(best), np.array(false), len(entries))


def write_weights(
    result: Validated, calibration: Calibration, segmentation: Path, classification: Path, origin: Origin, output: Path
) -> None:
    """Both networks with their cards, whole or not at all.

    :raises OutputError: when they cannot be written.
    """
    common: dict[str, Any] = {
        "version": "1.0",
        "data": [{"name": origin.name, "citation": origin.citation, "licence": origin.licence}],
        "metrics": {
            "validation": f"validation part of {origin.name}: {result.scans} scans, {len(result.best)} nodules; the "
            "calibration saw them",
            "proposed": round(float((result.best >= 0).mean()), 4),
        },
        "operating_table": result.table(),
        "default_threshold": result.default_threshold(),
        "license": origin.licence,
        "research_use": RESEARCH_USE,
    }
    networks = (
        ("2.5-D U-Net", averaged_unet(segmentation), segmentation, {"method": "none"}),
        ("hybrid CNN-Transformer", averaged_hybrid(classification), classification, vars(calibration)),
    )
    with output_folder(output) as folder:
        for name, network, run, how in networks:
            config: Any = network.config
            size = (
                {"patch_size": config.patch_size} if hasattr(config, "patch_size") else {"slices": config.in_channels}
            )
            save_model(
                network,
                {
                    **common,
                    "name": f"{name} trained on {origin.name}",
                    "preprocessing": {**preprocessing_of(run), **size},
                    "calibration": how,
                },
                folder,
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, action="append", required=True, metavar="DIR")
    parser.add_argument("--segmentation", type=Path, required=True, metavar="RUN")
    parser.add_argument("--classification", type=Path, required=True, metavar="RUN")
    parser.add_argument("--name", required=True, help="what the data set is called")
    parser.add_argument("--citation", required=True)
    parser.add_argument("--licence", required=True, help="of the data set, hence of the weights")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    try:
        origin = Origin(*(_text(arguments, name) for name in ("name", "citation", "licence")))
        entries = entries_of(arguments.cache, "validation")
        detector = FoldDetector(arguments.segmentation, arguments.classification)
        marks = [marks_of(entry, detector) for entry in entries]
        calibration = calibration_of(mark for own in marks for mark in own)
        result = validated(entries, marks, calibration)
        write_weights(result, calibration, arguments.segmentation, arguments.classification, origin, arguments.output)
    except LungNoduleCADError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    point = next(row for row in result.table() if row["threshold"] == result.default_threshold())
    print(json.dumps({"scans": result.scans, "nodules": len(result.best), "default": point}))
    return 0


def _text(arguments: argparse.Namespace, name: str) -> str:
    value = str(getattr(arguments, name)).strip()
    if not value:
        raise InputError(f"--{name} is empty; say it, for the cards of the weights must.")
    return value


if __name__ == "__main__":
    sys.exit(main())
