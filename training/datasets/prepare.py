"""Prepare a data set once, into a cache that training reads.

    python -m training.datasets.prepare --kind luna16 --data LUNA16 --cache cache/luna16 --patients cache/lidc
    python -m training.datasets.prepare --kind lidc --data LIDC-IDRI --cache cache/lidc
    python -m training.datasets.prepare --kind folder --data scans --cache cache/own
    python -m training.datasets.prepare --kind simulated --data rehearsal --cache cache/rehearsal --scans 20

Started again it goes on where it was stopped; what has changed or been damaged is prepared anew. Exit codes: 0 done;
2 something to mend, said in one sentence; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from LungNoduleCADLib.app.interrupt import Stopped, stop_on_signals
from LungNoduleCADLib.errors import InputError, LungNoduleCADError

from .cache import Cache
from .folder import folder_cases
from .lidc import LEAST_READERS, lidc_cases
from .luna16 import luna16_cases, summary
from .partition import SHARES, store_split, stored_patients
from .scans import Case, UnsuitableScan
from .simulated import PATIENTS, Simulation, write_simulated
from .tables import read_patients

KINDS = ("luna16", "lidc", "folder", "simulated")
USER_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    try:
        arguments = _parser().parse_args(argv)
        with stop_on_signals():
            prepare_all(cases_of(arguments), Cache(arguments.cache))
    except Stopped as stopped:
        print("Stopped; what is prepared is kept, start again to go on.", file=sys.stderr)
        return stopped.exit_code
    except LungNoduleCADError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    return 0


def cases_of(arguments: argparse.Namespace) -> Sequence[Case]:
    """The scans of the data set that the command line names.

    :raises InputError: when they are not laid out as their kind is.
    """
    data: Path = arguments.data
    known: Path | None = arguments.patients
    patients = None
    if known is not None:
        patients = stored_patients(known) if known.is_dir() else read_patients(known)
    if arguments.kind == "lidc":
        return lidc_cases(data, arguments.xml, arguments.readers)
    if arguments.kind == "folder":
        return folder_cases(data, arguments.nodules, patients)
    if arguments.kind == "simulated":
        for uid in write_simulated(data, Simulation(arguments.scans, arguments.seed, arguments.size)):
            print(f"{uid}: simulated", flush=True)
        patients = read_patients(data / PATIENTS)
    found = luna16_cases(data, patients)
    print(summary(found), flush=True)
    if unknown := sum(case.patient == case.name for case in found):
        print(f"{unknown} scans count as a patient each, because --patients does not name theirs.", flush=True)
    return found


def prepare_all(cases: Sequence[Case], cache: Cache) -> None:
    """Bring every scan's entry up to date and store the split. A scan that cannot be read does not keep the others
    from being prepared; one that is unsuitable is left out.

    :raises InputError: at the end, when some scans could not be read.
    :raises OutputError: when the cache cannot be written.
    """
    parts = store_split(cache.folder, {case.name: case.patient for case in cases})
    failed: list[str] = []
    prepared: Counter[str] = Counter()
    for number, case in enumerate(cases, start=1):
        try:
            done = _prepared(case, cache)
            prepared[parts[case.patient]] += 1
        except UnsuitableScan as reason:
            done = f"left out: {reason}"
        except InputError as error:
            failed.append(case.name)
            done = str(error)
        print(f"{number}/{len(cases)} {case.name}: {done}", flush=True)
    print(f"prepared scans by part: {', '.join(f'{part} {prepared[part]}' for part in SHARES)}", flush=True)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(cases)} scans could not be prepared, first {failed[0]} (see above); mend or remove "
            "them and start again."
        )


def _prepared(case: Case, cache: Cache) -> str:
    state = cache.state(case)
    if state == "ready":
        return state
    entry = cache.write(case)
    return f"{state}, prepared: {'x'.join(map(str, entry.shape))} mm, {len(entry.nodules)} nodules"


class _Parser(argparse.ArgumentParser):
    """Refuses in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[:1].upper()}{message[1:]}; see --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m training.datasets.prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kind", choices=KINDS, required=True, help="the data set's layout")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where the data set is")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="where the prepared scans go")
    parser.add_argument(
        "--patients", type=Path, metavar="PATH",
        help="luna16, folder: CSV with the columns seriesuid and patient, or another cache that knows them",
    )  # fmt: skip
    parser.add_argument("--xml", type=Path, metavar="PATH", help="lidc: the readers' XML, where it is not in DIR")
    parser.add_argument(
        "--readers", type=int, choices=range(1, 5), default=LEAST_READERS, metavar="N",
        help=f"lidc: how many readers make a nodule (default: {LEAST_READERS})",
    )  # fmt: skip
    parser.add_argument("--nodules", type=Path, metavar="FILE", help="folder: CSV of nodules (default: nodules.csv)")
    parser.add_argument("--scans", type=_count, default=20, metavar="N", help="simulated: how many (default: 20)")
    parser.add_argument("--seed", type=_count, default=1, help="simulated: other scans (default: 1)")
    parser.add_argument("--size", choices=("chest", "small"), default="chest", help="simulated: default chest")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


_count.__name__ = "whole number"  # as argparse names it to the user


if __name__ == "__main__":
    sys.exit(main())
