"""Preparing a data set: restarted, killed, damaged, refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from data_set_inputs import HEADER, SIMULATION, prepare, rows_of, states

from LungNoduleCADLib.errors import InputError
from training.datasets import cache as cache_module
from training.datasets.cache import Cache
from training.datasets.entries import Entry
from training.datasets.images import ImageCase
from training.datasets.luna16 import luna16_cases
from training.datasets.partition import stored_patients
from training.datasets.prepare import main
from training.datasets.scans import Scan
from training.datasets.tables import read_annotations, read_patients


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
        (lambda folder: (folder / "candidates_V2.csv").write_text(HEADER), "no column 'class'"),
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
