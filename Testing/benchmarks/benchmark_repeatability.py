"""How well volumes repeat between two scans: real ones against moved copies of themselves, nodules of known growth.

    python Testing/benchmarks/benchmark_repeatability.py [SCAN ...] [--detector] [--output FILE]

Each real scan is compared with copies of it: moved, breathing otherwise, on another grid, with other slices and more
noise. Nodules of known shape are put into both, beside vessels and pleura too, of which some have grown; their outlines
are the program's, from a rough ball somewhat beside the true place. With `--detector` the shipped detector searches the
scan and two copies: one in which nothing has grown, and one in which the lung around each of its findings is magnified
so that the finding has twice the volume. Prints a line a copy, and the summary as JSON: tables in docs/growth.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING), str(TESTING.parent / "LungNoduleCAD")]

from growth_inputs import Motion, Nodule, measured_finding  # noqa: E402

from LungNoduleCADLib.growth import GrowthFinding, Study, compare_studies, followed  # noqa: E402
from LungNoduleCADLib.growth.local import refined_place  # noqa: E402
from LungNoduleCADLib.growth.registration import Alignment  # noqa: E402
from LungNoduleCADLib.growth.sampling import sampled  # noqa: E402
from LungNoduleCADLib.io import read_volume  # noqa: E402
from LungNoduleCADLib.measurement import Lungs  # noqa: E402
from LungNoduleCADLib.preprocess.lung_mask import segment_lungs  # noqa: E402
from LungNoduleCADLib.simulation import NoduleSpec  # noqa: E402
from LungNoduleCADLib.simulation.nodule import insert_nodule, render_nodule  # noqa: E402
from LungNoduleCADLib.volume import Volume  # noqa: E402

DATA = TESTING.parents[1] / "shared" / "data" / "ct"
SCANS = ("R01-001", "LIDC-IDRI-0314", "MSB-01068")
COPIES = ((1.0, 10.0), (1.25, 20.0), (2.5, 20.0))
"""Slices in mm and noise added in HU."""
SIZES_MM = (4.5, 6.0, 8.0, 12.0, 18.0)
GROWTH = (0.0, 0.0, 0.0, 0.25, 0.5, 1.0)
TYPES = ("solid", "solid", "solid", "ground-glass", "part-solid")
PLACES = ("free", "vessel", "pleura")
COUNT, GAP_MM = 30, 24.0
DAYS = 180
BLUR_MM, CUBE_MM = 0.5, 36.0


@dataclass(frozen=True)
class Magnified(Motion):
    """A motion that also magnifies the chest around some places: (LPS, radius in mm) and a factor of length."""

    centers: tuple[tuple[tuple[float, float, float], float], ...] = ()
    factor: float = 1.0

    def to_chest(self, points_lps: np.ndarray) -> np.ndarray:
        points = super().to_chest(points_lps)
        for center, radius in self.centers:
            full, end = radius * self.factor + 1, 2.5 * (radius * self.factor + 1)
            away = points - center
            distance = np.linalg.norm(away, axis=-1)
            near = distance < end
            if near.any():
                d = distance[near]
                source = np.interp(d, [0, full, end], [0, full / self.factor, end])
                points[near] = np.asarray(center) + away[near] * (source / np.maximum(d, 1e-6))[:, None]
        return points


def rescanned(source: Volume, motion: Motion, slice_mm: float, noise_hu: float, seed: int) -> tuple[Volume, Volume]:
    """The scan after a motion, before its slices are averaged and before noise; and the grid that it gets."""
    pixel = 0.75
    fine_mm = slice_mm / max(1, round(slice_mm / 1.25))
    low, high = volume_box(source)
    count = np.floor((high - low) / (pixel, pixel, slice_mm)).astype(int)[::-1]
    parts = round(slice_mm / fine_mm)
    shape = (int(count[0]) * parts, int(count[1]), int(count[2]))
    corner = (low + high) / 2 - (np.array(shape) - 1)[::-1] / 2 * (pixel, pixel, fine_mm) + (0.31, -0.23, 0.37)
    grid = Volume.from_geometry(
        np.zeros(shape, dtype=np.float32), spacing_kji_mm=(fine_mm, pixel, pixel), origin_lps=corner
    )
    voxels, (j, i) = source.voxels.astype(np.float32), np.indices(shape[1:])
    for k in range(shape[0]):
        index = source.lps_to_index(motion.to_chest(grid.index_to_lps(np.stack([np.full(j.shape, k), j, i], axis=-1))))
        ndimage.map_coordinates(voxels, np.moveaxis(index, -1, 0), output=grid.voxels[k], order=1, cval=-1000)
    start = np.add(corner, (0, 0, (parts - 1) / 2 * fine_mm))
    coarse = Volume.from_geometry(
        np.zeros(tuple(int(n) for n in count), dtype=np.int16), spacing_kji_mm=(slice_mm, pixel, pixel),
        origin_lps=start,
    )  # fmt: skip
    return grid, coarse


def volume_box(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest coordinates of its voxels, LPS."""
    ends = volume.index_to_lps(np.array([(0, 0, 0), np.array(volume.shape) - 1]))
    return ends.min(axis=0), ends.max(axis=0)


