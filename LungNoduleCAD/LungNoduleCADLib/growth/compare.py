"""Two studies of one patient compared: each finding found again, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..io.quality import slice_thickness_mm
from ..preprocess.lung_mask import segment_lungs
from ..volume import Volume
from .change import SAME_DENSITY_HU, Change, change_between
from .local import LocalFit, refined_place
from .matching import Place, nearest_pairs
from .nearby import Turn
from .pair import measured_alike
from .picture import LungPicture
from .registration import Alignment, align
from .study import GrowthFinding, GrowthStatus, Study, StudyComparison, StudyFinding

THICKNESS_DIFFERS_MM = 0.3
SMALL_OVERLAP = 0.9
NORMAL_LUNG_HU = -860.0
CORE_SHARE, LEAST_CORE_MM = 0.35, 1.5
"""Radius, as a share of the diameter, of what is looked at in a nodule's place."""


def compare_studies(current: Study, prior: Study, progress: Callable[[float], None] | None = None) -> StudyComparison:
    """Find each study's findings again in the other, and say how they changed.

    :param progress: called with the share done, 0 to 1.
    :raises InputError: when the prior is the later one, a scan shows no lung, or the two cannot be brought into line.
    """
    report = progress or (lambda share: None)
    interval = _interval_days(current, prior)
    lungs = [segment_lungs(s.volume) if s.lungs is None else s.lungs for s in (current, prior)]
    report(0.3)
    alignment = align(*(LungPicture.of(s.volume, mask) for s, mask in zip((current, prior), lungs, strict=True)))
    report(0.8)
    fits = {
        n: refined_place(current.volume, lungs[0], prior.volume, alignment, f.center_lps)
        for n, f in enumerate(current.findings)
        if f.counts
    }
    pairs = _pairs(current, prior, fits)
    report(0.9)
    backwards = {
        n: refined_place(prior.volume, lungs[1], current.volume, alignment.backwards, f.center_lps)
        for n, f in enumerate(prior.findings)
        if f.counts and n not in pairs.values()
    }
    faint = _faint_pairs(current, prior, backwards)
    found = [
        followed(current, current.findings[n], prior, prior.findings[pairs[n]], alignment, fit, interval)
        if n in pairs
        else _only_current(current.findings[n], prior.volume, fit)
        for n, fit in fits.items()
    ]
    for n, fit in backwards.items():
        if n in faint:
            there = LocalFit(_triple(alignment.to_prior(current.findings[faint[n]].center_lps)), fit.correlation)
            here = current.findings[faint[n]]
            found.append(followed(current, here, prior, prior.findings[n], alignment, there, interval))
        else:
            found.append(_only_prior(prior.findings[n], current.volume, fit))
    report(1.0)
    return StudyComparison(tuple(found), interval, alignment, tuple(_warnings(current, prior, interval, alignment)))


def _interval_days(current: Study, prior: Study) -> int | None:
    if current.day is None or prior.day is None:
        return None
    days = (current.day - prior.day).days
    if days < 0:
        raise InputError(
            f"The prior of {prior.day} is later than the current study of {current.day}; give them the other way round."
        )
    return days


def _pairs(current: Study, prior: Study, fits: Mapping[int, LocalFit]) -> dict[int, int]:
    """Indices of the current findings that count to the prior's: those that count there first, then what did not, for
    a nodule that the prior's run scored low is not new."""
    pairs: dict[int, int] = {}
    for counts in (True, False):
        rows = [n for n in fits if n not in pairs]
        columns = [n for n, f in enumerate(prior.findings) if f.counts is counts]
        here = [_place(current.findings[n], fits[n].point_lps) for n in rows]
        there = [_place(prior.findings[n]) for n in columns]
        pairs.update({rows[a]: columns[b] for a, b in nearest_pairs(here, there)})
    return pairs


def _faint_pairs(current: Study, prior: Study, fits: Mapping[int, LocalFit]) -> dict[int, int]:
    """Indices of the prior's findings that were not found again to what did not count in the current study."""
    columns = [n for n, f in enumerate(current.findings) if not f.counts]
    here = [_place(prior.findings[n], fit.point_lps) for n, fit in fits.items()]
    rows = list(fits)
    return {rows[a]: columns[b] for a, b in nearest_pairs(here, [_place(current.findings[n]) for n in columns])}


def _place(finding: StudyFinding, point_lps: tuple[float, float, float] | None = None) -> Place:
    return Place(point_lps or finding.center_lps, finding.measured.diameter_mm, finding.measured.side)


