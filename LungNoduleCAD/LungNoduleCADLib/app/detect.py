"""A whole detection without a user interface: image in, folder of results out."""

from __future__ import annotations

import importlib
import importlib.util
import re
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import DeviceError, InputError, ModelError
from ..findings import DetectionResult, ReferenceNodule
from ..volume import Volume

if TYPE_CHECKING:
    from ..detection.control import RunControl
    from ..detection.detector import Detector
    from ..evaluation.matching import MatchResult

DEVICE_NAMES = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")

WRITING_LIBRARIES = ("matplotlib.figure", "matplotlib.backends.backend_agg", "slicer")
"""What writing the results needs and takes a second to import; fetched while the processor waits for other things."""

NO_SCENE = "scene.mrb was not written because the package slicer-core is missing; install `lungnodulecad[scene]`."


@dataclass(frozen=True)
class DetectionTask:
    """What to do, as the command line takes it.

    :param source: DICOM folder or image file. :param output: folder for the results.
    :param lung_mask: "auto" finds the lungs, "none" looks everywhere, else a mask file.
    :param weights: folder of weights and cards; None takes the shipped ones.
    :param batch: slices, and patches, that the networks take at a time; None leaves the choice to the detector.
    """

    source: Path
    output: Path
    device: str = "auto"
    threshold: float | None = None
    reference: Path | None = None
    lung_mask: Path | Literal["auto", "none"] = "auto"
    series_uid: str | None = None
    weights: Path | None = None
    batch: int | None = None

    def check(self) -> None:
        """Refuse what can be refused at once, before anything is imported or read.

        :raises LungNoduleCADError: naming the first choice that cannot be.
        """
        if not DEVICE_NAMES.fullmatch(self.device):
            raise DeviceError(f"Device '{self.device}' is unknown; choose auto, cpu, cuda, cuda:N or mps.")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InputError(f"The threshold {self.threshold:g} is no probability; choose one from 0 to 1.")
        if self.batch is not None and self.batch < 1:
            raise InputError(f"A batch of {self.batch} is impossible; choose 1 or more.")
        _require(self.source, "check the path")
        if self.reference is not None:
            _require(self.reference, "give a LUNA16 CSV, a Slicer .mrk.json, or a mask as the reference")
        if isinstance(self.lung_mask, Path):
            _require(self.lung_mask, "give a mask file, or `none` to look everywhere")
        if self.weights is not None and not self.weights.is_dir():
            raise ModelError(f"The weights folder {self.weights} does not exist; give the folder that holds the cards.")


@dataclass(frozen=True, eq=False)
class DetectionOutcome:
    """What a run gave.

    :param match: against the reference, at the result's threshold; None without one.
    :param files: names of the files in the output folder.
    """

    result: DetectionResult
    volume: Volume
    match: MatchResult | None
    files: tuple[str, ...]


def detect(task: DetectionTask, progress: Callable[[str, float], None]) -> DetectionOutcome:
    """Read, check, detect, and write the result folder, which appears whole or not at all.

    PyTorch and the weights are loaded by a second thread while the lungs are looked for: both take seconds.

    :param progress: called with a stage's name and its fraction; what it raises ends the run.
    :raises LungNoduleCADError: for everything that is the user's to mend; nothing is left behind.
    """
    started = time.perf_counter()
    task.check()
    from ..io import output_folder

    # The output folder comes first: nobody should wait for a run whose result cannot be written.
    with output_folder(task.output) as folder, ThreadPoolExecutor(1, "loading") as pool:
        progress("reading", 0.0)
        volume, warnings = _read(task)
        reading_s = time.perf_counter() - started
        progress("reading", 1.0)
        # Not earlier: imports and the reading of an image both hold Python's lock, the search for lungs hardly does.
        detector = pool.submit(_load_detector, task)
        pool.submit(_import_writing_libraries)
        result, references = _run(task, volume, warnings, detector, progress)
        writing_started = time.perf_counter()
        progress("writing", 0.0)
        timings_s = {
            "reading": round(reading_s, 3),
            **result.timings_s,
            "until writing": round(writing_started - started, 3),
        }
        match = _match(result, references)
        result = replace(result, timings_s=timings_s)
        _write(result, volume, folder, match)
        files = tuple(sorted(path.name for path in folder.iterdir()))
    progress("writing", 1.0)
    return DetectionOutcome(result, volume, match, files)


def _require(path: Path, advice: str) -> None:
    try:
        path.stat()
    except PermissionError as error:
        raise InputError(f"{path} may not be read; check its permissions.") from error
    except OSError as error:
        raise InputError(f"{path} does not exist; {advice}.") from error


def _load_detector(task: DetectionTask) -> Detector:
    from ..detection.detector import Detector, DetectorSettings

    settings = DetectorSettings(device=task.device)
    if task.batch is not None:
        settings = replace(settings, batch_slices=task.batch, batch_patches=task.batch)
    return Detector.load(task.weights, settings)


def _import_writing_libraries() -> None:
    """Import ahead what the results are written with."""
    for name in WRITING_LIBRARIES:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            importlib.import_module(name)


def _read(task: DetectionTask) -> tuple[Volume, list[str]]:
    from ..io import check_quality, read_volume

    volume = read_volume(task.source, series_uid=task.series_uid)
    return volume, [finding.message for finding in check_quality(volume) if finding.severity == "warning"]


def _run(
    task: DetectionTask,
    volume: Volume,
    warnings: list[str],
    detector: Future[Detector],
    progress: Callable[[str, float], None],
) -> tuple[DetectionResult, list[ReferenceNodule] | None]:
    references = None
    if task.reference is not None:
        from ..io import read_reference

        references = read_reference(task.reference, volume)

    from ..detection.control import RunControl

    control = RunControl(progress)
    lungs = _lungs(task.lung_mask, volume, control)
    progress("loading", 0.0)
    ready = detector.result()
    progress("loading", 1.0)
    result = ready.detect(volume, lung_mask=lungs, threshold=task.threshold, control=control, warnings=warnings)
    settings = {
        **result.settings,
        "reference": None if task.reference is None else str(task.reference),
        "lung_mask": str(task.lung_mask),
    }
    return replace(result, settings=settings), references


def _lungs(choice: Path | Literal["auto", "none"], volume: Volume, control: RunControl) -> Volume | None:
    if choice == "none":
        return None
    from ..preprocess.lung_mask import lung_mask_from_labels, segment_lungs

    with control.stage("lung mask"):
        if isinstance(choice, Path):
            from ..io import read_mask

            return volume.with_voxels(lung_mask_from_labels(read_mask(choice, volume).voxels))
        return volume.with_voxels(segment_lungs(volume))


def _match(result: DetectionResult, references: list[ReferenceNodule] | None) -> MatchResult | None:
    if references is None:
        return None
    from ..evaluation.matching import match

    return match(result.candidates, references, result.threshold)


def _write(result: DetectionResult, volume: Volume, folder: Path, match: MatchResult | None) -> None:
    from .outputs import write_outputs

    scene = importlib.util.find_spec("slicer") is not None
    if not scene:
        result = replace(result, warnings=(*result.warnings, NO_SCENE))
    write_outputs(result, volume, folder, match=match, scene=scene)
