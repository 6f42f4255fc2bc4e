"""Data sets into the cache: scans in LUNA16's layout and folders of CTs, prepared, restarted, damaged, used."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from io_inputs import SYNTHETIC_SERIES, write_series

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.measurement.local_box import sphere_mask
from LungNoduleCADLib.simulation import make_phantom
from LungNoduleCADLib.volume import Volume
from training.boxes import NoduleBox
from training.datasets import cache as cache_module
from training.datasets.cache import Cache
from training.datasets.entries import Entry, occupancy_on
from training.datasets.folder import folder_cases
from training.datasets.growing import grow_mask
from training.datasets.images import ImageCase
from training.datasets.items import boxes_of, doubtful, insertables_of, lung_of, negative_centers
from training.datasets.luna16 import luna16_cases
from training.datasets.partition import load_split, part_of, store_split, stored_patients
from training.datasets.prepare import main
from training.datasets.scans import Nodule, Scan
from training.datasets.simulated import Simulation, write_simulated
from training.datasets.tables import read_annotations, read_patients
from training.patches import PatchSampler
from training.sampler import SliceSampler, Sources
from training.splits import fold_of

SIMULATION = Simulation(4, seed=1, size="small", nodules=2, spacing_kji_mm=(2.5, 1.8, 1.8))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scans in LUNA16's layout; not to be changed."""
    folder = tmp_path_factory.mktemp("simulated")
    assert len(list(write_simulated(folder, SIMULATION))) == SIMULATION.scans
    return folder


@pytest.fixture(scope="module")
def prepared(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their cache; not to be changed."""
    folder = tmp_path_factory.mktemp("prepared") / "cache"
    assert prepare(simulated, folder) == 0
    return folder


@pytest.fixture
def luna16(simulated: Path, tmp_path: Path) -> Path:
    """A copy of the scans, to be changed."""
    return Path(shutil.copytree(simulated, tmp_path / "luna16"))


@pytest.fixture
def cache(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the cache, to be changed."""
    return Path(shutil.copytree(prepared, tmp_path / "cache"))


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


# -- LUNA16's layout ---------------------------------------------------------------------------------------------------


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
    first = (simulated / "annotations.csv").read_text().splitlines()[0]
    assert first == (simulated / "annotations_excluded.csv").read_text().strip().splitlines()[0]
    assert first == "seriesuid,coordX,coordY,coordZ,diameter_mm"
    turned = read_volume(simulated / "subset3" / f"{uids[3]}.mhd")
    assert turned.direction[0, 0] == turned.direction[1, 1] == -1


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
    (luna16 / "candidates.csv").write_text(f"{header},class\n{uid},7,8,9,0\n{uid},{place},1\n")
    rated = f'{header},diameter_mm,mal_details\n{uid},{place},{nodule["diameter_mm"]},"[4, 2, 5]"\n'
    (luna16 / "annotations_with_malignancy.csv").write_text(rated)
    case = next(case for case in luna16_cases(luna16) if case.name == uid)
    assert case.excluded_lps.tolist() == [[1, 2, 3], [4, 5, 6]]
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


# -- masks from annotations (B3) ---------------------------------------------------------------------------------------


def lung_with(*balls: tuple[tuple[float, float, float], float], wall_mm: float = 0.0) -> Volume:
    """Lung of -850 HU with noise, balls of 30 HU (centre in mm, diameter), chest wall up to `wall_mm` in x."""
    spacing = (1.25, 0.7, 0.7)
    volume = Volume.from_geometry(np.zeros((40, 80, 80), dtype=np.int16), spacing_kji_mm=spacing)
    places = volume.index_to_lps(np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1))
    hu = np.random.default_rng(0).normal(-850, 30, volume.shape)
    for center, diameter in balls:
        hu = np.where(np.linalg.norm(places - center, axis=-1) <= diameter / 2, 30, hu)
    return volume.with_voxels(np.where(places[..., 0] < wall_mm, 40, hu).astype(np.int16))


def dice(found: VoxelMask, volume: Volume, expected: VoxelMask) -> float:
    whole = np.zeros((2, *volume.shape), dtype=bool)
    whole[0][found.region], whole[1][expected.region] = found.voxels, expected.voxels
    return float(2 * whole.all(axis=0).sum() / whole.sum())


CENTER = (28.0, 28.0, 25.0)


