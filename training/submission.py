"""What trained networks mark in the test part of prepared data sets, as a submission in LUNA16's layout.

    python -m training.submission --cache cache/luna16 --segmentation runs/unet --classification runs/hybrid \
        --output submission

Scores are calibrated on the validation part. Beside `candidates.csv` lie the tables that it is evaluated against:
`annotations.csv`, `annotations_excluded.csv` and `seriesuids.csv`, of these scans alone. Where nodules were rated, the
annotations have the readers' median `texture` and `malignancy`, and in `mal_bool` whether two of them gave 4 or 5.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from LungNoduleCADLib.errors import InputError, LungNoduleCADError
from LungNoduleCADLib.io import output_folder, write_text
from LungNoduleCADLib.networks.cards import Calibration
from LungNoduleCADLib.volume import Volume

from .cross_validation import FoldDetector, Mark
from .datasets.entries import Entry, StoredNodule
from .datasets.items import doubtful
from .datasets.partition import Part
from .datasets.ratings import malignant
from .engine.data_sets import entries_of
from .out_of_fold import OutOfFold
from .publish import calibrate

USER_ERROR = 2
POINT = ("seriesuid", "coordX", "coordY", "coordZ")


@dataclass(frozen=True)
class Tables:
    """Rows of the four tables."""

    candidates: list[tuple[object, ...]]
    annotations: list[tuple[object, ...]]
    excluded: list[tuple[object, ...]]
    series: list[tuple[object, ...]]


def marks_of(entry: Entry, detector: FoldDetector) -> list[Mark]:
    """What the networks mark in a scan: on a nodule, near something that is neither, or false."""
    neither = doubtful(entry)
    marks = []
    for proposal, side, logits in detector(entry.image(), entry.lung()):
        center = np.array(proposal.center_kji)
        hit = any(np.linalg.norm(center - n.center_kji) < n.diameter_mm / 2 for n in entry.nodules)
        near = bool(neither[tuple(np.rint(center).astype(int))])
        marks.append(
            Mark("lung", entry.name, 0, proposal.peak, side, float(logits[0]), float(logits[1]), hit,
                 near and not hit, proposal.center_kji)
        )  # fmt: skip
    return marks


def calibration_of(marks: Iterable[Mark]) -> Calibration:
    """What makes scores comparable.

    :raises InputError: when nothing was hit, or nothing was marked falsely.
    """
    data = OutOfFold([asdict(mark) for mark in marks], [], 1)
    if not data.marks or not data.is_hit().any() or not (data.is_false() & ~data.is_hit()).any():
        raise InputError(
            "In the validation part no nodule was hit, or nothing marked falsely, so scores have no scale; train "
            "longer, or prepare more scans."
        )
    return Calibration(**calibrate(data)[0])


def tables_of(entries: Sequence[Entry], detector: FoldDetector, calibration: Calibration) -> Tables:
    """Marks and reference of scans."""
    tables = Tables([], [], [], [])
    for number, entry in enumerate(entries, start=1):
        grid = Volume(np.empty(entry.shape, dtype=np.uint8), entry.ijk_to_lps)
        marks = marks_of(entry, detector)
        for mark in marks:
            score = calibration.probability(mark.logit, min(mark.peak, mark.side_peak))
            malignancy = 1 / (1 + np.exp(-mark.malignancy_logit))
            tables.candidates.append((entry.name, *grid.index_to_lps(mark.center_kji), score, malignancy))
        for nodule in entry.nodules:
            center = grid.index_to_lps(nodule.center_kji)
            tables.annotations.append((entry.name, *center, nodule.diameter_mm, *opinions_of(nodule)))
        for center, diameter in zip(entry.excluded_kji, entry.excluded_mm, strict=True):
            tables.excluded.append((entry.name, *grid.index_to_lps(center), float(diameter)))
        tables.series.append((entry.name,))
        print(f"{number}/{len(entries)} {entry.name}: {len(marks)} candidates", flush=True)
    return tables


def opinions_of(nodule: StoredNodule) -> tuple[object, ...]:
    """Median texture, median malignancy, and the rule of two readers; empty where nobody rated it."""
    textures = [rating["texture"] for rating in nodule.ratings if "texture" in rating]
    label = malignant(rating["malignancy"] for rating in nodule.ratings if "malignancy" in rating)
    return float(np.median(textures)) if textures else "", nodule.malignancy, "" if label is None else label


def write_tables(tables: Tables, output: Path) -> None:
    """Write them whole or not at all.

    :raises OutputError: when they cannot be written.
    """
    named = {
        "candidates.csv": ((*POINT, "probability", "malignancy"), tables.candidates),
        "annotations.csv": ((*POINT, "diameter_mm", "texture", "malignancy", "mal_bool"), tables.annotations),
        "annotations_excluded.csv": ((*POINT, "diameter_mm"), tables.excluded),
        "seriesuids.csv": (None, tables.series),
    }
    with output_folder(output) as folder:
        for name, (header, rows) in named.items():
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerows([*([header] if header else []), *([_cell(value) for value in row] for row in rows)])
            write_text(folder / name, text.getvalue())


def _cell(value: object) -> object:
    """A number that is not known is an empty cell."""
    return "" if isinstance(value, float) and np.isnan(value) else value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, action="append", required=True, metavar="DIR")
    parser.add_argument("--segmentation", type=Path, required=True, metavar="RUN")
    parser.add_argument("--classification", type=Path, required=True, metavar="RUN")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    parts: tuple[Part, Part] = ("validation", "test")
    try:
        validation, test = (entries_of(arguments.cache, part) for part in parts)
        detector = FoldDetector(arguments.segmentation, arguments.classification)
        calibration = calibration_of(mark for entry in validation for mark in marks_of(entry, detector))
        write_tables(tables_of(test, detector, calibration), arguments.output)
    except LungNoduleCADError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
