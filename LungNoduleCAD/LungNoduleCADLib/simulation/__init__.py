"""Deterministic chest phantom CT and simulated nodules with exact truth."""

from __future__ import annotations

from .export import annotations_csv, nodule_labels, write_phantom
from .nodule import (
    DENSITIES,
    DIAMETER_RANGE_MM,
    HU_RANGES,
    LOCATIONS,
    Location,
    NoduleModel,
    NoduleSpec,
    draw_nodule,
    draw_nodule_spec,
    insert_nodule,
    render_nodule,
)
from .nodule_shape import NODULE_SHAPES, NoduleShape, NoduleSurface, draw_surface
from .phantom import Phantom, PhantomNodule, PhantomSpec, make_phantom

__all__ = [
    "DENSITIES",
    "DIAMETER_RANGE_MM",
    "HU_RANGES",
    "LOCATIONS",
    "NODULE_SHAPES",
    "Location",
    "NoduleModel",
    "NoduleShape",
    "NoduleSpec",
    "NoduleSurface",
    "Phantom",
    "PhantomNodule",
    "PhantomSpec",
    "annotations_csv",
    "draw_nodule",
    "draw_nodule_spec",
    "draw_surface",
    "insert_nodule",
    "make_phantom",
    "nodule_labels",
    "render_nodule",
    "write_phantom",
]
