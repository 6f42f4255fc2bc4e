"""The child process that detects: `PythonSlicer -m LungNoduleCADLib.app.worker JOB.json`.

It says how far it is in JSON lines on standard output: `{"stage", "fraction"}` while it works, and at its end
`{"done": true}` or `{"error": one sentence for the user}`. Everything else that libraries print goes to standard error.
It ends when its standard input closes: an application that crashed leaves no worker, and no GPU memory, behind.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import Cancelled, LungNoduleCADError
from ..volume import Volume
from .jobs import Job
from .result_folder import save_result

if TYPE_CHECKING:
    from ..detection.detector import Detector

USER_ERROR = 2
SHORTEST_INTERVAL_S = 0.1
OVERRIDDEN = "The reader was warned of this before the search, and overrode the warning."

DetectorLoader = Callable[[Job], "Detector"]


class Reporter:
    """Writes reports as JSON lines; between the start and the end of a stage, at most ten a second."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last = stream, 0.0

    def __call__(self, **report: Any) -> None:
        self._stream.write(json.dumps(report) + "\n")
        self._stream.flush()

    def progress(self, stage: str, fraction: float) -> None:
        """A `ProgressCallback`."""
        now = time.monotonic()
        if fraction in (0.0, 1.0) or now - self._last >= SHORTEST_INTERVAL_S:
            self._last = now
            self(stage=stage, fraction=round(fraction, 4))


def load_detector(job: Job) -> Detector:
    """The detector of the job's weights on its device."""
    from ..detection.detector import Detector, DetectorSettings

    return Detector.load(job.request.weights, DetectorSettings(device=job.request.device))


def run(job: Job, progress: Callable[[str, float], None], loader: DetectorLoader = load_detector) -> None:
    """Read the job's volume, check it, detect, and write the result.

    :raises LungNoduleCADError: for everything that is the user's to mend.
    """
    from ..detection.control import RunControl
    from ..io import check_quality, output_folder, read_volume

    progress("reading", 0.0)
    image = read_volume(job.volume)
    volume = Volume(image.voxels, image.ijk_to_lps, {**image.metadata, **job.request.metadata})
    warnings = [finding.message for finding in check_quality(volume) if finding.severity == "warning"]
    if warnings and job.request.warnings_overridden:
        warnings.append(OVERRIDDEN)
    progress("reading", 0.5)
    detector = loader(job)
    result = detector.detect(volume, control=RunControl(progress), warnings=warnings)
    progress("writing", 0.0)
    if job.request.outputs is not None:
        from ..report.results import write_results

        with output_folder(job.request.outputs) as folder:
            write_results(result, volume, folder)
    save_result(result, volume, Path(job.result))
    progress("writing", 1.0)


def main(arguments: Sequence[str]) -> int:
    """Run the job file named on the command line; returns the exit code."""
    return serve(lambda progress: run(Job.read(Path(arguments[0])), progress))


def serve(work: Callable[[Callable[[str, float], None]], None]) -> int:
    """Do a job as a child process that reports to its parent and ends with it; returns the exit code."""
    reporter = Reporter(_take_standard_output())
    signal.signal(signal.SIGTERM, _on_terminate)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(reporter.progress)
    except LungNoduleCADError as error:
        reporter(error=str(error))
        return USER_ERROR
    reporter(done=True)
    return 0


def _take_standard_output() -> TextIO:
    """The real standard output, for reports only; what anybody prints from now on goes to standard error."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return stream


def _on_terminate(number: int, frame: object) -> None:
    raise Cancelled  # unwinds, so that partly written folders are removed


def _end_with_parent() -> None:
    while os.read(0, 1):  # not sys.stdin: a thread that waits in it makes the interpreter abort at its end
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
