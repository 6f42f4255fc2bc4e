"""One page of everything that is known about weights: cross-validation's marks, submissions, examples, history.

    python -m training.evaluate --marks runs --data ../shared/data --cache cache --runs runs --output evaluation
    python -m training.evaluate --submission submission --cache cache/luna16 --classification runs/hybrid --runs runs \
        --output evaluation

A submission is what `training.submission` or `lungnodulecad detect` wrote, or tables in LUNA16's layout. The first data
set gives the threshold. Real, inserted and simulated data each have their own rows. Pictures of examples are made from
prepared scans (`--cache`), or from the scans themselves (`--images`, and where results say they are).
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.app.evaluation_arguments import (
    add_page_arguments,
    add_submission_arguments,
    check_page_arguments,
    submissions,
)
from LungNoduleCADLib.app.evaluation_report import describe_evaluation, write_evaluation
from LungNoduleCADLib.app.scan_patches import ScanPatches
from LungNoduleCADLib.app.submission_report import classifier_remark, places_of, read_submissions
from LungNoduleCADLib.cli import USER_ERROR
from LungNoduleCADLib.detection.detector import MODELS
from LungNoduleCADLib.errors import InputError, LungNoduleCADError
from LungNoduleCADLib.evaluation.data_set import Place
from LungNoduleCADLib.evaluation.samples import PatchSource
from LungNoduleCADLib.networks.weights import load_model
from LungNoduleCADLib.preprocess.settings import Preprocessing

from .checkpoints import averaged_hybrid
from .datasets.partition import FILE as SPLIT
from .entry_images import EntryPatches
from .fold_data_sets import data_sets
from .fold_images import FoldPatches
from .known_nodules import known_nodules
from .out_of_fold import OutOfFold, mark_files, read_out_of_fold
from .sampler import PATCH

if TYPE_CHECKING:
    from torch import nn

STEP = "step"
HISTORY_COLUMNS = {3: (STEP, "loss", "seconds"), 4: (STEP, "loss", "hard places", "seconds")}
"""What a run's history without a header holds, by its number of columns: the classifier's and the U-Net's."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page; returns the exit code: 0, or 2 after one sentence on standard error."""
    try:
        print(evaluate(_parser().parse_args(argv)))
    except LungNoduleCADError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    return 0


def evaluate(arguments: argparse.Namespace) -> str:
    """Write the page; returns what to tell the user.

    :raises LungNoduleCADError: for everything that is the user's to mend; nothing is left behind.
    """
    check_page_arguments(arguments)
    sets, inputs, sources = [], [], list[PatchSource]()
    data_set_caches = [cache for cache in arguments.cache if (cache / SPLIT).exists()]
    if data_set_caches:
        sources.append(EntryPatches(data_set_caches))
    if arguments.marks is not None:
        inputs += mark_files(arguments.marks)
        marks = read_out_of_fold(inputs)
        known = {} if arguments.data is None else known_nodules(arguments.data)
        sets += data_sets(marks, known)
        sources += [_fold_patches(marks, cache, arguments) for cache in arguments.cache if cache not in data_set_caches]
    submitted = read_submissions(submissions(arguments))
    sets += submitted.sets
    inputs += submitted.inputs
    if places := places_of(submitted, arguments.images):
        sources.append(ScanPatches(places, Preprocessing(patch_size=PATCH)))
    if not sets:
        raise InputError("There is nothing to evaluate; give --marks or --submission.")
    network, remarks = _classifier(arguments) if sources else (None, [])
    study = write_evaluation(
        sets,
        arguments.output,
        inputs=inputs,
        threshold=arguments.threshold,
        bootstrap=arguments.bootstrap,
        seed=arguments.seed,
        source=_first_of(sources) if sources else None,
        network=network,
        histories={} if arguments.runs is None else read_histories(arguments.runs),
        remarks=remarks,
    )
    return describe_evaluation(study, arguments.output)


def read_histories(runs: Path) -> dict[str, tuple[str, dict[str, list[float]]]]:
    """Of each training run below a folder, the name of its column of steps and its columns.

    :raises InputError: when there is no history, or one is damaged.
    """
    histories = {}
    for path in sorted(runs.glob("*/history.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
        try:
            header = HISTORY_COLUMNS[len(rows[0])] if _is_number(rows[0][0]) else tuple(rows.pop(0))
            columns = zip(*([float(cell) for cell in row] for row in rows), strict=True)
            named = dict(zip(header, map(list, columns), strict=True))
        except (ValueError, KeyError, IndexError) as error:
            raise InputError(f"{path} is no training history ({error}); remove it or train again.") from error
        step = STEP if STEP in named else header[0]
        histories[path.parent.name] = step, {name: values for name, values in named.items() if name != "seconds"}
    if not histories:
        raise InputError(f"{runs} holds no <run>/history.csv; give the folder of the training runs.")
    return histories


def _fold_patches(marks: OutOfFold, cache: Path, arguments: argparse.Namespace) -> FoldPatches:
    if arguments.data is None:
        raise InputError("--cache is given without --data; the pictures need both.")
    return FoldPatches(marks, arguments.data, cache)


def _first_of(sources: Sequence[PatchSource]) -> PatchSource:
    """The patch of the first source that has it."""

    def patch(case: str, place: Place | None) -> NDArray[np.float32] | None:
        return next((found for source in sources if (found := source(case, place)) is not None), None)

    return patch


def _classifier(arguments: argparse.Namespace) -> tuple[nn.Module, list[tuple[str, str]]]:
    """The network of the feature maps: a run's, or published weights."""
    if arguments.classification is not None:
        run: Path = arguments.classification
        return averaged_hybrid(run), [("Classifier of the feature maps", f"training run {run.name}")]
    network, card = load_model(arguments.weights or MODELS, "classification")
    return network, [classifier_remark(card)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class _Parser(argparse.ArgumentParser):
    """Refuses in one sentence instead of printing the usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise InputError(f"{message[:1].upper()}{message[1:]}; see `{self.prog} --help`.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--marks", type=Path, metavar="DIR", help="folder of cross-validation-<fold>.json")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with lidc-nodules: patients, types, ratings")
    parser.add_argument(
        "--cache", type=Path, action="append", default=[], metavar="DIR",
        help="prepared lungs and nodules, or a prepared data set, for pictures of examples; may be given several times",
    )  # fmt: skip
    parser.add_argument("--classification", type=Path, metavar="RUN", help="training run whose feature maps are shown")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="training runs, for their history")
    add_submission_arguments(parser)
    add_page_arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
