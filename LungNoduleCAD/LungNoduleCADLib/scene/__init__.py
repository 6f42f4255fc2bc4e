"""Candidates to MRML nodes and `.mrb`: the only part that imports slicer and vtk (when first used)."""

from __future__ import annotations

from .bundle import add_result, read_scene, write_scene
from .host import StandaloneScene, open_standalone_scene
from .nodes import add_markups_node, add_segmentation_node, add_volume_node, release_labelmaps, segment_mask

__all__ = [
    "StandaloneScene",
    "add_markups_node",
    "add_result",
    "add_segmentation_node",
    "add_volume_node",
    "open_standalone_scene",
    "read_scene",
    "release_labelmaps",
    "segment_mask",
    "write_scene",
]
