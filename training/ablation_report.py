"""What the ablation writes: every figure as JSON, and its tables as Markdown, with the data they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.evaluation.free_response import OPERATING_POINTS
from LungNoduleCADLib.io import write_json, write_text

from .ablation_arms import ARMS, LAST_WEIGHTS, PRESENT, PRESENT_LAST, REFERENCE, Arm, Network, config_of
from .ablation_table import (
    AXIAL,
    AXIAL_UNET,
    BOTH,
    CLASSIFIER,
    SAMPLES,
    SIMULATED,
    UNET,
    Row,
    View,
    as_json,
    as_markdown,
    outcomes_of,
    rows_of,
)
from .fold_data_sets import data_sets
from .known_nodules import Known
from .out_of_fold import KINDS, read_out_of_fold
from .splits import BACKGROUND_SCANS

ABOUT_FIGURES = (
    "Figures: CPM, the mean sensitivity at 1/8 to 8 false marks a lung or scan, and its difference from the first "
    f"row's, with 95 % intervals of {SAMPLES} bootstrap resamples of patients, lungs and scans, the same ones for both "
    "parts of a difference. The intervals do not hold the chance of training, which the row of another seed shows.\n"
)
NAMES: dict[Network, str] = {"segmentation": "U-Net", "classification": "classifier"}
ALONE: dict[Network, View] = {"segmentation": UNET, "classification": CLASSIFIER}
PRESENT_ROWS = (
    (PRESENT, BOTH),
    (PRESENT_LAST, BOTH),
    (PRESENT, AXIAL),
    (PRESENT, UNET),
    (PRESENT_LAST, UNET),
    (PRESENT, AXIAL_UNET),
    (PRESENT, CLASSIFIER),
)


@dataclass(frozen=True)
class Table:
    """Rows that may be compared with the first of them.

    :param about: what they are, and on which data.
    """

    title: str
    about: str
    rows: list[Row]


@dataclass(frozen=True)
class Report:
    """What of an ablation is to be reported.

    :param present: folds of the networks that ship; none leaves their table out.
    """

    network: Network
    folds: tuple[int, ...]
    present: tuple[int, ...]
    output: Path

    def write(self, known: Mapping[str, Known], readme: Path | None = None) -> None:
        """Write the files, and the text into a document between its markers.

        :param known: what is known of each nodule.
        :raises InputError: when there is no reference, marks are damaged, or the document has no place for it.
        :raises OutputError: when something cannot be written.
        """
        tables = self.tables(known)
        missing = [arm.what for arm in ARMS if not self._complete(arm)]
        content = {
            "network": self.network,
            "operating_points": OPERATING_POINTS,
            "tables": [{"title": t.title, "about": t.about, "rows": as_json(t.rows)} for t in tables],
            "figures": ABOUT_FIGURES.strip(),
            "left_out": missing,
        }
        text = _markdown(tables)
        if missing:
            text += f"\nLeft out, since not every fold is done: {'; '.join(missing)}.\n"
        write_json(self.output / f"ablation-{self.network}.json", content)
        write_text(self.output / f"ablation-{self.network}.md", text)
        if readme is not None:
            put_between(readme, f"<!-- ablation {self.network} -->", f"<!-- end of ablation {self.network} -->", text)

    def tables(self, known: Mapping[str, Known]) -> list[Table]:
        """The arms with the network alone and with its partner, then the networks that ship."""
        arms = [arm for arm in ARMS if self._complete(arm)]
        if not arms or arms[0].name != REFERENCE:
            folds = ", ".join(map(str, self.folds))
            raise InputError(f"{self.output} has no reference of the folds {folds}; run that arm first.")
        tables = []
        for view in (ALONE[self.network], BOTH):
            compared = [(arm.name, arm.what, outcomes_of(self._paths(arm), known, view)) for arm in arms]
            tables.append(Table(self._title(view), self._about(known), rows_of(compared, SAMPLES)))
        if self.present:
            tables.append(self._present(known))
        return tables

    def _present(self, known: Mapping[str, Known]) -> Table:
        compared = []
        for folder, view in PRESENT_ROWS:
            paths = [self.output / folder / f"cross-validation-{fold}.json" for fold in self.present]
            what = view.what if folder == PRESENT else f"{view.what}; {LAST_WEIGHTS}"
            compared.append((f"{folder} {view.name}", what, outcomes_of(paths, known, view)))
        paths = [self.output / PRESENT / f"cross-validation-{fold}.json" for fold in self.present]
        about = _described(paths, self.present, known)
        title = "The networks that ship, trained in full, without the forest of appearances"
        return Table(title, about, rows_of(compared, SAMPLES))

    def _title(self, view: View) -> str:
        return f"One thing of the {NAMES[self.network]}'s training changed; {view.what}"

    def _about(self, known: Mapping[str, Known]) -> str:
        paths = self._paths(ARMS[0])
        steps = json.loads(paths[0].read_text(encoding="utf-8"))["steps"]
        full = config_of(ARMS[0], self.network, None, None).optimisation.steps
        return (
            f"Runs of {steps} steps (the network that ships: {full}), one an arm and fold; the other network is the "
            f"fold's that ships. {_described(paths, self.folds, known)}"
        )

    def _paths(self, arm: Arm) -> list[Path]:
        folder = self.output / f"{self.network}-{arm.name}"
        return [folder / f"cross-validation-{fold}.json" for fold in self.folds]

    def _complete(self, arm: Arm) -> bool:
        return all(path.exists() for path in self._paths(arm))


def put_between(document: Path, begin: str, end: str, text: str) -> None:
    """Exchange what stands between two lines of a document.

    :raises InputError: when it cannot be read or lacks one of them.
    """
    try:
        content = document.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{document} cannot be read ({error.strerror}); give the document of the table.") from error
    before, found, rest = content.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise InputError(f"{document} has no lines `{begin}` and `{end}`; put them where the table is to stand.")
    write_text(document, f"{before}{begin}\n{text}{end}{after}")


def _markdown(tables: Sequence[Table]) -> str:
    """The tables, each with what is not already said of the one before."""
    parts, said = [], ""
    for table in tables:
        about = "" if table.about == said else f" {table.about}"
        parts.append(f"**{table.title}.**{about}\n\n{as_markdown(table.rows)}")
        said = table.about
    return "\n".join([*parts, ABOUT_FIGURES])


def _described(paths: Sequence[Path], folds: Sequence[int], known: Mapping[str, Known]) -> str:
    """The data."""
    what = {kind.name: kind.what for kind in KINDS.values()}
    sets = [
        f"{one.name}: {len(one.nodules)} {what[one.name]}, of {len(set(one.patient.tolist()))} patients."
        for one in data_sets(read_out_of_fold(paths), dict(known))
    ]
    lungs = ", ".join(BACKGROUND_SCANS[fold] for fold in sorted(folds))
    sets.append(
        f"False marks of both are those in the left-out lungs ({lungs}), outside doubtful regions; networks and "
        "calibration of each fold never saw its patients."
    )
    contents: list[dict[str, Any]] = [json.loads(path.read_text(encoding="utf-8")).get("simulated") for path in paths]
    if all(contents):
        scans, nodules = (sum(len(content[part]) for content in contents) for part in ("scans", "nodules"))
        sets.append(f"{SIMULATED}: {nodules} nodules of 3 mm and more in {scans} phantoms of unseen seeds.")
    return " ".join(sets)
