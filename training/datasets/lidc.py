"""LIDC-IDRI: DICOM folders and the readers' XML, to scans whose nodules have consensus masks and ratings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.preprocess.lung_mask import segment_lungs
from LungNoduleCADLib.volume import Volume

from .contours import Outline, SliceOf, consensus, outlines, same_nodules
from .dicom_index import SeriesFolder, ct_folders
from .lidc_xml import Contour, PointMark, Readings, read_lidc_xml
from .scans import Nodule, Scan, UnsuitableScan, check_suitable, point

LEAST_READERS = 3
"""As many of the four readers must have outlined a nodule: LUNA16's reference standard (Setio et al. 2017)."""


@dataclass(frozen=True, eq=False)
class LidcCase:
    """A CT of LIDC-IDRI and what its readers marked."""

    series: SeriesFolder
    readings: Readings
    source: str
    least_readers: int = LEAST_READERS

    @property
    def name(self) -> str:
        """The series UID."""
        return self.series.series_uid

    @property
    def patient(self) -> str:
        """`LIDC-IDRI-nnnn`."""
        return self.series.patient

    def files(self) -> list[Path]:
        """The slices."""
        return list(self.series.files)

    def findings(self) -> Any:
        """The readings' hash, and what makes nodules of them."""
        return [readings_hash(self.readings), self.least_readers]

    def read(self) -> Scan:
        """Read the slices and place the readers' marks in them.

        :raises InputError: when it is no whole CT with lungs, or not the one that was marked.
        """
        volume = read_volume(self.series.folder, series_uid=self.name)
        check_suitable(volume)
        if any(finding["code"] == "tilted_gantry" for finding in volume.metadata.get("reading_findings", [])):
            raise UnsuitableScan(
                f"{self.series.folder} was scanned with a tilted gantry, which moves its marks; leave it out."
            )
        slices = {uid: k for k, uid in enumerate(volume.metadata["sop_instance_uids"])}

        def slice_of(contour: Contour) -> int | None:
            return slices.get(contour.sop_uid)

        nodules, others = nodules_of(self.readings, volume, slice_of, self.least_readers)
        marked = [(slices[mark.sop_uid], mark) for mark in self.readings.points if mark.sop_uid in slices]
        if not (nodules or others or marked) and (self.readings.nodules or self.readings.points):
            raise InputError(f"{self.series.folder} holds none of the slices that were marked; download it again.")
        points = [volume.index_to_lps((k, *mark.point_ij[::-1])) for k, mark in marked]
        outlined = [outline for group in others for outline in group]
        excluded = np.array([*(outline.center_lps for outline in outlined), *points]).reshape(-1, 3)
        diameters = np.array([*(outline.diameter_mm for outline in outlined), *(-1.0 for _ in points)])
        agreed = tuple(nodule_of(group) for group in nodules)
        return Scan(volume, segment_lungs(volume), agreed, excluded, excluded_mm=diameters)


def lidc_cases(folder: Path, xml: Path | None = None, least_readers: int = LEAST_READERS) -> list[LidcCase]:
    """Every CT under a folder that readers have marked, in the order of the series' UIDs.

    :param folder: LIDC-IDRI as downloaded: patient, study and series folders, slices in each.
    :param xml: the readers' XML, as a folder or archive, where it does not lie beside the slices.
    :param least_readers: how many readers must have outlined a nodule.
    :raises InputError: when there is no CT, no XML, or no XML of a CT.
    """
    series = {one.series_uid: one for one in ct_folders(folder)}
    if not series:
        raise InputError(f"{folder} holds no folder of CT slices; give the folder LIDC-IDRI was downloaded to.")
    readings = read_lidc_xml(xml or folder)
    known = sorted(series.keys() & readings.keys())
    if not known:
        raise InputError(f"None of the {len(series)} CTs in {folder} has reader XML; give it with --xml.")
    return [
        LidcCase(series[uid], readings[uid], str(series[uid].folder.relative_to(folder)), least_readers)
        for uid in known
    ]


def nodules_of(
    readings: Readings, volume: Volume, slice_of: SliceOf, least_readers: int = LEAST_READERS
) -> tuple[list[list[Outline]], list[list[Outline]]]:
    """The outlines by nodule: of nodules that enough readers outlined, and of the rest."""
    groups = same_nodules(outlines(readings.nodules, volume, slice_of))
    agreed = [group for group in groups if len(group) >= least_readers]
    return agreed, [group for group in groups if len(group) < least_readers]


def nodule_of(group: Sequence[Outline]) -> Nodule:
    """The nodule that several outlines agree on: mean centre and diameter, as LUNA16's, and their consensus mask."""
    center: NDArray[np.float64] = np.mean([outline.center_lps for outline in group], axis=0)
    diameter = float(np.mean([outline.diameter_mm for outline in group]))
    ratings = tuple(asdict(outline.mark.ratings) for outline in group if outline.mark.ratings is not None)
    return Nodule(point(center), diameter, consensus([outline.mask for outline in group]), ratings)


def readings_hash(readings: Readings) -> str:
    """SHA-256 of all that a scan's readers marked."""
    total = hashlib.sha256()
    for mark in readings.nodules:
        total.update(repr((mark.reader, mark.name, mark.ratings)).encode())
        for contour in mark.contours:
            total.update(repr((contour.z_mm, contour.sop_uid, contour.inclusion)).encode())
            total.update(contour.points_ij.tobytes())
    marks: tuple[PointMark, ...] = readings.points
    total.update(repr(marks).encode())
    return total.hexdigest()
