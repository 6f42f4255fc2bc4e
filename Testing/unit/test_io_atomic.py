"""Results appear whole or not at all, and never in place of the user's files."""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from LungNoduleCADLib.errors import Cancelled, InputError, OutputError
from LungNoduleCADLib.io import clear_unfinished, output_folder, write_bytes, write_json, write_text


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def _write_result(path: Path, text: str = "1") -> None:
    with output_folder(path) as folder:
        (folder / "candidates.csv").write_text(text)
        (folder / "figures").mkdir()
        (folder / "figures" / "one.png").write_text(text)


def test_the_folder_appears_when_all_is_written(tmp_path: Path) -> None:
    target = tmp_path / "new" / "result"
    with output_folder(target) as folder:
        (folder / "a.txt").write_text("a")
        assert not target.exists() and folder.parent == target.parent
    assert (target / "a.txt").read_text() == "a"
    assert _names(target.parent) == ["result"]


@pytest.mark.parametrize("error", [ValueError("x"), InputError("x."), Cancelled(), KeyboardInterrupt()])
def test_nothing_is_left_behind_on_failure(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), output_folder(tmp_path / "new" / "result") as folder:
        (folder / "a.txt").write_text("a")
        raise error
    assert _names(tmp_path) == []


def test_a_former_result_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "result"
    _write_result(target)
    with output_folder(target) as folder:
        (folder / "findings.json").write_text("2")
    assert [n for n in _names(target) if not n.startswith(".")] == ["findings.json"]
    assert _names(tmp_path) == ["result"]


def test_a_former_result_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    target = tmp_path / "result"
    _write_result(target, "former")
    with pytest.raises(ValueError, match="broken"), output_folder(target) as folder:
        (folder / "candidates.csv").write_text("new")
        raise ValueError("broken")
    assert (target / "candidates.csv").read_text() == "former"
    assert _names(tmp_path) == ["result"]


def test_a_former_result_stays_when_the_last_rename_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "result"
    _write_result(target, "former")
    rename = Path.rename

    def fail_for_the_new(self: Path, to: Path) -> Path:
        if "partial" in self.name:
            raise OSError(errno.EACCES, "denied")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fail_for_the_new)
    with pytest.raises(OutputError, match="not permitted"), output_folder(target) as folder:
        (folder / "candidates.csv").write_text("new")
    assert (target / "candidates.csv").read_text() == "former"
    assert _names(tmp_path) == ["result"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    _write_result(tmp_path / "result")
    assert (tmp_path / "result" / "candidates.csv").exists()


def test_files_of_the_user_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"not a former result's \(thesis\.txt\)"), output_folder(tmp_path / "home"):
        pytest.fail("nothing may run before the refusal")

    _write_result(tmp_path / "result")
    (tmp_path / "result" / "figures" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"figures/notes\.txt"):
        _write_result(tmp_path / "result")
    assert (tmp_path / "result" / "figures" / "notes.txt").read_text() == "mine"


def test_a_file_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "result").write_text("a file")
    with pytest.raises(OutputError, match="is a file"):
        _write_result(tmp_path / "result")
    with pytest.raises(OutputError, match="a part of the path is a file"):
        _write_result(tmp_path / "result" / "below")
    assert (tmp_path / "result").read_text() == "a file"


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Root may write everywhere; give that up for a moment."""
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)


def test_an_unwritable_place_is_named_in_one_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):  # pytest keeps them to their owner
        folder.chmod(folder.stat().st_mode | 0o055)
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    expected = r"result could not be written: writing there is not permitted; choose another place; nothing was left"
    with _as_nobody(), pytest.raises(OutputError, match=expected):
        _write_result(locked / "result")
    with _as_nobody(), pytest.raises(OutputError, match="not permitted"):
        write_text(locked / "a.txt", "a")
    locked.chmod(0o755)
    assert _names(locked) == []


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    """A real failure to write in the middle of a file, as a quota gives."""
    former, compiled = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # what is imported meanwhile would be kept, cut off
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        sys.dont_write_bytecode = compiled


def test_a_file_that_cannot_be_finished_leaves_the_former(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"former")
    with _file_size_limit(1000), pytest.raises(OutputError, match=r"a\.bin could not be written: .*; nothing was left"):
        write_bytes(path, bytes(5000))
    assert path.read_bytes() == b"former"
    assert _names(tmp_path) == ["a.bin"]


def test_a_result_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    with _file_size_limit(1000), pytest.raises(OutputError), output_folder(tmp_path / "result") as folder:
        (folder / "heatmap.nrrd").write_bytes(bytes(5000))
    assert _names(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "free"),
    [(OSError(errno.ENOSPC, "No space left on device"), 10**9), (RuntimeError("ITK: write failed"), 1000)],
    ids=["the system says so", "a library fails and the disk is full"],
)
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, free: int) -> None:
    class Usage:
        """Full only as long as the unfinished result takes the space, as on a real disk."""

        def __init__(self, path: Path) -> None:
            self.free = free if any(tmp_path.iterdir()) else 10**9

    monkeypatch.setattr("shutil.disk_usage", Usage)
    with pytest.raises(OutputError, match="the disk is full"), output_folder(tmp_path / "result"):
        raise error
    assert _names(tmp_path) == []


def test_what_cannot_be_written_into_the_folder_is_named_as_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OutputError) as caught, output_folder(tmp_path / "result") as folder:
        write_text(folder / "report.html", "<html>")
    expected = "the disk is full; free some space; nothing was left behind."
    assert str(caught.value) == f"{tmp_path / 'result'} could not be written: {expected}"
    elsewhere = tmp_path / "elsewhere.json"
    with pytest.raises(OutputError) as caught, output_folder(tmp_path / "result"):
        write_json(elsewhere, {})
    assert str(caught.value) == f"{elsewhere} could not be written: {expected}", "that is not of the folder"
    assert _names(tmp_path) == []


def test_what_a_killed_process_left_of_a_file_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "last[1].ckpt"
    write_bytes(target, b"whole")
    others = [".last1.ckpt.partial-0a1b2c3d", ".other.ckpt.partial-0a1b2c3d", "last[1].ckpt.partial-0a1b2c3d"]
    for name in (".last[1].ckpt.partial-0a1b2c3d", ".last[1].ckpt.partial-ffffffff", *others):
        (tmp_path / name).write_bytes(b"cut o")
    clear_unfinished(target)
    assert _names(tmp_path) == sorted([target.name, *others]) and target.read_bytes() == b"whole"


def test_a_short_write_of_numpy_is_an_output_error(tmp_path: Path) -> None:
    with _file_size_limit(1000), pytest.raises(OutputError), output_folder(tmp_path / "result") as folder:
        np.save(folder / "heatmap.npy", np.zeros(100_000))
    assert _names(tmp_path) == []


def test_other_failures_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a bug"), output_folder(tmp_path / "result"):
        raise RuntimeError("a bug")


def test_json_takes_numpy_and_paths_and_refuses_nan(tmp_path: Path) -> None:
    content = {"a": np.float32(0.5), "b": np.arange(3), "c": (1, 2), "d": Path("x"), "e": np.bool_(True), "ü": "µ"}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": 0.5, "b": [0, 1, 2], "c": [1, 2], "d": "x", "e": True, "ü": "µ"}
    assert "ü" in text and text.endswith("}\n")
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == text
    assert _names(tmp_path) == ["a.json"]
