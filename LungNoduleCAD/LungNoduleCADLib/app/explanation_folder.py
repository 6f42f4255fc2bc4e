"""An explanation as files: maps as NRRD, pictures, and what was asked and answered as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..io.atomic import write_bytes, write_json
from ..io.image_file import read_image
from ..volume import Volume
from .nrrd import write_nrrd

if TYPE_CHECKING:
    from ..explain.explainer import Explanation
    from ..explain.pictures import Pictured

SCHEMA = 1
OCCLUSION_FILE, GRADIENTS_FILE = "occlusion.nrrd", "integrated-gradients.nrrd"
OVERLAY_FILE, FEATURE_MAPS_FILE, FILM_FILE = "overlay.png", "feature-maps.png", "slices.gif"
PICTURES = (OVERLAY_FILE, FEATURE_MAPS_FILE, FILM_FILE)
FACTS_FILE = "explanation.json"
RESEARCH_USE = "For research use only, not for diagnostic use."


@dataclass(frozen=True, eq=False)
class SavedExplanation:
    """An explanation read from its files.

    :param occlusion, gradients: the maps, on the scan's voxels around the finding.
    :param pictures: content of the files of `PICTURES`, by name. :param facts: what `explanation.json` holds.
    """

    occlusion: Volume
    gradients: Volume
    pictures: dict[str, bytes]
    facts: dict[str, Any]


def write_explanation(explanation: Explanation, scan: Volume, finding: Pictured, folder: Path) -> None:
    """Write everything into an existing folder.

    :raises OutputError, OSError: when a file cannot be written.
    """
    from ..explain.pictures import feature_maps_sheet, overlay_picture, slices_film

    write_nrrd(explanation.occlusion, folder / OCCLUSION_FILE)
    write_nrrd(explanation.gradients, folder / GRADIENTS_FILE)
    write_bytes(folder / OVERLAY_FILE, overlay_picture(explanation, scan, finding))
    write_bytes(folder / FEATURE_MAPS_FILE, feature_maps_sheet(explanation))
    write_bytes(folder / FILM_FILE, slices_film(scan, finding))
    write_json(folder / FACTS_FILE, _facts(explanation, scan, finding))


def read_explanation(folder: Path) -> SavedExplanation:
    """Read what `write_explanation` wrote.

    :raises InputError: when a map cannot be read.
    """
    return SavedExplanation(
        read_image(folder / OCCLUSION_FILE),
        read_image(folder / GRADIENTS_FILE),
        {name: (folder / name).read_bytes() for name in PICTURES},
        json.loads((folder / FACTS_FILE).read_text(encoding="utf-8")),
    )


def _facts(explanation: Explanation, scan: Volume, finding: Pictured) -> dict[str, Any]:
    from .. import __version__

    card = explanation.card
    return {
        "schema": SCHEMA,
        "finding": finding.label,
        "center_lps": list(explanation.center_lps),
        "nodule_logit": explanation.logit,
        "occlusion": {
            "file": OCCLUSION_FILE,
            "quantity": "fall of the nodule logit where a place is covered",
            **explanation.settings["occlusion"],
            **_peak(explanation.occlusion, explanation.center_lps),
        },
        "integrated_gradients": {
            "file": GRADIENTS_FILE,
            "quantity": "share of the nodule logit, per mm3",
            **explanation.settings["gradients"],
            **_peak(explanation.gradients, explanation.center_lps),
        },
        "source": scan.metadata.get("source"),
        "series_uid": scan.metadata.get("series_uid"),
        "model": {"name": card.name, "version": card.version, "sha256": card.sha256},
        "warnings": list(explanation.warnings),
        "lungnodulecad": __version__,
        "research_use": RESEARCH_USE,
    }


def _peak(values: Volume, center_lps: tuple[float, float, float]) -> dict[str, Any]:
    """Where a map is greatest."""
    place = values.index_to_lps(np.unravel_index(int(np.argmax(values.voxels)), values.shape))
    return {
        "greatest": float(values.voxels.max()),
        "least": float(values.voxels.min()),
        "greatest_at_lps": [round(float(v), 3) for v in place],
        "greatest_from_center_mm": round(float(np.linalg.norm(place - np.array(center_lps))), 3),
    }