@pytest.mark.parametrize("diameter", [4.0, 8.0, 20.0])
@pytest.mark.parametrize("off", [0.0, 0.2])
def test_a_nodule_is_grown_from_an_annotation_that_is_a_little_off(diameter: float, off: float) -> None:
    volume = lung_with((CENTER, diameter))
    found = grow_mask(volume, (CENTER[0] + off * diameter, *CENTER[1:]), diameter * (1 + off))
    assert dice(found, volume, sphere_mask(volume, CENTER, diameter)) > 0.85


def test_a_vessel_and_the_chest_wall_are_cut_off() -> None:
    vessel = [((x, 28.0, 25.0), 3.0) for x in np.arange(28, 56, 0.5)]
    volume = lung_with((CENTER, 9.0), *vessel, wall_mm=24.0)
    found = grow_mask(volume, CENTER, 9.0)
    extent = np.array(found.voxels.shape) * volume.spacing_kji_mm
    assert (extent < 1.25 * 9.0 + volume.spacing_kji_mm).all()
    assert dice(found, volume, sphere_mask(volume, CENTER, 9.0)) > 0.75


def test_another_nodule_close_by_is_left_out() -> None:
    volume = lung_with((CENTER, 8.0), ((CENTER[0] + 9.5, *CENTER[1:]), 6.0))
    found = grow_mask(volume, CENTER, 10.0)
    assert not (volume.index_to_lps(np.argwhere(found.voxels) + found.start_kji)[:, 0] > CENTER[0] + 6).any()


def test_where_nothing_is_dense_the_sphere_is_taken() -> None:
    volume = lung_with()
    assert dice(grow_mask(volume, CENTER, 9.0), volume, sphere_mask(volume, CENTER, 9.0)) == 1


