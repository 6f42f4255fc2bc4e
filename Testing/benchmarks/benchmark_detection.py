"""What the shipped detector finds and what it costs, on real scans and on the phantom.

    python Testing/benchmarks/benchmark_detection.py phantom --seeds 10
    python Testing/benchmarks/benchmark_detection.py time SCAN [SCAN ...]

`phantom` counts found solid nodules of 6 mm and more, and false positives, at the default threshold. `time` runs the
whole command line in a process of its own, start-up and every output included, and reports wall time, processor time
and peak memory. Both print JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


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
    times = commands.add_parser("time")
    times.add_argument("scans", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "phantom":
        print(json.dumps(phantom(arguments.seeds), indent=2))
    else:
        print(json.dumps([timed(scan) for scan in arguments.scans], indent=2))


if __name__ == "__main__":
    main()
