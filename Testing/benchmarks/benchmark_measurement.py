"""Accuracy and speed of outlines and measurements, as Markdown tables.

    python Testing/benchmarks/benchmark_measurement.py --document docs/measurement.md

Ellipsoids: of 3 to 30 mm in slices of 0.5 to 2.5 mm and pixels of 0.6 to 0.85 mm, half of them spheres, tilted out of
the slice plane by up to 45 degrees (as nodules are in an oblique volume), blurred by 0.45 to 0.7 mm in plane and
averaged over the slice, noise of 25 HU. Phantom: nodules of every type and place in nine simulated chests of 1, 2 and
1.25 mm slices; no constant was chosen on them. Both from spheres of 0.7, 1 or 1.4 times the diameter, up to 2 mm beside
the nodule (no more than a quarter of its diameter and 0.3 mm). Cubes: 83 LIDC nodules, from such spheres (shift at most
1.5 mm); `--proposals` also from the shipped networks' own, which were trained on these patients. Crops: LIDC nodules of
LUNA16 at their scans' own spacing, from such spheres, of the patients for whom the first byte of the MD5 of their id is
odd; what leaves a nodule's body was chosen on the others. Readers' masks are unions, about a tenth too wide.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from measuring import PROJECT, TEST_DATA

sys.path.insert(0, str(PROJECT / "Testing"))
from nodule_scenes import dice, ellipsoid_scan, on_grid

from LungNoduleCADLib.detection.detector import Detector
from LungNoduleCADLib.detection.masks import mask_on_volume
from LungNoduleCADLib.findings import Measurements, VoxelMask
from LungNoduleCADLib.measurement import measure, refine_mask, sphere_mask
from LungNoduleCADLib.measurement.local_box import equivalent_diameter
from LungNoduleCADLib.preprocess.prepare import prepare_lung
from LungNoduleCADLib.simulation import DENSITIES, LOCATIONS, NoduleSpec, make_phantom
from LungNoduleCADLib.volume import Volume

DIAMETERS_MM = (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)
SLICES_MM = (0.5, 1.0, 1.25, 2.0, 2.5)
FACTORS = (0.7, 1.0, 1.4)
PHANTOMS_OF_EACH = 3
BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
T = TypeVar("T", bound=tuple[Any, ...])
READERS = {"ground-glass (1-2)": (0.0, 2.49), "part-solid (3)": (2.5, 3.49), "solid (4-5)": (3.5, 5.0)}


def rough_seed(
    center_lps: tuple[float, float, float], diameter_mm: float, random: np.random.Generator, most_mm: float = 2.0
) -> tuple[tuple[float, float, float], float]:
    """A sphere too small or too large, beside the nodule."""
    shift = random.normal(size=3)
    shift *= random.uniform(0.5, min(most_mm, diameter_mm / 4 + 0.3)) / np.linalg.norm(shift)
    x, y, z = np.add(center_lps, shift)
    return (float(x), float(y), float(z)), diameter_mm * float(random.choice(FACTORS))


def sizes_row(name: str, lengths: list[float], volumes: list[float]) -> str:
    """A table's row of errors in mm and as shares."""
    e, v = np.array(lengths), 100 * np.array(volumes)
    low, high = e.mean() - 1.96 * e.std(), e.mean() + 1.96 * e.std()
    return (
        f"| {name} | {len(e)} | {e.mean():+.2f} | {low:+.2f} to {high:+.2f} | {np.median(v):+.0f} % | "
        f"{np.quantile(abs(v), 0.95):.0f} % | {100 * np.mean(abs(v) <= 10):.0f} % |"
    )


SIZES_HEAD = (
    "| | n | mean diameter: bias, mm | 95 % limits, mm | volume: median error | 95 % below | within 10 % |\n"
    "|---|---|---|---|---|---|---|"
)


def ellipsoids(scans: int) -> Iterator[str]:
    """Errors by diameter and by slice, and the time taken."""
    found: list[tuple[float, float, float, float, float]] = []
    for diameter in DIAMETERS_MM:
        for slice_mm in SLICES_MM:
            for n in range(scans):
                random = np.random.default_rng([n, round(10 * diameter), round(100 * slice_mm)])
                a, b, c = (1.0, 1.0, 1.0) if n % 2 else random.uniform(0.75, 1.35, 3)
                pixel = random.uniform(0.6, 0.85)
                nodule = ellipsoid_scan(
                    diameter,
                    (a, b, c),
                    tilt_degrees=random.uniform(0, 45),
                    spacing=(slice_mm, pixel, pixel),
                    # Ground-glass below 5 mm is not called a nodule's size by any guideline.
                    hu=-600.0 if diameter >= 5 and n % 3 == 2 else 30.0,
                    blur_mm=random.uniform(0.45, 0.7),
                    seed=n,
                )
                seed = rough_seed(nodule.center_lps, diameter, random)
                start = time.process_time()
                result = measure(nodule.volume, refine_mask(nodule.volume, seed))
                seconds = time.process_time() - start
                length = result.mean_diameter_mm - nodule.mean_diameter_mm
                found.append((diameter, slice_mm, length, result.volume_mm3 / nodule.volume_mm3 - 1, seconds))
    yield "### Ellipsoids\n"
    yield SIZES_HEAD
    for column, values, name in ((0, DIAMETERS_MM, "diameter {:g} mm"), (1, SLICES_MM, "slices of {:g} mm")):
        for value in values:
            chosen = [row for row in found if row[column] == value]
            yield sizes_row(name.format(value), [row[2] for row in chosen], [row[3] for row in chosen])
    small, large = ([1000 * row[4] for row in found if (row[0] <= 10) is below] for below in (True, False))
    yield f"\nProcessor time of outline and measurement together, median: {np.median(small):.0f} ms up to 10 mm, "
    yield f"{np.median(large):.0f} ms above."


