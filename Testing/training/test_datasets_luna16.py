"""Scans in LUNA16's layout: simulated ones, and what is read of them."""

from __future__ import annotations

import gzip
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from data_set_inputs import SIMULATION, rows_of

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.simulation import NoduleSpec, PhantomNodule
from training.datasets.luna16 import luna16_cases
from training.datasets.made_up import made_up_ratings
from training.datasets.simulated import write_simulated
from training.datasets.tables import read_patients


def test_simulated_scans_lie_as_luna16s_do(simulated: Path) -> None:
    uids = (simulated / "seriesuids.csv").read_text().split()
    assert len(uids) == 4
    for n, uid in enumerate(uids):
        header = (simulated / f"subset{n}" / f"{uid}.mhd").read_text()
        assert f"ElementDataFile = {uid}.raw" in header and "CompressedData = False" in header
        assert (simulated / f"subset{n}" / f"{uid}.raw").exists()
        mask = sitk.GetArrayFromImage(sitk.ReadImage(str(simulated / "seg-lungs-LUNA16" / f"{uid}.mhd")))
        assert set(np.unique(mask)) == {0, 3, 4}
        assert (simulated / "seg-lungs-LUNA16" / f"{uid}.zraw").exists()
    assert len(list(simulated.glob("subset*"))) == 10 and not list(simulated.rglob(".partial*"))
    for name, more in (
        ("annotations", ",diameter_mm"),
        ("annotations_excluded", ",diameter_mm"),
        ("annotations_with_malignancy", ",diameter_mm,mal_bool,mal_details"),
        ("candidates_V2", ",class"),
    ):
        first = (simulated / f"{name}.csv").read_text().splitlines()[0]
        assert first == f"seriesuid,coordX,coordY,coordZ{more}"
    turned = read_volume(simulated / "subset3" / f"{uids[3]}.mhd")
    assert turned.direction[0, 0] == turned.direction[1, 1] == -1


def test_the_tables_of_simulated_scans_agree_with_each_other(simulated: Path) -> None:
    cases = luna16_cases(simulated)
    assert sum(len(case.annotations) for case in cases) > 0 and sum(len(case.excluded_lps) for case in cases) > 0
    rated = rows_of(simulated / "annotations_with_malignancy.csv")
    assert len(rated) == len(rows_of(simulated / "annotations.csv"))
    said = {row["mal_details"]: row["mal_bool"] == "True" for row in rated}
    for case in cases:
        assert case.excluded_mm is None or (case.excluded_mm == -1).all()
        assert len(case.candidates_lps) > 20
        lung = case.read()
        index = np.rint(lung.volume.lps_to_index(case.candidates_lps)).astype(int)
        assert lung.lung[tuple(index.T)].all() and lung.volume.voxels[tuple(index.T)].min() > -500
        for nodule in case.annotations:
            assert len(nodule.malignancy) == 4
            assert said[str(list(nodule.malignancy))] == (sum(rating >= 4 for rating in nodule.malignancy) >= 2)
            assert np.linalg.norm(case.candidates_lps - nodule.center_lps, axis=1).min() > nodule.diameter_mm / 2
    classes = [row["class"] for row in rows_of(simulated / "candidates_V2.csv")]
    assert classes.count("1") == len(rated)


def test_made_up_ratings_follow_size_and_type() -> None:
    def mean_of(diameter: float, **more: str) -> float:
        nodule = PhantomNodule((0, 0, 0), diameter, spec=NoduleSpec(diameter, **more))
        rng = np.random.default_rng(0)
        return float(np.mean([made_up_ratings(nodule, rng) for _ in range(50)]))

    assert mean_of(4.0) < 2 < mean_of(10.0) < mean_of(20.0)
    assert mean_of(10.0, shape="spiculated") > mean_of(10.0) > mean_of(10.0, density="calcified")


def test_each_lung_has_its_label(simulated: Path) -> None:
    (mask,) = simulated.glob(f"seg-lungs-LUNA16/{SIMULATION.uid(3)}.mhd")
    volume = read_volume(mask)
    left, right = (volume.index_to_lps(np.argwhere(volume.voxels == label))[:, 0] for label in (3, 4))
    assert left.min() > -2 and right.max() < 2


