"""LIDC's reader XML: parsing, outlines to voxels, readers' marks to nodules, ratings, and all of it against LUNA16."""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from io_inputs import SYNTHETIC_SERIES, other_uid, write_series
from numpy.typing import NDArray

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.io.points import read_points, read_series_list
from LungNoduleCADLib.simulation import Phantom, make_phantom
from LungNoduleCADLib.volume import Volume
from training.datasets.agreement import Agreement, compare, describe, grid_of
from training.datasets.cache import Cache
from training.datasets.contours import consensus, enclosed_pixels, outline_mask, outlines, same_nodules
from training.datasets.dicom_index import ct_folders
from training.datasets.lidc import LidcCase, lidc_cases, nodule_of, nodules_of
from training.datasets.lidc_xml import Contour, NoduleMark, Readings, parse_readings, read_lidc_xml
from training.datasets.luna16 import ANNOTATIONS, EXCLUDED, RATED, find_table, with_ratings
from training.datasets.prepare import main
from training.datasets.ratings import RULES, malignant
from training.datasets.tables import Annotation, by_series, read_annotations, selected

# -- building XML ------------------------------------------------------------------------------------------------------


def roi(z: float, points: Sequence[tuple[int, int]], inclusion: bool = True, sop: str = "") -> str:
    edges = "".join(f"<edgeMap><xCoord>{i}</xCoord><yCoord>{j}</yCoord></edgeMap>" for i, j in points)
    return (
        f"<roi><imageZposition>{z}</imageZposition><imageSOP_UID>{sop or f'slice {z}'}</imageSOP_UID>"
        f"<inclusion>{str(inclusion).upper()}</inclusion>{edges}</roi>"
    )


SCALES = (
    "subtlety", "internalStructure", "calcification", "sphericity", "margin", "lobulation", "spiculation", "texture",
)  # fmt: skip


def nodule(rois: str, malignancy: int | None = 4) -> str:
    rated = "".join(f"<{scale}>3</{scale}>" for scale in SCALES) + f"<malignancy>{malignancy}</malignancy>"
    characteristics = f"<characteristics>{rated}</characteristics>" if malignancy is not None else ""
    return f"<unblindedReadNodule><noduleID>7</noduleID>{characteristics}{rois}</unblindedReadNodule>"


def non_nodule(z: float, i: int, j: int, sop: str = "") -> str:
    return (
        f"<nonNodule><nonNoduleID>9</nonNoduleID><imageZposition>{z}</imageZposition>"
        f"<imageSOP_UID>{sop or f'slice {z}'}</imageSOP_UID>"
        f"<locus><xCoord>{i}</xCoord><yCoord>{j}</yCoord></locus></nonNodule>"
    )


def message(*sessions: str, series: str = SYNTHETIC_SERIES, root: str = "LidcReadMessage") -> bytes:
    body = "".join(f"<readingSession>{session}</readingSession>" for session in sessions)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><{root} xmlns="http://www.nih.gov"><ResponseHeader>'
        f"<SeriesInstanceUid>{series}</SeriesInstanceUid><StudyInstanceUID>1.2</StudyInstanceUID></ResponseHeader>"
        f"{body}</{root}>"
    ).encode()


def square(i: int, j: int, size: int) -> list[tuple[int, int]]:
    """The border pixels of a square of size x size enclosed pixels whose first is at (i, j)."""
    along = range(-1, size + 1)
    return [
        *((i + n, j - 1) for n in along), *((i + size, j + n) for n in along),
        *((i + n, j + size) for n in reversed(along)), *((i - 1, j + n) for n in reversed(along)),
    ]  # fmt: skip


def parsed(content: bytes) -> Readings:
    readings = parse_readings(content, "file.xml")
    assert readings is not None
    return readings


# -- the parser --------------------------------------------------------------------------------------------------------


