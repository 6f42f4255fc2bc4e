"""`lungnodulecad evaluate report`: submissions or results and, where the scans are at hand, the classifier's view of
them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..detection.detector import MODELS
from ..errors import InputError
from ..evaluation.data_set import DataSet
from ..networks.weights import load_model
from .evaluation_arguments import check_page_arguments, submissions
from .evaluation_report import describe_evaluation, write_evaluation
from .marks import read_marks
from .scan_patches import ScanPatches, ScanPlace, scans_in
from .submission_set import SubmissionFiles, submission_set

if TYPE_CHECKING:
    from torch import nn

    from ..networks.cards import ModelCard


@dataclass(frozen=True, eq=False)
class Submitted:
    """Submissions that have been read.

    :param inputs: their files. :param places: scans of results that are still where they were searched.
    :param searched: whether there are results, which know where their scans were.
    """

    sets: list[DataSet]
    inputs: list[Path]
    places: dict[str, ScanPlace]
    searched: bool


def write_submission_report(arguments: argparse.Namespace) -> str:
    """Write the page; returns what to tell the user.

    :raises LungNoduleCADError: for everything that is the user's to mend; nothing is left behind.
    """
    check_page_arguments(arguments)
    files = submissions(arguments)
    if not files:
        raise InputError("There is nothing to evaluate; give --submission, --annotations and --scans.")
    submitted = read_submissions(files)
    places = places_of(submitted, arguments.images)
    source: ScanPatches | None = None
    network: nn.Module | None = None
    remarks = []
    if places:
        network, card = load_model(arguments.weights or MODELS, "classification")
        source = ScanPatches(places, card.preprocessing)
        remarks.append(classifier_remark(card))
    elif submitted.searched:
        remarks.append(NO_PICTURES)
    study = write_evaluation(
        submitted.sets,
        arguments.output,
        inputs=submitted.inputs,
        threshold=arguments.threshold,
        bootstrap=arguments.bootstrap,
        seed=arguments.seed,
        source=source,
        network=network,
        remarks=remarks,
    )
    return describe_evaluation(study, arguments.output)


NO_PICTURES = ("Pictures of examples", "none: the scans are no longer where they were searched; give --images")


def read_submissions(files: Iterable[SubmissionFiles]) -> Submitted:
    """Read and match submissions.

    :raises InputError: when a file cannot be read or does not fit the others.
    """
    read = [(each, read_marks(each.submission)) for each in files]
    return Submitted(
        sets=[submission_set(each, marks) for each, marks in read],
        inputs=list(dict.fromkeys(path for each, _ in read for path in each.sources)),
        places={uid: place for _, marks in read for uid, place in marks.places.items()},
        searched=any(marks.scans is not None for _, marks in read),
    )


def places_of(submitted: Submitted, images: Path | None) -> dict[str, ScanPlace]:
    """Where the scans are that pictures are made of.

    :param images: folder of the scans; None takes the places where the results were searched.
    :raises InputError: when the folder holds none of the scans.
    """
    if images is None:
        return submitted.places
    return scans_in(images, (case for data in submitted.sets for case in data.cases))


def classifier_remark(card: ModelCard) -> tuple[str, str]:
    """What the page says of the network behind the feature maps."""
    return "Classifier of the feature maps", f"{card.name} {card.version}, SHA-256 {card.sha256}"