def finished(grid: Volume, coarse: Volume, noise_hu: float, seed: int) -> Volume:
    """Slices averaged, noise added."""
    parts = grid.shape[0] // coarse.shape[0]
    thick = grid.voxels.reshape(coarse.shape[0], parts, *grid.shape[1:]).mean(axis=1)
    noise = np.random.default_rng(seed).standard_normal(thick.shape, dtype=np.float32)
    thick += ndimage.gaussian_filter(noise, [0, 0.7, 0.7]) * 2.4 * noise_hu
    return coarse.with_voxels(np.clip(np.rint(thick), -1024, 3071).astype(np.int16))


def put(grid: Volume, nodule: Nodule, number: int, now: bool, motion: Motion) -> None:
    """Draw a nodule, with a scanner's blur, into a grid of floating-point densities."""
    rng, fine = np.random.default_rng(number), grid.spacing_kji_mm
    center = grid.lps_to_index(motion.to_scan(nodule.center_lps))
    whole = np.rint(center).astype(int)
    size = (nodule.now_mm if now else nodule.then_mm) or 0.0
    shape = "lobulated" if number % 2 else "ellipsoid"
    spec = NoduleSpec(size, density=nodule.density, edge_mm=1.0, shape=shape, elongation=1.2)  # type: ignore[arg-type]
    alpha, hu = render_nodule(spec, rng, fine, (center - whole) * fine, supersampling=2)
    insert_nodule(grid.voxels, whole, ndimage.gaussian_filter(alpha, [0, *(BLUR_MM / fine[1:])]), hu)


