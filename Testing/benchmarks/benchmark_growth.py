"""How well two studies of one chest are compared: simulated follow-ups, and a real scan against a moved copy of itself.

    python Testing/benchmarks/benchmark_growth.py [--cases 10] [--first 0] [--scan SCAN] [--output FILE]

Each simulated case is another chest scanned twice: shifted by up to 20 mm, rotated by up to 10 degrees, the base of the
lungs moved by up to 10 % of their height by the breath, slices of 1.25 or 2.5 mm, noise of 15 to 40 HU; eleven nodules
that stay, grow, shrink, come and go, and three false marks on vessels in either study. With `--scan` the shipped
detector searches that scan and a copy of it that was moved, breathes otherwise, and has new noise. Prints a line a
case, and the summary as JSON: the table in docs/growth.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING), str(TESTING.parent / "LungNoduleCAD")]

from growth_inputs import (  # noqa: E402
    FollowUp,
    Motion,
    Nodule,
    empty_chest,
    follow_up,
    free_places,
    measured_finding,
)

from LungNoduleCADLib.growth import Study, compare_studies  # noqa: E402
from LungNoduleCADLib.measurement import Lungs  # noqa: E402
from LungNoduleCADLib.preprocess.lung_mask import segment_lungs  # noqa: E402
from LungNoduleCADLib.volume import Volume  # noqa: E402

CHEST_MM = (2.0, 1.2, 1.2)
SIZES = ((5.0, 5.0), (6.0, 6.0), (8.0, 8.0), (12.0, 12.0), (6.0, 7.5), (8.0, 10.0), (10.0, 15.0), (10.0, 8.0),
         (7.0, None), (None, 6.0), (None, 9.0))  # fmt: skip
DENSITIES = ("solid",) * 8 + ("ground-glass", "solid", "solid")
FALSE_MARKS = 3


def case(seed: int) -> dict[str, Any]:
    """One simulated follow-up."""
    rng = np.random.default_rng(seed)
    motion = Motion.drawn(rng, rng.uniform(5, 20), rng.uniform(2, 10), rng.uniform(-0.1, 0.1))
    places = free_places(seed, CHEST_MM, len(SIZES))
    kinds = zip(places, SIZES, DENSITIES, strict=True)
    nodules = [Nodule(place, then, now, density) for place, (then, now), density in kinds]
    slices = [(float(rng.choice([1.25, 2.5])), 1.0, 1.0) for _ in range(2)]
    made = follow_up(
        seed, nodules, motion, base_spacing=CHEST_MM, spacing_then=slices[0], spacing_now=slices[1],
        noise_hu=float(rng.uniform(15, 40)), days=int(rng.integers(90, 400)), lungs_of=segment_lungs,
    )  # fmt: skip
    made = replace(made, current=with_false_marks(made.current, rng), prior=with_false_marks(made.prior, rng))
    started = time.process_time()
    result = {"seed": seed, "breath": round(motion.breath, 3), "slices": [s[0] for s in slices]}
    return {**result, **judged(made), "cpu_s": round(time.process_time() - started, 1)}


def with_false_marks(study: Study, rng: np.random.Generator) -> Study:
    """The study with marks on vessels."""
    volume, lungs = study.volume, study.lungs
    assert lungs is not None
    depth = ndimage.distance_transform_edt(lungs[:, ::2, ::2], sampling=volume.spacing_kji_mm * (1, 2, 2))
    vessel = (volume.voxels[:, ::2, ::2] > -500) & (depth > 6)
    index = rng.permutation(np.argwhere(vessel))[:FALSE_MARKS] * (1, 2, 2)
    parts = Lungs.of(volume, lungs)
    marks = [
        measured_finding(volume, parts, tuple(float(v) for v in volume.index_to_lps(place)), 5.0, f"F{n}")  # type: ignore[arg-type]
        for n, place in enumerate(index)
    ]
    return replace(study, findings=(*study.findings, *marks))


def judged(made: FollowUp) -> dict[str, Any]:
    """The comparison against the truth."""
    compared = compare_studies(made.current, made.prior)
    numbers = [dict(zip(map(id, s.findings), n, strict=False)) for s, n in
               ((made.current, made.current_numbers), (made.prior, made.prior_numbers))]  # fmt: skip
    both = set(made.current_numbers) & set(made.prior_numbers)
    right, wrong, status_right, statuses = 0, 0, 0, 0
    whole, local, changes = [], [], []
    for found in compared.findings:
        now = numbers[0].get(id(found.current), "false") if found.current else None
        then = numbers[1].get(id(found.prior), "false") if found.prior else None
        if now is not None and then is not None:
            if now == then == "false":
                near = made.motion.to_chest(np.array(found.current.center_lps)) - found.prior.center_lps
                wrong += bool(np.linalg.norm(near) > 6)  # else both marked the same vessel
                continue
            right, wrong = right + (now == then), wrong + (now != then)
        if now != "false" and now is not None:
            true = made.motion.to_chest(np.array(found.current.center_lps))
            whole.append(float(np.linalg.norm(compared.alignment.to_prior(found.current.center_lps) - true)))
            local.append(float(np.linalg.norm(np.subtract(found.place_lps, true))))
        if found.change is not None and now == then:
            nodule = made.nodules[now]
            growth = 3 * float(np.log(nodule.now_mm / nodule.then_mm))
            c = found.change
            changes.append(
                {"mm": nodule.then_mm, "true": growth, "measured": float(np.log(c.volume_ratio)), "trend": c.trend,
                 "covered": bool(np.log(c.ratio_low) <= growth <= np.log(c.ratio_high))}
            )  # fmt: skip
        wanted = {"current": "new", "prior": ("resolved", "gone")}
        if (now is None) != (then is None) and "false" not in (now, then):
            statuses += 1
            status_right += found.status in (wanted["prior"] if now is None else (wanted["current"],))
    return {
        "overlap": round(compared.alignment.overlap, 3), "pairs": len(both), "right": right, "wrong": wrong,
        "single": statuses, "single_right": status_right, "whole_mm": whole, "local_mm": local, "changes": changes,
    }  # fmt: skip


def summary(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """The table."""
    changes = [c for case_ in cases for c in case_["changes"]]
    errors = {name: np.concatenate([case_[name] for case_ in cases]) for name in ("whole_mm", "local_mm")}
    by_size = {}
    for size in sorted({c["mm"] for c in changes if c["true"] == 0}):
        own = np.array([c["measured"] for c in changes if c["mm"] == size and c["true"] == 0])
        by_size[size] = {"n": len(own), "mean_log_ratio": float(own.mean()), "sd_log_ratio": float(own.std(ddof=1))}
    moved = [c for c in changes if c["true"] != 0]
    rates = np.array([c["measured"] / c["true"] - 1 for c in moved])
    wanted = ["stable" if c["true"] == 0 else "growing" if c["true"] > 0 else "shrinking" for c in changes]
    return {
        **{name: sum(case_[name] for case_ in cases) for name in ("pairs", "right", "wrong", "single", "single_right")},
        **{
            name: {"mean": float(e.mean()), "p95": float(np.percentile(e, 95)), "max": float(e.max())}
            for name, e in errors.items()
        },
        "unchanged": by_size,
        "growth_rate_error": {"median": float(np.median(rates)), "p90_abs": float(np.percentile(abs(rates), 90))},
        "interval_covers": float(np.mean([c["covered"] for c in changes])),
        "trend_right": [sum(a == c["trend"] for a, c in zip(wanted, changes, strict=True)), len(changes)],
        "trend_of_unchanged": [sum(c["trend"] == "stable" for c in changes if c["true"] == 0),
                               sum(c["true"] == 0 for c in changes)],
        "cpu_s": float(np.mean([case_["cpu_s"] for case_ in cases])),
    }  # fmt: skip


def real(scan: Path) -> dict[str, Any]:
    """The detector's findings in a scan and in a moved copy of it."""
    from LungNoduleCADLib.app.compare import study_finding
    from LungNoduleCADLib.detection.detector import Detector
    from LungNoduleCADLib.io import read_volume
    from LungNoduleCADLib.review import Review

    volume, detector = read_volume(scan), Detector.load()
    middle = tuple(float(v) for v in volume.index_to_lps((np.array(volume.shape) - 1) / 2))
    motion = replace(Motion.drawn(np.random.default_rng(7), 15.0, 8.0, 0.05), middle=middle)
    studies = []
    for image in (moved_copy(volume, motion), volume):
        result = detector.detect(image)
        found = Review.of(result.candidates).state.findings.values()
        findings = tuple(study_finding(f, (f.score or 0) >= result.threshold) for f in found)
        assert result.lung_mask is not None
        studies.append(Study(image, findings, None, result.lung_mask.voxels))
    compared = compare_studies(*studies)
    rows = []
    for found in compared.findings:
        if found.current is None or found.prior is None:
            rows.append({"status": found.status, "note": found.note})
            continue
        true = motion.to_chest(np.array(found.current.center_lps))
        whole = np.linalg.norm(compared.alignment.to_prior(found.current.center_lps) - true)
        away = np.linalg.norm(np.subtract(found.place_lps, true))
        apart = np.linalg.norm(np.subtract(found.prior.center_lps, true))
        ratio = found.change.volume_ratio if found.change else None
        errors = {"whole_mm": float(whole), "local_mm": float(away), "apart_mm": float(apart)}
        rows.append({"status": found.status, **errors, "volume_ratio": ratio, "note": found.note})
    return {"scan": scan.name, "above": [sum(f.counts for f in s.findings) for s in studies],
            "overlap": compared.alignment.overlap, "findings": rows}  # fmt: skip