def phantoms() -> Iterator[str]:
    """Errors by place, and types against truth."""
    rows: list[tuple[str, str, float, float, str, float | None, float | None]] = []
    for number, spacing in enumerate(((1.0, 0.7, 0.7), (2.0, 0.75, 0.75), (1.25, 0.7, 0.7)) * PHANTOMS_OF_EACH):
        random = np.random.default_rng(number)
        specs = [
            NoduleSpec(float(random.uniform(*((9, 20) if density == "part-solid" else (4, 16)))), density, location)
            for density in DENSITIES
            for location in LOCATIONS
        ]
        phantom = make_phantom(100 * number, specs, spacing, size="small")
        lung = phantom.lung_mask.voxels.astype(bool)
        for nodule in phantom.nodules:
            assert nodule.diameter_mm is not None
            seed = rough_seed(nodule.center_lps, nodule.diameter_mm, random)
            result = measure(phantom.volume, refine_mask(phantom.volume, seed, lung_mask=lung))
            core = None if nodule.spec.core_fraction is None else nodule.spec.core_fraction * nodule.spec.diameter_mm
            rows.append(
                (
                    nodule.spec.location,
                    nodule.spec.density,
                    result.diameter_mm - nodule.diameter_mm,
                    result.volume_mm3 / nodule.volume_mm3 - 1,
                    result.density,
                    core,
                    result.solid_diameter_mm,
                )
            )
    yield "\n### Phantom: diameter of the sphere of equal volume\n"
    yield SIZES_HEAD.replace("mean diameter", "diameter")
    for location in LOCATIONS:
        for subsolid in (False, True):
            chosen = [r for r in rows if r[0] == location and (r[1] == "part-solid") is subsolid]
            name = f"{location}, {'part-solid' if subsolid else 'other types'}"
            yield sizes_row(name, [r[2] for r in chosen], [r[3] for r in chosen])
    cores = [r[6] - r[5] for r in rows if r[4] == "part-solid" and r[5] is not None and r[6] is not None]
    if cores:
        yield f"\nSolid part of the {len(cores)} part-solid nodules found as such: error {np.mean(cores):+.1f} mm, "
        yield f"SD {np.std(cores):.1f} mm."
    yield "\n### Phantom: types\n"
    yield from confusion([(r[1], r[4]) for r in rows])


def confusion(pairs: list[tuple[str, str]]) -> Iterator[str]:
    """True type against found type."""
    yield "| | " + " | ".join(DENSITIES) + " |\n|---|" + "---|" * len(DENSITIES)
    for truth in dict.fromkeys(truth for truth, _ in pairs):
        counts = Counter(found for true, found in pairs if true == truth)
        yield f"| {truth} | " + " | ".join(str(counts[density]) for density in DENSITIES) + " |"


def cubes(with_proposals: bool) -> Iterator[str]:
    """Agreement with readers' masks by size and texture, and types against readers'."""
    with np.load(TEST_DATA / "lidc-nodules" / "cubes.npz") as stored:
        scans, masks = stored["hu"], stored["mask"] > 0
    with (TEST_DATA / "lidc-nodules" / "cubes.csv").open(encoding="utf-8") as file:
        textures = [float(row["texture"]) for row in csv.DictReader(file)]
    detector = Detector.load() if with_proposals else None
    results: dict[str, list[tuple[float, float, float, Measurements]]] = {}
    for n, (hu, truth) in enumerate(zip(scans, masks, strict=True)):
        volume = Volume.from_geometry(hu)
        random = np.random.default_rng(n)
        x, y, z = (float(c) for c in volume.index_to_lps(np.argwhere(truth).mean(axis=0)))
        own = equivalent_diameter(float(truth.sum()))
        seeds = {"spheres": [sphere_mask(volume, *rough_seed((x, y, z), own, random, 1.5)) for _ in FACTORS]}
        if detector is not None:
            seeds["proposals"] = best_proposal(detector, volume, truth)
        for name, masks_of_it in seeds.items():
            for seed in masks_of_it:
                outline = refine_mask(volume, seed)
                agreement = dice(on_grid(outline, volume), truth)
                results.setdefault(name, []).append((own, textures[n], agreement, measure(volume, outline)))
    for name, rows in results.items():
        yield f"\n### Cubes from {name}\n"
        yield "| | n | Dice: median | tenth percentile |\n|---|---|---|---|"
        for label, chosen in by_size_and_texture(rows).items():
            scores = [row[2] for row in chosen]
            yield f"| {label} | {len(scores)} | {np.median(scores):.2f} | {np.quantile(scores, 0.1):.2f} |"
        yield "\nReaders' median texture against the type found:\n"
        pairs = [(k, row[3].density) for k, (a, b) in READERS.items() for row in rows if a <= row[1] <= b]
        yield from confusion([(str(label), str(found)) for label, found in pairs])


