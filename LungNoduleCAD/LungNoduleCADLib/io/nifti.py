"""What ITK's NIfTI reader lets pass: it fills a truncated file up with zeros and turns a zero spacing into 1 mm."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

CHUNK = 1 << 24


@dataclass(frozen=True)
class _Header:
    spacing_mm: tuple[float, ...]
    size_bytes: int
    """Of the whole file, uncompressed."""


def check_nifti(path: Path) -> None:
    """Refuse a NIfTI-1 or -2 file (`.nii`, `.nii.gz`) that is truncated or states no voxel spacing.

    :raises InputError: in both cases, and when it is no NIfTI file.
    """
    compressed = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path) if compressed else path.open("rb") as stream:
            header = _parse(stream.read(540))
    except PermissionError as error:
        raise InputError(f"{path} may not be read; check its permissions.") from error
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise InputError(f"{path} is not a readable NIfTI image; convert or copy it again.") from error
    if any(not spacing > 0 for spacing in header.spacing_mm):
        raise InputError(f"{path} states a voxel spacing of zero; export it again with its spacing.")
    if _size(path, compressed, header.size_bytes) < header.size_bytes:
        raise InputError(f"{path} is truncated; copy or export it again.")


def _parse(head: bytes) -> _Header:
    """Fields after the NIfTI-1.1 and NIfTI-2 standards; the first number, the header's size, tells the byte order."""
    for order in "<>":
        (size,) = struct.unpack_from(order + "i", head, 0)
        if size == 348:
            dim = struct.unpack_from(order + "8h", head, 40)
            (bits,) = struct.unpack_from(order + "h", head, 72)
            pixdim = struct.unpack_from(order + "8f", head, 76)
            (offset,) = struct.unpack_from(order + "f", head, 108)
        elif size == 540:
            (bits,) = struct.unpack_from(order + "h", head, 14)
            dim = struct.unpack_from(order + "8q", head, 16)
            pixdim = struct.unpack_from(order + "8d", head, 104)
            (offset,) = struct.unpack_from(order + "q", head, 168)
        else:
            continue
        voxels = 1
        for n in dim[1 : dim[0] + 1]:
            voxels *= n
        spatial = min(dim[0], 3)
        return _Header(tuple(abs(s) for s in pixdim[1 : spatial + 1]), int(offset) + voxels * bits // 8)
    raise struct.error("neither NIfTI-1 nor NIfTI-2")


def _size(path: Path, compressed: bool, expected: int) -> int:
    """Uncompressed size of the file, bytes; of a broken stream, as far as it can be read."""
    if not compressed:
        return path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        (stated,) = struct.unpack("<I", stream.read())
    if stated == expected % (1 << 32):  # gzip ends with its content's size: no need to unpack everything twice
        return expected
    size = 0
    try:
        with gzip.open(path) as content:
            while chunk := content.read(CHUNK):
                size += len(chunk)
    except (OSError, EOFError, zlib.error):
        return min(size, expected - 1)
    return size
