"""`lungnodulecad explain`: why the classifier takes a finding of a result for a nodule."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import DeviceError, InputError, ModelError
from ..findings import Candidate
from ..report.record import Record, read_record
from ..volume import Volume
from .detect import DEVICE_NAMES
from .explanation_folder import FACTS_FILE, write_explanation
from .explanation_job import check_weights
from .result_scan import read_scan

if TYPE_CHECKING:
    from ..explain.explainer import Explanation


@dataclass(frozen=True)
class ExplanationTask:
    """What to explain, as the command line takes it.

    :param result: folder that a detection wrote. :param finding: its label, such as 'N1'.
    :param output: folder for the explanation. :param source: where the scan is now; None takes the place it was read
        from. :param weights: that the detection used; None takes the shipped ones.
    """

    result: Path
    finding: str
    output: Path
    source: Path | None = None
    weights: Path | None = None
    device: str = "auto"

    def check(self) -> None:
        """Refuse what can be refused before anything is read.

        :raises LungNoduleCADError: naming the first choice that cannot be.
        """
        if not DEVICE_NAMES.fullmatch(self.device):
            raise DeviceError(f"Device '{self.device}' is unknown; choose auto, cpu, cuda, cuda:N or mps.")
        if not re.fullmatch(r"[Nn]\d{1,6}", self.finding):
            raise InputError(f"'{self.finding}' is no finding of a detection; give one of its labels, such as N1.")
        if self.weights is not None and not self.weights.is_dir():
            raise ModelError(f"The weights folder {self.weights} does not exist; give the folder that holds the cards.")


@dataclass(frozen=True, eq=False)
class ExplanationOutcome:
    """What was explained.

    :param files: names of the files in the folder.
    """

    candidate: Candidate
    explanation: Explanation
    folder: Path
    files: tuple[str, ...]


def make_explanation(task: ExplanationTask, progress: Callable[[str, float], None]) -> ExplanationOutcome:
    """Read the result and its scan, ask the classifier, and write the folder: whole or not at all.

    :param progress: called with a stage's name and its fraction; what it raises ends the run.
    :raises LungNoduleCADError: for everything that is the user's to mend; nothing is left behind.
    """
    task.check()
    record = read_record(task.result)
    candidate = _candidate(record, task)
    from ..detection.control import RunControl
    from ..explain.explainer import Explainer
    from ..explain.pictures import Pictured
    from ..io import output_folder
    from ..report.colors import score_color

    # The output folder comes first: nobody should wait for a run whose result cannot be written.
    with output_folder(task.output) as folder:
        progress("reading", 0.0)
        explainer = Explainer.load(task.weights, task.device)
        check_weights(record.result.model, explainer.card.sha256, "give their folder with --weights")
        scan = read_scan(record, task.result, task.source)
        lung = lung_mask_of(record.result.settings, scan)
        progress("reading", 1.0)
        explanation = explainer.explain(scan, candidate.center_lps, lung_mask=lung, control=RunControl(progress))
        progress("writing", 0.0)
        mask = candidate.mask if candidate.mask.voxels.size else None
        label = f"N{candidate.id}"
        pictured = Pictured(label, candidate.center_lps, score_color(candidate.score), mask)
        write_explanation(explanation, scan, pictured, folder)
        files = tuple(sorted(path.name for path in folder.iterdir()))
    progress("writing", 1.0)
    return ExplanationOutcome(candidate, explanation, task.output, files)


def describe_explanation(outcome: ExplanationOutcome) -> str:
    """For a person: what the classifier said, and where the files are."""
    candidate, explanation = outcome.candidate, outcome.explanation
    x, y, z = candidate.center_lps
    lines = [
        f"N{candidate.id} at ({x:.1f}, {y:.1f}, {z:.1f}) LPS, score {candidate.score:.3f}: "
        f"the classifier's nodule logit is {explanation.logit:+.2f}.",
        f"Covering a place lowers it by {max(float(explanation.occlusion.voxels.max()), 0.0):.2f} at most; where, see "
        f"{FACTS_FILE} and the pictures.",
        *explanation.warnings,
    ]
    return "\n".join([*lines, f"Written to {outcome.folder}: {', '.join(outcome.files)}"])


def lung_mask_of(settings: dict[str, Any], scan: Volume) -> Volume | Literal["auto"] | None:
    """The lung mask that a detection had, by its settings; the patches' grid hangs on it.

    :raises InputError: when it was given and is no longer to be had.
    """
    told = settings.get("lung_mask", "auto")
    if told in ("auto", "none"):
        return "auto" if told == "auto" else None
    from ..io import read_mask
    from ..preprocess.lung_mask import lung_mask_from_labels

    if not Path(told).is_file():
        raise InputError(f"The lung mask of the detection ({told}) is no longer there; run the detection again.")
    return scan.with_voxels(lung_mask_from_labels(read_mask(told, scan).voxels))


def _candidate(record: Record, task: ExplanationTask) -> Candidate:
    found = [c for c in record.result.candidates if f"N{c.id}" == task.finding.upper()]
    if not found:
        count = len(record.result.candidates)
        known = f"it has N1 to N{count}" if count else "it has none"
        raise InputError(f"The result in {task.result} has no finding {task.finding.upper()}: {known}.")
    return found[0]