def test_a_killed_simulation_goes_on_and_gives_the_same(simulated: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    uids = iter(write_simulated(folder, SIMULATION))
    next(uids), next(uids)
    killed = folder / "subset1" / f"{SIMULATION.uid(1)}.mhd"
    killed.unlink()  # as if the kill had come between its rows and its header
    del uids
    assert len(list(write_simulated(folder, SIMULATION))) == 3
    for path in simulated.rglob("*.*"):
        if path.suffix == ".csv":
            written, expected = (sorted((root / path.name).read_text().split()) for root in (folder, simulated))
            assert [row.split(",")[0] for row in written] == [row.split(",")[0] for row in expected]
        else:
            assert (folder / path.relative_to(simulated)).read_bytes() == path.read_bytes()
    assert list(write_simulated(folder, SIMULATION)) == []


def test_other_scans_are_not_mixed_with_simulated_ones(luna16: Path) -> None:
    with pytest.raises(InputError, match="holds other scans"):
        list(write_simulated(luna16, replace(SIMULATION, seed=2)))


def test_scans_have_their_nodules_masks_and_patients(simulated: Path) -> None:
    cases = luna16_cases(simulated, read_patients(simulated / "patients.csv"))
    assert [case.name for case in cases] == sorted(SIMULATION.uid(n) for n in range(4))
    rows = Counter(row["seriesuid"] for row in rows_of(simulated / "annotations.csv"))
    assert {case.name: len(case.annotations) for case in cases if case.annotations} == rows
    assert all(case.lung_mask is not None for case in cases)
    assert {case.patient for case in cases} == {f"simulated-1-{n}" for n in range(4)}
    assert {case.patient for case in luna16_cases(simulated)} == {case.name for case in cases}


def test_tables_are_found_where_the_distribution_has_them(luna16: Path) -> None:
    before = [case.findings() for case in luna16_cases(luna16)]
    (luna16 / "CSVFILES").mkdir()
    (luna16 / "evaluationScript" / "annotations").mkdir(parents=True)
    (luna16 / "annotations.csv").rename(luna16 / "CSVFILES" / "annotations.csv")
    excluded = luna16 / "annotations_excluded.csv"
    packed = luna16 / "evaluationScript" / "annotations" / "annotations_excluded.csv.gz"
    packed.write_bytes(gzip.compress(excluded.read_bytes()))
    excluded.unlink()
    assert [case.findings() for case in luna16_cases(luna16)] == before


def test_excluded_findings_false_candidates_and_ratings_reach_their_scan(luna16: Path) -> None:
    nodule = rows_of(luna16 / "annotations.csv")[0]
    uid, place = nodule["seriesuid"], ",".join(nodule[f"coord{axis}"] for axis in "XYZ")
    header = "seriesuid,coordX,coordY,coordZ"
    (luna16 / "annotations_excluded.csv").write_text(f"{header},diameter_mm\n{uid},1,2,3,-1\n{uid},4,5,6,7.5\n")
    (luna16 / "candidates_V2.csv").unlink()
    (luna16 / "candidates.csv").write_text(f"{header},class\n{uid},7,8,9,0\n{uid},{place},1\n")
    rated = f'{header},diameter_mm,mal_details\n{uid},{place},{nodule["diameter_mm"]},"[4, 2, 5]"\n'
    (luna16 / "annotations_with_malignancy.csv").write_text(rated)
    case = next(case for case in luna16_cases(luna16) if case.name == uid)
    assert case.excluded_lps.tolist() == [[1, 2, 3], [4, 5, 6]] and case.excluded_mm is not None
    assert case.excluded_mm.tolist() == [-1, 7.5]
    assert case.candidates_lps.tolist() == [[7, 8, 9]]
    assert case.annotations[0].malignancy == (4, 2, 5)
    assert not any(one.malignancy for one in case.annotations[1:])


def test_lungs_are_segmented_where_there_is_no_mask(luna16: Path) -> None:
    given = {case.name: case.read().lung for case in luna16_cases(luna16)[:1]}
    shutil.rmtree(luna16 / "seg-lungs-LUNA16")
    for case in luna16_cases(luna16)[:1]:
        assert case.lung_mask is None
        found = case.read().lung
        assert 2 * (found & given[case.name]).sum() / (found.sum() + given[case.name].sum()) > 0.9
