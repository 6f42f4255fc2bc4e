"""Train a network.

    python -m training.train --config training/configs/unet_small.toml --cache cache --data DATA --run runs/unet
    python -m training.train --config training/configs/hybrid_small.toml --cache cache --data DATA --run runs/hybrid \
        --segmentation runs/unet
    python -m training.train --config training/configs/neuron.toml --run runs/neuron

Started again it goes on from its last checkpoint. `torchrun --nproc-per-node 2 -m -- training.train ...` trains in
several processes, each on batches of its own. Exit codes: 0 done; 2 something to mend, in one sentence; 130 stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import torch

from LungNoduleCADLib.errors import InputError, LungNoduleCADError

from .datasets.partition import FILE as SPLIT
from .engine.config import Config, read_config
from .engine.data import Origin
from .engine.data_sets import DataSetOrigin
from .engine.lungs import LungOrigin
from .engine.neuron import PointOrigin
from .engine.run import train
from .splits import FOLDS

USER_ERROR, STOPPED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    try:
        arguments = _parser().parse_args(argv)
        torch.set_num_threads(arguments.threads)
        config = read_config(arguments.config).with_steps(arguments.steps, arguments.seed)
        outcome = train(config, origin_of(config, arguments), arguments.run)
    except LungNoduleCADError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    if outcome.interrupted:
        print("Stopped; start again to go on from the last checkpoint.", file=sys.stderr)
        return STOPPED
    if config.task == "neuron":
        weight, bias = (float(part.detach()) for part in outcome.module.network.parameters())
        print(f"F = {weight:.4f} C + {bias:.4f}; it should be 1.8 and 32", flush=True)
    return 0


def origin_of(config: Config, arguments: argparse.Namespace) -> Origin:
    """Where the samples come from.

    :raises InputError: when an argument is missing or does not fit.
    """
    if config.task == "neuron":
        return PointOrigin()  # type: ignore[return-value]
    caches: list[Path] = arguments.cache
    if not caches:
        raise InputError("--cache is missing; give what training.prepare or training.datasets.prepare made.")
    prepared = [(cache / SPLIT).exists() for cache in caches]
    if all(prepared):
        if arguments.leave_out is not None or arguments.validate_on is not None:
            raise InputError("--leave-out and --validate-on are for folds; a data set's split is stored with it.")
        if not (config.data.insertion and config.data.simulator):
            raise InputError("insertion and simulator are of prepared lungs; a prepared data set holds what it holds.")
        return DataSetOrigin(config, config.task, tuple(caches), arguments.run, arguments.segmentation)
    if len(caches) > 1 or arguments.data is None:
        raise InputError("A cache of training.prepare stands alone, and needs --data beside it.")
    if config.validation.batches and arguments.validate_on is None:
        raise InputError("This configuration validates; give the fold to validate on as --validate-on.")
    return LungOrigin(
        config, config.task, caches[0], arguments.data, arguments.run, arguments.leave_out, arguments.validate_on,
        arguments.segmentation,
    )  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """Refuses in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[:1].upper()}{message[1:]}; see --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m training.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="one of training/configs")
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="where checkpoints and history go")
    parser.add_argument(
        "--cache", type=Path, action="append", default=[], metavar="DIR",
        help="prepared lungs, or a prepared data set; several data sets may be given",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, metavar="DIR", help="with prepared lungs: holds lidc-nodules")
    parser.add_argument("--segmentation", type=Path, metavar="RUN", help="the classifier learns its false proposals")
    parser.add_argument("--leave-out", type=int, choices=range(FOLDS), metavar="N", help="fold to hold back")
    parser.add_argument("--validate-on", type=int, choices=range(FOLDS), metavar="N", help="fold to validate on")
    parser.add_argument("--steps", type=int, metavar="N", help="instead of the configuration's")
    parser.add_argument("--seed", type=int, metavar="N", help="instead of the configuration's")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of the CPU (default: 2)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
