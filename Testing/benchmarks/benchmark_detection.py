"""What the shipped detector finds and what it costs, on real scans and on the phantom.

    python Testing/benchmarks/benchmark_detection.py phantom --seeds 10
    python Testing/benchmarks/benchmark_detection.py froc --scans 24 --output simulated-froc
    python Testing/benchmarks/benchmark_detection.py time SCAN [SCAN ...]

`phantom` counts found solid nodules of 6 mm and more, and false positives, at the default threshold. `froc` simulates
scans whose nodules have LUNA16's sizes, and evaluates what is marked in them by LUNA16's protocol, overall and by size
and type; its folder is one for `lungnodulecad evaluate report --submission`. `time` runs the whole command line in a
process of its own, start-up and every output included, and reports wall time, processor time and peak memory. All print
JSON.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

UNSEEN_SEED = 9000
"""Far from the seeds that training and tests take."""
POINT = ("seriesuid", "coordX", "coordY", "coordZ")


def phantom(seeds: int) -> dict[str, Any]:
    """Sensitivity on solid nodules of at least 6 mm, and false positives a scan, over seeds."""
    from LungNoduleCADLib.detection.detector import Detector
    from LungNoduleCADLib.evaluation.matching import match
    from LungNoduleCADLib.simulation import make_phantom

    detector = Detector.load()
    scans = []
    for seed in range(seeds):
        made = make_phantom(seed=seed)
        result = detector.detect(made.volume)
        matched = match(result.candidates, made.nodules, result.threshold)
        missed = {id(nodule) for nodule in matched.missed}
        large = [n for n in made.nodules if n.spec.density == "solid" and (n.diameter_mm or 0) >= 6]
        scans.append(
            {
                "seed": seed,
                "nodules": len(made.nodules),
                "found": len(made.nodules) - len(missed),
                "solid_6_mm": len(large),
                "solid_6_mm_found": sum(id(n) not in missed for n in large),
                "missed": [
                    [n.spec.density, n.spec.location, round(n.diameter_mm or 0, 1)]
                    for n in made.nodules
                    if id(n) in missed
                ],
                "false_positives": matched.false_positives,
            }
        )
        print(scans[-1], file=sys.stderr, flush=True)
    return {
        "threshold": detector.cards["classification"].default_threshold,
        "solid_6_mm_sensitivity": sum(s["solid_6_mm_found"] for s in scans) / sum(s["solid_6_mm"] for s in scans),
        "sensitivity": sum(s["found"] for s in scans) / sum(s["nodules"] for s in scans),
        "false_positives_per_scan": sum(s["false_positives"] for s in scans) / seeds,
        "scans": scans,
    }


def simulated_froc(scans: int, first_seed: int, nodules: int, output: Path, bootstrap: int) -> dict[str, Any]:
    """Detect in simulated scans, write the tables of a submission after each, and evaluate them.

    :param nodules: in each scan, of the sizes and types that `draw_nodule_spec` draws.
    """
    from LungNoduleCADLib.app.submission_set import SubmissionFiles, submission_set
    from LungNoduleCADLib.detection.detector import Detector
    from LungNoduleCADLib.evaluation.detection import by_size, by_type
    from LungNoduleCADLib.evaluation.free_response import free_response
    from LungNoduleCADLib.evaluation.record import froc_as_json, stratum_as_json
    from LungNoduleCADLib.simulation import make_phantom

    detector = Detector.load()
    output.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[tuple[Any, ...]]] = {
        "candidates.csv": [(*POINT, "probability", "malignancy")],
        "annotations.csv": [(*POINT, "diameter_mm", "density")],
        "annotations_excluded.csv": [(*POINT, "diameter_mm")],
        "seriesuids.csv": [],
    }
    for seed in range(first_seed, first_seed + scans):
        started = time.perf_counter()
        made = make_phantom(seed, nodules)
        ready = time.perf_counter()
        found = detector.detect(made.volume).candidates
        uid = f"phantom-{seed}"
        tables["candidates.csv"] += [(uid, *c.center_lps, c.score, c.malignancy) for c in found]
        tables["annotations.csv"] += [(uid, *n.center_lps, n.diameter_mm, n.spec.density) for n in made.nodules]
        tables["seriesuids.csv"].append((uid,))
        for name, rows in tables.items():
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows)
            (output / name).write_text(text.getvalue(), encoding="utf-8")
        simulating, detecting = ready - started, time.perf_counter() - ready
        print(f"{uid}: simulated in {simulating:.0f} s, {len(found)} candidates in {detecting:.0f} s", file=sys.stderr)
    paths = {name: output / f"{name}.csv" for name in ("annotations", "candidates")}
    files = SubmissionFiles(
        submission=paths["candidates"], annotations=paths["annotations"], scans=output / "seriesuids.csv",
        excluded=output / "annotations_excluded.csv", origin="simulated",
    )  # fmt: skip
    data = submission_set(files)
    threshold = detector.cards["classification"].default_threshold
    content = froc_as_json(free_response(data.outcomes, bootstrap))
    interval = content.pop("band", {}).get("cpm")
    del content["curve"]
    return {
        **content,
        "cpm_interval": interval,
        "threshold": threshold,
        "by_size": [stratum_as_json(row) for row in by_size(data, threshold)],
        "by_type": [stratum_as_json(row) for row in by_type(data, threshold)],
    }


def timed(scan: Path) -> dict[str, Any]:
    """One run of `lungnodulecad detect` on a scan."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result"
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "LungNoduleCADLib.cli", "detect", str(scan), "--output", str(output)]
        subprocess.run([*command, "--progress", "none"], check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        findings = json.loads((output / "findings.json").read_text())
        above = [c for c in findings["candidates"] if c["above_threshold"]]
        return {
            "scan": scan.name,
            "wall_s": round(wall, 2),
            "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
            "peak_mb": round(after.ru_maxrss / 1024),
            "timings_s": findings["timings_s"],
            "candidates": len(findings["candidates"]),
            "above_threshold": len(above),
            "outputs_mb": round(sum(p.stat().st_size for p in output.iterdir()) / 1e6, 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    phantoms = commands.add_parser("phantom")
    phantoms.add_argument("--seeds", type=int, default=10)
    frocs = commands.add_parser("froc")
    frocs.add_argument("--scans", type=int, default=24)
    frocs.add_argument("--first-seed", type=int, default=UNSEEN_SEED)
    frocs.add_argument("--nodules", type=int, default=6, help="in each scan (default: 6)")
    frocs.add_argument("--bootstrap", type=int, default=1000)
    frocs.add_argument("--output", type=Path, required=True, help="folder for the submission's tables")
    times = commands.add_parser("time")
    times.add_argument("scans", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "phantom":
        print(json.dumps(phantom(arguments.seeds), indent=2))
    elif arguments.command == "froc":
        drawn = arguments.scans, arguments.first_seed, arguments.nodules
        print(json.dumps(simulated_froc(*drawn, arguments.output, arguments.bootstrap), indent=2))
    else:
        print(json.dumps([timed(scan) for scan in arguments.scans], indent=2))


if __name__ == "__main__":
    main()