def test_a_reading_becomes_nodules_and_points() -> None:
    drawn = nodule(roi(-10, square(20, 30, 4)) + roi(-10, square(21, 31, 1), inclusion=False), malignancy=5)
    small = nodule(roi(-20.5, [(5, 6)]), malignancy=None)
    readings = parsed(message(drawn + small, non_nodule(-30, 7, 8)))
    assert (readings.series_uid, readings.study_uid, readings.readers) == (SYNTHETIC_SERIES, "1.2", 2)
    (mark,) = readings.nodules
    assert mark.reader == 0 and mark.ratings is not None
    assert (mark.ratings.malignancy, mark.ratings.internal_structure) == (5, 3)
    assert [contour.inclusion for contour in mark.contours] == [True, False]
    assert mark.contours[0].points_ij[0].tolist() == [19, 29] and mark.contours[0].sop_uid == "slice -10"
    assert [(p.z_mm, p.point_ij, p.is_nodule, p.reader) for p in readings.points] == [
        (-20.5, (5, 6), True, 0),
        (-30.0, (7, 8), False, 1),
    ]


@pytest.mark.parametrize("malignancy", [None, 0])
def test_what_a_reader_did_not_rate_has_no_ratings(malignancy: int | None) -> None:
    text = message(nodule(roi(0, square(4, 4, 3)), malignancy)).replace(b">3<", b">0<")
    assert parsed(text).nodules[0].ratings is None


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("declaration", [BOMB, OUTSIDE, b'<!DOCTYPE x SYSTEM "http://somewhere/x.dtd">'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_in_any_encoding(declaration: bytes, encoding: str) -> None:
    text = message("").decode().replace("?>", "?>" + declaration.decode()).replace("UTF-8", encoding)
    with pytest.raises(InputError, match="document type"):
        parse_readings(text.encode(encoding), "file.xml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not well-formed"),
        (b"a table", "not well-formed"),
        (message("")[:-9], "not well-formed"),
        (message("", root="SomethingElse"), "no LIDC reading"),
        (message("").replace(b"SeriesInstanceUid", b"Other"), "names no series"),
        (message("").replace(b"ResponseHeader", b"Other"), "no header"),
        (message(nodule(roi(0, [(1, 2), (3, 4)]))).replace(b"<xCoord>3", b"<xCoord>x"), "damaged LIDC reading"),
        (message(nodule(roi(0, [(1, 2), (3, 4)]))).replace(b"<yCoord>4</yCoord>", b""), "damaged LIDC reading"),
        (message(nodule(roi(0, square(4, 4, 3)), malignancy=7)), "malignancy is 7"),
        (message(nodule("")), "damaged LIDC reading"),
        (message(non_nodule(0, 1, 1)).replace(b"xCoord", b"other"), "damaged LIDC reading"),
        (message(nodule(roi(0, square(4, 4, 3)))).replace(b"<imageZposition>0", b"<imageZposition>"), "damaged LIDC"),
    ],
)
def test_a_damaged_file_is_named_in_one_sentence(content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        parse_readings(content, "some/file.xml")
    assert "some/file.xml" in str(raised.value) and "\n" not in str(raised.value)


def test_radiographs_are_passed_over_and_a_repeated_reading_counts_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "1.xml").write_bytes(message("", root="IdriReadMessage"))
    (tmp_path / "2.xml").write_bytes(message(non_nodule(0, 1, 1)))
    (tmp_path / "deep" / "3.xml").write_bytes(message(non_nodule(0, 2, 2)))
    (tmp_path / "deep" / "4.xml").write_bytes(message(series=other_uid(1)))
    (tmp_path / "._2.xml").write_bytes(b"of another system")
    with tarfile.open(tmp_path / "all.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "2.xml", "x/2.xml")
        archive.add(tmp_path / "deep", "x/deep")
    for source in (tmp_path, tmp_path / "all.tar.xz"):
        found = read_lidc_xml(source)
        assert set(found) == {SYNTHETIC_SERIES, other_uid(1)}
        assert found[SYNTHETIC_SERIES].points[0].point_ij == (1, 1)
    assert set(read_lidc_xml(tmp_path / "2.xml")) == {SYNTHETIC_SERIES}


def test_a_source_without_readings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no reader XML"):
        read_lidc_xml(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_lidc_xml(tmp_path / "none.xml")
    (tmp_path / "x.tar.xz").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="no readable tar"):
        read_lidc_xml(tmp_path / "x.tar.xz")


# -- outlines to voxels ------------------------------------------------------------------------------------------------


def test_a_contour_lies_outside_of_what_it_encloses() -> None:
    inside, line = enclosed_pixels(np.array(square(3, 2, 4)), (10, 12))
    assert inside.sum() == 16 and inside[2:6, 3:7].all()
    assert line.sum() == 20 and not (inside & line).any()


def test_a_contour_that_touches_itself_encloses_both_loops() -> None:
    eight = [(1, 1), (5, 1), (5, 5), (9, 5), (9, 9), (5, 9), (5, 5), (1, 5)]
    inside, _ = enclosed_pixels(np.array(eight), (12, 12))
    assert inside[2:5, 2:5].all() and inside[6:9, 6:9].all() and inside.sum() == 18


def mark(contours: Sequence[Contour], reader: int = 0) -> NoduleMark:
    return NoduleMark(reader, f"{reader}", tuple(contours), None)


def contour(z: float, points: Sequence[tuple[int, int]], inclusion: bool = True) -> Contour:
    return Contour(z, f"slice {z}", np.array(points), inclusion)


def by_height(contour: Contour) -> int | None:
    return int(contour.z_mm) if contour.z_mm >= 0 else None


SHAPE = (12, 40, 40)


def test_a_hole_is_cut_out_but_its_own_line_belongs_to_the_nodule() -> None:
    found = outline_mask(mark([contour(3, square(10, 20, 7)), contour(3, square(12, 22, 3), False)]), SHAPE, by_height)
    assert found is not None and found.start_kji == (3, 20, 10)
    assert found.voxels.sum() == 49 - 9 and not found.voxels[0, 2:5, 2:5].any() and found.voxels[0, 1, 1:6].all()


def test_a_contour_that_encloses_nothing_is_itself_the_nodule() -> None:
    found = outline_mask(mark([contour(2, [(5, 5), (6, 5), (6, 6)])]), SHAPE, by_height)
    assert found is not None and found.voxels.sum() == 3


def test_slices_that_the_volume_lacks_are_left_out() -> None:
    rois = [contour(-1, square(3, 3, 3)), contour(0, square(3, 3, 3))]
    found = outline_mask(mark(rois), SHAPE, by_height)
    assert found is not None and found.voxels.shape[0] == 1
    assert outline_mask(mark(rois[:1]), SHAPE, by_height) is None
    assert outline_mask(mark([contour(2, square(60, 60, 3))]), SHAPE, by_height) is None
    beyond = outline_mask(mark([contour(2, square(36, 3, 8))]), SHAPE, by_height)
    assert beyond is not None and beyond.voxels.sum() == 4 * 8


GRID = Volume.from_geometry(np.zeros(SHAPE, dtype=np.int16), spacing_kji_mm=(2.0, 0.5, 0.5))


def placed(i: int, j: int, size: int, reader: int, k: int = 4) -> NoduleMark:
    return mark([contour(k, square(i, j, size)), contour(k + 1, square(i, j, size))], reader)


def test_an_outline_has_its_place_and_size() -> None:
    (found,) = outlines([placed(10, 20, 5, 0)], GRID, by_height)
    assert found.center_lps == pytest.approx((6.0, 11.0, 9.0))
    assert np.pi / 6 * found.diameter_mm**3 == pytest.approx(2 * 25 * 2 * 0.25)


def test_marks_of_several_readers_at_one_place_are_one_nodule() -> None:
    marks = [placed(10, 10, 6, 0), placed(11, 10, 6, 1), placed(28, 28, 4, 1), placed(10, 11, 5, 2)]
    groups = same_nodules(outlines(marks, GRID, by_height))
    assert sorted([outline.mark.reader for outline in group] for group in groups) == [[0, 1, 2], [1]]


def test_two_marks_of_one_reader_stay_two_nodules() -> None:
    marks = [placed(10, 10, 4, 0), placed(15, 10, 4, 0), placed(11, 10, 4, 1), placed(16, 10, 4, 1)]
    groups = same_nodules(outlines(marks, GRID, by_height))
    assert sorted(len(group) for group in groups) == [2, 2]
    for group in groups:
        assert np.ptp([outline.center_lps[0] for outline in group]) == pytest.approx(0.5)


def test_consensus_is_what_half_of_the_readers_outlined() -> None:
    def row(first: int, count: int) -> VoxelMask:
        return VoxelMask((2, 3, first), np.ones((1, 1, count), dtype=bool))

    four = consensus([row(0, 4), row(1, 4), row(2, 4), row(3, 4)])
    assert (four.start_kji, four.voxels.shape) == ((2, 3, 1), (1, 1, 5))  # columns 1 to 5 have two votes or more
    three = consensus([row(0, 2), row(1, 2), row(9, 1)])
    assert (three.start_kji, three.voxels.shape) == ((2, 3, 1), (1, 1, 1))
    apart = consensus([row(0, 1), row(3, 1), row(6, 1)])
    assert apart.voxels.sum() == 3  # no two agree anywhere


def test_a_nodule_is_the_mean_of_its_readers() -> None:
    marks = [placed(10, 10, 5, 0), placed(12, 10, 5, 1), placed(11, 10, 5, 2), placed(30, 30, 4, 3)]
    agreed, others = nodules_of(Readings("", "", 4, tuple(marks), ()), GRID, by_height)
    assert len(agreed) == len(others) == 1
    found = nodule_of(agreed[0])
    assert found.center_lps == pytest.approx((6.5, 6.0, 9.0)) and found.mask.voxels.shape == (2, 5, 5)
    assert len(nodules_of(Readings("", "", 4, tuple(marks), ()), GRID, by_height, least_readers=1)[0]) == 2


# -- ratings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratings", "two", "median", "majority", "mean"),
    [
        ((4, 5), True, True, True, True),
        ((4, 5, 1, 1), True, None, None, False),
        ((5, 1, 1), False, False, False, False),
        ((3, 3, 4, 4), True, None, None, True),
        ((3, 3, 3), False, None, None, None),
        ((2, 2, 3), False, False, False, False),
        ((4,), False, True, True, True),
        ((1, 5), False, None, None, None),
        ((), None, None, None, None),
    ],
)
def test_malignancy_rules(
    ratings: tuple[int, ...], two: bool | None, median: bool | None, majority: bool | None, mean: bool | None
) -> None:
    found = {rule: malignant(ratings, rule) for rule in RULES}
    assert found == {"two readers": two, "median": median, "majority": majority, "mean": mean}