def followed(
    current: Study,
    now: StudyFinding,
    prior: Study,
    before: StudyFinding,
    alignment: Alignment,
    fit: LocalFit,
    interval_days: int | None,
) -> GrowthFinding:
    """What became of a nodule that is in both.

    :param fit: where it was found again in the prior.
    """
    alike = None
    if now.mask is not None and before.mask is not None:
        rough = Turn.of(alignment, now.center_lps, fit.point_lps)
        alike = measured_alike(current.volume, now.mask, prior.volume, before.mask, rough)
    change: Change = change_between(
        (now.facts, now.measured.volume_mm3, slice_thickness_mm(current.volume)),
        (before.facts, before.measured.volume_mm3, slice_thickness_mm(prior.volume)),
        interval_days,
        alike,
    )
    notes = []
    if not now.counts:
        notes.append("It scores below the threshold in the current study.")
    if not before.counts:
        notes.append("It scored below the threshold in the prior.")
    if now.facts.density != before.facts.density:
        same = alike is not None and abs(alike.density_hu) < SAME_DENSITY_HU
        but = ", though it is as dense as it was: taken as the same" if same else ""
        notes.append(f"Its type was {before.facts.density} and is {now.facts.density}{but}.")
    distance = float(np.linalg.norm(np.subtract(fit.point_lps, before.center_lps)))
    return GrowthFinding(
        change.trend, now, before, fit.point_lps, distance, fit.correlation, change, " ".join(notes), alike
    )


def _only_current(finding: StudyFinding, prior: Volume, fit: LocalFit) -> GrowthFinding:
    status: GrowthStatus = "new"
    note = ""
    if not _covers(prior, fit.point_lps, finding):
        status = "not covered"
    elif not _is_aerated(prior, fit.point_lps, finding):
        note = "Nothing was marked in its place in the prior, but the lung is dense there: look at both."
    return GrowthFinding(status, finding, None, fit.point_lps, correlation=fit.correlation, note=note)


def _only_prior(finding: StudyFinding, current: Volume, fit: LocalFit) -> GrowthFinding:
    status: GrowthStatus = "not covered"
    if _covers(current, fit.point_lps, finding):
        status = "resolved" if _is_aerated(current, fit.point_lps, finding) else "gone"
    return GrowthFinding(status, None, finding, fit.point_lps, correlation=fit.correlation)


def _covers(volume: Volume, point_lps: tuple[float, float, float], finding: StudyFinding) -> bool:
    """Whether a scan shows a nodule's place with all of it."""
    radius = finding.measured.diameter_mm / 2
    around = np.vstack([np.zeros(3), np.eye(3), -np.eye(3)]) * radius + point_lps
    return bool(volume.contains(around).all())


def _is_aerated(volume: Volume, point_lps: tuple[float, float, float], finding: StudyFinding) -> bool:
    """Whether the middle of a nodule's place is nearer to lung than to what the nodule is made of."""
    radius = max(CORE_SHARE * finding.measured.diameter_mm, LEAST_CORE_MM)
    middle = volume.lps_to_index(point_lps)
    reach = radius / volume.spacing_kji_mm
    low = np.maximum(np.floor(middle - reach).astype(int), 0)
    high = np.minimum(np.ceil(middle + reach).astype(int) + 1, volume.shape)
    part = volume.voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    away = (np.moveaxis(np.indices(part.shape), 0, -1) + low - middle) * volume.spacing_kji_mm
    core = part[(away**2).sum(axis=-1) <= radius**2]
    values = core if core.size else part
    return bool(np.median(values) < (finding.measured.mean_hu + NORMAL_LUNG_HU) / 2)


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in point)
    return x, y, z


def _warnings(current: Study, prior: Study, interval_days: int | None, alignment: Alignment) -> list[str]:
    warnings = []
    if interval_days is None:
        warnings.append("The date of a study is unknown: there are no doubling times; give both dates.")
    elif interval_days == 0:
        warnings.append("Both studies are of the same day: there are no doubling times.")
    now, before = slice_thickness_mm(current.volume), slice_thickness_mm(prior.volume)
    if abs(now - before) > THICKNESS_DIFFERS_MM:
        warnings.append(
            f"The slices are {now:.1f} mm thick now and were {before:.1f} mm: volumes and diameters differ by that "
            "alone, most in small nodules."
        )
    kernels = [str(study.volume.metadata.get("kernel") or "") for study in (current, prior)]
    if all(kernels) and kernels[0] != kernels[1]:
        warnings.append(
            f"The scans were reconstructed with different kernels ({kernels[0]} now, {kernels[1]} then), which moves "
            "the edges that are measured."
        )
    if alignment.overlap < SMALL_OVERLAP:
        warnings.append(
            f"The lungs overlap by {alignment.overlap:.2f} only once in line: the breath or the lungs themselves "
            "differ much; check each pair."
        )
    return warnings
