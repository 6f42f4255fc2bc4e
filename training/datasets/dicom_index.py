"""Which series lie where in a tree of DICOM folders, from one header a folder."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io.dicom_headers import is_dicom

TAGS = ["SeriesInstanceUID", "PatientID", "Modality"]


@dataclass(frozen=True)
class SeriesFolder:
    """A folder that holds the slices of one CT series, as the archives' download tools write it.

    :param files: its files, but for those that are named as something else than DICOM.
    """

    folder: Path
    series_uid: str
    patient: str
    files: tuple[Path, ...]


def ct_folders(root: Path) -> list[SeriesFolder]:
    """All folders under a root whose first DICOM file is a CT slice, in the order of their paths.

    :raises InputError: when the root is no folder or a folder cannot be read.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder; give the folder that holds the data set.")

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}); check its permissions.") from error

    found = []
    for folder, subfolders, names in os.walk(root, onerror=refuse):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        series = _series(Path(folder), sorted(name for name in names if not name.startswith(".")))
        if series is not None:
            found.append(series)
    return found


def _series(folder: Path, names: list[str]) -> SeriesFolder | None:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    files = tuple(folder / name for name in names if Path(name).suffix.lower() in ("", ".dcm"))
    first = next((path for path in files if is_dicom(path)), None)
    if first is None:
        return None
    try:
        with warnings.catch_warnings():  # oddities that the standard forbids and scanners write
            warnings.simplefilter("ignore")
            header = dcmread(first, stop_before_pixels=True, specific_tags=list(TAGS))
            values = {tag: str(header.get(tag) or "") for tag in TAGS}
    except (InvalidDicomError, OSError, ValueError, TypeError, AttributeError, EOFError) as error:
        raise InputError(f"{first} is a damaged DICOM file; download its series again.") from error
    if values["Modality"] != "CT":
        return None
    return SeriesFolder(folder, values["SeriesInstanceUID"], values["PatientID"], files)