def test_the_undecided_may_be_ignored() -> None:
    assert malignant((3, 3, 4), "median") is None
    assert malignant((3, 3, 4), "median", ignore_undecided=True) is True
    assert malignant((3, 3), "median", ignore_undecided=True) is None


# -- all of LIDC -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def readings(shared_data: Path) -> dict[str, Readings]:
    return read_lidc_xml(shared_data / "lidc" / "reader-xml.tar.xz")


@pytest.fixture(scope="module")
def places(shared_data: Path) -> dict[str, NDArray[np.float64]]:
    """The excluded findings of LUNA16 that are mere points."""
    excluded = read_points(find_table(shared_data / "luna16", EXCLUDED), "diameter_mm", default=-1.0)
    return by_series(selected(excluded, excluded.values < 0))


def test_every_xml_of_lidc_is_read(readings: dict[str, Readings]) -> None:
    assert len(readings) == 1018
    marks = [mark for one in readings.values() for mark in one.nodules]
    points = [point for one in readings.values() for point in one.points]
    assert len(marks) == 6862 and len(points) == 13235 + 21662
    assert sum(point.is_nodule for point in points) == 13235
    assert sum(mark.ratings is None for mark in marks) == 2


def test_luna16s_tables_hold_what_is_published(shared_data: Path) -> None:
    tables = shared_data / "luna16"
    nodules = read_annotations(tables / ANNOTATIONS)
    assert len(read_series_list(tables / "seriesuids.csv")) == 888
    assert (sum(map(len, nodules.values())), len(nodules)) == (1186, 601)
    rated = [one.malignancy for own in read_annotations(tables / RATED, "mal_details").values() for one in own]
    assert len(rated) == 1182 and sum(malignant(ratings) is True for ratings in rated) == 378
    merged = with_ratings(nodules, read_annotations(tables / RATED, "mal_details"))
    assert sum(bool(one.malignancy) for own in merged.values() for one in own) == 1182


