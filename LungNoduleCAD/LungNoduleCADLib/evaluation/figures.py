"""Curves and charts of an evaluation, as PNG: the same bytes for the same figures, without a display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .auc import Estimate
from .calibration import Calibration
from .classification import Classification, Confusion
from .detection import Missed
from .free_response import OPERATING_POINTS, FrocResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, ACCENT, SECOND, WARN = "#14212e", "#7a8896", "#0a6c74", "#b5542a", "#c22f2f"
SIZE_IN = (6.2, 4.6)
DPI = 130
BARS_PER_INCH = 1.1
LOWEST_WITH_LABEL = 0.07
"""A bar that is lower does not reach behind its label."""


def froc_figure(result: FrocResult) -> bytes:
    """Sensitivity against false positives per scan, 1/8 to 8 on a logarithmic axis, with the bootstrap band."""
    figure, axes = _figure()
    grid = np.geomspace(OPERATING_POINTS[0], OPERATING_POINTS[-1], 600)
    if result.band is not None:
        band = result.band
        axes.fill_between(
            band.fp_per_scan, band.lower, band.upper, color=ACCENT, alpha=0.16, lw=0, label="95 % of resamples"
        )
    axes.plot(grid, result.curve.at(grid), color=ACCENT, lw=2, label="FROC")
    axes.plot(OPERATING_POINTS, result.sensitivity, "o", color=ACCENT, ms=5, label=f"CPM {result.cpm:.3f}")
    axes.set_xscale("log", base=2)
    axes.set_xticks(OPERATING_POINTS, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_xlim(OPERATING_POINTS[0], OPERATING_POINTS[-1])
    _unit_axis(axes, "y")
    axes.set(xlabel="False positives per scan", ylabel="Sensitivity")
    axes.legend(loc="lower right", frameon=False)
    return _png(figure)


def roc_figure(result: Classification, second: tuple[str, Classification] | None = None, name: str = "Score") -> bytes:
    """The ROC curve with the threshold that the counts were made at.

    :param second: name and figures of another score of the same cases.
    """
    figure, axes = _figure((4.9, 4.6))
    axes.plot((0, 1), (0, 1), color=SOFT, lw=1, ls="--")
    if second is not None:
        label = f"{second[0]}, AUC {_with_interval(second[1].auc)}"
        axes.plot(second[1].false_positive_rate, second[1].sensitivity, color=SECOND, lw=1.6, label=label)
    label = f"{name}, AUC {_with_interval(result.auc)}"
    axes.plot(result.false_positive_rate, result.sensitivity, color=ACCENT, lw=2, label=label)
    counts = result.confusion
    if counts.sensitivity is not None and counts.specificity is not None:
        point = 1 - counts.specificity.value, counts.sensitivity.value
        axes.plot(*point, "o", color=WARN, ms=7, label=f"Threshold {result.threshold:.3g}")
    _unit_axis(axes, "x")
    _unit_axis(axes, "y")
    axes.set(xlabel="1 - specificity", ylabel="Sensitivity")
    axes.legend(loc="lower right", frameon=False)
    return _png(figure)


def precision_recall_figure(result: Classification) -> bytes:
    """Precision against recall, with what guessing would give."""
    figure, axes = _figure((4.9, 4.6))
    prevalence = result.positives / (result.positives + result.negatives)
    axes.axhline(prevalence, color=SOFT, lw=1, ls="--", label=f"Guessing: {prevalence:.3f}")
    label = f"Average precision {result.average_precision:.3f}"
    axes.step(result.recall, result.precision, where="post", color=ACCENT, lw=2, label=label)
    counts = result.confusion
    if counts.sensitivity is not None and counts.precision is not None:
        point = counts.sensitivity.value, counts.precision.value
        axes.plot(*point, "o", color=WARN, ms=7, label=f"Threshold {result.threshold:.3g}")
    _unit_axis(axes, "x")
    _unit_axis(axes, "y")
    axes.set(xlabel="Recall (sensitivity)", ylabel="Precision")
    axes.legend(loc="center left", frameon=False)
    return _png(figure)


def confusion_figure(counts: Confusion, positive: str, negative: str) -> bytes:
    """The four counts, each shaded by its share of its true class.

    :param positive, negative: what the classes are called.
    """
    figure, axes = _figure((4.9, 4.2))
    table = np.array([[counts.tn, counts.fp], [counts.fn, counts.tp]])
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="GnBu", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        text = f"{count:,}\n{share[row, column]:.1%}"
        color = "white" if share[row, column] > 0.6 else INK
        axes.text(column, row, text, ha="center", va="center", fontsize=14, color=color)
    axes.set_xticks((0, 1), (negative, positive))
    axes.set_yticks((0, 1), (negative, positive), rotation=90, va="center")
    axes.set(xlabel="Found", ylabel="Truth")
    axes.tick_params(length=0)
    axes.grid(False)
    return _png(figure)


def calibration_figure(result: Calibration) -> bytes:
    """Observed share against the score of each bin, above how many cases each bin holds."""
    figure, (upper, lower) = _figures((4.9, 5.2), (3, 1))
    mean = [b.mean_score for b in result.bins]
    observed = np.array([b.observed.value for b in result.bins])
    low = observed - [b.observed.low or 0.0 for b in result.bins]
    high = np.array([1.0 if b.observed.high is None else b.observed.high for b in result.bins]) - observed
    upper.plot((0, 1), (0, 1), color=SOFT, lw=1, ls="--", label="Perfect")
    label = f"Brier {result.brier:.3f}, ECE {result.expected_error:.3f}"
    spread = np.clip([low, high], 0, None)
    upper.errorbar(mean, observed, yerr=spread, fmt="o-", color=ACCENT, lw=1.5, ms=5, capsize=2, label=label)
    _unit_axis(upper, "x")
    _unit_axis(upper, "y")
    upper.set(ylabel="Observed share")
    upper.legend(loc="upper left", frameon=False)
    width = result.bins[0].high - result.bins[0].low
    lower.bar(
        [b.low for b in result.bins], [b.count for b in result.bins], width, align="edge", color=ACCENT, alpha=0.6
    )
    lower.set(xlabel="Score", ylabel="Cases", xlim=upper.get_xlim())
    return _png(figure)


def comparison_figure(rows: Sequence[tuple[str, Sequence[Estimate | None]]], names: Sequence[str]) -> bytes:
    """Bars with intervals: the same figures of several data sets (A18).

    :param rows: name of each data set and its figures, None where there is none. :param names: of the figures.
    """
    figure, axes = _figure((max(SIZE_IN[0], 1.5 + BARS_PER_INCH * len(rows) * len(names) / 2), SIZE_IN[1]))
    width = 0.8 / len(names)
    for n, (name, color) in enumerate(zip(names, (ACCENT, SECOND, "#5b6ea8", SOFT), strict=False)):
        for place, (_, figures) in enumerate(rows):
            estimate = figures[n]
            if estimate is None:
                continue
            x = place + (n - (len(names) - 1) / 2) * width
            axes.bar(x, estimate.value, width * 0.92, color=color, label=name if not place else None)
            if estimate.low is not None and estimate.high is not None:
                spread = [[max(estimate.value - estimate.low, 0)], [max(estimate.high - estimate.value, 0)]]
                axes.errorbar(x, estimate.value, yerr=spread, color=INK, lw=1, capsize=2)
            inside = "white" if estimate.value > LOWEST_WITH_LABEL else INK
            axes.text(x, 0.02, f"{estimate.value:.2f}", ha="center", va="bottom", color=inside, fontsize=8)
    axes.set_xticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(0, 1.02)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    figure.legend(loc="outside upper center", ncols=len(names), frameon=False)
    return _png(figure)


def missed_figure(missed: Sequence[Missed], threshold: float) -> bytes:
    """Scores of the missed nodules against the threshold; those without a mark beside them (A20)."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure()
    scores = [m.score for m in missed if m.score is not None]
    low = min([0.0, *scores])
    low = low if low < threshold else threshold - 1
    bins = np.linspace(low, threshold, 21)
    if scores:
        axes.hist(scores, bins=bins.tolist(), color=ACCENT, alpha=0.75, label=f"{len(scores)} with a mark")
    without = len(missed) - len(scores)
    width = bins[1] - bins[0]
    if without:
        axes.bar(low - 2 * width, without, width, color=SECOND, label=f"{without} without any mark")
    axes.axvline(threshold, color=WARN, ls="--", label=f"Threshold {threshold:.3g}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="Score of the best mark", ylabel="Missed nodules")
    axes.legend(frameon=False)
    return _png(figure)


def history_figure(columns: dict[str, Sequence[float]], step: str) -> bytes:
    """Training history: each column against the steps, in a panel of its own (A19).

    :param columns: by name, all of one length, that of the steps among them. :param step: the column of the steps.
    """
    shown = {name: values for name, values in columns.items() if name != step}
    figure, panels = _figures((SIZE_IN[0], 1.0 + 1.9 * len(shown)), [1] * len(shown))
    for panel, (name, values) in zip(panels, shown.items(), strict=True):
        panel.plot(columns[step], values, color=ACCENT, lw=1.5)
        panel.set_ylabel(name)
    panels[-1].set_xlabel(step)
    return _png(figure)


def _figure(size_in: tuple[float, float] = SIZE_IN) -> tuple[Figure, Axes]:
    """A figure with one panel."""
    figure, (axes,) = _figures(size_in, (1,))
    return figure, axes


def _figures(size_in: tuple[float, float], heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """A figure with panels below each other, in the house's style. Without pyplot, which keeps every figure alive."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_in, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(len(heights), 1, height_ratios=list(heights), squeeze=False)[:, 0])
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color(SOFT)
        panel.tick_params(colors=INK, labelsize=10)
        panel.grid(color="#e4e9ee", lw=0.8)
        panel.set_axisbelow(True)
    return figure, panels


def _unit_axis(axes: Axes, which: str) -> None:
    """0 to 1 with a little room, so that a curve along the edge is seen."""
    (axes.set_xlim if which == "x" else axes.set_ylim)(-0.01, 1.01)
    (axes.set_xticks if which == "x" else axes.set_yticks)(np.linspace(0, 1, 6))


def _with_interval(estimate: Estimate) -> str:
    interval = "" if estimate.low is None else f" ({estimate.low:.3f} to {estimate.high:.3f})"
    return f"{estimate.value:.3f}{interval}"


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    # No version or date in the file: the same figures give the same bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
