"""Two judges that learn to tell simulated from real nodules, and how well they do it: a small 3D network on the patch,
and boosted trees on plain features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import nn

from LungNoduleCADLib.evaluation.auc import Resampling, roc_auc

from .splits import FOLDS

Patches = NDArray[np.uint8]


@dataclass(frozen=True)
class Judge:
    """One way to tell them apart.

    :param look: what it sees of a patch.
    :param learn: what it saw and the truth of it, what is to be judged, seed: to the probability of each of these being
        simulated.
    """

    look: Callable[[NDArray[np.uint8]], NDArray[Any]]
    learn: Callable[[NDArray[Any], NDArray[np.bool_], NDArray[Any], int], NDArray[np.float64]]


EPOCHS, BATCH, RATE, SHIFT = 12, 32, 3e-3, 2
BOOTSTRAPS = 1000
_NODULE_LEVEL = 100
"""Window level of about -450 HU, which divides a nodule from the lung."""


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
    """Boosted trees on what `features` makes of the patches."""
    trees = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.05, max_leaf_nodes=8, l2_regularization=1.0, random_state=seed
    )
    trees.fit(seen, simulated)
    probability: NDArray[np.float64] = trees.predict_proba(unseen)[:, 1]
    return probability


def out_of_fold(
    judge: Judge, patches: Patches, simulated: NDArray[np.bool_], folds: NDArray[np.integer], seed: int
) -> NDArray[np.float64]:
    """The judge's probability for each patch, by judges that never saw a patch of its patient."""
    seen = np.stack([judge.look(patch) for patch in patches])
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


def features(patch: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What a physicist would measure: densities by distance, steepness of edges, noise in and around, form."""
    x = patch.astype(np.float32)
    seen = x > 0
    axes = np.indices(x.shape) - (np.array(x.shape)[:, None, None, None] - 1) / 2
    distance = np.sqrt((axes**2).sum(axis=0))
    slopes = np.stack([ndimage.correlate1d(x, [-0.5, 0, 0.5], axis) for axis in range(3)])
    gradient = np.sqrt((slopes**2).sum(axis=0))
    fine = x - ndimage.gaussian_filter(x, 1.0)
    found: list[float] = []
    for low, high in ((0, 2), (2, 4), (4, 6), (6, 9), (9, 12)):
        shell = (distance >= low) & (distance < high) & seen
        found += [*_summary(x[shell]), float(fine[shell].std()) if shell.any() else 0.0]
        found += [float(np.percentile(gradient[shell], p)) if shell.any() else 0.0 for p in (50, 90)]
    nodule = _nodule(x)
    border = nodule ^ ndimage.binary_erosion(nodule)
    inside = ndimage.binary_erosion(nodule)
    places = np.argwhere(nodule).astype(np.float64)
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(places.T)))[::-1] if len(places) > 8 else np.zeros(3)
    found += [float(nodule.sum()), float(border.sum() / max(nodule.sum(), 1) ** (2 / 3)), *spread]
    found += [*_summary(x[inside]), float(fine[inside].std()) if inside.any() else 0.0]
    found += _summary(gradient[border])
    found += [float(np.abs(slope[border]).mean()) if border.any() else 0.0 for slope in slopes]
    lung = seen & (x < 50) & (distance > 4)
    found += [float(fine[lung].std()) if lung.any() else 0.0, float(np.median(x[lung])) if lung.any() else 0.0]
    return np.array(found)


def _summary(values: NDArray[np.float32]) -> list[float]:
    if not values.size:
        return [0.0] * 5
    return [float(values.mean()), float(values.std()), *np.percentile(values, [10, 50, 90]).tolist()]


def _nodule(x: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The dense part that the middle belongs to, within 12 mm."""
    middle = np.array(x.shape) // 2
    core = x[tuple(slice(m - 2, m + 2) for m in middle)]
    dense = x > min(_NODULE_LEVEL, 0.6 * float(core.max()))
    labels, _ = ndimage.label(dense)
    present = labels[tuple(slice(m - 2, m + 2) for m in middle)]
    label = np.bincount(present[present > 0]).argmax() if (present > 0).any() else -1
    axes = np.ogrid[tuple(slice(0, n) for n in x.shape)]
    near = sum((a - m) ** 2 for a, m in zip(axes, middle, strict=True)) < 12**2
    part: NDArray[np.bool_] = (labels == label) & near
    return part


def _network() -> nn.Module:
    layers: list[nn.Module] = []
    channels = 2
    for width, stride in ((8, 2), (16, 1), (32, 1)):
        layers += [nn.Conv3d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm3d(width), nn.ReLU()]
        layers += [nn.MaxPool3d(2)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels, 1))


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


JUDGES = {"network": Judge(lambda patch: patch, judge_by_network), "features": Judge(features, judge_by_features)}
