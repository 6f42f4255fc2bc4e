"""What the comparison gives Lung-RADS to go by."""

from __future__ import annotations

from ..rules import Prior
from .change import measured_as_now
from .study import StudyComparison


def lung_rads_prior(comparison: StudyComparison, label: str, category: str | None = None) -> Prior | None:
    """What the prior says of a finding of the current study: the nodule as it was, or that it was not there.

    :param category: its Lung-RADS category then, where a report gives it.
    :return: None where the prior says nothing: it does not show the place, shows it dense without a mark, or was made
        on the same or an unknown day.
    """
    found = comparison.of(label)
    if found is None or not comparison.interval_days:
        return None
    if found.prior is not None:
        then = found.prior.facts
        if found.current is not None and found.alike is not None:
            then = measured_as_now(found.current.facts, then, found.alike)
        return Prior(comparison.interval_days, then, category)
    return Prior(comparison.interval_days) if found.status == "new" and not found.note else None
