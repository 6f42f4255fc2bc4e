"""Simulated scans in LUNA16's layout and their cache, made once for all tests of data sets."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from data_set_inputs import SIMULATION, prepare

from training.datasets.simulated import write_simulated


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scans in LUNA16's layout; not to be changed."""
    folder = tmp_path_factory.mktemp("simulated")
    assert len(list(write_simulated(folder, SIMULATION))) == SIMULATION.scans
    return folder


@pytest.fixture(scope="session")
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
