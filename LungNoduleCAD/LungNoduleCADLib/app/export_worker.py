"""The child process that makes reports: `PythonSlicer -m LungNoduleCADLib.app.export_worker JOB.json`.

It reports and ends as `worker` says.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from .export_job import ExportJob
from .scene_report import export_scene
from .worker import serve


def main(arguments: Sequence[str]) -> int:
    """Run the job file named on the command line; returns the exit code."""
    path = Path(arguments[0])
    return serve(lambda progress: export_scene(ExportJob.read(path), path.parent, progress))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
