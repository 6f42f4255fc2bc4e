"""Cross-validation's marks and cases, as it wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.evaluation.data_set import Origin
from LungNoduleCADLib.networks.cards import peak_logit, share_logit

from .splits import FOLDS


@dataclass(frozen=True)
class Kind:
    """A kind of case that cross-validation tries.

    :param only_judges: no forest grows and no calibration is fitted on its marks.
    """

    name: str
    origin: Origin
    what: str
    only_judges: bool = False


KINDS = {
    "cube": Kind("LIDC cubes", "real", "real LIDC-IDRI nodules in 51 mm of their own surroundings"),
    "insertion": Kind(
        "Inserted 4-6 mm", "inserted", "real LIDC-IDRI nodules of 4-6 mm inserted into the lung that the fold left out"
    ),
    "any-size": Kind(
        "Inserted, any size",
        "inserted",
        "real LIDC-IDRI nodules of 3 mm and more inserted into the lung that the fold left out",
        only_judges=True,
    ),
}
"""By the name that marks and cases give it."""
ONLY_JUDGE = frozenset(name for name, kind in KINDS.items() if kind.only_judges)

CASE_ENTRIES = ("kind", "case", "fold", "diameter_mm", "malignancy")


@dataclass(frozen=True)
class OutOfFold:
    """Cross-validation's marks and cases as arrays, all folds together."""

    marks: list[dict[str, Any]]
    cases: list[dict[str, Any]]
    folds: int

    def features(self) -> NDArray[np.float64]:
        """(n, 2): logits of the proposal's peak in the plane where it is lowest, and of the classifier; (n, 3) with
        that of the forest's share, where `training.forest` has noted it."""
        peaks = peak_logit([min(m["peak"], m["side_peak"]) for m in self.marks])
        columns = [peaks, np.array([m["logit"] for m in self.marks], dtype=np.float64)]
        if all("share" in m for m in self.marks):
            columns.append(share_logit([m["share"] for m in self.marks]))
        return np.column_stack(columns)

    def is_false(self) -> NDArray[np.bool_]:
        """Marks in left-out lungs outside doubtful regions: false positives."""
        return np.array([m["kind"] == "lung" and not m["doubtful"] for m in self.marks])

    def is_hit(self) -> NDArray[np.bool_]:
        """Marks on a nodule."""
        return np.array([m["hit"] for m in self.marks])

    def teaches(self) -> NDArray[np.bool_]:
        """Marks that a forest or a calibration learns from: false ones, and those on nodules of kinds that do not only
        judge."""
        return self.is_false() | np.array([m["hit"] and m["kind"] not in ONLY_JUDGE for m in self.marks])


def mark_files(folder: Path) -> list[Path]:
    """Cross-validation's files, one a fold.

    :raises InputError: when there is none.
    """
    paths = [path for fold in range(FOLDS) if (path := folder / f"cross-validation-{fold}.json").is_file()]
    if not paths:
        raise InputError(
            f"{folder} holds no cross-validation-<fold>.json; give the folder `training.cross_validation` wrote to."
        )
    return paths


def read_out_of_fold(paths: Iterable[Path]) -> OutOfFold:
    """Marks and cases of all folds together.

    :raises InputError: naming the file that is damaged or of another version.
    """
    marks: list[dict[str, Any]] = []
    cases: list[dict[str, Any]] = []
    folds = 0
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            one = OutOfFold(content["marks"], content["cases"], 1)
            one.features(), one.is_false(), one.is_hit()
            if unknown := {case["kind"] for case in one.cases} - KINDS.keys():
                raise InputError(
                    f"{path} has cases of the unknown kind '{min(unknown)}'; use the version that wrote it."
                )
            if not all(entry in case for case in one.cases for entry in CASE_ENTRIES):
                raise KeyError("case")
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise InputError(
                f"{path} is damaged or of another version ({type(error).__name__}: {error}); run "
                "`training.cross_validation` again."
            ) from error
        marks, cases, folds = [*marks, *one.marks], [*cases, *one.cases], folds + 1
    return OutOfFold(marks, cases, folds)
