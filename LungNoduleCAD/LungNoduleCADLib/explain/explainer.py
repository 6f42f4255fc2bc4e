"""`Explainer`: the shipped classifier asked why, from a scan and a place in it to maps on the scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..detection.control import RunControl
from ..detection.detector import MODELS
from ..detection.devices import choose_device, with_memory_fallback
from ..errors import InputError
from ..evaluation.feature_maps import FeatureMaps, feature_maps
from ..networks.cards import ModelCard
from ..networks.fusion import channels_last, fuse_batch_norm
from ..networks.weights import load_model
from ..preprocess.lung_mask import segment_lungs
from ..preprocess.prepare import prepare_lung
from ..volume import Volume
from .gradients import GradientSettings, integrated_gradients
from .occlusion import OcclusionSettings, occlusion_map
from .patch import CandidatePatch, as_batch, candidate_patch

STAGES = ("lung mask", "preprocessing", "occlusion", "gradients", "feature maps")
"""The stages of an explanation, in order, as progress reports name them."""

Map = Callable[..., NDArray[np.float32]]


@dataclass(frozen=True)
class ExplainerSettings:
    """What is computed how.

    :param batch: patches at a time in the network.
    """

    occlusion: OcclusionSettings = field(default_factory=OcclusionSettings)
    gradients: GradientSettings = field(default_factory=GradientSettings)
    batch: int = 16


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why the classifier takes a place for a nodule, or not.

    :param logit: of "is a nodule", before calibration; the score rests on this, on what the first network sees in the
        three planes, and on the forest's opinion of the place's appearance.
    :param occlusion: fall of the logit where a place is covered, on the scan's voxels around the place.
    :param gradients: share of the logit, per mm3, on the same voxels.
    :param layers: what each convolution makes of the patch.
    :param warnings: what the reader must know of the run.
    """

    center_lps: tuple[float, float, float]
    logit: float
    occlusion: Volume
    gradients: Volume
    layers: tuple[FeatureMaps, ...]
    patch: CandidatePatch
    card: ModelCard
    settings: dict[str, Any]
    warnings: tuple[str, ...] = ()


class Explainer:
    """A classifier that can be asked why.

    :param network: in evaluation mode; takes (n, 1, s, s, s) to (n, 2) logits. :param card: that belongs to it.
    """

    def __init__(
        self,
        network: nn.Module,
        card: ModelCard,
        device: torch.device | str = "cpu",
        settings: ExplainerSettings | None = None,
    ) -> None:
        self.card, self.settings = card, settings or ExplainerSettings()
        self._device = torch.device(device)
        self._plain = network
        self._network = channels_last(fuse_batch_norm(network)).requires_grad_(False)

    @classmethod
    def load(
        cls, weights: Path | str | None = None, device: str = "auto", settings: ExplainerSettings | None = None
    ) -> Explainer:
        """The classifier of a folder of weights (default: the shipped ones).

        :raises ModelError: when weights or card are missing, corrupt or unknown.
        :raises DeviceError: when the device does not exist.
        """
        chosen = choose_device(device)
        return cls(*load_model(weights or MODELS, "classification"), chosen, settings)

    def explain(
        self,
        volume: Volume,
        center_lps: Sequence[float],
        *,
        lung_mask: Volume | Literal["auto"] | None = "auto",
        control: RunControl | None = None,
    ) -> Explanation:
        """Ask about one place. The scan is prepared as `Detector.detect` prepares it.

        :param volume: CT in HU. :param lung_mask: as the detection had it.
        :param control: progress and cancel.
        :raises Cancelled: when the control's caller asked to stop.
        :raises InputError: when the place lies outside the scan, or there is no lung.
        """
        control, notes = control or RunControl(), list[str]()
        x, y, z = (float(v) for v in center_lps)
        if not volume.contains((x, y, z)):
            raise InputError(f"The place ({x:.1f}, {y:.1f}, {z:.1f}) lies outside the scan; give the scan it is in.")
        patch = self._patch(volume, (x, y, z), lung_mask, control)
        with control.stage("occlusion") as report:
            occlusion = self._map(occlusion_map, patch, self.settings.occlusion, report, notes.append)
        with control.stage("gradients") as report:
            gradients = self._map(integrated_gradients, patch, self.settings.gradients, report, notes.append)
        with control.stage("feature maps"):
            layers = tuple(feature_maps(self._plain, patch.values))
        return Explanation(
            (x, y, z),
            self._logit(patch),
            patch.on_scan(occlusion, volume),
            patch.on_scan(gradients, volume),
            layers,
            patch,
            self.card,
            asdict(self.settings),
            tuple(notes),
        )

    def _patch(
        self,
        volume: Volume,
        center_lps: tuple[float, float, float],
        lung_mask: Volume | Literal["auto"] | None,
        control: RunControl,
    ) -> CandidatePatch:
        with control.stage("lung mask"):
            lung = None
            if lung_mask is not None:
                lung = segment_lungs(volume) if isinstance(lung_mask, str) else lung_mask.voxels.astype(bool)
        with control.stage("preprocessing"):
            prepared = prepare_lung(volume, lung, self.card.preprocessing)
            return candidate_patch(prepared, center_lps, self.card.preprocessing.patch_size or 64)

    def _map(
        self,
        make: Map,
        patch: CandidatePatch,
        settings: OcclusionSettings | GradientSettings,
        report: Callable[[float], None],
        warn: Callable[[str], None],
    ) -> NDArray[np.float32]:
        def run(device: torch.device, batch: int) -> NDArray[np.float32]:
            network, prepared = self._network.to(device), self.card.preprocessing
            return make(network, patch.values, prepared, settings, batch=batch, device=device, progress=report)

        return with_memory_fallback(run, self._device, self.settings.batch, warn, "the explanation")

    def _logit(self, patch: CandidatePatch) -> float:
        with torch.inference_mode():
            return float(self._plain(as_batch(patch.values, "cpu"))[0, 0])
