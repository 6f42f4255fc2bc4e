"""Deterministic chest phantom CT and simulated nodules with exact truth."""

from __future__ import annotations

from .export import annotations_csv, nodule_labels, write_phantom
from .nodule import HU_RANGES, draw_nodule, insert_nodule, render_nodule
from .nodule_model import NoduleModel
from .nodule_shape import NODULE_SHAPES, NoduleShape, NoduleSurface, draw_surface
from .nodule_spec import (
    CALCIFICATIONS,
    DENSITIES,
    DIAMETER_RANGE_MM,
    LIDC,
    LOCATIONS,
    PLAIN,
    Calcification,
    Location,
    NoduleSpec,
    Population,
    draw_nodule_spec,
)
from .outline import Outline
from .phantom import Phantom, PhantomNodule, PhantomSpec, make_phantom
from .receiving import fitting_place, receive_nodule
from .scan_character import ScanCharacter, measure_scan

__all__ = [
    "CALCIFICATIONS",
    "DENSITIES",
    "DIAMETER_RANGE_MM",
    "HU_RANGES",
    "LIDC",
    "LOCATIONS",
    "NODULE_SHAPES",
    "PLAIN",
    "Calcification",
    "Location",
    "NoduleModel",
    "NoduleShape",
    "NoduleSpec",
    "NoduleSurface",
    "Outline",
    "Phantom",
    "PhantomNodule",
    "PhantomSpec",
    "Population",
    "ScanCharacter",
    "annotations_csv",
    "draw_nodule",
    "draw_nodule_spec",
    "draw_surface",
    "fitting_place",
    "insert_nodule",
    "make_phantom",
    "measure_scan",
    "nodule_labels",
    "receive_nodule",
    "render_nodule",
    "write_phantom",
]
