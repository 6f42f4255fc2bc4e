"""`Detector`: the parts of the detection strung together, from a CT volume to scored and measured candidates."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .. import __version__
from ..errors import InputError, ModelError
from ..findings import Candidate, DetectionResult, Measurements, VoxelMask
from ..measurement import Lungs, measure, refine_mask
from ..networks.cards import ModelCard
from ..networks.weights import load_model
from ..preprocess.lung_mask import segment_lungs
from ..preprocess.prepare import PreparedLung, prepare_lung
from ..resources import resource_path
from ..volume import Volume
from .control import RunControl
from .devices import choose_device, describe_device, precision
from .group import GroupingSettings, Proposal, group, lies_in_lung
from .malignancy import MalignancyEstimate, estimator_of
from .masks import mask_on_volume
from .network_parts import NetworkProposer, NetworkScorer
from .propose import reach_of

MODELS = resource_path("Models")
"""The shipped weights."""


@dataclass(frozen=True)
class DetectorSettings:
    """How a run spends memory and what it keeps; what the networks need is in their cards.

    :param batch_slices: slices at a time in the segmentation network; `batch_patches` patches in the classifier.
    """

    device: str = "auto"
    batch_slices: int = 4
    batch_patches: int = 8
    grouping: GroupingSettings = field(default_factory=GroupingSettings)


class LungSegmenter(Protocol):
    """Finds the lungs: a bool mask on the volume's grid."""

    def __call__(self, volume: Volume) -> NDArray[np.bool_]: ...


class Proposer(Protocol):
    """Nodule probability of every voxel of a prepared lung."""

    def __call__(
        self,
        image: Tensor,
        inside: NDArray[np.bool_] | None,
        control: Callable[[float], None],
        warn: Callable[[str], None],
    ) -> NDArray[np.float32]: ...


class Grouper(Protocol):
    """Separate proposals of a heat map."""

    def __call__(self, heat: NDArray[np.float32], spacing_mm: float) -> list[Proposal]: ...


class Scorer(Protocol):
    """Calibrated nodule probability and malignancy (n, 2) of proposals."""

    def __call__(
        self,
        image: Tensor,
        proposals: Sequence[Proposal],
        control: Callable[[float], None],
        warn: Callable[[str], None],
    ) -> NDArray[np.float64]: ...


class Measurer(Protocol):
    """The final voxels of a candidate and what they measure."""

    def __call__(self, volume: Volume, mask: VoxelMask, lungs: Lungs | None) -> tuple[VoxelMask, Measurements]: ...


class MalignancyEstimator(Protocol):
    """Probability of malignancy of a measured candidate, from what the scorer says of it."""

    def __call__(
        self, volume: Volume, mask: VoxelMask, measurements: Measurements, network_probability: float
    ) -> MalignancyEstimate: ...


def refine_and_measure(volume: Volume, mask: VoxelMask, lungs: Lungs | None) -> tuple[VoxelMask, Measurements]:
    """The shipped `Measurer`: the network's outline refined on the scan's own voxels, then measured."""
    refined = refine_mask(volume, mask, lung_mask=None if lungs is None else lungs.mask)
    return refined, measure(volume, refined, lungs)


