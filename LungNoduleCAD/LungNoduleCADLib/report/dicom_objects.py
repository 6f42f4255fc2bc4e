"""What DICOM segmentation and structured report have in common: codes, the equipment, and the source images with only
those of their attributes that the new objects need."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..io.dicom_study import attribute_text
from .deidentify import UidMap, pseudonym
from .model import NOTICE, Report
from .text import plain_text

if TYPE_CHECKING:
    from pydicom import Dataset

MANUFACTURER = MODEL_NAME = "LungNoduleCAD"
DEVICE_UID = "2.25.168921753391008981489542720897937824638"
"""Of the software as an observer: one for all versions, made once at random."""

SERIAL_NUMBER = "none"
CHARACTER_SET = "ISO_IR 192"
NO_DATE, NO_TIME = "19000101", "000000"
"""Where the standard wants a date and a de-identified object must not tell one."""

TEXTS = {
    "PatientName": 324, "PatientID": 64, "StudyID": 16, "AccessionNumber": 16, "ReferringPhysicianName": 324,
    "StudyDescription": 64, "IssuerOfPatientID": 64,
}  # fmt: skip
"""Attributes about whom and what, and how long each may be."""

PATTERNS = {
    "PatientBirthDate": r"\d{8}", "PatientSex": "[MFO]", "PatientAge": r"\d{3}[DWMY]", "StudyDate": r"\d{8}",
    "StudyTime": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?",
}  # fmt: skip
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
GEOMETRY = (
    "SOPClassUID", "Modality", "Rows", "Columns", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SliceThickness",
)  # fmt: skip
EQUIPMENT = ("Manufacturer", "ManufacturerModelName")
KEYWORDS = (*GEOMETRY, *EQUIPMENT, *UIDS, *TEXTS, *PATTERNS)
"""What is read of a source image."""


def source_images(images: Sequence[Dataset], uids: UidMap | None) -> list[Dataset]:
    """Copies of the source images' headers with nothing but what the new objects need, and that in valid form.

    :param images: data sets of the slices, in the volume's order.
    :param uids: de-identify with these; None keeps patient and study.
    :raises InputError: when they have no frame of reference, without which nothing can refer to their space.
    """
    if not all(image.get("FrameOfReferenceUID") for image in images):
        raise InputError("The series has no Frame of Reference UID, which DICOM SEG and SR need; leave both out.")
    if len({str(image.FrameOfReferenceUID) for image in images}) > 1:
        raise InputError(
            "The slices name different frames of reference, so nothing says that they belong together in space, which "
            "DICOM SEG and SR need; leave both out."
        )
    with warnings.catch_warnings():  # of values that are being mended here
        warnings.simplefilter("ignore")
        whose = _identity(images[0], uids)
        return [_copy(image, whose, uids) for image in images]


def common_attributes(report: Report, description: str) -> dict[str, Any]:
    """Arguments of every object's constructor."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL_NAME,
        "software_versions": report.method.software_version or "unknown",
        "device_serial_number": SERIAL_NUMBER,
        "series_description": f"{description} ({NOTICE})"[:64],
    }


def finish(dataset: Dataset, report: Report) -> Dataset:
    """Set the time it was made, and the encoding of its text; of a de-identified object say that it is one, and tell no
    time."""
    dataset.SpecificCharacterSet = CHARACTER_SET
    made = report.created
    dataset.ContentDate = made.strftime("%Y%m%d") if made else NO_DATE
    dataset.ContentTime = made.strftime("%H%M%S") if made else NO_TIME
    if not report.deidentified:
        return dataset
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Basic profile; only the attributes needed were taken over"
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in dataset:
            delattr(dataset, keyword)
    for item in dataset.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in item:
            del item.ContributionDateTime
    return dataset


def file_content(dataset: Dataset) -> bytes:
    """As a DICOM file."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def algorithm_parameters(report: Report) -> dict[str, str]:
    """The networks with their weights' hashes, and the threshold."""
    parameters = {f"{model.task} weights sha256": model.sha256 for model in report.method.models}
    parameters |= {f"{model.task} model": f"{model.name} {model.version}" for model in report.method.models}
    return {**parameters, "threshold": f"{report.method.threshold:g}", "series": report.series.uid}


def _identity(image: Dataset, uids: UidMap | None) -> Dataset:
    """What all images of a series say of patient, study and scanner."""
    from pydicom import Dataset

    whose = Dataset()
    for keyword in EQUIPMENT:
        if text := _line(image, keyword, 64):
            setattr(whose, keyword, text)
    for keyword, length in TEXTS.items():
        setattr(whose, keyword, "" if uids is not None else _line(image, keyword, length))
    for keyword, pattern in PATTERNS.items():
        text = "" if uids is not None else plain_text(attribute_text(image, keyword))
        setattr(whose, keyword, text if re.fullmatch(pattern, text) else "")
    if uids is not None:
        whose.PatientID = whose.PatientName = pseudonym(uids[str(image.StudyInstanceUID)])
    return whose


def _copy(image: Dataset, whose: Dataset, uids: UidMap | None) -> Dataset:
    from pydicom import Dataset

    copy = Dataset()
    copy.update(whose)
    for keyword in GEOMETRY:
        if image.get(keyword) not in (None, ""):
            copy[keyword] = image[keyword]
    for keyword in UIDS:
        uid = str(image.get(keyword) or "")
        setattr(copy, keyword, uid if uids is None else uids[uid])
    return copy


def _line(image: Dataset, keyword: str, length: int) -> str:
    """One value, without the sign that separates several."""
    return plain_text(attribute_text(image, keyword)).replace("\\", "/")[:length]
