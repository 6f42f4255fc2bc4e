"""The free-response ROC: sensitivity against false positives per scan, whatever rule matched marks and nodules.

Curve, operating points and bootstrap are those of the LUNA16 challenge (Setio et al., Medical Image Analysis 42, 2017);
each habit of its script that changes a figure is named where it is followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

OPERATING_POINTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per scan at which the sensitivity is read."""

BAND_POINTS = 10_000
CONFIDENCE = 0.95

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What a detector did: which nodules it found, with what score, and what else it marked.

    Marks that count neither way (further marks on a nodule, marks on excluded findings) are in neither array.

    :param nodule_score: (n,) score of the best mark on each nodule; -inf where there is none.
    :param nodule_unit: (n,) what each nodule is resampled with: its scan or patient, numbered from 0.
    :param false_score, false_unit: (m,) the same of the marks that hit nothing.
    :param scans: scans that the false positives are divided by.
    :param listed: the units a bootstrap draws from, as often as they are listed; units of different kinds (nodules'
        cubes, healthy lungs) are drawn apart, in an array each.
    """

    nodule_score: Floats
    nodule_unit: Integers
    false_score: Floats
    false_unit: Integers
    scans: int
    listed: tuple[Integers, ...]

    @property
    def found(self) -> NDArray[np.bool_]:
        """(n,) which nodules have a mark."""
        return np.isfinite(self.nodule_score)

    @property
    def units(self) -> int:
        """How many units there are."""
        return 1 + max(int(part.max()) for part in self.listed)

    def sensitivity(self, threshold: float) -> float:
        """Share of the nodules with a mark at or above a threshold."""
        return float((self.nodule_score >= threshold).mean())

    def fp_per_scan(self, threshold: float) -> float:
        """False marks at or above a threshold, per scan."""
        return float((self.false_score >= threshold).sum() / self.scans)

    def of_nodules(self, chosen: NDArray[np.bool_]) -> Outcomes:
        """As if the other nodules were excluded findings: nothing to be found there, and nothing wrong to mark."""
        return replace(self, nodule_score=self.nodule_score[chosen], nodule_unit=self.nodule_unit[chosen])

    def resamples(self, samples: int, seed: int) -> Iterator[Floats]:
        """How often each unit counts, (units,), in resamples of the listed units with replacement.

        The same draws as the challenge's script makes after `numpy.random.seed(seed)`. A draw without any nodule has no
        sensitivity and is drawn again.
        """
        generator = np.random.RandomState(seed)
        nodules = np.bincount(self.nodule_unit, minlength=self.units)
        for _ in range(samples):
            times = np.zeros(self.units)
            while not (times * nodules).any():
                drawn = [part[generator.randint(len(part), size=len(part))] for part in self.listed]
                times = np.bincount(np.concatenate(drawn), minlength=self.units).astype(np.float64)
            yield times


@dataclass(frozen=True, eq=False)
class FrocBand:
    """Bootstrap band of the curve: 95 % of the resampled sensitivities lie within it.

    :param fp_per_scan: (10000,), from 0.125 to 8. :param mean, lower, upper: sensitivity there.
    :param cpm: 95 % interval of the CPM over the same resamples.
    """

    fp_per_scan: Floats
    mean: Floats
    lower: Floats
    upper: Floats
    cpm: tuple[float, float]


@dataclass(frozen=True, eq=False)
class FrocCurve:
    """Corners of the curve, from (0, 0) on: false positives per scan, sensitivity, and the least probability that
    counts."""

    fp_per_scan: Floats
    sensitivity: Floats
    threshold: Floats

    def at(self, fp_per_scan: Sequence[float] | Floats) -> Floats:
        """Sensitivity by linear interpolation; beyond the curve's end, its last value."""
        return np.interp(fp_per_scan, self.fp_per_scan, self.sensitivity)


@dataclass(frozen=True, eq=False)
class FrocResult:
    """What the protocol reports.

    :param sensitivity: at the seven `OPERATING_POINTS`; :param cpm: their mean (competition performance metric).
    :param tp: nodules hit; :param fn: nodules missed; :param fp: marks that hit neither a nodule nor an excluded
        finding.
    :param scans: scans evaluated, repeated ones as often as listed.
    """

    sensitivity: Floats
    cpm: float
    tp: int
    fp: int
    fn: int
    scans: int
    curve: FrocCurve
    band: FrocBand | None = None


def free_response(outcomes: Outcomes, bootstrap: int = 0, seed: int = 0) -> FrocResult:
    """The curve of matched marks, and what is read from it.

    :param bootstrap: resamples for the band; 0 for none. :param seed: of their generator.
    :raises InputError: when there is no nodule.
    """
    lesions = len(outcomes.nodule_score)
    if not lesions:
        raise InputError(
            "None of the listed scans has an annotated nodule, so there is no sensitivity; check both lists."
        )
    ranked = _Ranked(outcomes)
    curve = ranked.curve(np.ones(outcomes.units))
    sensitivity = curve.at(OPERATING_POINTS)
    detected = int(outcomes.found.sum())
    return FrocResult(
        sensitivity=sensitivity,
        cpm=float(sensitivity.mean()),
        tp=detected,
        fp=len(outcomes.false_score),
        fn=lesions - detected,
        scans=outcomes.scans,
        curve=curve,
        band=_band(ranked, bootstrap, seed) if bootstrap else None,
    )


