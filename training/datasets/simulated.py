"""Scans of our simulator, written exactly as LUNA16 is laid out: for rehearsals, tests and training."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk

from LungNoduleCADLib.errors import InputError, OutputError
from LungNoduleCADLib.io import write_text
from LungNoduleCADLib.preprocess.lung_mask import LUNA16_LUNG_LABELS
from LungNoduleCADLib.simulation import NoduleSpec, Phantom, draw_nodule_spec, make_phantom
from LungNoduleCADLib.simulation.phantom_spec import Size
from LungNoduleCADLib.volume import Volume

from .luna16 import ANNOTATIONS, CANDIDATES, EXCLUDED, MASKS, NODULES, RATED, SCANS
from .made_up import false_candidates, made_up_ratings
from .ratings import two_readers

LAYOUT = 2
"""Counts up whenever other scans or tables are written for the same settings."""
SUBSETS = 10
SERIES, PATIENTS = "seriesuids.csv", "patients.csv"
POINT = ("seriesuid", "coordX", "coordY", "coordZ")
TABLES = {
    ANNOTATIONS: (*POINT, "diameter_mm"),
    EXCLUDED: (*POINT, "diameter_mm"),
    RATED: (*POINT, "diameter_mm", "mal_bool", "mal_details"),
    CANDIDATES[0]: (*POINT, "class"),
}
LEAST_DIAMETER_MM = 3.0
"""LUNA16's nodules begin here; smaller ones are among the excluded, their diameter unknown (-1)."""
SMALL_FINDINGS = 1.0
"""Mean number a scan of nodules below that."""
TURNED = ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
"""Some of LUNA16's scans run from left to right and from back to front; here every fourth."""


@dataclass(frozen=True)
class Simulation:
    """How the scans are drawn.

    :param nodules: mean number a scan (Poisson); LUNA16 has 1186 in 888.
    :param spacing_kji_mm: None takes the simulator's own.
    """

    scans: int
    seed: int = 0
    size: Size = "chest"
    nodules: float = NODULES / SCANS
    spacing_kji_mm: tuple[float, float, float] | None = None

    def uid(self, number: int) -> str:
        """Series UID of a scan (DICOM's root for hashes), another for other settings."""
        about = json.dumps({**asdict(self), "scans": 0, "number": number, "layout": LAYOUT}, sort_keys=True)
        return f"2.25.{int.from_bytes(hashlib.sha256(about.encode()).digest()[:15], 'big')}"

    def phantom(self, number: int) -> Phantom:
        """One of the scans, each of another patient."""
        seed = np.random.SeedSequence([self.seed, number])
        rng = np.random.default_rng(seed)
        settings = {"direction": TURNED} if number % 4 == 3 else {}
        nodules = [draw_nodule_spec(rng) for _ in range(rng.poisson(self.nodules))]
        small = [NoduleSpec(float(rng.uniform(1.5, 2.8))) for _ in range(rng.poisson(SMALL_FINDINGS))]
        return make_phantom(
            int(seed.generate_state(1)[0]),
            [*nodules, *small],
            self.spacing_kji_mm,
            size=self.size,
            **settings,
        )


def write_simulated(folder: Path, simulation: Simulation) -> Iterator[str]:
    """Write the scans that are not there yet, and the tables; yields each scan's UID when it is written.

    May be killed at any moment and called again: a scan's header is written last, after its rows.

    :raises InputError: when the folder holds other scans, or the settings cannot be simulated.
    :raises OutputError: when it cannot be written.
    """
    uids = [simulation.uid(number) for number in range(simulation.scans)]
    present = {path.stem for path in folder.glob("subset[0-9]/*.mhd")}
    if strangers := sorted(present - set(uids)):
        raise InputError(f"{folder} holds other scans ({strangers[0]}); choose another folder, or remove them.")
    tables = {name: _former_rows(folder / name, present) for name in TABLES}
    try:
        for name in (*(f"subset{n}" for n in range(SUBSETS)), MASKS):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); choose another place.") from error
    write_text(folder / SERIES, "".join(f"{uid}\n" for uid in uids))
    patients = [(uid, f"simulated-{simulation.seed}-{number}") for number, uid in enumerate(uids)]
    write_text(folder / PATIENTS, _csv(("seriesuid", "patient"), patients))
    for number, uid in enumerate(uids):
        if uid in present:
            continue
        phantom = simulation.phantom(number)
        for name, rows in _rows(uid, phantom, np.random.default_rng([simulation.seed, number])).items():
            tables[name] += rows
        _write_image(lung_labels(phantom.lung_mask), folder / MASKS, uid, compressed=True)
        _write_tables(folder, tables)
        _write_image(phantom.volume, folder / f"subset{number % SUBSETS}", uid, compressed=False)
        yield uid
    _write_tables(folder, tables)


def lung_labels(lung: Volume) -> Volume:
    """LUNA16's labels of a lung mask: 3 and 4, one for each side of the body's middle."""
    left = lung.index_to_lps(np.argwhere(lung.voxels))[:, 0] > 0
    labels = np.zeros(lung.shape, dtype=np.uint8)
    labels[lung.voxels] = np.where(left, LUNA16_LUNG_LABELS[0], LUNA16_LUNG_LABELS[1])
    return lung.with_voxels(labels)


def _rows(uid: str, phantom: Phantom, rng: np.random.Generator) -> dict[str, list[tuple[object, ...]]]:
    """What the tables say of a scan."""
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in TABLES}
    for nodule in phantom.nodules:
        if (nodule.diameter_mm or 0.0) < LEAST_DIAMETER_MM:
            rows[EXCLUDED].append((uid, *nodule.center_lps, -1))
            continue
        ratings = made_up_ratings(nodule, rng)
        place = (uid, *nodule.center_lps)
        rows[ANNOTATIONS].append((*place, nodule.diameter_mm))
        rows[RATED].append((*place, nodule.diameter_mm, two_readers(ratings), str(ratings)))
        rows[CANDIDATES[0]].append((*place, 1))
    rows[CANDIDATES[0]] += [(uid, *place, 0) for place in false_candidates(phantom, rng)]
    return rows


def _write_tables(folder: Path, tables: dict[str, list[tuple[object, ...]]]) -> None:
    for name, rows in tables.items():
        write_text(folder / name, _csv(TABLES[name], rows))


def _former_rows(table: Path, uids: set[str]) -> list[tuple[object, ...]]:
    """The rows of scans that are there; those of one whose header is missing are of a run that was killed."""
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return [tuple(row) for row in csv.reader(file) if row and row[0] in uids]


def _csv(columns: tuple[str, ...], rows: list[tuple[object, ...]] | list[tuple[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _write_image(volume: Volume, folder: Path, name: str, *, compressed: bool) -> None:
    """A MetaImage of two files, the header moved to its place last."""
    image = sitk.GetImageFromArray(volume.voxels)
    image.SetSpacing([float(s) for s in volume.spacing_kji_mm[::-1]])
    image.SetOrigin([float(c) for c in volume.origin_lps])
    image.SetDirection([float(c) for c in volume.direction.ravel()])
    try:
        with TemporaryDirectory(prefix=".partial-", dir=folder) as temporary:
            sitk.WriteImage(image, str(Path(temporary) / f"{name}.mhd"), useCompression=compressed)
            for path in sorted(Path(temporary).iterdir(), key=lambda path: path.suffix == ".mhd"):
                path.replace(folder / path.name)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{folder / name} could not be written; free some space or choose another place.") from error
