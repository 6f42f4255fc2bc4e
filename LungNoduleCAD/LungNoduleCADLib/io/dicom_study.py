"""Who was scanned, when and on what: the attributes of a DICOM image that a report states."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

ATTRIBUTES = {
    "patient_name": "PatientName",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "patient_age": "PatientAge",
    "study_time": "StudyTime",
    "study_description": "StudyDescription",
    "accession_number": "AccessionNumber",
    "institution": "InstitutionName",
    "model": "ManufacturerModelName",
    "series_number": "SeriesNumber",
    "tube_voltage_kv": "KVP",
}
"""Metadata key of a volume: keyword of the attribute, in addition to what `SliceHeader` holds."""


def study_attributes(path: Path) -> dict[str, str]:
    """The attributes of one image, as text; empty where it has none or a damaged one.

    :param path: a DICOM file that has been read before.
    """
    from pydicom import dcmread

    with warnings.catch_warnings():  # pydicom reports every oddity that the standard forbids and scanners write
        warnings.simplefilter("ignore")
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(ATTRIBUTES.values()))
        return {key: attribute_text(dataset, keyword) for key, keyword in ATTRIBUTES.items()}


def attribute_text(dataset: Dataset, keyword: str) -> str:
    """An attribute as text; several values are joined by a stroke; empty where there is none or a damaged one."""
    try:
        value = dataset.get(keyword)
    except (TypeError, ValueError):  # a value its type does not allow
        return ""
    if value is None:
        return ""
    from pydicom.valuerep import PersonName

    several = hasattr(value, "__iter__") and not isinstance(value, (str, PersonName))
    return "/".join(map(str, value)) if several else str(value).strip()
