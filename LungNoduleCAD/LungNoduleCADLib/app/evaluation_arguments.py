"""Arguments of an evaluation's page, for the command line and for training; nothing heavy is imported to parse them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from .submission_set import SubmissionFiles

ORIGINS = ("real", "inserted", "simulated")
OF_EACH = ("annotations", "scans")
OF_EACH_OR_NONE = ("excluded", "name", "origin", "description")


def add_submission_arguments(parser: argparse.ArgumentParser) -> None:
    """Tables of submissions; given again, they make a further data set."""
    files = (
        ("submission", "marks: seriesuid, coordX, coordY, coordZ, probability and, where there is one, malignancy"),
        ("annotations", "nodules: seriesuid, coordX, coordY, coordZ, diameter_mm; also density or texture, and "
                        "mal_bool or malignancy"),
        ("scans", "series UIDs, one a line"),
        ("excluded", "findings that count neither way"),
    )  # fmt: skip
    for name, text in files:
        parser.add_argument(f"--{name}", type=Path, action="append", default=[], metavar="FILE", help=text)
    parser.add_argument("--name", action="append", default=[], help="what the data set is called")
    parser.add_argument("--origin", action="append", default=[], choices=ORIGINS, help="default: real")
    parser.add_argument("--description", action="append", default=[], help="which scans these are, how chosen")


def add_page_arguments(parser: argparse.ArgumentParser) -> None:
    """What every evaluation's page takes."""
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the page")
    parser.add_argument("--threshold", type=float, metavar="T", help="where to count (default: clinical, of the first)")
    parser.add_argument(
        "--bootstrap", type=int, default=1000, metavar="N", help="resamples (default: 1000), 0 for none"
    )
    parser.add_argument("--weights", type=Path, metavar="DIR", help="of the classifier whose maps are shown")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")


def check_page_arguments(arguments: argparse.Namespace) -> None:
    """:raises InputError: naming a number that cannot be."""
    if arguments.bootstrap < 0 or not 0 <= arguments.seed < 2**32:
        raise InputError("The bootstrap and the seed must be whole numbers from 0; choose others.")
    if arguments.threshold is not None and not abs(arguments.threshold) < float("inf"):
        raise InputError(f"The threshold {arguments.threshold} is not finite; choose a number.")


def submissions(arguments: argparse.Namespace) -> list[SubmissionFiles]:
    """The data sets asked for, each with its own tables.

    :raises InputError: when the options are not given once for each submission.
    """
    from .submission_set import SubmissionFiles

    count = len(arguments.submission)
    for option in (*OF_EACH, *OF_EACH_OR_NONE):
        given = len(getattr(arguments, option))
        if given != count and (given or option in OF_EACH):
            raise InputError(f"--{option} is given {given} times for {count} of --submission; give it once for each.")
    return [
        SubmissionFiles(
            submission=arguments.submission[n],
            annotations=arguments.annotations[n],
            scans=arguments.scans[n],
            excluded=_nth(arguments.excluded, n),
            name=_nth(arguments.name, n),
            origin=_nth(arguments.origin, n) or "real",
            description=_nth(arguments.description, n) or "",
        )
        for n in range(count)
    ]


def _nth(values: Sequence[Any], n: int) -> Any:
    return values[n] if n < len(values) else None
