"""What every output shows: one item per candidate, and one per reference nodule that was missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..evaluation.matching import MatchResult
from ..evaluation.matching import match as match_candidates
from ..findings import Candidate, DetectionResult, ReferenceNodule, VoxelMask
from ..volume import Volume
from .colors import STATUS_COLORS, Color, candidate_color
from .text import malignancy_text


@dataclass(frozen=True, eq=False)
class ReportItem:
    """A candidate or a missed reference nodule, as it is shown.

    :param label: 'N' and the candidate's id, or 'FN' and the missed nodule's number; the same in every file.
    :param label_value: the item's value in label images: the candidate's id; missed nodules follow the largest id.
    :param status: against the reference at the result's threshold; None without a reference and below the threshold.
    :param mask: on the source volume's grid; None for a missed nodule of unknown size.
    :param shown: at or above the threshold, or missed. Others are kept in the scene and the markups, but hidden.
    """

    label: str
    label_value: int
    center_lps: tuple[float, float, float]
    description: str
    color: Color
    shown: bool
    status: str | None = None
    mask: VoxelMask | None = None
    candidate: Candidate | None = None
    reference: ReferenceNodule | None = None


def report_items(result: DetectionResult, volume: Volume, match: MatchResult | None = None) -> list[ReportItem]:
    """Every candidate, best first, then every missed reference nodule."""
    items = []
    for candidate in result.candidates:
        status = None if match is None else match.status(candidate.id)
        items.append(
            ReportItem(
                label=f"N{candidate.id}",
                label_value=candidate.id,
                center_lps=candidate.center_lps,
                description=_describe(candidate, status),
                color=candidate_color(candidate.score, status),
                shown=candidate.score >= result.threshold,
                status=status,
                mask=candidate.mask if candidate.mask.voxels.any() else None,
                candidate=candidate,
            )
        )
    if match is not None:
        first = max((c.id for c in result.candidates), default=0) + 1
        items += [_missed(nodule, n, first, volume) for n, nodule in enumerate(match.missed)]
    return items


def resolve_match(
    result: DetectionResult, references: Sequence[ReferenceNodule] | None, match: MatchResult | None
) -> MatchResult | None:
    """The match given, or one made from the references at the result's threshold; None without a reference."""
    if match is not None or references is None:
        return match
    return match_candidates(result.candidates, references, result.threshold)


def slice_number(center_lps: ArrayLike, volume: Volume) -> int:
    """The slice that shows a point, counted from 1 at the volume's first slice, within the volume."""
    k = round(float(volume.lps_to_index(center_lps)[0]))
    return min(max(k, 0), volume.shape[0] - 1) + 1


def slice_uid(sop_instance_uids: Sequence[str], number: int) -> str:
    """SOP Instance UID of a slice by its number, from those of all slices; empty where the source is no DICOM."""
    return sop_instance_uids[number - 1] if sop_instance_uids else ""


class HasMask(Protocol):
    """What can be put in a label image."""

    @property
    def mask(self) -> VoxelMask | None: ...


Masked = TypeVar("Masked", bound=HasMask)


def label_layers(items: Sequence[Masked]) -> list[list[Masked]]:
    """Share out the items with a mask over as few label images as it takes for no two masks in one to overlap.

    Nearly always one; a second holds, for instance, a missed nodule that a false candidate touches.
    """
    layers: list[list[Masked]] = []
    for item in items:
        if item.mask is None:
            continue
        home = next((layer for layer in layers if not any(_overlap(item.mask, o.mask) for o in layer)), None)
        if home is None:
            layers.append([item])
        else:
            home.append(item)
    return layers


def fill_labels(items: Sequence[ReportItem], start_kji: Sequence[int], labels: NDArray[np.unsignedinteger]) -> None:
    """Write the items' label values into `labels`, a box (k, j, i) that begins at voxel `start_kji` of the volume."""
    for item in items:
        if item.mask is not None:
            box = tuple(
                slice(a - int(s), a - int(s) + n)
                for a, s, n in zip(item.mask.start_kji, start_kji, item.mask.voxels.shape, strict=True)
            )
            labels[box][item.mask.voxels] = item.label_value


