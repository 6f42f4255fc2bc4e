"""The DICOM images a volume was read from, without their pixels: what an object derived from them must refer to."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .dicom_headers import dicom_files

if TYPE_CHECKING:
    from pydicom import Dataset


def read_source_images(source: Path, sop_instance_uids: Sequence[str], keywords: Iterable[str]) -> list[Dataset]:
    """Data sets of the slices of a volume, in the volume's order, with some of their attributes.

    :param source: folder, or one file of the series.
    :param sop_instance_uids: as in the volume's metadata, one per k.
    :param keywords: of the attributes to read; reading all takes half as long again.
    :raises InputError: when one of the slices is no longer there or cannot be read.
    """
    folder = source.parent if source.is_file() else source
    wanted = set(sop_instance_uids)
    images = _read(dicom_files(folder, recursive=not source.is_file()), [*keywords, "SOPInstanceUID"])
    found = {uid: image for image in images if (uid := str(image.get("SOPInstanceUID", ""))) in wanted}
    lost = [uid for uid in sop_instance_uids if uid not in found]
    if lost:
        raise InputError(
            f"{source} no longer holds {len(lost)} of the {len(sop_instance_uids)} slices that were searched (first "
            f"{lost[0]}); give the folder with the whole series."
        )
    return [found[uid] for uid in sop_instance_uids]


def _read(paths: Iterable[Path], keywords: Sequence[str]) -> Iterator[Dataset]:
    from pydicom import dcmread

    with warnings.catch_warnings():  # pydicom reports every oddity that the standard forbids and scanners write
        warnings.simplefilter("ignore")
        for path in paths:
            try:
                yield dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
            except Exception:  # no DICOM, or damaged: whether it is one that is wanted shows in the end
                continue
