"""What each part of training is worth: networks trained with and without it, judged on patients they never saw.

    python -m training.ablation --data DATA --cache cache --runs runs --output runs/ablation --folds 0 3 --steps 700

Each arm changes one thing of the network that ships, and is trained with the same steps and seed for each fold; its
partner, the classifier behind a U-Net or the U-Net before a classifier, is the one of `--runs` that left the same fold
out. Stopped or killed and started again it goes on where it was; what is finished is skipped. `ablation-<network>.json`
and `.md` hold the table of all arms that have every fold; `--readme` puts it into a document, too. Exit codes: 0 done;
2 something to mend, in one sentence; 130 stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from LungNoduleCADLib.errors import InputError, LungNoduleCADError
from LungNoduleCADLib.io import write_text
from LungNoduleCADLib.simulation.phantom_spec import Size

from .ablation_arms import ARMS, CONFIGURATIONS, PRESENT, PRESENT_LAST, Arm, Network, config_of
from .ablation_report import Report
from .checkpoints import SETTINGS
from .cross_validation import FoldDetector, evaluate_fold
from .datasets.cache import Cache
from .datasets.entries import Entry
from .datasets.luna16 import luna16_cases
from .datasets.prepare import prepare_all
from .datasets.simulated import PATIENTS, Simulation, write_simulated
from .datasets.tables import read_patients
from .engine.config import Config
from .engine.lungs import LungOrigin
from .engine.run import train
from .known_nodules import known_nodules
from .splits import FOLDS
from .submission import marks_of

USER_ERROR, STOPPED = 2, 130
SIMULATED_SEED = 7000
"""Its sum with the fold seeds a fold's simulated scans; training's phantoms have other seeds."""
SIMULATED_SCANS, SIMULATED_NODULES = 3, 6.0
"""Scans a fold, and the mean number of nodules in each."""
SIMULATED_SIZE: Size = "chest"
RUN_NAMES: dict[Network, str] = {"segmentation": "unet", "classification": "hybrid"}


@dataclass(frozen=True)
class Places:
    """Where everything is.

    :param runs: with unet-fold0 ... hybrid-fold4, the partners. :param output: with the arms' runs and marks.
    """

    data: Path
    cache: Path
    runs: Path
    output: Path

    def run(self, network: Network, arm: str, fold: int) -> Path:
        """An arm's training run."""
        return self.output / f"{network}-{arm}" / f"fold{fold}"

    def marks(self, name: str, fold: int) -> Path:
        """What networks marked, by the name of their folder."""
        return self.output / name / f"cross-validation-{fold}.json"

    def partner(self, network: Network, fold: int) -> Path:
        """The present run of a network."""
        return self.runs / f"{RUN_NAMES[network]}-fold{fold}"


def run_arm(arm: Arm, network: Network, fold: int, config: Config, places: Places) -> bool:
    """Train and evaluate one arm on one fold, or what of it is left to do; whether it came to its end.

    :raises InputError: when something is missing or does not fit.
    """
    path = places.marks(f"{network}-{arm.name}", fold)
    if path.exists() and json.loads(path.read_text(encoding="utf-8"))["steps"] == config.optimisation.steps:
        return True
    run = places.run(network, arm.run, fold)
    segmentation = None if network == "segmentation" else places.partner("segmentation", fold)
    print(f"{network}, {arm.what}, fold {fold}", flush=True)
    refuse_other_steps(run, config)
    origin = LungOrigin(config, network, places.cache, places.data, run, leave_out=fold, segmentation=segmentation)
    if train(config, origin, run).interrupted:
        return False
    pair = (segmentation, run) if segmentation else (run, places.partner("classification", fold))
    said = {"steps": config.optimisation.steps, "config": config.as_json()}
    write_marks(path, fold, FoldDetector(*pair, averaged=arm.averaged), places, said)
    return True


def run_present(fold: int, averaged: bool, places: Places) -> None:
    """Evaluate the present networks of a fold."""
    path = places.marks(PRESENT if averaged else PRESENT_LAST, fold)
    if not path.exists():
        print(f"{path.parent.name}, fold {fold}", flush=True)
        pair = places.partner("segmentation", fold), places.partner("classification", fold)
        write_marks(path, fold, FoldDetector(*pair, averaged=averaged), places, {})


