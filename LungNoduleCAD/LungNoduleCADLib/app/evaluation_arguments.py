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
OF_EACH = ("annotations", "scans", "excluded", "name", "origin", "description")
TABLES = {"annotations": "annotations.csv", "scans": "seriesuids.csv", "excluded": "annotations_excluded.csv"}
"""What a folder's reference is called."""
MARKS = "candidates.csv"


def add_submission_arguments(parser: argparse.ArgumentParser) -> None:
    """Submissions and their references; given again, they make a further data set."""
    files = (
        ("submission", "PATH", "marks (CSV: seriesuid, coordX, coordY, coordZ, probability and, where there is one, "
         f"malignancy); a folder of results of `detect`; or a folder with {MARKS}, {', '.join(TABLES.values())}"),
        ("annotations", "FILE", "nodules: seriesuid, coordX, coordY, coordZ, diameter_mm; also density or texture, and "
         "mal_bool or malignancy"),
        ("scans", "FILE", "series UIDs, one a line (default for results: the scans that they are of)"),
        ("excluded", "FILE", "findings that count neither way"),
    )  # fmt: skip
    for name, kind, text in files:
        parser.add_argument(f"--{name}", type=Path, action="append", default=[], metavar=kind, help=text)
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
    parser.add_argument(
        "--images", type=Path, metavar="DIR",
        help="folder of the scans, for pictures of examples (default for results: where they were searched)",
    )  # fmt: skip
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

    :raises InputError: when the options are not given once for each submission, or a table is missing.
    """
    from .submission_set import SubmissionFiles

    count = len(arguments.submission)
    for option in OF_EACH:
        given = len(getattr(arguments, option))
        if given not in (0, count):
            raise InputError(f"--{option} is given {given} times for {count} of --submission; give it once for each.")
    asked = []
    for n, path in enumerate(arguments.submission):
        marks, found = _tables_of(path)
        annotations, scans, excluded = (_nth(getattr(arguments, name), n) or found.get(name) for name in TABLES)
        if annotations is None:
            raise InputError(f"There is no table of nodules for {path}; give one with --annotations.")
        asked.append(
            SubmissionFiles(
                submission=marks,
                annotations=annotations,
                scans=scans,
                excluded=excluded,
                name=_nth(arguments.name, n) or (path.resolve().name if path.is_dir() else None),
                origin=_nth(arguments.origin, n) or "real",
                description=_nth(arguments.description, n) or "",
            )
        )
    return asked


def _tables_of(path: Path) -> tuple[Path, dict[str, Path]]:
    """The marks of a submission, and what of its reference lies beside them in a folder.

    :raises InputError: when the folder holds no marks.
    """
    from .marks import result_files

    if not path.is_dir():
        return path, {}
    reference = {option: path / name for option, name in TABLES.items() if (path / name).is_file()}
    if result_files(path):
        return path, reference
    if not (path / MARKS).is_file():
        raise InputError(f"{path} holds neither results of `lungnodulecad detect` nor {MARKS}; give another folder.")
    return path / MARKS, reference


def _nth(values: Sequence[Any], n: int) -> Any:
    return values[n] if n < len(values) else None
