"""A prepared scan: what is stored of it, and how a part of it is read without the rest."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.preprocess.prepare import prepare_lung
from LungNoduleCADLib.volume import Volume

from .scans import Nodule, Scan

CHUNK = 64
"""Edge of the blocks an image is stored in: the classifier's patch touches eight at most."""
MARGIN = 2
"""Voxels kept around a nodule's occupancy."""
DAMAGE = (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file ends in."""


@dataclass(frozen=True, eq=False)
class StoredNodule:
    """A nodule on the grid of its prepared scan.

    :param start_kji: voxel of the scan that the first voxel of `occupancy` is.
    :param occupancy: uint8 (k, j, i), share of each voxel that is nodule, 0 to 255.
    :param ratings: one mapping a reader.
    """

    center_kji: NDArray[np.float64]
    diameter_mm: float
    start_kji: NDArray[np.int64]
    occupancy: NDArray[np.uint8]
    ratings: tuple[Mapping[str, int], ...]

    @property
    def malignancy(self) -> float:
        """Median of the readers' ratings, 1 to 5; NaN without any."""
        given = [rating["malignancy"] for rating in self.ratings if "malignancy" in rating]
        return float(np.median(given)) if given else float("nan")


@dataclass(frozen=True, eq=False)
class Entry:
    """A prepared scan in the cache. Its image and lung mask are read when asked for.

    :param shape: (k, j, i) at 1 mm.
    :param slice_mm: distance of the original slices.
    :param excluded_kji: (n, 3) findings that are neither nodules to find nor surely healthy; `excluded_mm` (n,) their
        diameters, negative where unknown.
    :param candidates_kji: (n, 3) places that a detector proposed and that are no nodule.
    """

    path: Path
    name: str
    patient: str
    source: str
    shape: tuple[int, int, int]
    ijk_to_lps: NDArray[np.float64]
    slice_mm: float
    nodules: tuple[StoredNodule, ...]
    excluded_kji: NDArray[np.float64]
    excluded_mm: NDArray[np.float64]
    candidates_kji: NDArray[np.float64]

    @classmethod
    def load(cls, path: Path) -> Entry:
        """All but the voxels.

        :raises InputError: naming the file, when it is missing or damaged.
        """
        with reading(path) as file:
            about = read_about(file)
            nodules = tuple(
                StoredNodule(
                    np.array(nodule["center_kji"]),
                    float(nodule["diameter_mm"]),
                    np.array(nodule["start_kji"]),
                    file[f"nodule-{n}"],
                    tuple(nodule["ratings"]),
                )
                for n, nodule in enumerate(about["nodules"])
            )
            k, j, i = about["shape"]
            return cls(
                path, about["name"], about["patient"], about["source"], (k, j, i), file["ijk_to_lps"],
                about["slice_mm"], nodules, file["excluded_kji"], file["excluded_mm"], file["candidates_kji"],
            )  # fmt: skip

    def image(self) -> NDArray[np.uint8]:
        """The whole scan: the lung window scaled to 0-255."""
        return self.cut((0, 0, 0), self.shape)

    def lung(self) -> NDArray[np.bool_]:
        """The lung mask."""
        return self._read("lung", (0, 0, 0), self.shape, np.bool_)

    def cut(self, first_kji: ArrayLike, shape: ArrayLike) -> NDArray[np.uint8]:
        """A box of the image; only the blocks that it touches are read. Beyond the image the nearest voxel is repeated.

        :raises InputError: naming the file, when it is damaged.
        """
        first, size = np.asarray(first_kji, dtype=int), np.asarray(shape, dtype=int)
        low, high = (np.clip(end, 0, np.array(self.shape) - 1) for end in (first, first + size - 1))
        box = self._read("image", low, high + 1 - low, np.uint8)
        axes = [np.clip(np.arange(f, f + n), a, b) - a for f, n, a, b in zip(first, size, low, high, strict=True)]
        return box[np.ix_(*axes)]

    def _read(self, what: str, first_kji: ArrayLike, shape: ArrayLike, kind: type) -> NDArray[Any]:
        first, size = np.asarray(first_kji, dtype=int), np.asarray(shape, dtype=int)
        box: NDArray[Any] = np.empty(size, dtype=kind)
        ranges = [range(f // CHUNK, (f + n - 1) // CHUNK + 1) for f, n in zip(first, size, strict=True)]
        with reading(self.path) as file:
            for place in product(*ranges):
                block = file[block_name(what, place)]
                low = np.multiply(place, CHUNK) - first
                target = tuple(slice(max(a, 0), a + n) for a, n in zip(low, block.shape, strict=True))
                part = box[target]
                skipped = np.maximum(-low, 0)
                part[...] = block[tuple(slice(s, s + n) for s, n in zip(skipped, part.shape, strict=True))]
        return box


@contextmanager
def reading(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The members of an entry's file, each read (and its checksum checked) when it is asked for.

    :raises InputError: naming the file, whatever goes wrong in the block because of it.
    """
    try:
        with np.load(path) as file:
            yield file
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; prepare the data set first.") from error
    except DAMAGE as error:
        raise InputError(f"The cache entry {path} is damaged; prepare the data set again, it is rebuilt.") from error


def read_about(file: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """An entry's own description."""
    return dict(json.loads(file["about"].tobytes()))


def block_name(what: str, place: Sequence[int]) -> str:
    """The member that holds a block; `place` counts blocks along (k, j, i)."""
    return "-".join((what, *map(str, place)))


def stored_arrays(scan: Scan, about: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Prepare a scan as inference prepares it, and lay it out as an entry's members.

    :param about: what else the entry says of itself.
    """
    prepared = prepare_lung(scan.volume, scan.lung)
    assert prepared.inside is not None
    grid = prepared.grid
    image = (prepared.image * 255).round().to(torch.uint8).cpu().numpy()
    nodules: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for n, nodule in enumerate(scan.nodules):
        start, occupancy = occupancy_on(grid, scan.volume, nodule)
        arrays[f"nodule-{n}"] = occupancy
        center = grid.lps_to_index(nodule.center_lps).tolist()
        nodules.append(
            {
                "center_kji": center, "diameter_mm": nodule.diameter_mm, "start_kji": start.tolist(),
                "ratings": [dict(rating) for rating in nodule.ratings],
            }
        )  # fmt: skip
    description = {
        **about, "shape": image.shape, "slice_mm": float(scan.volume.spacing_kji_mm[0]), "nodules": nodules,
    }  # fmt: skip
    arrays |= {
        "about": np.frombuffer(json.dumps(description).encode(), dtype=np.uint8),
        "ijk_to_lps": grid.ijk_to_lps,
        "excluded_kji": grid.lps_to_index(scan.excluded_lps),
        "excluded_mm": np.full(len(scan.excluded_lps), -1.0) if scan.excluded_mm is None else scan.excluded_mm,
        "candidates_kji": grid.lps_to_index(scan.candidates_lps),
    }
    for place in product(*(range(-(-n // CHUNK)) for n in image.shape)):
        region = tuple(slice(p * CHUNK, (p + 1) * CHUNK) for p in place)
        arrays[block_name("image", place)] = image[region]
        arrays[block_name("lung", place)] = prepared.inside[region]
    return arrays


def occupancy_on(grid: Volume, volume: Volume, nodule: Nodule) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """A nodule's mask interpolated from the scan's voxels to the prepared grid: first voxel, and shares 0 to 255.

    Both grids share their axes. A nodule that lies beyond the lungs' margin is cut off there.
    """
    mask = nodule.mask
    corners = np.array([np.array(mask.start_kji) - 1, np.add(mask.start_kji, mask.voxels.shape)])
    ends = grid.lps_to_index(volume.index_to_lps(corners))
    low = np.maximum(np.floor(ends[0]).astype(int) - MARGIN, 0)
    high = np.minimum(np.ceil(ends[1]).astype(int) + 1 + MARGIN, grid.shape)
    if (high <= low).any():
        return np.zeros(3, dtype=int), np.zeros((1, 1, 1), dtype=np.uint8)
    first = volume.lps_to_index(grid.index_to_lps(low)) - mask.start_kji
    step = grid.spacing_kji_mm / volume.spacing_kji_mm
    axes = [first[n] + step[n] * np.arange(high[n] - low[n]) for n in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    shares = ndimage.map_coordinates(mask.voxels.astype(np.float32), points, order=1, mode="grid-constant")
    return low, np.rint(shares * 255).astype(np.uint8)
