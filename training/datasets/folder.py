"""A folder of CTs with a CSV of nodules: anybody's own data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io.image_file import FORMATS, image_stem, image_suffix

from .dicom_index import ct_folders
from .images import ImageCase
from .tables import has_patients, read_annotations, read_patients

TABLE = "nodules.csv"
RATINGS = "malignancy"


def folder_cases(
    folder: Path, nodules: Path | None = None, patients: Mapping[str, str] | None = None
) -> list[ImageCase]:
    """Every CT under a folder, in the order of their names: image files by their stem, DICOM folders by series UID.

    :param nodules: CSV with the columns `seriesuid` (such a name), `coordX`, `coordY`, `coordZ` (LPS mm) and
        `diameter_mm`; optional are `patient` and `malignancy` (readers' ratings, 1 to 5). Default: `nodules.csv` in
        the folder. A CT without a row has no nodule.
    :param patients: patient by name, before the table's and DICOM's; a CT of an unknown patient counts as a patient of
        its own.
    :raises InputError: when there is no CT, a name is there twice, the table is missing or damaged, or names another
        scan.
    """
    table = nodules or folder / TABLE
    annotations = read_annotations(table, RATINGS)
    known = {**(read_patients(table) if has_patients(table) else {}), **(patients or {})}
    found: dict[str, ImageCase] = {}
    images = [(image_stem(path), path, "") for path in sorted(folder.rglob("*")) if _is_image(path)]
    series = [(one.series_uid, one.folder, one.patient) for one in ct_folders(folder)]
    for name, path, patient in sorted(images + series):
        if name in found:
            raise InputError(f"{found[name].image} and {path} are both named {name}; rename or remove one of them.")
        source = path.relative_to(folder).as_posix()
        own = tuple(annotations.get(name, ()))
        found[name] = ImageCase(name, known.get(name) or patient or name, source, path, annotations=own)
    if not found:
        raise InputError(f"{folder} holds no CT; give a folder with {', '.join(FORMATS)} files or DICOM folders.")
    if strangers := sorted(annotations.keys() - found.keys()):
        raise InputError(
            f"{table} has nodules of '{strangers[0]}', which is no scan in {folder}; name scans by their file or "
            "series UID."
        )
    return list(found.values())


def _is_image(path: Path) -> bool:
    return image_suffix(path) is not None and not path.name.startswith(".") and path.is_file()
