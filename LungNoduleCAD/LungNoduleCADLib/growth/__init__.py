"""Growth: the findings of a study matched with those of a prior, and what became of each."""

from .change import Change
from .compare import compare_studies, followed
from .lung_rads import lung_rads_prior
from .study import GrowthFinding, GrowthStatus, Study, StudyComparison, StudyFinding

__all__ = [
    "Change",
    "GrowthFinding",
    "GrowthStatus",
    "Study",
    "StudyComparison",
    "StudyFinding",
    "compare_studies",
    "followed",
    "lung_rads_prior",
]