def crops() -> Iterator[str]:
    """Agreement with readers' masks and with LUNA16's diameters, on patients on which nothing was chosen."""
    with np.load(TEST_DATA / "lidc-nodules" / "crops.npz") as stored:
        hu, masks, offset = stored["hu"], stored["mask"], stored["offset"]
        shapes, spacings = stored["shape_kji"], stored["spacing_kji_mm"]
    with (TEST_DATA / "lidc-nodules" / "crops.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    rows: list[tuple[float, float, float, float]] = []
    for n, row in enumerate(table):
        if hashlib.md5(row["patient"].encode()).digest()[0] % 2 == 0:
            continue
        part = slice(offset[n], offset[n + 1])
        volume = Volume.from_geometry(hu[part].reshape(shapes[n]), spacing_kji_mm=spacings[n])
        truth = masks[part].reshape(shapes[n]) > 0
        random = np.random.default_rng(n)
        x, y, z = (float(c) for c in volume.index_to_lps(np.argwhere(truth).mean(axis=0)))
        own = equivalent_diameter(float(truth.sum()) * volume.voxel_volume_mm3)
        center, diameter = rough_seed((x, y, z), own, random, 1.5)
        outline = refine_mask(volume, (center if volume.contains(center) else (x, y, z), diameter))
        luna = float(row["diameter_mm"])
        error = measure(volume, outline).mean_diameter_mm - luna
        rows.append((luna, float(row["texture"]), dice(on_grid(outline, volume), truth), error))
    yield "\n### Crops from spheres\n"
    yield (
        "| | n | Dice: median | tenth percentile | mean diameter less LUNA16's: bias, mm | median | 95 % limits, mm |\n"
        "|---|---|---|---|---|---|---|"
    )
    for label, chosen in by_size_and_texture(rows).items():
        scores, errors = np.array([row[2] for row in chosen]), np.array([row[3] for row in chosen])
        low, high = errors.mean() - 1.96 * errors.std(), errors.mean() + 1.96 * errors.std()
        yield (
            f"| {label} | {len(chosen)} | {np.median(scores):.2f} | {np.quantile(scores, 0.1):.2f} | "
            f"{errors.mean():+.2f} | {np.median(errors):+.2f} | {low:+.2f} to {high:+.2f} |"
        )


def by_size_and_texture(rows: list[T]) -> dict[str, list[T]]:
    """Rows that begin with a diameter and readers' texture, all together and by each."""
    parts = {"all": rows}
    for low, high in ((0, 10), (10, 15), (15, 20), (20, 60)):
        parts[f"{low} to {high} mm"] = [row for row in rows if low <= row[0] < high]
    for label, (least, most) in READERS.items():
        parts[label] = [row for row in rows if least <= row[1] <= most]
    return parts


def best_proposal(detector: Detector, volume: Volume, truth: np.ndarray) -> list[VoxelMask]:
    """Of the shipped segmentation network's proposals, the one that overlaps the nodule best; none when none does."""
    prepared = prepare_lung(volume, None, detector.cards["segmentation"].preprocessing, detector.device)
    heat = detector._proposer(prepared.image, None, lambda _: None, lambda _: None)
    proposals = [mask_on_volume(p, prepared.grid, volume) for p in detector._grouper(heat, 1.0)]
    scores = [dice(on_grid(mask, volume), truth) for mask in proposals]
    return [proposals[int(np.argmax(scores))]] if scores and max(scores) > 0 else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=6, help="ellipsoids of each diameter and slice (default: 6)")
    parser.add_argument("--proposals", action="store_true", help="also start from the networks' own proposals")
    parser.add_argument("--document", type=Path, help="Markdown file whose tables are replaced")
    arguments = parser.parse_args()
    lines = []
    for part in (ellipsoids(arguments.scans), phantoms(), cubes(arguments.proposals), crops()):
        for line in part:
            print(line, flush=True)
            lines.append(line)
    if arguments.document:
        text = arguments.document.read_text(encoding="utf-8")
        before, after = text[: text.index(BEGIN)], text[text.index(END) :]
        arguments.document.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
