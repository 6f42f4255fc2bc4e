"""`lungnodulecad evaluate report`: submissions and, where the scans are at hand, the classifier's view of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..detection.detector import MODELS
from ..errors import InputError
from ..networks.weights import load_model
from .evaluation_arguments import check_page_arguments, submissions
from .evaluation_report import describe_evaluation, write_evaluation
from .scan_patches import ScanPatches
from .submission_set import submission_set

if TYPE_CHECKING:
    from torch import nn


def write_submission_report(arguments: argparse.Namespace) -> str:
    """Write the page; returns what to tell the user.

    :raises LungNoduleCADError: for everything that is the user's to mend; nothing is left behind.
    """
    check_page_arguments(arguments)
    files = submissions(arguments)
    if not files:
        raise InputError("There is nothing to evaluate; give --submission, --annotations and --scans.")
    sets = [submission_set(each) for each in files]
    source: ScanPatches | None = None
    network: nn.Module | None = None
    remarks = []
    if arguments.images is not None:
        network, card = load_model(arguments.weights or MODELS, "classification")
        source = ScanPatches(arguments.images, card.preprocessing)
        source.check(case for data in sets for case in data.cases)
        remarks.append(("Classifier of the feature maps", f"{card.name} {card.version}, SHA-256 {card.sha256}"))
    study = write_evaluation(
        sets,
        arguments.output,
        inputs=_once([path for each in files for path in each.tables]),
        threshold=arguments.threshold,
        bootstrap=arguments.bootstrap,
        seed=arguments.seed,
        source=source,
        network=network,
        remarks=remarks,
    )
    return describe_evaluation(study, arguments.output)


def _once(paths: list[Path]) -> list[Path]:
    return list(dict.fromkeys(paths))
