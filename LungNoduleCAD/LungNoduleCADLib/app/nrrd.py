"""Write a volume as uncompressed NRRD from its own memory.

SimpleITK would copy the voxels first and hold Python's lock while it writes; this runs in a thread beside the user
interface, on scans of half a gigabyte.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..volume import Volume

CHUNK_BYTES = 1 << 25
KINDS = {"i": "int", "u": "uint"}


def write_nrrd(volume: Volume, path: Path, go_on: Callable[[], bool] = lambda: True) -> bool:
    """Write voxels and geometry (LPS).

    :param go_on: asked after every 32 MiB; when it returns False, writing stops there.
    :return: whether the file is complete.
    :raises OSError: when it cannot be written.
    """
    voxels = np.ascontiguousarray(volume.voxels)
    with path.open("wb") as file:
        file.write(_header(volume, voxels.dtype).encode("ascii"))
        data = voxels.reshape(-1).view(np.uint8).data
        for start in range(0, len(data), CHUNK_BYTES):
            file.write(data[start : start + CHUNK_BYTES])
            if not go_on():
                return False
    return True


def _header(volume: Volume, dtype: np.dtype) -> str:
    axes = (" ".join(repr(float(v)) for v in volume.ijk_to_lps[:3, column]) for column in range(4))
    i, j, k, origin = (f"({','.join(axis.split())})" for axis in axes)
    big_endian = dtype.byteorder == ">" or (dtype.byteorder == "=" and sys.byteorder == "big")
    lines = (
        "NRRD0005",
        f"type: {_type_name(dtype)}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in volume.shape[::-1])}",
        f"space directions: {i} {j} {k}",
        "kinds: domain domain domain",
        f"endian: {'big' if big_endian else 'little'}",
        "encoding: raw",
        f"space origin: {origin}",
    )
    return "\n".join(lines) + "\n\n"


def _type_name(dtype: np.dtype) -> str:
    if dtype.kind == "f":
        return {4: "float", 8: "double"}[dtype.itemsize]
    return f"{KINDS[dtype.kind]}{8 * dtype.itemsize}"
