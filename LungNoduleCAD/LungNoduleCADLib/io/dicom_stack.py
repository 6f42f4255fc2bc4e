"""From a series' slices to one regular grid: order, affine, and what is wrong with the stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .dicom_headers import SliceHeader
from .quality import QualityFinding

SAME_POSITION_MM = 0.05
"""Slices nearer than this lie in one place: positions are written to 0.001 mm and no CT has slices 0.05 mm apart."""
REGULAR_WITHIN_MM = 0.1
"""How much a slice distance may differ from the rest before it is worth a warning (clinical input checks)."""
GAP_FACTOR = 1.5
"""A distance this many times the usual one means that at least one slice is missing."""
SHEAR_TOLERANCE = 1e-3
"""In-plane drift per mm along the stack that counts as none: 0.3 mm over a whole chest."""
JITTER_MM = 1.0
"""In-plane scatter of slice positions about a straight line above which slices belong to different reconstructions."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order of position and the rectangular grid they lie on.

    :param ijk_to_lps: 4x4; k runs along the slice normal.
    :param shift_ji: (n, 2) in-plane shift in pixels that puts each slice on the grid; None when none is needed.
    """

    headers: tuple[SliceHeader, ...]
    ijk_to_lps: NDArray[np.float64]
    shift_ji: NDArray[np.float64] | None = None
    findings: list[QualityFinding] = field(default_factory=list)


def stack_slices(headers: Sequence[SliceHeader], source: Path) -> Stack:
    """Sort a series by its positions along the slice normal and place it; names and instance numbers are not trusted.

    :raises InputError: naming the slice position when slices are missing, doubled, of different geometry, or displaced.
    """
    _check_one_geometry(headers, source)
    first = headers[0]
    assert first.orientation is not None and first.pixel_spacing_ji_mm is not None
    row, column = first.orientation
    normal = first.normal
    ordered = sorted(headers, key=lambda h: (float(h.position @ normal), h.path))  # type: ignore[operator]
    positions = np.array([h.position for h in ordered])
    along = positions @ normal
    findings = _check_distances(ordered, along, source)

    count = len(ordered)
    step = (along[-1] - along[0]) / (count - 1)
    in_plane = np.stack([positions @ column, positions @ row], axis=1)  # (n, 2) in j, i order
    middle = _straight_line(along, in_plane, source)
    spacing_ji = np.array(first.pixel_spacing_ji_mm)
    slope = (in_plane[-1] - in_plane[0]) / (along[-1] - along[0])
    shift = None
    if np.abs(slope).max() > SHEAR_TOLERANCE:
        shift = (in_plane - middle) / spacing_ji
        angle = np.degrees(np.arctan(np.linalg.norm(slope)))
        text = (
            f"The gantry was tilted by {angle:.1f} degrees; the slices were shifted onto a rectangular grid by "
            "interpolation."
        )
        findings.append(QualityFinding("tilted_gantry", text))
    else:
        middle = in_plane[0]

    matrix = np.eye(4)
    matrix[:3, 0] = row * spacing_ji[1]
    matrix[:3, 1] = column * spacing_ji[0]
    matrix[:3, 2] = normal * step
    matrix[:3, 3] = column * middle[0] + row * middle[1] + normal * along[0]
    return Stack(tuple(ordered), matrix, shift, findings)


def _check_one_geometry(headers: Sequence[SliceHeader], source: Path) -> None:
    first = headers[0]
    assert first.orientation is not None and first.pixel_spacing_ji_mm is not None
    for header in headers[1:]:
        assert header.orientation is not None and header.pixel_spacing_ji_mm is not None
        if (header.rows, header.columns) != (first.rows, first.columns):
            what = f"sizes ({first.columns}x{first.rows} and {header.columns}x{header.rows} pixels)"
        elif np.abs(header.orientation - first.orientation).max() > 1e-3:
            what = "orientations"
        elif not np.allclose(header.pixel_spacing_ji_mm, first.pixel_spacing_ji_mm, atol=1e-4, rtol=1e-4):
            what = "pixel spacings"
        else:
            continue
        raise InputError(
            f"Series {first.series_uid} in {source} mixes images of different {what}, first at {header.path.name}; "
            "it holds more than one scan: keep only one of them."
        )


def _check_distances(ordered: Sequence[SliceHeader], along: NDArray[np.float64], source: Path) -> list[QualityFinding]:
    """Refuse doubled and missing slices; report distances that are merely uneven."""
    steps = np.diff(along)
    for n in np.flatnonzero(steps < SAME_POSITION_MM).tolist():
        pair = f"{ordered[n].path.name} and {ordered[n + 1].path.name}"
        raise InputError(
            f"{source} has two slices at the same position {along[n]:.2f} mm ({pair}); take the doubled "
            "slices away, or split the repeated scans."
        )
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])  # the lower median: of two distances the longer is the gap
    gaps = np.flatnonzero(steps > GAP_FACTOR * usual)
    if gaps.size:
        lost = [along[n] + usual * m for n in gaps for m in range(1, max(2, round(steps[n] / usual)))]
        named = ", ".join(f"{z:.2f}" for z in lost[:5]) + (" ..." if len(lost) > 5 else "")
        plural = "s are" if len(lost) > 1 else " is"
        raise InputError(
            f"{source} is incomplete: {len(lost)} slice{plural} missing at position {named} mm along the stack "
            f"(usual distance {usual:.2f} mm); export the whole series again."
        )
    even = np.linspace(along[0], along[-1], len(along))
    worst = float(np.abs(steps - usual).max())
    if np.abs(along - even).max() > 0.5 * usual:
        raise InputError(
            f"{source} has slice distances from {steps.min():.2f} to {steps.max():.2f} mm, which fit no regular grid; "
            "export a reconstruction with one slice distance."
        )
    if worst > REGULAR_WITHIN_MM:
        text = (
            f"Slice distances vary from {steps.min():.2f} to {steps.max():.2f} mm; the mean, {steps.mean():.2f} mm, "
            "was taken."
        )
        return [QualityFinding("irregular_spacing", text)]
    return []


def _straight_line(along: NDArray[np.float64], in_plane: NDArray[np.float64], source: Path) -> NDArray[np.float64]:
    """In-plane position (j, i), mm, of the middle of the stack.

    :raises InputError: when the slices' corners do not lie on a straight line.
    """
    fraction = ((along - along[0]) / (along[-1] - along[0]))[:, None]
    line = in_plane[0] + fraction * (in_plane[-1] - in_plane[0])
    scatter = np.abs(in_plane - line).max()
    if scatter > JITTER_MM:
        raise InputError(
            f"{source} has slices displaced sideways by up to {scatter:.1f} mm against each other; it mixes "
            "reconstructions of different centres: export one of them."
        )
    return (in_plane[0] + in_plane[-1]) / 2