def drawn_nodules(volume: Volume, lungs: np.ndarray, seed: int) -> list[tuple[Nodule, str]]:
    """Nodules with their fates, in free lung, beside vessels and at the pleura."""
    rng = np.random.default_rng(seed)
    steps = (1, 2, 2) if volume.spacing_kji_mm[0] > 1.5 else (2, 2, 2)
    every = tuple(slice(None, None, n) for n in steps)
    lungs, smooth, spacing = lungs[every], volume.voxels[every].astype(np.float32), volume.spacing_kji_mm * steps
    smooth = ndimage.uniform_filter(smooth, (1, 3, 3))
    depth = ndimage.distance_transform_edt(lungs, sampling=spacing)
    vessel = lungs & (smooth > -500) & (depth > 4)
    to_vessel = ndimage.distance_transform_edt(~vessel, sampling=spacing)
    candidates = rng.permutation(np.argwhere(lungs & (smooth < -750)))[:200_000]
    made: list[tuple[Nodule, str]] = []
    low, high = volume_box(volume)
    sizes = [SIZES_MM[n % len(SIZES_MM)] for n in range(COUNT)]
    fates = rng.permutation([GROWTH[n % len(GROWTH)] for n in range(COUNT)])
    types = rng.permutation([TYPES[n % len(TYPES)] for n in range(COUNT)])
    for n, size in enumerate(sizes):
        kind, radius = PLACES[n % len(PLACES)], size / 2
        for index in candidates:
            at = tuple(index)
            fits = {"free": depth[at] > radius + 4 and to_vessel[at] > radius + 1.5,
                    "vessel": depth[at] > radius + 4 and 0.6 * radius < to_vessel[at] < radius,
                    "pleura": 0.5 * radius < depth[at] < 0.9 * radius}[kind]  # fmt: skip
            if not fits:
                continue
            point = volume.index_to_lps(index * np.array(steps))
            away = all(np.linalg.norm(point - other.center_lps) > GAP_MM for other, _ in made)
            if away and (point > low + 15).all() and (point < high - 15).all():
                x, y, z = (float(v) for v in point)
                density = "solid" if size < 6 else str(types[n])
                made.append((Nodule((x, y, z), size, size * (1 + float(fates[n])) ** (1 / 3), density), kind))
                break
    return made


def inserted(scan: Path, seed: int, copies: int) -> list[dict[str, Any]]:
    """Known nodules in a scan and in copies of it; each in a cube of its own, with the whole scan's lungs."""
    source = read_volume(scan)
    lungs = segment_lungs(source)
    made = drawn_nodules(source, lungs, seed)
    rows = []
    for number, (slice_mm, noise_hu) in enumerate(COPIES[:copies]):
        slice_mm = max(slice_mm, float(source.spacing_kji_mm[0]))
        motion, own, started = moved(source, seed + number), [], time.process_time()
        for place, (nodule, kind) in enumerate(made):
            drawn = np.random.default_rng((seed, number, place))
            then = cube_study(source, lungs, nodule, place, False, Motion(), source.spacing_kji_mm[0], 0.0, drawn)
            now = cube_study(source, lungs, nodule, place, True, motion, slice_mm, noise_hu, drawn)
            row = {"scan": scan.name, "slices": [float(source.spacing_kji_mm[0]), slice_mm], "mm": nodule.then_mm,
                   "density": nodule.density, "place": kind, "true": 3 * float(np.log(nodule.now_mm / nodule.then_mm)),
                   "label": "N"}  # fmt: skip
            own.append({**row, **said(followed_in(now, then, nodule, motion, drawn), "N")})
        rows += own
        tell(scan.name, slice_mm, own, time.process_time() - started)
    return rows


