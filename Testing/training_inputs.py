"""Made-up data in the layout that training reads: balls in noise."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from training.boxes import NoduleBox, save_boxes
from training.nodules import InsertableNodule, insertable, save_nodules, to_window
from training.sampler import Lung, Sources
from training.splits import BACKGROUND_SCANS, BACKGROUND_SLABS, FOLDS


def nodule(fold: int = 0, diameter: float = 8.0, source: str = "ball", malignancy: float = 5.0) -> InsertableNodule:
    reach = int(diameter)
    axis = np.arange(-reach, reach + 1)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    occupancy = np.clip(diameter / 2 - radius + 0.5, 0, 1)
    made = insertable(np.full(occupancy.shape, 30.0), occupancy, fold=fold, source=source, malignancy=malignancy)
    assert made is not None
    return made


def lung(name: str = BACKGROUND_SCANS[0], seed: int = 0) -> Lung:
    rng = np.random.default_rng(seed)
    image = to_window(rng.normal(-850, 20, (60, 90, 90)))
    inside = np.zeros(image.shape, dtype=bool)
    inside[8:52, 12:78, 12:78] = True
    image[~inside] = to_window(np.array([40.0]))[0]
    places = np.argwhere(inside)[::50].astype(np.int16)
    return Lung(name, image, inside, np.zeros_like(inside), places, places, 1.0, np.eye(4))


def sources() -> Sources:
    balls = [nodule(source=f"ball {n}", diameter=5 + n) for n in range(4)]
    return Sources([lung()], [], [], balls, balls, [nodule(source="decoy")])


def replaceable() -> Sources:
    made = sources()
    made.cubes = [box("cube", "p")]
    made.boxes = [box("crop", "q", shape=(12, 40, 70))]
    return made


def box(name: str, patient: str, shape: tuple[int, int, int] = (51, 51, 51)) -> NoduleBox:
    """A bright 7 mm block at the middle, and a dense place beside it."""
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(n // 2 - 3, n // 2 + 4) for n in shape)] = True
    image = np.where(mask, 200, 25).astype(np.uint8)
    image[5, 10, 10] = 150
    return NoduleBox(name, patient, image, mask, 4.0, 8.0, np.array([[5, 10, 10]], dtype=np.int16))


def write_prepared(folder: Path) -> tuple[Path, Path]:
    """A cache and a data folder in the layout that training reads, with one lung and five cubes a fold."""
    cache, data = folder / "cache", folder / "data"
    cache.mkdir()
    (data / "lidc-nodules").mkdir(parents=True)
    for n, scan in enumerate((*BACKGROUND_SCANS, *BACKGROUND_SLABS)):
        made = lung(scan, seed=n)
        np.savez_compressed(
            cache / f"lung-{scan}.npz", image=made.image, lung=made.lung, ijk_to_lps=np.eye(4), slice_mm=1.0, scan=scan
        )
    balls = [nodule(fold=n % FOLDS, source=f"ball {n}", diameter=4.2 + 0.3 * n) for n in range(20)]
    save_nodules(cache / "crops.npz", balls)
    save_nodules(cache / "simulated.npz", [nodule(fold=-1, source="simulated")])
    save_boxes(cache / "boxes.npz", [box(f"box {n}", f"patient-{n}") for n in range(10)])
    save_nodules(cache / "decoys.npz", [nodule(fold=n, source="decoy") for n in range(FOLDS)])
    columns = "nodule,patient,volume_mm3,equivalent_diameter_mm,malignancy"
    axis = np.arange(51) - 25
    mask = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) <= 25
    with (data / "lidc-nodules" / "cubes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns.split(","))
        for n in range(25):
            writer.writerow([f"n{n}", f"patient-{n}", mask.sum(), 10.0, 5 if n % 2 else 1])
    np.savez_compressed(
        data / "lidc-nodules" / "cubes.npz",
        hu=np.where(mask, 30, -850).astype(np.int16)[None].repeat(25, axis=0),
        mask=mask.astype(np.uint8)[None].repeat(25, axis=0),
    )
    return cache, data
