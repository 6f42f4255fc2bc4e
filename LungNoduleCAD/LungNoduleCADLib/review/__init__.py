"""What readers make of a detection: the detector's output untouched, everything they did as an append-only trail, and
the findings that follow from both. Pure Python and numpy; the scene and the widgets are built on it."""

from .change import Change
from .comparison import Comparison, LiveMatch, VoxelOverlap, voxel_overlap
from .decisions import Accept, Reject, Reopen, SetCallipers, SetCategory, SetDensity, SetExamCategory, SetNote
from .events import ReviewEvent
from .measured import add_nodule, edit_contour, merge_findings
from .outlines import AddNodule, Delete, EditContour, Merge
from .propose import propose_outline
from .reading import DeclareFirstRead, Redo, SetMode, Undo
from .review import Original, Review, TrailEntry, replay
from .state import (
    Contour,
    Finding,
    ReadingMode,
    RejectReason,
    ReviewCounts,
    ReviewState,
    review_counts,
    shown_findings,
)
from .storage import review_from_json, review_to_json

__all__ = [
    "Accept",
    "AddNodule",
    "Change",
    "Comparison",
    "Contour",
    "DeclareFirstRead",
    "Delete",
    "EditContour",
    "Finding",
    "LiveMatch",
    "Merge",
    "Original",
    "ReadingMode",
    "Redo",
    "Reject",
    "RejectReason",
    "Reopen",
    "Review",
    "ReviewCounts",
    "ReviewEvent",
    "ReviewState",
    "SetCallipers",
    "SetCategory",
    "SetDensity",
    "SetExamCategory",
    "SetMode",
    "SetNote",
    "TrailEntry",
    "Undo",
    "VoxelOverlap",
    "add_nodule",
    "edit_contour",
    "merge_findings",
    "propose_outline",
    "replay",
    "review_counts",
    "review_from_json",
    "review_to_json",
    "shown_findings",
    "voxel_overlap",
]
