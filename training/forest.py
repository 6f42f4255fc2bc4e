"""The forest that weighs a proposal's appearance with the networks' opinions (`detection.appearance`).

    python -m training.forest --data DATA --cache cache --runs runs --marks runs --output forest

Each fold's samples are what that fold's networks propose in what they never saw: `training.cross_validation`'s marks
and those of `forest_samples`. They are kept in the output folder, so that a second run only grows. Written there, too:
every mark with the share that a forest of the other folds gives it, and the forest of all folds, which
`training.publish` takes from there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from LungNoduleCADLib.cli import USER_ERROR
from LungNoduleCADLib.detection.appearance import DEFINITION, EDGE, forest_inputs
from LungNoduleCADLib.errors import LungNoduleCADError
from LungNoduleCADLib.io.atomic import write_bytes, write_text
from LungNoduleCADLib.networks.forest import DecisionForest, ForestConfig

from .cross_validation import FoldDetector
from .forest_samples import Samples, samples_of_fold
from .out_of_fold import mark_files, read_out_of_fold

FOREST = "forest.safetensors"
TREES = 300
"""Of each of the two kinds."""
SMALLEST_LEAF = 3
FEATURES_OF_RANDOM, FEATURES_OF_EXTRA = 0.15, 0.3
"""Shares of the features that a node chooses from."""
LEAF = -1


def grow(samples: Samples, seed: int = 0) -> DecisionForest:
    """A forest of random trees and one of extremely random trees, as one. Real nodules in their own surroundings weigh
    as much as inserted ones in every fold, and both together as much as false marks, however many there are."""
    x, y, weight = samples.inputs, samples.is_nodule, _weights(samples)
    kinds = (
        RandomForestClassifier(
            TREES, min_samples_leaf=SMALLEST_LEAF, max_features=FEATURES_OF_RANDOM, random_state=seed
        ),
        ExtraTreesClassifier(TREES, min_samples_leaf=SMALLEST_LEAF, max_features=FEATURES_OF_EXTRA, random_state=seed),
    )
    return joined([tree.tree_ for kind in kinds for tree in kind.fit(x, y, sample_weight=weight).estimators_])


def _weights(samples: Samples) -> NDArray[np.float64]:
    weight = np.zeros(len(samples.fold))
    real = samples.is_nodule & samples.is_real
    for group, part in ((real, 0.25), (samples.is_nodule & ~real, 0.25), (~samples.is_nodule, 0.5)):
        for fold in np.unique(samples.fold):
            own = group & (samples.fold == fold)
            weight[own] = part / max(int(own.sum()), 1)
    return weight * len(weight) / weight.sum()


def joined(trees: list[Any]) -> DecisionForest:
    """Scikit-learn's trees as a network that decides as they do."""
    nodes = max(tree.node_count for tree in trees)
    config = ForestConfig(
        inputs=int(trees[0].n_features),
        definition=DEFINITION,
        patch_size=EDGE,
        trees=len(trees),
        nodes=nodes,
        depth=max(max(tree.max_depth for tree in trees), 1),
    )
    forest = DecisionForest(config)
    for n, tree in enumerate(trees):
        own = np.arange(tree.node_count)
        is_leaf = tree.children_left == LEAF
        shares = tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True)
        for name, values in (
            ("feature", np.where(is_leaf, 0, tree.feature)),
            ("threshold", _down_to_single(tree.threshold)),
            ("below", np.where(is_leaf, own, tree.children_left)),
            ("above", np.where(is_leaf, own, tree.children_right)),
            ("share", shares[:, -1]),
        ):
            tensor = getattr(forest, name)
            tensor[n, : tree.node_count] = torch.from_numpy(values).to(tensor.dtype)
    return forest.eval()


def _down_to_single(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The greatest single-precision numbers that are not greater: single-precision features decide by them as by the
    double-precision ones."""
    single = threshold.astype(np.float32)
    return np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single).astype(np.float32)


@dataclass(frozen=True, eq=False)
class GrownForests:
    """By fold the forest that grew on the others, and that of all."""

    out_of_fold: dict[int, DecisionForest]
    all: DecisionForest


def grow_all(samples: list[Samples]) -> GrownForests:
    """Of every fold's samples."""
    out_of_fold = {
        int(own.fold[0]): grow(Samples.together(other for other in samples if other is not own)) for own in samples
    }
    return GrownForests(out_of_fold, grow(Samples.together(samples)))


def shares_of_marks(forest: DecisionForest, marks: Iterable[dict[str, Any]]) -> NDArray[np.float64]:
    """What a forest says of cross-validation's marks."""
    return forest.shares(inputs_of_marks(list(marks)))


def inputs_of_marks(marks: list[dict[str, Any]]) -> NDArray[np.float32]:
    """A forest's input of cross-validation's marks."""
    peaks, sides, logits = (np.array([mark[key] for mark in marks]) for key in ("peak", "side_peak", "logit"))
    return forest_inputs(peaks, sides, logits, np.array([mark["appearance"] for mark in marks], dtype=np.float32))


def save_forest(forest: DecisionForest, path: Path) -> None:
    """To be described by a card when it is published."""
    settings = {"config": json.dumps(vars(forest.config))}
    write_bytes(path, safetensors.torch.save(dict(forest.state_dict()), metadata=settings))


def load_forest(path: Path) -> DecisionForest:
    """Undo `save_forest`."""
    with safetensors.safe_open(path, "pt") as file:
        forest = DecisionForest(ForestConfig(**json.loads(file.metadata()["config"])))
        forest.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return forest.eval()


def main(argv: Sequence[str] | None = None) -> int:
    """Grow; returns the exit code: 0, or 2 after one sentence on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--marks", type=Path, required=True, help="folder of cross-validation-<fold>.json")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    try:
        _grow(arguments)
    except LungNoduleCADError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    return 0


def _grow(arguments: argparse.Namespace) -> None:
    folds = {path: read_out_of_fold([path]) for path in mark_files(arguments.marks)}
    arguments.output.mkdir(parents=True, exist_ok=True)
    samples = []
    for data in folds.values():
        fold = int(data.marks[0]["fold"])
        path = arguments.output / f"samples-{fold}.npz"
        if not path.exists():
            detector = FoldDetector(arguments.runs / f"unet-fold{fold}", arguments.runs / f"hybrid-fold{fold}")
            samples_of_fold(fold, detector, arguments.cache, arguments.data).save(path)
        of_marks = Samples.of_marks(data.marks, inputs_of_marks(data.marks))
        samples.append(Samples.together((of_marks, Samples.load(path))))
        print(f"fold {fold}: {len(samples[-1].fold)} samples", flush=True)
    forests = grow_all(samples)
    for path, data in folds.items():
        shares = shares_of_marks(forests.out_of_fold[int(data.marks[0]["fold"])], data.marks)
        noted = [{**mark, "share": float(share)} for mark, share in zip(data.marks, shares, strict=True)]
        # A malignancy that nobody rated is NaN.
        write_text(arguments.output / path.name, json.dumps({"marks": noted, "cases": data.cases}))
    save_forest(forests.all, arguments.output / FOREST)


if __name__ == "__main__":
    sys.exit(main())
