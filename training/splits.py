"""Folds by patient: no patient is ever on both sides of a split, whatever table or scan the person appears in."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

FOLDS = 5

BACKGROUND_SCANS = ("R01-001", "LIDC-IDRI-0314", "C3N-00247", "113_HM10395", "MSB-01068")
"""The complete real lungs; each is left out by the fold of its position, together with its patient's nodules."""

BACKGROUND_SLABS = ("LIDC-IDRI-0002-slab", "LIDC-IDRI-0003-slab")
"""A dozen slices each, of patients whose other images are in the fold of their id."""

PHANTOM_SEEDS = (100, 101, 102, 103)
"""Healthy simulated lungs, beside the real ones; evaluation uses other seeds."""
NO_FOLD, UNKNOWN_FOLD = -1, -2
"""Of what belongs to no patient, and of what belongs to one who is not known: may serve wherever nobody is left out."""


def fold_of(patient: str) -> int:
    """Fold (0 to 4) that leaves this patient out: by position for the background scans, else by a hash of the id, so
    that it never depends on which other patients are known."""
    if patient.startswith("phantom-"):
        return NO_FOLD
    if patient in BACKGROUND_SCANS:
        return BACKGROUND_SCANS.index(patient)
    patient = patient.removesuffix("-slab")
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big") % FOLDS


def serves(fold: int, leave_out: Collection[int]) -> bool:
    """Whether something of that fold may be trained on while these folds are held back."""
    return fold not in leave_out and not (leave_out and fold == UNKNOWN_FOLD)
