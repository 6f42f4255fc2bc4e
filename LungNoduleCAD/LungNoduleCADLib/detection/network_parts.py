"""The networks as parts of a detector: batches, devices, and what to do when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import ModelError
from ..networks.cards import ModelCard
from ..networks.forest import DecisionForest
from ..networks.fusion import channels_last, fuse_batch_norm
from .appearance import DEFINITION, FEATURES, OPINIONS, appearance, forest_inputs
from .devices import with_memory_fallback
from .group import Proposal
from .propose import heat_map
from .score import classify
from .side_views import side_peaks

CLASSIFIER_DONE, SIDES_DONE = 0.6, 0.85
"""Of the scoring's progress: where the classifier, and where the looks from the side, are done."""


class _NetworkPart:
    """A network ready for inference, with its card, device and batch size."""

    def __init__(self, network: nn.Module, card: ModelCard, device: torch.device, batch: int) -> None:
        self._network = channels_last(fuse_batch_norm(network))
        self._card, self._device, self._batch = card, device, batch


class NetworkProposer(_NetworkPart):
    """The segmentation network as a proposer."""

    def __call__(
        self,
        image: Tensor,
        inside: NDArray[np.bool_] | None,
        control: Callable[[float], None],
        warn: Callable[[str], None],
    ) -> NDArray[np.float32]:
        def run(device: torch.device, batch: int) -> NDArray[np.float32]:
            slices = self._card.preprocessing.slices or 1
            network = self._network.to(device)
            return heat_map(network, image, inside, slices=slices, batch=batch, device=device, progress=control)

        return with_memory_fallback(run, self._device, self._batch, warn, "the segmentation network")

    def look_again(
        self,
        image: Tensor,
        proposals: Sequence[Proposal],
        control: Callable[[float], None],
        warn: Callable[[str], None],
    ) -> NDArray[np.float64]:
        """Peaks (n,) of proposals seen from the side."""

        def run(device: torch.device, batch: int) -> NDArray[np.float64]:
            slices = self._card.preprocessing.slices or 1
            centers = [p.center_kji for p in proposals]
            network = self._network.to(device)
            return side_peaks(network, image, centers, slices=slices, batch=batch, device=device, progress=control)

        return with_memory_fallback(run, self._device, self._batch, warn, "the segmentation network")


class NetworkScorer(_NetworkPart):
    """The classifier as a scorer, calibrated as its card says.

    :param look_again: a proposer's peaks from the side, for a card whose calibration asks for them.
    :param forest: `networks.forest.DecisionForest`, likewise. :raises ModelError: when it is missing or does not fit.
    """

    def __init__(
        self,
        network: nn.Module,
        card: ModelCard,
        device: torch.device,
        batch: int,
        look_again: Callable[..., NDArray[np.float64]] | None = None,
        forest: nn.Module | None = None,
    ) -> None:
        super().__init__(network, card, device, batch)
        self._look_again = look_again
        self._forest = _fitting(forest) if card.calibration.forest_slope else None

    def __call__(
        self,
        image: Tensor,
        proposals: Sequence[Proposal],
        control: Callable[[float], None],
        warn: Callable[[str], None],
    ) -> NDArray[np.float64]:
        centers = [p.center_kji for p in proposals]

        def progress(begin: float, end: float) -> Callable[[float], None]:
            return lambda share: control(begin + (end - begin) * share)

        def run(device: torch.device, batch: int) -> NDArray[np.float32]:
            size, report = self._card.preprocessing.patch_size or 64, progress(0, CLASSIFIER_DONE)
            network = self._network.to(device)
            return classify(network, image, centers, patch_size=size, batch=batch, device=device, progress=report)

        logits = with_memory_fallback(run, self._device, self._batch, warn, "the classifier").astype(np.float64)
        peaks = np.array([p.peak for p in proposals], dtype=np.float64)
        sides, shares = peaks, np.full(len(peaks), 0.5)
        calibration = self._card.calibration
        if calibration.plane_slope and self._look_again is not None:
            sides = self._look_again(image, proposals, progress(CLASSIFIER_DONE, SIDES_DONE), warn)
        if self._forest is not None:
            window_hu = self._card.preprocessing.window_hu
            looks = appearance(image, centers, window_hu, progress(SIDES_DONE, 1))
            shares = self._forest.shares(forest_inputs(peaks, sides, logits[:, 0], looks))
        scores = [
            calibration.probability(float(logit), float(lowest), float(share))
            for logit, lowest, share in zip(logits[:, 0], np.minimum(peaks, sides), shares, strict=True)
        ]
        return np.stack((scores, 1 / (1 + np.exp(-logits[:, 1]))), axis=1)


def _fitting(forest: nn.Module | None) -> DecisionForest:
    if not isinstance(forest, DecisionForest):
        raise ModelError(
            "The classifier's card asks for a forest (appearance.json), which is missing; install the weights again."
        )
    config = forest.config
    if (config.definition, config.inputs) != (DEFINITION, len(OPINIONS) + len(FEATURES)):
        raise ModelError("The forest was grown on other features than this version measures; use weights made for it.")
    return forest
