"""Judges that learn to tell simulated from real nodules, and how well they do it: a small 3D network on the patch, and
trees on measured features, which also say what gave the simulated ones away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from torch import nn

from LungNoduleCADLib.evaluation.auc import Resampling, roc_auc

from .nodule_features import features
from .splits import FOLDS

Patches = NDArray[np.uint8]


@dataclass(frozen=True)
class Judge:
    """One way to tell them apart.

    :param look: what it sees of the patches.
    :param learn: what it saw and the truth of it, what is to be judged, seed: to the probability of each of these being
        simulated.
    """

    look: Callable[[Patches], NDArray[Any]]
    learn: Callable[[NDArray[Any], NDArray[np.bool_], NDArray[Any], int], NDArray[np.float64]]


EPOCHS, BATCH, RATE, SHIFT = 20, 32, 5e-3, 2
BOOTSTRAPS = 1000


def judge_by_network(seen: Patches, simulated: NDArray[np.bool_], unseen: Patches, seed: int) -> NDArray[np.float64]:
    """A network of three convolutions, trained with mirror images, quarter turns and small shifts."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = _network()
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-2)
    steps = EPOCHS * -(-len(seen) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    truth = torch.from_numpy(simulated.astype(np.float32))
    network.train()
    for _ in range(EPOCHS):
        order = rng.permutation(len(seen))
        for batch in np.array_split(order, -(-len(seen) // BATCH)):
            patches = _as_input(np.stack([_varied(seen[n], rng) for n in batch]))
            loss = nn.functional.binary_cross_entropy_with_logits(network(patches)[:, 0], truth[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    views = (unseen, unseen[:, ::-1], unseen[:, :, ::-1], unseen[:, :, :, ::-1])
    with torch.no_grad():
        logits = [
            torch.cat([network(_as_input(view[n : n + BATCH]))[:, 0] for n in range(0, len(view), BATCH)])
            for view in views
        ]
    mean: NDArray[np.float64] = torch.stack(logits).mean(dim=0).sigmoid().double().numpy()
    return mean


def judge_by_features(
    seen: NDArray[np.float64], simulated: NDArray[np.bool_], unseen: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """Boosted trees and a random forest on what `features` makes of the patches."""
    forest = ExtraTreesClassifier(300, min_samples_leaf=3, max_features=0.3, random_state=seed)
    probability = np.mean([one.fit(seen, simulated).predict_proba(unseen)[:, 1] for one in (_boosted(seed), forest)], 0)
    return np.asarray(probability, dtype=np.float64)


def out_of_fold(
    judge: Judge, patches: Patches, simulated: NDArray[np.bool_], folds: NDArray[np.integer], seed: int
) -> NDArray[np.float64]:
    """The judge's probability for each patch, by judges that never saw a patch of its patient."""
    seen = judge.look(patches)
    judged = np.zeros(len(patches))
    for fold in range(FOLDS):
        held = folds == fold
        if held.any():
            judged[held] = judge.learn(seen[~held], simulated[~held], seen[held], seed + fold)
    return judged


def auc_by_patient(
    judged: NDArray[np.float64], simulated: NDArray[np.bool_], patients: NDArray[np.str_], seed: int
) -> tuple[float, float | None, float | None]:
    """AUC and its 95 % interval by resampling patients.

    :raises InputError: when a class is missing.
    """
    unit = np.unique(patients, return_inverse=True)[1]
    found = roc_auc(simulated, judged, Resampling.of_units(unit, BOOTSTRAPS, seed))
    return found.value, found.low, found.high


def give_aways(
    patches: Patches, simulated: NDArray[np.bool_], folds: NDArray[np.integer], seed: int
) -> list[dict[str, float | str]]:
    """What the trees went by, most important first: by how much the AUC on patients they never saw falls when one
    feature is shuffled among these patches; with the AUC of that feature alone and its medians."""
    seen = _measured(patches)
    names = list(features(patches[0]))
    rng = np.random.default_rng(seed)
    judged, shuffled = np.zeros(len(patches)), np.zeros((len(names), len(patches)))
    for fold in np.unique(folds):
        held = folds == fold
        trees = _boosted(seed).fit(seen[~held], simulated[~held])
        judged[held] = trees.predict_proba(seen[held])[:, 1]
        for n in range(len(names)):
            changed = seen[held]
            changed[:, n] = rng.permutation(changed[:, n])
            shuffled[n, held] = trees.predict_proba(changed)[:, 1]
    whole = roc_auc(simulated, judged).value
    found: list[dict[str, float | str]] = [
        {
            "feature": name,
            "importance": whole - roc_auc(simulated, shuffled[n]).value,
            "alone": roc_auc(simulated, seen[:, n]).value,
            "real": float(np.median(seen[~simulated, n])),
            "simulated": float(np.median(seen[simulated, n])),
        }
        for n, name in enumerate(names)
    ]
    return sorted(found, key=lambda one: -float(one["importance"]))


def _measured(patches: Patches) -> NDArray[np.float64]:
    return np.array([list(features(patch).values()) for patch in patches])


def _boosted(seed: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.05, max_leaf_nodes=8, l2_regularization=1.0, random_state=seed
    )


class _Middle(nn.Module):
    """The middle of a map, `size` voxels along each side: what lies far from the nodule has been seen by then."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = (x.shape[-1] - self._size) // 2
        part = slice(first, first + self._size)
        return x[..., part, part, part]


class _MeanAndMost(nn.Module):
    """Of each channel, over the map."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x.mean(dim=(2, 3, 4)), x.amax(dim=(2, 3, 4))], dim=1)


def _network() -> nn.Module:
    def convolution(before: int, after: int, stride: int) -> list[nn.Module]:
        return [nn.Conv3d(before, after, 3, stride, 1, bias=False), nn.BatchNorm3d(after), nn.ReLU()]

    return nn.Sequential(
        *convolution(2, 16, 2),
        *convolution(16, 32, 2),
        _Middle(6),
        *convolution(32, 48, 1),
        _Middle(4),
        _MeanAndMost(),
        nn.Dropout(0.3),
        nn.Linear(96, 1),
    )


def _as_input(patches: Patches) -> torch.Tensor:
    """The lung window, and the same with more contrast in the lung's own densities."""
    x = torch.from_numpy(np.ascontiguousarray(patches)).float().div_(255)
    return torch.stack([x * 2 - 1, (x * 5 - 0.5).clamp(-1, 1)], dim=1)


def _varied(patch: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    for axis in range(3):
        if rng.random() < 0.5:
            patch = np.flip(patch, axis)
    if rng.random() < 0.5:
        patch = patch.swapaxes(1, 2)
    return np.roll(patch, rng.integers(-SHIFT, SHIFT + 1, size=3), axis=(0, 1, 2))


JUDGES = {
    "network": Judge(lambda patches: patches, judge_by_network),
    "features": Judge(_measured, judge_by_features),
}
