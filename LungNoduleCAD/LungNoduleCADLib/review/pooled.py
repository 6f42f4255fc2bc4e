"""The comparisons of several cases together: what a free-response ROC is drawn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..evaluation.free_response import Outcomes
from .comparison import Comparison


def pooled_outcomes(cases: Sequence[Comparison]) -> Outcomes:
    """Findings and reference nodules of all cases; each case is a scan.

    What a reader has accepted or added counts with a score of 1, as it does in each comparison.
    """
    nodule, nodule_unit, false, false_unit = list[float](), list[int](), list[float](), list[int]()
    for unit, case in enumerate(cases):
        everything = case.at(0.0)
        nodule += [-np.inf if name is None else case.score(name) for name in everything.found_by]
        nodule_unit += [unit] * (len(nodule) - len(nodule_unit))
        false += [case.score(name) for name, status in everything.statuses.items() if status == "FP"]
        false_unit += [unit] * (len(false) - len(false_unit))
    return Outcomes(
        nodule_score=np.array(nodule, dtype=np.float64),
        nodule_unit=np.array(nodule_unit, dtype=np.intp),
        false_score=np.array(false, dtype=np.float64),
        false_unit=np.array(false_unit, dtype=np.intp),
        scans=len(cases),
        listed=(np.arange(len(cases)),),
    )
