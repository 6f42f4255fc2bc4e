"""Changes that need the scan: their outlines are found, joined and measured on its voxels."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from ..findings import VoxelMask
from ..measurement import measure
from ..volume import Volume
from .masks import union
from .outlines import AddNodule, EditContour, Merge
from .propose import center_of_mass, propose_outline
from .review import Review
from .state import Contour, Finding, ReviewState


def add_nodule(review: Review, volume: Volume, point_lps: tuple[float, float, float]) -> AddNodule:
    """A nodule at a point, LPS mm, outlined by `propose_outline`.

    :raises InputError: when the point lies outside the volume.
    """
    mask, proposal = propose_outline(volume, point_lps)
    return AddNodule(review.next_added_id(), point_lps, proposal, contour_of(volume, mask))


def edit_contour(volume: Volume, finding_id: str, mask: VoxelMask) -> EditContour:
    """A finding with another outline.

    :raises InputError: when the mask is empty or reaches beyond the volume.
    """
    if not mask.voxels.any():
        raise InputError(f"The outline of {finding_id} is empty; draw it again, or reject the finding.")
    return EditContour(finding_id, contour_of(volume, mask))


def merge_findings(state: ReviewState, volume: Volume, finding_ids: Sequence[str]) -> Merge:
    """Several findings as one: the detector's best-scored of them, else the first one a reader added.

    :raises InputError: when there are fewer than two, or one does not exist.
    """
    findings = [state.finding(name) for name in dict.fromkeys(finding_ids)]
    if len(findings) < 2:
        raise InputError("Merging takes two or more different findings; select them in the table.")
    findings.sort(key=_rank)
    mask = union([f.contour.mask for f in findings])
    return Merge(tuple(f.id for f in findings), contour_of(volume, mask))


def contour_of(volume: Volume, mask: VoxelMask) -> Contour:
    """A mask, measured.

    :raises InputError: when it reaches beyond the volume.
    """
    if any(side.start < 0 or side.stop > n for side, n in zip(mask.region, volume.shape, strict=True)):
        raise InputError("The outline reaches beyond the scan; draw it within.")
    return Contour(mask, measure(volume, mask), center_of_mass(volume, mask))


def _rank(finding: Finding) -> tuple[float, int]:
    return 1.0 if finding.score is None else -finding.score, int(finding.id[1:])
