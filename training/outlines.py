"""Nodules' outlines as LIDC's readers drew them, as occupancies at 1 mm: shapes for the simulator.

The XML names no patient and no pixel size. Patients are known for the series of `crops.csv`; the others' outlines serve
only where no patient is held out. Pixel sizes follow from LUNA16's tables for most scans (see `datasets.agreement`);
elsewhere the usual one is taken, which changes a shape's proportions by at most the tenth that pixel sizes vary by.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.io.points import read_points
from LungNoduleCADLib.simulation import Outline
from LungNoduleCADLib.volume import Volume

from .datasets.agreement import grid_of, usual_grid
from .datasets.contours import consensus, outlines, same_nodules
from .datasets.lidc_xml import Contour, Readings, read_lidc_xml
from .datasets.luna16 import EXCLUDED, find_table
from .datasets.tables import by_series, selected
from .nodules import equivalent_diameter
from .splits import UNKNOWN_FOLD, fold_of

FILE = "outlines.npz"
LEAST_DIAMETER_MM, LEAST_SLICES, LARGEST_MM = 3.0, 2, 45
"""What is smaller has no form that voxels could show."""


@dataclass(frozen=True, eq=False)
class ReadOutline:
    """A nodule's consensus outline.

    :param occupancy: uint8 (k, j, i) at 1 mm, 0 to 255: how much of a voxel lies inside.
    :param patient: `LIDC-IDRI-nnnn`, or '' where it is not known.
    """

    series: str
    patient: str
    occupancy: NDArray[np.uint8]
    readers: int

    @property
    def fold(self) -> int:
        """The fold that leaves its patient out."""
        return fold_of(self.patient) if self.patient else UNKNOWN_FOLD

    def outline(self) -> Outline:
        """For the simulator."""
        return Outline(self.occupancy / np.float32(255))


def read_outlines(data: Path) -> Iterator[ReadOutline]:
    """Every nodule that at least one reader of LIDC-IDRI outlined, as half of its readers or more saw it.

    :param data: the folder with `lidc/reader-xml.tar.xz`, `luna16` and `lidc-nodules`.
    """
    with (data / "lidc-nodules" / "crops.csv").open() as file:
        patients = {row["seriesuid"]: row["patient"] for row in csv.DictReader(file)}
    excluded = read_points(find_table(data / "luna16", EXCLUDED), "diameter_mm", default=-1.0)
    points = by_series(selected(excluded, excluded.values < 0))
    for series, readings in sorted(read_lidc_xml(data / "lidc" / "reader-xml.tar.xz").items()):
        if not readings.nodules:
            continue
        grid = grid_of(readings, points.get(series, np.empty((0, 3)))) or usual_grid(readings)
        for mask, readers in _nodules(readings, grid):
            occupancy = at_one_mm(mask.voxels, grid.spacing_kji_mm)
            if equivalent_diameter(float(occupancy.sum())) >= LEAST_DIAMETER_MM and max(occupancy.shape) < LARGEST_MM:
                packed = np.rint(occupancy * 255).astype(np.uint8)
                yield ReadOutline(series, patients.get(series, ""), packed, readers)


def _nodules(readings: Readings, grid: Volume) -> Iterator[tuple[VoxelMask, int]]:
    heights = grid.index_to_lps([(k, 0, 0) for k in range(grid.shape[0])])[:, 2]

    def slice_of(contour: Contour) -> int:
        return int(np.abs(heights - contour.z_mm).argmin())

    for group in same_nodules(outlines(readings.nodules, grid, slice_of)):
        mask = consensus([outline.mask for outline in group])
        if mask.voxels.any(axis=(1, 2)).sum() >= LEAST_SLICES:
            yield mask, len(group)


def at_one_mm(mask: NDArray[np.bool_], spacing_kji_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Occupancy at 1 mm of what was outlined slice by slice: the outline changes evenly from one slice to the next, and
    ends half a slice beyond the last."""
    padded = np.pad(mask, ((1, 1), (3, 3), (3, 3)))
    step = spacing_kji_mm[1:]
    depth = np.stack(
        [
            ndimage.distance_transform_edt(one, step) - ndimage.distance_transform_edt(~one, step)
            if one.any()
            else np.zeros(one.shape)
            for one in padded
        ]
    )
    depth -= np.sign(depth) * step.mean() / 2
    # Beyond its ends the nodule narrows as steeply as a sphere would.
    for end, beside in ((0, 1), (-1, -2)):
        depth[end] = depth[beside] - max(depth[beside].max(), 0) * 2
    fine = np.array([0.5, 0.5, 0.5])
    sampled = ndimage.zoom(depth, spacing_kji_mm / fine, order=1, mode="nearest", grid_mode=True)
    occupancy = np.clip(sampled / fine[0] + 0.5, 0, 1).astype(np.float32)
    even = [n - n % 2 for n in occupancy.shape]
    k, j, i = (n // 2 for n in even)
    blocks = occupancy[: even[0], : even[1], : even[2]].reshape(k, 2, j, 2, i, 2)
    at_mm: NDArray[np.float32] = blocks.mean(axis=(1, 3, 5))
    boxes = ndimage.find_objects((at_mm > 0).astype(np.uint8))
    return at_mm[boxes[0]] if boxes else np.zeros((1, 1, 1), dtype=np.float32)


def save_outlines(path: Path, items: Sequence[ReadOutline]) -> None:
    """Pack outlines into one .npz."""
    np.savez_compressed(
        path,
        occupancy=np.concatenate([one.occupancy.ravel() for one in items]),
        shape=np.array([one.occupancy.shape for one in items], dtype=np.int16),
        series=np.array([one.series for one in items]),
        patient=np.array([one.patient for one in items]),
        readers=np.array([one.readers for one in items], dtype=np.int8),
    )


def load_outlines(path: Path) -> list[ReadOutline]:
    """Undo `save_outlines`."""
    with np.load(path) as data:
        occupancy, shapes = data["occupancy"], data["shape"].astype(int)
        names = zip(data["series"], data["patient"], data["readers"], strict=True)
        parts = np.split(occupancy, np.cumsum(shapes.prod(axis=1))[:-1])
        return [
            ReadOutline(str(series), str(patient), part.reshape(shape), int(readers))
            for (series, patient, readers), part, shape in zip(names, parts, shapes, strict=True)
        ]