class Detector:
    """Detection as one object whose parts can be exchanged.

    `Detector.load()` gives the shipped one. Other networks, mask or measurement: pass other parts; nothing above this
    object (scene, widget, command line) needs to know.
    """

    def __init__(
        self,
        proposer: Proposer,
        scorer: Scorer,
        *,
        cards: dict[str, ModelCard],
        device: torch.device,
        settings: DetectorSettings | None = None,
        lung_segmenter: LungSegmenter = segment_lungs,
        grouper: Grouper | None = None,
        measurer: Measurer = refine_and_measure,
        malignancy: MalignancyEstimator | None = None,
    ) -> None:
        self.settings = settings or DetectorSettings()
        self.device, self.cards = device, cards
        self._proposer, self._scorer, self._measurer, self._lung_segmenter = proposer, scorer, measurer, lung_segmenter
        card = cards.get("classification")
        self._malignancy = malignancy or estimator_of(None if card is None else card.malignancy)
        self._grouper = grouper or (lambda heat, spacing_mm: group(heat, spacing_mm, self.settings.grouping))
        alike = {replace(card.preprocessing, slices=None, patch_size=None) for card in cards.values()}
        if len(alike) > 1:
            raise ModelError("The networks' cards prepare images differently; use weights that belong together.")

    @classmethod
    def load(cls, weights: Path | str | None = None, settings: DetectorSettings | None = None) -> Detector:
        """The detector of a folder of weights (default: the shipped ones).

        :raises ModelError: when weights or cards are missing, corrupt or unknown.
        :raises DeviceError: when the device of the settings does not exist.
        """
        settings = settings or DetectorSettings()
        device = choose_device(settings.device)
        segmentation, segmentation_card = load_model(weights or MODELS, "segmentation", device)
        classification, classification_card = load_model(weights or MODELS, "classification", device)
        # It weighs a hundred rows of numbers: not worth a device.
        forest = load_model(weights or MODELS, "appearance") if classification_card.calibration.forest_slope else None
        return cls.of_networks(
            (segmentation, segmentation_card), (classification, classification_card), device, settings, forest=forest
        )

    @classmethod
    def of_networks(
        cls,
        segmentation: tuple[nn.Module, ModelCard],
        classification: tuple[nn.Module, ModelCard],
        device: torch.device,
        settings: DetectorSettings | None = None,
        *,
        forest: tuple[nn.Module, ModelCard] | None = None,
        **parts: Any,
    ) -> Detector:
        """A detector of networks in memory with their cards; `parts` replace other parts by name.

        :param forest: for a classifier whose calibration asks for it.
        :raises ModelError: when it is missing then, or grown on other features than this version's.
        """
        settings = settings or DetectorSettings()
        proposer = NetworkProposer(*segmentation, device, settings.batch_slices)
        scorer = NetworkScorer(
            *classification, device, settings.batch_patches, proposer.look_again, None if forest is None else forest[0]
        )
        cards = {"segmentation": segmentation[1], "classification": classification[1]}
        return cls(
            proposer,
            scorer,
            cards=cards if forest is None else {**cards, "appearance": forest[1]},
            device=device,
            settings=settings,
            **parts,
        )

    def detect(
        self,
        volume: Volume,
        *,
        lung_mask: Volume | Literal["auto"] | None = "auto",
        threshold: float | None = None,
        control: RunControl | None = None,
        warnings: Sequence[str] = (),
    ) -> DetectionResult:
        """Find nodule candidates in a chest CT.

        :param volume: CT in HU.
        :param lung_mask: where to look: found by itself, given on the volume's grid, or None for everywhere.
        :param threshold: default threshold of the result; None takes the card's.
        :param control: progress and cancel.
        :param warnings: what is already known to be wrong with the input; carried into the result.
        :raises Cancelled: when the control's caller asked to stop.
        :raises InputError: when there is no lung.
        """
        control = control or RunControl()
        notes = list(warnings)
        lung = self._lungs(volume, lung_mask, control)
        with control.stage("preprocessing"):
            card = self.cards["segmentation"]
            prepared = prepare_lung(volume, lung, card.preprocessing, self.device)
        with control.stage("segmentation") as report:
            spacing = card.preprocessing.spacing_mm
            reach = None if prepared.inside is None else reach_of(prepared.inside, spacing)
            heat = self._proposer(prepared.image, reach, report, notes.append)
        with control.stage("grouping"):
            proposals = [p for p in self._grouper(heat, spacing) if lies_in_lung(p, prepared.inside)]
        with control.stage("classification") as report:
            scores = self._scorer(prepared.image, proposals, report, notes.append)
        with control.stage("measurement") as report:
            candidates = self._candidates(volume, prepared, proposals, scores, lung, report)
        return DetectionResult(
            candidates=candidates,
            threshold=self.cards["classification"].default_threshold if threshold is None else threshold,
            series=self._series(volume),
            settings=self._settings(lung_mask),
            model={task: _model_entry(card) for task, card in self.cards.items()},
            versions=versions(),
            timings_s={name: round(seconds, 3) for name, seconds in control.timings_s.items()},
            warnings=tuple(notes),
            heatmap=prepared.grid.with_voxels(heat),
            lung_mask=None if lung is None else volume.with_voxels(lung),
        )

    def _lungs(
        self, volume: Volume, lung_mask: Volume | Literal["auto"] | None, control: RunControl
    ) -> NDArray[np.bool_] | None:
        with control.stage("lung mask"):
            if lung_mask is None:
                return None
            if isinstance(lung_mask, str):
                return self._lung_segmenter(volume)
            lung = lung_mask.voxels.astype(bool)
        if not lung.any():
            raise InputError("The lung mask is empty; give another one or run with `--lung-mask none`.")
        return lung

    def _candidates(
        self,
        volume: Volume,
        prepared: PreparedLung,
        proposals: Sequence[Proposal],
        scores: NDArray[np.float64],
        lung: NDArray[np.bool_] | None,
        report: Callable[[float], None],
    ) -> tuple[Candidate, ...]:
        candidates: list[Candidate] = []
        lungs = None if lung is None else Lungs.of(volume, lung)
        for done, n in enumerate(np.argsort(-scores[:, 0], kind="stable")):
            report(done / len(proposals))
            mask, measurements = self._measurer(volume, mask_on_volume(proposals[n], prepared.grid, volume), lungs)
            inside = np.argwhere(mask.voxels).mean(axis=0) + mask.start_kji
            x, y, z = (float(v) for v in volume.index_to_lps(inside))
            candidate = Candidate(
                len(candidates) + 1, (x, y, z), float(scores[n, 0]), float(scores[n, 1]), mask, measurements
            )
            if not any(_same_nodule(candidate, better) for better in candidates):
                estimate = self._malignancy(volume, mask, measurements, float(scores[n, 1]))
                candidates.append(
                    replace(candidate, malignancy=estimate.probability, malignancy_by_diameter=estimate.by_diameter)
                )
        return tuple(candidates)

    def _series(self, volume: Volume) -> dict[str, Any]:
        return {
            **{key: value for key, value in volume.metadata.items() if key != "sop_instance_uids"},
            "shape_kji": list(volume.shape),
            "spacing_kji_mm": [round(float(s), 6) for s in volume.spacing_kji_mm],
        }

    def _settings(self, lung_mask: Volume | str | None) -> dict[str, Any]:
        return {
            **asdict(self.settings),
            "device_used": describe_device(self.device),
            "precision": str(precision(self.device)).removeprefix("torch."),
            "lung_mask": "given" if isinstance(lung_mask, Volume) else lung_mask or "none",
        }


def _same_nodule(candidate: Candidate, better: Candidate) -> bool:
    """Whether a candidate is a part of a better-scored one: its centre lies within that one's radius, or most of it in
    its outline. Only the refined outlines tell, because the networks may mark the two ends of a large nodule apart."""
    distance = np.linalg.norm(np.subtract(candidate.center_lps, better.center_lps))
    within = candidate.mask.common(better.mask) > candidate.mask.voxels.sum() / 2
    return bool(within or distance < better.measurements.diameter_mm / 2)


def _model_entry(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "version": card.version,
        "sha256": card.sha256,
        "default_threshold": card.default_threshold,
    }


def versions() -> dict[str, str]:
    """Of this software and of the libraries that decide a result."""
    import SimpleITK

    return {
        "lungnodulecad": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "simpleitk": SimpleITK.Version_VersionString(),
    }