def test_our_reading_of_lidc_is_luna16s_reference(
    shared_data: Path, readings: dict[str, Readings], places: Mapping[str, NDArray[np.float64]]
) -> None:
    tables = shared_data / "luna16"
    rated = with_ratings(read_annotations(tables / ANNOTATIONS), read_annotations(tables / RATED, "mal_details"))
    found = compare(readings, read_series_list(tables / "seriesuids.csv"), rated, places)
    assert (found.scans, found.grids, found.nodules) == (888, 868, 1186)
    assert (found.points, found.points_found) == (30513, 30479)
    assert (found.matched, found.without_grid, found.by_height, found.extra) == (1165, 21, 21, 1)
    assert np.median(found.distances_mm) < 0.1 and np.percentile(found.distances_mm, 99) < 1
    assert np.median(found.diameter_ratios) == pytest.approx(1, abs=0.01)
    assert (found.rated, found.same_ratings, found.same_label, found.malignant) == (1161, 1148, 1161, 368)
    assert "1165 of 1165" in describe(found)


def test_outlines_are_voxel_for_voxel_those_of_others(
    shared_data: Path, readings: dict[str, Readings], places: Mapping[str, NDArray[np.float64]]
) -> None:
    """The masks of the shared crops, made by others from the same XML, are what any reader enclosed."""
    crops = np.load(shared_data / "lidc-nodules" / "crops.npz")
    with (shared_data / "lidc-nodules" / "crops.csv").open() as file:
        rows = list(csv.DictReader(file))
    masks, offsets, same, overlap = crops["mask"], crops["offset"], 0, []
    compared = range(0, len(rows), 8)
    for n in compared:
        series = rows[n]["seriesuid"]
        grid = grid_of(readings[series], places.get(series, np.empty((0, 3))))
        if grid is None:
            continue
        depth, step = int(crops["shape_kji"][n][0]), float(crops["spacing_kji_mm"][n][0])
        origin = crops["origin_kji_lps_mm"][n]
        matrix = grid.ijk_to_lps.copy()
        matrix[2, 2:] = step, origin[0]
        slices = Volume(np.broadcast_to(np.int16(0), (depth, 800, 800)), matrix)

        def slice_of(contour: Contour, low: float = float(origin[0]), step: float = step) -> int | None:
            k = (contour.z_mm - low) / step
            return round(k) if abs(k - round(k)) < 0.2 and round(k) >= 0 else None

        center = [float(rows[n][f"coord{axis}"]) for axis in "XYZ"]
        groups = same_nodules(
            [one for one in outlines(readings[series].nodules, slices, slice_of) if one.mask.start_kji[0] < depth]
        )
        own = min(groups, key=lambda group: np.linalg.norm(np.mean([o.center_lps for o in group], axis=0) - center))
        union = consensus([outline.mask for outline in own], share=1e-6)
        theirs = masks[offsets[n] : offsets[n + 1]].reshape(tuple(crops["shape_kji"][n])) > 0
        ours = np.zeros((depth, 800, 800), dtype=bool)
        ours[union.region] = union.voxels
        k, j, i = np.rint(slices.lps_to_index(origin[::-1])).astype(int)
        whole = np.zeros_like(ours)
        whole[k : k + theirs.shape[0], j : j + theirs.shape[1], i : i + theirs.shape[2]] = theirs
        same += bool((ours == whole).all())
        overlap.append(2 * (ours & whole).sum() / (ours.sum() + whole.sum()))
    assert len(overlap) > 85 and same > 0.85 * len(overlap)
    assert np.percentile(overlap, 3) > 0.98


