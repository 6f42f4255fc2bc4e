"""Reference nodules from what people keep them in: a LUNA16 CSV, Slicer markups, or a mask."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import InputError
from ..findings import ReferenceNodule, VoxelMask
from ..volume import Volume
from .points import SERIES, read_points
from .stderr import silenced_stderr

MARKUPS_ENDINGS = (".json",)
CSV_ENDINGS = (".csv", ".csv.gz")

LPS_NAMES = ("LPS", "1", 1)
RAS_NAMES = ("RAS", "0", 0)
"""How markups files say their coordinate system; before Slicer 4.11 by number."""

MOST_LABELS = 500
"""A mask with more labels or parts is no set of nodules (a lung-vessel or organ segmentation, or noise)."""


def read_reference(path: str | Path, volume: Volume) -> list[ReferenceNodule]:
    """Read the reference nodules of one scan.

    - `.csv`, `.csv.gz`: LUNA16's columns `seriesuid, coordX, coordY, coordZ` and, where known, `diameter_mm`. The rows
      of `volume.metadata["series_uid"]` count. A table of several series without this one says that the scan has no
      nodule, as LUNA16's does.
    - `.mrk.json`: every defined control point of Slicer's point lists, in LPS or RAS.
    - any other: an image SimpleITK reads (`.seg.nrrd` too, with one layer or several), on its own grid. With several
      labels each label is a nodule, otherwise each 26-connected part is.

    Points outside the volume are left out: a slab of a scan cannot be blamed for what lies beyond it.

    :returns: in the file's order (masks: by label, or from the first slice on). Masks are on the volume's grid, with
        the centre of mass and the diameter of the sphere of the same volume.
    :raises InputError: when the file is missing, damaged, of another scan, or holds no nodule where it should.
    """
    source = Path(path)
    if not source.is_file():
        what = "is a folder" if source.is_dir() else "does not exist"
        raise InputError(f"{source} {what}; give a LUNA16 CSV, a Slicer .mrk.json, or a mask as the reference.")
    name = source.name.lower()
    if name.endswith(CSV_ENDINGS):
        return _from_csv(source, volume)
    if name.endswith(MARKUPS_ENDINGS):
        return _from_markups(source, volume)
    return _from_mask(source, volume)


def _from_csv(source: Path, volume: Volume) -> list[ReferenceNodule]:
    table = read_points(source, "diameter_mm", default=-1.0)
    wanted = str(volume.metadata.get("series_uid") or "")
    found = sorted(set(table.series.tolist()))
    if not wanted:
        raise InputError(
            f"{source} cannot be matched, because the scan has no series UID; give markups or a mask instead."
        )
    if not found:
        raise InputError(f"{source} lists no nodule; give a table with one row a nodule, or leave the reference out.")
    if found != [wanted] and len(found) == 1:
        raise InputError(
            f"{source} is of series '{found[0]}' while the scan is '{wanted}'; give the scan's own reference, "
            f"or correct the column '{SERIES}'."
        )
    rows = np.flatnonzero(table.series == wanted)
    return [
        ReferenceNodule(_point(table.lps[row]), float(table.values[row]) if table.values[row] > 0 else None, f"R{n}")
        for n, row in enumerate(rows, start=1)
        if volume.contains(table.lps[row])
    ]


def _from_markups(source: Path, volume: Volume) -> list[ReferenceNodule]:
    try:
        content = json.loads(source.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not valid JSON; save the point list again from Slicer as .mrk.json.") from error
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}); check its permissions.") from error
    lists = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(lists, list) or not all(isinstance(markup, dict) for markup in lists):
        raise InputError(
            f"{source} is no Slicer markups file (it has no list 'markups'); save a point list as .mrk.json."
        )
    point_lists = [markup for markup in lists if markup.get("type", "Fiducial") == "Fiducial"]
    points = [point for markup in point_lists for point in _defined_points(markup, source)]
    if not points:
        kinds = ", ".join(sorted({str(markup.get("type")) for markup in lists})) or "nothing"
        raise InputError(
            f"{source} holds no point (found: {kinds}); mark each nodule with a point in Slicer's Markups module."
        )
    nodules = [
        ReferenceNodule(_point(lps), None, label or f"R{n}")
        for n, (lps, label) in enumerate(points, start=1)
        if volume.contains(lps)
    ]
    if not nodules:
        raise InputError(
            f"{source} has {len(points)} point(s), none of them within the scan; give the markups of this scan."
        )
    return nodules


def _defined_points(markup: dict[str, Any], source: Path) -> Iterator[tuple[NDArray[np.float64], str]]:
    """Position in LPS and label of each control point that was placed."""
    system = markup.get("coordinateSystem", "LPS")
    if system not in (*LPS_NAMES, *RAS_NAMES):
        raise InputError(f"{source} has the unknown coordinate system '{system}'; save it from Slicer as LPS or RAS.")
    if markup.get("coordinateUnits", "mm") not in ("mm", ["mm"]):
        raise InputError(f"{source} is in '{markup['coordinateUnits']}', not in millimetres; save it in mm.")
    points = markup.get("controlPoints") or []
    for point in points if isinstance(points, list) else []:
        if not isinstance(point, dict) or point.get("positionStatus", "defined") != "defined":
            continue
        try:
            position = np.array(point.get("position"), dtype=np.float64)
        except (TypeError, ValueError):
            position = np.empty(0)
        if position.shape != (3,) or not np.isfinite(position).all():
            raise InputError(
                f"{source} has a control point without a position of three numbers; place it again in Slicer."
            )
        if system in RAS_NAMES:
            position = position * (-1, -1, 1)
        yield position, str(point.get("label") or "")


def _from_mask(source: Path, volume: Volume) -> list[ReferenceNodule]:
    layers = [_on_grid(layer, volume) for layer in _label_layers(source)]
    return nodules_from_masks([mask for layer in layers for mask in _labels(layer, source)], volume, source)


def nodules_from_masks(parts: Sequence[VoxelMask], volume: Volume, source: str | Path) -> list[ReferenceNodule]:
    """A nodule for each mask on the volume's grid; of a single mask, for each 26-connected part.

    :param source: what an error calls it.
    :raises InputError: when nothing is marked, or too many parts.
    """
    parts = [mask for mask in parts if mask.voxels.any()]
    if not parts:
        raise InputError(f"{source} marks nothing within the scan; give the mask that belongs to this scan.")
    _check_count(len(parts), source)
    if len(parts) == 1:
        # One label for everything: its separate parts are the nodules.
        parts = list(_connected(parts[0], source))
    return [_nodule(mask, volume, f"R{n}") for n, mask in enumerate(parts, start=1)]


def _label_layers(source: Path) -> list[sitk.Image]:
    """The image as label maps: one, or one for each layer where Slicer kept overlapping segments apart."""
    try:
        with silenced_stderr():
            image = sitk.ReadImage(str(source))
    except RuntimeError as error:
        raise InputError(
            f"{source} cannot be read as a reference; give a LUNA16 CSV, a Slicer .mrk.json, or a mask image."
        ) from error
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = sitk.Extract(image, [*image.GetSize()[:-1], 0], [0] * image.GetDimension())
    if image.GetDimension() != 3:
        raise InputError(f"{source} has {image.GetDimension()} dimensions; a mask of nodules has 3.")
    count = image.GetNumberOfComponentsPerPixel()
    layers = [sitk.VectorIndexSelectionCast(image, n) for n in range(count)] if count > 1 else [image]
    for layer in layers:
        values = sitk.GetArrayViewFromImage(layer)
        lowest, highest = float(values.min()), float(values.max())
        if not (lowest >= 0 and highest <= np.iinfo(np.uint16).max and np.array_equal(values, np.rint(values))):
            raise InputError(
                f"{source} is no mask (its values run from {lowest:g} to {highest:g}); give an image of labels."
            )
    return layers


def _on_grid(layer: sitk.Image, volume: Volume) -> NDArray[np.uint16]:
    """The labels at the volume's voxel centres, by nearest neighbour."""
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in reversed(volume.shape)])
    resampler.SetOutputSpacing([float(s) for s in reversed(volume.spacing_kji_mm)])
    resampler.SetOutputOrigin([float(x) for x in volume.origin_lps])
    resampler.SetOutputDirection([float(x) for x in volume.direction.ravel()])
    resampler.SetInterpolator(sitk.sitkNearestNeighbor)
    resampler.SetOutputPixelType(sitk.sitkUInt16)
    return sitk.GetArrayFromImage(resampler.Execute(layer))