def moved_copy(volume: Volume, motion: Motion) -> Volume:
    """The scan after a motion, on another grid, with more noise."""
    spacing = (1.25, 0.8, 0.8)
    shape = np.ceil(np.array(volume.shape) * volume.spacing_kji_mm / spacing).astype(int)
    start = volume.index_to_lps((np.array(volume.shape) - 1) / 2) - ((shape - 1) / 2 * np.array(spacing))[::-1]
    grid = Volume.from_geometry(np.zeros(shape, dtype=np.int16), spacing_kji_mm=spacing, origin_lps=start)
    rng, source = np.random.default_rng(1), volume.voxels.astype(np.float32)
    j, i = np.indices(shape[1:])
    for k in range(shape[0]):
        index = volume.lps_to_index(motion.to_chest(grid.index_to_lps(np.stack([np.full(j.shape, k), j, i], axis=-1))))
        plane = ndimage.map_coordinates(source, np.moveaxis(index, -1, 0), order=1, cval=-1000)
        grid.voxels[k] = np.clip(plane + rng.normal(0, 15, plane.shape), -1024, 3071)
    return grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="seed of the first case")
    parser.add_argument("--scan", type=Path, help="a real scan, instead of simulated ones")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    if arguments.scan is not None:
        figures: Any = real(arguments.scan)
    else:
        cases = []
        for seed in range(arguments.first, arguments.first + arguments.cases):
            cases.append(case(seed))
            empty_chest.cache_clear()
            print(json.dumps(cases[-1]), flush=True)
        figures = summary(cases)
    print(json.dumps(figures, indent=2))
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