def test_a_real_scan_has_its_nodule_where_luna16_has_it(shared_data: Path, readings: dict[str, Readings]) -> None:
    (series,) = ct_folders(shared_data / "ct" / "LIDC-IDRI-0003-slab")
    case = LidcCase(series, readings[series.series_uid], "slab")
    assert case.patient == "LIDC-IDRI-0003"
    scan = case.read()
    listed = read_annotations(shared_data / "luna16" / ANNOTATIONS)[case.name]
    theirs = [one for one in listed if scan.volume.contains(one.center_lps)]
    (found,), (expected,) = scan.nodules, theirs
    # Half a millimetre: were pixels counted from 1, the distance would be 1.1 mm.
    assert np.linalg.norm(np.subtract(found.center_lps, expected.center_lps)) < 0.5
    assert found.diameter_mm == pytest.approx(expected.diameter_mm, rel=0.06)
    assert len(found.ratings) == 4 and malignant(rating["malignancy"] for rating in found.ratings)
    inside = scan.volume.voxels[found.mask.region][found.mask.voxels]
    assert np.median(inside) > -200
    assert len(scan.excluded_lps) and scan.volume.contains(scan.excluded_lps).all()


# -- a whole data set --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(3, 1, (2.5, 1.8, 1.8), size="small")


