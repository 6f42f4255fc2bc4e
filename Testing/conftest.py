"""Fixtures shared by every test."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real scans; a test that needs it fails, rather than skips, where it is missing."""
    folder = Path(os.environ.get("LUNGNODULECAD_TEST_DATA", PROJECT.parent / "shared" / "data")).resolve()
    if not (folder / "ct").is_dir():
        pytest.fail(f"real test scans are missing at {folder}; set LUNGNODULECAD_TEST_DATA to their folder")
    return folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder
