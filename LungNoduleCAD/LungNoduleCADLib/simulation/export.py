"""A phantom as files: the CT, its lung and nodule masks, and the truth in LUNA16's format."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..findings import ReferenceNodule
from ..io.atomic import output_folder, write_json, write_text
from ..volume import Volume
from .phantom import Phantom

IMAGE_FORMATS = ("nrrd", "mha")


def write_phantom(phantom: Phantom, folder: str | Path, image_format: str = "nrrd") -> Path:
    """Write a phantom into a folder that appears whole or not at all.

    Files: `<series>.nrrd` (or .mha; the CT), `<series>-lungs.nrrd` (lung mask), `<series>-nodules.nrrd` (label n is
    nodule n), `annotations.csv` (LUNA16: seriesuid, coordX, coordY, coordZ, diameter_mm) and `truth.json` (settings and
    everything known of each nodule).

    :return: path of the CT.
    :raises InputError: for an unknown format.
    :raises OutputError: when the folder cannot be written.
    """
    if image_format not in IMAGE_FORMATS:
        raise InputError(f"The image format '{image_format}' is unknown; choose one of {', '.join(IMAGE_FORMATS)}.")
    name = str(phantom.volume.metadata["series_uid"])
    with output_folder(folder) as target:
        _write_image(phantom.volume, target / f"{name}.{image_format}")
        _write_image(phantom.lung_mask, target / f"{name}-lungs.nrrd")
        _write_image(nodule_labels(phantom), target / f"{name}-nodules.nrrd")
        write_text(target / "annotations.csv", annotations_csv(name, phantom.nodules))
        nodules = [
            {
                "label": n.label,
                "center_lps": n.center_lps,
                "diameter_mm": n.diameter_mm,
                "volume_mm3": n.volume_mm3,
                "spec": asdict(n.spec),
            }
            for n in phantom.nodules
        ]
        write_json(target / "truth.json", {"series": name, "phantom": asdict(phantom.spec), "nodules": nodules})
    return Path(folder) / f"{name}.{image_format}"


def nodule_labels(phantom: Phantom) -> Volume:
    """Label map of the true masks on the CT's grid, uint8: label n is `phantom.nodules[n - 1]`."""
    labels = np.zeros(phantom.volume.shape, dtype=np.uint8)
    for number, nodule in enumerate(phantom.nodules, start=1):
        if nodule.mask is not None:
            labels[nodule.mask.region][nodule.mask.voxels] = number
    return phantom.volume.with_voxels(labels)


def annotations_csv(series_uid: str, nodules: Sequence[ReferenceNodule]) -> str:
    """Reference nodules as the text of a LUNA16 `annotations.csv`: LPS coordinates and diameters, mm."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"))
    for nodule in nodules:
        diameter = "" if nodule.diameter_mm is None else f"{nodule.diameter_mm:.4f}"
        writer.writerow((series_uid, *(f"{c:.4f}" for c in nodule.center_lps), diameter))
    return text.getvalue()


def _write_image(volume: Volume, path: Path) -> None:
    voxels = volume.voxels.astype(np.uint8) if volume.voxels.dtype == bool else volume.voxels
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing([float(s) for s in volume.spacing_kji_mm[::-1]])
    image.SetOrigin([float(c) for c in volume.origin_lps])
    image.SetDirection([float(c) for c in volume.direction.ravel()])
    sitk.WriteImage(image, str(path), useCompression=True)
