"""LIDC-IDRI's reader XML: what up to four radiologists marked in one CT, and how they rated it.

Format: the element names of LIDC's LidcReadMessage schema. A nodule of 3 mm or more has a contour in every slice it
shows in; a smaller nodule is one point, and so is a finding of 3 mm or more that is no nodule.
"""

from __future__ import annotations

import gc
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from LungNoduleCADLib.errors import InputError

from .ratings import Ratings

READ_MESSAGE, RADIOGRAPH_MESSAGE = "LidcReadMessage", "IdriReadMessage"
SCALES = {
    "subtlety": "subtlety",
    "internalStructure": "internal_structure",
    "calcification": "calcification",
    "sphericity": "sphericity",
    "margin": "margin",
    "lobulation": "lobulation",
    "spiculation": "spiculation",
    "texture": "texture",
    "malignancy": "malignancy",
}


@dataclass(frozen=True, eq=False)
class Contour:
    """An outline in one slice.

    :param sop_uid: SOP Instance UID of the slice.
    :param points_ij: int (n, 2), column and row of pixels, counted from 0.
    :param inclusion: False for a hole within the nodule.
    """

    z_mm: float
    sop_uid: str
    points_ij: NDArray[np.int64]
    inclusion: bool = True


@dataclass(frozen=True, eq=False)
class NoduleMark:
    """A nodule of 3 mm or more as one reader drew and rated it; `ratings` is None where the reader gave none."""

    reader: int
    name: str
    contours: tuple[Contour, ...]
    ratings: Ratings | None


@dataclass(frozen=True)
class PointMark:
    """A nodule below 3 mm, or (`is_nodule` False) a finding of 3 mm or more that is no nodule, as one reader saw it.

    :param point_ij: column and row, counted from 0.
    """

    reader: int
    name: str
    z_mm: float
    sop_uid: str
    point_ij: tuple[int, int]
    is_nodule: bool


@dataclass(frozen=True, eq=False)
class Readings:
    """All readers' marks in one CT series.

    :param readers: how many reading sessions the file holds.
    """

    series_uid: str
    study_uid: str
    readers: int
    nodules: tuple[NoduleMark, ...]
    points: tuple[PointMark, ...]


def read_lidc_xml(source: Path) -> dict[str, Readings]:
    """The readings of all CTs by series UID, from a file, a folder (searched with its sub-folders) or a tar archive.

    Readings of radiographs, which LIDC-IDRI's archive holds too, are passed over. The archive repeats some readings
    under other message numbers; the first counts.

    :raises InputError: when the source cannot be read, a file is no reading, or nothing is a CT's.
    """
    found: dict[str, Readings] = {}
    with _no_garbage_collection():
        for name, content in _documents(source):
            readings = parse_readings(content, name)
            if readings is not None:
                found.setdefault(readings.series_uid, readings)
    if not found:
        raise InputError(f"{source} holds no reader XML of a CT; give LIDC-IDRI's XML files, their folder or archive.")
    return found


def parse_readings(content: bytes, name: str) -> Readings | None:
    """One file's readings; None when they are of radiographs.

    :param name: of the file, for errors.
    :raises InputError: when it is no well-formed XML, declares a document type (entities can be made to fill the
        memory or to read files), or is no reading.
    """
    try:
        _refuse_document_type(content)
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, expat.ExpatError, ValueError) as error:
        raise InputError(f"{name} is not well-formed XML ({error}); download it again.") from error
    space, _, kind = root.tag.rpartition("}")
    if kind == RADIOGRAPH_MESSAGE:
        return None
    if kind != READ_MESSAGE:
        raise InputError(f"{name} is no LIDC reading (its first element is '{kind}'); give LIDC-IDRI's reader XML.")
    try:
        return _readings(root, space + "}" if space else "")
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{name} is a damaged LIDC reading ({error}); download it again.") from error


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Parsing makes millions of objects and no cycles among them; looking for cycles doubles the time (for all of LIDC
    14.5 s, and 6.9 s without)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _FirstElement(Exception):
    """The prolog is over."""