def bounding_box(items: Sequence[ReportItem]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """First voxel (k, j, i) and shape of the smallest box that holds every mask; one voxel when there is none."""
    masks = [item.mask for item in items if item.mask is not None]
    if not masks:
        return (0, 0, 0), (1, 1, 1)
    start = np.min([m.start_kji for m in masks], axis=0)
    stop = np.max([np.add(m.start_kji, m.voxels.shape) for m in masks], axis=0)
    k, j, i = (int(v) for v in start)
    depth, rows, columns = (int(v) for v in stop - start)
    return (k, j, i), (depth, rows, columns)


def label_type(items: Sequence[ReportItem]) -> type[np.unsignedinteger]:
    """The smallest unsigned type that holds every label value."""
    return np.uint8 if max((item.label_value for item in items), default=0) < 256 else np.uint16


def sphere_mask(center_lps: ArrayLike, diameter_mm: float, volume: Volume) -> VoxelMask | None:
    """The voxels whose centres lie within a sphere (at least the one at its centre); None when it misses the volume."""
    center = volume.lps_to_index(center_lps)
    radius = diameter_mm / 2.0 / volume.spacing_kji_mm
    start = np.maximum(np.floor(center - radius), 0).astype(int)
    stop = np.minimum(np.ceil(center + radius) + 1, volume.shape).astype(int)
    if (stop <= start).any():
        return None
    k, j, i = np.ogrid[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    # The axes are orthogonal (Volume refuses others), so that distances add up axis by axis.
    squared = sum(((x - c) * s) ** 2 for x, c, s in zip((k, j, i), center, volume.spacing_kji_mm, strict=True))
    voxels = np.asarray(squared <= (diameter_mm / 2.0) ** 2)
    nearest = np.round(center).astype(int)
    if (nearest >= start).all() and (nearest < stop).all():
        voxels[tuple(nearest - start)] = True
    return VoxelMask((int(start[0]), int(start[1]), int(start[2])), voxels) if voxels.any() else None


def known_diameter_mm(nodule: ReferenceNodule) -> float | None:
    """A reference nodule's diameter, when it has one (LUNA16 codes an unknown one as negative)."""
    return nodule.diameter_mm if nodule.diameter_mm is not None and nodule.diameter_mm > 0 else None


def _missed(nodule: ReferenceNodule, number: int, first_value: int, volume: Volume) -> ReportItem:
    diameter = known_diameter_mm(nodule)
    mask = nodule.mask if nodule.mask is not None and nodule.mask.voxels.any() else None
    if mask is None and diameter is not None:
        mask = sphere_mask(nodule.center_lps, diameter, volume)
    size = "" if diameter is None else f", {diameter:.1f} mm"
    name = f" '{nodule.label}'" if nodule.label else ""
    return ReportItem(
        label=f"FN{number + 1}",
        label_value=first_value + number,
        center_lps=nodule.center_lps,
        description=f"missed reference nodule{name}{size}",
        color=STATUS_COLORS["FN"],
        shown=True,
        status="FN",
        mask=mask,
        reference=nodule,
    )


def _describe(candidate: Candidate, status: str | None) -> str:
    m = candidate.measurements
    parts = [f"score {candidate.score:.2f}", f"{m.diameter_mm:.1f} mm", f"{m.density}, mean {m.mean_hu:.0f} HU"]
    if candidate.malignancy is not None:
        parts.append(f"malignancy {malignancy_text(candidate.malignancy, candidate.malignancy_by_diameter)}")
    if status is not None:
        parts.append(status)
    return "; ".join(parts)


def _overlap(a: VoxelMask | None, b: VoxelMask | None) -> bool:
    if a is None or b is None:
        return False
    # Plain integers: hundreds of candidates make a hundred thousand pairs, nearly all of them far apart.
    start = [max(p, q) for p, q in zip(a.start_kji, b.start_kji, strict=True)]
    stop = [
        min(p + m, q + n) for p, m, q, n in zip(a.start_kji, a.voxels.shape, b.start_kji, b.voxels.shape, strict=True)
    ]
    if any(high <= low for low, high in zip(start, stop, strict=True)):
        return False
    in_a, in_b = (
        m.voxels[tuple(slice(p - o, q - o) for p, q, o in zip(start, stop, m.start_kji, strict=True))] for m in (a, b)
    )
    return bool((in_a & in_b).any())
