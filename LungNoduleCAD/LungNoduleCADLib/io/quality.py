"""Is this CT good enough to look for nodules in? Warnings as a list, refusals as errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import InputError
from ..volume import Volume

WARN_SLICE_MM = 1.55
"""Above 1.5 mm small nodules begin to be missed; the margin takes headers that are rounded or measured."""
REFUSE_SLICE_MM = 3.1
"""3 mm is the thickest slice a small nodule can be judged on (LUNA16 takes none above 2.5 mm); with the same margin."""
FINE_SLICE_MM = 0.45
REFUSE_PIXEL_MM = 2.0
WARN_PIXEL_MM = 1.2
FULL_LENGTH_MM = 80.0
FULL_WIDTH_MM = 200.0
TILT_DEGREES = 1.0
MOST_TILT_DEGREES = 45.0
NOISE_HU = 60.0
"""Local standard deviation in soft tissue. Standard kernels were measured at 15 to 38 HU, lung kernels
(GE LUNG, Siemens B70f) at 73 and 85 HU."""
AIR_BELOW_HU, TISSUE_ABOVE_HU = -500, -500
LEAST_FRACTION = 1e-4
"""Share of voxels that must be lung or air, and that must be tissue; below it they may be noise."""


@dataclass(frozen=True)
class QualityFinding:
    """Something about a scan that the reader of its results must know.

    :param code: for programs; never changes. :param message: one sentence for a person.
    """

    code: str
    message: str
    severity: Literal["info", "warning"] = "warning"


def check_quality(volume: Volume) -> list[QualityFinding]:
    """Check a CT against the input conditions: axial, HU, slices of 0.5 to 3 mm, the length of the lungs, tolerable
    noise.

    :param volume: HU, k along the body.
    :returns: findings, those of reading first; empty for a faultless scan.
    :raises InputError: when no meaningful answer can be given: slices above 3 mm, one slice, NaN, only air, no HU.
    """
    name = str(volume.metadata.get("source") or volume.metadata.get("series_uid") or "The image")
    _refuse_modality(volume, name)
    _refuse_geometry(volume, name)
    _refuse_values(volume.voxels, name)
    findings = [QualityFinding(**entry) for entry in volume.metadata.get("reading_findings", [])]
    findings.extend(_geometry_findings(volume))
    findings.extend(_noise_findings(volume))
    return findings


def slice_thickness_mm(volume: Volume) -> float:
    """The larger of slice distance and stated slice thickness: what decides how small a nodule can be seen."""
    stated = volume.metadata.get("slice_thickness_mm")
    return max(float(volume.spacing_kji_mm[0]), float(stated or 0.0))


def _refuse_modality(volume: Volume, name: str) -> None:
    modality = volume.metadata.get("modality")
    if modality and modality != "CT":
        raise InputError(f"{name} is {modality}, not CT; give a chest CT.")


def _refuse_geometry(volume: Volume, name: str) -> None:
    if min(volume.shape) < 2:
        raise InputError(f"{name} is a single slice; give a CT volume.")
    thickness = slice_thickness_mm(volume)
    if thickness > REFUSE_SLICE_MM:
        raise InputError(
            f"{name} has slices of {thickness:.1f} mm, too thick to show nodules; give a series of 3 mm or less."
        )
    pixel = float(volume.spacing_kji_mm[1:].max())
    if pixel > REFUSE_PIXEL_MM:
        raise InputError(f"{name} has pixels of {pixel:.1f} mm, too coarse to show nodules; give the original series.")
    if _tilt_degrees(volume) > MOST_TILT_DEGREES:
        raise InputError(f"{name} does not consist of axial slices; give the axial series.")


def _refuse_values(voxels: NDArray[Any], name: str) -> None:
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise InputError(f"{name} holds voxels that are not numbers (NaN or infinite); export the CT again in HU.")
    sparse = voxels[:: max(1, voxels.shape[0] // 32), ::4, ::4]
    air = _enough(sparse < AIR_BELOW_HU) or _enough(voxels < AIR_BELOW_HU)
    tissue = _enough(sparse > TISSUE_ABOVE_HU) or _enough(voxels > TISSUE_ABOVE_HU)
    if not tissue:
        raise InputError(
            f"{name} holds nothing but air (at most {voxels.max():.0f} HU); give a CT that shows the chest."
        )
    if not air:
        low, high = float(voxels.min()), float(voxels.max())
        hint = "it is MR or stored without its intercept" if low >= 0 else "it shows no lung"
        raise InputError(
            f"{name} has values from {low:.4g} to {high:.4g}, which are not those of a chest CT in HU ({hint}); give "
            "the CT in HU."
        )


def _enough(found: NDArray[np.bool_]) -> bool:
    return bool(np.count_nonzero(found) > LEAST_FRACTION * found.size)


def _tilt_degrees(volume: Volume) -> float:
    """Angle between the slice normal and the body axis."""
    return float(np.degrees(np.arccos(min(1.0, abs(volume.direction[2, 2])))))


def _geometry_findings(volume: Volume) -> Iterator[QualityFinding]:
    spacing = volume.spacing_kji_mm
    extent = spacing * volume.shape
    thickness = slice_thickness_mm(volume)
    stated = volume.metadata.get("slice_thickness_mm")
    if thickness > WARN_SLICE_MM:
        text = (
            f"Slices of {thickness:.1f} mm: nodules below {max(4.0, 2 * thickness):.0f} mm may be missed or measured "
            "wrongly."
        )
        yield QualityFinding("thick_slices", text)
    if spacing[0] < FINE_SLICE_MM:
        text = (
            f"The slice distance of {spacing[0]:.2f} mm is below the usual 0.5 mm; slices overlap or the spacing is "
            "wrong."
        )
        yield QualityFinding("fine_spacing", text)
    if stated and spacing[0] > 1.1 * float(stated) + 0.05:
        text = f"Slices of {float(stated):.1f} mm lie {spacing[0]:.1f} mm apart: what is between them was not imaged."
        yield QualityFinding("gaps_between_slices", text)
    if spacing[1:].max() > WARN_PIXEL_MM:
        text = f"Pixels of {spacing[1:].max():.2f} mm are coarse for a chest CT; small nodules may be missed."
        yield QualityFinding("coarse_pixels", text)
    if abs(spacing[1] - spacing[2]) > 0.01 * spacing[2]:
        text = f"Pixels are not square ({spacing[2]:.3f} x {spacing[1]:.3f} mm); this is unusual for a CT."
        yield QualityFinding("pixels_not_square", text)
    if extent[0] < FULL_LENGTH_MM:
        text = f"The scan is {extent[0]:.0f} mm long and shows the lungs in part; only what it shows was searched."
        yield QualityFinding("partial", text)
    if extent[1:].min() < FULL_WIDTH_MM:
        text = f"The field of view of {extent[2]:.0f} x {extent[1]:.0f} mm may not show both lungs."
        yield QualityFinding("small_field_of_view", text)
    tilt = _tilt_degrees(volume)
    if tilt > TILT_DEGREES:
        yield QualityFinding("tilted", f"The slices are tilted by {tilt:.1f} degrees against the body axis.")


def _noise_findings(volume: Volume) -> Iterator[QualityFinding]:
    noise = soft_tissue_noise_hu(volume.voxels)
    if noise is not None and noise > NOISE_HU:
        kernel = volume.metadata.get("kernel")
        cause = f" (kernel {kernel})" if kernel else ""
        text = (
            f"The image noise is high, {noise:.0f} HU in soft tissue{cause}; a smoother reconstruction gives fewer "
            "false findings."
        )
        yield QualityFinding("noisy", text)


def soft_tissue_noise_hu(voxels: NDArray[Any], slices: int = 6) -> float | None:
    """Noise of the image: median local standard deviation, in 7x7 pixels, where the local mean is that of muscle and
    blood.

    :param slices: how many, spread evenly, are measured.
    :returns: HU; None when there is too little soft tissue (a lung cube).
    """
    chosen = np.unique(np.linspace(0, len(voxels) - 1, slices + 2).astype(int)[1:-1])
    deviations = []
    for k in chosen:
        values = voxels[k].astype(np.float32)
        mean = ndimage.uniform_filter(values, 7)
        variance = ndimage.uniform_filter(values * values, 7) - mean * mean
        core = (mean > 0) & (mean < 120)
        deviations.append(np.sqrt(np.maximum(variance[core], 0.0)))
    every = np.concatenate(deviations)
    return float(np.median(every)) if every.size > 500 else None