def _refuse_document_type(content: bytes) -> None:
    """A document type stands before the first element, so only the prolog needs to be looked at."""

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type")

    def stop(*_: object) -> None:
        raise _FirstElement

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = stop
    try:
        parser.Parse(content, True)
    except _FirstElement:
        return


def _documents(source: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if source.is_dir():
            for path in sorted(source.rglob("*.xml")):
                if not path.name.startswith("."):
                    yield str(path), path.read_bytes()
        elif source.suffix.lower() == ".xml":
            yield str(source), source.read_bytes()
        else:
            with tarfile.open(source) as archive:
                for member in archive:
                    stream = archive.extractfile(member) if member.name.lower().endswith(".xml") else None
                    if stream is not None:
                        yield f"{source}:{member.name}", stream.read()
    except (tarfile.TarError, EOFError) as error:
        raise InputError(f"{source} is no XML, no folder and no readable tar archive; download it again.") from error
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror or error}); check the path.") from error


def _readings(root: ElementTree.Element, space: str) -> Readings:
    header = root.find(f"{space}ResponseHeader")
    if header is None:
        raise ValueError("it has no header")
    # The two spellings of "UID" and "Uid" both occur in LIDC's files.
    uids = {child.tag.rpartition("}")[2].lower(): (child.text or "").strip() for child in header}
    if not uids.get("seriesinstanceuid"):
        raise ValueError("it names no series")
    nodules: list[NoduleMark] = []
    points: list[PointMark] = []
    sessions = root.findall(f"{space}readingSession")
    for reader, session in enumerate(sessions):
        for mark in session.findall(f"{space}unblindedReadNodule"):
            _add_nodule(mark, reader, space, nodules, points)
        for mark in session.findall(f"{space}nonNodule"):
            z_mm, sop_uid = _slice(mark, space)
            i, j = (int(n) for n in _points(mark, space)[0])
            points.append(PointMark(reader, _text(mark, f"{space}nonNoduleID"), z_mm, sop_uid, (i, j), False))
    return Readings(
        uids["seriesinstanceuid"], uids.get("studyinstanceuid", ""), len(sessions), tuple(nodules), tuple(points)
    )


def _add_nodule(
    mark: ElementTree.Element, reader: int, space: str, nodules: list[NoduleMark], points: list[PointMark]
) -> None:
    name = _text(mark, f"{space}noduleID")
    contours = []
    for roi in mark.findall(f"{space}roi"):
        included = _text(roi, f"{space}inclusion").upper() != "FALSE"
        contours.append(Contour(*_slice(roi, space), _points(roi, space), included))
    if max(len(contour.points_ij) for contour in contours) > 1:
        nodules.append(NoduleMark(reader, name, tuple(contours), _ratings(mark, space)))
        return
    for contour in contours:
        i, j = contour.points_ij[0]
        points.append(PointMark(reader, name, contour.z_mm, contour.sop_uid, (int(i), int(j)), True))


def _ratings(mark: ElementTree.Element, space: str) -> Ratings | None:
    given = mark.find(f"{space}characteristics")
    values = {child.tag.rpartition("}")[2]: int(child.text or 0) for child in given} if given is not None else {}
    return Ratings(**{ours: values[theirs] for theirs, ours in SCALES.items()}) if any(values.values()) else None


def _slice(element: ElementTree.Element, space: str) -> tuple[float, str]:
    return float(_text(element, f"{space}imageZposition")), _text(element, f"{space}imageSOP_UID")


def _points(element: ElementTree.Element, space: str) -> NDArray[np.int64]:
    """Columns and rows (n, 2) of an element's edge or locus."""
    columns, rows = (
        np.array([int(child.text or "") for child in element.iter(space + name)], dtype=np.int64)
        for name in ("xCoord", "yCoord")
    )
    return np.stack((columns, rows), axis=1)


def _text(element: ElementTree.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()