def resampled_sensitivity(
    outcomes: Outcomes, fp_per_scan: Sequence[float] = OPERATING_POINTS, samples: int = 1000, seed: int = 0
) -> Floats:
    """Sensitivity (samples, points) in resamples of the listed units.

    With the same seed two detectors on the same units get the same draws: their rows may be subtracted.
    """
    ranked = _Ranked(outcomes)
    rows = [ranked.curve(times).at(fp_per_scan) for times in outcomes.resamples(samples, seed)]
    return np.array(rows).reshape(samples, len(fp_per_scan))


def roc_points(is_positive: NDArray[np.bool_], score: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Counts of false and of true positives at each distinct score, falling, without the points that lie on a straight
    run.

    The same points as `sklearn.metrics.roc_curve` (with `drop_intermediate`) before it divides by the totals; kept in
    numpy so that the runtime needs no scikit-learn.

    :returns: false positives, true positives, thresholds; the first point is (0, 0, inf).
    """
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], is_positive[order]
    counted = weight[order]
    last = np.r_[np.flatnonzero(np.diff(score)), len(score) - 1] if len(score) else np.zeros(0, dtype=np.intp)
    true = np.cumsum(positive * counted)[last]
    false = np.cumsum(~positive * counted)[last]
    threshold = score[last]
    if len(last) > 2:
        corner = np.r_[True, (np.diff(false, 2) != 0) | (np.diff(true, 2) != 0), True]
        false, true, threshold = false[corner], true[corner], threshold[corner]
    return np.r_[0.0, false], np.r_[0.0, true], np.r_[np.inf, threshold]


class _Ranked:
    """Outcomes sorted once by falling score, so that each resample's own sort finds its data in order."""

    def __init__(self, outcomes: Outcomes) -> None:
        self.outcomes = outcomes
        found = outcomes.found
        score = np.concatenate((outcomes.nodule_score[found], outcomes.false_score))
        order = np.argsort(-score, kind="stable")
        self._score = score[order]
        self._unit = np.concatenate((outcomes.nodule_unit[found], outcomes.false_unit))[order]
        self._nodules = np.bincount(outcomes.nodule_unit, minlength=outcomes.units)
        self._is_nodule = (np.arange(len(score)) < found.sum())[order]

    def curve(self, times: Floats) -> FrocCurve:
        """The curve when each unit counts `times` (units,)."""
        drawn = times[self._unit]
        kept = drawn > 0
        lesions = float(self._nodules @ times)
        false, true, threshold = roc_points(self._is_nodule[kept], self._score[kept], drawn[kept])
        return FrocCurve(*_rates(false, true, self.outcomes.scans, lesions), threshold)


def _rates(false: Floats, true: Floats, scans: int, lesions: float) -> tuple[Floats, Floats]:
    """Counts to false positives per scan and sensitivity.

    By way of rates, as the challenge's script does: where a curve rises steeply exactly at an operating point, the
    rounding of this very order of operations decides which end is read.
    """
    false_rate = false / false[-1] if false[-1] > 0 else np.zeros_like(false)
    true_rate = true / true[-1] if true[-1] > 0 else np.zeros_like(true)
    return false_rate * false[-1] / scans, true_rate * true[-1] / lesions


def _band(ranked: _Ranked, samples: int, seed: int) -> FrocBand:
    grid = np.linspace(OPERATING_POINTS[0], OPERATING_POINTS[-1], BAND_POINTS)
    # float32, as in the challenge's script: half the memory, and far below the band's own uncertainty.
    sensitivity = np.empty((samples, BAND_POINTS), dtype=np.float32)
    cpm = np.empty(samples)
    for n, times in enumerate(ranked.outcomes.resamples(samples, seed)):
        curve = ranked.curve(times)
        sensitivity[n] = curve.at(grid)
        cpm[n] = curve.at(OPERATING_POINTS).mean()
    mean = sensitivity.mean(axis=0, dtype=np.float64)
    low, high = band_positions(samples)
    sensitivity.partition((low, high), axis=0)
    cpm.sort()
    lower, upper = (sensitivity[n].astype(np.float64) for n in (low, high))
    return FrocBand(grid, mean, lower, upper, (float(cpm[low]), float(cpm[high])))


def band_positions(samples: int) -> tuple[int, int]:
    """Which of the ordered resamples bound the 95 %: of 1000, the ones at 25 and 975, as in the challenge's script."""
    tail = (1 - CONFIDENCE) / 2
    return int(tail * samples), int((1 - tail) * samples)
