"""Real nodules in boxes of their own surroundings, at 1 mm: what no insertion can imitate."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .nodules import SOLID_MASK_LEVEL, equivalent_diameter, to_window

DENSE_LEVEL, AERATED_LEVEL, AWAY_MM = 90, 70, 8.0
"""Window levels of about -500 and -600 HU, and how far from a nodule its surroundings are surely something else."""
OTHER_FINDING_MM = 7.0
"""Around what LIDC's readers marked elsewhere in a box: neither a nodule of ours nor surely healthy."""
SHORTEST_CROP_MM = 5.0


@dataclass(frozen=True, eq=False)
class NoduleBox:
    """A real nodule with its surroundings at 1 mm.

    :param image: uint8 (k, j, i), the lung window scaled to 0-255.
    :param mask: bool (k, j, i), the nodule.
    :param background: (n, 3) voxels of vessels and walls in its lung, away from the nodule.
    :param malignancy: readers' rating, 1 to 5, or NaN.
    """

    name: str
    patient: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    malignancy: float
    diameter_mm: float
    background: NDArray[np.int16]


def load_cubes(folder: Path) -> list[NoduleBox]:
    """The 51 mm cubes of `cubes.npz` and `cubes.csv`."""
    data = np.load(folder / "cubes.npz")
    hu, masks = data["hu"], data["mask"]  # each is decompressed at every access
    with (folder / "cubes.csv").open() as file:
        rows = list(csv.DictReader(file))
    cubes = []
    for n, row in enumerate(rows):
        image, mask = to_window(hu[n].astype(np.float32)), masks[n] > 0
        rating, diameter = float(row["malignancy"] or "nan"), float(row["equivalent_diameter_mm"])
        places = background_places(image, mask)
        cubes.append(NoduleBox(row["nodule"], row["patient"], image, mask, rating, diameter, places))
    return cubes


def crop_boxes(data: Path) -> Iterator[NoduleBox]:
    """The crops of `lidc-nodules/crops.npz` with all that they hold of the lung around, brought to 1 mm.

    They are tight along z, which is why they are no cubes; their patients are five times as many. Places within
    `OTHER_FINDING_MM` of any other finding of LUNA16 (annotated or excluded) are no background.
    """
    arrays = ("hu", "mask", "offset", "shape_kji", "spacing_kji_mm", "origin_kji_lps_mm")
    with np.load(data / "lidc-nodules" / "crops.npz") as file:
        crops = {name: file[name] for name in arrays}
    findings = luna16_findings(data / "luna16")
    with (data / "lidc-nodules" / "crops.csv").open() as file:
        rows = list(csv.DictReader(file))
    for n, row in enumerate(rows):
        spacing, region = crops["spacing_kji_mm"][n], slice(crops["offset"][n], crops["offset"][n + 1])
        shape = tuple(crops["shape_kji"][n])
        if shape[0] * spacing[0] < SHORTEST_CROP_MM:
            continue
        hu = at_one_mm(crops["hu"][region].reshape(shape).astype(np.float32), spacing, order=3)
        mask = at_one_mm((crops["mask"][region].reshape(shape) > 0).astype(np.float32), spacing, order=1)
        image, nodule = to_window(hu), mask >= SOLID_MASK_LEVEL
        other = np.zeros(nodule.shape, dtype=bool)
        for x, y, z in findings.get(row["seriesuid"], ()):
            center = np.subtract((z, y, x), crops["origin_kji_lps_mm"][n])
            other |= ball(nodule.shape, center, OTHER_FINDING_MM)
        yield NoduleBox(
            f"crop {row['nodule']}",
            row["patient"],
            image,
            nodule,
            float(row["malignancy"] or "nan"),
            equivalent_diameter(float(nodule.sum())),
            background_places(image, nodule | other),
        )


def at_one_mm(array: NDArray[np.float32], spacing: NDArray[np.float64], order: int) -> NDArray[np.float32]:
    """A box from its scan's spacing to 1 mm voxels that cover the same space."""
    out: NDArray[np.float32] = ndimage.zoom(array, spacing, order=order, mode="nearest", grid_mode=True)
    return out


def luna16_findings(folder: Path) -> dict[str, list[tuple[float, float, float]]]:
    """Every annotated and every excluded finding, LPS mm, by series."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    with (
        (folder / "annotations.csv").open() as first,
        gzip.open(folder / "annotations_excluded.csv.gz", "rt") as second,
    ):
        for row in (*csv.DictReader(first), *csv.DictReader(second)):
            center = (float(row["coordX"]), float(row["coordY"]), float(row["coordZ"]))
            found.setdefault(row["seriesuid"], []).append(center)
    return found


def ball(shape: tuple[int, ...], center: NDArray[np.floating], radius: float) -> NDArray[np.bool_]:
    """Voxels of a box within a radius of a centre, both in voxels."""
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    inside: NDArray[np.bool_] = sum((a - c) ** 2 for a, c in zip(axes, center, strict=True)) < radius**2
    return inside


def background_places(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Voxels (n, 3) that are dense, with lung around them, well away from the nodule: vessels, airways, pleura."""
    dense = image > DENSE_LEVEL
    lung_around = ndimage.uniform_filter((image < AERATED_LEVEL).astype(np.float32), 11) > 0.4
    away = ndimage.distance_transform_edt(~mask) > AWAY_MM if mask.any() else np.ones_like(mask)
    return np.argwhere(dense & lung_around & away).astype(np.int16)


def save_boxes(path: Path, boxes: Iterable[NoduleBox]) -> int:
    """Pack boxes of any shape into one .npz; returns how many."""
    items = list(boxes)
    np.savez_compressed(
        path,
        image=np.concatenate([b.image.ravel() for b in items]),
        mask=np.packbits(np.concatenate([b.mask.ravel() for b in items])),
        shape=np.array([b.image.shape for b in items], dtype=np.int16),
        background=np.concatenate([b.background for b in items]),
        places=np.array([len(b.background) for b in items]),
        diameter_mm=np.array([b.diameter_mm for b in items], dtype=np.float32),
        malignancy=np.array([b.malignancy for b in items], dtype=np.float32),
        name=np.array([b.name for b in items]),
        patient=np.array([b.patient for b in items]),
    )
    return len(items)


def load_boxes(path: Path) -> list[NoduleBox]:
    """Undo `save_boxes`."""
    data = dict(np.load(path).items())
    shapes = data["shape"].astype(int)
    ends, last_places = np.cumsum(shapes.prod(axis=1)), np.cumsum(data["places"])
    mask = np.unpackbits(data["mask"], count=int(ends[-1])).astype(bool)
    return [
        NoduleBox(
            str(data["name"][n]),
            str(data["patient"][n]),
            data["image"][end - shape.prod() : end].reshape(shape),
            mask[end - shape.prod() : end].reshape(shape),
            float(data["malignancy"][n]),
            float(data["diameter_mm"][n]),
            data["background"][last_places[n] - data["places"][n] : last_places[n]],
        )
        for n, (shape, end) in enumerate(zip(shapes, ends, strict=True))
    ]