def _labels(layer: NDArray[np.uint16], source: Path) -> Iterator[VoxelMask]:
    boxes = ndimage.find_objects(layer)
    _check_count(sum(box is not None for box in boxes), source)
    for label, box in enumerate(boxes, start=1):
        if box is not None:
            yield _cut(layer[box] == label, [side.start for side in box])


def _connected(mask: VoxelMask, source: str | Path) -> Iterator[VoxelMask]:
    labels, count = ndimage.label(mask.voxels, structure=np.ones((3, 3, 3), dtype=bool))
    _check_count(count, source)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        yield _cut(labels[box] == label, [side.start + first for side, first in zip(box, mask.start_kji, strict=True)])


def _check_count(count: int, source: str | Path) -> None:
    if count > MOST_LABELS:
        raise InputError(f"{source} marks {count} separate parts, which are no nodules; give a mask of nodules only.")


def _cut(voxels: NDArray[np.bool_], start: list[int]) -> VoxelMask:
    k, j, i = start
    return VoxelMask((int(k), int(j), int(i)), voxels.copy())


def _nodule(mask: VoxelMask, volume: Volume, label: str) -> ReferenceNodule:
    center = np.argwhere(mask.voxels).mean(axis=0) + mask.start_kji
    size = float(mask.voxels.sum()) * volume.voxel_volume_mm3
    return ReferenceNodule(_point(volume.index_to_lps(center)), float((6 * size / np.pi) ** (1 / 3)), label, mask)


def _point(lps: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in lps)
    return x, y, z