@pytest.fixture
def downloaded(phantom: Phantom, tmp_path: Path) -> Path:
    """A CT as LIDC-IDRI is downloaded, three readers' squares about its nodule, a fourth's elsewhere."""
    folder = tmp_path / "LIDC-IDRI" / "LIDC-IDRI-9999" / "study" / "series"
    write_series(
        folder, phantom.volume.voxels, spacing_kji=(2.5, 1.8, 1.8), PatientID="LIDC-IDRI-9999",
        origin=tuple(phantom.volume.origin_lps),
    )  # fmt: skip
    k, j, i = np.rint(phantom.volume.lps_to_index(phantom.nodules[0].center_lps)).astype(int).tolist()

    def drawn(shift: int, malignancy: int) -> str:
        slices = range(k - 1, k + 2)
        return nodule(
            "".join(roi(n, square(i - 1 + shift, j - 1, 3), sop=f"{SYNTHETIC_SERIES}.{n + 1}") for n in slices),
            malignancy,
        )

    away = non_nodule(0, i, j, sop=f"{SYNTHETIC_SERIES}.1")
    (folder / "042.xml").write_bytes(message(drawn(0, 4), drawn(0, 5), drawn(1, 2), drawn(12, 1) + away))
    return tmp_path / "LIDC-IDRI"


def test_a_downloaded_data_set_is_prepared(downloaded: Path, phantom: Phantom, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert main(["--kind", "lidc", "--data", str(downloaded), "--cache", str(cache)]) == 0
    (entry,) = Cache(cache).entries()
    assert (entry.name, entry.patient) == (SYNTHETIC_SERIES, "LIDC-IDRI-9999")
    (found,) = entry.nodules
    assert found.malignancy == 4 and [rating["malignancy"] for rating in found.ratings] == [4, 5, 2]
    at = entry.ijk_to_lps @ [*found.center_kji[::-1], 1]
    assert np.linalg.norm(at[:3] - phantom.nodules[0].center_lps) < 2.5
    solid = found.occupancy >= 128
    assert solid.sum() == pytest.approx(27 * 2.5 * 1.8**2, rel=0.15)
    assert len(entry.excluded_kji) == 2
    assert main(["--kind", "lidc", "--data", str(downloaded), "--cache", str(cache), "--readers", "1"]) == 0
    assert len(next(Cache(cache).entries()).nodules) == 2


def test_the_xml_may_lie_elsewhere_and_a_changed_mark_is_noticed(downloaded: Path, tmp_path: Path) -> None:
    (xml,) = downloaded.rglob("*.xml")
    elsewhere = tmp_path / "xml"
    elsewhere.mkdir()
    xml.rename(elsewhere / "042.xml")
    (case,) = lidc_cases(downloaded, elsewhere)
    cache = Cache(tmp_path / "cache")
    cache.write(case)
    assert cache.state(case) == "ready"
    text = (elsewhere / "042.xml").read_bytes()
    (elsewhere / "042.xml").write_bytes(text.replace(b"<malignancy>5<", b"<malignancy>3<", 1))
    (case,) = lidc_cases(downloaded, elsewhere)
    assert cache.state(case) == "outdated"


def test_readings_of_other_scans_are_refused(downloaded: Path, tmp_path: Path) -> None:
    (xml,) = downloaded.rglob("*.xml")
    text = xml.read_bytes()
    xml.write_bytes(text.replace(b"imageSOP_UID>1.2", b"imageSOP_UID>9.9"))
    (case,) = lidc_cases(downloaded)
    with pytest.raises(InputError, match="none of the slices that were marked"):
        case.read()
    xml.write_bytes(text.replace(SYNTHETIC_SERIES.encode() + b"</Series", b"1.9.9</Series"))
    with pytest.raises(InputError, match="--xml"):
        lidc_cases(downloaded)
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no folder of CT slices"):
        lidc_cases(empty)


def test_a_scan_without_a_grid_is_compared_by_height_and_size() -> None:
    drawn = nodule(roi(10, square(20, 20, 8)) + roi(12, square(20, 20, 8)))
    readings = {"s": parsed(message(drawn, drawn, drawn))}
    near, far = Annotation((0.0, 0.0, 11.0), 6.0), Annotation((0.0, 0.0, 30.0), 6.0)
    found: Agreement = compare(readings, ["s", "unknown"], {"s": [near, far]}, {})
    assert (found.scans, found.grids, found.nodules, found.without_grid, found.by_height) == (2, 0, 2, 2, 1)
