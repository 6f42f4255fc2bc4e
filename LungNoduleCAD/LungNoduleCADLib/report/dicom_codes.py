"""The coded concepts of the DICOM objects, but for those of the quantities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .quantities import PRIVATE_SCHEME, ConceptCode

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept


def coded(code: ConceptCode) -> CodedConcept:
    """As highdicom has it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)


def private(value: str, meaning: str) -> ConceptCode:
    """A concept of this software's own scheme; value of at most 16 and meaning of at most 64 characters."""
    return ConceptCode(value[:16], PRIVATE_SCHEME, meaning[:64])


LUNG_NODULE = ConceptCode("427359005", "SCT", "Lung nodule")
ABNORMAL_STRUCTURE = ConceptCode("49755003", "SCT", "Morphologically Abnormal Structure")
LUNG = ConceptCode("39607008", "SCT", "Lung")
ARTIFICIAL_INTELLIGENCE = ConceptCode("123110", "DCM", "Artificial Intelligence")
CT_OF_CHEST = ConceptCode("169069000", "SCT", "CT of chest")
COMMENT = ConceptCode("121106", "DCM", "Comment")
RECOMMENDATION = ConceptCode("121075", "DCM", "Recommendation")
ABSENT = ConceptCode("272519000", "SCT", "Absent")
SIDES = {"left": ConceptCode("7771000", "SCT", "Left"), "right": ConceptCode("24028007", "SCT", "Right")}
ZONES = {
    "upper": ConceptCode("281392002", "SCT", "Upper zone of lung"),
    "middle": ConceptCode("281393007", "SCT", "Middle zone of lung"),
    "lower": ConceptCode("281394001", "SCT", "Lower zone of lung"),
}
NODULE_TYPE = private("NODULE_TYPE", "Nodule type")
NODULE_TYPES = {
    "solid": private("SOLID", "Solid"),
    "part-solid": private("PART_SOLID", "Part-solid"),
    "ground-glass": private("GROUND_GLASS", "Ground-glass"),
    "calcified": private("CALCIFIED", "Calcified"),
    "fat": private("FAT", "Containing fat"),
}
REVIEW_STATUS = private("REVIEW_STATUS", "Review status")
NODULES_ABOVE_THRESHOLD = private("NODULES", "Lung nodules at or above the threshold")
