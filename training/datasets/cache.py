"""The cache: one compressed file a scan, written whole or not at all, known by the content it was made from."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from LungNoduleCADLib.errors import InputError, OutputError
from LungNoduleCADLib.io import write_bytes
from LungNoduleCADLib.preprocess.prepare import LUNG_MARGIN_MM
from LungNoduleCADLib.preprocess.settings import Preprocessing

from .entries import Entry, read_about, reading, stored_arrays
from .scans import Case

FORMAT = 2
"""Counts up whenever what is stored, or how masks are made, changes: older entries are then rebuilt."""

State = Literal["ready", "missing", "outdated", "damaged"]
Signature = list[tuple[str, int, int]]
"""Name, size in bytes, and time of the last change in ns, of each file."""


class Cache:
    """A folder of prepared scans.

    An entry is up to date when its recipe (preprocessing and format), its findings, and the content of its files are
    those it was made from. Content is compared by SHA-256, and only where a file's size or time has changed.
    """

    def __init__(self, folder: Path) -> None:
        """Open a cache, making the folder where it is missing.

        :raises OutputError: when there can be no such folder.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for remains in folder.glob(".*.npz.partial-*"):  # of a run that was killed while it wrote
                remains.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} cannot be made a cache ({error.strerror}); choose another folder.") from error

    def path(self, name: str) -> Path:
        """The file of a scan.

        :raises InputError: when the scan's name is no file name.
        """
        if not name or name.startswith(".") or set(name) & set("/\\:\0"):
            raise InputError(f"The scan's name '{name[:80]}' is no file name; correct its series UID.")
        return self.folder / f"{name}.npz"

    def names(self) -> list[str]:
        """All scans in it."""
        return sorted(path.stem for path in self.folder.glob("*.npz"))

    def entries(self) -> Iterator[Entry]:
        """All scans in it, their voxels unread.

        :raises InputError: naming the file, when one is damaged.
        """
        return (Entry.load(self.path(name)) for name in self.names())

    def state(self, case: Case) -> State:
        """Whether a scan must be prepared, and why. Every byte stored is read and checked.

        :raises InputError: when a file of the scan cannot be read.
        """
        path = self.path(case.name)
        if not path.exists():
            return "missing"
        try:
            with reading(path) as file:
                about = read_about(file)
                for member in file:
                    file[member]
        except InputError:
            return "damaged"
        signature = file_signature(case)
        unchanged = about.get("files") == [list(one) for one in signature]
        content = about["content"] if unchanged else content_hash(case)
        return "ready" if about.get("key") == entry_key(case, content) else "outdated"

    def write(self, case: Case) -> Entry:
        """Read a scan, prepare it and store it.

        :raises InputError: when it cannot be read.
        :raises OutputError: when it cannot be written; a former entry stays.
        """
        signature, content = file_signature(case), content_hash(case)
        about = {
            "name": case.name, "patient": case.patient, "source": case.source,
            "files": signature, "content": content, "key": entry_key(case, content),
        }  # fmt: skip
        packed = io.BytesIO()
        np.savez_compressed(packed, **stored_arrays(case.read(), about))  # type: ignore[arg-type]
        write_bytes(self.path(case.name), packed.getvalue())
        return Entry.load(self.path(case.name))


def recipe() -> dict[str, Any]:
    """All settings that decide what an entry holds."""
    return {"format": FORMAT, "preprocessing": asdict(Preprocessing()), "margin_mm": LUNG_MARGIN_MM}


def entry_key(case: Case, content: str) -> str:
    """Changes with anything that the entry depends on."""
    parts = [recipe(), case.name, case.patient, case.findings(), content]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def file_signature(case: Case) -> Signature:
    """What tells without reading that a scan's files are the same as before.

    :raises InputError: when one is missing.
    """
    signature = []
    for path in case.files():
        try:
            about = path.stat()
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); restore it.") from error
        signature.append((path.name, about.st_size, about.st_mtime_ns))
    return signature


def content_hash(case: Case) -> str:
    """SHA-256 of a scan's files.

    :raises InputError: when one cannot be read.
    """
    total = hashlib.sha256()
    for path in case.files():
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); restore it.") from error
        total.update(digest.digest())
    return total.hexdigest()
