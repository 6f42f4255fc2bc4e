"""What the guidelines suggest for a nodule: Lung-RADS v2022 for screening, Fleischner 2017 for incidental findings.

Every function here is pure: facts in, a `Recommendation` with its reason in words out. It is a suggestion, and a reader
can override it; both are kept.
"""

from .facts import NoduleFacts, Patient, Prior, ScreeningExam, facts_of, mean_diameter_mm
from .fleischner import fleischner, fleischner_exam
from .lung_rads import lung_rads, lung_rads_exam
from .recommendation import Override, Recommendation, override

__all__ = [
    "NoduleFacts",
    "Override",
    "Patient",
    "Prior",
    "Recommendation",
    "ScreeningExam",
    "facts_of",
    "fleischner",
    "fleischner_exam",
    "lung_rads",
    "lung_rads_exam",
    "mean_diameter_mm",
    "override",
]
