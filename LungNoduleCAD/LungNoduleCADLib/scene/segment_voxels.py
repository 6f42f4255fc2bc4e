"""Writing the voxels of single segments, and finding those that somebody else has changed.

Slicer's own functions for this go through the whole common label map, seconds for 500 segments on a whole scan; these
touch the segment's box.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..findings import VoxelMask
from ..volume import Volume
from .geometry import array_from_image
from .segments import (
    EMPTY,
    LABELMAP,
    box_of,
    cut_mask,
    first_index,
    is_empty,
    is_on_grid,
    make_labelmap,
    read_mask,
    same_voxels,
)


class SegmentVoxels:
    """The voxels of a segmentation's segments.

    A label map that nobody but this object has changed since `mark_known` holds what was written; others are looked
    through as a whole where it matters.
    """

    def __init__(self, segmentation_node: Any, volume: Volume) -> None:
        self._segmentation, self._volume = segmentation_node.GetSegmentation(), volume
        self._known: dict[Any, int] = {}

    def mark_known(self) -> None:
        """From now on every label map counts as known."""
        self._known = {labelmap: labelmap.GetMTime() for labelmap in self._labelmaps()}

    def mark_own(self, segment: Any) -> None:
        """From now on a segment's label map counts as known."""
        labelmap = segment.GetRepresentation(LABELMAP)
        self._known[labelmap] = labelmap.GetMTime()

    def write(self, segment_id: str, mask: VoxelMask, former: VoxelMask | None) -> None:
        """Give a segment other voxels, without a change to those of others.

        :param former: what it holds, when its label map is known; None when that is not known.
        """
        segment = self._segmentation.GetSegment(segment_id)
        labelmap, value = segment.GetRepresentation(LABELMAP), segment.GetLabelValue()
        with _Kept(self, labelmap):
            self._erase(segment_id, former)
            free = self._box_in(labelmap, mask)
            if free is not None and not free[mask.voxels].any() and value <= np.iinfo(free.dtype).max:
                free[mask.voxels] = value
                _modified(labelmap)
                return
        self._give_own(segment, mask)

    def isolate(self, segment_id: str) -> None:
        """Move a segment's voxels to a small label map of its own, so that editing it is quick."""
        if self._segmentation.IsSharedBinaryLabelmap(segment_id):
            segment = self._segmentation.GetSegment(segment_id)
            mask = read_mask(segment, self._volume)
            with _Kept(self, segment.GetRepresentation(LABELMAP)):
                self._erase(segment_id, mask)
            self._give_own(segment, mask)

    def remove(self, segment_id: str, former: VoxelMask) -> None:
        """Remove a segment, when it is still there. `former` as in `write`."""
        segment = self._segmentation.GetSegment(segment_id)
        if segment is not None:
            with _Kept(self, segment.GetRepresentation(LABELMAP)):
                self._erase(segment_id, former)
            segment.RemoveAllRepresentations()  # else Slicer looks for its voxels in the common label map
            self._segmentation.RemoveSegment(segment_id)

    def changed(self, masks: Mapping[str, VoxelMask]) -> dict[str, VoxelMask]:
        """Of those segments that are there, the ones that differ from these masks, and what they hold (perhaps
        nothing)."""
        groups: dict[Any, list[str]] = {}
        for name in masks:
            if (segment := self._segmentation.GetSegment(name)) is not None:
                groups.setdefault(segment.GetRepresentation(LABELMAP), []).append(name)
        found: dict[str, VoxelMask] = {}
        for labelmap, names in groups.items():
            if not self._is_known(labelmap):
                held = self._held(labelmap, {name: masks[name] for name in names})
                different = (name for name, mask in held.items() if mask is not masks[name])
                found.update((name, held[name]) for name in different if not same_voxels(held[name], masks[name]))
        return found

    def _held(self, labelmap: Any, masks: Mapping[str, VoxelMask]) -> Mapping[str, VoxelMask]:
        segments = {name: self._segmentation.GetSegment(name) for name in masks}
        if not is_on_grid(labelmap, self._volume) or is_empty(labelmap):
            return {name: read_mask(segment, self._volume) for name, segment in segments.items()}
        labels = array_from_image(labelmap)
        first = first_index(labelmap)
        as_expected = all(_holds(labels, first, segments[name].GetLabelValue(), mask) for name, mask in masks.items())
        # Nothing within the boxes differs, and there is nothing beyond them: no need to look through it.
        if as_expected and np.count_nonzero(labels) == sum(int(mask.voxels.sum()) for mask in masks.values()):
            return masks
        boxes = ndimage.find_objects(labels)
        held = {}
        for name, segment in segments.items():
            value = segment.GetLabelValue()
            box = boxes[value - 1] if 0 < value <= len(boxes) else None
            held[name] = EMPTY if box is None else cut_mask(labels[box] == value, box, first)
        return held

    def _erase(self, segment_id: str, former: VoxelMask | None) -> None:
        """Take a segment's voxels out of a label map that it shares; one of its own is not used again."""
        segment = self._segmentation.GetSegment(segment_id)
        labelmap, value = segment.GetRepresentation(LABELMAP), segment.GetLabelValue()
        if is_empty(labelmap):
            return
        box = self._box_in(labelmap, former) if former is not None and self._is_known(labelmap) else None
        labels = array_from_image(labelmap) if box is None else box
        labels[labels == value] = 0
        _modified(labelmap)

    def _give_own(self, segment: Any, mask: VoxelMask) -> None:
        labels = mask.voxels * np.array(segment.GetLabelValue(), dtype=np.uint16)
        labelmap = make_labelmap(mask.start_kji, labels, self._volume)
        segment.AddRepresentation(LABELMAP, labelmap)
        labelmap.Modified()  # tells the segmentation that derived surfaces are outdated
        self.mark_own(segment)

    def _box_in(self, labelmap: Any, mask: VoxelMask) -> NDArray[Any] | None:
        """The mask's box in a label map, as a view; None when it is not wholly in it, or the grids differ."""
        if is_empty(labelmap) or not is_on_grid(labelmap, self._volume):
            return None
        return box_of(array_from_image(labelmap), first_index(labelmap), mask)

    def _is_known(self, labelmap: Any) -> bool:
        return self._known.get(labelmap) == labelmap.GetMTime()

    def _labelmaps(self) -> set[Any]:
        segmentation = self._segmentation
        count = segmentation.GetNumberOfSegments()
        found = {segmentation.GetNthSegment(n).GetRepresentation(LABELMAP) for n in range(count)}
        return {labelmap for labelmap in found if labelmap is not None}


class _Kept:
    """While it is open a label map changes by our own hand: if it was known before, it is afterwards."""

    def __init__(self, voxels: SegmentVoxels, labelmap: Any) -> None:
        self._voxels, self._labelmap = voxels, labelmap

    def __enter__(self) -> None:
        self._was_known = self._voxels._is_known(self._labelmap)

    def __exit__(self, *error: object) -> None:
        if self._was_known:
            self._voxels._known[self._labelmap] = self._labelmap.GetMTime()


def _holds(labels: NDArray[Any], first: tuple[int, int, int], value: int, mask: VoxelMask) -> bool:
    box = box_of(labels, first, mask)
    return box is not None and np.array_equal(box == value, mask.voxels)


def _modified(labelmap: Any) -> None:
    labelmap.GetPointData().GetScalars().Modified()
    labelmap.Modified()
