"""The pictures of an evaluation's page: drawn once, written to files and embedded in the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import figures
from .auc import Estimate
from .data_set import ORIGINS
from .pictures import animation, feature_map_picture, planes_picture, slices_grid, summary_grid
from .samples import OUTCOMES, Outcome, PatchSource, Sample, choose_samples
from .study import SetResult, Study

if TYPE_CHECKING:
    from torch import nn

GRID_COLUMNS = 5
ANIMATED = 2
COMPARED = 3
MISSED_SHOWN = 10
"""A23's, A21's and A22's numbers of examples; A20's may be more, because they matter most."""

COMPARISON = "figures/data-sets.png"
COMPARED_FIGURES = ("AUC", "Sensitivity", "Specificity", "CPM")

Captioned = tuple[str, str]
"""Path of a picture and what it shows."""


@dataclass(frozen=True)
class Examples:
    """Paths of one data set's example pictures, with their captions."""

    grid: str
    films: list[Captioned]
    planes: list[Captioned]


@dataclass
class PageFiles:
    """Every picture by its path in the result's folder, and where each belongs.

    :param paths: of each data set's figures by name. :param examples: by number of the data set.
    :param feature_maps: of each shown patch, what it is and its layers.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    paths: list[dict[str, str]] = field(default_factory=list)
    examples: list[tuple[int, Examples]] = field(default_factory=list)
    feature_maps: list[tuple[str, list[Captioned]]] = field(default_factory=list)
    histories: list[Captioned] = field(default_factory=list)

    def add(self, path: str, content: bytes) -> str:
        """Keep a picture; returns its path."""
        self.files[path] = content
        return path


def draw_page(
    study: Study,
    *,
    source: PatchSource | None = None,
    network: nn.Module | None = None,
    histories: Mapping[str, tuple[str, Mapping[str, Sequence[float]]]] | None = None,
) -> PageFiles:
    """Draw every figure of a study, and its examples where images are at hand.

    :param source: of the patches; None leaves A20-A24's pictures out.
    :param network: the classifier, for the feature maps of one nodule and one place without; None leaves them out.
    :param histories: by name of a training run the name of its column of steps, and its columns.
    """
    page = PageFiles()
    for number, result in enumerate(study.sets):
        page.paths.append(_draw_set(page, result, _folder(number, result), study.threshold))
        if source is not None:
            _draw_examples(page, study, number, source, network)
    if len(study.sets) > 1:
        rows = [(f"{r.data.name}\n({ORIGINS[r.data.origin]})", _compared(r)) for r in study.sets]
        page.add(COMPARISON, figures.comparison_figure(rows, COMPARED_FIGURES))
    for name, (step, columns) in (histories or {}).items():
        path = page.add(f"figures/history/{_plain(name)}.png", figures.history_figure(dict(columns), step))
        page.histories.append((path, f"Training run {name}"))
    return page


def _draw_set(page: PageFiles, result: SetResult, folder: str, threshold: float) -> dict[str, str]:
    names = ("froc", "roc", "precision_recall", "confusion", "calibration", "malignancy", "missed", "missed_slices")
    paths = {name: f"figures/{folder}/{name.replace('_', '-')}.png" for name in names}
    page.add(paths["froc"], figures.froc_figure(result.froc))
    if result.candidates is not None:
        page.add(paths["roc"], figures.roc_figure(result.candidates))
        page.add(paths["precision_recall"], figures.precision_recall_figure(result.candidates))
        counts = figures.confusion_figure(result.candidates.confusion, "nodule", "no nodule")
        page.add(paths["confusion"], counts)
        if result.candidates.calibration is not None:
            page.add(paths["calibration"], figures.calibration_figure(result.candidates.calibration))
    if result.malignancy is not None:
        alone = ("Diameter alone", result.malignancy.diameter)
        page.add(paths["malignancy"], figures.roc_figure(result.malignancy.score, alone, "Malignancy score"))
    if result.missed:
        page.add(paths["missed"], figures.missed_figure(result.missed, threshold))
    return paths


def _draw_examples(page: PageFiles, study: Study, number: int, source: PatchSource, network: nn.Module | None) -> None:
    result = study.sets[number]
    folder = _folder(number, result)
    samples = choose_samples(result.data, study.threshold, source, max(GRID_COLUMNS, MISSED_SHOWN), study.seed)
    if not any(samples.values()):
        return
    if missed := samples["false_negative"]:
        page.add(page.paths[number]["missed_slices"], slices_grid(missed[:MISSED_SHOWN]))
    shown = {outcome: found[:GRID_COLUMNS] for outcome, found in samples.items()}
    grid = page.add(f"examples/{folder}/summary.png", summary_grid(shown, GRID_COLUMNS))
    films: list[Captioned] = []
    planes: list[Captioned] = []
    for outcome, found in shown.items():
        for n, sample in enumerate(found[:COMPARED], start=1):
            stem = f"examples/{folder}/{outcome}/{n:02d}-{_plain(sample.case)}"
            caption = _caption(sample)
            planes.append((page.add(f"{stem}.png", planes_picture(sample, study.threshold)), caption))
            if n <= ANIMATED:
                films.append((page.add(f"{stem}.gif", animation(sample)), caption))
    page.examples.append((number, Examples(grid, films, planes)))
    if network is not None and not page.feature_maps:
        for outcome in ("true_positive", "true_negative"):
            for sample in shown[outcome][:1]:
                _draw_feature_maps(page, network, sample, outcome)


def _draw_feature_maps(page: PageFiles, network: nn.Module, sample: Sample, outcome: Outcome) -> None:
    from .feature_maps import feature_maps

    layers = []
    for n, maps in enumerate(feature_maps(network, sample.patch), start=1):
        path = f"feature-maps/{outcome}/{n:02d}-{_plain(maps.layer)}.png"
        height, width = maps.maps.shape[1:]
        text = f"{maps.layer}: {len(maps.maps)} of {maps.channels} channels, {height} x {width}"
        layers.append((page.add(path, feature_map_picture(maps)), text))
    page.feature_maps.append((_caption(sample), layers))


def _compared(result: SetResult) -> list[Estimate | None]:
    c = result.candidates
    band = result.froc.band
    cpm = Estimate(result.froc.cpm, *(band.cpm if band is not None else (None, None)))
    if c is None:
        return [None, None, None, cpm]
    return [c.auc, c.confusion.sensitivity, c.confusion.specificity, cpm]


def _caption(sample: Sample) -> str:
    score = "no mark" if sample.score is None else f"score {sample.score:.3f}"
    return f"{OUTCOMES[sample.outcome].capitalize()}, {score}: {sample.case}"


def _folder(number: int, result: SetResult) -> str:
    return f"{number + 1}-{_plain(result.data.name)}"


def _plain(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:60] or "unnamed"
