"""Simulated scans in LUNA16's layout, and what tests of data sets ask of them."""

from __future__ import annotations

import csv
from pathlib import Path

from training.datasets.cache import Cache
from training.datasets.entries import Entry
from training.datasets.luna16 import luna16_cases
from training.datasets.prepare import main
from training.datasets.simulated import Simulation
from training.datasets.tables import read_patients

SIMULATION = Simulation(4, seed=1, size="small", nodules=2, spacing_kji_mm=(2.5, 1.8, 1.8))
HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"


def prepare(data: Path, cache: Path, *more: str) -> int:
    patients = ["--patients", str(data / "patients.csv")] if (data / "patients.csv").exists() else []
    return main(["--kind", "luna16", "--data", str(data), "--cache", str(cache), *patients, *more])


def states(data: Path, cache: Path) -> dict[str, str]:
    patients = read_patients(data / "patients.csv")
    return {case.name: Cache(cache).state(case) for case in luna16_cases(data, patients)}


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def with_nodules(cache: Path) -> list[Entry]:
    found = [entry for entry in Cache(cache).entries() if entry.nodules]
    assert found
    return found