@pytest.mark.parametrize(
    ("center", "diameter", "words"), [((500.0, 0, 0), 5.0, "outside its scan"), (CENTER, 0.0, "diameter of 0 mm")]
)
def test_an_annotation_that_cannot_be_is_refused(
    center: tuple[float, float, float], diameter: float, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        grow_mask(lung_with(), center, diameter)


def test_grown_masks_are_nearer_to_the_readers_than_spheres_are(shared_data: Path) -> None:
    """On the shared crops (masks: what any reader enclosed) that are deep enough to grow in."""
    crops = np.load(shared_data / "lidc-nodules" / "crops.npz")
    rows = rows_of(shared_data / "lidc-nodules" / "crops.csv")
    hu, masks, offsets = crops["hu"], crops["mask"], crops["offset"]
    grown, spheres = [], []
    for n in range(0, len(rows), 12):
        shape, part = tuple(crops["shape_kji"][n]), slice(offsets[n], offsets[n + 1])
        volume = Volume.from_geometry(
            hu[part].reshape(shape),
            spacing_kji_mm=crops["spacing_kji_mm"][n],
            origin_lps=crops["origin_kji_lps_mm"][n][::-1],
        )
        center = tuple(float(rows[n][f"coord{axis}"]) for axis in "XYZ")
        if shape[0] < 6 or not volume.contains(center):
            continue
        diameter = float(rows[n]["diameter_mm"])
        truth = VoxelMask((0, 0, 0), masks[part].reshape(shape) > 0)
        grown.append(dice(grow_mask(volume, center, diameter), volume, truth))  # type: ignore[arg-type]
        spheres.append(dice(sphere_mask(volume, center, diameter), volume, truth))  # type: ignore[arg-type]
    assert len(grown) > 15
    assert np.mean(grown) > np.mean(spheres) + 0.02 and np.mean(grown) > 0.75


# -- preparing ---------------------------------------------------------------------------------------------------------


def test_every_annotation_is_a_nodule_of_its_entry(simulated: Path, prepared: Path) -> None:
    annotations = read_annotations(simulated / "annotations.csv")
    assert Cache(prepared).names() == sorted(SIMULATION.uid(n) for n in range(4))
    for entry in Cache(prepared).entries():
        image, expected = entry.image(), annotations.get(entry.name, [])
        assert entry.slice_mm == pytest.approx(2.5) and image.shape == entry.lung().shape == entry.shape
        assert len(entry.nodules) == len(expected)
        for nodule, one in zip(entry.nodules, expected, strict=True):
            at = entry.ijk_to_lps @ [*nodule.center_kji[::-1], 1]
            assert at[:3] == pytest.approx(one.center_lps, abs=1e-6)
            assert nodule.diameter_mm == pytest.approx(one.diameter_mm)
            region = tuple(slice(a, a + n) for a, n in zip(nodule.start_kji, nodule.occupancy.shape, strict=True))
            solid = nodule.occupancy >= 128
            assert image[region][solid].mean() > image[entry.lung()].mean() + 40
            assert np.pi / 6 * one.diameter_mm**3 == pytest.approx(solid.sum(), rel=0.7)


def test_nothing_is_prepared_twice(simulated: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = {path.name: path.stat().st_mtime_ns for path in cache.glob("*.npz")}
    assert prepare(simulated, cache) == 0
    assert capsys.readouterr().out.count(": ready") == 4
    assert {path.name: path.stat().st_mtime_ns for path in cache.glob("*.npz")} == times


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "replaced"])
def test_a_damaged_entry_is_named_and_rebuilt(
    simulated: Path, cache: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = sorted(cache.glob("*.npz"))[1]
    good = victim.read_bytes()
    bad = bytearray(good)
    bad[len(bad) // 2] ^= 0xFF
    made = {"flipped": bytes(bad), "cut": good[: len(good) // 2], "emptied": b"", "replaced": b"of another kind" * 99}
    victim.write_bytes(made[damage])
    with pytest.raises(InputError, match="damaged") as raised:
        entry = Entry.load(victim)
        entry.image(), entry.lung()
    assert str(victim) in str(raised.value)
    assert prepare(simulated, cache) == 0
    output = capsys.readouterr().out
    assert f"{victim.stem}: damaged, prepared" in output and output.count(": ready") == 3
    rebuilt = Entry.load(victim).image()
    victim.write_bytes(good)
    assert (Entry.load(victim).image() == rebuilt).all()


def test_any_flipped_byte_is_noticed_or_without_effect(simulated: Path, cache: Path) -> None:
    case = luna16_cases(simulated, read_patients(simulated / "patients.csv"))[0]
    path = Cache(cache).path(case.name)
    good, rng = path.read_bytes(), np.random.default_rng(0)
    image = Entry.load(path).image()
    noticed = 0
    for place in rng.integers(len(good), size=12):
        bad = bytearray(good)
        bad[place] ^= 0x55
        path.write_bytes(bytes(bad))
        state = Cache(cache).state(case)
        noticed += state != "ready"
        if state == "ready":
            assert (Entry.load(path).image() == image).all()
    assert noticed >= 9


def test_a_changed_scan_table_or_recipe_is_prepared_anew_and_nothing_else(
    luna16: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = sorted(SIMULATION.uid(n) for n in range(4))
    assert set(states(luna16, cache).values()) == {"ready"}
    header = next(luna16.glob(f"subset*/{uids[0]}.mhd"))
    os.utime(header, ns=(0, 0))
    assert set(states(luna16, cache).values()) == {"ready"}, "the content is the same"
    raw = header.with_suffix(".raw")
    content = bytearray(raw.read_bytes())
    content[1000] ^= 1
    raw.write_bytes(bytes(content))
    assert [name for name, state in states(luna16, cache).items() if state == "outdated"] == [uids[0]]
    raw.write_bytes(bytes([*content[:1000], content[1000] ^ 1, *content[1001:]]))
    changed = rows_of(luna16 / "annotations.csv")[-1]["seriesuid"]
    with (luna16 / "annotations.csv").open("a") as table:
        table.write(f"{changed},80,0,130,5\n")
    assert [name for name, state in states(luna16, cache).items() if state == "outdated"] == [changed]
    monkeypatch.setattr(cache_module, "FORMAT", 999)
    assert set(states(luna16, cache).values()) == {"outdated"}


def test_a_killed_run_goes_on_where_it_was(simulated: Path, prepared: Path, tmp_path: Path) -> None:
    cache = tmp_path / "killed"
    command = [sys.executable, "-m", "training.datasets.prepare", "--kind", "luna16", "--data", str(simulated)]
    project = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{project}:{project / 'LungNoduleCAD'}", "OMP_NUM_THREADS": "1"}
    patients = ["--cache", str(cache), "--patients", str(simulated / "patients.csv")]
    process = subprocess.Popen(
        [*command, *patients], env=environment, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + 240
    while not list(cache.glob("*.npz")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    first = {path.name: path.stat().st_mtime_ns for path in cache.glob("*.npz")}
    assert first
    (cache / ".x.npz.partial-0123").write_bytes(b"what a kill leaves")
    assert prepare(simulated, cache) == 0
    assert {name: (cache / name).stat().st_mtime_ns for name in first} == first
    assert not list(cache.glob(".*"))
    for entry, expected in zip(Cache(cache).entries(), Cache(prepared).entries(), strict=True):
        assert (entry.image() == expected.image()).all()


def test_a_run_stopped_by_ctrl_c_keeps_what_it_has(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, left = ImageCase.read, [None, None]

    def stopped(case: ImageCase) -> Scan:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return read(case)

    monkeypatch.setattr(ImageCase, "read", stopped)
    assert prepare(simulated, tmp_path / "cache") == 130
    assert "start again" in capsys.readouterr().err
    assert list(states(simulated, tmp_path / "cache").values()) == ["ready", "ready", "missing", "missing"]


def test_one_bad_scan_does_not_keep_the_others_from_being_prepared(
    luna16: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uid = SIMULATION.uid(2)
    raw = luna16 / "subset2" / f"{uid}.raw"
    raw.write_bytes(raw.read_bytes()[:100])
    assert prepare(luna16, tmp_path / "cache") == 2
    out, error = capsys.readouterr()
    assert error.count("\n") == 1 and f"1 of 4 scans could not be prepared, first {uid}" in error
    assert f"{uid}.mhd is truncated" in out and len(list((tmp_path / "cache").glob("*.npz"))) == 3


def test_a_scan_that_detection_would_refuse_is_left_out(
    luna16: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = next(luna16.glob("subset2/*.mhd"))
    header.write_text(header.read_text().replace(" 2.5\n", " 5.0\n", 1))
    assert prepare(luna16, tmp_path / "cache") == 0
    output = capsys.readouterr().out
    assert f"{header.stem}: left out" in output and "slices of 5.0 mm" in output
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 3


HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: shutil.rmtree(folder), "holds no subset0"),
        (lambda folder: (folder / "annotations.csv").unlink(), "lacks annotations.csv"),
        (lambda folder: (folder / "annotations_excluded.csv").unlink(), "lacks annotations_excluded.csv"),
        (lambda folder: (folder / "annotations.csv").write_text("seriesuid,x,y,z\n"), "no column 'coordX'"),
        (lambda folder: (folder / "annotations.csv").write_text(HEADER + "1.2,3,4,5,0\n"), "nodule of 0 mm"),
        (lambda folder: (folder / "patients.csv").write_text("seriesuid,patient\n1,a\n1,b\n"), "two patients"),
        (lambda folder: (folder / "patients.csv").write_text("series;patient\n1;a\n"), "no column 'seriesuid'"),
        (
            lambda folder: shutil.copy(next(folder.glob("subset0/*.mhd")), folder / "subset9"),
            "are the same series",
        ),
        (lambda folder: (folder / "candidates.csv").write_text(HEADER), "no column 'class'"),
        (
            lambda folder: (folder / "annotations_with_malignancy.csv").write_text(
                HEADER.replace("\n", ",mal_details\n") + '1.2,3,4,5,6,"[4, 9]"\n'
            ),
            "ratings from 1 to 5",
        ),
    ],
)
def test_what_is_wrong_with_a_data_set_is_said_in_one_sentence(
    luna16: Path, tmp_path: Path, change, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(luna16)
    assert prepare(luna16, tmp_path / "cache") == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "luna", "--data", ".", "--cache", "c"], "invalid choice"),
        (["--kind", "luna16", "--cache", "c"], "--data"),
        (["--kind", "lidc", "--data", "nowhere", "--cache", "c"], "nowhere is no folder"),
        (["--kind", "folder", "--data", "nowhere", "--cache", "c"], "nodules.csv does not exist"),
        (["--kind", "luna16", "--data", ".", "--cache", "c", "--patients", "none.csv"], "none.csv does not exist"),
        (["--kind", "lidc", "--data", ".", "--cache", "c", "--readers", "5"], "--readers"),
        (["--kind", "simulated", "--data", "d", "--cache", "c", "--scans", "0"], "--scans"),
    ],
)
def test_a_wrong_command_ends_in_one_sentence(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_cache_that_cannot_be_is_refused(simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert prepare(simulated, tmp_path / "file" / "cache") == 2
    assert "cannot be made a cache" in capsys.readouterr().err


def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path) -> None:
    for name in ("../outside", "", "a/b", ".hidden"):
        with pytest.raises(InputError, match="no file name"):
            Cache(tmp_path).path(name)


def test_simulating_and_preparing_is_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--kind", "simulated", "--data", str(tmp_path / "d"), "--cache", str(tmp_path / "c"), "--size", "small"]
    assert main([*command, "--scans", "1"]) == 0
    assert "1 scans" in capsys.readouterr().out
    assert stored_patients(tmp_path / "c") == {path.stem: "simulated-1-0" for path in (tmp_path / "c").glob("*.npz")}


# -- a folder of CTs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def own_scans(tmp_path: Path) -> Path:
    """An image file and a DICOM folder with a table of their nodules."""
    phantom = make_phantom(5, 1, (2.5, 1.8, 1.8), size="small")
    folder = tmp_path / "scans"
    folder.mkdir()
    image = sitk.GetImageFromArray(phantom.volume.voxels)
    image.SetSpacing((1.8, 1.8, 2.5))
    image.SetOrigin(phantom.volume.origin_lps.tolist())
    sitk.WriteImage(image, str(folder / "first.nii.gz"), useCompression=True)
    write_series(
        folder / "dicom", phantom.volume.voxels, spacing_kji=(2.5, 1.8, 1.8), PatientID="somebody",
        origin=tuple(phantom.volume.origin_lps),
    )  # fmt: skip
    place = ",".join(f"{value:.3f}" for value in phantom.nodules[0].center_lps)
    (folder / "nodules.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm,malignancy,patient\n"
        f'first,{place},{phantom.nodules[0].diameter_mm},"[4, 5]",anna\n'
        f"{SYNTHETIC_SERIES},{place},{phantom.nodules[0].diameter_mm},,\n"
    )
    return folder


def test_a_folder_of_cts_is_prepared(own_scans: Path, tmp_path: Path) -> None:
    table = own_scans / "nodules.csv"
    table.write_text(table.read_text().replace(",,\n", ",,berta\n"))
    assert main(["--kind", "folder", "--data", str(own_scans), "--cache", str(tmp_path / "c")]) == 0
    dicom, image = Cache(tmp_path / "c").entries()
    assert (dicom.name, dicom.patient, image.name, image.patient) == (SYNTHETIC_SERIES, "berta", "first", "anna")
    assert dicom.nodules[0].malignancy != dicom.nodules[0].malignancy and image.nodules[0].malignancy == 4.5
    assert np.abs(dicom.nodules[0].center_kji - image.nodules[0].center_kji).max() < 1.5


def test_whose_a_scan_is(own_scans: Path) -> None:
    table = own_scans / "nodules.csv"
    lines = [line.rsplit(",", 1)[0] for line in table.read_text().splitlines()]
    table.write_text("\n".join(lines))
    assert {case.name: case.patient for case in folder_cases(own_scans)} == {
        "first": "first",
        SYNTHETIC_SERIES: "somebody",
    }
    given = folder_cases(own_scans, patients={"first": "berta", SYNTHETIC_SERIES: "berta"})
    assert {case.patient for case in given} == {"berta"}


def test_a_table_of_another_scan_is_refused(own_scans: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text(HEADER + "second,1,2,3,4\n")
    with pytest.raises(InputError, match="'second', which is no scan"):
        folder_cases(own_scans, other)
    shutil.copy(own_scans / "first.nii.gz", own_scans / "dicom" / "first.nii.gz")
    with pytest.raises(InputError, match="both named first"):
        folder_cases(own_scans)


# -- entries -----------------------------------------------------------------------------------------------------------


def test_a_box_is_read_without_the_rest(cache: Path) -> None:
    entry = with_nodules(cache)[0]
    image = entry.image()
    for first, shape in (((3, 60, 60), (7, 64, 64)), ((-5, -2, 190), (10, 80, 200)), ((60, 300, 5), (40, 3, 3))):
        places = [np.clip(np.arange(f, f + n), 0, s - 1) for f, n, s in zip(first, shape, image.shape, strict=True)]
        assert (entry.cut(first, shape) == image[np.ix_(*places)]).all()
    content = bytearray(entry.path.read_bytes())
    away = content.rindex(b"image-0-1-1.npy", 0, content.index(b"PK\x01\x02")) + 200
    content[away] ^= 0xFF
    entry.path.write_bytes(bytes(content))
    assert (entry.cut((0, 0, 0), (9, 9, 9)) == image[:9, :9, :9]).all()
    with pytest.raises(InputError, match="damaged"):
        entry.cut((0, 60, 60), (9, 9, 9))


def test_a_nodules_volume_survives_the_change_of_grid() -> None:
    volume = Volume.from_geometry(np.zeros((20, 60, 60), np.int16), spacing_kji_mm=(2.5, 0.7, 0.7))
    grid = Volume.from_geometry(np.zeros((48, 40, 40), np.int16), origin_lps=(1.4, 0.7, 2.5))
    mask = sphere_mask(volume, (20.0, 21.0, 22.0), 12.0)
    start, occupancy = occupancy_on(grid, volume, Nodule((20.0, 21.0, 22.0), 12.0, mask))
    assert occupancy.sum() / 255 == pytest.approx(mask.voxels.sum() * volume.voxel_volume_mm3, rel=0.02)
    center = (np.argwhere(occupancy > 127) + start).mean(axis=0)
    assert grid.index_to_lps(center) == pytest.approx((20.0, 21.0, 22.0), abs=0.3)
    outside = Nodule((39.0, 39.0, 2.0), 3.0, sphere_mask(volume, (39.0, 39.0, 2.0), 3.0))
    small = Volume.from_geometry(np.zeros((10, 10, 10), np.int16), origin_lps=(0.0, 0.0, 20.0))
    assert not occupancy_on(small, volume, outside)[1].any()


# -- what training takes -----------------------------------------------------------------------------------------------


def test_a_scan_becomes_a_lung_that_is_healthy_where_samples_are_drawn(prepared: Path) -> None:
    for entry in with_nodules(prepared):
        lung = lung_of(entry)
        assert lung.name == entry.patient and lung.image.shape == lung.lung.shape == lung.ignore.shape
        for nodule in entry.nodules:
            assert lung.ignore[tuple(np.rint(nodule.center_kji).astype(int))]
            for places in (lung.places, lung.edge_places):
                distances = np.linalg.norm(places - nodule.center_kji, axis=1)
                assert len(places) and distances.min() > nodule.diameter_mm / 2 + 6
        assert lung.lung[tuple(lung.places.T)].all() and not lung.ignore[tuple(lung.places.T)].any()


def test_excluded_findings_are_neither_background_nor_negatives(prepared: Path) -> None:
    entry = with_nodules(prepared)[0]
    spot = np.argwhere(entry.lung())[5000]
    marked = replace(entry, excluded_kji=spot[None].astype(float))
    assert doubtful(marked)[tuple(spot)] and not doubtful(entry)[tuple(spot)]
    assert doubtful(marked).sum() - doubtful(entry).sum() > 200
    near = replace(entry, excluded_kji=entry.nodules[0].center_kji[None] + (0, 15, 0))
    for before, after in zip(boxes_of(entry), boxes_of(near), strict=True):
        assert (before.image == after.image).all() and len(after.background) <= len(before.background)


def test_nodules_come_with_their_surroundings(prepared: Path) -> None:
    for entry in with_nodules(prepared):
        boxes = boxes_of(entry)
        assert len(boxes) == len(entry.nodules)
        for box, nodule in zip(boxes, entry.nodules, strict=True):
            assert isinstance(box, NoduleBox) and box.patient == entry.patient
            assert max(box.image.shape) <= 51 and box.image.shape == box.mask.shape
            assert box.mask.sum() == (nodule.occupancy >= 127.5).sum()
            assert not box.mask[tuple(box.background.T.astype(int))].any()
            assert np.isnan(box.malignancy) and box.diameter_mm == nodule.diameter_mm


def test_nodules_can_be_inserted_elsewhere(prepared: Path) -> None:
    for entry in with_nodules(prepared):
        items = insertables_of(entry)
        assert len(items) == len(entry.nodules)
        for item, nodule in zip(items, entry.nodules, strict=True):
            assert item.fold == fold_of(entry.patient)
            assert item.mask.sum() == (nodule.occupancy >= 127.5).sum()
            assert item.density[item.mask].mean() > 60


def test_negatives_keep_the_documents_distance_and_number(prepared: Path) -> None:
    for entry in Cache(prepared).entries():
        places = negative_centers(entry, np.random.default_rng(0))
        assert len(places) == min(5 * len(entry.nodules), 20)
        for nodule in entry.nodules:
            assert np.linalg.norm(places - nodule.center_kji, axis=1).min() >= 50
        assert entry.lung()[tuple(places.T)].all()
    five = replace(entry, nodules=with_nodules(prepared)[0].nodules * 3)
    assert len(negative_centers(five, np.random.default_rng(0))) == 20


def test_both_networks_samplers_draw_from_a_prepared_data_set(prepared: Path) -> None:
    entries = with_nodules(prepared)
    nodules = [item for entry in entries for item in insertables_of(entry)]
    boxes = [box for entry in entries for box in boxes_of(entry)]
    sources = Sources([lung_of(entry) for entry in entries], boxes, boxes, nodules, nodules, nodules)
    slices = SliceSampler(sources, seed=0)
    drawn = [slices.draw() for _ in range(40)]
    assert all(image.shape == (7, 64, 64) for image, *_ in drawn)
    assert 5 < sum(bool(target.any()) for _, target, *_ in drawn) < 40
    patches = PatchSampler(sources, [], seed=0)
    samples = [patches.draw() for _ in range(30)]
    assert {sample.is_nodule for sample in samples} == {True, False}
    assert all(sample.patch.shape == (64, 64, 64) for sample in samples)


# -- splits ------------------------------------------------------------------------------------------------------------


def test_the_split_is_fixed_and_has_its_shares() -> None:
    patients = [f"LIDC-IDRI-{n:04d}" for n in range(1, 1011)]
    shares = Counter(map(part_of, patients))
    assert shares["training"] == pytest.approx(707, abs=30)
    assert shares["validation"] == pytest.approx(151, abs=25) and shares["test"] == pytest.approx(151, abs=25)
    assert [part_of(f"LIDC-IDRI-{n:04d}") for n in (4, 5, 8, 12)] == ["training", "validation", "test", "test"]
    folds = Counter(fold_of(patient) for patient in patients if part_of(patient) == "test")
    assert len(folds) == 5 and min(folds.values()) > 15


def test_a_stored_split_stays_and_grows(tmp_path: Path) -> None:
    store_split(tmp_path, {"scan 1": "anna", "scan 2": "anna", "scan 3": "berta"})
    path = tmp_path / "splits.json"
    first = load_split(tmp_path)
    assert first == {"anna": part_of("anna"), "berta": part_of("berta")}
    other = "test" if first["anna"] != "test" else "training"
    path.write_text(path.read_text().replace(f'"anna": "{first["anna"]}"', f'"anna": "{other}"'))
    parts = store_split(tmp_path, {"scan 4": "carla", "scan 1": "anna"})
    assert parts == load_split(tmp_path) == {"anna": other, "berta": first["berta"], "carla": part_of("carla")}
    assert stored_patients(tmp_path)["scan 2"] == "anna" and stored_patients(tmp_path)["scan 4"] == "carla"
    with pytest.raises(InputError, match="would change sides"):
        store_split(tmp_path, {"scan 1": "berta"})


@pytest.mark.parametrize(
    "content", ["", "{}", '{"patients": 3, "scans": {}}', '{"patients": {"a": "tset"}, "scans": {}}']
)
def test_a_damaged_split_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_split(tmp_path)
    (tmp_path / "splits.json").write_text(content)
    with pytest.raises(InputError, match=r"splits\.json"):
        store_split(tmp_path, {"scan": "anna"})


def test_another_caches_patients_can_be_used(simulated: Path, prepared: Path, tmp_path: Path) -> None:
    arguments = ["--kind", "luna16", "--data", str(simulated), "--cache", str(tmp_path / "c")]
    assert main([*arguments, "--patients", str(prepared)]) == 0
    assert stored_patients(tmp_path / "c") == stored_patients(prepared)


def test_a_case_without_nodules_has_an_entry_too(simulated: Path, tmp_path: Path) -> None:
    image = next(simulated.glob("subset0/*.mhd"))
    entry = Cache(tmp_path).write(ImageCase("plain", "nobody", "x", image))
    assert entry.nodules == () and boxes_of(entry) == insertables_of(entry) == []
    assert len(negative_centers(entry, np.random.default_rng(0))) == 0
