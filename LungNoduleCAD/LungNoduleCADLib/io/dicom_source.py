"""The DICOM images a volume was read from, without their pixels: what an object derived from them must refer to."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..volume import Volume
from .dicom_headers import SliceHeader, dicom_files, headers_of
from .dicom_reader import series_metadata
from .dicom_stack import Stack, stack_slices

if TYPE_CHECKING:
    from pydicom import Dataset

SAME_PLACE_MM = 0.1
"""Uneven slice distances add up to as much, in a volume that has one."""


def read_source_images(source: Path, sop_instance_uids: Sequence[str], keywords: Iterable[str]) -> list[Dataset]:
    """Data sets of the slices of a volume, in the volume's order, with some of their attributes.

    :param source: folder, or one file of the series.
    :param sop_instance_uids: as in the volume's metadata, one per k.
    :param keywords: of the attributes to read; reading all takes half as long again.
    :raises InputError: when one of the slices is no longer there or cannot be read.
    """
    folder = source.parent if source.is_file() else source
    return source_images_of(dicom_files(folder, recursive=not source.is_file()), source, sop_instance_uids, keywords)


def source_images_of(
    paths: Iterable[Path], source: Path, sop_instance_uids: Sequence[str], keywords: Iterable[str]
) -> list[Dataset]:
    """As `read_source_images`, from these files.

    :param source: what to call them in a message.
    :raises InputError: when one of the slices is not among them or cannot be read.
    """
    wanted = set(sop_instance_uids)
    images = _read(paths, [*keywords, "SOPInstanceUID"])
    found = {uid: image for image in images if (uid := str(image.get("SOPInstanceUID", ""))) in wanted}
    lost = [uid for uid in sop_instance_uids if uid not in found]
    if lost:
        raise InputError(
            f"{source} no longer holds {len(lost)} of the {len(sop_instance_uids)} slices that were searched (first "
            f"{lost[0]}); give the folder with the whole series."
        )
    return [found[uid] for uid in sop_instance_uids]


def series_of_volume(paths: Sequence[Path], grid: Volume, selection: str) -> dict[str, Any]:
    """What `read_volume` states of the series that these files are of, for a volume that somebody else has loaded from
    them.

    Its SOP instance UIDs are one for each slice of that volume; none where the volume's slices are not where the files'
    are, so that nothing can refer to them: it was moved, cropped, resampled or straightened.

    :param grid: the volume's; its slices may be in the opposite order. :param selection: why this series.
    :raises InputError: when one of the files cannot be read, or none is a DICOM image.
    """
    headers = headers_of(paths)
    if not headers:
        raise InputError(f"None of the {len(paths)} files of this volume is a DICOM image; load the series again.")
    folder = headers[0].path.parent
    try:
        stack = stack_slices(headers, folder)
    except InputError:  # whoever loaded it has made a volume of it nevertheless
        return {**series_metadata(folder, Stack(tuple(headers), np.eye(4)), selection), "sop_instance_uids": []}
    ordered = next((h for h in (stack.headers, stack.headers[::-1]) if _lies_on(h, stack.ijk_to_lps, grid)), ())
    metadata = series_metadata(folder, stack, selection)
    return {**metadata, "sop_instance_uids": [header.sop_instance_uid for header in ordered]}


def _lies_on(headers: Sequence[SliceHeader], ijk_to_lps: NDArray[np.float64], grid: Volume) -> bool:
    """Whether these slices, in this order, are those of a grid, pixel by pixel."""
    if (len(headers), headers[0].rows, headers[0].columns) != grid.shape or headers[0].position is None:
        return False
    matrix = ijk_to_lps.copy()
    ends = [np.asarray(header.position) for header in (headers[0], headers[-1])]
    matrix[:3, 2] = (ends[1] - ends[0]) / max(len(headers) - 1, 1)
    matrix[:3, 3] = ends[0]
    k, j, i = (n - 1 for n in grid.shape)
    corners = np.array([(0, 0, 0), (i, 0, 0), (0, j, 0), (0, 0, k), (i, j, k)], dtype=float)
    theirs = corners @ matrix[:3, :3].T + matrix[:3, 3]
    return bool(np.abs(theirs - grid.index_to_lps(corners[:, ::-1])).max() <= SAME_PLACE_MM)


def _read(paths: Iterable[Path], keywords: Sequence[str]) -> Iterator[Dataset]:
    from pydicom import dcmread

    with warnings.catch_warnings():  # pydicom reports every oddity that the standard forbids and scanners write
        warnings.simplefilter("ignore")
        for path in paths:
            try:
                yield dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
            except Exception:  # no DICOM, or damaged: whether it is one that is wanted shows in the end
                continue
