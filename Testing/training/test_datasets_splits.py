"""Training, validation and test by patient."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from LungNoduleCADLib.errors import InputError
from training.datasets.partition import load_split, part_of, store_split, stored_patients
from training.datasets.prepare import main
from training.splits import fold_of


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
