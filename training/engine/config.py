"""What a configuration file (TOML) of a training run holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.networks.registry import ARCHITECTURES, build_config
from LungNoduleCADLib.preprocess.settings import Wavelet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NEURON = "linear_neuron"
Task = Literal["segmentation", "classification", "neuron"]
SectionT = TypeVar("SectionT")


@dataclass(frozen=True)
class Optimisation:
    """How the weights move.

    :param batch: samples a step and process; 0 takes as many as free memory holds, at most `most_batch` (B14).
    :param interval: steps between validations, and between checkpoints.
    :param stages: shares of the training data, one a stage of equal length (A16: 25, 50 and 100 %).
    :param clip: largest norm of the gradient; 0 does not clip.
    :param schedule: "cosine" with a warm-up over `warm_up` of the steps, down to `floor` of the rate; "plateau"
        multiplies by `factor` after `plateau` intervals without a lower validation loss, down to `least_rate`;
        "constant".
    :param precision: "auto" is bfloat16 where the hardware is fast at it; else Lightning's names.
    :param average: whether the weights that are validated and published are a moving average of those that train.
    """

    rate: float
    steps: int
    interval: int
    batch: int = 0
    most_batch: int = 64
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    weight_decay: float = 0.0
    clip: float = 5.0
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warm_up: float = 0.05
    floor: float = 0.02
    factor: float = 0.5
    plateau: int = 5
    least_rate: float = 1e-6
    stages: tuple[float, ...] = (1.0,)
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    average: bool = True

    def __post_init__(self) -> None:
        if min(self.steps, self.interval) < 1 or self.steps % self.interval:
            raise ValueError(f"steps ({self.steps}) must be a multiple of interval ({self.interval})")
        if not self.stages or not all(0 < share <= 1 for share in self.stages):
            raise ValueError("stages must be shares above 0, at most 1")

    @property
    def intervals(self) -> int:
        """Intervals of the whole run."""
        return self.steps // self.interval

    def stage(self, interval: int) -> int:
        """The stage that an interval belongs to."""
        return min(interval * len(self.stages) // self.intervals, len(self.stages) - 1)


@dataclass(frozen=True)
class Validation:
    """What decides which weights are kept; without batches the last ones are.

    :param patience: intervals without a better result, in the last stage, after which training stops; 0 never stops.
    """

    batches: int = 0
    patience: int = 0


@dataclass(frozen=True)
class Loss:
    """The classifier's loss: focal (A12) for nodules, times `scale`, plus cross-entropy for malignancy."""

    gamma: float = 2.0
    alpha: float = 0.25
    scale: float = 1.0
    malignancy: float = 0.2


@dataclass(frozen=True)
class Data:
    """How prepared data sets are drawn from; the lungs that the shipped weights train on are all in memory.

    :param augment: whether the documents' augmentation (A8, B5) comes on top of the samplers' scanners and turns.
    :param lungs: scans held in memory at a time; each interval draws others.
    :param insertion: whether real nodules are inserted into lungs; without, all inserted ones are simulated.
    :param simulator: whether there are simulated nodules and lungs; without, all is real. Both are of prepared lungs
        only: a prepared data set holds what it holds.
    :param hard_negatives: whether places where the network was wrong come back, and the classifier gets the U-Net's
        false proposals; without, healthy lung is drawn at random.
    :param wavelet: whether axial slices are enhanced (A5) before the network sees them, here and wherever it is used.
    """

    augment: bool = False
    lungs: int = 16
    insertion: bool = True
    simulator: bool = True
    hard_negatives: bool = True
    wavelet: bool = False

    def __post_init__(self) -> None:
        if not (self.insertion or self.simulator):
            raise ValueError("without insertion and simulator there is no nodule to insert; keep one of them")

    @property
    def unaugmented(self) -> Data:
        """The same without the documents' augmentation."""
        return replace(self, augment=False)

    @property
    def enhancement(self) -> Wavelet | None:
        """What is done to the slices."""
        return Wavelet() if self.wavelet else None


@dataclass(frozen=True)
class Config:
    """A training run.

    :param network: the network's name in model cards, and its settings.
    """

    network: str
    optimisation: Optimisation
    settings: Mapping[str, Any] = field(default_factory=dict)
    validation: Validation = Validation()
    loss: Loss = Loss()
    data: Data = Data()
    seed: int = 0

    @property
    def task(self) -> Task:
        """What the network is for."""
        task = "neuron" if self.network == NEURON else ARCHITECTURES[self.network].task
        assert task != "appearance"
        return task

    @property
    def input_size(self) -> int:
        """Edge of the classifier's input, voxels; slices of the U-Net's."""
        return ARCHITECTURES[self.network].input_size(build_config(self.network, self.settings))

    def with_steps(self, steps: int | None, seed: int | None) -> Config:
        """The same run, longer or shorter, or with another seed.

        :raises InputError: when the steps are no multiple of the interval.
        """
        try:
            optimisation = self.optimisation if steps is None else replace(self.optimisation, steps=steps)
        except ValueError as error:
            raise InputError(f"{steps} steps cannot be trained: {error}.") from error
        return replace(self, optimisation=optimisation, seed=self.seed if seed is None else seed)

    def unstaged(self) -> Config:
        """The same run on all data from the beginning."""
        return replace(self, optimisation=replace(self.optimisation, stages=(1.0,)))

    def as_json(self) -> dict[str, Any]:
        """All settings, as JSON knows them."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content


def read_config(path: Path) -> Config:
    """Read a configuration file.

    :raises InputError: naming the file and the entry that is wrong.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        network = dict(content.pop("network"))
        name = str(network.pop("name"))
        if name != NEURON:
            build_config(name, network)
            if ARCHITECTURES[name].task == "appearance":
                raise ValueError("a forest is grown by training.forest")
        sections = {
            "optimisation": _section(Optimisation, content.pop("optimisation")),
            "validation": _section(Validation, content.pop("validation", {})),
            "loss": _section(Loss, content.pop("loss", {})),
            "data": _section(Data, content.pop("data", {})),
        }
        seed = int(content.pop("seed", 0))
        if content:
            raise ValueError(f"unknown entry '{min(content)}'")
        return Config(name, settings=network, seed=seed, **sections)  # type: ignore[arg-type]
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; training/configs holds the configurations that there are.") from error
    except KeyError as error:
        raise InputError(f"{path} lacks {error}, or names a network that does not exist; mend it.") from error
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is no training configuration ({error}); mend it.") from error


def _section(kind: type[SectionT], values: Mapping[str, Any]) -> SectionT:
    """:raises ValueError: for an entry that does not exist or has an impossible value."""
    hints = get_type_hints(kind)
    if unknown := sorted(set(values) - {one.name for one in fields(kind)}):  # type: ignore[arg-type]
        raise ValueError(f"unknown entry '{unknown[0]}'")
    return kind(**{name: _value(name, value, hints[name]) for name, value in values.items()})


def _value(name: str, value: Any, hint: Any) -> Any:
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"{name} must be one of {', '.join(get_args(hint))}")
        return value
    if get_origin(hint) is tuple:
        return tuple(float(each) for each in value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ValueError(f"{name} must be {hint.__name__}, not {value!r}")
    return value
