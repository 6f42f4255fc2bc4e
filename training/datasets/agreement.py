"""Does our reading of LIDC's XML give LUNA16's reference standard? Both come from the same marks, on ways of their own.

    python -m training.datasets.agreement --xml reader-xml.tar.xz --luna16 LUNA16-TABLES

LUNA16 lists every small nodule and non-nodule of the XML, in its order but in millimetres: two of them in a scan give
the scan's pixel grid, which the XML does not hold, to a thousandth of a millimetre. No image is needed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.errors import LungNoduleCADError
from LungNoduleCADLib.io.points import read_points, read_series_list
from LungNoduleCADLib.volume import Volume

from .lidc import nodule_of, nodules_of
from .lidc_xml import Contour, Readings, read_lidc_xml
from .luna16 import ANNOTATIONS, EXCLUDED, RATED, find_table, with_ratings
from .ratings import malignant
from .scans import Nodule
from .tables import Annotation, by_series, read_annotations, selected

SAME_HEIGHT_MM, SAME_POINT_MM = 0.15, 0.01
"""Of a mark in both lists; the XML rounds heights to 0.1 mm in some scans."""
USUAL_PIXEL_MM, USUAL_SLICE_MM = 0.7, 1.5
"""Where a grid cannot be derived."""
NEAR_SLICES_MM = 1.5


@dataclass
class Agreement:
    """What was compared, and how much of it agrees.

    :param points: small nodules and non-nodules, and how many stand where LUNA16 says.
    :param nodules: LUNA16's nodules, and those that a nodule of ours lies in (its own, within half the diameter).
    :param by_height: of LUNA16's nodules in scans without a grid, those with one of ours of the same height and size.
    :param extra: nodules of at least three readers, in scans with a grid, that LUNA16 does not list.
    :param rated: matched nodules whose ratings are known; of how many they are the same, and the malignancy rule's
        answer is; how many the rule calls malignant.
    """

    scans: int = 0
    grids: int = 0
    points: int = 0
    points_found: int = 0
    nodules: int = 0
    matched: int = 0
    without_grid: int = 0
    by_height: int = 0
    extra: int = 0
    rated: int = 0
    same_ratings: int = 0
    same_label: int = 0
    malignant: int = 0
    distances_mm: list[float] = field(default_factory=list)
    diameter_ratios: list[float] = field(default_factory=list)


def compare(
    readings: Mapping[str, Readings],
    scans: list[str],
    annotations: Mapping[str, list[Annotation]],
    points_lps: Mapping[str, NDArray[np.float64]],
) -> Agreement:
    """Compare the readings of LUNA16's scans with its tables.

    :param points_lps: the excluded findings without a diameter, in the table's order.
    """
    result = Agreement()
    for series in scans:
        ours, theirs = readings.get(series), annotations.get(series, [])
        result.scans += 1
        result.nodules += len(theirs)
        if ours is None:
            continue
        places = points_lps.get(series, np.empty((0, 3)))
        result.points += len(places)
        grid = grid_of(ours, places)
        if grid is None:
            grid, known = usual_grid(ours), False
        else:
            known = True
            result.grids += 1
            result.points_found += len(places)
        heights = grid.index_to_lps([(k, 0, 0) for k in range(grid.shape[0])])[:, 2]

        def slice_of(contour: Contour, heights: NDArray[np.float64] = heights) -> int:
            return int(np.abs(heights - contour.z_mm).argmin())

        found = [nodule_of(group) for group in nodules_of(ours, grid, slice_of)[0]]
        if known:
            _match_places(found, theirs, result)
        else:
            _match_heights(found, theirs, result)
    return result


def grid_of(readings: Readings, places_lps: NDArray[np.float64]) -> Volume | None:
    """The pixel grid of a scan (without its pixels) from marks that are known both as pixels and in millimetres; None
    when they are too few, or not the same."""
    pixels = np.array([(*mark.point_ij, mark.z_mm) for mark in readings.points]).reshape(-1, 3)
    if len(pixels) != len(places_lps) or len(pixels) < 2 or (np.ptp(pixels[:, :2], axis=0) < 1).any():
        return None
    if np.abs(pixels[:, 2] - places_lps[:, 2]).max() > SAME_HEIGHT_MM:
        return None
    (step_i, start_x), (step_j, start_y) = (np.polyfit(pixels[:, n], places_lps[:, n], 1) for n in range(2))
    if np.abs(pixels[:, :2] * (step_i, step_j) + (start_x, start_y) - places_lps[:, :2]).max() > SAME_POINT_MM:
        return None
    return _grid(readings, (step_i, step_j), (start_x, start_y))


def usual_grid(readings: Readings) -> Volume:
    """The pixel grid of a scan of which nothing but the XML is known."""
    return _grid(readings, (USUAL_PIXEL_MM, USUAL_PIXEL_MM), (0.0, 0.0))


def _grid(readings: Readings, steps: tuple[float, float], start: tuple[float, float]) -> Volume:
    """Slices at all contours' heights, evenly spaced by their least distance."""
    contours = [contour for mark in readings.nodules for contour in mark.contours]
    heights = np.unique([contour.z_mm for contour in contours]) if contours else np.zeros(1)
    distances = np.diff(heights)[np.diff(heights) > SAME_HEIGHT_MM]
    slice_mm = float(distances.min()) if distances.size else USUAL_SLICE_MM
    columns, rows = np.max([contour.points_ij.max(axis=0) for contour in contours] or [(1, 1)], axis=0) + 1
    matrix = np.diag((*steps, slice_mm, 1.0))
    matrix[:3, 3] = (*start, heights[0])
    count = round((heights[-1] - heights[0]) / slice_mm) + 1
    return Volume(np.broadcast_to(np.int16(0), (count, int(rows), int(columns))), matrix)