def write_marks(path: Path, fold: int, detector: FoldDetector, places: Places, said: Mapping[str, Any]) -> None:
    """What cross-validation and the fold's simulated scans show of a detector.

    :param said: what else the file is to hold.
    """
    marks, cases = evaluate_fold(fold, detector, places.cache, places.data)
    content = {**said, "marks": [asdict(m) for m in marks], "cases": [asdict(c) for c in cases]}
    content["simulated"] = marked(simulated_scans(fold, places.output / "simulated"), detector)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content))


def refuse_other_steps(run: Path, config: Config) -> None:
    """A run whose rate has fallen already is no shorter version of a longer one.

    :raises InputError: when the folder holds a run of another length.
    """
    path = run / SETTINGS
    if path.exists():
        former = json.loads(path.read_text(encoding="utf-8"))["optimisation"]["steps"]
        if former != config.optimisation.steps:
            raise InputError(
                f"{run} holds a run of {former} steps, not {config.optimisation.steps}; give as many, or choose "
                "another --output."
            )


def simulated_scans(fold: int, folder: Path) -> list[Entry]:
    """A fold's simulated scans, made when they are first asked for."""
    place, cache = folder / f"fold{fold}", Cache(folder / f"fold{fold}" / "cache")
    simulation = Simulation(SIMULATED_SCANS, SIMULATED_SEED + fold, SIMULATED_SIZE, SIMULATED_NODULES)
    for uid in write_simulated(place, simulation):
        print(f"{uid}: simulated", flush=True)
    prepare_all(luna16_cases(place, read_patients(place / PATIENTS)), cache)
    return list(cache.entries())


def marked(entries: Sequence[Entry], detector: FoldDetector) -> dict[str, Any]:
    """What is in simulated scans, in voxels of 1 mm, and what the networks mark in them."""
    nodules = [
        {"case": entry.name, "center_kji": nodule.center_kji.tolist(), "diameter_mm": nodule.diameter_mm}
        for entry in entries
        for nodule in entry.nodules
    ]
    excluded = [
        {"case": entry.name, "center_kji": center.tolist(), "diameter_mm": float(diameter)}
        for entry in entries
        for center, diameter in zip(entry.excluded_kji, entry.excluded_mm, strict=True)
    ]
    marks = [asdict(mark) for entry in entries for mark in marks_of(entry, detector)]
    return {"scans": [entry.name for entry in entries], "nodules": nodules, "excluded": excluded, "marks": marks}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    places = Places(arguments.data, arguments.cache, arguments.runs, arguments.output)
    network: Network = arguments.network
    chosen = [arm for arm in ARMS if arm.name in arguments.arms]
    try:
        for fold in arguments.folds:
            for arm in chosen:
                config = config_of(arm, network, arguments.steps, arguments.seed)
                if not run_arm(arm, network, fold, config, places):
                    print("Stopped; start again to go on from the last checkpoint.", file=sys.stderr)
                    return STOPPED
        for fold in arguments.folds_present:
            for averaged in (True, False):
                run_present(fold, averaged, places)
        report = Report(network, tuple(arguments.folds), tuple(arguments.folds_present), arguments.output)
        report.write(known_nodules(arguments.data), arguments.readme)
    except LungNoduleCADError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.ablation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [arm.name for arm in ARMS]
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds lidc-nodules")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="of training.prepare")
    parser.add_argument("--runs", type=Path, required=True, metavar="DIR", help="unet-fold<N>, hybrid-fold<N>")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where all of it goes")
    parser.add_argument("--network", choices=list(CONFIGURATIONS), default="segmentation", help="which one varies")
    parser.add_argument("--arms", nargs="+", choices=names, default=names, metavar="ARM", help=", ".join(names))
    parser.add_argument("--folds", nargs="+", type=int, choices=range(FOLDS), default=list(range(FOLDS)), metavar="N")
    parser.add_argument(
        "--folds-present", nargs="*", type=int, choices=range(FOLDS), default=[], metavar="N",
        help="evaluate the networks of --runs on these folds, too: by plane, by network, with their last weights",
    )  # fmt: skip
    parser.add_argument("--readme", type=Path, metavar="FILE", help="document with a place for the table")
    parser.add_argument("--steps", type=int, metavar="N", help="instead of the configuration's, for every arm")
    parser.add_argument("--seed", type=int, metavar="N", help="instead of the configuration's, for every arm")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of the CPU (default: 2)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
