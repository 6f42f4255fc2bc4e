"""The child process that explains: `PythonSlicer -m LungNoduleCADLib.app.explain_worker JOB.json`.

It reports and ends as `worker` says.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..volume import Volume
from .explanation_job import ExplanationJob, check_weights
from .worker import serve

ADVICE = "choose their folder under Settings"


def explain(job: ExplanationJob, progress: Callable[[str, float], None]) -> None:
    """Read the job's volume, ask the classifier about the finding, and write the explanation's files.

    :raises LungNoduleCADError: for everything that is the user's to mend.
    """
    from ..detection.control import RunControl
    from ..explain.explainer import Explainer
    from ..explain.pictures import Pictured
    from ..io import read_volume
    from ..review.codec import decode_mask
    from .explain import lung_mask_of
    from .explanation_folder import write_explanation

    progress("reading", 0.0)
    request = job.request
    explainer = Explainer.load(request.weights, request.device)
    check_weights(request.model, explainer.card.sha256, ADVICE)
    image = read_volume(job.volume)
    scan = Volume(image.voxels, image.ijk_to_lps, {"source": job.source})
    lung = lung_mask_of(request.settings, scan)
    progress("reading", 1.0)
    explanation = explainer.explain(scan, request.center_lps, lung_mask=lung, control=RunControl(progress))
    progress("writing", 0.0)
    mask = decode_mask(request.mask) if request.mask is not None else None
    finding = Pictured(request.label, request.center_lps, request.color, mask)
    write_explanation(explanation, scan, finding, Path(job.result))
    progress("writing", 1.0)


def main(arguments: Sequence[str]) -> int:
    """Run the job file named on the command line; returns the exit code."""
    return serve(lambda progress: explain(ExplanationJob.read(Path(arguments[0])), progress))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
