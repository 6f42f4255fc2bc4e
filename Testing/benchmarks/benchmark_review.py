"""What a reader waits for when a finding changes in a scene of 500 candidates, and when the threshold moves with a
reference.

    python Testing/benchmarks/benchmark_review.py --candidates 500 --slices 300

Every figure is the time of the whole step: event, stored trail, points, segments. It is measured in a real MRML scene
without views; a running Slicer draws them afterwards. Prints JSON, with the limit and whether it is kept: by processor
time, which on an idle machine is the time on the clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from LungNoduleCADLib.app.result_folder import load_result, save_result
from LungNoduleCADLib.findings import Candidate, DetectionResult, Measurements, ReferenceNodule
from LungNoduleCADLib.measurement import sphere_mask
from LungNoduleCADLib.review import Accept, Redo, Reject, Undo, add_nodule, edit_contour, merge_findings, shown_findings
from LungNoduleCADLib.scene import add_volume_node, open_standalone_scene, release_labelmaps
from LungNoduleCADLib.scene.detections import add_detection, prepare_detection
from LungNoduleCADLib.scene.review import SceneReview
from LungNoduleCADLib.volume import Volume

LIMIT_MS = 50.0
READER = "Benchmark"


def make_scan(slices: int, candidates: int) -> tuple[Volume, DetectionResult]:
    """Noisy lung with balls of 4 to 12 mm, each a candidate."""
    random = np.random.default_rng(0)
    voxels = random.integers(-900, -800, (slices, 400, 400), dtype=np.int16)
    volume = Volume.from_geometry(voxels, spacing_kji_mm=(1.0, 0.7, 0.7))
    found = []
    for n, score in enumerate(np.linspace(0.99, 0.01, candidates), start=1):
        index = random.integers(12, np.array(volume.shape) - 12)
        x, y, z = (float(v) for v in volume.index_to_lps(index))
        diameter = float(random.uniform(4, 12))
        mask = sphere_mask(volume, (x, y, z), diameter)
        voxels[mask.region][mask.voxels] = 30
        size = float(mask.voxels.sum()) * volume.voxel_volume_mm3
        measured = Measurements(diameter, diameter, diameter, size, 30.0, 30.0, 30.0, "solid")
        found.append(Candidate(n, (x, y, z), float(score), 0.3, mask, measured))
    return volume, DetectionResult(tuple(found), 0.5, {"series_uid": ""}, {}, {}, {}, {})


class Times(NamedTuple):
    """Milliseconds on the clock, and of the processor."""

    wall: float
    cpu: float


def milliseconds(step: Callable[[], object]) -> Times:
    wall, cpu = time.perf_counter(), time.thread_time()
    step()
    return Times(1e3 * (time.perf_counter() - wall), 1e3 * (time.thread_time() - cpu))


def measure_steps(review: SceneReview, repeats: int) -> dict[str, list[Times]]:
    """Each step at several findings, far apart in the list."""
    volume = review.volume
    names = list(review.state.findings)[:: max(len(review.state.findings) // repeats, 1)][:repeats]
    times: dict[str, list[Times]] = {}

    def timed(step: str, work: Callable[[], object]) -> None:
        times.setdefault(step, []).append(milliseconds(work))

    for name in names:
        mask = review.state.findings[name].contour.mask
        eroded = mask.voxels.copy()
        eroded[0] = False
        edit = edit_contour(volume, name, type(mask)(mask.start_kji, eroded))
        added = add_nodule(review.review, volume, review.state.findings[name].contour.center_lps)
        timed("accept", lambda name=name: review.record(Accept((name,)), READER))
        timed("reject", lambda name=name: review.record(Reject((name,), "vessel"), READER))
        timed("undo", lambda: review.record(Undo(), READER))
        timed("redo", lambda: review.record(Redo(), READER))
        timed("edit contour", lambda edit=edit: review.record(edit, READER))
        timed("undo edit", lambda: review.record(Undo(), READER))
        timed("add nodule", lambda added=added: review.record(added, READER))
        timed("undo add", lambda: review.record(Undo(), READER))
        timed("show at threshold", lambda: review.show(shown_findings(review.state, 0.3)))
        timed("show at threshold", lambda: review.show(shown_findings(review.state, 0.7)))
    review.record(Accept(tuple(names[:2])), READER)
    merge = merge_findings(review.state, volume, names[:2])
    timed("merge", lambda: review.record(merge, READER))
    timed("undo merge", lambda: review.record(Undo(), READER))
    return times


def run(candidates: int, slices: int, repeats: int) -> dict[str, object]:
    """All figures in milliseconds: the median and the worst of each step."""
    volume, result = make_scan(slices, candidates)
    host = open_standalone_scene()
    volume_node = add_volume_node(host.scene, volume, "CT")
    with TemporaryDirectory() as folder:
        save_result(result, volume, Path(folder))
        loaded, record = load_result(Path(folder))
    nodes = add_detection(host.scene, prepare_detection(loaded, volume, record), volume_node)
    opened = []
    opening = milliseconds(lambda: opened.append(SceneReview(host.scene, nodes)))
    times = measure_steps(opened[0], repeats)
    references = [ReferenceNodule(c.center_lps, 8.0, f"R{c.id}", c.mask) for c in result.candidates[::10]]
    times["compare with 50 masks"] = [milliseconds(lambda: opened[0].compare_with(references))]
    comparison = opened[0].comparison
    times["match at threshold"] = [milliseconds(lambda t=t: comparison.at(t)) for t in np.linspace(0, 1, 21)]
    overlaps = [milliseconds(lambda t=t: comparison.overlap_at(t)) for t in (0.2, 0.5, 0.8)]
    compared = {f"{step}, with reference": t for step, t in measure_steps(opened[0], repeats).items()}
    everything = tuple(f.id for f in opened[0].state.findings.values() if f.status != "merged")
    bulk = {
        "open": [opening],
        "first voxel overlap, which gets its memory": overlaps[:1],
        "further voxel overlaps": overlaps[1:],
        "reject all at once": [milliseconds(lambda: opened[0].record(Reject(everything, "vessel"), READER))],
        "undo that": [milliseconds(lambda: opened[0].record(Undo(), READER))],
    }
    steps = {**times, **compared}
    release_labelmaps(nodes.segmentation)
    return {
        "candidates": candidates,
        "shape_kji": volume.shape,
        "limit_ms": LIMIT_MS,
        "kept": all(t.cpu < LIMIT_MS for repeated in steps.values() for t in repeated),
        "events": len(opened[0].review.events),
        "milliseconds": {step: _summary(t) for step, t in steps.items()},
        "once_or_in_bulk": {step: _summary(t) for step, t in bulk.items()},
    }


def _summary(times: list[Times]) -> dict[str, float]:
    wall, cpu = ([getattr(t, clock) for t in times] for clock in ("wall", "cpu"))
    return {
        "cpu_median": round(statistics.median(cpu), 2),
        "cpu_worst": round(max(cpu), 2),
        "wall_median": round(statistics.median(wall), 2),
        "wall_worst": round(max(wall), 2),
        "of": len(times),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=10, help="findings that each step is done at")
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.candidates, arguments.slices, arguments.repeats), indent=2))


if __name__ == "__main__":
    main()
