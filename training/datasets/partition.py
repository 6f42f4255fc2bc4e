"""Training, validation and test by patient (A11, B13): fixed by a hash of the patient, and stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io import write_json

Part = Literal["training", "validation", "test"]
SHARES: Mapping[Part, float] = {"training": 0.70, "validation": 0.15, "test": 0.15}
FILE = "splits.json"


def part_of(patient: str) -> Part:
    """The part of a patient, whoever else there is. The hash is another than that of the folds, so that each part has
    patients of every fold."""
    position = int.from_bytes(hashlib.sha256(f"part of {patient}".encode()).digest()[:8], "big") / 2**64
    for part, share in SHARES.items():
        if position < share:
            return part
        position -= share
    return "test"


def store_split(cache: Path, patients: Mapping[str, str]) -> dict[str, Part]:
    """Write who is in which part beside the cache's scans; what was stored before stays as it was.

    :param patients: patient of each scan.
    :returns: part of each patient.
    :raises InputError: when the stored split is damaged, or a scan was stored with another patient.
    """
    path = cache / FILE
    parts, scans = (load_split(cache), stored_patients(cache)) if path.exists() else ({}, {})
    for scan, patient in patients.items():
        if scans.get(scan, patient) != patient:
            raise InputError(
                f"{path} has scan {scan} as patient {scans[scan]}, not {patient}; a patient would change sides: "
                "use another cache for other patient ids."
            )
    parts |= {patient: part_of(patient) for patient in patients.values() if patient not in parts}
    scans |= patients
    content = {
        "rule": "sha256 of 'part of <patient>', its first 8 bytes as a share of 2^64, against the shares in order",
        "shares": dict(SHARES),
        "patients": dict(sorted(parts.items())),
        "scans": dict(sorted(scans.items())),
    }
    write_json(path, content)
    return parts


def load_split(cache: Path) -> dict[str, Part]:
    """The stored part of each patient.

    :raises InputError: when it is missing or damaged.
    """
    parts = _stored(cache, "patients")
    if unknown := sorted(set(parts.values()) - set(SHARES)):
        raise InputError(f"{cache / FILE} names an unknown part '{unknown[0]}'; {_AGAIN}.")
    return parts  # type: ignore[return-value]


def stored_patients(cache: Path) -> dict[str, str]:
    """The patient of each scan, as stored with the split.

    :raises InputError: when it is missing or damaged.
    """
    return _stored(cache, "scans")


_AGAIN = "restore it, or remove it and prepare the data set again"


def _stored(cache: Path, what: str) -> dict[str, str]:
    path = cache / FILE
    try:
        return {str(key): str(value) for key, value in json.loads(path.read_text(encoding="utf-8"))[what].items()}
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; prepare the data set first.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged; {_AGAIN}.") from error
