"""Write results whole or not at all: under another name first, then renamed."""

from __future__ import annotations

import errno
import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputError

MARKER = ".lungnodulecad.json"
"""In every result folder: names the files written there, so that a later run replaces those and nothing else."""

REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EFBIG: "the file would be larger than allowed; raise the limit",
    errno.EACCES: "writing there is not permitted; choose another place",
    errno.EPERM: "writing there is not permitted; choose another place",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.ENOENT: "its parent folder does not exist; create it first",
    errno.EEXIST: "a part of the path is a file; choose another place",
    errno.ENOTDIR: "a part of the path is a file; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}
FULL_BELOW_BYTES = 1 << 20
"""Free space that counts as none, when a library fails to write without saying why."""


class _NotWritten(OutputError):
    """What could not be written, and what the system said of it."""

    def __init__(self, target: Path, failure: OSError) -> None:
        reason = REASONS.get(failure.errno or 0, f"{failure.strerror or failure}; choose another place")
        super().__init__(f"{target} could not be written: {reason}; nothing was left behind.")
        self.target, self.failure = target, failure


@contextmanager
def output_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; it becomes `path` when the block ends, and is removed when the block fails.

    Parents are created where they are missing. A former result at `path` is replaced as a whole; it stays as it was
    when the block fails.

    :raises OutputError: when `path` is a file, or a folder with files that are not a former result's, or when writing
        fails (no permission, full disk).
    """
    target = Path(os.path.abspath(path))
    _check_replaceable(target)
    created = [p for p in (target.parent, *target.parent.parents) if not p.exists()]
    partial = _sibling(target, "partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        yield partial
        names = sorted(str(p.relative_to(partial).as_posix()) for p in partial.rglob("*") if p.is_file())
        write_json(partial / MARKER, {"files": names})
        _check_replaceable(target)  # the run may have taken minutes
        _swap(partial, target)
    except BaseException as error:
        cause = _write_failure(error, target, partial)  # looks at the free space, so before any is freed
        shutil.rmtree(partial, ignore_errors=True)
        if not target.exists():
            for parent in created:  # nearest first; one that holds something else stays
                try:
                    parent.rmdir()
                except OSError:
                    break
        if cause is not None:
            raise cause from error
        raise


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file so that `path` holds the former or the new content, never a part.

    :raises OutputError: when it cannot be written; a former file stays as it was.
    """
    target = Path(os.path.abspath(path))
    partial = _sibling(target, "partial")
    try:
        with partial.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, target)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _NotWritten(target, error) from error
        raise


def clear_unfinished(path: str | Path) -> None:
    """Remove what processes that were killed while they wrote `path` left beside it; only where no other one writes."""
    target = Path(os.path.abspath(path))
    for partial in target.parent.glob(f".{glob.escape(target.name)}.partial-*"):
        partial.unlink(missing_ok=True)


def write_text(path: str | Path, content: str) -> None:
    """As `write_bytes`, in UTF-8 with the line ends given."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: str | Path, content: Any) -> None:
    """As `write_text`, the text of `json_text`."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """Indented JSON. numpy numbers and arrays, paths and tuples are converted.

    :raises ValueError: for NaN or infinity, which JSON does not know.
    """
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _sibling(target: Path, purpose: str) -> Path:
    """A free name beside the target, on the same file system, so that renaming is atomic."""
    return target.with_name(f".{target.name}.{purpose}-{secrets.token_hex(4)}")


def _check_replaceable(target: Path) -> None:
    try:
        if not target.exists():
            return
        if not target.is_dir():
            raise OutputError(f"{target} is a file; choose a folder for the results.")
        present = {str(p.relative_to(target).as_posix()) for p in target.rglob("*") if not p.is_dir()}
        if not present:
            return
        known = set(json.loads((target / MARKER).read_text(encoding="utf-8"))["files"]) if MARKER in present else set()
    except OSError as error:
        raise _NotWritten(target, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{target} is a damaged result folder; remove it or choose another.") from error
    foreign = sorted(present - known - {MARKER})
    if foreign:
        raise OutputError(f"{target} holds files that are not a former result's ({foreign[0]}); choose another folder.")


def _swap(partial: Path, target: Path) -> None:
    """Put the new folder in the target's place; the former is moved aside first and comes back when that fails."""
    if not target.exists():
        partial.rename(target)
        return
    former = _sibling(target, "former")
    target.rename(former)
    try:
        partial.rename(target)
    except BaseException:
        former.rename(target)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _write_failure(error: BaseException, target: Path, partial: Path) -> OutputError | None:
    """The error to show instead, when this one is about writing; ITK and VTK fail on a full disk without saying so.

    A file of the unfinished folder is no name that the user knows: the folder's own is.
    """
    if isinstance(error, _NotWritten) and partial in error.target.parents:
        return _NotWritten(target, error.failure)
    if isinstance(error, OutputError) or not isinstance(error, Exception):
        return None
    if isinstance(error, OSError) and error.errno in REASONS:
        return _NotWritten(target, error)
    place = next((p for p in target.parents if p.exists()), target)
    if isinstance(error, (OSError, RuntimeError)) and shutil.disk_usage(place).free < FULL_BELOW_BYTES:
        return _NotWritten(target, OSError(errno.ENOSPC, ""))
    if isinstance(error, OSError) and error.errno is None:  # numpy: "1048576 requested and 262128 written"
        return _NotWritten(target, error)
    return None