def _match_places(found: list[Nodule], annotations: list[Annotation], result: Agreement) -> None:
    free = list(found)
    for annotation in annotations:
        distances = [float(np.linalg.norm(np.subtract(n.center_lps, annotation.center_lps))) for n in free]
        if not distances or min(distances) >= annotation.diameter_mm / 2:
            continue
        nodule = free.pop(int(np.argmin(distances)))
        result.matched += 1
        result.distances_mm.append(min(distances))
        result.diameter_ratios.append(nodule.diameter_mm / annotation.diameter_mm)
        if annotation.malignancy:
            ours = sorted(rating["malignancy"] for rating in nodule.ratings)
            result.rated += 1
            result.same_ratings += ours == sorted(annotation.malignancy)
            result.same_label += malignant(ours) == malignant(annotation.malignancy)
            result.malignant += bool(malignant(ours))
    result.extra += len(free)


def _match_heights(found: list[Nodule], annotations: list[Annotation], result: Agreement) -> None:
    free = list(found)
    for annotation in annotations:
        result.without_grid += 1
        near = [
            nodule
            for nodule in free
            if abs(nodule.center_lps[2] - annotation.center_lps[2]) < NEAR_SLICES_MM
            and 0.6 < nodule.diameter_mm / annotation.diameter_mm < 1.6
        ]
        if near:
            free.remove(min(near, key=lambda nodule: abs(nodule.center_lps[2] - annotation.center_lps[2])))
            result.by_height += 1


def describe(result: Agreement) -> str:
    """For a person."""
    lines = [
        f"{result.scans} scans of LUNA16; pixel grid derived for {result.grids}",
        f"small nodules and non-nodules at LUNA16's place: {result.points_found} of {result.points}",
        f"nodules matched by place: {result.matched} of {result.nodules - result.without_grid} in scans with a grid",
        f"nodules matched by height and size: {result.by_height} of {result.without_grid} in scans without",
        f"nodules of three readers or more that LUNA16 does not list: {result.extra}",
        f"distance of centres: median {np.median(result.distances_mm):.2f} mm, "
        f"95 % within {np.percentile(result.distances_mm, 95):.2f} mm; "
        f"diameters, ours to LUNA16's: median {np.median(result.diameter_ratios):.3f}, "
        f"90 % between {np.percentile(result.diameter_ratios, 5):.2f} "
        f"and {np.percentile(result.diameter_ratios, 95):.2f}",
    ]
    if result.rated:
        lines.append(
            f"malignancy of {result.rated} rated nodules: same ratings {result.same_ratings}, "
            f"same answer of 'two readers gave 4 or 5' {result.same_label}, malignant {result.malignant}"
        )
    return "\n".join(lines)


def compare_files(xml: Path, luna16: Path) -> Agreement:
    """Compare the XML with the tables of a folder: `annotations.csv`, `annotations_excluded.csv`, `seriesuids.csv` and,
    where there is one, `annotations_with_malignancy.csv`.

    :raises InputError: when something is missing or damaged.
    """
    annotations = read_annotations(find_table(luna16, ANNOTATIONS))
    if (luna16 / RATED).exists():
        annotations = with_ratings(annotations, read_annotations(luna16 / RATED, "mal_details"))
    excluded = read_points(find_table(luna16, EXCLUDED), "diameter_mm", default=-1.0)
    points = by_series(selected(excluded, excluded.values < 0))
    return compare(read_lidc_xml(xml), read_series_list(luna16 / "seriesuids.csv"), annotations, points)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xml", type=Path, required=True)
    parser.add_argument("--luna16", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        print(describe(compare_files(arguments.xml, arguments.luna16)))
    except LungNoduleCADError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
