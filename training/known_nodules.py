"""What the tables of the real nodules say of each: patient and readers' ratings."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from LungNoduleCADLib.errors import InputError


@dataclass(frozen=True)
class Known:
    """What the tables say of a nodule beyond its case: its patient and, where rated, texture and malignancy."""

    patient: str
    texture: float
    malignancy: float


def known_nodules(folder: Path) -> dict[str, Known]:
    """What `cubes.csv` and `crops.csv` say of each nodule.

    :param folder: with `lidc-nodules`. :raises InputError: when a table cannot be read.
    """
    known = {}
    for name, prefix in (("cubes.csv", ""), ("crops.csv", "crop ")):
        path = folder / "lidc-nodules" / name
        try:
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    ratings = (float(row.get(column) or "nan") for column in ("texture", "malignancy"))
                    known[prefix + row["nodule"]] = Known(row["patient"], *ratings)
        except FileNotFoundError as error:
            raise InputError(f"{path} does not exist; give the folder that holds lidc-nodules/{name}.") from error
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise InputError(f"{path} is damaged ({error}); give the table as it was published.") from error
    return known


def source_of(case: str, kind: str) -> str:
    """Name of a case's nodule in the tables: an insertion is called `<lung> <source> <number>`."""
    return case if kind == "cube" else " ".join(case.split(" ")[1:-1])
