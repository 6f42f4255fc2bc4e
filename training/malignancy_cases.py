"""Real nodules with readers' ratings, each found and measured by networks that never saw its patient.

A crop or a cube is given to the detector as if it were a scan: outline, measurements and features come from the very
code that serves users, never from the readers' masks. A nodule that the detector does not find has no estimate in use
either.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from LungNoduleCADLib.detection.detector import Detector
from LungNoduleCADLib.detection.malignancy import MalignancyEstimate, network_logit
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import Candidate, Measurements, NoduleFeatures, VoxelMask
from LungNoduleCADLib.io.atomic import write_json
from LungNoduleCADLib.measurement.features import nodule_features
from LungNoduleCADLib.networks.cards import load_card
from LungNoduleCADLib.volume import Volume

from .checkpoints import averaged_hybrid, averaged_unet
from .splits import FOLDS, fold_of

CUBE_HU = (-1200, 400)
"""The cubes were clipped to these when they were made; the crops are, too."""
CUBE_MIDDLE = (25.0, 25.0, 25.0)


@dataclass(frozen=True, eq=False)
class RatedNodule:
    """A nodule in what is known of its scan.

    :param kind: "crop" or "cube". :param diameter_mm: as the data set's table has it.
    :param rating: malignancy, 1 to 5.
    """

    kind: str
    name: str
    patient: str
    volume: Volume
    center_lps: tuple[float, float, float]
    diameter_mm: float
    rating: float


@dataclass(frozen=True)
class Case:
    """What the detector made of a nodule.

    :param features: None when it was not found. :param network: logit of the classifier's malignancy output.
    """

    kind: str
    name: str
    patient: str
    fold: int
    rating: float
    diameter_mm: float
    measured_mm: float | None = None
    network: float | None = None
    features: NoduleFeatures | None = None


def rated_nodules(folder: Path) -> Iterator[RatedNodule]:
    """Crops, then cubes, that have a rating.

    :param folder: with `crops.npz`, `crops.csv`, `cubes.npz` and `cubes.csv`.
    """
    with np.load(folder / "crops.npz") as file:
        hu, offset, shape = file["hu"], file["offset"], file["shape_kji"]
        spacing, origin = file["spacing_kji_mm"], file["origin_kji_lps_mm"]
    for n, row in enumerate(_rows(folder / "crops.csv")):
        if row["malignancy"]:
            voxels = np.clip(hu[offset[n] : offset[n + 1]].reshape(tuple(shape[n])), *CUBE_HU)
            volume = Volume.from_geometry(voxels, spacing_kji_mm=spacing[n], origin_lps=origin[n][::-1])
            center = (float(row["coordX"]), float(row["coordY"]), float(row["coordZ"]))
            size, rating = float(row["diameter_mm"]), float(row["malignancy"])
            yield RatedNodule("crop", row["nodule"], row["patient"], volume, center, size, rating)
    with np.load(folder / "cubes.npz") as file:
        cubes = file["hu"]
    for n, row in enumerate(_rows(folder / "cubes.csv")):
        if row["malignancy"]:
            volume = Volume.from_geometry(np.clip(cubes[n], *CUBE_HU))
            size, rating = float(row["equivalent_diameter_mm"]), float(row["malignancy"])
            yield RatedNodule("cube", row["nodule"], row["patient"], volume, CUBE_MIDDLE, size, rating)


class FoldMeasurer:
    """The detectors of all folds, each with networks that left the fold's patients out.

    :param runs: folder of `unet-fold<n>` and `hybrid-fold<n>`. :param weights: whose cards the networks are used by.
    """

    def __init__(self, runs: Path, weights: Path) -> None:
        segmentation, classification = (
            load_card(weights / f"{task}.json") for task in ("segmentation", "classification")
        )
        # The forest of all folds knows these patients, and which of a nodule's marks is the best needs no forest.
        classification = replace(classification, calibration=replace(classification.calibration, forest_slope=0.0))
        self._features: dict[int, NoduleFeatures] = {}
        self._detectors = [
            Detector.of_networks(
                (averaged_unet(runs / f"unet-fold{fold}"), segmentation),
                (averaged_hybrid(runs / f"hybrid-fold{fold}"), classification),
                torch.device("cpu"),
                malignancy=self._remember,
            )
            for fold in range(FOLDS)
        ]

    def __call__(self, nodule: RatedNodule) -> Case:
        """The best-scored candidate whose centre lies within the nodule's radius, by LUNA16's rule."""
        fold = fold_of(nodule.patient)
        self._features.clear()
        found = self._detectors[fold].detect(nodule.volume, lung_mask=None).candidates
        case = Case(nodule.kind, nodule.name, nodule.patient, fold, nodule.rating, nodule.diameter_mm)
        hits = [c for c in found if _hits(c, nodule)]
        if not hits:
            return case
        network = network_logit(float(hits[0].malignancy or 0.0))
        features = self._features[id(hits[0].mask)]
        return Case(**{**vars(case), "measured_mm": hits[0].measurements.diameter_mm, "network": network,
                       "features": features})  # fmt: skip

    def _remember(
        self, volume: Volume, mask: VoxelMask, measurements: Measurements, probability: float
    ) -> MalignancyEstimate:
        self._features[id(mask)] = nodule_features(volume, mask, measurements)
        return MalignancyEstimate(probability)


def save_cases(path: Path, cases: list[Case]) -> None:
    """Write cases, to be fitted again without measuring."""
    write_json(path, [asdict(case) for case in cases])


def load_cases(path: Path) -> list[Case]:
    """Undo `save_cases`.

    :raises InputError: when the file is missing, damaged or of another version.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return [Case(**{**e, "features": NoduleFeatures(**e["features"]) if e["features"] else None}) for e in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no measured nodules of this version ({error}); measure them again.") from error


def _hits(candidate: Candidate, nodule: RatedNodule) -> bool:
    distance = float(np.linalg.norm(np.subtract(candidate.center_lps, nodule.center_lps)))
    return distance < nodule.diameter_mm / 2


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the folder that holds it.") from error
