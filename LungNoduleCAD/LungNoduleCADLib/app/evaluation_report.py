"""An evaluation as a folder: the page, the figures as data, and every picture beside it (A17-A25)."""

from __future__ import annotations

import csv
import hashlib
import io
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import InputError
from ..evaluation.auc import Estimate
from ..evaluation.data_set import ORIGINS, DataSet
from ..evaluation.free_response import OPERATING_POINTS
from ..evaluation.page import render_page
from ..evaluation.page_files import draw_page
from ..evaluation.record import study_as_json
from ..evaluation.samples import PatchSource
from ..evaluation.study import SetResult, Study, evaluate_sets
from ..io.atomic import output_folder, write_bytes, write_json, write_text
from ..report.text import spreadsheet_text
from .marks import result_files

if TYPE_CHECKING:
    from torch import nn

PAGE, RECORD, METRICS, MISSED = "index.html", "evaluation.json", "metrics.csv", "missed-nodules.csv"
LIBRARIES = ("numpy", "scipy", "scikit-learn", "matplotlib", "pillow", "torch")


def write_evaluation(
    sets: Sequence[DataSet],
    output: Path,
    *,
    inputs: Iterable[Path],
    threshold: float | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    source: PatchSource | None = None,
    network: nn.Module | None = None,
    histories: Mapping[str, tuple[str, Mapping[str, Sequence[float]]]] | None = None,
    remarks: Sequence[tuple[str, str]] = (),
) -> Study:
    """Evaluate data sets and write `index.html`, `evaluation.json`, `metrics.csv`, `missed-nodules.csv` and the
    pictures: the folder appears whole or not at all, and the same input gives the same bytes.

    :param inputs: files, and folders of results, that the sets were read from; named on the page with their hashes.
    :param source, network, histories: as of `draw_page`. :param remarks: further names and values of the provenance.
    :raises LungNoduleCADError: for everything that is the user's to mend.
    """
    with output_folder(output) as folder:
        study = evaluate_sets(sets, threshold=threshold, bootstrap=bootstrap, seed=seed)
        page = draw_page(study, source=source, network=network, histories=histories)
        provenance = [*remarks, *_provenance(inputs)]
        write_text(folder / PAGE, render_page(study, page, provenance))
        origin = [{"name": name, "value": value} for name, value in provenance]
        write_json(folder / RECORD, {**study_as_json(study), "provenance": origin})
        write_text(folder / METRICS, _csv([_metrics(result) for result in study.sets]))
        write_text(folder / MISSED, _csv([row for result in study.sets for row in _missed(result)], MISSED_COLUMNS))
        for path, content in page.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(folder / path, content)
    return study


def describe_evaluation(study: Study, output: Path) -> str:
    """For a person: the main figures, and where the page is."""
    lines = [f"Threshold {study.threshold:.4g}: {study.threshold_from}"]
    for result in study.sets:
        froc = result.froc
        lines.append(f"{result.data.name} ({ORIGINS[result.data.origin]}): {result.data.description}")
        interval = "" if froc.band is None else f" ({froc.band.cpm[0]:.3f} to {froc.band.cpm[1]:.3f})"
        lines.append(f"  CPM {froc.cpm:.4f}{interval}, {len(result.missed)} of {len(result.data.nodules)} missed")
        if result.candidates is not None:
            lines.append(f"  ROC AUC of the candidates {_text(result.candidates.auc)}")
        if result.malignancy is not None:
            m = result.malignancy.comparison
            lines.append(f"  malignancy: AUC {_text(m.first)}, diameter alone {_text(m.second)}")
    return "\n".join([*lines, f"Written to {output / PAGE}"])


MISSED_COLUMNS = ("set", "origin", "case", "x", "y", "z", "diameter_mm", "density", "malignant", "score")


def _missed(result: SetResult) -> Iterable[dict[str, Any]]:
    for missed in result.missed:
        nodule = missed.nodule
        place = dict(zip("xyz", nodule.place, strict=True)) if nodule.place is not None else {}
        yield {
            "set": result.data.name,
            "origin": ORIGINS[result.data.origin],
            "case": nodule.case,
            **place,
            "diameter_mm": nodule.diameter_mm,
            "density": nodule.density,
            "malignant": nodule.malignant,
            "score": missed.score,
        }


def _metrics(result: SetResult) -> dict[str, Any]:
    """One line of figures for a data set, each with its interval."""
    froc = result.froc
    band = (None, None) if froc.band is None else froc.band.cpm
    row: dict[str, Any] = {
        "set": result.data.name,
        "origin": ORIGINS[result.data.origin],
        "nodules": len(result.data.nodules),
        "scans": froc.scans,
        "found": froc.tp,
        "without_mark": froc.fn,
        "false_marks": froc.fp,
    }
    for point, value in zip(OPERATING_POINTS, froc.sensitivity, strict=True):
        row[f"sensitivity_at_{point:g}_fp"] = float(value)
    row |= _cells("cpm", Estimate(froc.cpm, *band))
    c = result.candidates
    row |= _cells("auc", None if c is None else c.auc)
    row["average_precision"] = None if c is None else c.average_precision
    row["threshold"] = None if c is None else c.threshold
    for name in ("sensitivity", "specificity", "precision"):
        row |= _cells(name, None if c is None else getattr(c.confusion, name))
    row["f1"] = None if c is None else c.confusion.f1
    row["brier"] = None if c is None or c.calibration is None else c.calibration.brier
    row["expected_calibration_error"] = None if c is None or c.calibration is None else c.calibration.expected_error
    m = None if result.malignancy is None else result.malignancy.comparison
    row |= _cells("malignancy_auc", None if m is None else m.first)
    row |= _cells("diameter_auc", None if m is None else m.second)
    row |= _cells("malignancy_auc_difference", None if m is None else m.difference)
    return row


def _cells(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns or list(rows[0]), restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: spreadsheet_text(v) if isinstance(v, str) else v for k, v in row.items()})
    return stream.getvalue()


def _provenance(inputs: Iterable[Path]) -> Iterable[tuple[str, str]]:
    for path in inputs:
        files = result_files(path) if path.is_dir() else [path]
        name = f"{path.name}, {len(files)} results" if path.is_dir() else path.name
        yield name, f"SHA-256 {_digest(files)}"
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    yield "Software", f"LungNoduleCAD {__version__}, Python {platform.python_version()}, {libraries}"


def _digest(files: Iterable[Path]) -> str:
    """Of the files one after the other."""
    digest = hashlib.sha256()
    for path in files:
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise InputError(
                f"{path} cannot be read ({error.strerror}); check the path and its permissions."
            ) from error
    return digest.hexdigest()


def _text(estimate: Estimate) -> str:
    interval = "" if estimate.low is None else f" ({estimate.low:.3f} to {estimate.high:.3f})"
    return f"{estimate.value:.3f}{interval}"
