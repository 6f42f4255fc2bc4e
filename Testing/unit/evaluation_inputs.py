"""Made-up data sets and tables that tests of the evaluation share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from LungNoduleCADLib.evaluation.data_set import DataSet, FalseMark, Nodule, Origin, numbered
from LungNoduleCADLib.evaluation.free_response import Outcomes

HEAD = "seriesuid,coordX,coordY,coordZ,"


def small_set(name: str = "small", origin: Origin = "real") -> DataSet:
    """Two scans: 5 nodules, of which one has no mark, and 4 false marks."""
    nodules = (
        Nodule("a", (1.0, 0, 0), 3.5, "solid", False, 0.2),
        Nodule("a", (2.0, 0, 0), 6.0, "solid", True, 0.7),
        Nodule("b", (3.0, 0, 0), 9.0, "ground-glass", True, 0.1),
        Nodule("b", (4.0, 0, 0), None, None, None, 0.9),
        Nodule("b", None, 40.0, "ground-glass", False, None),
    )
    units = np.array([0, 0, 1, 1, 1])
    return DataSet(
        name=name,
        origin=origin,
        description=f"made up for {name}.",
        outcomes=Outcomes(
            nodule_score=np.array([0.9, 0.5, 0.7, 0.3, -np.inf]),
            nodule_unit=units,
            false_score=np.array([0.8, 0.4, 0.4, 0.1]),
            false_unit=np.array([0, 0, 1, 1]),
            scans=2,
            listed=(np.array([0, 1]),),
        ),
        nodules=nodules,
        false_marks=tuple(FalseMark(case, (9.0, n, 0)) for n, case in enumerate("aabb")),
        patient=numbered([n.case for n in nodules]),
    )


def random_set(seed: int, scans: int = 40) -> DataSet:
    """Nodules and false marks of many scans, as a passable detector would give them."""
    generator = np.random.default_rng(seed)
    unit, false_unit = generator.integers(scans, size=2 * scans), generator.integers(scans, size=6 * scans)
    score = np.where(generator.random(len(unit)) < 0.1, -np.inf, generator.beta(5, 2, len(unit)))
    diameter = generator.uniform(3, 20, len(unit))
    nodules = tuple(
        Nodule(f"scan {u}", None, float(d), "solid", bool(d > 10), float(np.clip(d / 30, 0, 1)) if s > 0 else None)
        for u, d, s in zip(unit, diameter, score, strict=True)
    )
    outcomes = Outcomes(
        score, unit, generator.beta(2, 5, len(false_unit)), false_unit, scans, (np.arange(scans, dtype=np.intp),)
    )
    marks = tuple(FalseMark(f"scan {u}", (0.0, 0.0, float(n))) for n, u in enumerate(false_unit))
    return DataSet("random", "simulated", "drawn at random.", outcomes, nodules, marks, unit)


def write_tables(folder: Path) -> list[str]:
    """Annotations with types and ratings, excluded findings, scans and a submission with malignancy; as arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = ("a,0,0,0,10,solid,5", "b,0,0,0,6,part-solid,1", "b,40,0,0,4,,4", "c,0,0,0,8,solid,2", "c,30,0,0,5,solid,3")
    annotations = "\n".join([f"{HEAD}diameter_mm,density,malignancy", *truth])
    (folder / "annotations.csv").write_text(annotations + "\n")
    (folder / "excluded.csv").write_text(f"{HEAD}diameter_mm\na,50,0,0,-1\n")
    (folder / "scans.csv").write_text("a\nb\nc\n")
    marks = (
        "a,1,0,0,0.9,0.8", "a,50,1,0,0.8,0.5", "a,90,0,0,0.7,0.5", "b,0,2,0,0.6,0.3", "b,70,0,0,0.5,0.5",
        "c,0,1,0,0.95,0.1", "c,30,0,0,0.2,0.6", "c,60,60,0,0.1,0.5",
    )  # fmt: skip
    (folder / "marks.csv").write_text("\n".join([f"{HEAD}probability,malignancy", *marks]) + "\n")
    names = {"annotations": "annotations", "excluded": "excluded", "scans": "scans", "submission": "marks"}
    return [part for option, name in names.items() for part in (f"--{option}", str(folder / f"{name}.csv"))]