def cube_study(
    source: Volume, lungs: np.ndarray, nodule: Nodule, number: int, now: bool, motion: Motion, slice_mm: float,
    noise_hu: float, rng: np.random.Generator,
) -> Study:  # fmt: skip
    """One nodule, found from a rough ball, in the part of a scan around it."""
    center = np.asarray(motion.to_scan(nodule.center_lps))
    start = center - CUBE_MM + rng.uniform(-0.5, 0.5, 3) * (0.75, 0.75, slice_mm)
    parts = max(1, round(slice_mm / 1.25))
    count = [int(2 * CUBE_MM / s) for s in (slice_mm, 0.75, 0.75)]
    fine = Volume.from_geometry(
        np.zeros((count[0] * parts, *count[1:]), dtype=np.float32), spacing_kji_mm=(slice_mm / parts, 0.75, 0.75),
        origin_lps=start,
    )  # fmt: skip
    points = motion.to_chest(fine.index_to_lps(np.moveaxis(np.indices(fine.shape), 0, -1)))
    fine.voxels[:] = sampled(source, points, order=1)
    inside = sampled(source.with_voxels(lungs), points[parts // 2 :: parts], order=0) > 0
    put(fine, nodule, number, now, motion)
    coarse = Volume.from_geometry(
        np.zeros(tuple(count), dtype=np.int16), spacing_kji_mm=(slice_mm, 0.75, 0.75),
        origin_lps=np.add(start, (0, 0, (parts - 1) / 2 * slice_mm / parts)),
    )  # fmt: skip
    volume = finished(fine, coarse, noise_hu, int(rng.integers(1 << 30)))
    size = (nodule.now_mm if now else nodule.then_mm) or 0.0
    x, y, z = (float(v) for v in center + rng.standard_normal(3) * 0.12 * size)
    finding = measured_finding(volume, Lungs.of(volume, inside), (x, y, z), size * float(rng.uniform(0.7, 1.2)), "N")
    return Study(volume, (finding,), date(2025, 1, 1) + timedelta(days=DAYS * now), inside)


def followed_in(now: Study, then: Study, nodule: Nodule, motion: Motion, rng: np.random.Generator) -> GrowthFinding:
    """The nodule in both, with what an alignment of the whole lungs leaves: the right stretch, 2 mm off."""
    here = np.asarray(motion.to_scan(nodule.center_lps))
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([motion.to_chest(here + d) - motion.to_chest(here - d) for d in np.eye(3)], axis=-1) / 2
    error = rng.standard_normal(3)
    matrix[:3, 3] = nodule.center_lps - matrix[:3, :3] @ here + 2 * error / np.linalg.norm(error)
    alignment = Alignment(matrix, 1.0, 1.0)
    assert now.lungs is not None
    fit = refined_place(now.volume, now.lungs, then.volume, alignment, now.findings[0].center_lps)
    return followed(now, now.findings[0], then, then.findings[0], alignment, fit, DAYS)


def moved(source: Volume, seed: int) -> Motion:
    rng = np.random.default_rng(seed)
    motion = Motion.drawn(rng, 15.0, 6.0, float(rng.uniform(-0.06, 0.06)))
    middle = tuple(float(v) for v in source.index_to_lps((np.array(source.shape) - 1) / 2))
    return replace(motion, middle=middle)


def said(found: GrowthFinding | None, label: str) -> dict[str, Any]:
    """What the comparison says of a pair."""
    if found is None or found.prior is None or found.current is None or found.change is None:
        return {"status": "lost"}
    c = found.change
    return {
        "status": found.status, "right": found.prior.label == label, "measured": float(np.log(c.volume_ratio)),
        "low": float(np.log(c.ratio_low)), "high": float(np.log(c.ratio_high)),
        "apart": float(np.log(found.current.measured.volume_mm3 / found.prior.measured.volume_mm3)),
        "types": [found.prior.facts.density, found.current.facts.density],
        "diameter": [found.prior.measured.diameter_mm, found.current.measured.diameter_mm],
        "mean_mm": [found.prior.facts.mean_diameter_mm, found.current.facts.mean_diameter_mm],
        "alike": None if getattr(found, "alike", None) is None else vars(found.alike), "lung_rads": c.lung_rads_growth,
        "center": list(found.current.center_lps),
    }  # fmt: skip


def detected(scan: Path, seed: int, copies: int) -> list[dict[str, Any]]:
    """The detector's findings in a scan, in a copy of it, and in one in which all of them are twice as large."""
    from LungNoduleCADLib.app.compare import study_finding
    from LungNoduleCADLib.detection.detector import Detector
    from LungNoduleCADLib.review import Review

    source, detector = read_volume(scan), Detector.load()

    def searched(volume: Volume, day: int) -> Study:
        result = detector.detect(volume)
        found = Review.of(result.candidates).state.findings.values()
        findings = tuple(study_finding(f, (f.score or 0) >= result.threshold) for f in found)
        assert result.lung_mask is not None
        return Study(volume, findings, date(2025, 1, 1) + timedelta(days=day), result.lung_mask.voxels)

    then, rows = searched(source, 0), []
    wanted = [f for f in then.findings if f.counts]
    for number, (slice_mm, noise_hu) in enumerate(COPIES[:copies]):
        for growth in (0.0, 1.0):
            motion = moved(source, seed + number)
            centers = tuple((f.center_lps, f.measured.long_axis_mm / 2) for f in wanted) if growth else ()
            motion = Magnified(**vars(motion), centers=centers, factor=(1 + growth) ** (1 / 3))
            slice_mm = max(slice_mm, float(source.spacing_kji_mm[0]))
            grid, coarse = rescanned(source, motion, slice_mm, noise_hu, seed)
            compared = compare_studies(searched(finished(grid, coarse, noise_hu, seed + number), DAYS), then)
            own = []
            for f in wanted:
                found = next((x for x in compared.findings if x.prior is f and x.current is not None), None)
                row = {"scan": scan.name, "slices": [float(source.spacing_kji_mm[0]), slice_mm], "label": f.label,
                       "mm": f.measured.diameter_mm, "density": f.facts.density, "place": "real",
                       "true": float(np.log1p(growth))}  # fmt: skip
                own.append({**row, **said(found, f.label)})
            rows += own
            tell(scan.name, slice_mm, own, 0.0)
    return rows


def tell(scan: str, slice_mm: float, rows: list[dict[str, Any]], cpu_s: float) -> None:
    print(json.dumps({"scan": scan, "slice_mm": slice_mm, "cpu_s": round(cpu_s, 1), **summary(rows)}), flush=True)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of what was said of unchanged and of grown nodules, by growth; and how volumes repeat."""
    pairs = [r for r in rows if r["status"] != "lost"]
    still = [r for r in pairs if r["true"] == 0]
    figures: dict[str, Any] = {
        "nodules": len(rows), "paired": len(pairs), "wrong": sum(not r["right"] for r in pairs),
        "unchanged": len(still), "false": sum(r["status"] != "stable" for r in still),
        "false_growing": sum(r["status"] == "growing" for r in still),
    }  # fmt: skip
    for growth in sorted({round(float(np.expm1(r["true"])), 2) for r in pairs} - {0.0}):
        own = [r for r in pairs if abs(np.expm1(r["true"]) - growth) < 0.01]
        figures[f"grown {growth:.0%}"] = [sum(r["status"] == "growing" for r in own), len(own)]
    figures["covered"] = [sum(r["low"] <= r["true"] <= r["high"] for r in pairs), len(pairs)]
    for name in ("measured", "apart"):
        errors = np.array([r[name] - r["true"] for r in pairs])
        if len(errors):
            figures[f"error_{name}"] = {"mean": round(float(errors.mean()), 3), "sd": round(float(errors.std()), 3),
                                        "p95": round(float(np.percentile(abs(errors), 95)), 3)}  # fmt: skip
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="*", type=Path, default=[DATA / name for name in SCANS])
    parser.add_argument("--detector", action="store_true", help="the detector's findings, instead of known nodules")
    parser.add_argument("--copies", type=int, default=len(COPIES), help="how many of each scan")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="JSON file for every pair and the figures")
    arguments = parser.parse_args()
    judge = detected if arguments.detector else inserted
    rows = [row for scan in arguments.scans for row in judge(scan, arguments.seed, arguments.copies)]
    figures = {"all": summary(rows)}
    for key, edges in (("below 6 mm", (0, 6)), ("6 to 10 mm", (6, 10)), ("10 mm and more", (10, 1e3))):
        figures[key] = summary([r for r in rows if edges[0] <= r["mm"] < edges[1]])
    for name in ("free", "vessel", "pleura", "solid", "ground-glass", "part-solid"):
        figures[name] = summary([r for r in rows if name in (r["place"], r["density"])])
    print(json.dumps(figures, indent=2))
    if arguments.output is not None:
        arguments.output.write_text(json.dumps({"figures": figures, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
