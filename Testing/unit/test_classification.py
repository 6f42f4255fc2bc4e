"""Scores against classes: hand-computed figures, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.evaluation import libraries
from LungNoduleCADLib.evaluation.auc import Resampling, compare_auc, delong, roc_auc
from LungNoduleCADLib.evaluation.calibration import calibration
from LungNoduleCADLib.evaluation.classification import Confusion, classify_cases, clinical_threshold, confusion_at
from LungNoduleCADLib.evaluation.proportions import proportion

POSITIVE = np.array([True, True, False, False, False])
SCORE = np.array([0.9, 0.4, 0.5, 0.4, 0.1])
"""Of six pairs, four are right, one is a tie, one is wrong: the area is 4.5 / 6."""


def own_units(count: int, samples: int = 200, seed: int = 0) -> Resampling:
    return Resampling.of_units(np.arange(count), samples, seed)


def two_scores(seed: int, count: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    positive = generator.random(count) < 0.4
    return positive, generator.normal(positive * 1.5), generator.normal(positive * 0.7).round(1)


# -- area -------------------------------------------------------------------------------------------------------------
def test_area_by_hand() -> None:
    estimate = roc_auc(POSITIVE, SCORE)
    assert estimate.value == pytest.approx(0.75)
    assert estimate.low is None and estimate.high is None


def test_variance_by_hand() -> None:
    # Shares of the negatives below each positive: 1, 0.5; of the positives above each negative: 0.5, 0.75, 1.
    areas, covariance = delong(POSITIVE, SCORE[None])
    assert areas[0] == pytest.approx(0.75)
    assert covariance[0, 0] == pytest.approx(0.125 / 2 + 0.0625 / 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=30))
def test_area_equals_scikit_learns_and_a_rising_map_leaves_it(cases: list[tuple[bool, int]]) -> None:
    positive, score = np.array([c[0] for c in cases]), np.array([float(c[1]) for c in cases])
    if positive.all() or not positive.any():
        with pytest.raises(InputError, match=r"no (positive|negative) case"):
            roc_auc(positive, score)
        return
    area = roc_auc(positive, score).value
    assert area == pytest.approx(roc_auc_score(positive, score))
    assert roc_auc(positive, np.exp(score) * 3 - 1).value == pytest.approx(area)
    assert roc_auc(~positive, score).value == pytest.approx(1 - area)
    assert roc_auc(np.tile(positive, 3), np.tile(score, 3)).value == pytest.approx(area)


def test_interval_is_seeded_and_holds_the_area() -> None:
    positive, score, _ = two_scores(1)
    first, again = (roc_auc(positive, score, own_units(120, 300, seed=5)) for _ in range(2))
    assert first == again != roc_auc(positive, score, own_units(120, 300, seed=6))
    assert first.low is not None and first.high is not None
    assert 0.5 < first.low < first.value < first.high < 1
    # As wide as theory says, within the noise of 300 resamples.
    spread = np.sqrt(delong(positive, score[None])[1][0, 0])
    assert (first.high - first.low) / (2 * 1.96 * spread) == pytest.approx(1, abs=0.25)


def test_cases_drawn_together_widen_the_interval() -> None:
    positive, score, _ = two_scores(2, 60)
    many, scores = np.repeat(positive, 6), np.repeat(score, 6)
    apart = roc_auc(many, scores, own_units(360, 300))
    together = roc_auc(many, scores, Resampling.of_units(np.repeat(np.arange(60), 6), 300))
    assert apart.value == together.value
    width = [e.high - e.low for e in (apart, together) if e.high is not None and e.low is not None]
    assert width[1] > 1.7 * width[0]  # sixfold copies: the square root of six, less noise


def test_kinds_of_units_are_drawn_apart() -> None:
    positive = np.array([True] * 3 + [False] * 2)
    resampling = Resampling(np.arange(5), (np.arange(3), np.array([3, 4])), 50)
    for times in resampling.draws(positive):
        assert times[:3].sum() == 3 and times[3:].sum() == 2


def test_one_unit_has_no_interval() -> None:
    assert roc_auc(POSITIVE, SCORE, Resampling.of_units(np.zeros(5, dtype=int))).low is None


# -- two scores -------------------------------------------------------------------------------------------------------
def test_difference_of_two_scores_and_its_mirror() -> None:
    positive, good, bad = two_scores(3, 400)
    result = compare_auc(positive, good, bad, own_units(400))
    mirror = compare_auc(positive, bad, good, own_units(400))
    assert result.difference.value == pytest.approx(result.first.value - result.second.value)
    assert mirror.difference.value == pytest.approx(-result.difference.value)
    assert mirror.p_value == pytest.approx(result.p_value)
    assert result.difference.low is not None and result.difference.low > 0
    assert result.p_value is not None and result.p_value < 0.05
    assert result.first == roc_auc(positive, good, own_units(400))


def test_p_value_agrees_with_the_interval_and_with_delong_by_definition() -> None:
    positive, first, second = two_scores(4)
    wins = [
        np.array([[(a > b) + (a == b) / 2 for b in s[~positive]] for a in s[positive]]) for s in (first, second)
    ]  # fmt: skip
    areas, covariance = delong(positive, np.stack((first, second)))
    assert areas == pytest.approx([w.mean() for w in wins])
    by_definition = np.cov([w.mean(axis=1) for w in wins]) / positive.sum()
    by_definition += np.cov([w.mean(axis=0) for w in wins]) / (~positive).sum()
    np.testing.assert_allclose(covariance, by_definition)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    expected = 2 * stats.norm.sf(abs(areas[0] - areas[1]) / np.sqrt(variance))
    assert compare_auc(positive, first, second).p_value == pytest.approx(expected)


def test_a_score_does_not_differ_from_itself() -> None:
    positive, score, _ = two_scores(5)
    result = compare_auc(positive, score, 10 * score + 3, own_units(120, 50))
    assert (result.difference.value, result.difference.low, result.difference.high) == (0, 0, 0)
    assert result.p_value == 1.0


def test_too_few_cases_have_no_p_value() -> None:
    positive, score = np.array([True, False, False]), np.array([0.9, 0.4, 0.1])
    assert compare_auc(positive, score, -score).p_value is None
    with pytest.raises(InputError, match="fewer than two"):
        delong(positive, score[None])
    perfect = np.array([True, True, False, False]), np.array([4.0, 3.0, 2.0, 1.0])
    assert compare_auc(*perfect, -perfect[1]).p_value is None  # areas 1 and 0, without any variance


# -- thresholds -------------------------------------------------------------------------------------------------------
def test_clinical_threshold_is_the_highest_that_keeps_95_percent() -> None:
    score = np.arange(1, 21) / 20
    positive = np.ones(20, dtype=bool)
    assert clinical_threshold(positive, score) == pytest.approx(0.10)  # 19 of 20
    assert clinical_threshold(positive[:19], score[:19]) == pytest.approx(0.05)  # 18 of 19 are too few
    assert clinical_threshold(positive, score, sensitivity=0.5) == pytest.approx(0.55)
    assert clinical_threshold(np.array([False, True, True]), np.array([0.9, 0.3, 0.3])) == 0.3
    with pytest.raises(InputError, match="no positive case"):
        clinical_threshold(np.zeros(3, dtype=bool), score[:3])


@pytest.mark.parametrize("seed", range(8))
def test_clinical_threshold_is_the_roc_curves_first_point_with_95_percent(seed: int) -> None:
    positive, score, _ = two_scores(seed)
    threshold = clinical_threshold(positive, score)
    kept = [(score[positive] >= t).mean() for t in np.sort(score)[::-1] if t > threshold]
    assert (score[positive] >= threshold).mean() >= 0.95 > max(kept, default=0)


def test_confusion_by_hand() -> None:
    counts = confusion_at(POSITIVE, SCORE, 0.4)
    assert counts == Confusion(tp=2, fp=2, fn=0, tn=1)  # scores at the threshold count as found
    assert confusion_at(POSITIVE, SCORE, 0.41) == Confusion(tp=1, fp=1, fn=1, tn=2)
    counts = Confusion(tp=6, fp=2, fn=3, tn=9)
    assert counts.sensitivity is not None and counts.sensitivity.value == pytest.approx(2 / 3)
    assert counts.specificity is not None and counts.specificity.value == pytest.approx(9 / 11)
    assert counts.precision is not None and counts.precision.value == pytest.approx(0.75)
    assert counts.negative_predictive_value is not None
    assert counts.negative_predictive_value.value == pytest.approx(0.75)
    assert counts.f1 == pytest.approx(12 / 17) and counts.accuracy == pytest.approx(0.75)
    assert counts.balanced_accuracy == pytest.approx((2 / 3 + 9 / 11) / 2)


def test_figures_of_nothing_are_none() -> None:
    counts = Confusion(tp=0, fp=0, fn=0, tn=5)
    assert counts.sensitivity is None and counts.precision is None and counts.f1 is None
    assert counts.balanced_accuracy is None and counts.accuracy == 1.0
    assert Confusion(0, 0, 0, 0).accuracy is None


def test_wilsons_interval_by_hand() -> None:
    estimate = proportion(9, 10)
    z = 1.959963984540054
    middle, half = (0.9 + z**2 / 20) / (1 + z**2 / 10), z * np.sqrt(0.009 + z**2 / 400) / (1 + z**2 / 10)
    assert estimate is not None and estimate.value == 0.9
    assert (estimate.low, estimate.high) == (pytest.approx(middle - half), pytest.approx(middle + half))
    assert proportion(0, 0) is None


def test_every_figure_of_a_score() -> None:
    result = classify_cases(POSITIVE, SCORE, resampling=own_units(5, 20))
    assert (result.positives, result.negatives, result.auc.value) == (2, 3, 0.75)
    assert result.clinical_threshold == result.threshold == 0.4
    assert result.confusion == Confusion(tp=2, fp=2, fn=0, tn=1)
    # Recall rises by a half at 0.9 (1 of 1 right) and by the other at 0.4 (2 of 4 right).
    assert result.average_precision == pytest.approx(0.5 * 1 + 0.5 * 0.5)
    assert classify_cases(POSITIVE, SCORE, threshold=0.95).confusion == Confusion(tp=0, fp=0, fn=2, tn=3)
    assert classify_cases(POSITIVE, SCORE * 20).calibration is None
    with pytest.raises(InputError, match="not finite"):
        classify_cases(POSITIVE, np.array([0.1, np.nan, 0.2, 0.3, 0.4]))


# -- calibration ------------------------------------------------------------------------------------------------------
def test_calibration_by_hand() -> None:
    result = calibration(np.array([False, False, True, False]), np.array([0.1, 0.1, 0.9, 0.9]))
    assert result.brier == pytest.approx((0.01 + 0.01 + 0.01 + 0.81) / 4)
    assert result.brier_of_prevalence == pytest.approx(0.25 * 0.75)
    assert result.expected_error == pytest.approx(0.5 * 0.1 + 0.5 * 0.4)
    assert [(b.low, b.high, b.count) for b in result.bins] == [(0.1, 0.2, 2), (0.9, 1.0, 2)]
    assert [(b.mean_score, b.observed.value) for b in result.bins] == [
        (pytest.approx(0.1), 0),
        (pytest.approx(0.9), 0.5),
    ]


def test_honest_scores_are_calibrated_and_boastful_ones_are_not() -> None:
    generator = np.random.default_rng(0)
    score = generator.random(20_000)
    happened = generator.random(20_000) < score
    assert calibration(happened, score).expected_error < 0.02
    assert calibration(happened, np.sqrt(score)).expected_error == pytest.approx(2 / 3 - 1 / 2, abs=0.02)


def test_a_score_of_one_is_in_the_last_bin_and_no_score_beyond_is_taken() -> None:
    assert [b.count for b in calibration(np.array([True, False]), np.array([1.0, 0.0])).bins] == [1, 1]
    for scores in (np.array([1.2, 0.1]), np.array([-0.1, 0.5]), np.array([np.nan, 0.5]), np.zeros(0)):
        with pytest.raises(InputError, match="no probabilities"):
            calibration(np.ones(len(scores), dtype=bool), scores)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(libraries.importlib, "import_module", missing)
    with pytest.raises(libraries.MissingLibraryError, match=r"scikit-learn is missing.*pip install"):
        confusion_at(POSITIVE, SCORE, 0.5)
    with pytest.raises(libraries.MissingLibraryError, match="Jinja2"):
        libraries.jinja2()
